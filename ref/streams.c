/* ref/streams.c -- what all connections do with the streams of a token.
 *
 * A token's x [Dx] are streams of D, one after the other; a part reads a
 * weighted sum of them, whose terms are added from the first stream on.  Where
 * the weights come from, and what becomes of the streams, is the connection's
 * business, a file each.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

double ref__add_term(const ref__run *run, const ref__drawn *drawn, double w,
                     const double *x, double *y, double *sum_abs)
{
    const int64_t n_d = run->spec->n_d;
    double most = 0.0;
    if (run->draw != NULL) {
        ref__drawn_multiply_add(drawn, y, x, w, n_d);
        return 0.0;
    }
    for (int64_t d = 0; d < n_d; d++) {
        const double term = w * x[d], magnitude = fabs(term);
        y[d] += term;
        most = magnitude <= most ? most : magnitude; /* keeps a NaN */
        if (sum_abs != NULL)
            sum_abs[d] += magnitude;
    }
    return most;
}

void ref__finish_sum(const ref__run *run, core_tap_kind kind, double *y,
                     const double *sum_abs, int64_t n_term, float *bound)
{
    const int64_t n_d = run->spec->n_d;
    const ref__roundoff u = ref__u(run, kind);
    core_store(core_tap_numerics(run->numerics, kind), CORE_GRID_ACT, y, n_d);
    for (int64_t d = 0; bound != NULL && d < n_d; d++)
        ref__bound_sum(u, bound + d, sum_abs[d], y[d], n_term, 0.0);
}

/* room [D]: for magnitudes.  The sum of the terms' largest magnitudes. */
static double read_token(const ref__run *run, const ref__drawn *drawn,
                         core_tap_kind kind, int64_t n, const double *w,
                         int64_t t, double *room, float *bound)
{
    const int64_t n_d = run->spec->n_d;
    const double *x = run->x + t * core_spec_n_x(run->spec);
    double *h = run->h + t * n_d, *sum_abs = NULL, sum = 0.0;
    memset(h, 0, (size_t)n_d * sizeof *h);
    if (bound != NULL)
        sum_abs = memset(room, 0, (size_t)n_d * sizeof *room);
    for (int64_t j = 0; j < n; j++)
        sum += ref__add_term(run, drawn, w[j], x + j * n_d, h, sum_abs);
    ref__finish_sum(run, kind, h, sum_abs, n,
                    bound != NULL ? bound + t * n_d : NULL);
    return sum;
}

void ref__read_streams(ref__run *run, int layer, core_tap_kind kind, int64_t n,
                       int64_t ld_w)
{
    const int64_t room = core_spec_n_x(run->spec) + run->spec->n_d;
    const ref__drawn drawn = ref__draw_operator(run, kind, layer);
    float *bound = ref__bound_buffer(run, kind, layer);
    double most = 0.0;
#pragma omp parallel for num_threads(run->n_threads) reduction(max : most)
    for (int64_t t = 0; t < run->n; t++)
        most = ref__worse(
            most,
            read_token(run, &drawn, kind, n, run->joint + t * ld_w, t,
                       run->streams + omp_get_thread_num() * room, bound));
    if (run->exact)
        ref__record_bits(run, kind, layer,
                         ref__bits(most, CORE_STEP_PROB * CORE_STEP_ACT));
    ref__put(run, kind, layer, run->h, bound);
}
