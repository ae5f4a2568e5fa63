/* test_ref_exactness.c -- every check of exactness, at its edge.
 *
 * A check that is switched off, or asks too little, is noticed by nobody whose
 * sums fit.  So in each case one tap of a pass is made larger as it is
 * delivered, by the factor with which the sum behind it needs just under 53
 * bits, and then just over; how many it needs is computed here, from the taps
 * and weights.  The first pass must not name the place, the second must.     */
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"
#include "tests/support/scaled_weights.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 9, N = B * T, MAX_K = 256 };
enum { PLAIN = FIX_N_FAMILIES, UNGATED }; /* models beside the families       */

static const double ACT = CORE_STEP_ACT, PROB = CORE_STEP_PROB;

/* What the place behind a tap sums up. */
typedef enum terms {
    PRODUCT,   /* of tap x with a weight, and its bias                       */
    SQUARES,   /* of heads or rows of tap x                                  */
    LAYERNORM, /* n times the squares                                        */
    SCORES,    /* q.k                                                        */
    VALUES,    /* p.v                                                        */
    COMBINE,   /* w y over the choices                                       */
    CONV,      /* weights of positions with tap x                            */
    STATE,     /* h C + D a                                                  */
    MATRIX,    /* columns of S with q or k                                   */
    HEADS,     /* h C + D x of heads; x, B and C swell together              */
    INDEX,     /* w relu(q.k) of heads                                        */
    BLOCKS,    /* q.k of the index of blocks                                 */
    PICK,      /* the same of digests                                         */
    DIGEST,    /* p.v of the tokens of runs                                   */
    READ,      /* weights times streams                                       */
    JOIN,      /* the same, and a weight times what a part gives              */
    LOOK,      /* two weights with sums of layers                             */
    BACK,      /* weights times sums of layers                                */
} terms;

typedef struct place {
    int model, layer;
    core_tap_kind swells, named;
    terms sum;
    core_tap_kind x;         /* what is summed, if it is not what swells      */
    core_weight_kind w;      /* and its weight                                */
    core_weight_kind scaled; /* another weight, times 2^exponent              */
    int exponent, finer;     /* or on a grid of steps over 2^finer            */
    bool tiled, pads;
    bool made;               /* multiplied where they are made                */
} place;

#define TAPS(a, b) .swells = CORE_TAP_##a, .named = CORE_TAP_##b

