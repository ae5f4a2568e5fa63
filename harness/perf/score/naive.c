/* harness/perf/score/naive.c -- the rule of thumb that a model has to beat.
 *
 * 70 % of the peak or 80 % of the memory's bandwidth, whichever takes longer,
 * and 4 us; transfers at 80 % of the link; a step of training at half of the
 * peak.
 */
#include "harness/perf/score/table.h"

#include <math.h>

static const double PEAK = 0.7, BANDWIDTH = 0.8, START = 4e-6, STEP = 0.5;
enum { VOCABULARY = 51200 };

static double roofline(const har_machine *m, core_dtype dtype, double flop,
                       double values)
{
    const double peak =
        m->peak[dtype] > 0 ? m->peak[dtype] : m->peak[CORE_DTYPE_F32];
    const double bytes = values * (double)core_dtype_bytes(dtype);
    return fmax(flop / (PEAK * peak), bytes / (BANDWIDTH * m->memory_bw)) +
           START;
}

static double moe(const har_machine *m, core_dtype dtype, const har_moe *x)
{
    const double rows = x->n_token * x->n_k / x->ep;
    const double expert = x->n_matrix * x->n_d * x->n_f;
    const double read = fmin((double)x->n_expert / x->ep, rows);
    return roofline(m, dtype, 2 * rows * expert, fmax(1, read) * expert);
}

static double attention(const har_machine *m, const har_op_shape *s)
{
    const har_attention *a = &s->as.attention;
    const double keys = a->window > 0 ? fmin(a->window, a->n_t) : a->n_t;
    const double head = a->n_row * a->n_dh;
    if (s->is_decode)
        return roofline(m, s->dtype, 4 * head * a->n_h * keys,
                        2 * head * a->n_g * keys);
    const double seen = a->window > 0 ? keys : a->n_t / 2;
    return roofline(m, s->dtype, 4 * head * a->n_h * a->n_t * seen,
                    2 * head * a->n_t * (a->n_h + a->n_g));
}

static double transfer(const har_machine *m, const har_op_shape *s)
{
    const har_exchange *x = &s->as.exchange;
    const int n = s->is_exchange ? x->n_gpu : s->as.collective.n;
    const int reach = s->is_exchange ? x->n_gpu : s->as.collective.n_gpu;
    const bool twice =
        !s->is_exchange && s->as.collective.kind == HAR_ALL_REDUCE;
    const double bytes = s->is_exchange
                             ? x->n_token * x->n_d * x->value_bytes * x->n_k
                             : s->as.collective.bytes;
    const double share = (twice ? 2.0 : 1.0) * (n - 1) / n;
    return bytes * share / (BANDWIDTH * m->link[har_tier(m, reach)].bw) + START;
}

/* With recompute: forward twice, backward of twice the work. */
static double training(const har_machine *m, const har_training *s)
{
    const double d = s->n_d, tokens = (double)s->batch * s->n_t;
    const double layer = 12 * d * d + (double)s->n_t * d;
    const double flop = tokens * (8 * s->n_l * layer + 6 * VOCABULARY * d);
    return flop / (STEP * m->peak[CORE_DTYPE_F16] * s->n_gpu);
}

/* Each pass by itself; a GPU has a share of the weights. */
static double gpt(const har_machine *m, const har_gpt *g)
{
    const double d = g->n_d, weights = 12 * d * d * g->n_l / g->tp;
    const double of_key = 2 * d * g->n_l / g->tp;
    const double keys = g->batch * (g->input + g->output / 2.0) * of_key;
    const double flop = 2 * weights * g->batch;
    return roofline(m, CORE_DTYPE_F16, flop * g->input, weights) +
           (g->output - 1) *
               roofline(m, CORE_DTYPE_F16, flop, weights + keys);
}

double har_naive_time(const har_machine *machine, const har_op_shape *shape)
{
    const double *x = shape->as.gemm;
    switch (shape->kind) {
    case HAR_GEMM:
        return roofline(machine, shape->dtype, 2 * x[0] * x[1] * x[2],
                        x[0] * x[2] + x[2] * x[1] + x[0] * x[1]);
    case HAR_MOE:
        return moe(machine, shape->dtype, &shape->as.moe);
    case HAR_ATTENTION:
        return attention(machine, shape);
    case HAR_COLLECTIVE:
        return transfer(machine, shape);
    default:
        if (shape->is_gpt)
            return gpt(machine, &shape->as.gpt);
        return training(machine, &shape->as.training);
    }
}
