/* harness/judge/forced.c -- see forced.h.
 *
 * A dump whose hooks did not fire would be judged by tolerances that are far
 * too narrow for it, so it has to show what it was fed: bit for bit the
 * bundle's.  Traps: a rank that holds no tap of a layer need not show that
 * layer's input; by blocks, the feed-forward part's taps alone rest on what
 * that part reads alone; a fed tensor is the bundle's whole, also where the
 * taps are shards.
 */
#include "harness/judge/forced.h"

#include <stdio.h>
#include <string.h>

core_status har_forced_read(har_forcing *out, const har_foreign *d)
{
    const char *first = core_st_metadata(d->file[0].st, "forced");
    *out = HAR_FED_NOTHING;
    for (int i = 0; i < d->n_file; i++) {
        const char *text = core_st_metadata(d->file[i].st, "forced");
        CORE_FAIL_IF((text == NULL) != (first == NULL) ||
                         (text != NULL && strcmp(text, first) != 0),
                     CORE_E_FORMAT,
                     "%s: metadata 'forced': expected %.40s as in %s, found "
                     "%.40s",
                     core_st_path(d->file[i].st),
                     first != NULL ? first : "none", d->file[0].name,
                     text != NULL ? text : "none");
    }
    if (first == NULL)
        return CORE_OK;
    for (int k = HAR_FED_LAYERS; k < HAR_N_FORCINGS; k++)
        if (strcmp(first, har_forcing_name((har_forcing)k)) == 0)
            *out = (har_forcing)k;
    CORE_FAIL_IF(
        *out == HAR_FED_NOTHING, CORE_E_FORMAT,
        "%s: metadata 'forced': expected layer or block, found '%.40s'",
        core_st_path(d->file[0].st), first);
    return CORE_OK;
}

/* --- the bundle it was fed from --- */

static core_status check_fingerprint(const har_foreign *d,
                                     const har_yardstick *y)
{
    for (int i = 0; i < d->n_file; i++) {
        const char *with = core_st_metadata(d->file[i].st, "forced_with");
        CORE_FAIL_IF(with == NULL, CORE_E_INPUT,
                     "%s: says forced=%s: expected metadata 'forced_with', the "
                     "xxh3 of %s.safetensors in the manifest of the bundle "
                     "that fed it",
                     core_st_path(d->file[i].st), har_forcing_name(y->forcing),
                     y->numerics);
        CORE_FAIL_IF(strcmp(with, y->fingerprint) != 0, CORE_E_INPUT,
                     "%s: was forced with another bundle: expected "
                     "forced_with %s, of %s/%s.safetensors, found '%.40s'",
                     core_st_path(d->file[i].st), y->fingerprint, y->path,
                     y->numerics, with);
    }
    return CORE_OK;
}

/* --- what it was fed --- */

/* What of a layer, or of the head, a dump holds. */
typedef enum forced_held {
    HELD_ANY,
    HELD_BESIDE_FFN, /* any but what the feed-forward part computes */
} forced_held;

/* Does the dump hold such a tap of that layer; layer -1: of the head? */
static bool has_taps_of(const har_foreign *d, const har_yardstick *y, int part,
                        int layer, forced_held held)
{
    for (int64_t i = 0; i < d->n_piece; i++) {
        const har_yard_tap *t = &y->tap[d->piece[i].i_tap];
        const core_tap tap = t->name.tap;
        if (!t->name.is_tap || t->part != part)
            continue;
        const bool is_head =
            tap.kind == CORE_TAP_FINAL_NORM || tap.kind == CORE_TAP_LOGITS;
        const bool is_ffn =
            tap.kind > CORE_TAP_FFN_NORM && tap.kind < CORE_TAP_OUT;
        if (held == HELD_BESIDE_FFN && is_ffn)
            continue;
        if (layer < 0 ? is_head
                      : !core_tap_is_global(tap.kind) && tap.layer == layer)
            return true;
    }
    return false;
}

/* The fed tensor of a name, with its part's prefix or without. */
static const core_st_tensor *find_fed(const har_foreign *d, const char *prefix,
                                      const char *body)
{
    char name[2 * HAR_DUMP_NAME];
    const core_st_tensor *found = NULL;
    for (int i = 0; i < d->n_file && found == NULL; i++) {
        snprintf(name, sizeof name, "%sfed/%s", prefix, body);
        found = core_st_find(d->file[i].st, name);
        if (found == NULL)
            found = core_st_find(d->file[i].st, name + strlen(prefix));
    }
    return found;
}

