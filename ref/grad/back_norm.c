/* ref/grad/back_norm.c -- through y_d = w_d (x_d / r), r = sqrt(sum x^2 / D +
 * eps).
 *
 * Traps: w dy and x / r are stored before they are multiplied again, or three
 * factors would not fit; the weight's gradient sums over tokens, the input's
 * over columns.
 */
#include "ref/grad/grad_impl.h"

#include <math.h>

/* u = w dy, and x / r; both stored; r is returned. */
static double prepare(const ref__back *b, const double *w, const double *x,
                      const double *dy, double *u, double *xhat)
{
    const int64_t n_d = b->spec->n_d;
    const double r =
        sqrt(ref__sum_of_squares(x, n_d) / (double)n_d + b->spec->norm_eps);
    for (int64_t d = 0; d < n_d; d++) {
        u[d] = w[d] * dy[d];
        xhat[d] = x[d] / r;
    }
    core_grad_store(b->numerics, u, n_d);
    core_store(b->numerics, CORE_GRID_ACT, xhat, n_d);
    return r;
}

void ref__back_norm(ref__back *b, core_weight weight, core_grad of,
                    const double *x, const double *dy, const double *carry,
                    double *dx)
{
    const int64_t n_d = b->spec->n_d;
    double *dw = ref__weight_room(b, weight);
    double *u = b->rows[0], *xhat = b->rows[1]; /* [N, D] */
    ref__sum of_w = ref__no_sum();
    double bits_a = 0.0;
    core_weights_read(b->weights, weight, 0, 1, 0, n_d, b->w, n_d);
    for (int64_t t = 0; t < b->n; t++) {
        const double *x_t = x + t * n_d, *dy_t = dy + t * n_d;
        double *u_t = u + t * n_d, *xhat_t = xhat + t * n_d;
        const double r = prepare(b, b->w, x_t, dy_t, u_t, xhat_t);
        double a = 0.0;
        for (int64_t d = 0; d < n_d; d++)
            a += u_t[d] * x_t[d];
        const double share = a / ((double)n_d * (r * r));
        for (int64_t d = 0; d < n_d; d++) {
            const double through = (u_t[d] - x_t[d] * share) / r;
            dx[t * n_d + d] =
                carry != NULL ? carry[t * n_d + d] + through : through;
            dw[d] += dy_t[d] * xhat_t[d];
        }
        bits_a = ref__worse(bits_a, sqrt(ref__sum_of_squares(u_t, n_d) *
                                         ref__sum_of_squares(x_t, n_d)));
    }
    ref__sum sum = ref__no_sum();
    ref__more(b, &sum, bits_a, CORE_STEP_GRAD * CORE_STEP_ACT);
    ref__finish(b, &sum, of, dx, b->n * n_d);
    if (b->exact)
        ref__more(b, &of_w,
                  ref__column_norm(dy, b->n, n_d) *
                      ref__column_norm(xhat, b->n, n_d),
                  CORE_STEP_GRAD * CORE_STEP_ACT);
    ref__finish(b, &of_w, core_grad_of_weight(weight), dw, n_d);
}
