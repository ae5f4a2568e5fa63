/* ref/attention.c -- causal attention, a block of queries at a time.
 *
 * One task is a block of queries of one (row, head): scores by dgemm against
 * the keys the block can see, softmax per query, context by dgemm.  T x T never
 * exists.  Traps: padding masks keys, not queries; a query that sees no key at
 * all attends uniformly to ALL keys of its row, later ones too; rope pairs j
 * with j + Dh/2; head h reads kv head floor(h G / H); exponentials are stored
 * before they are summed.
 */
#include "ref/ref_impl.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>

enum { QUERY_BLOCK = 128 };

typedef struct attention {
    double *q, *context; /* [N, H*Dh]                                        */
    double *k, *v;       /* [N, G*Dh]                                        */
    double *scores;      /* [n_threads, QUERY_BLOCK, T]                      */
    /* with bounds */
    double *abs_v;       /* [N, G*Dh]                                        */
    double *sum_p_abs_v; /* [n_threads, QUERY_BLOCK, Dh]                     */
    double *norm_q;      /* [N, H]                                           */
    double *norm_k;      /* [N, G]                                           */
    float *bound;        /* of the context, or NULL                          */
} attention;

/* What the exactness check wants to know of a block's probabilities. */
typedef struct block {
    int64_t b, h, i0, i1; /* row, head, queries                            */
    int64_t j0;           /* first key that any of them can see            */
    double *s;            /* [i1-i0, i1-j0] scores, then probabilities     */
    double *sum_p_abs_v;
    double max_norm1; /* largest sum of a query's probabilities        */
    double flops;
} block;

void ref__rope_row(double *head, const double *cos_j, const double *sin_j,
                   int64_t n_dh)
{
    const int64_t half = n_dh / 2;
    for (int64_t j = 0; j < half; j++) {
        const double a = head[j], b = head[j + half];
        head[j] = a * cos_j[j] - b * sin_j[j];
        head[j + half] = b * cos_j[j] + a * sin_j[j];
    }
}

/* qk [N, n_head*Dh], rotated in place and delivered. */
static void rope(ref__run *run, int layer, core_tap_kind kind, double *qk,
                 int64_t n_head)
{
    const int64_t n_dh = run->spec->n_dh, half = n_dh / 2;
    const int64_t width = n_head * n_dh;
    float *bound = ref__bound_buffer(run, kind, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        const int64_t position = t % run->batch->n_t;
        double *qk_t = qk + t * width;
        if (bound != NULL)
            ref__bound_rope(run->u_store, bound + t * width, qk_t, width, n_dh,
                            run->spec->rope.attention_factor);
        for (int64_t h = 0; h < n_head; h++)
            ref__rope_row(qk_t + h * n_dh, run->cos_tj + position * half,
                          run->sin_tj + position * half, n_dh);
        core_store(run->numerics, CORE_GRID_ACT, qk_t, width);
    }
    ref__put(run, kind, layer, qk, bound);
}

int64_t ref__softmax_row(core_numerics numerics, double *s, int64_t lo,
                         int64_t hi, const uint8_t *mask, double scale)
{
    double max = -HUGE_VAL, sum = 0.0;
    int64_t n_visible = 0;
    for (int64_t j = lo; j < hi; j++) {
        if (mask != NULL && mask[j] == 0)
            continue;
        s[j] *= scale;
        max = s[j] > max ? s[j] : max;
        n_visible++;
    }
    for (int64_t j = lo; j < hi; j++)
        s[j] = mask != NULL && mask[j] == 0 ? 0.0 : exp(s[j] - max);
    if (n_visible == 0)
        return 0;
    core_store(numerics, CORE_GRID_EXP, s + lo, hi - lo);
    for (int64_t j = lo; j < hi; j++)
        sum += s[j];
    for (int64_t j = lo; j < hi; j++)
        s[j] /= sum;
    core_store(numerics, CORE_GRID_PROB, s + lo, hi - lo);
    return n_visible;
}

