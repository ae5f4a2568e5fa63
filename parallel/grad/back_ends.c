/* parallel/grad/back_ends.c -- the loss and the head, and the table of
 * embeddings.
 *
 * Every rank of the tensor group has the loss's weights of its own vocabulary;
 * what they give to the final norm is Partial over tp.  A tied table has two
 * owners where there are stages: reduce.c adds up what the two found.
 */
#include "parallel/grad/grad_impl.h"

void par__g_head(par__back *b, double *dx)
{
    const core_spec *s = b->spec;
    const int last = (int)s->n_l - 1;
    const int64_t n_d = s->n_d, n = b->n;
    const core_grad of = core_grad_of_tap(CORE_TAP_FINAL_NORM, 0);
    par__param *table =
        par__param_of(b, s->tied ? CORE_W_EMBED : CORE_W_HEAD, 0, 0);
    const int64_t n_v = table->n_row;
    double *dlogits = par__g_room(b, PAR__G_LOGITS, n * n_v);
    double *dy = par__g_zeros(b, PAR__G_FFN_NORM, n * n_d);
    par__terms terms = {0};
    for (int64_t i = 0; i < n; i++)
        for (int64_t v = 0; v < n_v; v++)
            dlogits[i * n_v + v] =
                core_grad_loss(s, b->seed, b->first + i, table->r0 + v);
    par__g_input(&terms, table, dlogits, n, dy);
    par__g_all_reduce(b, &b->layout->tp_group, PAR_GRAD_TP, dy, n * n_d);
    par__g_store(b, &terms, b->layout->plan.tp, of, dy, n * n_d);
    par__g_show_whole(b, CORE_TAP_FINAL_NORM, 0, dy);
    par__g_weight(b, table, dlogits, par__g_tap(b, CORE_TAP_FINAL_NORM, 0), n);
    par__g_norm(b, CORE_W_FINAL_NORM, core_grad_of_tap(CORE_TAP_OUT, last),
                par__g_tap(b, CORE_TAP_OUT, last), dy, NULL, dx);
}

void par__g_embed(par__back *b, const double *dx)
{
    const int64_t n_d = b->spec->n_d;
    par__param *table = par__param_of(b, CORE_W_EMBED, 0, 0);
    for (int64_t i = 0; i < b->n; i++) {
        const int64_t row = b->batch->ids[b->first + i] - table->r0;
        for (int64_t d = 0; row >= 0 && row < table->n_row && d < n_d; d++)
            table->g[row * n_d + d] += dx[i * n_d + d];
    }
    par__terms_add(&table->terms, (double)b->n * core_largest(dx, b->n * n_d),
                   CORE_STEP_GRAD);
}
