/* parallel/work.c -- the buffers of a forward pass.
 *
 * Everything whose size is known beforehand is carved from one arena, by the
 * one function that also measures it.  What arrives in a dispatch is not known
 * beforehand: those buffers grow from pair to pair and never shrink.
 */
#include "parallel/forward_impl.h"

#include <stdlib.h>

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Inner columns of the largest MLP of this stage that fall to me. */
static int64_t max_mlp_columns(const core_spec *spec, const par_layout *lay)
{
    int64_t most = 0;
    for (int l = lay->first_layer[lay->stage];
         l < lay->first_layer[lay->stage + 1]; l++) {
        int64_t n_f;
        if (core_spec_has_mlp(spec, l, &n_f))
            most =
                max_of(most, core_split_first(n_f, lay->plan.tp, lay->t + 1) -
                                 core_split_first(n_f, lay->plan.tp, lay->t));
    }
    return most;
}

/* Columns of mine; 0 where no layer of my stage wants them. */
typedef struct sizes {
    int64_t n, n_t, n_slice; /* tokens, of a row, of my slice                 */
    int64_t n_q, n_kv, n_context, n_mlp, n_f, n_v;
    int64_t n_q_rank, n_kv_rank, n_rot, n_kv_b; /* latent attention           */
    int64_t n_c, n_x;                           /* channels, R + 2S           */
} sizes;

static bool stage_has(const core_spec *spec, const par_layout *lay,
                      bool (*has)(const core_spec *spec, int layer))
{
    for (int l = lay->first_layer[lay->stage];
         l < lay->first_layer[lay->stage + 1]; l++)
        if (has(spec, l))
            return true;
    return false;
}

static void find_attention_sizes(sizes *s, const core_spec *spec,
                                 const par_layout *lay)
{
    const int64_t n_h = lay->first_head[lay->t + 1] - lay->first_head[lay->t];
    const int64_t n_dv = core_spec_n_dv(spec), n_rot = core_spec_n_rot(spec);
    s->n_q = n_h * spec->n_dh;
    s->n_kv = (lay->kv1 - lay->kv0) * spec->n_dh;
    s->n_context = n_h * n_dv;
    if (!core_spec_is_mla(spec))
        return;
    s->n_q_rank = spec->n_q_rank;
    s->n_kv_rank = spec->n_kv_rank;
    s->n_rot = n_rot;
    s->n_kv_b = n_h * (spec->n_dh - n_rot + n_dv);
}

static sizes find_sizes(const core_spec *spec, const par_layout *lay,
                        int64_t n_row, int64_t n_t)
{
    const int64_t n = n_row * n_t;
    const bool is_last = lay->stage == lay->plan.pp - 1;
    sizes s = {.n = n,
               .n_t = n_t,
               .n_slice = (n + lay->plan.tp - 1) / lay->plan.tp,
               .n_mlp = max_mlp_columns(spec, lay),
               .n_f = lay->first_f[lay->etp_i + 1] - lay->first_f[lay->etp_i]};
    if (stage_has(spec, lay, core_spec_has_attention))
        find_attention_sizes(&s, spec, lay);
    if (stage_has(spec, lay, core_spec_has_mamba)) {
        s.n_c = lay->first_channel[lay->t + 1] - lay->first_channel[lay->t];
        s.n_x = spec->mamba.n_r + 2 * spec->mamba.n_s;
    }
    if (is_last && spec->n_h > 0)
        s.n_v = lay->first_vocab[lay->t + 1] - lay->first_vocab[lay->t];
    return s;
}

/* A buffer that every tick starts by poisoning. */
static void *fresh(par_work *w, int64_t n, size_t elem_bytes)
{
    void *at = core_arena_take(&w->arena, n, elem_bytes);
    core_assert(w->n_fresh < PAR_MAX_FRESH);
    w->fresh[w->n_fresh++] =
        (par_grow){.at = at, .bytes = (size_t)n * elem_bytes};
    return at;
}

static double *fresh_f64(par_work *w, int64_t n)
{
    return fresh(w, n, sizeof(double));
}

static int64_t *fresh_i64(par_work *w, int64_t n)
{
    return fresh(w, n, sizeof(int64_t));
}

static void carve_attention(par_work *w, const core_spec *spec, const sizes *s)
{
    w->q = fresh_f64(w, s->n * s->n_q);
    w->k = fresh_f64(w, s->n * s->n_kv);
    w->v = fresh_f64(w, core_spec_is_mla(spec) ? 0 : s->n * s->n_kv);
    w->context = fresh_f64(w, s->n * s->n_context);
    w->square =
        fresh_f64(w, spec->qk_norm == CORE_QK_NORM_ALL ? s->n * 2 : 0);
    w->score = fresh_f64(w, s->n_q > 0 ? PAR_QUERY_BLOCK * s->n_t : 0);
    w->sees = fresh(w, s->n_t, 1);
}

