/* ref/attention.c -- causal attention, a block of queries at a time.
 *
 * One task is a block of queries of one (row, head): scores by dgemm against
 * the keys the block can see, softmax per query, context by dgemm.  T x T never
 * exists.  Where queries, keys and values come from is the projection's
 * business, a file each.  Traps: padding masks keys, not queries; a query that
 * sees no key at all attends uniformly to ALL keys of its row, later ones too,
 * unless a sink takes everything; head h reads kv head floor(h G / H);
 * exponentials are stored before they are summed; k and v are read in the
 * cache's type, q and p in that of what meets it, whatever was stored of them at
 * their taps.  Digests (digest.c) are further keys, before those of the window,
 * and values of themselves.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static ref__chooser *const CHOOSER[CORE_N_CHOOSERS] = {
#define CHOOSER_ROW(kind, name) [CORE_CHOOSER_##kind] = ref__##name,
    CORE_CHOOSER_LIST(CHOOSER_ROW)
#undef CHOOSER_ROW
};

static ref__projection *const PROJECTION[CORE_N_PROJECTIONS] = {
#define PROJECTION_ROW(kind, name) [CORE_PROJECTION_##kind] = ref__##name,
    CORE_PROJECTION_LIST(PROJECTION_ROW)
#undef PROJECTION_ROW
};

typedef struct attention {
    ref__heads heads;
    int layer;
    core_numerics p;  /* of its probabilities                                */
    bool stores_sum;  /* of p v, after each key                              */
    ref__drawn drawn; /* in a drawn pass                                     */
    double *context;  /* [N, H*Dv]                                            */
    double *scores;   /* [n_threads, REF__QUERY_BLOCK, T]                     */
    double *sinks;    /* [H], or NULL                                         */
    core_seen seen;
    uint8_t *visible; /* [n_threads, room] where keys are chosen, or digests  */
    int64_t m;        /* tokens of a digest, 0: there are none                */
    int64_t room;     /* keys and digests of a row                            */
    double *gathered; /* [n_threads, room, Dh] of a block, with digests       */
    /* with bounds */
    double *abs_v;       /* [N, G*Dv]                                        */
    double *abs_gathered; /* as gathered                                     */
    double *norm_digest;  /* [N]                                             */
    double *sum_p_abs_v; /* [n_threads, REF__QUERY_BLOCK, Dv]                */
    double *sum_error;   /* [n_threads, 3, Dv], of a stored sum, or NULL      */
    double *norm_q;      /* [N, H]                                           */
    double *norm_k;      /* [N, G]                                           */
    double max_v;        /* largest |v|                                      */
    float *bound;        /* of the context, or NULL                          */
} attention;

/* A block of queries of one (row, head): what a task works on. */
typedef struct block {
    int64_t b, h, i0, i1; /* row, head, queries                            */
    int64_t first;        /* first key that any of them can see            */
    int64_t j0;           /* the same, less one for each digest before it  */
    const double *k, *v, *abs_v; /* from j0 on                             */
    int64_t ld_k, ld_v;
    double *s;            /* [i1-i0, i1-j0] scores, then probabilities     */
    uint8_t *visible;     /* [room]                                        */
    double *sum_p_abs_v, *sum_error;
    double max_norm1; /* largest sum of a query's probabilities        */
    double sum[REF__QUERY_BLOCK]; /* what a context is divided by in the end */
    double flops;
} block;

/* What each of a row's keys has where a query sees none. */
static double even_share(const ref__run *run, const attention *at)
{
    double p = at->sinks != NULL ? 0.0 : 1.0 / (double)run->batch->n_t;
    core_store(at->p, CORE_GRID_PROB, &p, 1);
    return p;
}

/* o = sum over all T keys of the row of v_j / T; 0 where a sink takes all. */
static void uniform_context(const ref__run *run, const attention *at,
                            const double *v, double *o)
{
    const int64_t n_t = run->batch->n_t, n_dv = at->heads.size.n_dv;
    const int64_t ld_v = at->heads.size.n_g * n_dv;
    const double p = even_share(run, at);
    for (int64_t d = 0; d < n_dv; d++)
        o[d] = 0.0;
    for (int64_t j = 0; p > 0.0 && j < n_t; j++)
        for (int64_t d = 0; d < n_dv; d++)
            o[d] += p * v[j * ld_v + d];
}