static const place places[] = {
    /* norms */
    {PLAIN, TAPS(IN, ATTN_NORM), .sum = SQUARES},
    {FIX_LAYERNORM, TAPS(IN, ATTN_NORM), .sum = LAYERNORM},
    {FIX_NORM_HEAD, TAPS(Q, Q_NORM), .sum = SQUARES},
    {FIX_NORM_ALL, TAPS(K, K_NORM), .sum = SQUARES},
    /* products: resident, read a tile at a time; the bias large, or fine */
    {PLAIN, TAPS(ATTN_NORM, Q), .sum = PRODUCT, .w = CORE_W_Q},
    {PLAIN, TAPS(ATTN_NORM, Q), .sum = PRODUCT, .w = CORE_W_Q, .tiled = true},
    {PLAIN, TAPS(ATTN_NORM, Q), .sum = PRODUCT, .w = CORE_W_Q, .tiled = true,
     .made = true},
    {PLAIN, TAPS(ATTN_NORM, Q), .sum = PRODUCT, .w = CORE_W_Q,
     .scaled = CORE_W_Q_BIAS, .exponent = 30},
    {PLAIN, TAPS(ATTN_NORM, Q), .sum = PRODUCT, .w = CORE_W_Q,
     .scaled = CORE_W_Q_BIAS, .exponent = -20},
    {PLAIN, TAPS(CONTEXT, ATTN_OUT), .sum = PRODUCT, .w = CORE_W_O},
    {PLAIN, TAPS(FINAL_NORM, LOGITS), .sum = PRODUCT, .w = CORE_W_HEAD},
    /* feed-forward: activations grow with the square of what swells */
    {PLAIN, 1, TAPS(FFN_NORM, MLP_GATE), .sum = PRODUCT, .w = CORE_W_MLP_GATE},
    {UNGATED, 1, TAPS(FFN_NORM, MLP_UP), .sum = PRODUCT, .w = CORE_W_MLP_UP},
    {PLAIN, 1, TAPS(FFN_NORM, MLP_OUT), .sum = PRODUCT, .x = CORE_TAP_MLP_ACT,
     .w = CORE_W_MLP_DOWN},
    {PLAIN, TAPS(FFN_NORM, EXPERT_OUT), .sum = PRODUCT,
     .x = CORE_TAP_EXPERT_ACT, .w = CORE_W_EXPERT_DOWN},
    {PLAIN, TAPS(BACK, COMBINE), .sum = COMBINE},
    {FIX_CHUNK, TAPS(BACK, COMBINE), .sum = COMBINE},
    /* attention; a query that sees no key takes all values alike */
    {PLAIN, TAPS(Q_ROPE, CONTEXT), .sum = SCORES},
    {PLAIN, TAPS(V, CONTEXT), .sum = VALUES},
    {PLAIN, TAPS(V, CONTEXT), .sum = VALUES, .pads = true},
    {FIX_INDEXER, TAPS(INDEX_K, INDEX_K_NORM), .sum = LAYERNORM},
    {FIX_INDEXER, TAPS(INDEX_WEIGHT, EDGE), .sum = INDEX},
    {FIX_BLOCKS, TAPS(BLOCK_Q_ROPE, EDGE), .sum = BLOCKS},
    {FIX_BLOCKS, TAPS(BLOCK_K_ROPE, EDGE), .sum = BLOCKS},
    /* one key-value vector and its digests; streams of a token */
    {FIX_DIGEST, TAPS(Q, Q_NORM), .sum = SQUARES},
    {FIX_DIGEST, TAPS(K, K_NORM), .sum = SQUARES},
    {FIX_DIGEST, TAPS(DIGEST_KV, DIGEST), .sum = DIGEST},
    {FIX_DIGEST, TAPS(DIGEST, DIGEST_NORM), .sum = SQUARES},
    {FIX_DIGEST, TAPS(PICK_WEIGHT, EDGE), .sum = PICK},
    {FIX_STREAMS, TAPS(IN, ATTN_MIX), .sum = SQUARES},
    {FIX_STREAMS, TAPS(ATTN_STREAMS, ATTN_IN), .sum = READ},
    {FIX_STREAMS, TAPS(ATTN_OUT, MID), .sum = JOIN},
    /* sums of layers: squares, the weights of a score on a fine grid */
    {FIX_LOOKS_BACK, TAPS(MID, FFN_LOOK), .sum = SQUARES},
    {FIX_LOOKS_BACK, TAPS(MID, FFN_LOOK), .sum = LOOK,
     .scaled = CORE_W_FFN_LOOK, .finer = 12},
    {FIX_LOOKS_BACK, TAPS(MID, FFN_LOOK), .sum = LOOK,
     .scaled = CORE_W_FFN_LOOK_NORM, .finer = 12},
    {FIX_LOOKS_BACK, TAPS(FFN_BACK, FFN_READ), .sum = BACK, .x = CORE_TAP_MID},
    {FIX_LOOKS_BACK, 1, TAPS(ATTN_BACK, ATTN_READ), .sum = BACK,
     .x = CORE_TAP_IN},
    /* mamba: the bias, and D, large or fine */
    {FIX_MAMBA, TAPS(MAMBA_U, MAMBA_CONV), .sum = CONV, .w = CORE_W_MAMBA_CONV},
    {FIX_MAMBA, TAPS(MAMBA_U, MAMBA_CONV), .sum = CONV, .w = CORE_W_MAMBA_CONV,
     .scaled = CORE_W_MAMBA_CONV_BIAS, .exponent = 30},
    {FIX_MAMBA, TAPS(MAMBA_U, MAMBA_CONV), .sum = CONV, .w = CORE_W_MAMBA_CONV,
     .scaled = CORE_W_MAMBA_CONV_BIAS, .exponent = -20},
    {FIX_MAMBA, TAPS(MAMBA_C, MAMBA_Y), .sum = STATE},
    {FIX_MAMBA, TAPS(MAMBA_C, MAMBA_Y), .sum = STATE, .scaled = CORE_W_MAMBA_D,
     .exponent = 29},
    {FIX_MAMBA, TAPS(MAMBA_C, MAMBA_Y), .sum = STATE, .scaled = CORE_W_MAMBA_D,
     .exponent = -20},
    /* short convolution, of what is gated */
    {FIX_SHORTCONV, TAPS(SHORTCONV_BX, SHORTCONV_CONV), .sum = CONV,
     .w = CORE_W_SHORTCONV_CONV},
    {FIX_SHORTCONV, TAPS(SHORTCONV_GATED, ATTN_OUT), .sum = PRODUCT,
     .w = CORE_W_SHORTCONV_OUT},
    /* delta net */
    {FIX_DELTANET, TAPS(DELTANET_V, DELTANET_V_CONV), .sum = CONV,
     .w = CORE_W_DELTANET_V_CONV},
    {FIX_DELTANET, TAPS(DELTANET_Q_ACT, DELTANET_Q_NORM), .sum = SQUARES},
    {FIX_DELTANET, TAPS(DELTANET_K_ACT, DELTANET_K_NORM), .sum = SQUARES},
    {FIX_DELTANET, TAPS(DELTANET_V_ACT, DELTANET_Y), .sum = MATRIX},
    {FIX_DELTANET, TAPS(DELTANET_Y, DELTANET_NORM), .sum = SQUARES},
    {FIX_KDA, TAPS(DELTANET_V_ACT, DELTANET_Y), .sum = MATRIX},
    /* Mamba-2: D large or fine; a norm of a group; out of the experts' width */
    {FIX_SSD, TAPS(SSD_ACT, SSD_Y), .sum = HEADS},
    {FIX_SSD, TAPS(SSD_ACT, SSD_Y), .sum = HEADS, .scaled = CORE_W_SSD_D,
     .exponent = 29},
    {FIX_SSD, TAPS(SSD_ACT, SSD_Y), .sum = HEADS, .scaled = CORE_W_SSD_D,
     .exponent = -20},
    {FIX_SSD, TAPS(SSD_GATED, SSD_NORM), .sum = SQUARES},
    {FIX_SSD, TAPS(COMBINE, WIDE), .sum = PRODUCT, .w = CORE_W_WIDE},
    /* branches: norms of values, behind parts; the router's own input */
    {FIX_BRANCHES, TAPS(V, V_NORM), .sum = SQUARES},
    {FIX_BRANCHES, 1, TAPS(K, V_NORM), .sum = SQUARES},
    {FIX_BRANCHES, TAPS(ATTN_OUT, ATTN_POST), .sum = SQUARES},
    {FIX_BRANCHES, TAPS(COMBINE, MOE_POST), .sum = SQUARES},
    {FIX_BRANCHES, TAPS(ROUTER_IN, ROUTER_LOGITS), .sum = PRODUCT,
     .w = CORE_W_ROUTER},
};
enum { N_PLACES = sizeof places / sizeof *places };