static void carve_latent(par_work *w, const sizes *s)
{
    par_latent_work *latent = &w->latent;
    latent->q_a = fresh_f64(w, s->n * s->n_q_rank);
    latent->q_a_norm = fresh_f64(w, s->n * s->n_q_rank);
    latent->kv_a = fresh_f64(w, s->n * (s->n_kv_rank + s->n_rot));
    latent->kv_a_norm = fresh_f64(w, s->n * s->n_kv_rank);
    latent->kv_b = fresh_f64(w, s->n * s->n_kv_b);
    latent->k_rope = fresh_f64(w, s->n * s->n_rot);
}

static void carve_mamba(par_work *w, const core_spec *spec, const sizes *s)
{
    par_mamba_work *mamba = &w->mamba;
    const int64_t n_r = s->n_x > 0 ? spec->mamba.n_r : 0;
    const int64_t n_s = s->n_x > 0 ? spec->mamba.n_s : 0;
    mamba->u = fresh_f64(w, s->n * s->n_c);
    mamba->gate = fresh_f64(w, s->n * s->n_c);
    mamba->act = fresh_f64(w, s->n * s->n_c);
    mamba->dt = fresh_f64(w, s->n * s->n_c);
    mamba->y = fresh_f64(w, s->n * s->n_c);
    mamba->x = fresh_f64(w, s->n * s->n_x);
    mamba->dt_norm = fresh_f64(w, s->n * n_r);
    mamba->b = fresh_f64(w, s->n * n_s);
    mamba->c = fresh_f64(w, s->n * n_s);
    mamba->state = fresh_f64(w, n_s);
}

static void carve_mlp(par_work *w, const core_spec *spec, const sizes *s)
{
    const int64_t n_scored = spec->shared_gate ? s->n : 0;
    w->gate = fresh_f64(w, spec->gated ? s->n * s->n_mlp : 0);
    w->up = fresh_f64(w, s->n * s->n_mlp);
    w->score_logit = fresh_f64(w, n_scored);
    w->mlp_score = fresh_f64(w, n_scored);
}

static void carve_moe(par_work *w, const core_spec *spec, const sizes *s)
{
    const int64_t n_choice = s->n * spec->n_k, n_send = s->n_slice * spec->n_k;
    w->logits_e = fresh_f64(w, s->n * spec->n_e);
    w->probs = fresh_f64(w, s->n * spec->n_e);
    w->choosing = fresh_f64(w, spec->n_e);
    w->group_score = fresh_f64(w, spec->n_group);
    w->weight = fresh_f64(w, n_choice);
    w->idx = fresh_i64(w, n_choice);
    w->slot = fresh_i64(w, n_choice);
    w->key = fresh(w, n_choice, sizeof *w->key);
    w->expert_count = fresh_i64(w, spec->n_e);
    w->position = fresh_i64(w, n_send);
    w->send_meta = fresh_i64(w, n_send * PAR_META);
    w->send_id = fresh_i64(w, n_send);
    w->send = fresh_f64(w, n_send * spec->n_d);
}

static void carve_tables(par_work *w, const core_spec *spec,
                         const par_layout *lay)
{
    core_arena *a = &w->arena;
    const int n_member = lay->ep_group.n;
    const int n_bucket =
        core_spec_count_moe(spec, 0, (int)spec->n_l) * lay->n_my_expert;
    w->send_first = core_arena_i64(a, lay->plan.ep + 1);
    w->count_out = core_arena_i64(a, n_member);
    w->count_in = core_arena_i64(a, n_member);
    w->recv_first = core_arena_i64(a, n_member + 1);
    w->in_at = core_arena_i64(a, n_member);
    w->in_bytes = core_arena_i64(a, n_member);
    w->out_at = core_arena_i64(a, n_member);
    w->out_bytes = core_arena_i64(a, n_member);
    w->part_count = core_arena_i64(a, lay->plan.etp);
    w->gather_bytes = core_arena_i64(a, lay->plan.tp);
    w->bucket = core_arena_i64(a, n_bucket + 1);
    w->cursor = core_arena_i64(a, n_bucket);
    w->n_expert = core_arena_i64(a, (int64_t)lay->n_pair * lay->n_my_expert);
}

/* Operands of float products: as many rows of x as fit a tile, but at least one
 * block of queries with its keys.                                            */
