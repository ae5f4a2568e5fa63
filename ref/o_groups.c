/* ref/o_groups.c -- groups of heads projected by themselves, side by side. */
#include "ref/ref_impl.h"

#include <string.h>

/* y [N, groups * n_r]; part: a group's columns of all tokens. */
static void project(ref__run *run, int layer, const double *context,
                    double *part, double *y)
{
    const core_o_groups *o = &run->spec->o_groups;
    const core_heads size = core_spec_heads(run->spec, layer);
    const int64_t width = size.n_h * size.n_dv, n_k = width / o->n;
    float *bound = ref__bound_buffer(run, CORE_TAP_O_A, layer);
    for (int64_t g = 0; g < o->n; g++) {
        for (int64_t t = 0; t < run->n; t++)
            memcpy(part + t * n_k, context + t * width + g * n_k,
                   (size_t)n_k * sizeof *part);
        const ref__rows x = ref__measure(run, part, run->n, n_k);
        ref__linear_rows(run, &x, (core_weight){CORE_W_O_A, layer, 0},
                         CORE_TAP_O_A, g * o->n_r, (g + 1) * o->n_r, y, bound);
    }
    ref__put(run, CORE_TAP_O_A, layer, y, bound);
}

double *ref__o_groups(ref__run *run, int layer, const double *context, bool dry)
{
    const core_o_groups *o = &run->spec->o_groups;
    const core_heads size = core_spec_heads(run->spec, layer);
    double *y = core_arena_f64(&run->arena, run->n * o->n * o->n_r);
    double *part =
        core_arena_f64(&run->arena, run->n * size.n_h * size.n_dv / o->n);
    if (!dry)
        project(run, layer, context, part, y);
    return y;
}
