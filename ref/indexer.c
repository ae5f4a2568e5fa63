/* ref/indexer.c -- the lightning indexer: which keys a query attends to.
 *
 *   score_ts = sum_h w_th relu(q_th . k_s) / sqrt(Hi Di)
 *
 * of the keys s that query t may see; the `seen` best are chosen.  Traps: the
 * queries come from the short query, the one key of all heads and the weights
 * from xn; the FIRST elements of a head are rotated, by the pairs of the
 * indexer; its key has a layernorm with an eps of its own; weights may be
 * negative, and scores of 0 tie often.  Scores are no tap and are never stored:
 * they are computed in double from what taps stored, and compared before the
 * positive factor 1 / sqrt(Hi Di), so that a choice follows from taps alone.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static const double KEY_EPS = 1e-6;

typedef struct indexing {
    int layer;
    int64_t n_h, n_dh, n_seen;
    double *q, *k;  /* [N, Hi*Di], [N, Di]                               */
    double *weight; /* [N, Hi]                                           */
    double *k_raw;  /* [N, Di]                                           */
    double *edge;   /* [N, 2]                                            */
    double *product, *score; /* [n_threads, REF__QUERY_BLOCK, T] */
    double *room; /* [n_threads, T]                                    */
    double scale;
    bool is_given; /* the choice: another pass made it                        */
    ref__drawn drawn; /* in a drawn pass                                   */
} indexing;

/* Queries [i0, i1) of row b, and what a thread scores their keys in. */
typedef struct span {
    int64_t b, i0, i1;
    double *product, *score, *room;
} span;

static indexing take(ref__run *run, int layer)
{
    const core_spec *spec = run->spec;
    core_arena *a = &run->arena;
    const int64_t n = run->n, n_t = run->batch->n_t;
    const int64_t n_h = spec->indexer.n_h, n_dh = spec->indexer.n_dh;
    const int64_t n_blk = (int64_t)run->n_threads * REF__QUERY_BLOCK;
    return (indexing){
        .layer = layer,
        .n_h = n_h,
        .n_dh = n_dh,
        .n_seen = spec->n_seen,
        .q = core_arena_f64(a, n * n_h * n_dh),
        .k = core_arena_f64(a, n * n_dh),
        .weight = core_arena_f64(a, n * n_h),
        .k_raw = core_arena_f64(a, n * n_dh),
        .edge = core_arena_f64(a, 2 * n),
        .product = core_arena_f64(a, n_blk * n_t),
        .score = core_arena_f64(a, n_blk * n_t),
        .room = core_arena_f64(a, run->n_threads * n_t),
        .scale = 1.0 / sqrt((double)(n_h * n_dh)),
        .drawn = ref__draw_operator(run, CORE_TAP_EDGE, layer),
    };
}

static void project(ref__run *run, const indexing *ix, const double *q_a)
{
    const core_spec *spec = run->spec;
    const bool pairs = spec->indexer.interleaved;
    const int layer = ix->layer;
    ref__rows x = ref__measure(run, q_a, run->n, spec->n_q_rank);
    ref__linear(run, &x, CORE_W_INDEX_Q, layer, CORE_TAP_INDEX_Q, ix->q);
    x = ref__measure(run, run->xn, run->n, spec->n_d);
    ref__linear(run, &x, CORE_W_INDEX_K, layer, CORE_TAP_INDEX_K, ix->k_raw);
    const ref__norm norm = {.x = ix->k_raw,
                            .ld_x = ix->n_dh,
                            .y = ix->k,
                            .n_part = 1,
                            .n = ix->n_dh,
                            .weight = CORE_W_INDEX_K_NORM,
                            .eps = KEY_EPS};
    ref__layernorm(run, layer, CORE_TAP_INDEX_K_NORM, &norm,
                   CORE_W_INDEX_K_NORM_BIAS);
    ref__rope_pairs(run, layer, CORE_TAP_INDEX_Q_ROPE, ix->q, ix->n_h, ix->n_dh,
                    0, pairs);
    ref__rope_pairs(run, layer, CORE_TAP_INDEX_K_ROPE, ix->k, 1, ix->n_dh, 0,
                    pairs);
    x = ref__measure(run, run->xn, run->n, spec->n_d);
    ref__linear(run, &x, CORE_W_INDEX_WEIGHT, layer, CORE_TAP_INDEX_WEIGHT,
                ix->weight);
}

/* product [i1 - i0, i1] = q k^T of one head. */
static void multiply(const ref__run *run, const indexing *ix, const span *sp,
                     int64_t h)
{
    const int64_t first = sp->b * run->batch->n_t, ld_q = ix->n_h * ix->n_dh;
    const ref__factors f = {.x = ix->q + (first + sp->i0) * ld_q + h * ix->n_dh,
                            .w = ix->k + first * ix->n_dh,
                            .ld_x = ld_q,
                            .ld_w = ix->n_dh,
                            .n_row = sp->i1 - sp->i0,
                            .n = sp->i1,
                            .n_k = ix->n_dh,
                            .transposed = true};
    ref__product(run, &ix->drawn, &f, sp->product, sp->i1);
}