static void carve_f32(par_work *w, const core_spec *spec, const sizes *s)
{
    core_arena *a = &w->arena;
    const int64_t latent = s->n_kv_rank + s->n_rot;
    const int64_t in[] = {spec->n_d, s->n_mlp,    s->n_f,       s->n_context,
                          s->n_c,    s->n_q_rank, s->n_kv_rank, s->n_x};
    const int64_t out[] = {spec->n_e, s->n_q, s->n_kv, s->n_v, latent,
                           s->n_kv_b};
    int64_t n_in = 0;
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        n_in = max_of(n_in, in[i]);
    int64_t n_out = n_in;
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        n_out = max_of(n_out, out[i]);
    w->chunk = max_of(16, 2 * PAR_TILE_ELEMENTS / (n_in + n_out));
    if (w->chunk > max_of(16, s->n))
        w->chunk = max_of(16, s->n);
    const int64_t n_dh = max_of(spec->n_dh, core_spec_n_dv(spec));
    const int64_t block =
        s->n_q > 0 ? PAR_QUERY_BLOCK * max_of(s->n_t, n_dh) : 0;
    w->a32 = core_arena_take(a, max_of(w->chunk * n_in, block), sizeof(float));
    w->b32 = core_arena_take(a, s->n_q > 0 ? s->n_t * n_dh : 0, sizeof(float));
    w->c32 = core_arena_take(a, max_of(w->chunk * n_out, block), sizeof(float));
}

void par__work_carve(par_work *w, const core_spec *spec, const par_layout *lay,
                     int64_t n_row, int64_t n_t)
{
    const sizes s = find_sizes(spec, lay, n_row, n_t);
    core_arena *a = &w->arena;
    w->token_id = core_arena_i64(a, s.n);
    w->cos_tj = core_arena_f64(a, n_t * (core_spec_n_rot(spec) / 2));
    w->sin_tj = core_arena_f64(a, n_t * (core_spec_n_rot(spec) / 2));
    carve_tables(w, spec, lay);
    w->x[0] = core_arena_f64(a, s.n * spec->n_d);
    w->x[1] = core_arena_f64(a, s.n * spec->n_d);
    w->n_fresh = 0;
    w->xn = fresh_f64(w, s.n * spec->n_d);
    w->out = fresh_f64(w, s.n * spec->n_d);
    /* a shared expert's sum is whole on ranks that have none of its columns */
    w->mlp_out = fresh_f64(w, spec->n_f_shared > 0 ? s.n * spec->n_d : 0);
    carve_attention(w, spec, &s);
    carve_latent(w, &s);
    carve_mamba(w, spec, &s);
    carve_mlp(w, spec, &s);
    carve_moe(w, spec, &s);
    w->logits = fresh_f64(w, s.n * s.n_v);
    carve_f32(w, spec, &s);
}

size_t par_pair_bytes(const core_spec *spec, const par_layout *layout,
                      int64_t n)
{
    const int64_t n_f = layout->first_f[layout->etp_i + 1] -
                        layout->first_f[layout->etp_i];
    const int64_t words =
        PAR_META + 10 + 2 * spec->n_d + (spec->gated ? 2 : 1) * n_f;
    return (size_t)(n * words) * sizeof(double);
}

size_t par_arena_bytes(const core_spec *spec, const par_layout *layout,
                       int64_t n_row, int64_t n_t)
{
    par_work w = {.arena = core_arena_measure()};
    par__work_carve(&w, spec, layout, n_row, n_t);
    return w.arena.peak_bytes;
}

size_t par_work_bytes(const core_spec *spec, const par_layout *layout,
                      int64_t n_row, int64_t n_t)
{
    const sizes s = find_sizes(spec, layout, n_row, n_t);
    size_t bytes = par_arena_bytes(spec, layout, n_row, n_t);
    if (core_spec_count_moe(spec, 0, (int)spec->n_l) > 0)
        bytes += par_pair_bytes(spec, layout,
                                s.n_slice * spec->n_k * layout->plan.etp);
    return bytes;
}

/* What makes reading too early visible is no work of the operator under way. */
static void poison_aside(par_model *m, void *at, size_t bytes)
{
    const par_operator op = m->op;
    par__pause(m);
    m->op = PAR_OP_CHECK;
    par__poison(at, bytes);
    par__pause(m);
    m->op = op;
}

void *par__grow(par_model *m, par_grow *buffer, int64_t n, size_t elem_bytes)
{
    const size_t need = (size_t)n * elem_bytes;
    if (need > buffer->bytes || buffer->at == NULL) {
        const int64_t room = n + n / 8 + 1;
        par__grow_free(buffer);
        const core_status status =
            core_alloc(&buffer->at, room, elem_bytes, "rows of experts");
        if (status != CORE_OK)
            par_abort(m->comm, status, "%s", core_message());
        buffer->bytes = (size_t)room * elem_bytes;
    }
    poison_aside(m, buffer->at, need);
    return buffer->at;
}

void par__grow_free(par_grow *buffer)
{
    free(buffer->at);
    *buffer = (par_grow){0};
}
