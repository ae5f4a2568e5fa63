/* parallel/context.c -- context parallelism: tokens of a row on several ranks.
 *
 * A rank has a run of tokens from either end of every row (par_layout_runs) and
 * does with them whatever asks for no other token.  What does: attention, for
 * keys and values of the whole row, and slots, for the choices of the whole
 * token group.  Choices are gathered from the ranks that have the same rows, and
 * put into the order of tokens.  So are keys and values (cp_kind=gather), or
 * they go round (context_ring.c), or heads are dealt out (context_heads.c).
 * With cp = 1 all is where it was made.
 */
#include "parallel/forward_impl.h"

#include <string.h>

/* --- what heads work on -------------------------------------------------- */

void par__view_open(par_model *m, int l)
{
    par_work *w = &m->work;
    par_view *view = &w->view;
    const par_plan *plan = &m->layout->plan;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n_t = m->batch->n_t;
    *view = (par_view){.heads = *mine,
                       .q = w->q,
                       .context = w->context,
                       .k = w->k,
                       .v = w->v,
                       .ld_k = mine->n_kv * mine->all.n_dh,
                       .ld_v = w->ld_v,
                       .v_first = w->v_first,
                       .v_step = w->v_step,
                       .n_keys = 1,
                       .keys = w->keys};
    view->n_run = par_layout_runs(plan, m->layout->c, n_t, view->run);
    view->n_q = view->run[0].n + view->run[1].n;
    view->keys[0] = (par_keys){{0, n_t}, 0, n_t};
    if (plan->cp == 1)
        return;
    switch (plan->cp_kind) {
    case PAR_CP_RING: par__ring_open(m, l); break;
    case PAR_CP_ULYSSES: par__ulysses_open(m, l); break;
    case PAR_CP_GATHER:
    case PAR_N_CP_KINDS: par__gather_open(m, l); break;
    }
}

void par__view_close(par_model *m, int l)
{
    const par_plan *plan = &m->layout->plan;
    if (plan->cp > 1 && plan->cp_kind == PAR_CP_ULYSSES)
        par__ulysses_close(m, l);
}

/* --- slots --------------------------------------------------------------- */

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

/* --- buffers ------------------------------------------------------------- */

void par__context_carve(par_work *w, const core_spec *spec,
                        const par_layout *lay)
{
    const par_plan *plan = &lay->plan;
    const bool cuts = plan->cp > 1;
    const int64_t n_choice = cuts ? spec->n_k : 0;
    int64_t parts = 0;
    w->keys = core_arena_take(&w->arena, 2 * (int64_t)plan->cp, sizeof *w->keys);
    w->context_bytes = core_arena_i64(&w->arena, 2 * (int64_t)plan->cp);
    w->context_at = core_arena_i64(&w->arena, 2 * (int64_t)plan->cp);
    if (cuts && plan->cp_kind == PAR_CP_RING)
        par__ring_carve(w, spec, lay);
    else if (cuts && plan->cp_kind == PAR_CP_ULYSSES)
        parts = par__ulysses_carve(w, lay);
    else if (cuts)
        parts = par__gather_carve(w, lay);
    w->parts = par__fresh_f64(w, par__max(parts, w->n_all * n_choice));
    w->gathered_routing = (par_routing){
        .idx = par__fresh(w, w->n_all * n_choice, sizeof(int64_t)),
        .slot = par__fresh(w, w->n_all * n_choice, sizeof(int64_t)),
        .weight = par__fresh_f64(w, w->n_all * n_choice)};
}
