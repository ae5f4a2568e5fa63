/* parallel/context_gather.c -- what ranks that share rows are given of one another:
 * all of it, put into the order of tokens.
 */
#include "parallel/forward_impl.h"

#include <string.h>

void par__order_tokens(const par_model *m, void *out, const void *parts,
                       size_t bytes)
{
    const par_plan *plan = &m->layout->plan;
    const int64_t n_t = m->batch->n_t;
    const char *from = parts;
    for (int c = 0; c < plan->cp; c++) {
        const int64_t n = m->now.n_row * par_layout_n_t(plan, c, n_t);
        for (int64_t i = 0; i < n; i++, from += bytes)
            memcpy((char *)out +
                       (size_t)par_layout_token(plan, c, n_t, i) * bytes,
                   from, bytes);
    }
}

void par__gather_context(par_model *m, void *out, const void *x, int64_t n_col,
                         core_cost_type type, core_tap tap)
{
    const par_layout *lay = m->layout;
    const par_group *cp = &lay->cp_group;
    const int64_t n_t = m->batch->n_t, n = m->now.n_row * n_t;
    const size_t bytes = (size_t)n_col * sizeof(double);
    int64_t *count = m->work.context_bytes;
    for (int c = 0; c < cp->n; c++)
        count[c] =
            m->now.n_row * par_layout_n_t(&lay->plan, c, n_t) * (int64_t)bytes;
    par__cost_collective(m, PAR_ALL_GATHER, cp, tap, m->now.n * n_col,
                         n * n_col)
        ->type = type;
    par__pause(m);
    par__poison(m, m->work.parts, (size_t)n * bytes);
    par_all_gather(m->comm, cp, x, m->work.parts, count);
    par__resume(m);
    par__order_tokens(m, out, m->work.parts, bytes);
}

void par__pack_values(const par_model *m, const par_heads *mine, double *to,
                      int64_t ld)
{
    const par_work *w = &m->work;
    const int64_t n_dv = mine->all.n_dv;
    for (int64_t i = 0; i < m->now.n; i++)
        for (int64_t g = 0; g < mine->n_kv; g++)
            memcpy(to + i * ld + g * n_dv,
                   w->v + i * w->ld_v + w->v_first + g * w->v_step,
                   (size_t)n_dv * sizeof *to);
}

void par__view_values(par_view *view, const double *v)
{
    view->v = v;
    view->v_step = view->heads.all.n_dv;
    view->v_first = 0;
    view->ld_v = view->heads.n_kv * view->v_step;
}

void par__gather_open(par_model *m, int l)
{
    par_work *w = &m->work;
    par_view *view = &w->view;
    const par_heads *mine = &view->heads;
    const core_tap tap = par__tap(CORE_TAP_CONTEXT, l);
    const int64_t n_v = mine->n_kv * mine->all.n_dv;
    par__gather_context(m, w->row_k, w->k, view->ld_k, CORE_COST_VALUES, tap);
    view->k = view->v = w->row_k;
    if (m->spec->one_kv)
        return;
    par__pack_values(m, mine, w->packed, n_v);
    par__gather_context(m, w->row_v, w->packed, n_v, CORE_COST_VALUES, tap);
    par__view_values(view, w->row_v);
}

int64_t par__gather_carve(par_work *w, const par_layout *lay)
{
    int64_t n_k = 0, n_v = 0; /* of the wider kind of heads */
    for (int kind = 0; kind < CORE_HEAD_KINDS; kind++) {
        const par_heads *mine = &lay->heads[kind];
        n_k = par__max(n_k, mine->n_kv * mine->all.n_dh);
        n_v = par__max(n_v, mine->n_kv * mine->all.n_dv);
    }
    w->packed = par__fresh_f64(w, w->n * n_v);
    w->row_k = par__fresh_f64(w, w->n_all * n_k);
    w->row_v = par__fresh_f64(w, w->n_all * n_v);
    return w->n_all * par__max(n_k, n_v);
}
