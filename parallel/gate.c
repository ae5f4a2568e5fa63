/* parallel/gate.c -- what a mixer gives, times a function of its gate.
 *
 * Element by element: placed as the gate is, nothing is exchanged.
 */
#include "parallel/forward_impl.h"

void par__gate(par_model *m, double *y, core_act act, const double *gate,
               const par_shard *made_by, core_tap tap)
{
    const int64_t n = m->now.n, n_col = made_by->n_row;
    par__cost_rows(m, tap, n, n_col, CORE_FLOPS_FUNCTION + CORE_FLOPS_SCALE)
        ->read += n * n_col;
    for (int64_t i = 0; i < n * n_col; i++)
        y[i] *= core_act_apply(act, gate[i]);
    par__tap_columns(m, tap, y, made_by->r0, n_col);
}
