/* parallel/scores.c -- what a token's router logits are worth.
 *
 * Two questions: the score of every expert, where the router has one (softmax,
 * sigmoid), and the weights of the K chosen.  Replicated over tp: every rank
 * asks them of the same logits.  A weight never looks at the correction bias,
 * at groups or at capacity: those only choose, or drop.
 */
#include "parallel/forward_impl.h"

#include <math.h>

static double stored_exp(const par_model *m, double x)
{
    double e = exp(x);
    core_store(m->numerics, CORE_GRID_EXP, &e, 1);
    return e;
}

/* Softmax over the chosen alone; idx[0] has the largest logit. */
static void weigh_top(const par_model *m, const double *logits,
                      const int64_t *idx, double *weight)
{
    const int64_t n_k = m->spec->n_k;
    double sum = 0.0;
    for (int64_t j = 0; j < n_k; j++) {
        weight[j] = stored_exp(m, logits[idx[j]] - logits[idx[0]]);
        sum += weight[j];
    }
    for (int64_t j = 0; j < n_k; j++)
        weight[j] /= sum;
}

/* The softmax at expert `at`, over the experts other than `without` that are
 * near it: dropped where the ratio exceeds 2 jitter, so that 0/0 keeps.      */
static double near_softmax(const par_model *m, const double *logits, int64_t at,
                           int64_t without)
{
    const double top = logits[at];
    double sum = 0.0;
    for (int64_t e = 0; e < m->spec->n_e; e++) {
        const double ratio = (top - logits[e]) / fmax(fabs(logits[e]), top);
        if (e != without && !(ratio > 2.0 * m->spec->jitter))
            sum += stored_exp(m, logits[e] - top);
    }
    return 1.0 / sum;
}

static void weigh_by_score(const core_spec *spec, const double *p,
                           const int64_t *idx, double *weight)
{
    double sum = 0.0;
    for (int64_t j = 0; j < spec->n_k; j++) {
        weight[j] = p[idx[j]];
        sum += weight[j];
    }
    sum += core_spec_sum_eps(spec);
    sum = fmax(sum, spec->sum_floor);
    if (spec->renormalise)
        for (int64_t j = 0; j < spec->n_k; j++)
            weight[j] /= sum;
}

void par__weigh(const par_model *m, const double *logits, const double *p,
                const int64_t *idx, const double *expert_scale, double *weight)
{
    const core_spec *spec = m->spec;
    switch (spec->router) {
    case CORE_ROUTER_SOFTMAX:
    case CORE_ROUTER_SIGMOID:
    case CORE_ROUTER_SQRT_SOFTPLUS:
        weigh_by_score(spec, p, idx, weight);
        break;
    case CORE_ROUTER_SOFTMAX_TOP:
        weigh_top(m, logits, idx, weight);
        break;
    case CORE_ROUTER_SPARSEMIXER:
        weight[0] = near_softmax(m, logits, idx[0], -1);
        weight[1] = near_softmax(m, logits, idx[1], idx[0]);
        break;
    }
    for (int64_t j = 0; j < spec->n_k; j++)
        weight[j] *= spec->routed_scale;
    if (expert_scale != NULL)
        for (int64_t j = 0; j < spec->n_k; j++)
            weight[j] *= expert_scale[idx[j]];
}
