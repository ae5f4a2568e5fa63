/* parallel/context.c -- context parallelism: tokens of a row on several ranks.
 *
 * A rank has a run of tokens from either end of every row (par_layout_runs) and
 * does with them whatever asks for no other token.  What does: attention, for
 * keys and values of the whole row, and slots, for the choices of the whole
 * token group.  Both are gathered from the ranks that have the same rows, and
 * put into the order of tokens.  With cp = 1 they are where they were made.
 */
#include "parallel/forward_impl.h"

#include <string.h>

void par__gather_context(par_model *m, void *out, const void *x, int64_t n_col,
                         core_cost_type type, core_tap tap)
{
    const par_layout *lay = m->layout;
    const par_group *cp = &lay->cp_group;
    const int64_t n_t = m->batch->n_t, n = m->now.n_row * n_t;
    const size_t bytes = (size_t)n_col * sizeof(double);
    int64_t *count = m->work.context_bytes;
    char *from = m->work.parts;
    for (int c = 0; c < cp->n; c++)
        count[c] =
            m->now.n_row * par_layout_n_t(&lay->plan, c, n_t) * (int64_t)bytes;
    par__cost_collective(m, PAR_ALL_GATHER, cp, tap, m->now.n * n_col,
                         n * n_col)
        ->type = type;
    par__pause(m);
    par__poison(from, (size_t)n * bytes);
    par_all_gather(m->comm, cp, x, from, count);
    par__resume(m);
    for (int c = 0; c < cp->n; c++)
        for (int64_t i = 0; i * (int64_t)bytes < count[c]; i++, from += bytes)
            memcpy((char *)out +
                       (size_t)par_layout_token(&lay->plan, c, n_t, i) * bytes,
                   from, bytes);
}

/* Values of my kv heads side by side. */
static void pack_values(const par_model *m, const par_heads *mine, double *to)
{
    const par_work *w = &m->work;
    const int64_t n_dv = mine->all.n_dv;
    for (int64_t i = 0; i < m->now.n; i++)
        for (int64_t g = 0; g < mine->n_kv; g++, to += n_dv)
            memcpy(to, w->v + i * w->ld_v + w->v_first + g * w->v_step,
                   (size_t)n_dv * sizeof *to);
}

void par__whole_rows(par_model *m, int l)
{
    par_work *w = &m->work;
    const par_heads *mine = par__heads_of(m, l);
    const core_tap tap = par__tap(CORE_TAP_CONTEXT, l);
    const int64_t n_dv = mine->all.n_dv;
    w->rows = (par_rows){w->k, w->v, w->ld_v, w->v_first, w->v_step};
    if (m->layout->plan.cp == 1)
        return;
    par__gather_context(m, w->row_k, w->k, mine->n_kv * mine->all.n_dh,
                        CORE_COST_VALUES, tap);
    w->rows.k = w->rows.v = w->row_k;
    if (m->spec->one_kv)
        return;
    pack_values(m, mine, w->packed);
    par__gather_context(m, w->row_v, w->packed, mine->n_kv * n_dv,
                        CORE_COST_VALUES, tap);
    w->rows = (par_rows){w->row_k, w->row_v, mine->n_kv * n_dv, 0, n_dv};
}

void par__whole_group(par_model *m, core_tap tap)
{
    par_work *w = &m->work;
    const int64_t n_k = m->spec->n_k;
    w->every = (par_routing){w->idx, w->slot, w->weight};
    if (m->layout->plan.cp == 1)
        return;
    w->every = w->gathered_routing;
    par__gather_context(m, w->every.idx, w->idx, n_k, CORE_COST_WORDS, tap);
    par__gather_context(m, w->every.weight, w->weight, n_k, CORE_COST_VALUES,
                        tap);
}

void par__own_slots(par_model *m)
{
    par_work *w = &m->work;
    const int64_t n_k = m->spec->n_k, first = m->now.row0 * m->batch->n_t;
    for (int64_t i = 0; m->layout->plan.cp > 1 && i < m->now.n; i++)
        memcpy(w->slot + i * n_k,
               w->every.slot + (w->token_id[i] - first) * n_k,
               (size_t)n_k * sizeof *w->slot);
}

void par__context_carve(par_work *w, const core_spec *spec,
                        const par_layout *lay)
{
    const bool cuts = lay->plan.cp > 1;
    int64_t n_k = 0, n_v = 0;
    for (int kind = 0; cuts && kind < CORE_HEAD_KINDS; kind++) {
        const par_heads *mine = &lay->heads[kind];
        const int64_t k = mine->n_kv * mine->all.n_dh;
        const int64_t v = mine->n_kv * mine->all.n_dv;
        n_k = k > n_k ? k : n_k;
        n_v = v > n_v ? v : n_v;
    }
    const int64_t n_choice = cuts ? spec->n_k : 0;
    int64_t widest = n_k > n_v ? n_k : n_v;
    widest = n_choice > widest ? n_choice : widest;
    w->context_bytes = core_arena_i64(&w->arena, lay->plan.cp);
    w->row_k = par__fresh_f64(w, w->n_all * n_k);
    w->row_v = par__fresh_f64(w, w->n_all * n_v);
    w->packed = par__fresh_f64(w, w->n * n_v);
    w->parts = par__fresh(w, w->n_all * widest, sizeof(double));
    w->gathered_routing = (par_routing){
        .idx = par__fresh(w, w->n_all * n_choice, sizeof(int64_t)),
        .slot = par__fresh(w, w->n_all * n_choice, sizeof(int64_t)),
        .weight = par__fresh_f64(w, w->n_all * n_choice)};
}
