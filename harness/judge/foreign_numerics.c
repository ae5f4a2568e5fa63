/* harness/judge/foreign_numerics.c -- in which numerics a dump is, and which
 * file of a bundle fits it.
 *
 * What --numerics and the metadata say is believed (our own runs hold values of
 * exact in doubles and of bf16 in singles).  Else the types speak: but people
 * write .float() before they save, so an F32 dump whose activations are
 * bf16 numbers throughout is one of bf16.  Traps: the embedding of a bf16
 * checkpoint is on that lattice in an fp32 run too, and routers often compute
 * in fp32 inside a bf16 run, so neither is evidence; zeros and powers of two
 * are on every lattice; doubles are never the grid values of exact.
 */
#include "harness/judge/foreign.h"

#include <stdio.h>
#include <string.h>

static const char *const known[] = {"exact", "fp64", "fp32", "bf16"};

enum { N_KNOWN = sizeof known / sizeof known[0] };

/* The known word that all files say in their metadata; NULL: none. */
static const char *said(const har_foreign *d)
{
    const char *word = core_st_metadata(d->file[0].st, "numerics");
    for (int i = 1; i < d->n_file && word != NULL; i++) {
        const char *other = core_st_metadata(d->file[i].st, "numerics");
        word = other != NULL && strcmp(other, word) == 0 ? word : NULL;
    }
    for (int i = 0; i < N_KNOWN && word != NULL; i++)
        if (strcmp(word, known[i]) == 0)
            return known[i];
    return NULL;
}

/* The coarsest type of a dump's taps, or of all its tensors: 0 none, 1 double,
 * 2 single, 3 half.                                                          */
static int coarsest(const har_foreign *d, const har_namemap *map, bool all)
{
    int found = 0;
    for (int i = 0; i < d->n_file; i++) {
        const core_st *st = d->file[i].st;
        for (int64_t j = 0; j < core_st_count(st); j++) {
            const core_st_tensor *t = core_st_at(st, j);
            char name[HAR_DUMP_NAME];
            const int type =
                t->dtype == CORE_DTYPE_BF16 || t->dtype == CORE_DTYPE_F16 ? 3
                : t->dtype == CORE_DTYPE_F32                              ? 2
                : t->dtype == CORE_DTYPE_F64                              ? 1
                                                                          : 0;
            if (type > found &&
                (all || har_namemap_apply(map, t->name, 0, name)))
                found = type;
        }
    }
    return found;
}

/* --- values that have fewer bits than their type --- */

typedef struct lattice {
    bool is_bf16, is_fp16; /* so far                                      */
    int64_t n_telling;     /* values with more bits than a power of two   */
} lattice;

enum { ENOUGH = 16, CHUNK = 256 };

static void see_values(lattice *l, const core_st_tensor *t)
{
    uint32_t bits[CHUNK];
    double x[CHUNK], y[CHUNK];
    uint16_t half[CHUNK];
    for (int64_t at = 0; at < t->n && (l->is_bf16 || l->is_fp16); at += CHUNK) {
        const int64_t n = t->n - at < CHUNK ? t->n - at : CHUNK;
        memcpy(bits, (const char *)t->data + (size_t)at * sizeof *bits,
               (size_t)n * sizeof *bits);
        core_st_read(t, at, n, x);
        core_dtype_from_f64(half, x, CORE_DTYPE_F16, n);
        core_dtype_to_f64(y, half, CORE_DTYPE_F16, n);
        for (int64_t i = 0; i < n; i++) {
            l->is_bf16 = l->is_bf16 && (bits[i] & 0xffffu) == 0;
            l->is_fp16 = l->is_fp16 && x[i] == y[i];
            l->n_telling += (bits[i] & 0x7fffffu) != 0;
        }
    }
}

static bool is_activation(const har_namemap *map, const core_st_tensor *t,
                          int first_layer)
{
    char name[HAR_DUMP_NAME];
    har_tapname parsed;
    if (!har_namemap_apply(map, t->name, first_layer, name) ||
        !har_tapname_parse(&parsed, name) || !parsed.is_tap)
        return false;
    const core_tap_kind kind = parsed.tap.kind;
    return kind != CORE_TAP_EMBED && kind != CORE_TAP_ROUTER_LOGITS &&
           kind != CORE_TAP_ROUTER_PROBS && kind != CORE_TAP_TOPK_WEIGHT;
}

