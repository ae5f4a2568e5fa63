/* parallel/context_gate.c -- attention's context times sigmoid(xn . g).
 *
 * Shard(head): the gate's rows are those of my heads, the scores meet the
 * context that the same rank made.
 */
#include "parallel/forward_impl.h"

par_shard par__context_gate_make(par_model *m, int l)
{
    const par_heads *mine = par__heads_of(m, l);
    const int64_t of_head = m->spec->gate_per_head ? 1 : mine->all.n_dv;
    return par__rows(m, CORE_W_CONTEXT_GATE, l, mine->h0 * of_head,
                     (mine->h0 + mine->n_h) * of_head);
}

void par__context_gate(par_model *m, const par_shard *gate, int l)
{
    par_work *w = &m->work;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n_dv = mine->all.n_dv;
    const int64_t n = m->now.n, n_score = gate->n_row;
    const int64_t of_head = m->spec->gate_per_head ? 1 : n_dv;
    const int64_t n_col = mine->n_h * n_dv;
    const core_tap score = par__tap(CORE_TAP_CONTEXT_SCORE, l);
    const core_tap gated = par__tap(CORE_TAP_CONTEXT_GATED, l);
    par__affine(m, w->context_gate, w->xn, m->spec->n_d, gate,
                par__tap(CORE_TAP_CONTEXT_GATE, l));
    par__tap_heads(m, par__tap(CORE_TAP_CONTEXT_GATE, l), w->context_gate,
                   of_head);
    par__cost_rows(m, score, n, n_score, CORE_FLOPS_FUNCTION);
    for (int64_t i = 0; i < n * n_score; i++)
        w->context_gate[i] = core_sigmoid(w->context_gate[i]);
    par__tap_heads(m, score, w->context_gate, of_head);
    par__cost_rows(m, gated, n, n_col, CORE_FLOPS_SCALE)->read += n * n_score;
    for (int64_t i = 0; i < n * n_col; i++)
        w->context[i] *= w->context_gate[i * of_head / n_dv];
    par__tap_heads(m, gated, w->context, n_dv);
}
