/* ref/gate.c -- what a mixer gives, times a function of its gate. */
#include "ref/ref_impl.h"

void ref__gate(ref__run *run, int layer, core_tap_kind kind, core_act act,
               const double *gate, double *y, int64_t n_col)
{
    const core_gating gating = {.act = act};
    float *bound = ref__bound_buffer(run, kind, layer);
    const ref__drawn drawn = ref__draw_operator(run, kind, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++)
        for (int64_t i = t * n_col; i < (t + 1) * n_col; i++) {
            const double before = y[i];
            if (run->draw != NULL)
                ref__drawn_activate(&drawn, gating, gate + i, &before, y + i,
                                    1);
            else
                y[i] = before * core_act_apply(act, gate[i]);
            core_store(run->numerics, CORE_GRID_ACT, y + i, 1);
            if (bound != NULL)
                ref__bound_act(run->u, bound + i, gate + i, &before, y + i, 1,
                               act);
        }
    ref__put(run, kind, layer, y, bound);
}
