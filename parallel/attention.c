/* parallel/attention.c -- attention, split over tp by heads.
 *
 * A rank makes its query heads (par_layout.heads) and the kv heads they read; a
 * kv head that two ranks read is made on both, and shown by both.  The model's
 * projection makes q, k and v; the output projection is row-parallel: one
 * reduction, then its bias once.
 */
#include "parallel/forward_impl.h"

static void *make(par_model *m, int l)
{
    const par_heads *mine = par__heads_of(m, l);
    const int64_t h0 = mine->h0, h1 = h0 + mine->n_h, n_dv = mine->all.n_dv;
    par_attention attention = {0};
    const par__entry *chooser = par__chooser(m->spec, l);
    attention.projection = par__projection(m->spec)->make(m, l);
    attention.chooser = chooser != NULL ? chooser->make(m, l) : NULL;
    attention.sinks = par__vector(m, CORE_W_SINKS, l, h0, h1);
    if (m->spec->context_gate)
        attention.gate = par__context_gate_make(m, l);
    if (m->spec->o_groups.n > 0)
        attention.o = par__o_groups_make(m, l, &attention.groups);
    else
        attention.o = par__columns(m, CORE_W_O, l, h0 * n_dv, h1 * n_dv);
    return par__keep(&m->shards, &attention, sizeof attention);
}

/* Layers of both kinds of heads use the same buffers. */
static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    int64_t n_q = 0, n_k = 0, n_o = 0;
    for (int kind = 0; kind < CORE_HEAD_KINDS; kind++) {
        const par_heads *mine = &lay->heads[kind];
        n_q = par__max(n_q, mine->n_h * mine->all.n_dh);
        n_k = par__max(n_k, mine->n_kv * mine->all.n_dh);
        n_o = par__max(n_o, mine->n_h * mine->all.n_dv);
    }
    w->q = par__result(w, n_q);
    w->k = par__result(w, n_k);
    w->context = par__operand(w, n_o);
    w->context_gate = par__result(w, spec->context_gate ? n_o : 0);
    const int64_t n_group =
        spec->o_groups.n * lay->heads[0].n_h / lay->heads[0].all.n_h;
    w->o_a = par__operand(w, n_group * spec->o_groups.n_r);
    w->projection = par__projection(spec)->carve(w, spec, lay);
    w->n_score = PAR_QUERY_BLOCK * (w->n_t + w->n_digest);
    w->thread_room.score = par__fresh_f64(w, w->n_thread * w->n_score);
    w->sees = par__fresh(w, w->n_t, 1);
    w->chooser = NULL;
    for (int i = 0; i < lay->n_my_layer && w->chooser == NULL; i++) {
        const par__entry *chooser = par__chooser(spec, lay->my_layer[i]);
        if (chooser != NULL)
            w->chooser = chooser->carve(w, spec, lay);
    }
    return NULL;
}

void par__read_in(const par_model *m, core_slot slot, double *x, int64_t n_col)
{
    if (m->now.n > 0 && core_rounds_again(m->numerics, slot))
        core_store(core_numerics_of(m->numerics, slot), CORE_GRID_ACT, x,
                   m->now.n * n_col);
}

/* Values that were rotated with their keys. */
static void rotate_back(par_model *m, const par_heads *mine, core_tap tap)
{
    const int64_t n_dv = mine->all.n_dv, n_h = mine->n_h;
    par__rope_back(m, m->work.context + n_dv - mine->all.n_rot, n_h * n_dv, n_h,
                   n_dv, tap);
    par__tap_heads(m, tap, m->work.context, n_dv);
}

/* The keys that queries attend to: of this layer's choice, or of one before. */
static void choose_keys(par_model *m, const par_attention *attention, int l)
{
    const par__entry *chooser = par__chooser(m->spec, l);
    if (chooser != NULL)
        chooser->run(m, attention->chooser, l, NULL);
    if (core_spec_seen(m->spec, l).n_set > 0)
        par__tap_sets(m, par__tap(CORE_TAP_SEEN, l), m->now.seen);
}

static void run(par_model *m, const void *shards, int l, double *out)
{
    const par_attention *attention = shards;
    par_work *w = &m->work;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n = m->now.n, n_d = m->spec->n_d, n_dh = mine->all.n_dh;
    const core_tap context = par__tap(CORE_TAP_CONTEXT, l);
    const core_tap tap = par__tap(CORE_TAP_ATTN_OUT, l);
    par__poison_states(m, l);
    par__projection(m->spec)->run(m, attention->projection, l, NULL);
    choose_keys(m, attention, l);
    par__enter(m, PAR_OP_ATTENTION, context);
    par__read_in(m, CORE_SLOT_QP, w->q, mine->n_h * n_dh);
    par__read_in(m, CORE_SLOT_KV, w->k, mine->n_kv * n_dh);
    if (w->v != w->k)
        par__read_in(m, CORE_SLOT_KV, w->v, w->ld_v);
    par__view_open(m, l);
    if (m->step != NULL)
        par__cache_open(m, l);
    par__heads(m, attention, l);
    par__view_close(m, l);
    par__tap_heads(m, context, w->context, mine->all.n_dv);
    if (m->spec->context_gate)
        par__context_gate(m, &attention->gate, l);

    if (m->spec->one_kv)
        rotate_back(m, mine, par__tap(CORE_TAP_CONTEXT_BACK, l));
    if (m->spec->o_groups.n > 0)
        par__o_groups(m, &attention->groups, l);

    par__enter(m, PAR_OP_ATTN_OUT, tap);
    par__linear(m, out, n_d, m->spec->o_groups.n > 0 ? w->o_a : w->context,
                attention->o.n_col, n, &attention->o, tap);
    par__leave_partial(m, out, attention->o.bias, tap);
}

/* Beside keys and values. */
static int64_t n_kept(const core_spec *spec, const par_layout *lay, int l,
                      int64_t n_t)
{
    return par__kept(par__projection(spec), spec, lay, l, n_t) +
           par__kept(par__chooser(spec, l), spec, lay, l, n_t);
}

/* The largest divisor of both. */
static int64_t common(int64_t n, int64_t other)
{
    for (int64_t rest; other > 0; other = rest) {
        rest = n % other;
        n = other;
    }
    return n;
}

/* Heads of both kinds are cut, and groups of heads: what divides all of these
 * numbers divides this one. */
static int64_t n_heads(const core_spec *spec)
{
    const bool has_other = core_spec_head_kinds(spec) > 1;
    return common(common(spec->n_h, has_other ? spec->other.n_h : 0),
                  spec->o_groups.n);
}

const par__entry par__attention = {
    .cut = {"H", "query heads", n_heads, true},
    .takes_parts_of_rows = true,
    .kept = n_kept,
    .make = make,
    .carve = carve,
    .run = run,
};
