/* parallel/mlp.c -- the tensor-parallel MLP: a dense layer, or a shared expert.
 *
 * gate and up split by rows (inner columns), down by columns: what it leaves is
 * Partial over tp.  The row bias of down is added once, to the whole sum, and so
 * multiplies it what a shared expert's output is multiplied by.
 */
#include "parallel/forward_impl.h"

void par__activate(par_model *m, double *gate, double *up, int64_t n_row,
                   int64_t n_col, const int64_t *layer, core_tap tap)
{
    const int64_t n = n_row * n_col;
    par__cost_add_rows(m, n_row, n_col, CORE_FLOPS_FUNCTION);
    if (m->spec->gated) {
        m->cost.record.flops += CORE_FLOPS_SCALE * n;
        m->cost.record.read += n;
    }
#pragma omp parallel for num_threads(par__threads(m, n))
    for (int64_t r = 0; r < n_row; r++) {
        const int l = layer != NULL ? (int)layer[r] : tap.layer;
        const core_gating gating = core_spec_gating_in(
            m->spec, l, tap.kind == CORE_TAP_EXPERT_ACT);
        double *up_r = up + r * n_col;
        if (m->spec->gated)
            core_gated_row(gating, gate + r * n_col, up_r, up_r, n_col);
        else
            core_act_apply_row(gating.act, up_r, up_r, n_col);
    }
}

void par__mlp(par_model *m, const par_mlp *mlp, int l, double *out)
{
    par_work *w = &m->work;
    const int64_t n_d = m->spec->n_d, n = m->now.n, n_f = mlp->up.n_row;
    const core_tap tap = par__tap(CORE_TAP_MLP_OUT, l);
    par__enter(m, PAR_OP_MLP, tap);
    if (m->spec->gated)
        par__affine_columns(m, w->gate, w->xn, n_d, &mlp->gate,
                            par__tap(CORE_TAP_MLP_GATE, l));
    par__affine_columns(m, w->up, w->xn, n_d, &mlp->up,
                        par__tap(CORE_TAP_MLP_UP, l));
    const core_tap act_tap = par__tap(CORE_TAP_MLP_ACT, l);
    par__cost(m, CORE_COST_ELEMENTWISE, act_tap);
    par__activate(m, w->gate, w->up, n, n_f, NULL, act_tap);
    par__tap_columns(m, act_tap, w->up, mlp->up.r0, n_f);
    par__linear(m, out, n_d, w->up, n_f, n, &mlp->down, tap);
    par__leave_partial(m, out, mlp->down.bias, tap);
}
