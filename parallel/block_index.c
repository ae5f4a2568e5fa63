/* parallel/block_index.c -- which blocks of keys my queries see.
 *
 * The small query of a kv head goes with that head: a rank makes those of its
 * own kv heads, two ranks the one that both read.  The small key, which all
 * heads share, is Replicate: every rank of the tensor group makes it from the
 * whole xn.  A choice is made where the head is, of whole rows of keys, so
 * nothing is reduced.  Of the sets in now.seen those of my kv heads are
 * written, in their places.  Scores are made in double, in every numerics, from
 * what taps stored.
 *
 * Traps: scores have no scale; the query's own block, whose end it may not see,
 * and those near it are seen without a score.
 */
#include "parallel/forward_impl.h"

#include <cblas.h>

typedef struct shards {
    par_shard q, k;
    const double *q_norm, *k_norm; /* [Di]                                    */
} shards;

typedef struct buffers {
    double *q, *k;  /* [n, own kv heads * Di], [n, Di]                        */
    double *edge;   /* [n, own kv heads * 2]                                  */
    double *score;  /* [PAR_QUERY_BLOCK, T]                                   */
    par_key *block; /* [blocks of a row]                                      */
} buffers;

static void *make(par_model *m, int l)
{
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n_dh = m->spec->block_index.n_dh, kv0 = mine->kv0;
    shards s;
    s.q =
        par__rows(m, CORE_W_BLOCK_Q, l, kv0 * n_dh, (kv0 + mine->n_kv) * n_dh);
    s.k = par__rows(m, CORE_W_BLOCK_K, l, 0, PAR_END);
    s.q_norm = par__norm_weight(m, CORE_W_BLOCK_Q_NORM, l, 0, PAR_END);
    s.k_norm = par__norm_weight(m, CORE_W_BLOCK_K_NORM, l, 0, PAR_END);
    return par__keep(&m->shards, &s, sizeof s);
}

static int64_t most_kv(const par_layout *lay)
{
    int64_t n = 0;
    for (int kind = 0; kind < CORE_HEAD_KINDS; kind++)
        n = lay->heads[kind].n_kv > n ? lay->heads[kind].n_kv : n;
    return n;
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const core_block_index *index = &spec->block_index;
    const int64_t n_kv = most_kv(lay), n_dh = index->n_dh, n_t = w->n_t;
    const int64_t n_block = (n_t + index->n_key - 1) / index->n_key;
    buffers b;
    b.q = par__result(w, n_kv * n_dh);
    b.k = par__result(w, n_dh);
    b.edge = par__result(w, n_kv * 2);
    b.score = par__fresh_f64(w, PAR_QUERY_BLOCK * n_t);
    b.block = par__fresh(w, n_block, sizeof(par_key));
    return par__keep_buffers(w, &b, sizeof b);
}

static void show(par_model *m, core_tap tap, double *x, bool is_key)
{
    if (is_key)
        par__tap_replicated(m, tap, x);
    else
        par__tap_groups(m, tap, x, m->spec->block_index.n_dh);
}

/* x [n, n_head*Di], queries of my kv heads, or the key, which is kept. */
static void norm_and_rotate(par_model *m, double *x, int64_t n_head,
                            const double *norm, bool is_key, int l)
{
    const int64_t n_dh = m->spec->block_index.n_dh;
    const core_tap normed =
        par__tap(is_key ? CORE_TAP_BLOCK_K_NORM : CORE_TAP_BLOCK_Q_NORM, l);
    const core_tap roped =
        par__tap(is_key ? CORE_TAP_BLOCK_K_ROPE : CORE_TAP_BLOCK_Q_ROPE, l);
    par__rms_rows(m, x, n_dh, x, n_dh, m->now.n * n_head, n_dh, norm,
                  m->spec->norm_eps, normed);
    show(m, normed, x, is_key);
    if (core_spec_has_rope(m->spec, l)) {
        par__rope(m, x, n_head * n_dh, n_head, n_dh, roped);
        show(m, roped, x, is_key);
    }
    if (is_key)
        par__cost_is_kv(m);
}

static void make_heads(par_model *m, const shards *s, const buffers *b, int l)
{
    const par_work *w = &m->work;
    const int64_t n_d = m->spec->n_d;
    const core_tap q_tap = par__tap(CORE_TAP_BLOCK_Q, l);
    const core_tap k_tap = par__tap(CORE_TAP_BLOCK_K, l);
    par__affine(m, b->q, w->xn, n_d, &s->q, q_tap);
    show(m, q_tap, b->q, false);
    par__affine(m, b->k, w->xn, n_d, &s->k, k_tap);
    show(m, k_tap, b->k, true);
    norm_and_rotate(m, b->q, par__heads_of(m, l)->n_kv, s->q_norm, false, l);
    norm_and_rotate(m, b->k, 1, s->k_norm, true, l);
}

/* The largest of n scores; a NaN is it. */
static double best_of(const double *s, int64_t n)
{
    double best = s[0];
    for (int64_t j = 1; j < n; j++)
        best = s[j] > best || s[j] != s[j] ? s[j] : best;
    return best;
}

