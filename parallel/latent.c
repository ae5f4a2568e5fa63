/* parallel/latent.c -- latent attention: keys and values out of one vector.
 *
 * What compresses (q_a, kv_a) and the norms of the latents are Replicate: every
 * rank of the tensor group makes the same latents from the whole xn, and the
 * rotated key, one head that all share, with them.  What expands (q, kv_b) is
 * Shard(head).  So nothing is reduced before the output projection.
 *
 * Traps: the latent norms have an eps of their own; of a head the LAST Dr
 * elements are rotated, where a layer has rope; the rows of kv_b go head by
 * head, key part then value.
 */
#include "parallel/forward_impl.h"

#include <string.h>

static const double LATENT_EPS = 1e-6;

typedef struct shards {
    par_shard q, q_a, kv_a, kv_b;
    const double *q_a_norm, *kv_a_norm;
} shards;

typedef struct buffers {
    double *q_a, *q_a_norm;   /* [n, Rq]                                      */
    double *kv_a, *kv_a_norm; /* [n, Rkv + Dr], [n, Rkv]                      */
    double *kv_b;             /* [n, own heads * (Dn + Dv)]                   */
    double *k_rope;           /* [n, Dr] one head for all                     */
} buffers;

/* Columns of kv_b for a head: key part, then value. */
static int64_t n_key_part(const core_heads *heads)
{
    return heads->n_dh - heads->n_rot;
}

static int64_t n_expanded(const core_heads *heads)
{
    return n_key_part(heads) + heads->n_dv;
}

static void *make(par_model *m, int l)
{
    const core_spec *spec = m->spec;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t h0 = mine->h0, h1 = h0 + mine->n_h, n_dh = mine->all.n_dh;
    const int64_t width = n_expanded(&mine->all);
    shards s = {0};
    s.q = par__rows(m, CORE_W_Q, l, h0 * n_dh, h1 * n_dh);
    if (spec->n_q_rank > 0)
        s.q_a = par__rows(m, CORE_W_Q_A, l, 0, PAR_END);
    s.q_a_norm = par__vector(m, CORE_W_Q_A_NORM, l, 0, PAR_END);
    s.kv_a = par__rows(m, CORE_W_KV_A, l, 0, PAR_END);
    s.kv_a_norm = par__vector(m, CORE_W_KV_A_NORM, l, 0, PAR_END);
    s.kv_b = par__rows(m, CORE_W_KV_B, l, h0 * width, h1 * width);
    return par__keep(&m->shards, &s, sizeof s);
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const par_heads *mine = &lay->heads[0];
    const int64_t n_rot = mine->all.n_rot;
    buffers b;
    b.q_a = par__result(w, spec->n_q_rank);
    b.q_a_norm = w->q_a = par__operand(w, spec->n_q_rank);
    b.kv_a = par__result(w, spec->n_kv_rank + n_rot);
    b.kv_a_norm = par__operand(w, spec->n_kv_rank);
    b.k_rope = par__result(w, n_rot);
    w->v_step = n_expanded(&mine->all);
    w->v_first = n_key_part(&mine->all);
    w->ld_v = mine->n_h * w->v_step;
    b.kv_b = w->v = par__result(w, w->ld_v);
    return par__keep_buffers(w, &b, sizeof b);
}

/* y = x W^T + b, and z = norm of its first n_r columns: whole on every rank. */
static void compress(par_model *m, double *y, const par_shard *w, core_tap tap,
                     double *z, int64_t n_r, const double *norm,
                     core_tap norm_tap)
{
    par__enter(m, PAR_OP_LATENT, tap);
    par__affine(m, y, m->work.xn, m->spec->n_d, w, tap);
    par__tap_replicated(m, tap, y);
    par__rms_rows(m, z, n_r, y, w->n_row, m->now.n, n_r, norm, LATENT_EPS,
                  norm_tap);
    par__tap_replicated(m, norm_tap, z);
}

static void queries(par_model *m, const shards *s, int l)
{
    par_work *w = &m->work;
    const buffers *b = w->projection;
    const int64_t n_r = m->spec->n_q_rank;
    const core_tap tap = par__tap(CORE_TAP_Q, l);
    if (n_r > 0)
        compress(m, b->q_a, &s->q_a, par__tap(CORE_TAP_Q_A, l), b->q_a_norm,
                 n_r, s->q_a_norm, par__tap(CORE_TAP_Q_A_NORM, l));
    par__enter(m, PAR_OP_QKV, tap);
    par__affine_columns(m, w->q, n_r > 0 ? b->q_a_norm : w->xn, s->q.n_col,
                        &s->q, tap);
}