/* ---- a pass with a swollen tap ------------------------------------------- */

typedef struct swollen {
    const place *at;
    core_spec spec;
    core_batch batch;
    core_weights *weights;
    ref_model *model;
    double factor;
    fix_taps taps;
    core_tap_sink keeps;
} swollen;

/* The next operator reads what is delivered. */
static void put(void *self, core_tap tap, const double *values,
                const int64_t *ints, const float *bound)
{
    swollen *s = self;
    double *live = (double *)(uintptr_t)values;
    const int64_t n =
        core_tap_n_rows(&s->spec, tap, N) * core_tap_cols(&s->spec, tap);
    for (int64_t i = 0;
         tap.kind == s->at->swells && tap.layer == s->at->layer && i < n; i++)
        live[i] *= s->factor;
    s->keeps.put(s->keeps.self, tap, values, ints, bound);
}

static swollen open_at(const place *at)
{
    swollen s = {.at = at};
    s.spec = at->model < PLAIN ? fix_family(at->model) : fix_spec();
    if (at->model == UNGATED) {
        s.spec.gated = false;
        s.spec.act = CORE_ACT_RELU;
    }
    ck_assert_int_eq(core_batch_make(&s.batch, &s.spec, B, T, 7), CORE_OK);
    if (at->pads)
        ck_assert_int_eq(core_batch_pad_left(&s.batch, &s.spec), CORE_OK);
    return s;
}

