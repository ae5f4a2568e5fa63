/* ref/block_index.c -- which blocks of keys the queries of a kv head see.
 *
 * Every kv head has a small query of its own and all share one small key; a
 * block's score is that of its best key, and a query sees the blocks with the
 * largest.  Traps: scores are not scaled, whatever the scale of attention is;
 * the query's own block and the n_local - 1 before it are always seen, and have
 * no score; scores are made in double, in every numerics, from what taps
 * stored.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>

typedef struct block_index {
    core_block_index size;
    int64_t n_g;
    int layer;
    double *q, *k; /* [N, G*Di], [N, Di]                                      */
    double *s;     /* [n_threads, REF__QUERY_BLOCK, T] scores of keys         */
    double *best;  /* [n_threads, 2, blocks] of blocks, and room              */
    double *edge;  /* [N, 2 G]                                                */
    ref__drawn drawn;
    bool is_given; /* the choice: another pass made it                        */
    /* with bounds */
    double *norm_q, *norm_k; /* [N, G], [N]                                   */
    float *bound;            /* of the edge, or NULL                          */
} block_index;

static int64_t n_blocks(const ref__run *run)
{
    const int64_t n_key = run->spec->block_index.n_key;
    return (run->batch->n_t + n_key - 1) / n_key;
}

static block_index take(ref__run *run, int layer)
{
    const core_block_index size = run->spec->block_index;
    const int64_t n = run->n, n_g = core_spec_heads(run->spec, layer).n_g;
    const int64_t n_thread = run->n_threads;
    core_arena *a = &run->arena;
    block_index at = {
        .size = size,
        .n_g = n_g,
        .layer = layer,
        .q = core_arena_f64(a, n * n_g * size.n_dh),
        .k = core_arena_f64(a, n * size.n_dh),
        .s = core_arena_f64(a, n_thread * REF__QUERY_BLOCK * run->batch->n_t),
        .best = core_arena_f64(a, n_thread * 2 * n_blocks(run)),
        .edge = core_arena_f64(a, n * 2 * n_g),
        .drawn = ref__draw_operator(run, CORE_TAP_EDGE, layer),
    };
    if (run->bounds) {
        at.norm_q = core_arena_f64(a, n * n_g);
        at.norm_k = core_arena_f64(a, n);
    }
    return at;
}

static void norm_heads(ref__run *run, const block_index *at, core_tap_kind kind,
                       core_weight_kind weight, double *x, int64_t n_head)
{
    const ref__norm norm = {.x = x,
                            .ld_x = n_head * at->size.n_dh,
                            .y = x,
                            .n_part = n_head,
                            .n = at->size.n_dh,
                            .weight = weight,
                            .eps = run->spec->norm_eps,
                            .plus = ref__is_plus_one(run)};
    ref__rmsnorm(run, at->layer, kind, &norm);
}

static void make_heads(ref__run *run, const block_index *at)
{
    const int l = at->layer;
    const int64_t n_dh = at->size.n_dh;
    const ref__rows xn = ref__measure(run, run->xn, run->n, run->spec->n_d);
    ref__linear(run, &xn, CORE_W_BLOCK_Q, l, CORE_TAP_BLOCK_Q, at->q);
    ref__linear(run, &xn, CORE_W_BLOCK_K, l, CORE_TAP_BLOCK_K, at->k);
    norm_heads(run, at, CORE_TAP_BLOCK_Q_NORM, CORE_W_BLOCK_Q_NORM, at->q,
               at->n_g);
    norm_heads(run, at, CORE_TAP_BLOCK_K_NORM, CORE_W_BLOCK_K_NORM, at->k, 1);
    if (!core_spec_has_rope(run->spec, l))
        return;
    ref__rope(run, l, CORE_TAP_BLOCK_Q_ROPE, at->q, at->n_g, n_dh, 0);
    ref__rope(run, l, CORE_TAP_BLOCK_K_ROPE, at->k, 1, n_dh, 0);
}

static void measure_heads(const ref__run *run, const block_index *at)
{
    const int64_t n_dh = at->size.n_dh;
    for (int64_t i = 0; i < run->n * at->n_g; i++)
        at->norm_q[i] = core_max_row_norm(at->q + i * n_dh, 1, n_dh, n_dh);
    for (int64_t i = 0; i < run->n; i++)
        at->norm_k[i] = core_max_row_norm(at->k + i * n_dh, 1, n_dh, n_dh);
}

/* Queries [i0, i1) of kv head g in row b: a task. */
typedef struct task {
    int64_t b, g, i0, i1;
    double *s; /* [i1 - i0, i1]                                               */
    double *best, *room;
} task;

static void score_keys(const ref__run *run, const block_index *at,
                       const task *it)
{
    const int64_t n_dh = at->size.n_dh, first = it->b * run->batch->n_t;
    const int64_t ld_q = at->n_g * n_dh;
    const ref__factors f = {.x = at->q + (first + it->i0) * ld_q + it->g * n_dh,
                            .w = at->k + first * n_dh,
                            .ld_x = ld_q,
                            .ld_w = n_dh,
                            .n_row = it->i1 - it->i0,
                            .n = it->i1,
                            .n_k = n_dh,
                            .transposed = true};
    ref__product(run, &at->drawn, &f, it->s, it->i1);
}

