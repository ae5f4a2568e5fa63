/* ref/grad/back_router.c -- from the weights of chosen experts to the logits.
 *
 * p is the softmax of all logits, a weight p of the choice or that over the sum
 * s of the K.  Traps: a dropped choice has no gradient of its own, but its p is
 * in s; experts that were not chosen have a gradient by way of the softmax.
 */
#include "ref/grad/grad_impl.h"

/* dp [K] of the chosen p, from dw [K]. */
static void choices(const ref__back *b, const double *p, const double *idx,
                    const double *w, const double *dw, double *dp)
{
    const int64_t n_k = b->spec->n_k;
    double shared = 0.0, s = 0.0;
    for (int64_t k = 0; k < n_k; k++) {
        shared += dw[k] * w[k];
        s += p[(int64_t)idx[k]];
        dp[k] = dw[k];
    }
    if (!b->spec->renormalise)
        return;
    core_grad_store(b->numerics, &shared, 1);
    for (int64_t k = 0; k < n_k; k++)
        dp[k] = (dw[k] - shared) / s;
    core_grad_store(b->numerics, dp, n_k);
}

void ref__back_router(ref__back *b, int layer)
{
    const int64_t n_e = b->spec->n_e, n_k = b->spec->n_k;
    const core_grad of = core_grad_of_tap(CORE_TAP_ROUTER_LOGITS, layer);
    const double *probs = ref__taped(b, CORE_TAP_ROUTER_PROBS, layer);
    const double *weight = ref__taped(b, CORE_TAP_TOPK_WEIGHT, layer);
    const double *chosen = ref__taped(b, CORE_TAP_TOPK_IDX, layer);
    const double *dw = ref__grad_room(b, CORE_TAP_TOPK_WEIGHT, layer);
    double *dz = ref__grad_room(b, CORE_TAP_ROUTER_LOGITS, layer);
    double *dp = b->rows[0], most = 0.0;
    for (int64_t t = 0; t < b->n; t++) {
        const double *p = probs + t * n_e;
        const double *idx = chosen + t * n_k;
        double *dz_t = dz + t * n_e, mean = 0.0;
        choices(b, p, idx, weight + t * n_k, dw + t * n_k, dp);
        for (int64_t k = 0; k < n_k; k++)
            mean += p[(int64_t)idx[k]] * dp[k];
        core_grad_store(b->numerics, &mean, 1);
        for (int64_t e = 0; e < n_e; e++)
            dz_t[e] = -mean;
        for (int64_t k = 0; k < n_k; k++)
            dz_t[(int64_t)idx[k]] = dp[k] - mean;
        for (int64_t e = 0; e < n_e; e++)
            dz_t[e] *= p[e];
        most = ref__worse(most, core_largest(dp, n_k));
        most = ref__worse(most, core_largest(dw + t * n_k, n_k));
    }
    ref__sum sum = ref__no_sum();
    ref__more(b, &sum, (double)n_k * most, CORE_STEP_PROB * CORE_STEP_GRAD);
    ref__finish(b, &sum, of, dz, b->n * n_e);
}
