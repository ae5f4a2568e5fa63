/* parallel/sums.c -- sums over tp that make whole what a step left.
 *
 * A step ends with y [tokens, D], Partial over tp.  The next one sums it: of its
 * lane, or of the lanes whose sums are one collective (batch_reduce).  Then the
 * rows of all lie packed, those of the tensor group's first slices first: so a
 * reduce-scatter leaves each rank its slices.  Behind it, lane by lane, a bias is
 * added, once, and the value is stored.
 */
#include "parallel/forward_impl.h"

#include <string.h>

void par__leave_partial(par_model *m, double *y, const double *bias,
                        core_tap tap)
{
    m->lane[m->now.lane].partial = (par_partial){
        .y = y, .bias = bias, .tap = tap, .op = m->op, .n = m->now.n};
}

static const par_partial *joined(const par_model *m, int i)
{
    return &m->lane[m->work.joined[i]].partial;
}

/* Elements of the slices that tensor rank t has of all lanes. */
static int64_t slices_of(const par_model *m, int t)
{
    const int tp = m->layout->plan.tp;
    int64_t n = 0;
    for (int i = 0; i < m->work.n_joined; i++)
        n += core_split_first(joined(m, i)->n, tp, t + 1) -
             core_split_first(joined(m, i)->n, tp, t);
    return n * m->spec->n_d;
}

/* Slices of tensor rank t, one lane's behind another's: to `packed`, or back. */
static void copy_slices(par_model *m, int t, double *packed,
                        bool is_back)
{
    const int tp = m->layout->plan.tp;
    const int64_t n_d = m->spec->n_d;
    for (int i = 0; i < m->work.n_joined; i++) {
        const par_partial *p = joined(m, i);
        const int64_t t0 = core_split_first(p->n, tp, t);
        const int64_t n = (core_split_first(p->n, tp, t + 1) - t0) * n_d;
        double *rows = p->y + t0 * n_d;
        if (n > 0)
            memcpy(is_back ? rows : packed, is_back ? packed : rows,
                   (size_t)n * sizeof *rows);
        packed += n;
    }
}

/* x: the rows of all lanes, slice by slice; mine: where my slices begin. */
static void sum(par_model *m, double *x, double *mine, int64_t n)
{
    const par_group *tp = &m->layout->tp_group;
    const core_tap tap = joined(m, 0)->tap;
    const bool scatters = m->layout->plan.sp;
    const int64_t out = scatters ? m->work.slice[tp->me] : n;
    par__enter(m, joined(m, 0)->op, tap);
    par__cost_collective(m, scatters ? PAR_REDUCE_SCATTER : PAR_ALL_REDUCE, tp,
                         tap, n, out)
        ->n_token = n / m->spec->n_d;
    par__pause(m);
    if (scatters)
        par_reduce_scatter(m->comm, tp, x, mine, m->work.slice, m->numerics);
    else
        par_all_reduce(m->comm, tp, x, n, PAR_SUM, m->numerics);
    par__resume(m);
}

void par__sum_lanes(par_model *m)
{
    const int tp = m->layout->plan.tp, me = m->layout->t;
    const bool is_packed = m->work.n_joined > 1;
    double *x = is_packed ? m->work.summed : joined(m, 0)->y, *mine = x;
    int64_t n = 0;
    for (int t = 0; t < tp; t++) {
        m->work.slice[t] = slices_of(m, t);
        if (is_packed)
            copy_slices(m, t, x + n, false);
        mine = t == me ? x + n : mine;
        n += m->work.slice[t];
    }
    sum(m, x, mine, n);
    for (int t = 0; is_packed && t < tp; t++) {
        if (!m->layout->plan.sp || t == me)
            copy_slices(m, t, x, true);
        x += m->work.slice[t];
    }
}

void par__complete(par_model *m)
{
    const par_partial *p = &m->lane[m->now.lane].partial;
    const int64_t n = m->now.n_s, n_d = m->spec->n_d;
    double *mine = par__mine(m, p->y);
    par__enter(m, p->op, p->tap);
    if (p->bias != NULL) {
        par__cost_rows(m, p->tap, n, n_d, 0);
        par__add_bias(m, mine, n, n_d, p->bias);
    }
    par__tap_stream(m, p->tap, mine);
}