static void open_model(swollen *s)
{
    s->weights = scaled_weights_open(
        &s->spec, (scaling){s->at->scaled, s->at->exponent, s->at->finer,
                            s->at->made});
    const ref_options options = {
        .n_threads = 1, .weight_budget_bytes = s->at->tiled ? 0 : SIZE_MAX};
    ck_assert_int_eq(
        ref_model_open(&s->model, &s->spec, s->weights, CORE_EXACT, &options),
        CORE_OK);
}

static ref_stats run(swollen *s, double factor)
{
    ref_stats stats;
    fix_free(&s->taps);
    s->factor = factor;
    s->keeps = fix_sink(&s->taps, &s->spec, N);
    const core_tap_sink sink = {.self = s, .put = put};
    ck_assert_int_eq(ref_forward(s->model, &s->batch, NULL, &sink, &stats),
                     CORE_OK);
    return stats;
}

/* ---- the bits that it takes ---------------------------------------------- */

static int64_t cols(const swollen *s, core_tap_kind kind)
{
    return core_tap_cols(&s->spec, (core_tap){kind, s->at->layer});
}

static const double *tap(const swollen *s, core_tap_kind kind)
{
    return fix_find(&s->taps, kind, s->at->layer);
}

static double step_of(const swollen *s, core_weight_kind kind)
{
    return core_weights_step(s->weights, (core_weight){kind, s->at->layer, 0});
}

static double weight(const swollen *s, core_weight_kind kind, int expert,
                     int64_t r, int64_t c)
{
    double w;
    core_weights_read(s->weights, (core_weight){kind, s->at->layer, expert}, r,
                      r + 1, c, c + 1, &w, 1);
    return w;
}

static double largest_norm(const double *x, int64_t n_row, int64_t n_col)
{
    double largest = 0.0;
    for (int64_t r = 0; r < n_row; r++) {
        double square = 0.0;
        for (int64_t c = 0; c < n_col; c++)
            square += x[r * n_col + c] * x[r * n_col + c];
        largest = fmax(largest, sqrt(square));
    }
    return largest;
}

static double largest_of(const double *x, int64_t n)
{
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(x[i]));
    return largest;
}

/* One weight matrix: (max |x| max |w| + max |b|) over the finest step. */
static double bits_of_matrix(const swollen *s, core_weight_kind kind, int e,
                             double norm_x)
{
    const core_weight id = {kind, s->at->layer, e};
    const core_weight bias = {core_weight_bias(kind), s->at->layer, e};
    int64_t n_row, n_col;
    double norm_w = 0.0, b = 0.0, row[MAX_K];
    double step = ACT * core_weights_step(s->weights, id);
    core_weight_shape(&s->spec, id, &n_row, &n_col);
    ck_assert_int_le(n_col, MAX_K);
    for (int64_t r = 0; r < n_row; r++) {
        core_weights_read(s->weights, id, r, r + 1, 0, n_col, row, n_col);
        norm_w = fmax(norm_w, largest_norm(row, 1, n_col));
    }
    if (bias.kind != CORE_W_NONE && core_weight_exists(&s->spec, bias)) {
        for (int64_t r = 0; r < n_row; r++)
            b = fmax(b, fabs(weight(s, bias.kind, e, 0, r)));
        step = fmin(step, core_weights_step(s->weights, bias));
    }
    return log2((norm_x * norm_w + b) / step);
}

/* Of all tokens, the largest sum of |w| |q| over heads; the largest |k|. */
static double bits_of_index(const swollen *s)
{
    const int64_t n_h = s->spec.indexer.n_h, n_dh = s->spec.indexer.n_dh;
    const double *w = tap(s, CORE_TAP_INDEX_WEIGHT);
    const double *q = tap(s, CORE_TAP_INDEX_Q_ROPE);
    double largest = 0.0;
    for (int64_t t = 0; t < N; t++) {
        double sum = 0.0;
        for (int64_t h = t * n_h; h < (t + 1) * n_h; h++)
            sum += fabs(w[h]) * largest_norm(q + h * n_dh, 1, n_dh);
        largest = fmax(largest, sum);
    }
    return log2(largest * largest_norm(tap(s, CORE_TAP_INDEX_K_ROPE), N, n_dh) /
                (ACT * ACT * ACT));
}