static void keys_and_values(par_model *m, const shards *s, int l)
{
    const buffers *b = m->work.projection;
    const int64_t n_r = m->spec->n_kv_rank;
    const core_tap tap = par__tap(CORE_TAP_KV_B, l);
    compress(m, b->kv_a, &s->kv_a, par__tap(CORE_TAP_KV_A, l), b->kv_a_norm,
             n_r, s->kv_a_norm, par__tap(CORE_TAP_KV_A_NORM, l));
    par__enter(m, PAR_OP_QKV, tap);
    par__affine(m, b->kv_b, b->kv_a_norm, n_r, &s->kv_b, tap);
    par__cost_is_kv(m);
    par__tap_heads(m, tap, b->kv_b, m->work.v_step);
}

/* k of n tokens: the key part of each of my heads, then the rotated key of all;
 * ld from token to token of that.                                            */
static void assemble_keys(const par_heads *mine, int64_t n, double *k,
                          const double *kv_b, const double *rotated, int64_t ld)
{
    const int64_t n_dh = mine->all.n_dh, n_part = n_key_part(&mine->all);
    const int64_t n_rot = n_dh - n_part, n_h = mine->n_h;
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < n_h; h++, k += n_dh) {
            memcpy(k, kv_b + (i * n_h + h) * n_expanded(&mine->all),
                   (size_t)n_part * sizeof *k);
            memcpy(k + n_part, rotated + i * ld, (size_t)n_rot * sizeof *k);
        }
}

/* Queries in place, and the shared part of the keys in b->k_rope. */
static void rotate(par_model *m, const par_heads *mine, int l)
{
    par_work *w = &m->work;
    const buffers *b = w->projection;
    const int64_t n_dh = mine->all.n_dh, n_rot = mine->all.n_rot;
    const core_tap q_tap = par__tap(CORE_TAP_Q_ROPE, l);
    const core_tap k_tap = par__tap(CORE_TAP_K_ROPE, l);
    par__rope(m, w->q + n_dh - n_rot, mine->n_h * n_dh, mine->n_h, n_dh, q_tap);
    par__tap_heads(m, q_tap, w->q, n_dh);
    par__enter(m, PAR_OP_LATENT, k_tap);
    par__rope(m, b->k_rope, n_rot, 1, n_rot, k_tap);
    par__tap_replicated(m, k_tap, b->k_rope);
}

static void run(par_model *m, const void *of_layer, int l, double *out)
{
    const shards *s = of_layer;
    const buffers *b = m->work.projection;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n_r = m->spec->n_kv_rank, n_rot = mine->all.n_rot;
    const bool has_rope = core_spec_has_rope(m->spec, l);
    const core_tap tap =
        par__tap(has_rope ? CORE_TAP_K_ROPE : CORE_TAP_KV_A, l);
    (void)out;
    queries(m, s, l);
    keys_and_values(m, s, l);
    for (int64_t i = 0; i < m->now.n; i++)
        memcpy(b->k_rope + i * n_rot, b->kv_a + i * (n_r + n_rot) + n_r,
               (size_t)n_rot * sizeof(double));
    if (has_rope)
        rotate(m, mine, l);
    par__enter(m, PAR_OP_LATENT, tap);
    par__cost_rows(m, tap, m->now.n, mine->n_h * mine->all.n_dh, 0);
    par__cost_is_kv(m);
    assemble_keys(mine, m->now.n, m->work.k, b->kv_b, b->k_rope, n_rot);
}

int64_t par__latent_columns(const core_spec *spec)
{
    return spec->n_kv_rank + core_spec_heads_of(spec, 0).n_rot;
}

void par__latent_keep(const par_model *m, int64_t i, double *to)
{
    const buffers *b = m->work.projection;
    const int64_t n_r = m->spec->n_kv_rank;
    const int64_t n_rot = par__latent_columns(m->spec) - n_r;
    memcpy(to, b->kv_a_norm + i * n_r, (size_t)n_r * sizeof *to);
    memcpy(to + n_r, b->k_rope + i * n_rot, (size_t)n_rot * sizeof *to);
}

void par__latent_expand(par_model *m, int l, const double *kept, int64_t n,
                        double *k, double *kv_b)
{
    const par_attention *attention = par__layer(m, l)->mixer;
    const shards *s = attention->projection;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t ld = par__latent_columns(m->spec), n_kv = s->kv_b.n_row;
    const core_tap tap = par__tap(CORE_TAP_KV_B, l);
    par__product(m, kv_b, n_kv, kept, ld, n, &s->kv_b, tap);
    par__store(m, tap.kind, kv_b, n * n_kv);
    assemble_keys(mine, n, k, kv_b, kept + m->spec->n_kv_rank, ld);
}

const par__entry par__latent = {
    .placement = "latents of q, k, v   pp Shard(layer), dp Replicate, tp "
                 "Replicate; what expands them tp Shard(heads)",
    .is_replicated = true,
    .make = make,
    .carve = carve,
    .run = run,
};
