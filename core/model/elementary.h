/* core/model/elementary.h -- the non-linear functions: one definition for all.
 *
 * They act on complete, identical inputs, so sharing them hides no partition
 * bug; two libm variants would only raise false alarms.  Scalar libm, double.
 */
#ifndef CORE_ELEMENTARY_H
#define CORE_ELEMENTARY_H

#include "core/model/spec.h"
#include "core/numbers/numerics.h"

double core_act_apply(core_act act, double x);

/* Its derivative, of SILU and GELU.                                  [local] */
double core_act_slope(core_act act, double x);

/* y[i] = core_act_apply(act, x[i]) for n elements; y may be x.       [local] */
void core_act_apply_row(core_act act, const double *x, double *y, int64_t n);

/* The inner activation of a gated network: act(gate) * up, or
 * (up' + 1) * gate' * sigmoid(alpha gate') with gate' = min(gate, limit) and
 * up' = clamp(up, -limit, limit) for CORE_ACT_CLAMPED_SWIGLU, silu(gate') * up'
 * for CORE_ACT_CLAMPED_SILU; alpha tanh(gate / alpha) sigmoid(gate) * limit
 * tanh(up / limit) for CORE_ACT_SITU.  With most > 0:
 * min(act(gate), most) * clamp(up, -most, most).                     [local] */
double core_gated(core_gating gating, double gate, double up);

/* y[i] = core_gated(gating, gate[i], up[i]) for n elements; y may be up.
 *                                                                    [local] */
void core_gated_row(core_gating gating, const double *gate, const double *up,
                    double *y, int64_t n);

/* Is it a gated form of its own, with a limit?                       [local] */
bool core_act_is_clamped(core_act act);

/* A score of one logit alone (SIGMOID, SQRT_SOFTPLUS), and how steep it is at
 * most.                                                              [local] */
double core_router_score(core_router router, double logit);
double core_router_steepest(core_router router);

double core_sigmoid(double z);  /* 1 / (1 + exp(-z))                          */
double core_capped(double z, double cap); /* cap * tanh(z / cap); cap 0: z    */
double core_softplus(double z); /* log1p(exp(z)), z itself above 20           */
/* softplus(z) within limits; most 0: none above.                             */
double core_time_step(double z, double least, double most);

/* What is left of a channel's state after a step: exp(-exp(a_log) * dt).     */
double core_decay(double a_log, double dt);

/* The same where nothing decays faster than exp(floor): the time step
 * sigmoid(exp(a_log) * z), and exp(floor * dt).                              */
double core_bounded_step(double a_log, double z);
double core_bounded_decay(double floor, double dt);

/* Temperature of the query at position t:
 * 1 + temper_scale * log1p(floor((t+1) / temper_floor)).                     */
double core_temper(const core_spec *spec, int64_t t);

/* cos and sin [n_t, Dr/2] of positions 0..n_t-1, attention factor included, in
 * the numerics of the run (exact: snapped to CORE_STEP_TABLE; fp32: every step
 * of the computation rounded to fp32, as the model families do; bf16: that
 * table rounded to bf16).                                            [local] */
void core_rope_table(const core_heads *heads, core_numerics numerics,
                     int64_t n_t, double *cos_tj, double *sin_tj);

#endif