static double bits_of_blocks(const swollen *s)
{
    const int64_t n_dh = s->spec.block_index.n_dh;
    return log2(largest_norm(tap(s, CORE_TAP_BLOCK_Q_ROPE), N * s->spec.n_g,
                             n_dh) *
                largest_norm(tap(s, CORE_TAP_BLOCK_K_ROPE), N, n_dh) /
                (ACT * ACT));
}

/* The largest sum of |w|, the longest q and the longest k. */
static double bits_of_pick(const swollen *s)
{
    const core_digests *d = &s->spec.digests;
    const double *w = tap(s, CORE_TAP_PICK_WEIGHT);
    double largest = 0.0;
    for (int64_t t = 0; t < N; t++) {
        double sum = 0.0;
        for (int64_t h = t * d->n_ph; h < (t + 1) * d->n_ph; h++)
            sum += fabs(w[h]);
        largest = fmax(largest, sum);
    }
    return log2(largest *
                largest_norm(tap(s, CORE_TAP_PICK_Q_ROPE), N * d->n_ph,
                             d->n_pd) *
                largest_norm(tap(s, CORE_TAP_PICK_ROPE), N, d->n_pd) /
                (ACT * ACT * ACT));
}

/* Probabilities add up to 1, nearly.  A token's first vector is for the digest of
 * the run after its own.                                                     */
static double bits_of_digest(const swollen *s)
{
    const int64_t m = s->spec.digests.n_best, n = s->spec.n_dh;
    const double *v = tap(s, CORE_TAP_DIGEST_KV);
    double largest = 0.0;
    for (int64_t t = 0; t < N; t++)
        for (int64_t c = 0; c < 2 * n; c++)
            if ((t % T / m + (c < n ? 2 : 1)) * m <= T)
                largest = fmax(largest, fabs(v[t * 2 * n + c]));
    return log2(largest / (PROB * ACT));
}

/* Of the streams of token t by weights that are `step` apart. */
static double sum_of_streams(const swollen *s, int64_t t, const double *w,
                             int64_t step)
{
    const int64_t n_d = s->spec.n_d, n = s->spec.hyper.n;
    double sum = 0.0;
    for (int64_t j = 0; j < n; j++)
        sum += w[j * step] *
               largest_of(tap(s, CORE_TAP_IN) + (t * n + j) * n_d, n_d);
    return sum;
}

static double bits_of_streams(const swollen *s, bool joins)
{
    const int64_t n_d = s->spec.n_d, n = s->spec.hyper.n;
    double largest = 0.0;
    for (int64_t t = 0; t < N; t++) {
        const double *w = tap(s, CORE_TAP_ATTN_STREAMS) + t * n * (2 + n);
        if (!joins)
            largest = fmax(largest, sum_of_streams(s, t, w, 1));
        for (int64_t k = 0; joins && k < n; k++)
            largest = fmax(
                largest,
                w[n + k] * largest_of(tap(s, CORE_TAP_ATTN_OUT) + t * n_d,
                                      n_d) +
                    sum_of_streams(s, t, w + 2 * n + k, n));
    }
    return log2(largest / (PROB * ACT));
}

/* The longest sum, and the weights of its score. */
static double bits_of_look(const swollen *s)
{
    const int64_t n_d = s->spec.n_d;
    double both[MAX_K];
    ck_assert_int_le(n_d, MAX_K);
    for (int64_t d = 0; d < n_d; d++)
        both[d] = weight(s, CORE_W_FFN_LOOK_NORM, 0, 0, d) *
                  weight(s, CORE_W_FFN_LOOK, 0, 0, d);
    return log2(largest_norm(tap(s, CORE_TAP_MID),
                             N * cols(s, CORE_TAP_MID) / n_d, n_d) *
                largest_norm(both, 1, n_d) /
                (ACT * step_of(s, CORE_W_FFN_LOOK_NORM) *
                 step_of(s, CORE_W_FFN_LOOK)));
}