/* The same with digests, which the mask does not hide: those of complete runs, or
 * those that were picked.                                                    */
static const uint8_t *visible_digests(const ref__run *run, const attention *at,
                                      const block *blk, int64_t i)
{
    const int64_t n_t = run->batch->n_t, n_digest = blk->first - blk->j0;
    const int64_t lo = core_spec_first_key(run->spec, at->layer, i);
    const uint8_t *mask = run->batch->mask;
    const int64_t n_key = at->seen.n_set > 0 ? at->seen.n_key : 0;
    const int64_t *key = run->seen + (blk->b * n_t + i) * n_key;
    memset(blk->visible, 0, (size_t)at->room);
    for (int64_t e = 0; n_key == 0 && e < (i + 1) / at->m; e++)
        blk->visible[e] = 1;
    for (int64_t c = 0; c < n_key && key[c] >= 0; c++)
        blk->visible[key[c]] = 1;
    for (int64_t j = lo; j <= i; j++)
        blk->visible[n_digest + j - blk->first] =
            mask == NULL || mask[blk->b * n_t + j] != 0;
    return blk->visible;
}

/* Which keys from j0 on query i may see, by the mask and, where keys are chosen,
 * as one of the head's set; NULL: all of its span.                           */
static const uint8_t *visible_keys(const ref__run *run, const attention *at,
                                   const block *blk, int64_t i)
{
    const int64_t n_t = run->batch->n_t, n_wide = at->seen.n_wide;
    const uint8_t *mask = run->batch->mask;
    if (at->m > 0)
        return visible_digests(run, at, blk, i);
    if (mask != NULL)
        mask += blk->b * n_t;
    if (at->seen.n_set == 0)
        return mask != NULL ? mask + blk->j0 : NULL;
    const int64_t set = blk->h * at->seen.n_set / at->heads.size.n_h;
    const int64_t *key =
        run->seen + ((blk->b * n_t + i) * at->seen.n_set + set) * at->seen.n_key;
    memset(blk->visible, 0, (size_t)n_t);
    for (int64_t c = 0; c < at->seen.n_key && key[c] >= 0; c++)
        for (int64_t j = key[c] * n_wide; j < n_t && j / n_wide == key[c]; j++)
            blk->visible[j] = mask == NULL || mask[j] != 0;
    return blk->visible + blk->j0;
}

static double sink_of(const attention *at, const block *blk)
{
    return at->sinks != NULL ? at->sinks[blk->h] : -HUGE_VAL;
}

/* Largest error of a score that query i (of its row) may see, the sink's, which
 * is only subtracted from, included. */
static double max_score_error(const ref__run *run, const attention *at,
                              const block *blk, int64_t i, const double *s,
                              int64_t lo, const uint8_t *mask)
{
    const core_heads *size = &at->heads.size;
    const int64_t first = blk->b * run->batch->n_t;
    const int64_t n_h = size->n_h, n_g = size->n_g, g = blk->h * n_g / n_h;
    const double scale = size->scale;
    double worst = at->sinks != NULL
                       ? ref__score_error(run->u, size->n_dh, 0.0, 0.0,
                                          at->sinks[blk->h], 1.0)
                       : 0.0;
    for (int64_t j = lo; j <= i; j++) {
        if (mask != NULL && mask[j - blk->j0] == 0)
            continue;
        const double norm_k =
            j < blk->first
                ? at->norm_digest[first + (j - blk->j0 + 1) * at->m - 1]
                : at->norm_k[(first + j) * n_g + g];
        worst =
            fmax(worst, ref__score_error(run->u, size->n_dh,
                                         at->norm_q[(first + i) * n_h + blk->h],
                                         norm_k, s[j - blk->j0] * scale, scale));
    }
    return worst;
}

/* In a drawn pass: eager and stated ones store probabilities; others store
 * exponentials, as kernels do that never hold a row of scores, and divide in the
 * end.                                                                       */
