/* parallel/cache.c -- keys and values that steps leave for later ones.
 *
 * A rank keeps, for each of its layers, what its kv heads made of the rows in
 * its slots: as attention reads it, rotated and in the cache's type.  Nothing
 * is sent: a slot is of one part, and a kv head's keys are where its queries
 * are.  A layer that looks back no further than a window keeps as many
 * positions as a step may ask for, one after the other round about.  Of latent
 * attention a token's latent is kept, and the rotated key that all heads share;
 * every step makes keys and values of a row from them anew.  Whatever else
 * operators leave is a state, of theirs to lay out (par__entry.kept).
 *
 * Trap: a step's own keys go in before its first query looks, so the ring has
 * to hold the window of the first of them and all of the step beside it.
 */
#include "parallel/forward_impl.h"

#include <stdlib.h>
#include <string.h>

/* Of a layer: position i of slot s lies at s * room + i % room. */
typedef struct cached {
    int64_t room;
    int64_t n_k, n_v; /* columns: of own kv heads; of a latent, and none      */
    double *k, *v;    /* [my slots, room, *]                                  */
    int64_t n_state;
    double *state; /* [my slots, *] what operators leave beside them       */
} cached;

struct par_cache {
    core_arena arena; /* owns what is below                                   */
    int64_t n_slot;   /* of all parts                                         */
    int64_t n_t;      /* tokens of a row                                      */
    int64_t *first;   /* [rounds * mb] which of mine a part's first slot is   */
    cached *layer;    /* [layers of mine]                                     */
    double *row_k, *row_v; /* [n_t, own heads *] of a row, from its latents   */
    double *best, *all; /* [n_slot, 2], [tp, n_slot, 2] tokens and logits     */
    int64_t *bytes;     /* [tp]                                               */
};

static bool is_latent(const core_spec *spec)
{
    return core_spec_projection(spec) == CORE_PROJECTION_LATENT;
}

/* Positions that are kept of a row of n_t tokens; latents: all. */
static int64_t room_of(const core_spec *spec, int l, int64_t n_t,
                       int64_t n_most)
{
    const int64_t window = spec->sliding_window;
    if (spec->span[l] != CORE_SPAN_WINDOW || window == 0 || is_latent(spec))
        return n_t;
    return window - 1 + n_most < n_t ? window - 1 + n_most : n_t;
}

/* What a layer keeps, for n_slot rows. */
static cached carve_layer(core_arena *a, const core_spec *spec,
                          const par_layout *lay, int l, int64_t n_slot,
                          int64_t n_t, int64_t n_most)
{
    const par_heads *mine = &lay->heads[spec->head_kind[l]];
    const par__entry *mixer = par__mixer(spec, l);
    cached of = {0};
    of.n_state = par__kept(mixer, spec, lay, l, n_t);
    of.state = core_arena_f64(a, n_slot * of.n_state);
    if (core_spec_mixer(spec, l) != CORE_MIXER_ATTENTION)
        return of;
    of.room = room_of(spec, l, n_t, n_most);
    of.n_k = mine->n_kv * mine->all.n_dh;
    of.n_v = mine->n_kv * mine->all.n_dv;
    if (is_latent(spec))
        of.n_k = par__latent_columns(spec);
    if (is_latent(spec) || spec->one_kv)
        of.n_v = 0;
    of.k = core_arena_f64(a, n_slot * of.room * of.n_k);
    of.v = core_arena_f64(a, n_slot * of.room * of.n_v);
    return of;
}

static void carve(par_cache *c, const core_spec *spec, const par_layout *lay,
                  int64_t n_t, int64_t n_most)
{
    const par_plan *plan = &lay->plan;
    core_arena *a = &c->arena;
    int64_t n_mine = 0;
    c->first = core_arena_i64(a, (int64_t)plan->rounds * plan->mb);
    for (int i = 0; i < plan->rounds * plan->mb; i++) {
        int64_t slot0, slot1;
        par_layout_rows(plan, c->n_slot, i / plan->mb, lay->d, i % plan->mb,
                        &slot0, &slot1);
        if (c->first != NULL)
            c->first[i] = n_mine;
        n_mine += slot1 - slot0;
    }
    c->layer = core_arena_take(a, lay->n_my_layer, sizeof *c->layer);
    for (int i = 0; i < lay->n_my_layer; i++) {
        const cached of = carve_layer(a, spec, lay, lay->my_layer[i], n_mine,
                                      n_t, n_most);
        if (c->layer != NULL)
            c->layer[i] = of;
    }
    if (is_latent(spec)) { /* a head's row of kv_b is a key without what is
                            * rotated, and a value                            */
        const core_heads *all = &lay->heads[0].all;
        const int64_t n_h = lay->heads[0].n_h;
        c->row_k = core_arena_f64(a, n_t * n_h * all->n_dh);
        c->row_v = core_arena_f64(a, n_t * n_h *
                                         (all->n_dh - all->n_rot + all->n_dv));
    }
    c->best = core_arena_f64(a, c->n_slot * 2);
    c->all = core_arena_f64(a, plan->tp * c->n_slot * 2);
    c->bytes = core_arena_i64(a, plan->tp);
}

