/* ref/router_scores.c -- a token's experts and weights from its router logits.
 *
 * Five ways to make scores of logits; which experts are eligible at all; the K
 * largest; their weights.  Traps: ties go to the lowest index, among groups
 * too; a correction bias chooses and does not weigh; an ineligible expert's
 * score is -infinity, because a corrected score may be negative; a weight is
 * stored once, after everything that divides or scales it.
 */
#include "ref/ref_impl.h"

#include <math.h>

void ref__softmax(core_numerics numerics, double *p, const double *logits,
                  int64_t n)
{
    for (int64_t e = 0; e < n; e++)
        p[e] = logits[e];
    (void)ref__softmax_row(numerics, p, 0, n, NULL, 1.0, -HUGE_VAL);
}

/* Of equal numbers the last, or the first. */
static void largest(int64_t *idx, const double *p, int64_t n, int64_t k,
                    bool last)
{
    for (int64_t i = 0; i < k; i++) {
        int64_t best = -1;
        for (int64_t e = 0; e < n; e++) {
            bool taken = false;
            for (int64_t j = 0; j < i; j++)
                taken = taken || idx[j] == e;
            if (!taken && (best < 0 || p[e] > p[best] ||
                           (last && p[e] == p[best])))
                best = e;
        }
        idx[i] = best;
    }
}

void ref__top_k(int64_t *idx, const double *p, int64_t n, int64_t k)
{
    largest(idx, p, n, k, false);
}

void ref__top_k_last(int64_t *idx, const double *p, int64_t n, int64_t k)
{
    largest(idx, p, n, k, true);
}

/* Of n scores, the largest or the sum of the two largest. */
static double group_score(core_group_score how, const double *score, int64_t n)
{
    int64_t best[2];
    ref__top_k(best, score, n, how == CORE_GROUP_SCORE_MAX ? 1 : 2);
    return how == CORE_GROUP_SCORE_MAX ? score[best[0]]
                                       : score[best[0]] + score[best[1]];
}

void ref__eligible(const core_spec *spec, const double *p,
                   const double *correction, double *score, int64_t *kept)
{
    const int64_t n_group = spec->n_group;
    for (int64_t e = 0; e < spec->n_e; e++)
        score[e] = correction != NULL ? p[e] + correction[e] : p[e];
    if (n_group == 0)
        return;
    const int64_t size = spec->n_e / n_group;
    double *of_group = score + spec->n_e;
    for (int64_t g = 0; g < n_group; g++)
        of_group[g] = group_score(spec->group_score, score + g * size, size);
    ref__top_k(kept, of_group, n_group, spec->n_group_kept);
    for (int64_t g = 0; g < n_group; g++) {
        bool is_kept = false;
        for (int64_t i = 0; i < spec->n_group_kept; i++)
            is_kept = is_kept || kept[i] == g;
        for (int64_t e = g * size; !is_kept && e < (g + 1) * size; e++)
            score[e] = -HUGE_VAL;
    }
}

/* Weights of the chosen from their probabilities, not yet scaled. */
static void weights_from(const core_spec *spec, const double *p,
                         const int64_t *idx, double *w)
{
    double sum = 0.0;
    for (int64_t k = 0; k < spec->n_k; k++) {
        w[k] = p[idx[k]];
        sum += w[k];
    }
    sum += core_spec_sum_eps(spec);
    if (sum < spec->sum_floor)
        sum = spec->sum_floor;
    for (int64_t k = 0; spec->renormalise && k < spec->n_k; k++)
        w[k] /= sum;
}

/* w = softmax over the K largest logits, not yet stored. */
static void softmax_of_chosen(const core_spec *spec, core_numerics numerics,
                              const double *logits, const int64_t *idx,
                              double *w)
{
    double sum = 0.0;
    for (int64_t k = 0; k < spec->n_k; k++)
        w[k] = exp(logits[idx[k]] - logits[idx[0]]);
    core_store(numerics, CORE_GRID_EXP, w, spec->n_k);
    for (int64_t k = 0; k < spec->n_k; k++)
        sum += w[k];
    for (int64_t k = 0; k < spec->n_k; k++)
        w[k] /= sum;
}

static int64_t largest_but(const core_spec *spec, const double *logits,
                           int64_t without)
{
    int64_t best = -1;
    for (int64_t j = 0; j < spec->n_e; j++)
        if (j != without && (best < 0 || logits[j] > logits[best]))
            best = j;
    return best;
}