/* Sums of the stream x by the weights that swell. */
static double bits_of_back(const swollen *s)
{
    const int64_t n_d = s->spec.n_d, n = cols(s, s->at->swells);
    const int64_t n_x = cols(s, s->at->x);
    double largest = 0.0;
    for (int64_t t = 0; t < N; t++) {
        double sum = 0.0;
        for (int64_t j = 0; j < n; j++)
            sum += tap(s, s->at->swells)[t * n + j] *
                   largest_of(tap(s, s->at->x) + t * n_x + j * n_d, n_d);
        largest = fmax(largest, sum);
    }
    return log2(largest / (PROB * ACT));
}

/* The tap that is summed: CORE_TAP_EMBED stands for none of its own. */
static core_tap_kind summed(const swollen *s)
{
    return s->at->x != CORE_TAP_EMBED ? s->at->x : s->at->swells;
}

static double bits_of_product(const swollen *s)
{
    const core_tap x = {summed(s), s->at->layer};
    const bool by_choice = core_tap_row_kind(x.kind) == CORE_ROWS_CHOICE;
    const double norm = largest_norm(
        tap(s, x.kind), core_tap_n_rows(&s->spec, x, N), cols(s, x.kind));
    double bits = 0.0;
    for (int e = 0; e < (by_choice ? s->spec.n_e : 1); e++)
        bits = fmax(bits, bits_of_matrix(s, s->at->w, e, norm));
    return bits;
}

static double bits_of_combine(const swollen *s)
{
    const int64_t n_k = s->spec.n_k, n_d = s->spec.n_d;
    double largest = 0.0;
    for (int64_t t = 0; t < N; t++) {
        double sum_w = 0.0;
        for (int64_t k = t * n_k; k < (t + 1) * n_k; k++)
            sum_w +=
                s->spec.weigh_input ? 1.0 : tap(s, CORE_TAP_TOPK_WEIGHT)[k];
        largest = fmax(largest,
                       sum_w * largest_of(tap(s, CORE_TAP_BACK) + t * n_k * n_d,
                                          n_k * n_d));
    }
    return log2(largest / (PROB * ACT));
}

static double bits_of_conv(const swollen *s)
{
    const core_weight id = {s->at->w, s->at->layer, 0};
    const core_weight bias = {core_weight_bias(id.kind), s->at->layer, 0};
    const bool has_bias = core_weight_exists(&s->spec, bias);
    const double *u = tap(s, s->at->swells);
    double largest = 0.0;
    int64_t n_c, n;
    core_weight_shape(&s->spec, id, &n_c, &n);
    for (int64_t t = 0; t < N; t++)
        for (int64_t c = 0; c < n_c; c++) {
            double sum =
                has_bias ? fabs(weight(s, bias.kind, 0, 0, c)) : 0.0;
            for (int64_t back = 0; back < n && back <= t % T; back++)
                sum += fabs(weight(s, id.kind, 0, c, n - 1 - back) *
                            u[(t - back) * n_c + c]);
            largest = fmax(largest, sum);
        }
    const double step = ACT * step_of(s, id.kind);
    return log2(largest /
                (has_bias ? fmin(step, step_of(s, bias.kind)) : step));
}

static double bits_of_state(const swollen *s)
{
    const int64_t n_c = s->spec.mamba.n_c, n_s = s->spec.mamba.n_s;
    const double *a = tap(s, CORE_TAP_MAMBA_ACT);
    const double *dt = tap(s, CORE_TAP_MAMBA_DT);
    const double *b = tap(s, CORE_TAP_MAMBA_B);
    double largest = 0.0;
    for (int64_t c = 0; c < n_c; c++) {
        double h[MAX_K];
        for (int64_t t = 0; t < N; t++) {
            const int64_t at = t * n_c + c;
            double sum = fabs(weight(s, CORE_W_MAMBA_D, 0, 0, c) * a[at]);
            for (int64_t i = 0; i < n_s; i++) {
                const double rate = exp(weight(s, CORE_W_MAMBA_A_LOG, 0, c, i));
                h[i] = (t % T == 0 ? 0.0 : exp(-rate * dt[at]) * h[i]) +
                       dt[at] * b[t * n_s + i] * a[at];
                h[i] = rint(h[i] / ACT) * ACT;
                sum += fabs(h[i] * tap(s, CORE_TAP_MAMBA_C)[t * n_s + i]);
            }
            largest = fmax(largest, sum);
        }
    }
    return log2(largest / (ACT * fmin(ACT, step_of(s, CORE_W_MAMBA_D))));
}

