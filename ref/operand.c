/* ref/operand.c -- what products read: rows, measured once for all of them, as
 * they are, rounded again, or quantised as engines do it.
 *
 * How a row is rounded is a matter of the run; how it is quantised, a property
 * of the weight, so that one tensor may be read in several formats: each
 * product reads a copy of its own, but for the inner activations of a network,
 * which nobody else reads.  A rounding the other way is a whole step of a code,
 * and rare where sums are good, but which elements are near a tie is known: in
 * draws they go to either code.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <string.h>

/* How far an honest value and a drawn one may be apart when products read them,
 * over the largest beside them: 16 roundoffs of floats.  Where a pass has
 * errors that are larger, its draws have them, too, and turn codes by
 * themselves.                                                                */
static const double HONEST_REACH = 0x1p-20;

void ref__reread(const ref__run *run, core_slot slot, double *x, int64_t n_row,
                 int64_t n_k)
{
    if (!core_rounds_again(run->numerics, slot))
        return;
    ref__store_in(run, slot, CORE_GRID_ACT, x, n_row * n_k);
    ref__turn_operand(run, slot, x, n_row, n_k);
}

ref__rows ref__measure(const ref__run *run, const double *v, int64_t n,
                       int64_t n_k)
{
    return ref__measure_as(run, CORE_SLOT_ACT, v, n, n_k);
}

ref__rows ref__measure_as(const ref__run *run, core_slot slot, const double *v,
                          int64_t n, int64_t n_k)
{
    if (core_rounds_again(run->numerics, slot)) {
        memcpy(run->operand, v, (size_t)(n * n_k) * sizeof *v);
        ref__reread(run, slot, run->operand, n, n_k);
        v = run->operand;
    }
    return ref__measure_in(run, v, n, n_k, run->row_norm);
}

ref__rows ref__measure_in(const ref__run *run, const double *v, int64_t n,
                          int64_t n_k, double *norm)
{
    enum { ROWS = 64 };
    double max_norm = 0.0;
    norm = run->bounds ? norm : NULL;
    if (run->exact || run->bounds) {
#pragma omp parallel for num_threads(run->n_threads) reduction(max : max_norm)
        for (int64_t i0 = 0; i0 < n; i0 += ROWS) {
            const int64_t n_i = i0 + ROWS < n ? ROWS : n - i0;
            if (run->exact) {
                max_norm = ref__worse(
                    max_norm, core_max_row_norm(v + i0 * n_k, n_i, n_k, n_k));
            }
            for (int64_t i = i0; norm != NULL && i < i0 + n_i; i++)
                norm[i] = sqrt(ref__sum_of_squares(v + i * n_k, n_k));
        }
    }
    return (ref__rows){v, n, n_k, max_norm, norm};
}

void ref__quantise(const ref__run *run, core_weight id, double *x,
                   int64_t n_row, int64_t n_k)
{
    const core_operand_format *format =
        core_weights_operand(run->model->weights, id);
    if (format == NULL)
        return;
    const bool turns = run->draw != NULL && !run->draw->stated;
    const core_operand_draw draw = {.reach = HONEST_REACH,
                                    .seed = turns ? run->draw->seed : 0,
                                    .stream = run->draw_stream};
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t i = 0; i < n_row; i++) {
        double *row = x + i * n_k;
        core_operand_quantise(format, run->numerics, core_largest(row, n_k),
                              row, n_k, turns ? &draw : NULL);
    }
}

ref__rows ref__read_by(const ref__run *run, const ref__rows *x,
                       core_weight_kind kind, int layer,
                       const ref__piece *piece, int64_t n_piece,
                       ref__room *room)
{
    bool any = false;
    for (int64_t i = 0; run->quantises && i < n_piece; i++)
        any = any || core_weights_operand(
                         run->model->weights,
                         (core_weight){kind, layer, piece[i].expert}) != NULL;
    if (!any)
        return *x;
    memcpy(room->v, x->v, (size_t)(x->n * x->n_k) * sizeof *x->v);
    for (int64_t i = 0; i < n_piece; i++)
        ref__quantise(run, (core_weight){kind, layer, piece[i].expert},
                      room->v + piece[i].first * x->n_k, piece[i].n, x->n_k);
    return ref__measure_in(run, room->v, x->n, x->n_k, room->norm);
}