/* o = sum over all T keys of the row of v_j / T. */
static void uniform_context(const ref__run *run, const double *v, int64_t ld_v,
                            double *o)
{
    const int64_t n_t = run->batch->n_t, n_dh = run->spec->n_dh;
    double p = 1.0 / (double)n_t;
    core_store(run->numerics, CORE_GRID_PROB, &p, 1);
    for (int64_t d = 0; d < n_dh; d++)
        o[d] = 0.0;
    for (int64_t j = 0; j < n_t; j++)
        for (int64_t d = 0; d < n_dh; d++)
            o[d] += p * v[j * ld_v + d];
}

/* Largest error of a score that query i (of its row) may see. */
static double max_score_error(const ref__run *run, const attention *at,
                              const block *blk, int64_t i, const double *s,
                              int64_t lo, const uint8_t *mask)
{
    const core_spec *spec = run->spec;
    const int64_t first = blk->b * run->batch->n_t;
    const int64_t g = blk->h * spec->n_g / spec->n_h;
    const double scale = 1.0 / sqrt((double)spec->n_dh);
    double worst = 0.0;
    for (int64_t j = lo; j <= i; j++) {
        if (mask != NULL && mask[j] == 0)
            continue;
        worst =
            fmax(worst,
                 ref__score_error(spec->n_dh,
                                  at->norm_q[(first + i) * spec->n_h + blk->h],
                                  at->norm_k[(first + j) * spec->n_g + g],
                                  s[j - blk->j0] * scale, scale));
    }
    return worst;
}

/* Scores to probabilities, query by query.  n_visible[] and, with bounds, the
 * score errors are kept for later.                                           */
static void block_softmax(const ref__run *run, const attention *at, block *blk,
                          int64_t *n_visible, double *score_error)
{
    const int64_t w = run->spec->sliding_window;
    const int64_t width = blk->i1 - blk->j0;
    const double scale = 1.0 / sqrt((double)run->spec->n_dh);
    const uint8_t *mask = run->batch->mask;
    if (mask != NULL)
        mask += blk->b * run->batch->n_t;
    for (int64_t i = blk->i0; i < blk->i1; i++) {
        const int64_t lo = w > 0 && i - w + 1 > 0 ? i - w + 1 : 0;
        double *s = blk->s + (i - blk->i0) * width;
        if (at->bound != NULL)
            score_error[i - blk->i0] =
                max_score_error(run, at, blk, i, s, lo, mask);
        for (int64_t j = 0; j < lo - blk->j0; j++)
            s[j] = 0.0;
        for (int64_t j = i + 1 - blk->j0; j < width; j++)
            s[j] = 0.0;
        n_visible[i - blk->i0] =
            ref__softmax_row(run->numerics, s, lo - blk->j0, i + 1 - blk->j0,
                             mask != NULL ? mask + blk->j0 : NULL, scale);
        double norm1 = 0.0;
        for (int64_t j = 0; j < width; j++)
            norm1 += s[j];
        blk->max_norm1 = ref__worse(blk->max_norm1, norm1);
    }
}

/* y [n_row, Dh] = p [n_row, n_key] v [n_key, Dh]. */
static void mix_values(const block *blk, const double *v, int64_t ld_v,
                       int64_t n_dh, double *y, int64_t ld_y)
{
    const int64_t n_key = blk->i1 - blk->j0;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans,
                (blasint)(blk->i1 - blk->i0), (blasint)n_dh, (blasint)n_key,
                1.0, blk->s, (blasint)n_key, v, (blasint)ld_v, 0.0, y,
                (blasint)ld_y);
}