/* best[0..n_far) = scores of the first blocks, all of whose keys are earlier.
 */
static void score_blocks(const block_index *at, const task *it, int64_t n_far,
                         const double *s)
{
    for (int64_t c = 0; c < n_far; c++)
        it->best[c] = -HUGE_VAL;
    for (int64_t j = 0; j < n_far * at->size.n_key; j++) {
        double *best = &it->best[j / at->size.n_key];
        *best = s[j] > *best || s[j] != s[j] ? s[j] : *best; /* keeps a NaN */
    }
}

/* The blocks of query i, unless they are given: the best of those that are not
 * near, then the near. */
static void choose(const ref__run *run, const block_index *at, const task *it,
                   int64_t i, const double *s)
{
    const int64_t n_top = run->spec->n_seen;
    const int64_t n_block = i / at->size.n_key + 1;
    const int64_t n_near =
        at->size.n_local < n_block ? at->size.n_local : n_block;
    const int64_t n_far = n_block - n_near, n_best = n_top - n_near;
    const int64_t set = (it->b * run->batch->n_t + i) * at->n_g + it->g;
    int64_t *seen = run->seen + set * n_top;
    double *edge = at->edge + set * 2;
    score_blocks(at, it, n_far, s);
    if (at->is_given) {
        ref__edge_of(seen, n_top, it->best, n_far, NULL, edge);
    } else {
        ref__best_keys(seen, n_best, it->best, 0, n_far, NULL, it->room, edge);
        int64_t n_taken = n_far < n_best ? n_far : n_best;
        for (int64_t c = n_far; c < n_block; c++)
            seen[n_taken++] = c;
        while (n_taken < n_top)
            seen[n_taken++] = -1;
    }
    core_store(run->numerics, CORE_GRID_ACT, edge, 2);
}

/* A largest of some scores errs by no more than the one that errs most. */
static void bound_edge(const ref__run *run, const block_index *at,
                       const task *it, int64_t i, const double *s)
{
    const int64_t first = it->b * run->batch->n_t;
    const int64_t at_edge = ((first + i) * at->n_g + it->g) * 2;
    const double norm_q = at->norm_q[(first + i) * at->n_g + it->g];
    double worst = 0.0;
    for (int64_t j = 0; j <= i; j++)
        worst = fmax(worst, ref__score_error(run->u, at->size.n_dh, norm_q,
                                             at->norm_k[first + j], s[j], 1.0));
    for (int64_t c = at_edge; c < at_edge + 2; c++)
        at->bound[c] = ref__up(run->u, worst, at->edge[c]);
}

static void do_task(const ref__run *run, const block_index *at, const task *it)
{
    score_keys(run, at, it);
    for (int64_t i = it->i0; i < it->i1; i++) {
        const double *s = it->s + (i - it->i0) * it->i1;
        choose(run, at, it, i, s);
        if (at->bound != NULL)
            bound_edge(run, at, it, i, s);
    }
}

static void choose_all(ref__run *run, const block_index *at)
{
    const int64_t n_t = run->batch->n_t, n_c = n_blocks(run);
    const int64_t n_block = (n_t + REF__QUERY_BLOCK - 1) / REF__QUERY_BLOCK;
#pragma omp parallel for schedule(dynamic) num_threads(run->n_threads)
    for (int64_t i = 0; i < run->batch->n_b * at->n_g * n_block; i++) {
        const int64_t i0 = i % n_block * REF__QUERY_BLOCK;
        const int64_t thread = omp_get_thread_num();
        const task it = {
            .b = i / n_block / at->n_g,
            .g = i / n_block % at->n_g,
            .i0 = i0,
            .i1 = i0 + REF__QUERY_BLOCK < n_t ? i0 + REF__QUERY_BLOCK : n_t,
            .s = at->s + thread * REF__QUERY_BLOCK * n_t,
            .best = at->best + thread * 2 * n_c,
            .room = at->best + (thread * 2 + 1) * n_c,
        };
        do_task(run, at, &it);
    }
}

static void check_scores(const ref__run *run, const block_index *at)
{
    const int64_t n_dh = at->size.n_dh;
    const double norm_q =
        core_max_row_norm(at->q, run->n * at->n_g, n_dh, n_dh);
    const double norm_k = core_max_row_norm(at->k, run->n, n_dh, n_dh);
    ref__record_bits(run, CORE_TAP_EDGE, at->layer,
                     ref__bits(norm_q * norm_k, CORE_STEP_ACT * CORE_STEP_ACT));
}

void ref__block_index(ref__run *run, int layer, const ref__heads *heads,
                      bool is_given, bool dry)
{
    block_index at = take(run, layer);
    at.is_given = is_given;
    (void)heads;
    if (dry)
        return;
    make_heads(run, &at);
    at.bound = ref__bound_buffer(run, CORE_TAP_EDGE, layer);
    if (at.bound != NULL)
        measure_heads(run, &at);
    if (run->exact)
        check_scores(run, &at);
    choose_all(run, &at);
    ref__put(run, CORE_TAP_EDGE, layer, at.edge, at.bound);
}
