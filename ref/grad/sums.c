/* ref/grad/sums.c -- products of a gradient with a weight and with a value.
 *
 * Traps: the gradient of an input sums over the weight's rows, so exactness
 * asks for the norms of its columns; that of a weight sums over tokens.  A sum
 * of several products is a multiple of the finest of their steps.
 */
#include "ref/grad/grad_impl.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>

ref__sum ref__no_sum(void)
{
    return (ref__sum){.step = HUGE_VAL};
}

void ref__more(const ref__back *b, ref__sum *sum, double magnitude, double step)
{
    if (!b->exact)
        return;
    sum->magnitude += magnitude;
    sum->step = step < sum->step ? step : sum->step;
}

void ref__finish(const ref__back *b, const ref__sum *sum, core_grad of,
                 double *x, int64_t n)
{
    enum { DOUBLE_BITS = 53 };
    ref_stats *stats = b->stats;
    char name[CORE_GRAD_NAME_BYTES];
    core_grad_store(b->numerics, x, n);
    const double bits = b->exact ? ref__bits(sum->magnitude, sum->step) : 0.0;
    if (!(bits <= stats->bits))
        stats->bits = bits;
    if (bits <= DOUBLE_BITS || !stats->exact)
        return;
    stats->exact = false;
    snprintf(stats->not_exact, sizeof stats->not_exact,
             "%s: %.1f bits, %d allowed", core_grad_name(of, name), bits,
             DOUBLE_BITS);
}

double ref__column_norm(const double *x, int64_t n_row, int64_t n_col)
{
    double largest = 0.0;
    for (int64_t c = 0; c < n_col; c++) {
        double s = 0.0;
        for (int64_t i = 0; i < n_row; i++)
            s += x[i * n_col + c] * x[i * n_col + c];
        largest = ref__worse(largest, s);
    }
    return sqrt(largest);
}

void ref__back_input(ref__back *b, ref__sum *sum, core_weight id,
                     const double *dy, int64_t n, double *dx)
{
    int64_t n_out, n_in;
    core_weight_shape(b->spec, id, &n_out, &n_in);
    if (n == 0)
        return;
    core_weights_read(b->weights, id, 0, n_out, 0, n_in, b->w, n_in);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)n,
                (blasint)n_in, (blasint)n_out, 1.0, dy, (blasint)n_out, b->w,
                (blasint)n_in, 1.0, dx, (blasint)n_in);
    if (b->exact)
        ref__more(b, sum,
                  core_max_row_norm(dy, n, n_out, n_out) *
                      ref__column_norm(b->w, n_out, n_in),
                  CORE_STEP_GRAD * core_weights_step(b->weights, id));
}

static void add_bias(ref__back *b, core_weight weight, const double *dy,
                     int64_t n, int64_t n_out)
{
    const core_weight id = {core_weight_bias(weight.kind), weight.layer,
                            weight.expert};
    if (id.kind == CORE_W_NONE || !core_weight_exists(b->spec, id))
        return;
    double *db = ref__weight_room(b, id);
    ref__sum sum = ref__no_sum();
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < n_out; c++)
            db[c] += dy[i * n_out + c];
    if (b->exact)
        ref__more(b, &sum, ref__column_norm(dy, n, n_out) * sqrt((double)n),
                  CORE_STEP_GRAD);
    ref__finish(b, &sum, core_grad_of_weight(id), db, n_out);
}

void ref__back_weight(ref__back *b, ref__sum *sum, core_weight id,
                      const double *dy, const double *x, int64_t n)
{
    int64_t n_out, n_in;
    core_weight_shape(b->spec, id, &n_out, &n_in);
    add_bias(b, id, dy, n, n_out);
    if (n == 0)
        return;
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)n_out,
                (blasint)n_in, (blasint)n, 1.0, dy, (blasint)n_out, x,
                (blasint)n_in, 1.0, ref__weight_room(b, id), (blasint)n_in);
    if (b->exact)
        ref__more(b, sum,
                  ref__column_norm(dy, n, n_out) * ref__column_norm(x, n, n_in),
                  CORE_STEP_GRAD * CORE_STEP_ACT);
}

void ref__back_whole_weight(ref__back *b, core_weight id, const double *dy,
                            const double *x, int64_t n)
{
    int64_t n_out, n_in;
    ref__sum sum = ref__no_sum();
    core_weight_shape(b->spec, id, &n_out, &n_in);
    ref__back_weight(b, &sum, id, dy, x, n);
    ref__finish(b, &sum, core_grad_of_weight(id), ref__weight_room(b, id),
                n_out * n_in);
}