static void block_context(const ref__run *run, const attention *at, block *blk)
{
    const core_spec *spec = run->spec;
    const int64_t n_dh = spec->n_dh, ld_q = spec->n_h * n_dh;
    const int64_t ld_k = spec->n_g * n_dh, n_i = blk->i1 - blk->i0;
    const int64_t w = spec->sliding_window, first = blk->b * run->batch->n_t;
    const int64_t kv = blk->h * spec->n_g / spec->n_h * n_dh;
    blk->j0 = w > 0 && blk->i0 - w + 1 > 0 ? blk->i0 - w + 1 : 0;
    const int64_t n_key = blk->i1 - blk->j0;
    const int64_t q_at = (first + blk->i0) * ld_q + blk->h * n_dh;
    const int64_t k_at = (first + blk->j0) * ld_k + kv;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)n_i,
                (blasint)n_key, (blasint)n_dh, 1.0, at->q + q_at, (blasint)ld_q,
                at->k + k_at, (blasint)ld_k, 0.0, blk->s, (blasint)n_key);
    int64_t n_visible[QUERY_BLOCK];
    double score_error[QUERY_BLOCK];
    block_softmax(run, at, blk, n_visible, score_error);
    mix_values(blk, at->v + k_at, ld_k, n_dh, at->context + q_at, ld_q);
    if (at->bound != NULL)
        mix_values(blk, at->abs_v + k_at, ld_k, n_dh, blk->sum_p_abs_v, n_dh);
    for (int64_t i = 0; i < n_i; i++) {
        double *o = at->context + q_at + i * ld_q;
        double *sum_abs =
            at->bound != NULL ? blk->sum_p_abs_v + i * n_dh : NULL;
        if (n_visible[i] == 0) {
            uniform_context(run, at->v + first * ld_k + kv, ld_k, o);
            if (at->bound != NULL)
                uniform_context(run, at->abs_v + first * ld_k + kv, ld_k,
                                sum_abs);
            n_visible[i] = run->batch->n_t;
            blk->max_norm1 = fmax(blk->max_norm1, 2.0);
        }
        core_store(run->numerics, CORE_GRID_ACT, o, n_dh);
        if (at->bound != NULL)
            ref__bound_context(run->u_store, at->bound + q_at + i * ld_q,
                               sum_abs, o, n_dh, score_error[i], n_visible[i]);
    }
    blk->flops = 4.0 * (double)n_i * (double)n_key * (double)n_dh;
}

static double max_abs(const double *x, int64_t n)
{
    double m = 0.0;
    for (int64_t i = 0; i < n; i++)
        m = fabs(x[i]) <= m ? m : fabs(x[i]); /* keeps a NaN */
    return m;
}

static void check_context(const ref__run *run, int layer, const attention *at,
                          double max_norm1)
{
    const core_spec *spec = run->spec;
    const int64_t n = run->n, n_dh = spec->n_dh;
    const double norm_q = core_max_row_norm(at->q, n * spec->n_h, n_dh, n_dh);
    const double norm_k = core_max_row_norm(at->k, n * spec->n_g, n_dh, n_dh);
    const double norm_v = max_abs(at->v, n * spec->n_g * n_dh);
    const double score =
        ref__bits(norm_q * norm_k, CORE_STEP_ACT * CORE_STEP_ACT);
    const double value =
        ref__bits(max_norm1 * norm_v, CORE_STEP_PROB * CORE_STEP_ACT);
    ref__record_bits(run, CORE_TAP_CONTEXT, layer, fmax(score, value));
}