/* sum[0..n) += w relu(y). */
static void add_head(const ref__run *run, const indexing *ix, double *sum,
                     double *y, double w, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        y[j] = y[j] < 0.0 ? 0.0 : y[j]; /* keeps a NaN */
    if (run->draw != NULL)
        ref__drawn_multiply_add(&ix->drawn, sum, y, w, n);
    for (int64_t j = 0; run->draw == NULL && j < n; j++)
        sum[j] += w * y[j];
}

/* score [i1 - i0, i1]. */
static void score_keys(const ref__run *run, const indexing *ix, const span *sp)
{
    const int64_t n_i = sp->i1 - sp->i0;
    const int64_t first = sp->b * run->batch->n_t + sp->i0;
    memset(sp->score, 0, (size_t)(n_i * sp->i1) * sizeof *sp->score);
    for (int64_t h = 0; h < ix->n_h; h++) {
        multiply(run, ix, sp, h);
        for (int64_t i = 0; i < n_i; i++)
            add_head(run, ix, sp->score + i * sp->i1, sp->product + i * sp->i1,
                     ix->weight[(first + i) * ix->n_h + h], sp->i1);
    }
}

/* The keys of query i of its row. */
static void choose(const ref__run *run, const indexing *ix, const span *sp,
                   int64_t i)
{
    const int64_t n_t = run->batch->n_t, t = sp->b * n_t + i;
    const uint8_t *mask = run->batch->mask;
    const double *score = sp->score + (i - sp->i0) * sp->i1;
    int64_t *key = run->seen + t * ix->n_seen;
    double *edge = ix->edge + 2 * t;
    if (mask != NULL)
        mask += sp->b * n_t;
    if (ix->is_given)
        ref__edge_of(key, ix->n_seen, score, i + 1, mask, edge);
    else
        ref__best_keys(key, ix->n_seen, score, 0, i + 1, mask, sp->room, edge);
    if (run->draw != NULL)
        ref__drawn_scale(&ix->drawn, edge, 2, ix->scale);
    for (int e = 0; run->draw == NULL && e < 2; e++)
        edge[e] *= ix->scale;
    core_store(run->numerics, CORE_GRID_ACT, edge, 2);
}

static void choose_all(const ref__run *run, const indexing *ix)
{
    const int64_t n_t = run->batch->n_t;
    const int64_t n_block = (n_t + REF__QUERY_BLOCK - 1) / REF__QUERY_BLOCK;
#pragma omp parallel for schedule(dynamic) num_threads(run->n_threads)
    for (int64_t task = 0; task < run->batch->n_b * n_block; task++) {
        const int64_t i0 = task % n_block * REF__QUERY_BLOCK;
        const int64_t thread = omp_get_thread_num();
        const span sp = {
            .b = task / n_block,
            .i0 = i0,
            .i1 = i0 + REF__QUERY_BLOCK < n_t ? i0 + REF__QUERY_BLOCK : n_t,
            .product = ix->product + thread * REF__QUERY_BLOCK * n_t,
            .score = ix->score + thread * REF__QUERY_BLOCK * n_t,
            .room = ix->room + thread * n_t};
        score_keys(run, ix, &sp);
        for (int64_t i = i0; i < sp.i1; i++)
            choose(run, ix, &sp, i);
    }
}

/* sum_h |w_h| |q_h| of a token: times |k|, no score is larger. */
static double reach_of(const indexing *ix, int64_t t)
{
    double sum = 0.0;
    for (int64_t h = 0; h < ix->n_h; h++)
        sum += fabs(ix->weight[t * ix->n_h + h]) *
               core_max_row_norm(ix->q + (t * ix->n_h + h) * ix->n_dh, 1,
                                 ix->n_dh, ix->n_dh);
    return sum;
}

static void put_edges(ref__run *run, const indexing *ix)
{
    const double norm_k = core_max_row_norm(ix->k, run->n, ix->n_dh, ix->n_dh);
    float *bound = ref__bound_buffer(run, CORE_TAP_EDGE, ix->layer);
    double bits = 0.0;
    for (int64_t t = 0; t < run->n && (run->exact || bound != NULL); t++) {
        const double largest = reach_of(ix, t) * norm_k;
        if (run->exact)
            bits = ref__worse(bits,
                              ref__bits(largest, CORE_STEP_ACT * CORE_STEP_ACT *
                                                     CORE_STEP_ACT));
        for (int e = 0; bound != NULL && e < 2; e++)
            ref__bound_edge(run->u, bound + 2 * t + e, largest * ix->scale,
                            ix->edge[2 * t + e], ix->n_h, ix->n_dh);
    }
    if (run->exact)
        ref__record_bits(run, CORE_TAP_EDGE, ix->layer, bits);
    ref__put(run, CORE_TAP_EDGE, ix->layer, ix->edge, bound);
}

void ref__indexer(ref__run *run, int layer, const ref__heads *heads,
                  bool is_given, bool dry)
{
    indexing ix = take(run, layer);
    ix.is_given = is_given;
    if (dry)
        return;
    project(run, &ix, heads->q_a);
    choose_all(run, &ix);
    run->stats->gemm_flops +=
        (double)(run->n * run->batch->n_t) * (double)(ix.n_h * ix.n_dh);
    put_edges(run, &ix);
}
