/* parallel/buffers.c -- what a buffer of a pass is: one of a step, or of a lane
 * that lasts; all are poisoned before they may be written.
 */
#include "parallel/forward_impl.h"

#include <string.h>

void *par__fresh(par_work *w, int64_t n, size_t elem_bytes)
{
    void *at = core_arena_take(&w->arena, n, elem_bytes);
    core_assert(w->n_fresh < PAR_MAX_FRESH);
    w->fresh[w->n_fresh++] =
        (par_grow){.at = at, .bytes = (size_t)n * elem_bytes};
    return at;
}

double *par__fresh_f64(par_work *w, int64_t n)
{
    return par__fresh(w, n, sizeof(double));
}

void par__lasting(par_work *w, void *field, int64_t n, size_t elem_bytes)
{
    const par_grow of_lane_0 = {
        .at = core_arena_take(&w->arena, w->n_lane * n, elem_bytes),
        .bytes = (size_t)n * elem_bytes};
    core_assert(w->n_lasting < PAR_MAX_LASTING);
    w->lasting[w->n_lasting++] =
        (par_lasting){.field = field, .of_lane_0 = of_lane_0};
    memcpy(field, &of_lane_0.at, sizeof of_lane_0.at);
}

void par__lasting_operand(par_work *w, double **field, int64_t n_col)
{
    w->n_in = par__max(w->n_in, n_col);
    par__lasting_result(w, field, n_col);
}

void par__lasting_result(par_work *w, double **field, int64_t n_col)
{
    w->n_out = par__max(w->n_out, n_col);
    par__lasting(w, field, w->n * n_col, sizeof **field);
}

static void *in_lane(const par_lasting *lasting, int lane)
{
    return (char *)lasting->of_lane_0.at +
           (size_t)lane * lasting->of_lane_0.bytes;
}

void par__work_take_lane(par_work *w, int lane)
{
    for (int i = 0; i < w->n_lasting; i++) {
        void *at = in_lane(&w->lasting[i], lane);
        memcpy(w->lasting[i].field, &at, sizeof at);
    }
}

void par__work_poison(const par_model *m, int lane)
{
    const par_work *w = &m->work;
    for (int i = 0; i < w->n_fresh; i++)
        par__poison(m, w->fresh[i].at, w->fresh[i].bytes);
    for (int i = 0; i < w->n_lasting; i++)
        par__poison(m, in_lane(&w->lasting[i], lane),
                    w->lasting[i].of_lane_0.bytes);
}

void *par__keep_buffers(par_work *w, const void *from, size_t bytes)
{
    void **to = w->kept + w->n_kept;
    w->n_kept += (int)(bytes / sizeof *to);
    core_assert(bytes % sizeof *to == 0 && w->n_kept <= PAR_MAX_KEPT);
    return memcpy(to, from, bytes);
}

double *par__operand(par_work *w, int64_t n_col)
{
    w->n_in = par__max(w->n_in, n_col);
    return par__result(w, n_col);
}

double *par__result(par_work *w, int64_t n_col)
{
    w->n_out = par__max(w->n_out, n_col);
    return par__fresh_f64(w, w->n * n_col);
}
