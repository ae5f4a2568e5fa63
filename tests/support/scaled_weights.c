/* tests/support/scaled_weights.c -- a source of weights around another. */
#include "tests/support/scaled_weights.h"

#include "core/weights/weights_impl.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

typedef struct scaled {
    core_weights *inner;
    scaling by;
} scaled;

static void scaled_close(void *self)
{
    core_weights_close(((scaled *)self)->inner);
    free(self);
}

static double scaled_step(const void *self, const core_spec *spec,
                          core_weight id)
{
    const scaled *s = self;
    (void)spec;
    const int exponent =
        id.kind == s->by.kind ? s->by.exponent - s->by.finer : 0;
    return ldexp(core_weights_step(s->inner, id), exponent);
}

static void scaled_read(const void *self, const core_spec *spec, core_weight id,
                        int64_t r0, int64_t r1, int64_t c0, int64_t c1,
                        double *out, int64_t ld)
{
    const scaled *s = self;
    (void)spec;
    core_weights_read(s->inner, id, r0, r1, c0, c1, out, ld);
    if (id.kind != s->by.kind)
        return;
    for (int64_t r = 0; r < r1 - r0; r++)
        for (int64_t c = 0; c < c1 - c0; c++)
            out[r * ld + c] = ldexp(out[r * ld + c], s->by.exponent);
}

core_weights *scaled_weights_open(const core_spec *spec, scaling by)
{
    core_weights *weights = NULL;
    scaled *s = malloc(sizeof *s);
    ck_assert_ptr_nonnull(s);
    s->by = by;
    ck_assert_int_eq(core_weights_open_procedural(&s->inner, spec, 0), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(s->inner, CORE_EXACT, NULL), CORE_OK);
    if (by.multiplies) {
        weights = s->inner;
        free(s);
        return weights;
    }
    const core__weight_source source = {.self = s,
                                        .is_dyadic = true,
                                        .close = scaled_close,
                                        .step = scaled_step,
                                        .read = scaled_read};
    ck_assert_int_eq(core__weights_make(&weights, spec, source, "test"),
                     CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_EXACT, NULL), CORE_OK);
    return weights;
}