static int64_t drawn_softmax_row(const attention *at, double *s, int64_t lo,
                                 int64_t hi, const uint8_t *mask, double scale,
                                 double sink, double *sum)
{
    const ref__drawn *d = &at->drawn;
    const bool stores_p = d->eager || d->stated;
    int64_t n_visible = 0;
    for (int64_t j = lo; j < hi; j++)
        n_visible += mask == NULL || mask[j] != 0;
    const double total =
        ref__drawn_exponentials(d, s, lo, hi, mask, scale, sink);
    for (int64_t j = lo; stores_p && n_visible > 0 && j < hi; j++)
        s[j] = (double)((float)s[j] / (float)total);
    core_store(at->p, CORE_GRID_PROB, s + lo, hi - lo);
    *sum = stores_p ? 1.0 : total;
    return n_visible;
}

/* Scores to probabilities, query by query.  n_visible[] and, with bounds, the
 * score errors are kept for later.                                           */
static void block_softmax(const ref__run *run, const attention *at, block *blk,
                          int64_t *n_visible, double *score_error)
{
    const int64_t width = blk->i1 - blk->j0;
    const double scale = at->heads.size.scale;
    for (int64_t i = blk->i0; i < blk->i1; i++) {
        const uint8_t *mask = visible_keys(run, at, blk, i);
        const int64_t lo = at->m > 0
                               ? blk->j0
                               : core_spec_first_key(run->spec, at->layer, i);
        double *s = blk->s + (i - blk->i0) * width;
        if (at->bound != NULL)
            score_error[i - blk->i0] =
                max_score_error(run, at, blk, i, s, lo, mask);
        for (int64_t j = 0; j < lo - blk->j0; j++)
            s[j] = 0.0;
        for (int64_t j = i + 1 - blk->j0; j < width; j++)
            s[j] = 0.0;
        double *sum = &blk->sum[i - blk->i0];
        n_visible[i - blk->i0] =
            run->draw != NULL
                ? drawn_softmax_row(at, s, lo - blk->j0, i + 1 - blk->j0, mask,
                                    scale, sink_of(at, blk), sum)
                : ref__softmax_row(at->p, s, lo - blk->j0, i + 1 - blk->j0,
                                   mask, scale, sink_of(at, blk));
        double norm1 = 0.0;
        for (int64_t j = 0; j < width; j++)
            norm1 += s[j];
        blk->max_norm1 = ref__worse(blk->max_norm1, norm1);
    }
}

/* y [n_row, Dv] = p [n_row, n_key] v [n_key, Dv]. */
static void mix_values(const ref__run *run, const attention *at,
                       const block *blk, const double *v, int64_t ld_v,
                       int64_t n_dv, double *y, int64_t ld_y)
{
    const int64_t n_key = blk->i1 - blk->j0;
    const ref__factors f = {.x = blk->s,
                            .w = v,
                            .ld_x = n_key,
                            .ld_w = ld_v,
                            .n_row = blk->i1 - blk->i0,
                            .n = n_dv,
                            .n_k = n_key};
    ref__product(run, &at->drawn, &f, y, ld_y);
}

/* s [n_row, n_key] = q' k'^T of the block. */
static void block_scores(const ref__run *run, const attention *at, block *blk)
{
    const ref__heads *heads = &at->heads;
    const int64_t n_dh = heads->size.n_dh, first = blk->b * run->batch->n_t;
    const int64_t ld_q = heads->size.n_h * n_dh;
    const int64_t n_key = blk->i1 - blk->j0;
    const ref__factors f = {.x = heads->q + (first + blk->i0) * ld_q +
                                 blk->h * n_dh,
                            .w = blk->k,
                            .ld_x = ld_q,
                            .ld_w = blk->ld_k,
                            .n_row = blk->i1 - blk->i0,
                            .n = n_key,
                            .n_k = n_dh,
                            .transposed = true};
    ref__product(run, &at->drawn, &f, blk->s, n_key);
}

/* Values are scaled when their sum is whole; sum_abs and error may be NULL. */
static void scale_values(const ref__run *run, const attention *at, double *o,
                         double *sum_abs, double *error)
{
    const double scale = run->spec->value_scale;
    const int64_t n_dv = at->heads.size.n_dv;
    if (scale == 0.0)
        return;
    if (run->draw != NULL)
        ref__drawn_scale(&at->drawn, o, n_dv, scale);
    for (int64_t c = 0; run->draw == NULL && c < n_dv; c++)
        o[c] *= scale;
    for (int64_t c = 0; sum_abs != NULL && c < n_dv; c++)
        sum_abs[c] *= scale;
    for (int64_t c = 0; error != NULL && c < n_dv; c++)
        error[c] *= scale;
}

