/* ref/context_sum.c -- a context whose sum is stored after each key.
 *
 * As kernels do that never hold a row of scores: what there is belongs to the
 * largest score so far, and a larger one scales it.  Order is all: the keys'.
 *
 * What another side may have instead of y is within `error` of it.  Storing
 * does not add to that, it is monotonic: what is stored of anything between y -
 * error and y + error lies between what is stored of these two, which mostly is
 * what is stored of y.  So the error goes back to nothing wherever no middle of
 * two numbers is near, and to a unit where one is.
 */
#include "ref/ref_impl.h"

#include <math.h>

static void store(core_numerics ctx, double *y, double *error, int64_t n)
{
    if (error == NULL) {
        core_store(ctx, CORE_GRID_ACT, y, n);
        return;
    }
    double *least = error + n, *most = least + n;
    for (int64_t c = 0; c < n; c++) {
        least[c] = y[c] - error[c];
        most[c] = y[c] + error[c];
    }
    core_store(ctx, CORE_GRID_ACT, least, n);
    core_store(ctx, CORE_GRID_ACT, most, n);
    core_store(ctx, CORE_GRID_ACT, y, n);
    for (int64_t c = 0; c < n; c++)
        error[c] = fmax(most[c] - y[c], y[c] - least[c]);
}

static void scale(ref__sum_stores how, double down, double *y, double *error,
                  int64_t n)
{
    for (int64_t c = 0; c < n; c++)
        y[c] *= down;
    for (int64_t c = 0; error != NULL && c < n; c++)
        error[c] = (1.0 + how.share) * (error[c] * down) +
                   (how.share + how.u) * fabs(y[c]);
    store(how.ctx, y, error, n);
}

static void add(ref__sum_stores how, double weight, const double *v, double *y,
                double *error, int64_t n)
{
    for (int64_t c = 0; c < n; c++)
        y[c] += weight * v[c];
    for (int64_t c = 0; error != NULL && c < n; c++)
        error[c] = (1.0 + how.u) * error[c] +
                   (how.share + how.u) * fabs(weight * v[c]) +
                   how.u * fabs(y[c]);
    store(how.ctx, y, error, n);
}

void ref__stored_sum(ref__sum_stores how, const double *p, int64_t ld_p,
                     int64_t n_key, const double *v, int64_t ld_v, int64_t n,
                     double *y, double *error)
{
    double largest = 0.0;
    for (int64_t c = 0; c < n; c++)
        y[c] = 0.0;
    for (int64_t c = 0; error != NULL && c < n; c++)
        error[c] = 0.0;
    for (int64_t j = 0; j < n_key; j++) {
        const double p_j = p[j * ld_p];
        if (p_j > largest) {
            scale(how, largest / p_j, y, error, n);
            largest = p_j;
        }
        if (p_j > 0.0)
            add(how, p_j / largest, v + j * ld_v, y, error, n);
    }
    for (int64_t c = 0; c < n; c++)
        y[c] *= largest;
    for (int64_t c = 0; error != NULL && c < n; c++)
        error[c] *= largest;
}
