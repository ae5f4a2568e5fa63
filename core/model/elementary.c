/* core/model/elementary.c -- activations, gates and the RoPE tables.
 *
 * Both passes call these, so the text follows ref/MODEL.md to the letter: a
 * division stays a division.  The table is the delicate part: model families
 * compute it in fp32 from the first power on, and at position 4000 the angle
 * has lost seven bits by then, so the fp32 table is not the fp64 table rounded
 * once.  `rounded` is applied after every operation for that reason.  In bf16
 * they do the same in fp32 and round the finished table.
 */
#include "core/model/elementary.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

static inline double apply(core_act act, double x)
{
    switch (act) {
    case CORE_ACT_SILU:
        return x / (1.0 + exp(-x));
    case CORE_ACT_GELU:
        return 0.5 * x * (1.0 + erf(x / sqrt(2.0)));
    case CORE_ACT_GELU_TANH:
        return 0.5 * x *
               (1.0 + tanh(sqrt(2.0 / PI) * (x + 0.044715 * (x * x * x))));
    case CORE_ACT_RELU2:
        return x > 0.0 || x != x ? x * x : 0.0;
    case CORE_ACT_SIGMOID:
        return core_sigmoid(x);
    case CORE_ACT_RELU:
    case CORE_ACT_CLAMPED_SWIGLU: /* exist as core_gated only */
    case CORE_ACT_CLAMPED_SILU:
    case CORE_ACT_SITU:
        break;
    }
    return x > 0.0 || x != x ? x : 0.0;
}

bool core_act_is_clamped(core_act act)
{
    return act == CORE_ACT_CLAMPED_SWIGLU || act == CORE_ACT_CLAMPED_SILU ||
           act == CORE_ACT_SITU;
}

double core_act_apply(core_act act, double x)
{
    return apply(act, x);
}

double core_act_slope(core_act act, double x)
{
    const double s = core_sigmoid(x);
    core_assert(act == CORE_ACT_SILU || act == CORE_ACT_GELU);
    if (act == CORE_ACT_SILU)
        return s * (1.0 + x * (1.0 - s));
    return 0.5 * (1.0 + erf(x / sqrt(2.0))) +
           x * (exp(-0.5 * (x * x)) / sqrt(2.0 * PI));
}

void core_act_apply_row(core_act act, const double *x, double *y, int64_t n)
{
    if (act == CORE_ACT_SILU) /* a loop of its own: no switch per element */
        for (int64_t i = 0; i < n; i++)
            y[i] = apply(CORE_ACT_SILU, x[i]);
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = apply(act, x[i]);
}

double core_sigmoid(double z)
{
    return 1.0 / (1.0 + exp(-z));
}

double core_capped(double z, double cap)
{
    return cap > 0.0 ? cap * tanh(z / cap) : z;
}

double core_softplus(double z)
{
    return z > 20.0 ? z : log1p(exp(z));
}

double core_time_step(double z, double least, double most)
{
    const double dt = core_softplus(z);
    if (most > 0.0 && dt > most)
        return most;
    return dt < least ? least : dt;
}

/* Comparisons that keep a NaN. */
static double at_most(double x, double most)
{
    return x > most ? most : x;
}

double core_gated(core_gating gating, double gate, double up)
{
    if (gating.most > 0.0)
        return at_most(apply(gating.act, gate), gating.most) *
               -at_most(-at_most(up, gating.most), gating.most);
    if (!core_act_is_clamped(gating.act))
        return apply(gating.act, gate) * up;
    if (gating.act == CORE_ACT_SITU)
        return gating.alpha * tanh(gate / gating.alpha) * core_sigmoid(gate) *
               (gating.limit * tanh(up / gating.limit));
    const double g = at_most(gate, gating.limit);
    const double u = -at_most(-at_most(up, gating.limit), gating.limit);
    if (gating.act == CORE_ACT_CLAMPED_SILU)
        return apply(CORE_ACT_SILU, g) * u;
    return (u + 1.0) * (g * core_sigmoid(gating.alpha * g));
}

void core_gated_row(core_gating gating, const double *gate, const double *up,
                    double *y, int64_t n)
{
    if (gating.act == CORE_ACT_SILU && !(gating.most > 0.0))
        for (int64_t i = 0; i < n; i++) /* as in core_act_apply_row */
            y[i] = apply(CORE_ACT_SILU, gate[i]) * up[i];
    else
        for (int64_t i = 0; i < n; i++)
            y[i] = core_gated(gating, gate[i], up[i]);
}

double core_router_score(core_router router, double logit)
{
    return router == CORE_ROUTER_SQRT_SOFTPLUS ? sqrt(core_softplus(logit))
                                               : core_sigmoid(logit);
}

