/* harness/verify/spread.c -- drawn taps held against the reference's.
 *
 * In fp32 nearly every element errs, and one draw tells how much; its sums are
 * in one piece, which is the worst order that an implementation has.  In bf16
 * few errors are large enough to tip a store: more draws, in other orders, see
 * more of them.  Trap: integers of the file may lie unaligned.
 */
#include "harness/verify/spread.h"

#include "core/base/arena.h"

#include <stdlib.h>
#include <string.h>

static const uint64_t SEED = 1;

typedef struct drawing {
    const core_spec *spec;
    const core_tapfile *file;
    core_numerics numerics;
    int64_t n_token;
    int64_t n_tap;
    core_tap *tap;                    /* [n_tap]                             */
    har_precision *out;               /* [n_tap]                             */
    double *expected, *bound, *error; /* a row                                */
    int64_t *ints; /* [2, N * widest] experts and slots of the layer at hand, or
                    * the keys of its queries                                 */
    int64_t widest_ints;
} drawing;

int har_spread_draws(core_numerics numerics)
{
    if (!core_uses_floats(numerics))
        return 0;
    return numerics == CORE_FP32 ? 1 : 2;
}

static har_precision *sums_of(const drawing *d, core_tap tap)
{
    int64_t i = 0;
    while (d->tap[i].kind != tap.kind || d->tap[i].layer != tap.layer)
        i++;
    return &d->out[i];
}

static void see(void *self, core_tap tap, const double *values,
                const int64_t *ints, const float *none)
{
    const drawing *d = self;
    const core_st_tensor *expected = core_tapfile_find(d->file, "", tap, false);
    const core_st_tensor *bound = core_tapfile_find(d->file, "", tap, true);
    const int64_t n_col = core_tap_cols(d->spec, tap);
    har_precision *sums = sums_of(d, tap);
    (void)ints, (void)none;
    for (int64_t i = 0; values != NULL && i < expected->n; i += n_col) {
        core_st_read(expected, i, n_col, d->expected);
        core_st_read(bound, i, n_col, d->bound);
        har_precision_row(sums, core_tap_coarsest(d->numerics, tap.kind), 1.0, n_col, d->expected,
                          values + i, d->bound, d->error, i > 0);
    }
}

static void honest_values(void *self, core_tap tap, int64_t first, int64_t n,
                          double *out)
{
    const drawing *d = self;
    core_st_read(core_tapfile_find(d->file, "", tap, false), first, n, out);
}

static const int64_t *honest_routing(void *self, core_tap tap)
{
    const drawing *d = self;
    const core_st_tensor *t = core_tapfile_find(d->file, "", tap, false);
    int64_t *to =
        d->ints + (tap.kind == CORE_TAP_SLOT ? d->n_token * d->widest_ints : 0);
    memcpy(to, t->data, t->bytes);
    return to;
}

static core_status open_drawing(drawing *d)
{
    void *p = NULL;
    int64_t widest = 0;
    CORE_TRY(core_alloc(&p, d->n_tap, sizeof *d->tap, "the list of taps"));
    d->tap = p;
    core_taps(d->spec, d->tap, d->n_tap);
    for (int64_t i = 0; i < d->n_tap; i++) {
        const int64_t n = core_tap_cols(d->spec, d->tap[i]);
        widest = n > widest ? n : widest;
        if (core_tap_grid(d->tap[i].kind) == CORE_GRID_INT &&
            n > d->widest_ints)
            d->widest_ints = n;
    }
    CORE_TRY(core_alloc(&p, 3 * widest, sizeof(double), "rows"));
    d->expected = p;
    d->bound = d->expected + widest;
    d->error = d->bound + widest;
    CORE_TRY(core_alloc(&p, 2 * d->n_token * d->widest_ints, sizeof(int64_t),
                        "experts and slots"));
    d->ints = p;
    return CORE_OK;
}

/* One after the other: they share the rows and ints at hand. */
static core_status draw(drawing *d, ref_model *model, const core_batch *batch,
                        const core_groups *groups)
{
    memset(d->out, 0, (size_t)d->n_tap * sizeof *d->out);
    for (int run = 0; run < har_spread_draws(d->numerics); run++) {
        const core_tap_sink sink = {.self = d, .put = see};
        const ref_draw how = {.seed = SEED,
                              .run = (uint64_t)run,
                              .forcing = REF_TAP,
                              .values = honest_values,
                              .routing = honest_routing,
                              .self = d,
                              .stated = true};
        const ref_draws one = {&how, &sink, 1, 1};
        CORE_TRY(ref_forward_drawn(model, batch, groups, &one));
    }
    return CORE_OK;
}

core_status har_spread_make(har_precision *out, ref_model *model,
                            const core_spec *spec, core_numerics numerics,
                            const core_batch *batch, const core_groups *groups,
                            const core_tapfile *file)
{
    drawing d = {.spec = spec,
                 .file = file,
                 .numerics = numerics,
                 .n_token = batch->n_b * batch->n_t,
                 .n_tap = core_taps(spec, NULL, 0),
                 .out = out};
    core_status status = open_drawing(&d);
    if (status == CORE_OK)
        status = draw(&d, model, batch, groups);
    free(d.tap);
    free(d.expected);
    free(d.ints);
    return status;
}
