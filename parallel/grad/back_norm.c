/* parallel/grad/back_norm.c -- back through an RMS norm of whole rows: repeated
 * on every rank of the tensor group, on the sum that is whole by then.
 *
 * The weight's gradient is a sum over my tokens, the same on all of them.
 */
#include "parallel/grad/grad_impl.h"

#include <math.h>

/* Two factors that are multiplied again: each is stored. */
static void factors(const par__back *b, const par__param *w, const double *x,
                    const double *dy, double r, double *u, double *xhat)
{
    const int64_t n_d = b->spec->n_d;
    for (int64_t d = 0; d < n_d; d++) {
        xhat[d] = x[d] / r;
        u[d] = dy[d] * w->w[d];
    }
    core_store(CORE_EXACT, CORE_GRID_ACT, xhat, n_d);
    core_grad_store(CORE_EXACT, u, n_d);
}

void par__g_norm(par__back *b, core_weight_kind weight, core_grad of,
                 const double *x, const double *dy, const double *carry,
                 double *y)
{
    const int64_t n_d = b->spec->n_d, n = b->n;
    const core_weight_scope scope = core_weight_scope_of(weight);
    par__param *w = par__param_of(
        b, weight, scope == CORE_SCOPE_ONCE ? 0 : of.tap.layer, 0);
    double *u = par__g_room(b, PAR__G_U, n_d);
    double *xhat = par__g_room(b, PAR__G_XHAT, n * n_d);
    par__terms terms = {0};
    double most = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double *x_i = x + i * n_d;
        double squares = 0.0, along = 0.0;
        for (int64_t d = 0; d < n_d; d++)
            squares += x_i[d] * x_i[d];
        const double r = sqrt(squares / (double)n_d + b->spec->norm_eps);
        factors(b, w, x_i, dy + i * n_d, r, u, xhat + i * n_d);
        for (int64_t d = 0; d < n_d; d++)
            along += u[d] * x_i[d];
        const double share = along / ((double)n_d * (r * r));
        for (int64_t d = 0; d < n_d; d++) {
            const double through = (u[d] - x_i[d] * share) / r;
            y[i * n_d + d] =
                carry != NULL ? carry[i * n_d + d] + through : through;
            w->g[d] += dy[i * n_d + d] * xhat[i * n_d + d];
        }
        const double norm = core_max_row_norm(u, 1, n_d, n_d) * sqrt(squares);
        most = norm >= most || isnan(norm) ? norm : most;
    }
    par__terms_add(&terms, most, CORE_STEP_GRAD * CORE_STEP_ACT);
    par__g_store(b, &terms, 1, of, y, n * n_d);
    par__terms_add(&w->terms,
                   par__g_column_norm(dy, n, n_d) *
                       par__g_column_norm(xhat, n, n_d),
                   CORE_STEP_GRAD * CORE_STEP_ACT);
}
