/* parallel/norm.c -- norms over whole rows, of the tokens whose stream I have.
 *
 * The statistic is over all columns of a row; no row is sharded, so nothing is
 * reduced (qk_norm.c has the norm that is).  The order of the
 * operations is part of the definition.  A layernorm's variance is
 * (D S2 - S1^2) / D^2: exact as long as D S2 is, because S1^2 is never larger.
 */
#include "parallel/forward_impl.h"

#include <math.h>

#pragma omp declare reduction(worse:double : omp_out = par__worse(             \
                                  omp_out, omp_in)) initializer(omp_priv = 0.0)

void par__rms_apply(double *y, const double *x, const double *weight,
                    int64_t n_col, double sum, double n_sum, double eps)
{
    const double r = sqrt(sum / n_sum + eps);
    for (int64_t d = 0; d < n_col; d++)
        y[d] = x[d] / r;
    for (int64_t d = 0; weight != NULL && d < n_col; d++)
        y[d] *= weight[d];
}

void par__check_squares(par_model *m, core_tap tap, double largest)
{
    if (m->numerics == CORE_EXACT)
        par__check(m, tap, sqrt(largest), sqrt(largest), CORE_STEP_ACT,
                   CORE_STEP_ACT);
}

double par__sum_of_squares(const double *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t d = 0; d < n; d++)
        sum += x[d] * x[d];
    return sum;
}

void par__rms_rows(par_model *m, double *y, int64_t ldy, const double *x,
                   int64_t ldx, int64_t n_row, int64_t n_col,
                   const double *weight, double eps, core_tap tap)
{
    double largest = 0.0;
    core_cost *cost =
        par__cost_rows(m, tap, n_row, n_col,
                       CORE_FLOPS_SQUARES + CORE_FLOPS_SCALE +
                           (weight != NULL ? CORE_FLOPS_SCALE : 0));
    cost->weights = weight != NULL && n_row > 0 ? n_col : 0;
#pragma omp parallel for num_threads(par__threads(m, n_row * n_col))            \
    reduction(worse : largest)
    for (int64_t i = 0; i < n_row; i++) {
        const double sum = par__sum_of_squares(x + i * ldx, n_col);
        par__rms_apply(y + i * ldy, x + i * ldx, weight, n_col, sum,
                       (double)n_col, eps);
        largest = par__worse(largest, sum);
    }
    par__check_squares(m, tap, largest);
}

void par__layer_rows(par_model *m, double *y, const double *x, int64_t n_row,
                     int64_t n_d, const par_norm *norm, double eps,
                     core_tap tap)
{
    const double width = (double)n_d;
    double largest = 0.0;
    par__cost_rows(m, tap, n_row, n_d, CORE_FLOPS_LAYERNORM)->weights =
        n_row > 0 ? 2 * n_d : 0;
#pragma omp parallel for num_threads(par__threads(m, n_row * n_d))              \
    reduction(worse : largest)
    for (int64_t i = 0; i < n_row; i++) {
        const double *x_d = x + i * n_d;
        double s1 = 0.0;
        for (int64_t d = 0; d < n_d; d++)
            s1 += x_d[d];
        const double s2 = par__sum_of_squares(x_d, n_d);
        const double var = (width * s2 - s1 * s1) / (width * width);
        const double mean = s1 / width, r = sqrt(fmax(var, 0.0) + eps);
        for (int64_t d = 0; d < n_d; d++)
            y[i * n_d + d] =
                norm->weight[d] * ((x_d[d] - mean) / r) + norm->bias[d];
        largest = par__worse(largest, width * s2);
    }
    par__check_squares(m, tap, largest);
}

static void norm_rows(par_model *m, double *y, const double *x,
                      const par_norm *norm, core_tap tap)
{
    const int64_t n_d = m->spec->n_d;
    par__enter(m, PAR_OP_NORM, tap);
    if (m->spec->norm == CORE_NORM_LAYER)
        par__layer_rows(m, y, x, m->now.n_s, n_d, norm, m->spec->norm_eps, tap);
    else
        par__rms_rows(m, y, n_d, x, n_d, m->now.n_s, n_d, norm->weight,
                      m->spec->norm_eps, tap);
}

void par__norm(par_model *m, double *y, const double *x, const par_norm *norm,
               core_tap tap)
{
    norm_rows(m, y, x, norm, tap);
    par__tap_stream(m, tap, y);
}

void par__norm_all(par_model *m, const double *x, const par_norm *norm,
                   core_tap tap)
{
    double *xn = m->work.xn;
    norm_rows(m, par__mine(m, xn), x, norm, tap);
    par__gather_stream(m, xn, m->spec->n_d, tap);
    par__tap_replicated(m, tap, xn);
}
