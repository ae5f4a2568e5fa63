/* ref/norm.c -- y_d = w_d * (x_d / sqrt(sum_d x_d^2 / D + eps)).
 *
 * The order of the five steps after the sum is part of the definition: the
 * quotient, plus eps, the root, the division, the product.  Only the sum
 * depends on an order, so only the sum has to be exact.
 */
#include "ref/ref_impl.h"

#include <math.h>

static double sum_of_squares(const double *x, int64_t n)
{
    double s = 0.0;
    for (int64_t d = 0; d < n; d++)
        s += x[d] * x[d];
    return s;
}

void ref__rmsnorm_row(double *y, const double *x, const double *w, int64_t n_d,
                      double eps)
{
    const double mean = sum_of_squares(x, n_d) / (double)n_d;
    const double r = sqrt(mean + eps);
    for (int64_t d = 0; d < n_d; d++)
        y[d] = w[d] * (x[d] / r);
}

void ref__rmsnorm(ref__run *run, const double *x, core_weight_kind weight,
                  int layer, core_tap_kind kind, double *y)
{
    const int64_t n_d = run->spec->n_d;
    const core_weight id = {weight, layer, 0};
    float *bound = ref__bound_buffer(run, kind, layer);
    const double *w = ref__weight_rows(run->model, id, 0, 1, run->tile_scratch);
    double bits = 0.0;
#pragma omp parallel for num_threads(run->n_threads) reduction(max : bits)
    for (int64_t t = 0; t < run->n; t++) {
        double *y_t = y + t * n_d;
        const double *x_t = x + t * n_d;
        ref__rmsnorm_row(y_t, x_t, w, n_d, run->spec->norm_eps);
        core_store(run->numerics, CORE_GRID_ACT, y_t, n_d);
        if (run->exact)
            bits = fmax(bits, ref__bits(sum_of_squares(x_t, n_d),
                                        CORE_STEP_ACT * CORE_STEP_ACT));
        if (bound != NULL)
            ref__bound_norm(run->u_store, bound + t * n_d, y_t, n_d, n_d);
    }
    if (run->exact)
        ref__record_bits(run, kind, layer, bits);
    ref__put(run, kind, layer, y, bound);
}
