/* core/elementary.h -- the non-linear functions: one definition for all.
 *
 * They act on complete, identical inputs, so sharing them hides no partition
 * bug; two libm variants would only raise false alarms.  Scalar libm, double.
 */
#ifndef CORE_ELEMENTARY_H
#define CORE_ELEMENTARY_H

#include "core/numerics.h"
#include "core/spec.h"

double core_act_apply(core_act act, double x);

/* y[i] = core_act_apply(act, x[i]) for n elements; y may be x.       [local] */
void core_act_apply_row(core_act act, const double *x, double *y, int64_t n);

/* cos and sin [n_t, Dh/2] of positions 0..n_t-1, attention factor included, in
 * the numerics of the run (exact: snapped to CORE_STEP_TABLE; fp32: every step
 * of the computation rounded to fp32, as the model families do; bf16: that
 * table rounded to bf16).                                            [local] */
void core_rope_table(const core_spec *spec, core_numerics numerics, int64_t n_t,
                     double *cos_tj, double *sin_tj);

#endif