/* Of the root, sigmoid(z) / (2 sqrt(softplus(z))): 0.3190 near z = 0.9. */
double core_router_steepest(core_router router)
{
    return router == CORE_ROUTER_SQRT_SOFTPLUS ? 0.3191 : 0.25;
}

double core_decay(double a_log, double dt)
{
    return exp(-exp(a_log) * dt);
}

double core_bounded_step(double a_log, double z)
{
    return core_sigmoid(exp(a_log) * z);
}

double core_bounded_decay(double floor, double dt)
{
    return exp(floor * dt);
}

double core_temper(const core_spec *spec, int64_t t)
{
    return 1.0 + spec->temper_scale *
                     log1p(floor((double)(t + 1) / spec->temper_floor));
}

static double rounded(core_numerics numerics, double x)
{
    return core_uses_floats(numerics) ? (double)(float)x : x;
}

/* Where in the table a wave makes r turns over the original positions. */
static double correction(const core_heads *heads, double r)
{
    const core_rope *rope = &heads->rope;
    return (double)heads->n_rot *
           log(rope->original_positions / (r * 2.0 * PI)) /
           (2.0 * log(rope->theta));
}

/* The part of yarn's interpolation in frequency j, 0 (keep) to 1 (scale). */
static double yarn_ramp(const core_heads *heads, core_numerics numerics,
                        int64_t j)
{
    double low = correction(heads, heads->rope.beta_fast);
    double high = correction(heads, heads->rope.beta_slow);
    if (heads->rope.truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, (double)(heads->n_rot - 1));
    if (low == high)
        high += 0.001;
    const double distance = rounded(numerics, (double)j - low);
    const double ramp =
        rounded(numerics, distance / rounded(numerics, high - low));
    return fmin(fmax(ramp, 0.0), 1.0);
}

/* llama3: long waves are scaled, short ones kept, those between mixed. */
static double llama3_frequency(const core_rope *rope, core_numerics numerics,
                               double inverse)
{
    const double wave = rounded(numerics, 2.0 * PI / inverse);
    const double original = rope->original_positions;
    if (wave < original / rope->high_freq)
        return inverse;
    const double slow = rounded(numerics, inverse / rope->factor);
    if (wave >= original / rope->low_freq) /* no mixture if the two are equal */
        return slow;
    const double smooth =
        rounded(numerics, rounded(numerics, rounded(numerics, original / wave) -
                                                rope->low_freq) /
                              (rope->high_freq - rope->low_freq));
    const double mixed =
        rounded(numerics, rounded(numerics, 1.0 - smooth) * slow);
    return rounded(numerics, mixed + rounded(numerics, smooth * inverse));
}

static double inverse_frequency(const core_heads *heads, core_numerics numerics,
                                int64_t j)
{
    const core_rope *rope = &heads->rope;
    if (rope->n_turned > 0 && j >= rope->n_turned)
        return 0.0;
    const double exponent =
        rounded(numerics, (double)(2 * j) / (double)heads->n_rot);
    const double wave = rounded(numerics, pow(rope->theta, exponent));
    const double inverse = rounded(numerics, 1.0 / wave);
    if (rope->scaling == CORE_ROPE_LINEAR)
        return rounded(numerics, inverse / rope->factor);
    if (rope->scaling == CORE_ROPE_YARN) {
        const double ramp = yarn_ramp(heads, numerics, j);
        const double keep = rounded(numerics, 1.0 - ramp);
        const double slow =
            rounded(numerics, 1.0 / rounded(numerics, rope->factor * wave));
        return rounded(numerics, rounded(numerics, slow * ramp) +
                                     rounded(numerics, inverse * keep));
    }
    if (rope->scaling == CORE_ROPE_LLAMA3)
        return llama3_frequency(rope, numerics, inverse);
    return inverse;
}

void core_rope_table(const core_heads *heads, core_numerics numerics,
                     int64_t n_t, double *cos_tj, double *sin_tj)
{
    const int64_t n_j = heads->n_rot / 2;
    const double factor = rounded(numerics, heads->rope.attention_factor);
    for (int64_t j = 0; j < n_j; j++) {
        const double inverse = inverse_frequency(heads, numerics, j);
        for (int64_t t = 0; t < n_t; t++) {
            const double angle = rounded(numerics, (double)t * inverse);
            cos_tj[t * n_j + j] =
                rounded(numerics, rounded(numerics, cos(angle)) * factor);
            sin_tj[t * n_j + j] =
                rounded(numerics, rounded(numerics, sin(angle)) * factor);
        }
    }
    if (numerics == CORE_EXACT) {
        core_snap(cos_tj, n_t * n_j, CORE_STEP_TABLE);
        core_snap(sin_tj, n_t * n_j, CORE_STEP_TABLE);
    } else {
        core_store(numerics, CORE_GRID_ACT, cos_tj, n_t * n_j);
        core_store(numerics, CORE_GRID_ACT, sin_tj, n_t * n_j);
    }
}
