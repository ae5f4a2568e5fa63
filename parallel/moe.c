/* parallel/moe.c -- the weighted sum of what experts give.
 *
 * The sum over a token's choices runs over ascending expert ids, so it does not
 * depend on who answered first; it is made from my own routing, never from what
 * came back.  Each rank of the tensor group sums its slice of the tokens, then
 * the slices are gathered, unless the stream is cut alike; projected back to D
 * columns before that if experts have a width of their own.  Where the weight
 * has multiplied the input, the outputs are added as they are.
 */
#include "parallel/forward_impl.h"

#include <string.h>

/* The choice with the smallest expert id above `after`. */
static int64_t next_choice(const int64_t *idx, int64_t n_k, int64_t after)
{
    int64_t best = -1;
    for (int64_t j = 0; j < n_k; j++)
        if (idx[j] > after && (best < 0 || idx[j] < idx[best]))
            best = j;
    return best;
}

/* How many rows it was. */
static int64_t combine_token(const par_model *m, int64_t i, double *out)
{
    const par_work *w = &m->work;
    int64_t n_row = 0;
    const int64_t n_k = m->spec->n_k, n_d = core_spec_n_de(m->spec);
    const int64_t *idx = w->idx + i * n_k;
    const bool pass = m->spec->capacity.dropped == CORE_DROPPED_PASSTHROUGH;
    const bool is_weighed = m->spec->weigh_input; /* by the sender already */
    memset(out, 0, (size_t)n_d * sizeof *out);
    for (int64_t n = 0, after = -1; n < n_k; n++) {
        const int64_t j = next_choice(idx, n_k, after);
        const int64_t at = w->position[(i - m->now.t0) * n_k + j];
        const double weight = is_weighed ? 1.0 : w->weight[i * n_k + j];
        after = idx[j];
        if (at < 0 && !pass)
            continue;
        const double *y = at < 0 ? w->xn + i * n_d : w->send + at * n_d;
        for (int64_t d = 0; d < n_d; d++)
            out[d] += weight * y[d];
        n_row++;
    }
    return n_row;
}

void par__combine(par_model *m, int layer, double *out)
{
    par_work *w = &m->work;
    const bool widens = m->spec->n_de > 0;
    const int64_t n_de = core_spec_n_de(m->spec);
    const int64_t t0 = m->now.t0, n = m->now.t1 - t0;
    core_tap tap = par__tap(CORE_TAP_COMBINE, layer);
    double *sum = widens ? w->sum : out;
    par__enter(m, PAR_OP_COMBINE, tap);
    core_cost *cost = par__cost_rows(m, tap, n, n_de, 0);
    int64_t n_row = 0;
#pragma omp parallel for num_threads(par__threads(m, n * m->spec->n_k * n_de))  \
    reduction(+ : n_row)
    for (int64_t i = t0; i < m->now.t1; i++)
        n_row += combine_token(m, i, sum + i * n_de);
    cost->read = n_row * n_de;
    cost->flops = CORE_FLOPS_MULTIPLY_ADD * n_row * n_de;
    par__tap_slice(m, tap, sum);
    if (widens) {
        tap = par__tap(CORE_TAP_WIDE, layer);
        par__widen(m, layer, out);
    }
    par__gather_slices(m, out, tap);
}