/* 1 / sum of exp(l_j - m) over the j != without that lie close to m, the logit
 * of the chosen one.  A ratio 0 / 0 is close.                                */
static double sparse_weight(const core_spec *spec, core_numerics numerics,
                            const double *logits, int64_t without,
                            int64_t chosen)
{
    const double m = logits[chosen];
    double sum = 0.0;
    for (int64_t j = 0; j < spec->n_e; j++) {
        const double ratio = (m - logits[j]) / fmax(fabs(logits[j]), m);
        if (j == without || ratio > 2.0 * spec->jitter)
            continue;
        double e = exp(logits[j] - m);
        core_store(numerics, CORE_GRID_EXP, &e, 1);
        sum += e;
    }
    return 1.0 / sum;
}

void ref__route_scores(const core_spec *spec, core_numerics numerics,
                       const double *logits, double *p)
{
    if (spec->router == CORE_ROUTER_SOFTMAX) {
        ref__softmax(numerics, p, logits, spec->n_e);
        return;
    }
    for (int64_t e = 0; e < spec->n_e; e++)
        p[e] = core_router_score(spec->router, logits[e]);
    core_store(numerics, CORE_GRID_PROB, p, spec->n_e);
}

void ref__route_choose(const core_spec *spec, const double *logits,
                       const double *p, const double *correction, int64_t *idx,
                       double *score, int64_t *kept)
{
    switch (spec->router) {
    case CORE_ROUTER_SOFTMAX:
    case CORE_ROUTER_SIGMOID:
    case CORE_ROUTER_SQRT_SOFTPLUS:
        ref__eligible(spec, p, correction, score, kept);
        ref__top_k(idx, score, spec->n_e, spec->n_k);
        break;
    case CORE_ROUTER_SOFTMAX_TOP:
        ref__top_k(idx, logits, spec->n_e, spec->n_k);
        break;
    case CORE_ROUTER_SPARSEMIXER:
        idx[0] = largest_but(spec, logits, -1);
        idx[1] = largest_but(spec, logits, idx[0]);
        break;
    }
}

void ref__route_weigh(const core_spec *spec, core_numerics numerics,
                      const double *logits, const double *p, const int64_t *idx,
                      const double *expert_scale, double *w)
{
    switch (spec->router) {
    case CORE_ROUTER_SOFTMAX:
    case CORE_ROUTER_SIGMOID:
    case CORE_ROUTER_SQRT_SOFTPLUS:
        weights_from(spec, p, idx, w);
        break;
    case CORE_ROUTER_SOFTMAX_TOP:
        softmax_of_chosen(spec, numerics, logits, idx, w);
        break;
    case CORE_ROUTER_SPARSEMIXER:
        w[0] = sparse_weight(spec, numerics, logits, -1, idx[0]);
        w[1] = sparse_weight(spec, numerics, logits, idx[0], idx[1]);
        break;
    }
    for (int64_t k = 0; k < spec->n_k; k++)
        w[k] *= spec->routed_scale;
    for (int64_t k = 0; expert_scale != NULL && k < spec->n_k; k++)
        w[k] *= expert_scale[idx[k]];
    core_store(numerics, CORE_GRID_PROB, w, spec->n_k);
}

/* Smallest of the chosen minus the largest of the rejected, of n scores. */
static double gap(const double *score, int64_t n, const int64_t *chosen,
                  int64_t n_chosen)
{
    double last = HUGE_VAL, first = -HUGE_VAL;
    for (int64_t i = 0; i < n; i++) {
        bool is_chosen = false;
        for (int64_t k = 0; k < n_chosen; k++)
            is_chosen = is_chosen || chosen[k] == i;
        if (is_chosen)
            last = fmin(last, score[i]);
        else
            first = fmax(first, score[i]);
    }
    return last - first;
}

double ref_routing_margin(const core_spec *spec, const double *row,
                          const double *correction, const int64_t *idx,
                          double *score, int64_t *kept)
{
    ref__eligible(spec, row, correction, score, kept);
    const double experts = gap(score, spec->n_e, idx, spec->n_k);
    if (spec->n_group == 0)
        return experts;
    return fmin(experts, gap(score + spec->n_e, spec->n_group, kept,
                             spec->n_group_kept));
}
