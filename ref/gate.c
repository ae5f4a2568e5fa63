/* ref/gate.c -- a function of what a mixer made, or what it gives times the
 * function of its gate.
 */
#include "ref/ref_impl.h"

#include <string.h>

enum { PIECE = 256 }; /* elements whose values before are kept */

/* gate NULL: y := act(y). */
static void activate(const ref__run *run, const ref__drawn *drawn, core_act act,
                     const double *gate, double *y, float *bound, int64_t n)
{
    double before[PIECE];
    memcpy(before, y, (size_t)n * sizeof *y);
    if (run->draw != NULL) {
        ref__drawn_activate(drawn, (core_gating){.act = act}, gate, before, y,
                            n);
    } else {
        core_act_apply_row(act, gate != NULL ? gate : before, y, n);
        for (int64_t i = 0; gate != NULL && i < n; i++)
            y[i] *= before[i];
    }
    core_store(run->numerics, CORE_GRID_ACT, y, n);
    if (bound != NULL)
        ref__bound_act(run->u, bound, gate, before, y, n, act);
}

void ref__gate(ref__run *run, int layer, core_tap_kind kind, core_act act,
               const double *gate, double *y, int64_t n_col)
{
    float *bound = ref__bound_buffer(run, kind, layer);
    const ref__drawn drawn = ref__draw_operator(run, kind, layer);
    const int64_t n = run->n * n_col;
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t i = 0; i < n; i += PIECE)
        activate(run, &drawn, act, gate != NULL ? gate + i : NULL, y + i,
                 bound != NULL ? bound + i : NULL,
                 i + PIECE < n ? PIECE : n - i);
    ref__put(run, kind, layer, y, bound);
}
