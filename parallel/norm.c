/* parallel/norm.c -- RMS norm, replicated: x is whole on every rank.
 *
 * The statistic is over all D columns; nothing here is sharded, so nothing is
 * reduced.  The order of the operations is part of the definition.
 */
#include "parallel/forward_impl.h"

#include <math.h>

void par__norm(par_model *m, double *y, const double *x, const double *weight,
               core_tap tap)
{
    const int64_t n_d = m->spec->n_d;
    par__enter(m, PAR_OP_NORM, tap);
    double largest = 0.0;
    for (int64_t i = 0; i < m->now.n; i++) {
        const double *x_d = x + i * n_d;
        double sum = 0.0;
        for (int64_t d = 0; d < n_d; d++)
            sum += x_d[d] * x_d[d];
        const double r = sqrt(sum / (double)n_d + m->spec->norm_eps);
        for (int64_t d = 0; d < n_d; d++)
            y[i * n_d + d] = weight[d] * (x_d[d] / r);
        if (!(sum <= largest)) /* NaN counts as larger */
            largest = sum;
    }
    if (m->numerics == CORE_EXACT)
        par__check(m, tap, sqrt(largest), sqrt(largest), CORE_STEP_ACT,
                   CORE_STEP_ACT);
    par__tap_replicated(m, tap, y);
}