size_t par_decode_bytes(const core_spec *spec, const par_layout *layout,
                        int64_t n_slot, int64_t n_t, int64_t n_most)
{
    par_cache c = {.arena = core_arena_measure(), .n_slot = n_slot, .n_t = n_t};
    carve(&c, spec, layout, n_t, n_most);
    return c.arena.peak_bytes;
}

core_status par_decode_open(par_model *m, int64_t n_slot, int64_t n_t,
                            int64_t n_most)
{
    void *memory;
    CORE_TRY(core_alloc(&memory, 1, sizeof *m->cache, "a cache"));
    par_cache *c = m->cache = memory;
    *c = (par_cache){
        .arena = core_arena_measure(), .n_slot = n_slot, .n_t = n_t};
    carve(c, m->spec, m->layout, n_t, n_most);
    CORE_TRY_CTX(core_arena_make(&c->arena), "while making room for the keys "
                 "and values of %lld slots", (long long)n_slot);
    carve(c, m->spec, m->layout, n_t, n_most);
    return CORE_OK;
}

void par__cache_close(par_cache *c)
{
    if (c != NULL)
        core_arena_free(&c->arena);
    free(c);
}

size_t par__cache_bytes(const par_cache *c)
{
    return c != NULL ? c->arena.size_bytes : 0;
}

static cached *cached_of(const par_model *m, int l)
{
    return &m->cache->layer[m->layout->local_layer[l]];
}

/* Which of my slots a row of the micro-batch at hand has. */
static int64_t my_slot(const par_model *m, const par_step_row *row)
{
    const par_plan *plan = &m->layout->plan;
    int64_t slot0, slot1;
    par_layout_rows(plan, m->cache->n_slot, m->now.round, m->layout->d,
                    m->now.mb, &slot0, &slot1);
    return m->cache->first[m->now.round * plan->mb + m->now.mb] + row->slot -
           slot0;
}

/* A row takes its slot over. */
static void clear(const par_model *m, const cached *c, int64_t at)
{
    par__poison(m, c->k + at * c->n_k, (size_t)(c->room * c->n_k) * sizeof *c->k);
    par__poison(m, c->v + at * c->n_v, (size_t)(c->room * c->n_v) * sizeof *c->v);
}

/* Token i of the micro-batch is kept at a place. */
static void keep(const par_model *m, const par_heads *mine, const cached *c,
                 int64_t i, int64_t at)
{
    const par_work *w = &m->work;
    const int64_t n_dv = mine->all.n_dv;
    double *k = c->k + at * c->n_k, *v = c->v + at * c->n_v;
    if (is_latent(m->spec)) {
        par__latent_keep(m, i, k);
        return;
    }
    memcpy(k, w->k + i * c->n_k, (size_t)c->n_k * sizeof *k);
    for (int64_t g = 0; c->n_v > 0 && g < mine->n_kv; g++)
        memcpy(v + g * n_dv, w->v + i * w->ld_v + w->v_first + g * w->v_step,
               (size_t)n_dv * sizeof *v);
}

void par__cache_open(par_model *m, int l)
{
    const par_heads *mine = par__heads_of(m, l);
    const par_step_row *row = m->step->row + m->now.row0;
    const cached *c = cached_of(m, l);
    par_view *view = &m->work.view;
    int64_t i = 0;
    for (int64_t b = 0; b < m->now.n_row; b++, row++) {
        const int64_t first = my_slot(m, row) * c->room;
        if (row->i0 == 0)
            clear(m, c, first);
        for (int64_t t = row->i0; t < row->i0 + row->n; t++, i++)
            keep(m, mine, c, i, first + t % c->room);
    }
    if (is_latent(m->spec)) { /* values lie as they do in w->v */
        view->k = m->cache->row_k;
        view->v = m->cache->row_v;
        return;
    }
    view->k = c->k;
    view->v = m->spec->one_kv ? c->k : c->v;
    view->ld_v = m->spec->one_kv ? c->n_k : c->n_v;
    view->v_first = 0;
    view->v_step = mine->all.n_dv;
}

/* Keys lie in one piece, or in two where they begin anew at the ring's first
 * place.                                                                     */
static void turn_to(par_model *m, int l, int64_t b)
{
    const int64_t row0 = m->now.row0;
    const par_step_row *row = m->step->row + row0 + b;
    const cached *c = cached_of(m, l);
    const int64_t first = my_slot(m, row) * c->room, end = row->i0 + row->n;
    const int64_t j0 = core_spec_first_key(m->spec, l, row->i0);
    const int64_t around = (j0 / c->room + 1) * c->room;
    const int64_t j1 = around < end ? around : end;
    par_view *view = &m->work.view;
    view->query0 = par__step_tokens(m->step, row0, row0 + b);
    view->n_run = 1;
    view->run[0] = (par_run){row->i0, row->n};
    view->n_q = row->n;
    view->n_keys = j1 < end ? 2 : 1;
    view->keys[0] = (par_keys){{j0, j1 - j0}, first + j0 % c->room, 0};
    if (j1 < end)
        view->keys[1] = (par_keys){{j1, end - j1}, first, 0};
    if (!is_latent(m->spec))
        return;
    par__latent_expand(m, l, c->k + first * c->n_k, end, m->cache->row_k,
                       m->cache->row_v);
    view->keys[0] = (par_keys){{0, end}, 0, 0};
}

