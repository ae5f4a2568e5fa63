/* parallel/indexer.c -- the indexer: which keys the queries attend to.
 *
 * Replicate: every rank of the tensor group scores all keys with all heads of
 * the indexer and chooses, so that nothing is reduced and all ranks attend to
 * the same keys, whichever heads they have.  That they chose the same is
 * checked where the choice is shown.
 *
 * A score is summed in double over the indexer's heads, from what the taps
 * stored, in every numerics; the factor of all scores, which is positive, waits
 * until the best are known.
 */
#include "parallel/forward_impl.h"

#include <cblas.h>
#include <math.h>

static const double KEY_EPS = 1e-6;

typedef struct shards {
    par_shard q, k, weight;
    par_norm k_norm;
} shards;

typedef struct buffers {
    double *q, *k;  /* [n, Hi*Di], [n, Di] rotated                           */
    double *k_raw;  /* [n, Di]                                              */
    double *weight; /* [n, Hi]                                              */
    double *edge;   /* [n, 2]                                               */
    double *dot;    /* [PAR_QUERY_BLOCK, T] of one head                     */
    double *score;  /* [PAR_QUERY_BLOCK, T]                                 */
    par_key *all;   /* [T] keys of one query                                */
} buffers;

static void *make(par_model *m, int l)
{
    shards s = {0};
    s.q = par__rows(m, CORE_W_INDEX_Q, l, 0, PAR_END);
    s.k = par__rows(m, CORE_W_INDEX_K, l, 0, PAR_END);
    s.weight = par__rows(m, CORE_W_INDEX_WEIGHT, l, 0, PAR_END);
    s.k_norm.weight = par__vector(m, CORE_W_INDEX_K_NORM, l, 0, PAR_END);
    s.k_norm.bias = par__vector(m, CORE_W_INDEX_K_NORM_BIAS, l, 0, PAR_END);
    return par__keep(&m->shards, &s, sizeof s);
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const core_indexer *index = &spec->indexer;
    buffers b;
    (void)lay;
    b.q = par__result(w, index->n_h * index->n_dh);
    b.k = par__result(w, index->n_dh);
    b.k_raw = par__result(w, index->n_dh);
    b.weight = par__result(w, index->n_h);
    b.edge = par__result(w, 2);
    b.dot = par__fresh_f64(w, PAR_QUERY_BLOCK * w->n_t);
    b.score = par__fresh_f64(w, PAR_QUERY_BLOCK * w->n_t);
    b.all = par__fresh(w, w->n_t, sizeof *b.all);
    return par__keep_buffers(w, &b, sizeof b);
}

/* y = x W^T, whole on every rank. */
static void project(par_model *m, double *y, const double *x, int64_t n_x,
                    const par_shard *w, core_tap tap)
{
    par__enter(m, PAR_OP_INDEXER, tap);
    par__affine(m, y, x, n_x, w, tap);
    par__tap_replicated(m, tap, y);
}

static void rotate(par_model *m, double *x, int64_t n_head, core_tap tap)
{
    const core_indexer *index = &m->spec->indexer;
    par__enter(m, PAR_OP_INDEXER, tap);
    par__rope_pairs(m, x, n_head * index->n_dh, n_head, index->n_dh,
                    index->interleaved, tap);
    par__tap_replicated(m, tap, x);
}

static void prepare(par_model *m, const shards *s, const buffers *b, int l)
{
    const core_spec *spec = m->spec;
    const int64_t n_dh = spec->indexer.n_dh;
    const core_tap norm = par__tap(CORE_TAP_INDEX_K_NORM, l);
    project(m, b->q, m->work.q_a, spec->n_q_rank, &s->q,
            par__tap(CORE_TAP_INDEX_Q, l));
    project(m, b->k_raw, m->work.xn, spec->n_d, &s->k,
            par__tap(CORE_TAP_INDEX_K, l));
    par__enter(m, PAR_OP_INDEXER, norm);
    par__layer_rows(m, b->k, b->k_raw, m->now.n, n_dh, &s->k_norm, KEY_EPS,
                    norm);
    par__tap_replicated(m, norm, b->k);
    rotate(m, b->q, spec->indexer.n_h, par__tap(CORE_TAP_INDEX_Q_ROPE, l));
    rotate(m, b->k, 1, par__tap(CORE_TAP_INDEX_K_ROPE, l));
    par__cost_is_kv(m);
    project(m, b->weight, m->work.xn, spec->n_d, &s->weight,
            par__tap(CORE_TAP_INDEX_WEIGHT, l));
}

/* score [n_i, n_key] of tokens i0.. of the micro-batch, with keys k [n_key, Di]
 */
static void score(par_model *m, const buffers *b, int64_t i0, int64_t n_i,
                  const double *k, int64_t n_key)
{
    const int64_t n_h = m->spec->indexer.n_h, n_dh = m->spec->indexer.n_dh;
    for (int64_t c = 0; c < n_i * n_key; c++)
        b->score[c] = 0.0;
    for (int64_t h = 0; h < n_h; h++) {
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n_i,
                    (int)n_key, (int)n_dh, 1.0, b->q + (i0 * n_h + h) * n_dh,
                    (int)(n_h * n_dh), k, (int)n_dh, 0.0, b->dot, (int)n_key);
        for (int64_t c = 0; c < n_i * n_key; c++)
            if (!(b->dot[c] <= 0.0))
                b->score[c] +=
                    b->weight[(i0 + c / n_key) * n_h + h] * b->dot[c];
    }
    m->cost.record.flops += CORE_FLOPS_MULTIPLY_ADD * n_i * n_key * n_h * n_dh;
}

