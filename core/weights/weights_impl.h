/* core/weights/weights_impl.h -- private to weights*.c: what a source of weights is.
 *
 * A source returns the values it has; the object around it applies the
 * numerics.  Values of an `is_dyadic` source lie on their grid already (11
 * bits), so nothing is ever rounded.
 */
#ifndef CORE_WEIGHTS_IMPL_H
#define CORE_WEIGHTS_IMPL_H

#include "core/weights/quantiser.h"

enum { CORE_ORIGIN_BYTES = 384 };

typedef struct core__weight_source {
    void *self; /* owned                                                      */
    bool is_dyadic;
    void (*close)(void *self);
    /* The step of the whole tensor in exact mode: may scan it.  0 if it holds
     * something that is not finite.                                          */
    double (*step)(const void *self, const core_spec *spec, core_weight id);
    /* As core_weights_block; NULL: all values are plain.                     */
    core_block (*block)(const void *self, const core_spec *spec,
                        core_weight id);
    /* As core_weights_operand; NULL: operands are as they are.               */
    const core_operand_format *(*operand)(const void *self,
                                          const core_spec *spec,
                                          core_weight id);
    /* As core_weights_read, never called with CORE_W_HEAD of a tied model.   */
    void (*read)(const void *self, const core_spec *spec, core_weight id,
                 int64_t r0, int64_t r1, int64_t c0, int64_t c1, double *out,
                 int64_t ld);
    /* As core_weights_multiplies and core_weights_multiply in exact numerics;
     * NULL: never.  rect: r0, r1, c0, c1.                                    */
    bool (*multiplies)(core_weight id);
    double (*multiply)(const void *self, const core_spec *spec, core_weight id,
                       const int64_t rect[4], const double *x, int64_t ldx,
                       int64_t n, double *y, int64_t ldy);
} core__weight_source;

/* Take over `source` (closed if this fails).                         [local] */
CORE_NODISCARD core_status core__weights_make(core_weights **out,
                                              const core_spec *spec,
                                              core__weight_source source,
                                              const char *origin);

/* quantiser.c: put a quantiser before `source`, which it then owns.  Errors:
 * those of core_weights_quantise; *source unchanged.                 [local] */
CORE_NODISCARD core_status core__quantise_source(core__weight_source *source,
                                                 const core_spec *spec,
                                                 const core_quantiser *rule);

/* The model that the weights belong to; borrowed.                    [local] */
const core_spec *core__weights_spec(const core_weights *weights);
/* The numerics that they are prepared for.                           [local] */
core_numerics core__weights_numerics(const core_weights *weights);

/* The step that gives a tensor of this largest magnitude CORE_WEIGHT_BITS; 0
 * if it is not finite.                                                       */
double core__weight_grid(double max_magnitude);

#endif