void par__view_row(par_model *m, int l, int64_t b)
{
    par_view *view = &m->work.view;
    view->query0 = b * view->n_q;
    if (m->step != NULL)
        turn_to(m, l, b);
}

int64_t par__row_end(const par_model *m, int64_t b)
{
    if (m->step == NULL)
        return m->batch->n_t;
    const par_step_row *row = &m->step->row[m->now.row0 + b];
    return row->i0 + row->n;
}

int64_t par__queries(const par_model *m)
{
    return m->step != NULL ? m->now.n : m->now.n_row * m->work.view.n_q;
}

int64_t par__keys(const par_model *m)
{
    return m->step != NULL ? par__step_keys(m) : m->now.n_row * m->batch->n_t;
}

/* --- states --- */

double *par__state(const par_model *m, int l, int64_t b)
{
    if (m->step == NULL)
        return NULL;
    const cached *c = cached_of(m, l);
    return c->state + my_slot(m, &m->step->row[m->now.row0 + b]) * c->n_state;
}

void par__clear_states(const par_model *m, int l)
{
    for (int64_t b = 0; m->step != NULL && b < m->now.n_row; b++)
        if (m->step->row[m->now.row0 + b].i0 == 0)
            memset(par__state(m, l, b), 0,
                   (size_t)cached_of(m, l)->n_state * sizeof(double));
}

void par__poison_states(const par_model *m, int l)
{
    for (int64_t b = 0; m->step != NULL && b < m->now.n_row; b++)
        if (m->step->row[m->now.row0 + b].i0 == 0)
            par__poison(m, par__state(m, l, b),
                        (size_t)cached_of(m, l)->n_state * sizeof(double));
}

double *par__chooser_state(const par_model *m, int l, int64_t b)
{
    double *state = par__state(m, l, b);
    return state != NULL ? state + par__kept(par__projection(m->spec), m->spec,
                                             m->layout, l, m->cache->n_t)
                         : NULL;
}

void par__keep_tokens(const par_model *m, int l, const double *x, int64_t n_col)
{
    for (int64_t b = 0; m->step != NULL && b < m->now.n_row; b++) {
        const par_run row = par__row_tokens(m, b);
        memcpy(par__chooser_state(m, l, b) +
                   (par__row_end(m, b) - row.n) * n_col,
               x + row.i0 * n_col, (size_t)(row.n * n_col) * sizeof *x);
    }
}

const double *par__kept_tokens(const par_model *m, int l, int64_t b,
                               const double *x, int64_t n_col)
{
    return m->step != NULL ? par__chooser_state(m, l, b)
                           : x + par__row_tokens(m, b).i0 * n_col;
}

/* --- the tokens that follow ---------------------------------------------- */

/* Of a row of my vocabulary's logits: the best token, and its logit.         */
static void find_best(const par_model *m, const double *logits, double best[2])
{
    int64_t at = 0;
    for (int64_t v = 1; v < m->head.n_row; v++)
        if (logits[v] > logits[at])
            at = v;
    best[0] = (double)(m->head.r0 + at);
    best[1] = m->head.n_row > 0 ? logits[at] : -(double)INFINITY;
}

void par__best_tokens(par_model *m, const double *logits, int64_t i0, int64_t n)
{
    const par_step_row *row = m->step->row + m->now.row0;
    int64_t last = -1;
    for (int64_t b = 0; b < m->now.n_row; b++) {
        last += row[b].n;
        if (last >= i0 && last < i0 + n)
            find_best(m, logits + (last - i0) * m->head.n_row,
                      m->cache->best + 2 * b);
    }
}

void par__pick_tokens(par_model *m)
{
    const par_group *tp = &m->layout->tp_group;
    const par_cache *c = m->cache;
    const int64_t n_row = m->now.n_row, row0 = m->now.row0;
    const core_tap tap = par__tap(CORE_TAP_LOGITS, 0);
    par__cost_rows(m, tap, n_row, m->head.n_row, 1)->written = 2 * n_row;
    for (int t = 0; t < tp->n; t++)
        c->bytes[t] = 2 * n_row * (int64_t)sizeof *c->best;
    par__cost_collective(m, PAR_ALL_GATHER, tp, tap, 2 * n_row,
                         2 * n_row * tp->n);
    par__pause(m);
    par_all_gather(m->comm, tp, c->best, c->all, c->bytes);
    par__resume(m);
    for (int64_t b = 0; b < n_row; b++) {
        const double *best = c->all + 2 * b;
        for (int t = 1; t < tp->n; t++) {
            const double *other = c->all + 2 * (t * n_row + b);
            best = other[1] > best[1] ? other : best;
        }
        m->step->greedy[row0 + b] = (int64_t)best[0];
    }
}