/* The best of the keys that token `at` of the micro-batch may see, which is
 * number i of its row.                                                       */
static void choose(par_model *m, const buffers *b, int64_t at, int64_t i,
                   const double *s, const uint8_t *mask)
{
    const int64_t n_seen = m->spec->n_seen;
    const core_indexer *index = &m->spec->indexer;
    double *edge = b->edge + 2 * at;
    int64_t n = 0;
    for (int64_t j = 0; j <= i; j++)
        if (mask == NULL || mask[j] != 0)
            b->all[n++] = (par_key){s[j], j};
    par__best_keys(b->all, n, m->now.seen + at * n_seen, n_seen, edge);
    for (int e = 0; e < 2; e++)
        edge[e] *= 1.0 / sqrt((double)(index->n_h * index->n_dh));
    m->cost.record.n_pair += i + 1;
    m->cost.record.flops += (i + 1) * index->n_h * CORE_FLOPS_INDEX;
}

/* Magnitudes of a score's terms: sum_h |w_h| |q_h|, times the largest |k|. */
static void check_scores(par_model *m, const buffers *b, core_tap tap)
{
    const int64_t n_h = m->spec->indexer.n_h, n_dh = m->spec->indexer.n_dh;
    if (m->numerics != CORE_EXACT)
        return;
    const par_operator op = par__charge(m, PAR_OP_CHECK);
    double most = 0.0, longest = 0.0;
    for (int64_t t = 0; t < m->now.n; t++) {
        double sum = 0.0;
        for (int64_t h = 0; h < n_h; h++)
            sum +=
                fabs(b->weight[t * n_h + h]) *
                core_max_row_norm(b->q + (t * n_h + h) * n_dh, 1, n_dh, n_dh);
        most = par__worse(most, sum);
    }
    for (int64_t r = 0; r < m->now.n_row; r++)
        longest = par__worse(
            longest,
            core_max_row_norm(par__kept_tokens(m, tap.layer, r, b->k, n_dh),
                              par__row_end(m, r), n_dh, n_dh));
    par__check(m, tap, most, longest, CORE_STEP_ACT * CORE_STEP_ACT,
               CORE_STEP_ACT);
    par__charge(m, op);
}

static void count_operands(par_model *m, core_tap tap)
{
    const int64_t n = m->now.n, n_h = m->spec->indexer.n_h;
    const int64_t n_dh = m->spec->indexer.n_dh;
    core_cost *cost = par__cost(m, CORE_COST_GEMM, tap);
    cost->m = n;
    cost->n = m->batch->n_t;
    cost->k = n_h * n_dh;
    cost->read = n * n_h * (n_dh + 1);
    cost->kv_read = par__keys(m) * n_dh;
    cost->written = n * (m->spec->n_seen + 2);
}

static void run(par_model *m, const void *of_layer, int l, double *out)
{
    const buffers *b = m->work.chooser;
    const int64_t n_dh = m->spec->indexer.n_dh;
    const core_tap tap = par__tap(CORE_TAP_EDGE, l);
    (void)out;
    prepare(m, of_layer, b, l);
    par__keep_tokens(m, l, b->k, n_dh);
    par__enter(m, PAR_OP_INDEXER, tap);
    count_operands(m, tap);
    check_scores(m, b, tap);
    for (int64_t r = 0; r < m->now.n_row; r++) {
        const par_run row = par__row_tokens(m, r);
        const int64_t t0 = par__row_end(m, r) - row.n;
        const double *k = par__kept_tokens(m, l, r, b->k, n_dh);
        const uint8_t *mask = m->batch->mask;
        if (mask != NULL)
            mask += (m->now.row0 + r) * m->batch->n_t;
        for (int64_t i0 = 0, n_i; i0 < row.n; i0 += n_i) {
            n_i = PAR_QUERY_BLOCK < row.n - i0 ? PAR_QUERY_BLOCK : row.n - i0;
            const int64_t n_key = t0 + i0 + n_i;
            score(m, b, row.i0 + i0, n_i, k, n_key);
            for (int64_t i = i0; i < i0 + n_i; i++)
                choose(m, b, row.i0 + i, t0 + i, b->score + (i - i0) * n_key,
                       mask);
        }
    }
    par__tap_replicated(m, tap, b->edge);
}

/* Its keys. */
static int64_t n_kept(const core_spec *spec, const par_layout *lay, int l,
                      int64_t n_t)
{
    (void)lay;
    (void)l;
    return n_t * spec->indexer.n_dh;
}

const par__entry par__indexer = {
    .placement = "indexer              pp Shard(layer), dp Replicate, tp "
                 "Replicate",
    .is_replicated = true,
    .kept = n_kept,
    .make = make,
    .carve = carve,
    .run = run,
};