/* Does the dump show that it was fed the golden's tap? */
static core_status check_fed(const har_foreign *d, const har_yardstick *y,
                             int part, core_tap tap)
{
    const char *prefix = y->part[part].prefix;
    char body[CORE_NAME_BYTES];
    core_tap_name(tap, body);
    const har_yard_tap *golden = har_yardstick_find(y, part, tap);
    const core_st_tensor *fed = find_fed(d, prefix, body);
    CORE_FAIL_IF(golden == NULL, CORE_E_FORMAT,
                 "%s: expected the tensor '%s%s'", y->path, prefix, body);
    CORE_FAIL_IF(fed == NULL, CORE_E_INPUT,
                 "%s: says forced=%s: expected what it was fed, '%sfed/%s', "
                 "found no such tensor",
                 d->path, har_forcing_name(y->forcing), prefix, body);
    CORE_FAIL_IF(!core_dtype_is_float(fed->dtype) || fed->n != golden->data->n,
                 CORE_E_INPUT, "%s: '%s': expected %lld values, found %lld",
                 d->path, fed->name, (long long)golden->data->n,
                 (long long)fed->n);
    for (int64_t i = 0; i < fed->n; i++)
        CORE_FAIL_IF(
            !(core_st_value(fed, i) == core_st_value(golden->data, i)),
            CORE_E_INPUT,
            "%s: '%s': was fed other values than the golden's: element %lld: "
            "expected %.9g, found %.9g",
            d->path, fed->name, (long long)i, core_st_value(golden->data, i),
            core_st_value(fed, i));
    return CORE_OK;
}

/* Do the taps of that layer rest on its feed-forward part's input alone?  Not
 * where the router reads the stream itself, through a norm of its own. */
static bool is_ffn_alone(const har_foreign *d, const har_yardstick *y, int part,
                         int layer)
{
    return y->forcing == HAR_FED_BLOCKS &&
           !has_taps_of(d, y, part, layer, HELD_BESIDE_FFN) &&
           !core_tap_exists(&y->spec, (core_tap){CORE_TAP_ROUTER_IN, layer});
}

/* What the layer and its parts read. */
static core_status check_layer(const har_foreign *d, const har_yardstick *y,
                               int part, int layer)
{
    const core_tap before = layer > 0 ? (core_tap){CORE_TAP_OUT, layer - 1}
                                      : (core_tap){CORE_TAP_EMBED, 0};
    const core_tap attn = {CORE_TAP_ATTN_NORM, layer};
    const core_tap ffn = {CORE_TAP_FFN_NORM, layer};
    const bool is_blocks = y->forcing == HAR_FED_BLOCKS;
    if (!is_ffn_alone(d, y, part, layer)) {
        CORE_TRY(check_fed(d, y, part, before));
        if (is_blocks && core_tap_exists(&y->spec, attn))
            CORE_TRY(check_fed(d, y, part, attn));
    }
    return is_blocks && core_tap_exists(&y->spec, ffn)
               ? check_fed(d, y, part, ffn)
               : CORE_OK;
}

static core_status check_part(const har_foreign *d, const har_yardstick *y,
                              int part)
{
    int n_l = 0;
    while (har_yardstick_find(y, part, (core_tap){CORE_TAP_OUT, n_l}) != NULL)
        n_l++;
    for (int l = 0; l < n_l; l++)
        if (has_taps_of(d, y, part, l, HELD_ANY))
            CORE_TRY(check_layer(d, y, part, l));
    if (n_l == 0 || !has_taps_of(d, y, part, -1, HELD_ANY))
        return CORE_OK;
    CORE_TRY(check_fed(d, y, part, (core_tap){CORE_TAP_OUT, n_l - 1}));
    return y->forcing == HAR_FED_BLOCKS
               ? check_fed(d, y, part, (core_tap){CORE_TAP_FINAL_NORM, 0})
               : CORE_OK;
}

core_status har_forced_check(const har_foreign *d, const har_yardstick *y)
{
    if (y->forcing == HAR_FED_NOTHING)
        return CORE_OK;
    CORE_TRY(check_fingerprint(d, y));
    for (int i = 0; i < y->n_part; i++)
        CORE_TRY(check_part(d, y, i));
    return CORE_OK;
}
