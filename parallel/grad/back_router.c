/* parallel/grad/back_router.c -- from the weights of my slice's choices to the
 * router's logits.
 *
 * Every rank of the tensor group has its slice of the tokens, those that it
 * sent away: only it knows what came back.  A dropped choice brings nothing,
 * but where weights are renormalised its probability is part of the others'
 * sum.
 */
#include "parallel/grad/grad_impl.h"

#include <string.h>

/* dp [K] from dw [K], for weights w that are p over the sum of the K. */
static void through_sum(const double *dw, const double *w, double sum,
                        int64_t n_k, double *dp)
{
    double shared = 0.0;
    for (int64_t k = 0; k < n_k; k++)
        shared += w[k] * dw[k];
    core_grad_store(CORE_EXACT, &shared, 1);
    for (int64_t k = 0; k < n_k; k++)
        dp[k] = (dw[k] - shared) / sum;
    core_grad_store(CORE_EXACT, dp, n_k);
}

void par__g_router(par__back *b, int layer, const double *dw, double *dz)
{
    const int64_t n_e = b->spec->n_e, n_k = b->spec->n_k, n = b->t1 - b->t0;
    const double *probs =
        par__g_tap(b, CORE_TAP_ROUTER_PROBS, layer) + b->t0 * n_e;
    const double *chosen =
        par__g_tap(b, CORE_TAP_TOPK_IDX, layer) + b->t0 * n_k;
    const double *weight =
        par__g_tap(b, CORE_TAP_TOPK_WEIGHT, layer) + b->t0 * n_k;
    double *dp_e = par__g_room(b, PAR__G_DP, n_e + n_k), *dp = dp_e + n_e;
    par__terms terms = {0};
    double most = core_largest(dw, n * n_k);
    for (int64_t i = 0; i < n; i++) {
        const double *p = probs + i * n_e;
        double sum = 0.0, mean = 0.0;
        memcpy(dp, dw + i * n_k, (size_t)n_k * sizeof *dp);
        for (int64_t k = 0; k < n_k; k++)
            sum += p[(int64_t)chosen[i * n_k + k]];
        if (b->spec->renormalise)
            through_sum(dw + i * n_k, weight + i * n_k, sum, n_k, dp);
        memset(dp_e, 0, (size_t)n_e * sizeof *dp_e);
        for (int64_t k = 0; k < n_k; k++)
            dp_e[(int64_t)chosen[i * n_k + k]] = dp[k];
        for (int64_t e = 0; e < n_e; e++)
            mean += p[e] * dp_e[e];
        core_grad_store(CORE_EXACT, &mean, 1);
        for (int64_t e = 0; e < n_e; e++)
            dz[i * n_e + e] = p[e] * (dp_e[e] - mean);
        const double largest = core_largest(dp, n_k);
        most = largest > most ? largest : most;
    }
    par__terms_add(&terms, (double)n_k * most, CORE_STEP_PROB * CORE_STEP_GRAD);
    par__g_store(b, &terms, 1, core_grad_of_tap(CORE_TAP_ROUTER_LOGITS, layer),
                 dz, n * n_e);
}