static double bits_of_heads(const swollen *s)
{
    const core_ssd *m = &s->spec.ssd;
    const int64_t n_c = m->n_h * m->n_p, n = cols(s, CORE_TAP_SSD_ACT);
    double largest = 0.0;
    for (int64_t c = 0; c < n_c; c++) {
        const int64_t i_h = c / m->n_p, g = i_h / (m->n_h / m->n_g);
        const int64_t b = n_c + g * m->n_s, to_c = m->n_g * m->n_s;
        const double rate = exp(weight(s, CORE_W_SSD_A_LOG, 0, 0, i_h));
        const double d = weight(s, CORE_W_SSD_D, 0, 0, i_h);
        double h[MAX_K];
        for (int64_t t = 0; t < N; t++) {
            const double *act = tap(s, CORE_TAP_SSD_ACT) + t * n;
            const double dt = tap(s, CORE_TAP_SSD_DT)[t * m->n_h + i_h];
            double sum = fabs(d * act[c]);
            for (int64_t i = 0; i < m->n_s; i++) {
                h[i] = (t % T == 0 ? 0.0 : exp(-rate * dt) * h[i]) +
                       dt * act[b + i] * act[c];
                h[i] = rint(h[i] / PROB) * PROB;
                sum += fabs(h[i] * act[b + to_c + i]);
            }
            largest = fmax(largest, sum);
        }
    }
    return log2(largest / (ACT * fmin(PROB, step_of(s, CORE_W_SSD_D))));
}

/* The longest column of the state, times the longest query or key. */
static double bits_of_matrix_state(const swollen *s)
{
    const core_deltanet *net = &s->spec.deltanet;
    const int64_t n_dk = net->n_dk, n_v = net->n_vh * net->n_dv;
    const double *k = tap(s, CORE_TAP_DELTANET_K_NORM);
    double longest = 0.0;
    for (int64_t c = 0; c < n_v; c++) {
        const int64_t h = c / net->n_dv, g = h / (net->n_vh / net->n_kh);
        const double rate = exp(weight(s, CORE_W_DELTANET_A_LOG, 0, 0, h));
        double S[MAX_K];
        for (int64_t t = 0; t < N; t++) {
            const double *k_t = k + (t * net->n_kh + g) * n_dk;
            const int64_t n_dt = net->by_row ? n_dk : 1;
            const double *dt =
                tap(s, CORE_TAP_DELTANET_DT) + (t * net->n_vh + h) * n_dt;
            double found = 0.0;
            for (int64_t i = 0; i < n_dk; i++) {
                const double kept = exp(-rate * dt[i % n_dt]);
                S[i] = rint((t % T == 0 ? 0.0 : kept * S[i]) / PROB) * PROB;
                found += k_t[i] * S[i];
            }
            const double d =
                tap(s, CORE_TAP_DELTANET_BETA)[t * net->n_vh + h] *
                (tap(s, CORE_TAP_DELTANET_V_ACT)[t * n_v + c] - found);
            for (int64_t i = 0; i < n_dk; i++)
                S[i] = rint((S[i] + k_t[i] * d) / PROB) * PROB;
            longest = fmax(longest, largest_norm(S, 1, n_dk));
        }
    }
    const int64_t n = N * net->n_kh;
    return log2(longest *
                fmax(largest_norm(tap(s, CORE_TAP_DELTANET_Q_NORM), n, n_dk),
                     largest_norm(k, n, n_dk)) /
                (PROB * PROB));
}

/* Columns over which a norm's squares are added up. */
static int64_t width_of_squares(const swollen *s)
{
    switch (s->at->named) {
    case CORE_TAP_Q_NORM:
        return s->spec.n_dh;
    case CORE_TAP_V_NORM:
        return core_spec_heads(&s->spec, s->at->layer).n_dv;
    case CORE_TAP_DELTANET_Q_NORM:
    case CORE_TAP_DELTANET_K_NORM:
        return s->spec.deltanet.n_dk;
    case CORE_TAP_DELTANET_NORM:
        return s->spec.deltanet.n_dv;
    case CORE_TAP_SSD_NORM:
        return cols(s, summed(s)) / s->spec.ssd.n_g;
    case CORE_TAP_FFN_LOOK:
        return s->spec.n_d;
    default:
        return cols(s, summed(s));
    }
}

