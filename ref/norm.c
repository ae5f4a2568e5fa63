/* ref/norm.c -- y_d = w_d * (x_d / sqrt(sum_d x_d^2 / D + eps)); in models that
 * say so 1 + w_d for w_d.
 *
 * The order of the five steps after the sum is part of the definition: the
 * quotient, plus eps, the root, the division, the product.  Only the sum
 * depends on an order, so only the sum has to be exact.  The same text norms a
 * token's residual stream, each head of a query by itself, all heads together,
 * or a part of a wider row; y may be x, so the sum is looked at first.
 */
#include "core/base/wide.h"
#include "ref/ref_impl.h"

#include <math.h>

double ref__sum_of_squares(const double *x, int64_t n)
{
    double s = 0.0;
    for (int64_t d = 0; d < n; d++)
        s += x[d] * x[d];
    return s;
}

/* The roundings of a norm beside those that every norm has. */
static double more_roundings(const ref__norm *norm)
{
    return (norm->plus ? 1.0 : 0.0) + (norm->over > 0.0 ? 2.0 : 0.0);
}

/* y = x / r, times w unless that is NULL; y may be x.                        */
CORE_WIDE static void scale_row(double *y, const double *x, const double *w,
                                int64_t n, double r)
{
    if (w == NULL) {
#pragma omp simd
        for (int64_t d = 0; d < n; d++)
            y[d] = x[d] / r;
    } else {
#pragma omp simd
        for (int64_t d = 0; d < n; d++)
            y[d] = w[d] * (x[d] / r);
    }
}

void ref__rmsnorm_row(double *y, const double *x, const double *w, int64_t n_d,
                      double n_sum, double eps)
{
    const double mean = ref__sum_of_squares(x, n_d) / n_sum;
    scale_row(y, x, w, n_d, sqrt(mean + eps));
}

void ref__clip(double *x, int64_t n, double clip)
{
    for (int64_t i = 0; clip > 0.0 && i < n; i++) {
        x[i] = x[i] > clip ? clip : x[i]; /* a NaN stays one */
        x[i] = x[i] < -clip ? -clip : x[i];
    }
}

bool ref__is_plus_one(const ref__run *run)
{
    return run->spec->norm == CORE_NORM_RMS_PLUS_ONE;
}

/* The weight of a norm [n]; NULL: it has none. */
static const double *weight_of(ref__run *run, int layer, const ref__norm *norm)
{
    const core_weight id = {norm->weight, layer, 0};
    if (norm->weight == CORE_W_NONE)
        return NULL;
    const double *w = ref__weight_rows(run->model, id, 0, 1, run->tile_scratch);
    for (int64_t d = 0; norm->plus && d < norm->n; d++)
        run->norm_weight[d] = 1.0 + w[d];
    return norm->plus ? run->norm_weight : w;
}

void ref__rmsnorm(ref__run *run, int layer, core_tap_kind kind,
                  const ref__norm *norm)
{
    const int64_t n = norm->n, width = norm->n_part * n;
    const double n_sum = norm->n_sum > 0.0 ? norm->n_sum : (double)n;
    const double step = norm->step > 0.0 ? norm->step : CORE_STEP_ACT;
    const ref__drawn drawn = ref__draw_operator(run, kind, layer);
    float *bound = ref__bound_buffer(run, kind, layer);
    const double *w = weight_of(run, layer, norm);
    double bits = 0.0;
#pragma omp parallel for num_threads(run->n_threads) reduction(max : bits)
    for (int64_t t = 0; t < run->n; t++) {
        const double *x_t = norm->x + t * norm->ld_x;
        double *y_t = norm->y + t * width;
        for (int64_t i = 0; i < width; i += n) {
            const double *w_i = norm->is_split ? w + i : w;
            if (run->exact)
                bits = fmax(bits, ref__bits(ref__sum_of_squares(x_t + i, n),
                                            step * step));
            if (run->draw != NULL)
                ref__drawn_rmsnorm(&drawn, y_t + i, x_t + i, w_i, n, n_sum,
                                   norm->eps);
            else
                ref__rmsnorm_row(y_t + i, x_t + i, w_i, n, n_sum, norm->eps);
        }
        for (int64_t i = 0; norm->over > 0.0 && i < width; i++)
            y_t[i] = run->draw != NULL
                         ? ref__drawn_quotient(&drawn, y_t[i], norm->over)
                         : y_t[i] / norm->over;
        ref__clip(y_t, width, norm->clip);
        core_store(run->numerics, core_tap_grid(kind), y_t, width);
        if (bound != NULL)
            ref__bound_norm(run->u, bound + t * width, y_t, width, n,
                            more_roundings(norm));
    }
    if (run->exact)
        ref__record_bits(run, kind, layer, bits);
    ref__put(run, kind, layer, norm->y, bound);
}

/* Of rows of D, as norms of the stream are. */
static ref__norm of_rows(const ref__run *run, core_weight_kind weight,
                         const double *x, double *y)
{
    const int64_t n_d = run->spec->n_d;
    return (ref__norm){.x = x,
                       .ld_x = n_d,
                       .y = y,
                       .n_part = 1,
                       .n = n_d,
                       .weight = weight,
                       .eps = run->spec->norm_eps,
                       .plus = ref__is_plus_one(run)};
}

void ref__norm_stream(ref__run *run, core_weight_kind weight,
                      core_weight_kind bias, int layer, core_tap_kind kind)
{
    const ref__norm norm = of_rows(run, weight, run->h, run->xn);
    if (run->spec->norm == CORE_NORM_LAYER)
        ref__layernorm(run, layer, kind, &norm, bias);
    else
        ref__rmsnorm(run, layer, kind, &norm);
}

void ref__norm_rows(ref__run *run, core_weight_kind weight, int layer,
                    core_tap_kind kind, const double *x, double *y)
{
    const ref__norm norm = of_rows(run, weight, x, y);
    ref__rmsnorm(run, layer, kind, &norm);
}
