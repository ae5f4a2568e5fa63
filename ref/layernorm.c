/* ref/layernorm.c -- y_d = w_d * ((x_d - mean) / sqrt(var + eps)) + b_d.
 *
 * Mean and variance come from the two sums s1 = sum x, s2 = sum x^2 alone, as
 * var = (D s2 - s1^2) / D^2, 0 where rounding makes it less: with deviations
 * from a rounded mean instead, the sum would be of numbers that lie on no grid.
 * D s2 is the largest of the three (Cauchy-Schwarz), so where it is exact all of
 * them are.
 */
#include "ref/ref_impl.h"

#include <math.h>

typedef struct moments {
    double mean, r; /* r = sqrt(var + eps)                                    */
    double total;   /* D s2                                                   */
} moments;

static moments measure(const double *x, int64_t n, double eps, bool centres)
{
    double s1 = 0.0, s2 = 0.0;
    for (int64_t d = 0; d < n; d++) {
        s1 += centres ? x[d] : 0.0;
        s2 += x[d] * x[d];
    }
    const double n_d = (double)n;
    const double var = (n_d * s2 - s1 * s1) / (n_d * n_d);
    return (moments){s1 / n_d, sqrt(fmax(var, 0.0) + eps), n_d * s2};
}

static void apply(double *y, const double *x, const double *w, const double *b,
                  int64_t n, moments m)
{
    for (int64_t d = 0; d < n; d++)
        y[d] = w[d] * ((x[d] - m.mean) / m.r) + b[d];
}

void ref__layernorm_row(double *y, const double *x, const double *w,
                        const double *b, int64_t n_d, double eps)
{
    apply(y, x, w, b, n_d, measure(x, n_d, eps, true));
}

void ref__layernorm(ref__run *run, int layer, core_tap_kind kind,
                    const ref__norm *norm, core_weight_kind bias)
{
    const int64_t n_d = norm->n;
    const double eps = norm->eps;
    const ref__drawn drawn = ref__draw_operator(run, kind, layer);
    float *bound = ref__bound_buffer(run, kind, layer);
    const double *w = ref__weight_rows(
        run->model, (core_weight){norm->weight, layer, 0}, 0, 1,
        run->tile_scratch);
    const double *b =
        ref__weight_rows(run->model, (core_weight){bias, layer, 0}, 0, 1,
                         run->tile_scratch + run->tile_stride / 2);
    const bool centres = run->model->options.otherwise != REF_MEAN_KEPT;
    double bits = 0.0;
#pragma omp parallel for num_threads(run->n_threads) reduction(max : bits)
    for (int64_t t = 0; t < run->n; t++) {
        const double *x_t = norm->x + t * norm->ld_x;
        double *y_t = norm->y + t * n_d;
        const moments m = measure(x_t, n_d, eps, centres);
        if (run->draw != NULL)
            ref__drawn_layernorm(&drawn, y_t, x_t, w, b, n_d, eps);
        else
            apply(y_t, x_t, w, b, n_d, m);
        core_store(run->numerics, CORE_GRID_ACT, y_t, n_d);
        if (run->exact)
            bits =
                fmax(bits, ref__bits(m.total, CORE_STEP_ACT * CORE_STEP_ACT));
        if (bound != NULL)
            ref__bound_layernorm(run->u, bound + t * n_d, x_t, y_t, w, n_d,
                                 m.mean, m.r, eps);
    }
    if (run->exact)
        ref__record_bits(run, kind, layer, bits);
    ref__put(run, kind, layer, norm->y, bound);
}
