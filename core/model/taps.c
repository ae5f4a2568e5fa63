/* core/model/taps.c -- the table of observation points, and what a model has
 * of it.
 *
 * A tap that exists must be written by both forward passes.  Names are parsed
 * strictly ("layers.03.in" and "layers.3.in " name no tap): a name that two
 * spellings reach would let a comparison miss one.
 */
#include "core/model/taps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tap_row {
    const char *format;
    core_tap_rows rows;
    core_grid grid;
    bool is_coarse;
    const char *words;
} tap_row;

static const tap_row TAP_TABLE[CORE_N_TAP_KINDS] = {
#define TAP_ROW(kind, name, rows, grid, coarse, here, cols, heads, words)      \
    {name, CORE_ROWS_##rows, CORE_GRID_##grid, coarse, words},
    CORE_TAP_LIST(TAP_ROW)
#undef TAP_ROW
};

static const char LAYER_PREFIX[] = "layers.%d.";

core_tap_rows core_tap_row_kind(core_tap_kind kind)
{
    return TAP_TABLE[kind].rows;
}

core_grid core_tap_grid(core_tap_kind kind)
{
    return TAP_TABLE[kind].grid;
}

core_slot core_tap_slot(core_tap_kind kind)
{
    switch (kind) {
#define TAP_KIND(kind) case CORE_TAP_##kind:
        CORE_RESIDUAL_TAP_LIST(TAP_KIND)
        return CORE_SLOT_RESIDUAL;
        CORE_ROUTER_TAP_LIST(TAP_KIND)
        return CORE_SLOT_ROUTER;
        CORE_PROB_TAP_LIST(TAP_KIND)
        return CORE_SLOT_PROB;
#undef TAP_KIND
    default:
        return CORE_SLOT_OUT;
    }
}

core_numerics core_tap_numerics(core_numerics numerics, core_tap_kind kind)
{
    return core_numerics_of(numerics, core_tap_slot(kind));
}

core_numerics core_tap_coarsest(core_numerics numerics, core_tap_kind kind)
{
    const core_numerics own = core_tap_numerics(numerics, kind);
    const core_numerics inner = core_stores_context_sum(numerics)
                                    ? core_numerics_of(numerics, CORE_SLOT_CTX)
                                    : core_context_prob(numerics);
    return kind == CORE_TAP_CONTEXT &&
                   core_store_roundoff(inner) > core_store_roundoff(own)
               ? inner
               : own;
}

bool core_tap_is_coarse(core_tap_kind kind)
{
    return TAP_TABLE[kind].is_coarse;
}

bool core_tap_is_global(core_tap_kind kind)
{
    return kind < CORE_TAP_IN || kind > CORE_TAP_OUT;
}

const char *core_tap_words(core_tap_kind kind)
{
    return TAP_TABLE[kind].words;
}

static bool is_here(const core_spec *s, core_tap_kind kind, int l)
{
    switch (kind) {
#define TAP_HERE(kind, name, rows, grid, coarse, here, ...)                    \
    case CORE_TAP_##kind:                                                      \
        return here;
        CORE_TAP_LIST(TAP_HERE)
#undef TAP_HERE
    case CORE_N_TAP_KINDS:
        break;
    }
    return false;
}

bool core_tap_exists(const core_spec *spec, core_tap tap)
{
    const int64_t n_l = core_tap_is_global(tap.kind) ? 1 : spec->n_l;
    return tap.layer >= 0 && tap.layer < n_l &&
           is_here(spec, tap.kind, tap.layer);
}

int64_t core_tap_cols(const core_spec *s, core_tap tap)
{
    const int l = tap.layer;
    switch (tap.kind) {
#define TAP_COLS(kind, name, rows, grid, coarse, here, cols, ...)              \
    case CORE_TAP_##kind:                                                      \
        return cols;
        CORE_TAP_LIST(TAP_COLS)
#undef TAP_COLS
    case CORE_N_TAP_KINDS:
        break;
    }
    return 0;
}

int64_t core_tap_heads(const core_spec *s, core_tap tap)
{
    const int l = tap.layer;
    switch (tap.kind) {
#define TAP_HEADS(kind, name, rows, grid, coarse, here, cols, heads, words)    \
    case CORE_TAP_##kind:                                                      \
        return heads;
        CORE_TAP_LIST(TAP_HEADS)
#undef TAP_HEADS
    case CORE_N_TAP_KINDS:
        break;
    }
    return 0;
}

int64_t core_tap_n_rows(const core_spec *spec, core_tap tap, int64_t n_t)
{
    return core_tap_row_kind(tap.kind) == CORE_ROWS_CHOICE ? n_t * spec->n_k
                                                           : n_t;
}

const char *core_tap_pattern(core_tap_kind kind)
{
    return TAP_TABLE[kind].format;
}

const char *core_tap_name(core_tap tap, char name[CORE_NAME_BYTES])
{
    snprintf(name, CORE_NAME_BYTES, TAP_TABLE[tap.kind].format, tap.layer);
    return name;
}

/* Split "layers.3.mid" into 3 and "mid"; false if it is not of that form. */
static bool split_layer(const char *name, int *layer, const char **rest)
{
    const size_t n_fixed = strlen("layers.");
    if (strncmp(name, "layers.", n_fixed) != 0)
        return false;
    const char *digits = name + n_fixed;
    const size_t n_digit = strspn(digits, "0123456789");
    if (n_digit < 1 || n_digit > 3 || (digits[0] == '0' && n_digit > 1) ||
        digits[n_digit] != '.')
        return false;
    *layer = (int)strtol(digits, NULL, 10);
    *rest = digits + n_digit + 1;
    return *layer < CORE_MAX_LAYERS;
}

bool core_tap_parse(core_tap *out, const char *name)
{
    int layer = 0;
    const char *rest = name;
    const bool in_layer = split_layer(name, &layer, &rest);
    const size_t skip = in_layer ? strlen(LAYER_PREFIX) : 0;
    for (int k = 0; k < CORE_N_TAP_KINDS; k++) {
        const core_tap_kind kind = (core_tap_kind)k;
        if (core_tap_is_global(kind) != in_layer &&
            strcmp(TAP_TABLE[k].format + skip, rest) == 0) {
            *out = (core_tap){kind, layer};
            return true;
        }
    }
    return false;
}

static int64_t append(const core_spec *spec, core_tap tap, core_tap *out,
                      int64_t n, int64_t capacity)
{
    if (!core_tap_exists(spec, tap))
        return n;
    if (n < capacity)
        out[n] = tap;
    return n + 1;
}

int64_t core_taps(const core_spec *spec, core_tap *out, int64_t capacity)
{
    int64_t n = 0;
    for (int k = 0; k < CORE_TAP_IN; k++)
        n = append(spec, (core_tap){(core_tap_kind)k, 0}, out, n, capacity);
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = CORE_TAP_IN; k <= CORE_TAP_OUT; k++)
            n = append(spec, (core_tap){(core_tap_kind)k, l}, out, n, capacity);
    for (int k = CORE_TAP_OUT + 1; k < CORE_N_TAP_KINDS; k++)
        n = append(spec, (core_tap){(core_tap_kind)k, 0}, out, n, capacity);
    return n;
}
