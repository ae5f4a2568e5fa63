/* parallel/context_ring.c -- cp_kind=ring: keys and values go round.
 *
 * In step s a rank has the part of the rank s before it, passes it on to the
 * next one and gets that of the rank s + 1 before it.  heads.c merges the parts
 * in the order in which they came.  A kernel forgets a part once it is merged,
 * and rescales what it has when a larger score comes; here the parts stay until
 * all have agreed on the maximum (docs/numerics.md).
 */
#include "parallel/forward_impl.h"

#include <string.h>

enum { TAG = 2 }; /* beside those of the stream (schedule.c) */

/* Columns of a token: keys of my heads, then values, unless they are the same. */
static int64_t width(const core_spec *spec, const par_heads *mine)
{
    return mine->n_kv * (mine->all.n_dh + (spec->one_kv ? 0 : mine->all.n_dv));
}

static void pack(const par_model *m, const par_heads *mine, double *to)
{
    const int64_t n_k = mine->n_kv * mine->all.n_dh, ld = width(m->spec, mine);
    for (int64_t i = 0; i < m->now.n; i++)
        memcpy(to + i * ld, m->work.k + i * n_k, (size_t)n_k * sizeof *to);
    if (!m->spec->one_kv)
        par__pack_values(m, mine, to + n_k, ld);
}

/* The runs of rank c, whose tokens begin with number `first` of the buffer. */
static void add_keys(par_view *view, const par_plan *plan, int c, int64_t n_t,
                     int64_t first)
{
    par_run run[2];
    const int n_run = par_layout_runs(plan, c, n_t, run);
    const int64_t step = run[0].n + run[1].n;
    for (int r = 0; r < n_run; first += run[r].n, r++)
        view->keys[view->n_keys++] = (par_keys){run[r], first, step};
}

void par__ring_open(par_model *m, int l)
{
    par_work *w = &m->work;
    par_view *view = &w->view;
    const par_plan *plan = &m->layout->plan;
    const par_group *cp = &m->layout->cp_group;
    const int64_t n_t = m->batch->n_t, ld = width(m->spec, &view->heads);
    const int64_t bytes = ld * (int64_t)sizeof(double);
    const int before = cp->rank[(cp->me - 1 + cp->n) % cp->n];
    const int behind = cp->rank[(cp->me + 1) % cp->n];
    double *part = w->row_k;
    pack(m, &view->heads, part);
    par__cost_collective(m, PAR_SEND, cp, par__tap(CORE_TAP_CONTEXT, l),
                         m->now.n * ld, m->now.n_row * n_t * ld);
    par__pause(m);
    view->n_keys = 0;
    int64_t n = m->now.n;
    par__poison(m, part + n * ld, (size_t)((m->now.n_row * n_t - n) * bytes));
    for (int s = 0; s < cp->n; s++) {
        const int c = (cp->me - s + cp->n) % cp->n; /* whose part it is */
        add_keys(view, plan, c, n_t, (part - w->row_k) / ld);
        if (s == cp->n - 1)
            break;
        const int64_t n_next =
            m->now.n_row * par_layout_n_t(plan, (c - 1 + cp->n) % cp->n, n_t);
        double *next = part + n * ld;
        par_request *arrives =
            par_post_recv(m->comm, before, TAG, next, n_next * bytes);
        par_request *leaves =
            par_post_send(m->comm, behind, TAG, part, n * bytes);
        par_wait(m->comm, arrives);
        par_wait(m->comm, leaves);
        part = next;
        n = n_next;
    }
    par__resume(m);
    view->k = view->v = w->row_k;
    view->ld_k = view->ld_v = ld;
    view->v_step = view->heads.all.n_dv;
    view->v_first =
        m->spec->one_kv ? 0 : view->heads.n_kv * view->heads.all.n_dh;
}

void par__ring_carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    int64_t widest = 0;
    for (int kind = 0; kind < CORE_HEAD_KINDS; kind++) {
        const int64_t n = width(spec, &lay->heads[kind]);
        widest = n > widest ? n : widest;
    }
    w->row_k = par__fresh_f64(w, w->n_all * widest);
}