/* One bit is spare. */
static double bits_of(const swollen *s)
{
    const double *x = tap(s, summed(s));
    const int64_t n_col = cols(s, summed(s)), n_dh = s->spec.n_dh;
    const int64_t width = width_of_squares(s);
    const double step = core_tap_grid(summed(s)) == CORE_GRID_ACT ? ACT : PROB;
    switch (s->at->sum) {
    case PRODUCT:
        return 1.0 + bits_of_product(s);
    case SQUARES:
        return 1.0 +
               2.0 * log2(largest_norm(x, N * n_col / width, width) / step);
    case LAYERNORM:
        return 1.0 + 2.0 * log2(largest_norm(x, N, n_col) / ACT) +
               log2((double)n_col);
    case SCORES:
        return 1.0 + log2(largest_norm(x, N * s->spec.n_h, n_dh) / ACT *
                          largest_norm(tap(s, CORE_TAP_K_ROPE), N * s->spec.n_g,
                                       n_dh) /
                          ACT);
    case VALUES:
        return 1.0 + log2((s->at->pads ? 2.0 : 1.0) * largest_of(x, N * n_col) /
                          (PROB * ACT));
    case COMBINE:
        return 1.0 + bits_of_combine(s);
    case CONV:
        return 1.0 + bits_of_conv(s);
    case STATE:
        return 1.0 + bits_of_state(s);
    case MATRIX:
        return 1.0 + bits_of_matrix_state(s);
    case HEADS:
        return 1.0 + bits_of_heads(s);
    case INDEX:
        return 1.0 + bits_of_index(s);
    case BLOCKS:
        return 1.0 + bits_of_blocks(s);
    case PICK:
        return 1.0 + bits_of_pick(s);
    case DIGEST:
        return 1.0 + bits_of_digest(s);
    case READ:
    case JOIN:
        return 1.0 + bits_of_streams(s, s->at->sum == JOIN);
    case LOOK:
        return 1.0 + bits_of_look(s);
    case BACK:
        return 1.0 + bits_of_back(s);
    }
    return 0.0;
}

/* Is the place the first whose sum does not fit? */
static bool is_named(const swollen *s, const ref_stats *stats)
{
    char name[CORE_NAME_BYTES];
    const core_tap named = {s->at->named, s->at->layer};
    core_tap_name(named, name);
    return !stats->exact &&
           strncmp(stats->not_exact, name, strlen(name)) == 0 &&
           stats->not_exact[strlen(name)] == ':';
}

/* The pass whose place needs so many bits: they grow by the factor's logarithm,
 * or by twice that.                                                          */
static ref_stats run_with_bits(swollen *s, double bits)
{
    const bool square = s->at->sum == SQUARES || s->at->sum == LAYERNORM ||
                        s->at->sum == HEADS ||
                        s->at->x != CORE_TAP_EMBED;
    double exponent = 20.0;
    ref_stats stats;
    for (int i = 0; i < 30; i++) {
        stats = run(s, exp2(exponent));
        if (fabs(bits_of(s) - bits) < 2e-3)
            return stats;
        exponent += (bits - bits_of(s)) / (square ? 2.0 : 1.0);
    }
    ck_abort_msg("%g bits, %g wanted", bits_of(s), bits);
    return stats;
}

START_TEST(the_edge_of_a_check)
{
    swollen s = open_at(&places[_i]);
    open_model(&s);
    const ref_stats fits = run_with_bits(&s, 52.99);
    ck_assert_msg(!is_named(&s, &fits), "52.99 bits: %s", fits.not_exact);
    const ref_stats over = run_with_bits(&s, 53.01);
    ck_assert_msg(is_named(&s, &over), "53.01 bits: %s",
                  over.exact ? "nothing" : over.not_exact);
    fix_free(&s.taps);
    ref_model_close(s.model);
    core_weights_close(s.weights);
    core_batch_free(&s.batch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref_exactness");
    TCase *tests = tcase_create("edges");
    tcase_set_timeout(tests, 120.0);
    tcase_add_loop_test(tests, the_edge_of_a_check, 0, N_PLACES);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
