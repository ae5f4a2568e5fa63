/* parallel/grad/params.c -- my rectangles of the weights, and their gradients.
 *
 * The table "Weights" of LAYOUTS.md, once more in words: what is split over tp,
 * etp and stages, and what is whole.  Trap: a router's weight is whole on every
 * rank of the tensor group, but each of them sends its own tokens away, so its
 * gradient is Partial; biases behind a reduction are whole, and so are their
 * gradients.
 */
#include "parallel/grad/grad_impl.h"

#include <math.h>
#include <string.h>

typedef struct maker {
    par__params *out;
    core_arena *arena;
    const par_layout *lay;
    const core_spec *spec;
    const core_weights *weights; /* NULL: sizes only                          */
    int64_t n;
} maker;

/* A rectangle; ends of -1: the tensor's. */
static void add(maker *m, core_weight id, int64_t r0, int64_t r1, int64_t c0,
                int64_t c1)
{
    int64_t n_row, n_col;
    if (!core_weight_exists(m->spec, id))
        return;
    core_weight_shape(m->spec, id, &n_row, &n_col);
    par__param p = {.id = id, .r0 = r0, .c0 = c0};
    p.n_row = (r1 < 0 ? n_row : r1) - r0;
    p.n_col = (c1 < 0 ? n_col : c1) - c0;
    p.is_vector = n_row == 1 && c0 == 0 && c1 < 0;
    p.is_partial = id.kind == CORE_W_ROUTER || id.kind == CORE_W_ROUTER_BIAS;
    p.w = core_arena_f64(m->arena, p.n_row * p.n_col);
    p.g = core_arena_f64(m->arena, p.n_row * p.n_col);
    if (m->out->all != NULL && m->weights != NULL) {
        core_weights_read(m->weights, id, r0, r0 + p.n_row, c0, c0 + p.n_col,
                          p.w, p.n_col);
        memset(p.g, 0, (size_t)(p.n_row * p.n_col) * sizeof *p.g);
        p.norm = par__g_column_norm(p.w, p.n_row, p.n_col);
        p.step = core_weights_step(m->weights, id);
        m->out->at[core_weight_index(m->spec, id)] = (int)m->n;
        m->out->all[m->n] = p;
    }
    m->n++;
}

/* A matrix by its rows, with its bias; by its columns, with a whole bias.    */
static void add_rows(maker *m, core_weight id, int64_t r0, int64_t r1)
{
    const core_weight bias = {core_weight_bias(id.kind), id.layer, id.expert};
    add(m, id, r0, r1, 0, -1);
    if (bias.kind != CORE_W_NONE)
        add(m, bias, 0, 1, r0, r1);
}

static void add_columns(maker *m, core_weight id, int64_t c0, int64_t c1)
{
    const core_weight bias = {core_weight_bias(id.kind), id.layer, id.expert};
    add(m, id, 0, -1, c0, c1);
    if (bias.kind != CORE_W_NONE)
        add(m, bias, 0, 1, 0, -1);
}

static core_weight of(core_weight_kind kind, int layer)
{
    return (core_weight){kind, layer, 0};
}

static void add_layer(maker *m, int l)
{
    const par_heads *h = &m->lay->heads[0];
    const int64_t n_dh = h->all.n_dh;
    const int64_t q0 = h->h0 * n_dh, q1 = q0 + h->n_h * n_dh;
    const int64_t k0 = h->kv0 * n_dh, k1 = k0 + h->n_kv * n_dh;
    const int64_t n_f = core_spec_n_mlp(m->spec, l);
    const int tp = m->lay->plan.tp, t = m->lay->t;
    const int64_t f0 = core_split_first(n_f, tp, t);
    const int64_t f1 = core_split_first(n_f, tp, t + 1);
    add(m, of(CORE_W_ATTN_NORM, l), 0, -1, 0, -1);
    add_rows(m, of(CORE_W_Q, l), q0, q1);
    add_rows(m, of(CORE_W_K, l), k0, k1);
    add_rows(m, of(CORE_W_V, l), k0, k1);
    add_columns(m, of(CORE_W_O, l), q0, q1);
    add(m, of(CORE_W_FFN_NORM, l), 0, -1, 0, -1);
    add(m, of(CORE_W_ROUTER, l), 0, -1, 0, -1);
    add(m, of(CORE_W_ROUTER_BIAS, l), 0, -1, 0, -1);
    add_rows(m, of(CORE_W_MLP_GATE, l), f0, f1);
    add_rows(m, of(CORE_W_MLP_UP, l), f0, f1);
    add_columns(m, of(CORE_W_MLP_DOWN, l), f0, f1);
}

static void add_expert(maker *m, int l, int e)
{
    const core_weight gate = {CORE_W_EXPERT_GATE, l, e};
    const core_weight up = {CORE_W_EXPERT_UP, l, e};
    const core_weight down = {CORE_W_EXPERT_DOWN, l, e};
    const int64_t f0 = m->lay->first_f[m->lay->etp_i];
    const int64_t f1 = m->lay->first_f[m->lay->etp_i + 1];
    add_rows(m, gate, f0, f1);
    add_rows(m, up, f0, f1);
    add_columns(m, down, f0, f1);
}

/* Tables first: they are what two stages may add up together. */
static void add_all(maker *m)
{
    const par_layout *lay = m->lay;
    const bool is_first = lay->stage == 0;
    const bool is_last = lay->stage == lay->plan.pp - 1;
    const bool by_stage = lay->plan.scope == PAR_SCOPE_STAGE;
    const int64_t v0 = lay->first_vocab[lay->t];
    const int64_t v1 = lay->first_vocab[lay->t + 1];
    if (is_first || (is_last && m->spec->tied))
        add(m, of(CORE_W_EMBED, 0), v0, v1, 0, -1);
    if (is_last && !m->spec->tied)
        add(m, of(CORE_W_HEAD, 0), v0, v1, 0, -1);
    if (is_last)
        add(m, of(CORE_W_FINAL_NORM, 0), 0, -1, 0, -1);
    for (int i = 0; i < lay->n_my_layer; i++)
        add_layer(m, lay->my_layer[i]);
    for (int l = 0; l < (int)m->spec->n_l; l++) {
        const bool serves = !by_stage || lay->local_layer[l] >= 0;
        for (int i = 0; serves && core_spec_is_moe(m->spec, l) &&
                        i < lay->n_my_expert;
             i++)
            add_expert(m, l, lay->experts[l].mine[i]);
    }
}

void par__params_make(par__params *out, core_arena *arena,
                      const par_layout *layout, const core_spec *spec,
                      const core_weights *weights)
{
    par__params none = {0};
    core_arena unused = core_arena_measure();
    maker count = {&none, &unused, layout, spec, NULL, 0};
    maker m = {out, arena, layout, spec, weights, 0};
    add_all(&count);
    const int64_t n_weight = core_weight_count(spec);
    out->n = count.n;
    out->all = core_arena_take(arena, count.n, sizeof *out->all);
    out->at = core_arena_take(arena, n_weight, sizeof *out->at);
    for (int64_t i = 0; out->at != NULL && i < n_weight; i++)
        out->at[i] = -1;
    add_all(&m);
}