/* Digests, then the keys of the window, one after the other. */
static void gather(const ref__run *run, const attention *at, block *blk,
                   int64_t thread)
{
    const int64_t n_dh = at->heads.size.n_dh, first = blk->b * run->batch->n_t;
    const int64_t n_digest = blk->first - blk->j0;
    double *k = at->gathered + thread * at->room * n_dh;
    for (int64_t e = 0; e < n_digest; e++)
        memcpy(k + e * n_dh,
               at->heads.digest + (first + (e + 1) * at->m - 1) * n_dh,
               (size_t)n_dh * sizeof *k);
    memcpy(k + n_digest * n_dh, at->heads.k + (first + blk->first) * n_dh,
           (size_t)((blk->i1 - blk->first) * n_dh) * sizeof *k);
    blk->k = blk->v = k;
    blk->ld_k = blk->ld_v = n_dh;
    if (at->bound == NULL)
        return;
    double *abs_v = at->abs_gathered + thread * at->room * n_dh;
    for (int64_t i = 0; i < (blk->i1 - blk->j0) * n_dh; i++)
        abs_v[i] = fabs(k[i]);
    blk->abs_v = abs_v;
}

/* What the block's queries may see, of the head's keys and values. */
static void find_keys(const ref__run *run, const attention *at, block *blk,
                      int64_t thread)
{
    const core_heads *size = &at->heads.size;
    const int64_t g = blk->h * size->n_g / size->n_h;
    const int64_t at_key = blk->b * run->batch->n_t + blk->first;
    blk->j0 = blk->first - (at->m > 0 ? blk->i1 / at->m : 0);
    if (at->m > 0) {
        gather(run, at, blk, thread);
        return;
    }
    blk->ld_k = size->n_g * size->n_dh;
    blk->ld_v = size->n_g * size->n_dv;
    blk->k = at->heads.k + at_key * blk->ld_k + g * size->n_dh;
    blk->v = at->heads.v + at_key * blk->ld_v + g * size->n_dv;
    if (at->bound != NULL)
        blk->abs_v = at->abs_v + at_key * blk->ld_v + g * size->n_dv;
}

/* One query's o [Dv], stored after each key; error [3, Dv] or NULL.  row_v: the
 * values of all keys of the row, where it sees none, else NULL.              */
static void stored_context(const ref__run *run, const attention *at,
                           const block *blk, int64_t i, const double *row_v,
                           double share, double *o, double *error)
{
    const int64_t n_dv = at->heads.size.n_dv;
    const ref__sum_stores how = {
        .ctx = core_numerics_of(run->numerics, CORE_SLOT_CTX),
        .share = run->u.sides * share,
        .u = run->u.sides * run->u.sum,
    };
    const double even = even_share(run, at);
    const double *p = blk->s + i * (blk->i1 - blk->j0);
    if (row_v != NULL)
        ref__stored_sum(how, &even, 0, run->batch->n_t, row_v,
                        at->heads.size.n_g * n_dv, n_dv, o, error);
    else if (run->draw != NULL)
        ref__drawn_stored_sum(core_numerics_at(how.ctx, CORE_SLOT_OUT), p,
                              blk->i1 - blk->j0, blk->v, blk->ld_v, n_dv, o);
    else
        ref__stored_sum(how, p, 1, blk->i1 - blk->j0, blk->v, blk->ld_v, n_dv,
                        o, error);
}

