/* parallel/onekv.c -- one vector per token as key and value of every head.
 *
 * Queries are Shard(head): the short vector they come from is made whole on
 * every rank of the tensor group.  So is the one key, which all of them hold,
 * make and show; it is read as value, too.  What attention gives is rotated
 * back where its head is.
 */
#include "parallel/forward_impl.h"

typedef struct shards {
    par_shard q_a, q, k;
    const double *q_a_norm, *k_norm;
    const par_digests *digests; /* NULL: the layer has none                   */
} shards;

typedef struct buffers {
    double *q_a, *q_a_norm; /* [n, Rq]                                        */
} buffers;

static void *make(par_model *m, int l)
{
    static const par__digest_kinds of_keys = {
        CORE_W_DIGEST_KV,   CORE_W_DIGEST_GATE,   CORE_W_DIGEST_BIAS,
        CORE_W_DIGEST_NORM, CORE_TAP_DIGEST_KV,   CORE_TAP_DIGEST_GATE,
        CORE_TAP_DIGEST,    CORE_TAP_DIGEST_NORM, CORE_TAP_DIGEST_ROPE,
        par__state};
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n_dh = mine->all.n_dh, q0 = mine->h0 * n_dh;
    shards s;
    s.q_a = par__rows(m, CORE_W_Q_A, l, 0, PAR_END);
    s.q = par__rows(m, CORE_W_Q, l, q0, q0 + mine->n_h * n_dh);
    s.k = par__rows(m, CORE_W_K, l, 0, PAR_END);
    s.q_a_norm = par__vector(m, CORE_W_Q_A_NORM, l, 0, PAR_END);
    s.k_norm = par__vector(m, CORE_W_K_NORM, l, 0, PAR_END);
    s.digests = core_spec_digest_run(m->spec, l) > 0
                    ? par__digests_make(m, l, &of_keys)
                    : NULL;
    return par__keep(&m->shards, &s, sizeof s);
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    buffers b;
    (void)lay;
    b.q_a = par__result(w, spec->n_q_rank);
    b.q_a_norm = par__operand(w, spec->n_q_rank);
    w->q_a = b.q_a_norm;
    par__digests_carve(w, spec);
    return par__keep_buffers(w, &b, sizeof b);
}

/* The queries of my heads, each of norm 1 but for rounding and sqrt(Dh). */
static void queries(par_model *m, const shards *s, int l)
{
    par_work *w = &m->work;
    const buffers *b = w->projection;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n = m->now.n, n_dh = mine->all.n_dh, n_r = m->spec->n_q_rank;
    const double eps = m->spec->norm_eps;
    core_tap tap = par__tap(CORE_TAP_Q_A, l);
    par__enter(m, PAR_OP_ONEKV, tap);
    par__affine(m, b->q_a, w->xn, m->spec->n_d, &s->q_a, tap);
    par__tap_replicated(m, tap, b->q_a);
    tap = par__tap(CORE_TAP_Q_A_NORM, l);
    par__rms_rows(m, b->q_a_norm, n_r, b->q_a, n_r, n, n_r, s->q_a_norm, eps,
                  tap);
    par__tap_replicated(m, tap, b->q_a_norm);
    tap = par__tap(CORE_TAP_Q, l);
    par__enter(m, PAR_OP_QKV, tap);
    par__affine_columns(m, w->q, b->q_a_norm, n_r, &s->q, tap);
    tap = par__tap(CORE_TAP_Q_NORM, l);
    par__rms_rows(m, w->q, n_dh, w->q, n_dh, n * mine->n_h, n_dh, NULL, eps,
                  tap);
    par__tap_heads(m, tap, w->q, n_dh);
}

/* w->k, which every rank of the tensor group makes. */
static void key(par_model *m, const shards *s, int l)
{
    par_work *w = &m->work;
    const int64_t n_dh = s->k.n_row;
    core_tap tap = par__tap(CORE_TAP_K, l);
    par__enter(m, PAR_OP_ONEKV, tap);
    par__affine(m, w->k, w->xn, m->spec->n_d, &s->k, tap);
    par__tap_kv(m, tap, w->k, n_dh);
    tap = par__tap(CORE_TAP_K_NORM, l);
    par__rms_rows(m, w->k, n_dh, w->k, n_dh, m->now.n, n_dh, s->k_norm,
                  m->spec->norm_eps, tap);
    par__tap_kv(m, tap, w->k, n_dh);
}

static void run(par_model *m, const void *of_layer, int l, double *out)
{
    const shards *s = of_layer;
    par_work *w = &m->work;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n_dh = mine->all.n_dh, first = n_dh - mine->all.n_rot;
    core_tap tap = par__tap(CORE_TAP_Q_ROPE, l);
    (void)out;
    queries(m, s, l);
    key(m, s, l);
    par__enter(m, PAR_OP_QKV, tap);
    par__rope(m, w->q + first, mine->n_h * n_dh, mine->n_h, n_dh, tap);
    par__tap_heads(m, tap, w->q, n_dh);
    tap = par__tap(CORE_TAP_K_ROPE, l);
    par__enter(m, PAR_OP_ONEKV, tap);
    par__rope(m, w->k + first, n_dh, 1, n_dh, tap);
    par__tap_kv(m, tap, w->k, n_dh);
    w->v = w->k; /* and so it is stored where the key is */
    w->ld_v = n_dh;
    w->v_first = 0;
    w->v_step = n_dh;
    if (s->digests != NULL) {
        par__digests(m, s->digests, w->digest, l);
        par__read_in(m, CORE_SLOT_KV, w->digest, n_dh);
        par__digests_keep(m, s->digests, w->digest, l);
    }
}

/* Of digests. */
static int64_t n_kept(const core_spec *spec, const par_layout *lay, int l,
                      int64_t n_t)
{
    (void)lay;
    return par__digests_kept(spec, l, n_t, core_spec_heads(spec, l).n_dh);
}

const par__entry par__onekv = {
    .placement = "the key and value    pp Shard(layer), dp Replicate, tp "
                 "Replicate; short query likewise, queries tp Shard(heads)",
    .is_replicated = true,
    .kept = n_kept,
    .make = make,
    .carve = carve,
    .run = run,
};
