/* parallel/stream.c -- the residual stream: which of its tokens are mine.
 *
 * Without sequence parallelism it is Replicate over tp: every rank has all
 * tokens.  With it (sp=1) it is Shard(token): a rank has its slice, and what
 * works on whole rows (norms, the residual, the router) works on that.  Parts
 * that are split over tp read all tokens: their normed rows are gathered in
 * front, and their sum is scattered behind, where it is all-reduced otherwise
 * (sums.c).
 * What experts gave lies in slices anyway: only without sp is it gathered.
 *
 * The stream's own rows lie side by side; rows of what is made from it lie at
 * their place among all tokens, so that a gathering is in place.
 */
#include "parallel/forward_impl.h"

int64_t par__stream_tokens(const par_layout *lay, int64_t n)
{
    int64_t t0, t1;
    if (!lay->plan.sp)
        return n;
    par_layout_slice(lay, n, &t0, &t1);
    return t1 - t0;
}

double *par__mine(const par_model *m, double *x)
{
    return x + m->now.s0 * m->spec->n_d;
}

/* Elements of each rank's slice, for rows of n_col. */
static int64_t *slices(par_model *m, int64_t n_col)
{
    par_layout other = *m->layout;
    for (other.t = 0; other.t < other.plan.tp; other.t++) {
        int64_t t0, t1;
        par_layout_slice(&other, m->now.n, &t0, &t1);
        m->work.slice[other.t] = (t1 - t0) * n_col;
    }
    return m->work.slice;
}

static core_cost *gather(par_model *m, void *x, int64_t n_col, core_tap tap)
{
    const par_group *tp = &m->layout->tp_group;
    const int64_t word = sizeof(double);
    const int64_t n_mine = (m->now.t1 - m->now.t0) * n_col;
    core_cost *cost = par__cost_collective(m, PAR_ALL_GATHER, tp, tap, n_mine,
                                           m->now.n * n_col);
    par__pause(m);
    par_all_gather(m->comm, tp, (char *)x + m->now.t0 * n_col * word, x,
                   slices(m, n_col * word));
    par__resume(m);
    return cost;
}

void par__gather_stream(par_model *m, double *x, int64_t n_col, core_tap tap)
{
    if (m->layout->plan.sp)
        gather(m, x, n_col, tap);
}

void par__gather_stream_ints(par_model *m, int64_t *x, int64_t n_col,
                             core_tap tap)
{
    if (m->layout->plan.sp)
        gather(m, x, n_col, tap)->type = CORE_COST_WORDS;
}

void par__gather_slices(par_model *m, double *x, core_tap tap)
{
    if (!m->layout->plan.sp)
        gather(m, x, m->spec->n_d, tap);
}