/* Query i of the block, of whose sum only the end is left, if that. */
static void query_context(const ref__run *run, const attention *at, block *blk,
                          int64_t i, int64_t n_visible, double score_error)
{
    const core_heads *size = &at->heads.size;
    const int64_t n_t = run->batch->n_t, n_dv = size->n_dv;
    const int64_t ld_o = size->n_h * n_dv, ld_v = size->n_g * n_dv;
    const int64_t v_at =
        blk->b * n_t * ld_v + blk->h * size->n_g / size->n_h * n_dv;
    const int64_t o_at = (blk->b * n_t + blk->i0 + i) * ld_o + blk->h * n_dv;
    const ref__roundoff of_p = ref__roundoff_of(at->p);
    const bool blind = n_visible == 0;
    const int64_t n_term = (blind ? n_t : n_visible) +
                           (at->sinks != NULL ? 1 : 0) +
                           (run->spec->value_scale > 0.0 ? 1 : 0);
    double *o = at->context + o_at;
    double *sum_abs = at->bound != NULL ? blk->sum_p_abs_v + i * n_dv : NULL;
    double *error = at->bound != NULL ? blk->sum_error : NULL;
    const double *row_v = blind ? at->heads.v + v_at : NULL;
    if (blind) {
        if (at->bound != NULL)
            uniform_context(run, at, at->abs_v + v_at, sum_abs);
        blk->max_norm1 = fmax(blk->max_norm1, 2.0);
    }
    if (blind && !at->stores_sum)
        uniform_context(run, at, row_v, o);
    if (at->stores_sum)
        stored_context(run, at, blk, i, row_v,
                       ref__context_share(run->u, of_p, score_error, n_term), o,
                       error);
    for (int64_t c = 0; !blind && run->draw != NULL && c < n_dv; c++)
        o[c] = (double)((float)o[c] / (float)blk->sum[i]);
    scale_values(run, at, o, sum_abs, error);
    core_store(run->numerics, CORE_GRID_ACT, o, n_dv);
    if (at->bound != NULL)
        ref__bound_context(run->u, of_p, at->bound + o_at, sum_abs, error, o,
                           n_dv, score_error, at->max_v, n_term);
}

static void block_context(const ref__run *run, const attention *at, block *blk)
{
    const core_heads *size = &at->heads.size;
    const int64_t n_dv = size->n_dv, n_i = blk->i1 - blk->i0;
    const int64_t ld_o = size->n_h * n_dv;
    const int64_t first = blk->b * run->batch->n_t + blk->i0;
    int64_t n_visible[REF__QUERY_BLOCK];
    double score_error[REF__QUERY_BLOCK];
    block_scores(run, at, blk);
    block_softmax(run, at, blk, n_visible, score_error);
    if (!at->stores_sum)
        mix_values(run, at, blk, blk->v, blk->ld_v, n_dv,
                   at->context + first * ld_o + blk->h * n_dv, ld_o);
    if (at->bound != NULL)
        mix_values(run, at, blk, blk->abs_v, blk->ld_v, n_dv, blk->sum_p_abs_v,
                   n_dv);
    for (int64_t i = 0; i < n_i; i++)
        query_context(run, at, blk, i, n_visible[i], score_error[i]);
    blk->flops = 2.0 * (double)n_i * (double)(blk->i1 - blk->j0) *
                 (double)(at->heads.size.n_dh + n_dv);
}

static double max_abs(const double *x, int64_t n)
{
    double m = 0.0;
    for (int64_t i = 0; i < n; i++)
        m = fabs(x[i]) <= m ? m : fabs(x[i]); /* keeps a NaN */
    return m;
}

static void check_context(const ref__run *run, const attention *at,
                          double max_norm1)
{
    const ref__heads *heads = &at->heads;
    const int64_t n = run->n, n_h = heads->size.n_h;
    const int64_t n_g = heads->size.n_g, n_dh = heads->size.n_dh;
    const double norm_q = core_max_row_norm(heads->q, n * n_h, n_dh, n_dh);
    double norm_k = core_max_row_norm(heads->k, n * n_g, n_dh, n_dh);
    double norm_v = max_abs(heads->v, n * n_g * heads->size.n_dv);
    if (at->m > 0) {
        const double *more = heads->digest;
        norm_k = ref__worse(norm_k, core_max_row_norm(more, n, n_dh, n_dh));
        norm_v = ref__worse(norm_v, max_abs(more, n * n_dh));
    }
    const double score =
        ref__bits(norm_q * norm_k, CORE_STEP_ACT * CORE_STEP_ACT);
    const double value =
        ref__bits(max_norm1 * norm_v, CORE_STEP_PROB * CORE_STEP_ACT);
    ref__record_bits(run, CORE_TAP_CONTEXT, at->layer, fmax(score, value));
}

