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

#include <math.h>
#include <stdio.h>
#include <string.h>

/* said := what all files say in their metadata. */
static core_status read_said(har_foreign *d)
{
    const char *word = core_st_metadata(d->file[0].st, "numerics");
    for (int i = 1; i < d->n_file && word != NULL; i++) {
        const char *other = core_st_metadata(d->file[i].st, "numerics");
        word = other != NULL && strcmp(other, word) == 0 ? word : NULL;
    }
    if (word == NULL)
        return CORE_OK;
    core_numerics numerics;
    if (core_numerics_parse(&numerics, word) != CORE_OK)
        return core_fail_context(CORE_E_INPUT, "in the metadata of %s",
                                 core_st_path(d->file[0].st));
    snprintf(d->said, sizeof d->said, "%s", core_numerics_name(numerics).text);
    return CORE_OK;
}

/* The coarsest type of a dump's taps, or of all its tensors: 0 none, 1 double,
 * 2 single, 3 half, 4 bf16.                                                  */
static int coarsest(const har_foreign *d, const har_namemap *map, bool all)
{
    int found = 0;
    for (int i = 0; i < d->n_file; i++) {
        const core_st *st = d->file[i].st;
        for (int64_t j = 0; j < core_st_count(st); j++) {
            const core_st_tensor *t = core_st_at(st, j);
            char name[HAR_DUMP_NAME];
            const int type = t->dtype == CORE_DTYPE_BF16  ? 4
                             : t->dtype == CORE_DTYPE_F16 ? 3
                             : t->dtype == CORE_DTYPE_F32 ? 2
                             : t->dtype == CORE_DTYPE_F64 ? 1
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
    const char *name;
    core_dtype dtype;
    bool fits; /* all values so far are numbers of this type          */
} lattice;

enum { N_LATTICE = 3, ENOUGH = 16, CHUNK = 256 };

/* How many of the values have more bits than a power of two. */
static int64_t see_values(lattice l[N_LATTICE], const core_st_tensor *t)
{
    double x[CHUNK], y[CHUNK];
    float stored[CHUNK];
    int64_t n_telling = 0;
    for (int64_t at = 0; at < t->n; at += CHUNK) {
        const int64_t n = t->n - at < CHUNK ? t->n - at : CHUNK;
        bool any = false;
        int unused;
        core_st_read(t, at, n, x);
        for (int64_t i = 0; i < n; i++)
            n_telling += fabs(frexp(x[i], &unused)) != 0.5 && x[i] != 0.0;
        for (int k = 0; k < N_LATTICE; k++) {
            core_dtype_from_f64(stored, x, l[k].dtype, n);
            core_dtype_to_f64(y, stored, l[k].dtype, n);
            for (int64_t i = 0; i < n && l[k].fits; i++)
                l[k].fits = x[i] == y[i] || isnan(x[i]);
            any |= l[k].fits;
        }
        if (!any)
            break;
    }
    return n_telling;
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

/* The coarsest type that holds all activations of type `dtype` of a dump; NULL
 * if it is their own.                                                        */
static const char *lattice_of(const har_foreign *d, const har_namemap *map,
                              core_dtype dtype)
{
    lattice l[N_LATTICE] = {{"bf16", CORE_DTYPE_BF16, true},
                            {"fp16", CORE_DTYPE_F16, true},
                            {"fp32", CORE_DTYPE_F32, dtype == CORE_DTYPE_F64}};
    int64_t n_telling = 0;
    for (int i = 0; i < d->n_file; i++) {
        const har_dump_file *f = &d->file[i];
        for (int64_t j = 0; j < core_st_count(f->st); j++) {
            const core_st_tensor *t = core_st_at(f->st, j);
            if (t->dtype == dtype && is_activation(map, t, f->first_layer))
                n_telling += see_values(l, t);
        }
    }
    for (int k = 0; k < N_LATTICE && n_telling >= ENOUGH; k++)
        if (l[k].fits)
            return l[k].name;
    return NULL;
}

/* --- together --- */

core_status har__foreign_numerics(har_foreign *d,
                                  const har_foreign_options *options)
{
    static const char *const by_type[] = {"", "fp64", "fp32", "fp16", "bf16"};
    int type = coarsest(d, options->map, false);
    if (type == 0) /* no name fits: who looks for one is told which */
        type = coarsest(d, options->map, true);
    CORE_TRY(read_said(d));
    const char *word = options->numerics != NULL ? options->numerics
                       : d->said[0] != '\0'      ? d->said
                                                 : NULL;
    if (word == NULL && (type == 1 || type == 2)) {
        d->type = type == 1 ? CORE_DTYPE_F64 : CORE_DTYPE_F32;
        d->lattice = lattice_of(d, options->map, d->type);
    }
    snprintf(d->numerics, sizeof d->numerics, "%s",
             word != NULL         ? word
             : d->lattice != NULL ? d->lattice
                                  : by_type[type]);
    return CORE_OK;
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

/* Halves are held against bf16 where nothing is said of fp16. */
static const char *nearest(const char *golden, const char *type)
{
    return strcmp(type, "fp16") == 0 && !har_yardstick_has(golden, "fp16")
               ? "bf16"
               : type;
}

static core_status against_lattice(har_foreign *d, const char *golden,
                                   const char **out)
{
    const char *wanted = nearest(golden, d->lattice);
    const bool has_it = har_yardstick_has(golden, wanted);
    const char *type = core_dtype_name(d->type);
    *out = has_it ? wanted : "fp32";
    if (has_it)
        snprintf(d->held, sizeof d->held,
                 "all values of the dump's %s activations are %s numbers: held "
                 "against %s (--numerics overrules)",
                 type, d->lattice, wanted);
    else
        snprintf(d->held, sizeof d->held,
                 "all values of the dump's %s activations are %s numbers, but "
                 "%.120s has no %s.safetensors: held against fp32; golden make "
                 "--numerics fp32,bf16 makes both",
                 type, d->lattice, golden, wanted);
    return har_yardstick_has(golden, *out) ? CORE_OK : lacks(golden, wanted);
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
        return against_lattice(d, golden, out);
    if (asked == NULL && strcmp(d->numerics, "fp64") == 0)
        return against_doubles(d, golden, out);
    *out = asked == NULL && d->said[0] == '\0' ? nearest(golden, d->numerics)
                                               : d->numerics;
    CORE_FAIL_IF(
        strcmp(d->numerics, "exact") == 0 && d->said[0] != '\0' &&
            strcmp(d->said, "exact") != 0,
        CORE_E_INPUT,
        "%s: its metadata says %s, which cannot have the bits of exact",
        d->path, d->said);
    return har_yardstick_has(golden, *out) ? CORE_OK : lacks(golden, *out);
}