/* "bf16", "fp16", or NULL: of the F32 activations of a dump. */
static const char *lattice_of(const har_foreign *d, const har_namemap *map)
{
    lattice l = {true, true, 0};
    for (int i = 0; i < d->n_file; i++) {
        const har_dump_file *f = &d->file[i];
        for (int64_t j = 0; j < core_st_count(f->st); j++) {
            const core_st_tensor *t = core_st_at(f->st, j);
            if (t->dtype == CORE_DTYPE_F32 &&
                is_activation(map, t, f->first_layer))
                see_values(&l, t);
        }
    }
    if (l.n_telling < ENOUGH)
        return NULL;
    return l.is_bf16 ? "bf16" : l.is_fp16 ? "fp16" : NULL;
}

/* --- together --- */

void har__foreign_numerics(har_foreign *d, const har_foreign_options *options)
{
    static const char *const by_type[] = {"", "fp64", "fp32", "bf16"};
    int type = coarsest(d, options->map, false);
    if (type == 0) /* no name fits: who looks for one is told which */
        type = coarsest(d, options->map, true);
    const char *word = said(d);
    if (options->numerics != NULL)
        word = options->numerics;
    if (word == NULL && type == 2)
        d->lattice = lattice_of(d, options->map);
    snprintf(d->numerics, sizeof d->numerics, "%.15s",
             word != NULL         ? word
             : d->lattice != NULL ? "bf16"
                                  : by_type[type]);
}

static core_status lacks(const char *golden, const char *what)
{
    CORE_FAIL(CORE_E_INPUT,
              "%s: expected %s.safetensors for this dump's types "
              "(--numerics chooses another)",
              golden, what);
}

/* Integers have no numerics: the first file of the bundle will do. */
static core_status against_any(har_foreign *d, const char *golden,
                               const char **out)
{
    static const char *const order[] = {"fp32", "bf16", "fp64", "exact"};
    int i = 0;
    while (i < 3 && !har_yardstick_has(golden, order[i]))
        i++;
    *out = order[i];
    snprintf(d->held, sizeof d->held,
             "the dump holds integers only, which have none: held against %s "
             "(--numerics chooses another)",
             *out);
    return har_yardstick_has(golden, *out) ? CORE_OK : lacks(golden, *out);
}

static core_status against_half(har_foreign *d, const char *golden,
                                const char **out)
{
    const bool has_bf16 = har_yardstick_has(golden, "bf16");
    *out = has_bf16 ? "bf16" : "fp32";
    if (has_bf16)
        snprintf(d->held, sizeof d->held,
                 "all values of the dump's F32 activations are %s numbers: "
                 "held against bf16 (--numerics fp32 overrules)",
                 d->lattice);
    else
        snprintf(d->held, sizeof d->held,
                 "all values of the dump's F32 activations are %s numbers, "
                 "but %.120s has no bf16.safetensors: held against fp32; "
                 "golden make --numerics fp32,bf16 makes both",
                 d->lattice, golden);
    return has_bf16 || har_yardstick_has(golden, "fp32")
               ? CORE_OK
               : lacks(golden, "bf16");
}

/* More bits than fp32: within its tolerances, if there is no better file. */
static core_status against_doubles(har_foreign *d, const char *golden,
                                   const char **out)
{
    const bool has_fp64 = har_yardstick_has(golden, "fp64");
    *out = has_fp64 ? "fp64" : "fp32";
    if (!has_fp64)
        snprintf(d->held, sizeof d->held,
                 "the dump holds doubles, and %.120s no fp64.safetensors: held "
                 "against fp32",
                 golden);
    return has_fp64 || har_yardstick_has(golden, "fp32")
               ? CORE_OK
               : lacks(golden, "fp64");
}

core_status har_foreign_against(har_foreign *d, const char *golden,
                                const char *asked, const char **out)
{
    *out = NULL;
    if (!har_yardstick_is_bundle(golden))
        return CORE_OK;
    if (asked == NULL && d->numerics[0] == '\0')
        return against_any(d, golden, out);
    if (asked == NULL && d->lattice != NULL)
        return against_half(d, golden, out);
    if (asked == NULL && strcmp(d->numerics, "fp64") == 0)
        return against_doubles(d, golden, out);
    for (int i = 0; i < N_KNOWN; i++)
        if (strcmp(d->numerics, known[i]) == 0)
            *out = known[i];
    const char *word = said(d);
    CORE_FAIL_IF(
        *out == known[0] && word != NULL && word != known[0], CORE_E_INPUT,
        "%s: its metadata says %s, which cannot have the bits of exact",
        d->path, word);
    return har_yardstick_has(golden, *out) ? CORE_OK : lacks(golden, *out);
}