static void context(ref__run *run, const attention *at)
{
    const core_spec *spec = run->spec;
    const int64_t n_t = run->batch->n_t, n_h = at->heads.size.n_h;
    const int64_t n_block = (n_t + REF__QUERY_BLOCK - 1) / REF__QUERY_BLOCK;
    const int64_t n_task = run->batch->n_b * n_h * n_block;
    double max_norm1 = 0.0, flops = 0.0;
#pragma omp parallel for schedule(dynamic) num_threads(run->n_threads)         \
    reduction(max : max_norm1) reduction(+ : flops)
    for (int64_t task = 0; task < n_task; task++) {
        const int64_t i0 = task % n_block * REF__QUERY_BLOCK;
        const int64_t thread = omp_get_thread_num();
        block blk = {
            .b = task / n_block / n_h,
            .h = task / n_block % n_h,
            .i0 = i0,
            .i1 = i0 + REF__QUERY_BLOCK < n_t ? i0 + REF__QUERY_BLOCK : n_t,
            .first = core_spec_first_key(spec, at->layer, i0), /* never falls */
            .s = at->scores + thread * REF__QUERY_BLOCK * at->room,
            .visible = at->visible,
            .sum_p_abs_v = at->sum_p_abs_v,
            .sum_error = at->sum_error,
        };
        if (at->visible != NULL)
            blk.visible += thread * at->room;
        if (at->bound != NULL)
            blk.sum_p_abs_v += thread * REF__QUERY_BLOCK * at->heads.size.n_dv;
        if (at->sum_error != NULL)
            blk.sum_error += thread * 3 * at->heads.size.n_dv;
        find_keys(run, at, &blk, thread);
        block_context(run, at, &blk);
        max_norm1 = fmax(max_norm1, blk.max_norm1);
        flops += blk.flops;
    }
    run->stats->gemm_flops += flops;
    if (run->exact)
        check_context(run, at, max_norm1);
    ref__put(run, CORE_TAP_CONTEXT, at->layer, at->context, at->bound);
}

/* Norms of the heads of q' and k', and |v|. */
static void measure_heads(const ref__run *run, attention *at)
{
    const ref__heads *heads = &at->heads;
    const int64_t n_dh = heads->size.n_dh, n_g = heads->size.n_g;
    for (int64_t i = 0; i < run->n * heads->size.n_h; i++)
        at->norm_q[i] = core_max_row_norm(heads->q + i * n_dh, 1, n_dh, n_dh);
    for (int64_t i = 0; i < run->n * n_g; i++)
        at->norm_k[i] = core_max_row_norm(heads->k + i * n_dh, 1, n_dh, n_dh);
    for (int64_t i = 0; i < run->n * n_g * heads->size.n_dv; i++)
        at->abs_v[i] = fabs(heads->v[i]);
    at->max_v = max_abs(heads->v, run->n * n_g * heads->size.n_dv);
    for (int64_t i = 0; at->m > 0 && i < run->n; i++)
        at->norm_digest[i] =
            core_max_row_norm(heads->digest + i * n_dh, 1, n_dh, n_dh);
    if (at->m > 0)
        at->max_v = fmax(at->max_v, max_abs(heads->digest, run->n * n_dh));
    if (run->spec->value_scale > 0.0)
        at->max_v *= run->spec->value_scale;
}

static ref__heads take_heads(ref__run *run, int layer)
{
    const core_heads size = core_spec_heads(run->spec, layer);
    core_arena *a = &run->arena;
    const int64_t n = run->n;
    return (ref__heads){
        .q = core_arena_f64(a, n * size.n_h * size.n_dh),
        .k = core_arena_f64(a, n * size.n_g * size.n_dh),
        .v = core_arena_f64(a, n * size.n_g * size.n_dv),
        .digest = core_spec_digest_run(run->spec, layer) > 0
                      ? core_arena_f64(a, n * size.n_dh)
                      : NULL,
        .q_a = core_arena_f64(a, n * run->spec->n_q_rank),
        .size = size,
    };
}

