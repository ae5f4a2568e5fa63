/* harness/judge/other_yard.c -- see other_yard.h. */
#include "harness/judge/other_yard.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static core_status make_tensors(core_st_tensor **out, int64_t n)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, n, sizeof **out, "taps of another model"));
    memset(memory, 0, (size_t)n * sizeof **out);
    *out = memory;
    return CORE_OK;
}

/* The golden's, with room for what another model gives. */
static core_status make_room(har__other_yard *out, const har_yardstick *golden)
{
    int64_t n_row = 0;
    void *memory = NULL;
    memset(out, 0, sizeof *out);
    for (int64_t i = 0; i < golden->n_tap; i++)
        n_row += har_yardstick_rows(&golden->tap[i]);
    out->yard = *golden;
    CORE_TRY(core_alloc(&memory, golden->n_tap, sizeof *out->tap, "taps"));
    out->yard.tap = out->tap = memory;
    memcpy(out->tap, golden->tap, (size_t)golden->n_tap * sizeof *out->tap);
    CORE_TRY(make_tensors(&out->data, golden->n_tap));
    CORE_TRY(make_tensors(&out->tolerance, golden->n_tap));
    CORE_TRY(make_tensors(&out->rms, golden->n_tap));
    CORE_TRY(make_tensors(&out->margin, golden->spec.n_l));
    out->yard.margin = out->margin;
    CORE_TRY(core_alloc(&memory, 2 * n_row + 1, sizeof(float), "tolerances"));
    out->bound = memory;
    return CORE_OK;
}

/* The tolerances of a tap, for rows that may be larger than the golden's. */
static core_status widen(har_yard_tap *t, const double *values,
                         core_st_tensor *tolerance, core_st_tensor *rms,
                         float *bound)
{
    const int64_t n_row = har_yardstick_rows(t), n_col = t->extent.n_col;
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, n_col, sizeof(double), "a row"));
    double *row = memory;
    *tolerance = *t->tolerance;
    tolerance->data = bound;
    if (t->rms_tolerance != NULL) {
        *rms = *t->rms_tolerance;
        rms->data = bound + n_row;
    }
    for (int64_t r = 0; r < n_row; r++) {
        har_yardstick_row(t, r, row);
        const double was = core_largest(row, n_col);
        const double is = core_largest(values + r * n_col, n_col);
        const double times = was > 0.0 && is > was ? is / was : 1.0;
        bound[r] = (float)(times * har_yardstick_allowed(t, r));
        bound[n_row + r] = (float)(times * har_yardstick_allowed_rms(t, r));
    }
    free(row);
    t->tolerance = tolerance;
    t->rms_tolerance = t->rms_tolerance != NULL ? rms : NULL;
    return CORE_OK;
}

/* The router's logits of the layer of tap i, which stand before it; NULL. */
static const har_yard_tap *logits_before(const har__other_yard *y, int64_t i)
{
    const har_tapname *name = &y->tap[i].name;
    for (int64_t k = i - 1; k >= 0; k--) {
        const har_yard_tap *t = &y->tap[k];
        if (t->name.is_tap && t->name.tap.kind == CORE_TAP_ROUTER_LOGITS &&
            t->name.tap.layer == name->tap.layer && t->part == y->tap[i].part)
            return t;
    }
    return NULL;
}

/* A weight w that is a function of logits which may be off by d is off by up to
 * 2 w d, also where the golden's weight is always 1 and has no errors.       */
static void widen_weights(har__other_yard *y, int64_t i, const double *values,
                          float *bound)
{
    const har_yard_tap *t = &y->tap[i], *logits = logits_before(y, i);
    const int64_t n_row = har_yardstick_rows(t), n_col = t->extent.n_col;
    for (int64_t r = 0; logits != NULL && r < n_row; r++) {
        const double is = core_largest(values + r * n_col, n_col);
        const double least = 2.0 * is * har_yardstick_allowed(logits, r);
        bound[r] = (float)fmax(bound[r], least);
        bound[n_row + r] = (float)fmax(bound[n_row + r], least);
    }
}

/* Put the other model's values in the place of the golden's.  A tap that it
 * does not have, or another width of it, stays.                              */
static core_status fill_tap(har__other_yard *y, int64_t i,
                            const gold_other *other, float *bound)
{
    har_yard_tap *t = &y->tap[i];
    gold_other_tap from;
    if (!t->name.is_tap || !gold_other_find(&from, other, t->name.tap) ||
        from.n_row != har_yardstick_rows(t) || from.n_col != t->extent.n_col)
        return CORE_OK;
    core_st_tensor *data = &y->data[i];
    *data = *t->data;
    data->dtype = from.ints != NULL ? CORE_DTYPE_I64 : CORE_DTYPE_F64;
    data->data = from.ints != NULL ? (void *)from.ints : (void *)from.values;
    data->bytes = (size_t)data->n * sizeof(double);
    if (from.margin != NULL)
        y->margin[t->name.tap.layer] =
            (core_st_tensor){.name = data->name,
                             .dtype = CORE_DTYPE_F64,
                             .n = from.n_row,
                             .bytes = (size_t)from.n_row * sizeof(double),
                             .data = from.margin};
    if (from.values != NULL && t->tolerance != NULL)
        CORE_TRY(widen(t, from.values, &y->tolerance[i], &y->rms[i], bound));
    if (t->name.tap.kind == CORE_TAP_TOPK_WEIGHT && t->tolerance != NULL)
        widen_weights(y, i, from.values, bound);
    t->data = data;
    return CORE_OK;
}

core_status har__other_yard_make(har__other_yard *out,
                                 const har_yardstick *golden, int64_t n_tap,
                                 const gold_other *other)
{
    CORE_TRY(make_room(out, golden));
    float *bound = out->bound;
    out->yard.n_tap = n_tap;
    for (int64_t i = 0; i < n_tap; i++) {
        CORE_TRY(fill_tap(out, i, other, bound));
        bound += 2 * har_yardstick_rows(&out->tap[i]);
    }
    return CORE_OK;
}

void har__other_yard_free(har__other_yard *y)
{
    free(y->tap);
    free(y->data);
    free(y->tolerance);
    free(y->rms);
    free(y->margin);
    free(y->bound);
}
