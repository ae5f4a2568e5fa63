/* parallel/qkv.c -- queries, keys and values straight from the normed input.
 *
 * All three are column-parallel: the rows of my query heads, and those of the
 * kv heads that they read, which another rank may have, too.  Values may be the
 * keys before any norm: then there is no third projection.
 */
#include "parallel/forward_impl.h"

#include <string.h>

typedef struct shards {
    par_shard q, k, v;
    const double *q_norm, *k_norm; /* [Dh], or of my heads                    */
} shards;

static void *make(par_model *m, int l)
{
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n_dh = mine->all.n_dh, n_dv = mine->all.n_dv;
    const int64_t q0 = mine->h0 * n_dh, q1 = q0 + mine->n_h * n_dh;
    const int64_t kv0 = mine->kv0, kv1 = kv0 + mine->n_kv;
    const int64_t k0 = kv0 * n_dh, k1 = kv1 * n_dh;
    const bool per_head = m->spec->qk_norm != CORE_QK_NORM_ALL;
    shards s = {0};
    s.q = par__rows(m, CORE_W_Q, l, q0, q1);
    s.k = par__rows(m, CORE_W_K, l, k0, k1);
    if (!mine->all.v_is_k)
        s.v = par__rows(m, CORE_W_V, l, kv0 * n_dv, kv1 * n_dv);
    s.q_norm = per_head ? par__norm_weight(m, CORE_W_Q_NORM, l, 0, PAR_END)
                        : par__norm_weight(m, CORE_W_Q_NORM, l, q0, q1);
    s.k_norm = per_head ? par__norm_weight(m, CORE_W_K_NORM, l, 0, PAR_END)
                        : par__norm_weight(m, CORE_W_K_NORM, l, k0, k1);
    return par__keep(&m->shards, &s, sizeof s);
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const bool over_all = spec->qk_norm == CORE_QK_NORM_ALL;
    int64_t n_v = 0;
    for (int kind = 0; kind < CORE_HEAD_KINDS; kind++) {
        const par_heads *mine = &lay->heads[kind];
        const int64_t n = mine->n_kv * mine->all.n_dv;
        n_v = n > n_v ? n : n_v;
    }
    w->v = par__result(w, n_v);
    w->square = par__fresh_f64(w, over_all ? 2 * w->n : 0);
    return NULL;
}

/* w->v of my kv heads, from the keys as they are now or from xn. */
static void make_values(par_model *m, const shards *s, int l)
{
    par_work *w = &m->work;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n = m->now.n, n_dv = mine->all.n_dv;
    const core_tap tap = par__tap(CORE_TAP_V, l);
    const core_tap norm_tap = par__tap(CORE_TAP_V_NORM, l);
    w->v_first = 0;
    w->v_step = n_dv;
    w->ld_v = mine->n_kv * n_dv;
    if (mine->all.v_is_k) {
        memcpy(w->v, w->k, (size_t)(n * w->ld_v) * sizeof *w->v);
    } else {
        par__affine(m, w->v, w->xn, m->spec->n_d, &s->v, tap);
        par__clip(m, w->v, n * s->v.n_row);
        par__tap_kv(m, tap, w->v, n_dv);
    }
    if (!m->spec->value_norm)
        return;
    par__rms_rows(m, w->v, n_dv, w->v, n_dv, n * mine->n_kv, n_dv, NULL,
                  m->spec->norm_eps, norm_tap);
    par__tap_kv(m, norm_tap, w->v, n_dv);
}

/* Where queries and keys are normed later, their clamp comes later, too. */
static void project(par_model *m, const shards *s, int l)
{
    par_work *w = &m->work;
    const core_qk_norm norm = m->spec->qk_norm;
    const bool early = norm != CORE_QK_NORM_HEAD && norm != CORE_QK_NORM_ALL;
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n = m->now.n, n_d = m->spec->n_d;
    const int64_t n_dh = mine->all.n_dh;
    const core_tap q_tap = par__tap(CORE_TAP_Q, l);
    const core_tap k_tap = par__tap(CORE_TAP_K, l);
    par__enter(m, PAR_OP_QKV, q_tap);
    par__affine(m, w->q, w->xn, n_d, &s->q, q_tap);
    par__clip(m, w->q, early ? n * s->q.n_row : 0);
    par__tap_heads(m, q_tap, w->q, n_dh);
    par__affine(m, w->k, w->xn, n_d, &s->k, k_tap);
    par__clip(m, w->k, early ? n * s->k.n_row : 0);
    par__tap_kv(m, k_tap, w->k, n_dh);
}

/* At the end queries and keys are rotated, or in a layer without rope queries
 * tempered.                                                                  */
static void run(par_model *m, const void *of_layer, int l, double *out)
{
    const shards *s = of_layer;
    par_work *w = &m->work;
    const int64_t n_dh = par__heads_of(m, l)->all.n_dh, n_q = s->q.n_row,
                  n_k = s->k.n_row;
    const core_tap q_tap = par__tap(CORE_TAP_Q_ROPE, l);
    const core_tap k_tap = par__tap(CORE_TAP_K_ROPE, l);
    (void)out;
    project(m, s, l);
    make_values(m, s, l);
    par__qk_norm(m, s->q_norm, s->k_norm, l);
    if (!core_spec_has_rope(m->spec, l)) {
        par__temper(m, l);
        return;
    }
    par__rope(m, w->q, n_q, n_q / n_dh, n_dh, q_tap);
    par__tap_heads(m, q_tap, w->q, n_dh);
    par__rope(m, w->k, n_k, n_k / n_dh, n_dh, k_tap);
    par__tap_kv(m, k_tap, w->k, n_dh);
    par__qk_norm_roped(m, s->q_norm, s->k_norm, l);
}

const par__entry par__qkv = {.make = make, .carve = carve, .run = run};