/* The set of query i, whose scores are s [i + 1], and its edge. */
static void choose(const par_model *m, const buffers *b, int64_t i,
                   const double *s, int64_t *set, double *edge)
{
    const core_block_index *index = &m->spec->block_index;
    const int64_t own = i / index->n_key, n_seen = m->spec->n_seen;
    int64_t near0 = own + 1 - index->n_local;
    near0 = near0 < 0 ? 0 : near0;
    const int64_t n_room = n_seen - (own + 1 - near0);
    for (int64_t c = 0; c < near0; c++)
        b->block[c] = (par_key){
            .score = best_of(s + c * index->n_key, index->n_key), .at = c};
    par__best_keys(b->block, near0, set, n_room, edge);
    int64_t n = near0 < n_room ? near0 : n_room;
    for (int64_t c = near0; c <= own; c++)
        set[n++] = c;
    for (; n < n_seen; n++)
        set[n] = -1;
}

static void check_scores(par_model *m, const buffers *b, int64_t n_kv, int l)
{
    const int64_t n_dh = m->spec->block_index.n_dh;
    if (m->numerics != CORE_EXACT)
        return;
    const par_operator op = par__charge(m, PAR_OP_CHECK);
    double longest = 0.0;
    for (int64_t r = 0; r < m->now.n_row; r++)
        longest = par__worse(
            longest, core_max_row_norm(par__kept_tokens(m, l, r, b->k, n_dh),
                                       par__row_end(m, r), n_dh, n_dh));
    par__check(m, par__tap(CORE_TAP_EDGE, l),
               core_max_row_norm(b->q, m->now.n * n_kv, n_dh, n_dh), longest,
               CORE_STEP_ACT, CORE_STEP_ACT);
    par__charge(m, op);
}

/* Queries and keys in, an edge and a set out for every kv head.  Of the scores
 * that are made those of later keys are not looked at.                       */
static void count(par_model *m, int64_t n_kv, int l)
{
    const int64_t n = m->now.n, n_dh = m->spec->block_index.n_dh;
    core_cost *cost = par__cost(m, CORE_COST_GEMM, par__tap(CORE_TAP_EDGE, l));
    cost->m = n;
    cost->n = m->batch->n_t;
    cost->k = n_kv * n_dh;
    cost->read = n * n_kv * n_dh;
    cost->kv_read = par__keys(m) * n_dh;
    cost->written = n * n_kv * (m->spec->n_seen + 2);
    for (int64_t r = 0; r < m->now.n_row; r++) {
        const int64_t n_new = par__row_tokens(m, r).n;
        cost->n_pair +=
            n_new * (par__row_end(m, r) - n_new) + n_new * (n_new + 1) / 2;
    }
    cost->flops = n_kv * cost->n_pair; /* comparisons */
}

/* Of kv head g of mine, the sets of row r. */
static void choose_row(par_model *m, const buffers *b, int64_t r, int64_t g,
                       int l)
{
    const par_heads *mine = par__heads_of(m, l);
    const core_seen sets = core_spec_seen(m->spec, l);
    const int64_t n_kv = mine->n_kv, n_entry = sets.n_set * sets.n_key;
    const int64_t n_dh = m->spec->block_index.n_dh, ld_q = n_kv * n_dh;
    const par_run row = par__row_tokens(m, r);
    const int64_t t0 = par__row_end(m, r) - row.n;
    const double *q = b->q + row.i0 * ld_q + g * n_dh;
    const double *k = par__kept_tokens(m, l, r, b->k, n_dh);
    for (int64_t i0 = 0, n_i; i0 < row.n; i0 += n_i) {
        n_i = PAR_QUERY_BLOCK < row.n - i0 ? PAR_QUERY_BLOCK : row.n - i0;
        const int64_t n_key = t0 + i0 + n_i;
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n_i,
                    (int)n_key, (int)n_dh, 1.0, q + i0 * ld_q, (int)ld_q, k,
                    (int)n_dh, 0.0, b->score, (int)n_key);
        m->cost.record.flops += CORE_FLOPS_MULTIPLY_ADD * n_i * n_key * n_dh;
        for (int64_t i = i0; i < i0 + n_i; i++)
            choose(m, b, t0 + i, b->score + (i - i0) * n_key,
                   m->now.seen + (row.i0 + i) * n_entry +
                       (mine->kv0 + g) * sets.n_key,
                   b->edge + ((row.i0 + i) * n_kv + g) * 2);
    }
}

static void run(par_model *m, const void *of_layer, int l, double *out)
{
    const buffers *b = m->work.chooser;
    const int64_t n_kv = par__heads_of(m, l)->n_kv;
    const core_tap tap = par__tap(CORE_TAP_EDGE, l);
    (void)out;
    par__enter(m, PAR_OP_BLOCK_INDEX, par__tap(CORE_TAP_BLOCK_Q, l));
    make_heads(m, of_layer, b, l);
    par__keep_tokens(m, l, b->k, m->spec->block_index.n_dh);
    count(m, n_kv, l);
    check_scores(m, b, n_kv, l);
    for (int64_t task = 0; task < m->now.n_row * n_kv; task++)
        choose_row(m, b, task / n_kv, task % n_kv, l);
    par__tap_groups(m, tap, b->edge, 2);
}

/* The small key. */
static int64_t n_kept(const core_spec *spec, const par_layout *lay, int l,
                      int64_t n_t)
{
    (void)lay;
    (void)l;
    return n_t * spec->block_index.n_dh;
}

const par__entry par__block_index = {
    .placement = "block index: key     pp Shard(layer), dp Replicate, tp "
                 "Replicate; its queries, norms, sets tp Shard(kv heads)",
    .kept = n_kept,
    .make = make,
    .carve = carve,
    .run = run,
};
