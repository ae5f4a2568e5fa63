/* parallel/o_groups.c -- what heads give, projected by groups of them.
 *
 * A group is one rank's, as its heads are: tp divides the number of groups.  So
 * these products are whole; the one over all groups that follows is not.
 */
#include "parallel/forward_impl.h"

/* Groups [g0, g0 + n) are those of my heads. */
static int64_t mine(const par_model *m, int l, int64_t *g0)
{
    const par_heads *heads = par__heads_of(m, l);
    const int64_t n = m->spec->o_groups.n;
    *g0 = heads->h0 * n / heads->all.n_h;
    return heads->n_h * n / heads->all.n_h;
}

par_shard par__o_groups_make(par_model *m, int l, par_groups *groups)
{
    const int64_t n_r = m->spec->o_groups.n_r;
    groups->n = mine(m, l, &groups->first);
    par_shard *of = core_arena_take(&m->shards, groups->n, sizeof *of);
    for (int64_t g = 0; g < groups->n; g++) {
        const int64_t r0 = (groups->first + g) * n_r;
        const par_shard one = par__rows(m, CORE_W_O_A, l, r0, r0 + n_r);
        if (of != NULL)
            of[g] = one;
    }
    groups->of = of;
    return par__columns(m, CORE_W_O, l, groups->first * n_r,
                        (groups->first + groups->n) * n_r);
}

void par__o_groups(par_model *m, const par_groups *s, int l)
{
    par_work *w = &m->work;
    const par_heads *heads = par__heads_of(m, l);
    const int64_t n_r = m->spec->o_groups.n_r, n_out = s->n * n_r;
    const int64_t n_in = heads->n_h * heads->all.n_dv;
    const core_tap tap = par__tap(CORE_TAP_O_A, l);
    par__enter(m, PAR_OP_ATTN_OUT, tap);
    par__cost(m, CORE_COST_GEMM, tap);
    for (int64_t g = 0; g < s->n; g++)
        par__product(m, w->o_a + g * n_r, n_out,
                     w->context + g * s->of[g].n_col, n_in, m->now.n, &s->of[g],
                     tap);
    par__tap_columns(m, tap, w->o_a, s->first * n_r, n_out);
}