static void context(ref__run *run, int layer, const attention *at)
{
    const core_spec *spec = run->spec;
    const int64_t n_t = run->batch->n_t, n_dh = spec->n_dh;
    const int64_t n_block = (n_t + QUERY_BLOCK - 1) / QUERY_BLOCK;
    const int64_t n_task = run->batch->n_b * spec->n_h * n_block;
    double max_norm1 = 0.0, flops = 0.0;
#pragma omp parallel for schedule(dynamic) num_threads(run->n_threads)         \
    reduction(max : max_norm1) reduction(+ : flops)
    for (int64_t task = 0; task < n_task; task++) {
        const int64_t i0 = task % n_block * QUERY_BLOCK;
        const int64_t thread = omp_get_thread_num();
        block blk = {
            .b = task / n_block / spec->n_h,
            .h = task / n_block % spec->n_h,
            .i0 = i0,
            .i1 = i0 + QUERY_BLOCK < n_t ? i0 + QUERY_BLOCK : n_t,
            .s = at->scores + thread * QUERY_BLOCK * n_t,
            .sum_p_abs_v = at->sum_p_abs_v,
        };
        if (at->bound != NULL)
            blk.sum_p_abs_v += thread * QUERY_BLOCK * n_dh;
        block_context(run, at, &blk);
        max_norm1 = fmax(max_norm1, blk.max_norm1);
        flops += blk.flops;
    }
    run->stats->gemm_flops += flops;
    if (run->exact)
        check_context(run, layer, at, max_norm1);
    ref__put(run, CORE_TAP_CONTEXT, layer, at->context, at->bound);
}

/* Norms of the heads of q' and k', and |v|. */
static void measure_heads(const ref__run *run, attention *at)
{
    const core_spec *spec = run->spec;
    const int64_t n_dh = spec->n_dh;
    for (int64_t i = 0; i < run->n * spec->n_h; i++)
        at->norm_q[i] = core_max_row_norm(at->q + i * n_dh, 1, n_dh, n_dh);
    for (int64_t i = 0; i < run->n * spec->n_g; i++)
        at->norm_k[i] = core_max_row_norm(at->k + i * n_dh, 1, n_dh, n_dh);
    for (int64_t i = 0; i < run->n * spec->n_g * n_dh; i++)
        at->abs_v[i] = fabs(at->v[i]);
}

static attention take(ref__run *run)
{
    const core_spec *spec = run->spec;
    core_arena *a = &run->arena;
    const int64_t n = run->n, n_q = spec->n_h * spec->n_dh;
    const int64_t n_kv = spec->n_g * spec->n_dh;
    const int64_t n_blk = (int64_t)run->n_threads * QUERY_BLOCK;
    attention at = {
        .q = core_arena_f64(a, n * n_q),
        .context = core_arena_f64(a, n * n_q),
        .k = core_arena_f64(a, n * n_kv),
        .v = core_arena_f64(a, n * n_kv),
        .scores = core_arena_f64(a, n_blk * run->batch->n_t),
    };
    if (run->bounds) {
        at.abs_v = core_arena_f64(a, n * n_kv);
        at.sum_p_abs_v = core_arena_f64(a, n_blk * spec->n_dh);
        at.norm_q = core_arena_f64(a, n * spec->n_h);
        at.norm_k = core_arena_f64(a, n * spec->n_g);
    }
    return at;
}

void ref__attention(ref__run *run, int layer, bool dry)
{
    attention at = take(run);
    if (dry)
        return;
    const core_spec *spec = run->spec;
    const ref__rows xn = ref__measure(run, run->xn, run->n, spec->n_d);
    ref__linear(run, &xn, CORE_W_Q, layer, CORE_TAP_Q, at.q);
    ref__linear(run, &xn, CORE_W_K, layer, CORE_TAP_K, at.k);
    ref__linear(run, &xn, CORE_W_V, layer, CORE_TAP_V, at.v);
    rope(run, layer, CORE_TAP_Q_ROPE, at.q, spec->n_h);
    rope(run, layer, CORE_TAP_K_ROPE, at.k, spec->n_g);
    at.bound = ref__bound_buffer(run, CORE_TAP_CONTEXT, layer);
    if (at.bound != NULL)
        measure_heads(run, &at);
    context(run, layer, &at);
    const ref__rows o =
        ref__measure(run, at.context, run->n, spec->n_h * spec->n_dh);
    ref__linear(run, &o, CORE_W_O, layer, CORE_TAP_ATTN_OUT, run->r);
}
