/* parallel/grad/back_moe.c -- back through the weighted sum of a token's
 * experts.
 *
 * I do my slice of the tokens: what comes home of them, their weights and their
 * router.  The other ranks of the tensor group do theirs, so my part of xn's
 * gradient is zero outside the slice, and Partial over tp.
 */
#include "parallel/grad/grad_impl.h"

/* dw [slice, K]: the token's gradient times what its expert gave. */
static void weights(par__back *b, int layer, const double *dout, double *dw)
{
    const int64_t n_k = b->spec->n_k, n_d = b->spec->n_d;
    const int64_t n = (b->t1 - b->t0) * n_k;
    par__terms terms = {0};
    double most = 0.0;
    for (int64_t c = 0; c < n; c++) {
        const int64_t token = b->t0 + c / n_k;
        const double *g = dout + token * n_d;
        const double *y = par__tape_choice(b->tape, CORE_TAP_BACK, layer,
                                           (b->first + b->t0) * n_k + c);
        dw[c] = 0.0;
        if (y == NULL)
            continue; /* dropped */
        for (int64_t d = 0; d < n_d; d++)
            dw[c] += g[d] * y[d];
        const double norm = core_max_row_norm(g, 1, n_d, n_d) *
                            core_max_row_norm(y, 1, n_d, n_d);
        most = norm > most ? norm : most;
    }
    par__terms_add(&terms, most, CORE_STEP_GRAD * CORE_STEP_ACT);
    par__g_store(b, &terms, 1, core_grad_of_tap(CORE_TAP_TOPK_WEIGHT, layer),
                 dw, n);
}

void par__g_moe(par__back *b, int layer, const double *dout, double *dxn,
                par__terms *terms)
{
    const int64_t n_k = b->spec->n_k, n_d = b->spec->n_d, n = b->t1 - b->t0;
    par__param *router = par__param_of(b, CORE_W_ROUTER, layer, 0);
    const par__g_pair home = par__g_exchange(b, layer, true, dout);
    double *dw = par__g_room(b, PAR__G_WEIGHT, n * n_k);
    double *dz = par__g_room(b, PAR__G_DZ, n * b->spec->n_e);
    par__g_show_choices(b, CORE_TAP_RECV, layer, home.dx, home.choice, home.n,
                        0, n_d, 1, 0);
    for (int64_t i = 0; i < home.n; i++) {
        const int64_t token = home.choice[i] / n_k - b->first;
        for (int64_t d = 0; d < n_d; d++)
            dxn[token * n_d + d] += home.dx[i * n_d + d];
    }
    par__terms_add(terms, (double)n_k * core_largest(home.dx, home.n * n_d),
                   CORE_STEP_GRAD);
    weights(b, layer, dout, dw);
    par__g_show_slice(b, CORE_TAP_TOPK_WEIGHT, layer, dw);
    par__g_router(b, layer, dw, dz);
    par__g_show_slice(b, CORE_TAP_ROUTER_LOGITS, layer, dz);
    par__g_input(terms, router, dz, n, dxn + b->t0 * n_d);
    par__g_weight(b, router, dz,
                  par__g_tap(b, CORE_TAP_FFN_NORM, layer) + b->t0 * n_d, n);
}