static attention take(ref__run *run, int layer, ref__heads heads)
{
    core_arena *a = &run->arena;
    const int64_t n = run->n, n_h = heads.size.n_h;
    const int64_t n_blk = (int64_t)run->n_threads * REF__QUERY_BLOCK;
    attention at = {
        .heads = heads,
        .layer = layer,
        .p = core_context_prob(run->numerics),
        .stores_sum = core_stores_context_sum(run->numerics),
        .drawn = ref__draw_operator(run, CORE_TAP_CONTEXT, layer),
        .context = core_arena_f64(a, n * n_h * heads.size.n_dv),
        .seen = core_spec_seen(run->spec, layer),
        .m = core_spec_digest_run(run->spec, layer),
        .room = run->batch->n_t,
    };
    at.room += at.m > 0 ? run->batch->n_t / at.m : 0;
    at.scores = core_arena_f64(a, n_blk * at.room);
    if (at.seen.n_set > 0 || at.m > 0)
        at.visible = core_arena_take(a, run->n_threads * at.room, 1);
    if (at.m > 0)
        at.gathered =
            core_arena_f64(a, run->n_threads * at.room * heads.size.n_dh);
    if (heads.size.sinks)
        at.sinks = core_arena_f64(a, n_h);
    if (run->bounds) {
        at.abs_v = core_arena_f64(a, n * heads.size.n_g * heads.size.n_dv);
        at.sum_p_abs_v = core_arena_f64(a, n_blk * heads.size.n_dv);
        if (at.stores_sum)
            at.sum_error =
                core_arena_f64(a, 3 * run->n_threads * heads.size.n_dv);
        at.norm_q = core_arena_f64(a, n * n_h);
        at.norm_k = core_arena_f64(a, n * heads.size.n_g);
        if (at.m > 0) {
            at.norm_digest = core_arena_f64(a, n);
            at.abs_gathered =
                core_arena_f64(a, run->n_threads * at.room * heads.size.n_dh);
        }
    }
    return at;
}

static void attend(ref__run *run, int layer, attention *at)
{
    const ref__heads *heads = &at->heads;
    const core_heads *size = &heads->size;
    ref__reread(run, CORE_SLOT_QP, heads->q, run->n * size->n_h, size->n_dh);
    ref__reread(run, CORE_SLOT_KV, heads->k, run->n * size->n_g, size->n_dh);
    ref__reread(run, CORE_SLOT_KV, heads->v, run->n * size->n_g, size->n_dv);
    if (at->m > 0)
        ref__reread(run, CORE_SLOT_KV, heads->digest, run->n, size->n_dh);
    if (at->sinks != NULL)
        ref__read_vector(run, CORE_W_SINKS, layer, at->sinks);
    at->bound = ref__bound_buffer(run, CORE_TAP_CONTEXT, layer);
    if (at->bound != NULL)
        measure_heads(run, at);
    context(run, at);
}

/* The keys that queries attend to, where not all: those of the layer's choice or
 * of one before; in a drawn pass those of the honest one. */
static void choose_keys(ref__run *run, int layer, const ref__heads *heads,
                        bool dry)
{
    const core_seen seen = core_spec_seen(run->spec, layer);
    const core_chooser chooser = core_spec_chooser(run->spec, layer);
    const size_t mark = run->arena.used_bytes;
    if (seen.n_set == 0)
        return;
    const bool is_given =
        !dry && ref__forced_ints(run, CORE_TAP_SEEN, layer, run->seen);
    if (chooser < CORE_N_CHOOSERS)
        CHOOSER[chooser](run, layer, heads, is_given, dry);
    core_arena_rewind(&run->arena, mark);
    if (!dry)
        ref__put_ints(run, CORE_TAP_SEEN, layer, run->seen);
}

void ref__attention(ref__run *run, int layer, double *out, bool dry)
{
    const core_spec *spec = run->spec;
    const ref__heads heads = take_heads(run, layer);
    const size_t mark = run->arena.used_bytes;
    PROJECTION[core_spec_projection(spec)](run, layer, &heads, dry);
    core_arena_rewind(&run->arena, mark);
    choose_keys(run, layer, &heads, dry);
    attention at = take(run, layer, heads);
    if (!dry)
        attend(run, layer, &at);
    if (spec->context_gate)
        ref__context_gate(run, layer, at.context, dry);
    if (spec->one_kv && !dry)
        ref__rope_back(run, layer, CORE_TAP_CONTEXT_BACK, at.context,
                       heads.size.n_h, heads.size.n_dv,
                       heads.size.n_dv - heads.size.n_rot);
    const double *given = at.context;
    int64_t n_given = heads.size.n_h * heads.size.n_dv;
    if (spec->o_groups.n > 0) {
        given = ref__o_groups(run, layer, at.context, dry);
        n_given = spec->o_groups.n * spec->o_groups.n_r;
    }
    if (dry)
        return;
    const ref__rows o = ref__measure(run, given, run->n, n_given);
    ref__linear(run, &o, CORE_W_O, layer, CORE_TAP_ATTN_OUT, out);
}
