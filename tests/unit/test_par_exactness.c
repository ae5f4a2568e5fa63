/* test_par_exactness.c -- every check of exactness of the emulation, at its
 * edge.
 *
 * As test_ref_exactness.c: in each case a tap is made larger by the factor with
 * which the check behind it must count just under 53 bits, and then just over.
 * What it must count is computed here, from what this rank was shown and from
 * the weights; a sum whose K is split over n ranks counts n times.  Under 53
 * the place is not named by any rank, over it by one at least.               */
#include "core/blas/blas.h"
#include "core/pass/batch.h"
#include "parallel/forward_impl.h"
#include "tests/support/mpi_check.h"
#include "tests/support/ref_fixture.h"
#include "tests/support/scaled_weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 9, N = B * T, MAX_K = 256, PLAIN = FIX_N_FAMILIES };

static const double ACT = CORE_STEP_ACT, PROB = CORE_STEP_PROB;

typedef enum terms {
    PRODUCT,   /* of tap x with a weight, n times where K is split           */
    SQUARES,   /* of heads or rows of tap x                                  */
    LAYERNORM, /* n times the squares                                        */
    SCORES,    /* q.k of a head                                              */
    VALUES,    /* p.v, and what rounding adds to a sum of p                  */
    CONV,      /* sqrt(Kc) max |u| |w|                                       */
    STATE,     /* |h| |C|                                                    */
    MATRIX,    /* |column of S| |q or k|                                     */
    HEADS,     /* the same of heads; x, B and C swell together               */
    INDEX,     /* sum of |w| |q| over heads, times |k|                       */
    BLOCKS,    /* q.k of the index of blocks                                 */
    PICK,      /* sum of |w| over heads, times |q| |k|                       */
    DIGEST,    /* p.v of a run's tokens                                      */
    READ,      /* a token's weights, times its streams                       */
    JOIN,      /* the same, and of what a part gives                         */
    LOOK,      /* |a sum of layers| |the weights of its score|               */
    BACK,      /* a token's weights, times its sums of layers                */
} terms;

typedef struct place {
    int model, layer;
    core_tap_kind swells, named;
    terms sum;
    core_weight_kind w;
    bool is_split, tiled; /* experts' weights alone are read by tile          */
    bool made;            /* or multiplied where they are made                */
    bool one_group;       /* of a state space's heads: no rank has all of it  */
    core_tap_kind x;      /* what is summed by the weights that swell         */
    core_weight_kind fine; /* is on a grid of steps over 2^finer              */
    int finer;
} place;

#define TAPS(a, b) .swells = CORE_TAP_##a, .named = CORE_TAP_##b

static const place places[] = {
    {PLAIN, TAPS(IN, ATTN_NORM), .sum = SQUARES},
    {FIX_LAYERNORM, TAPS(IN, ATTN_NORM), .sum = LAYERNORM},
    {FIX_NORM_HEAD, TAPS(Q, Q_NORM), .sum = SQUARES},
    {FIX_NORM_ALL, TAPS(Q, Q_NORM), .sum = SQUARES},
    {FIX_NORM_ALL, TAPS(K, K_NORM), .sum = SQUARES},
    {PLAIN, TAPS(ATTN_NORM, Q), .sum = PRODUCT, .w = CORE_W_Q},
    {PLAIN, TAPS(CONTEXT, ATTN_OUT), .sum = PRODUCT, .w = CORE_W_O,
     .is_split = true},
    {PLAIN, TAPS(FFN_NORM, ROUTER_LOGITS), .sum = PRODUCT, .w = CORE_W_ROUTER},
    {PLAIN, TAPS(RECV, EXPERT_GATE), .sum = PRODUCT, .w = CORE_W_EXPERT_GATE},
    {PLAIN, TAPS(RECV, EXPERT_GATE), .sum = PRODUCT, .w = CORE_W_EXPERT_GATE,
     .tiled = true},
    {PLAIN, TAPS(EXPERT_ACT, EXPERT_OUT), .sum = PRODUCT,
     .w = CORE_W_EXPERT_DOWN, .is_split = true},
    {PLAIN, TAPS(EXPERT_ACT, EXPERT_OUT), .sum = PRODUCT,
     .w = CORE_W_EXPERT_DOWN, .is_split = true, .tiled = true},
    {PLAIN, TAPS(EXPERT_ACT, EXPERT_OUT), .sum = PRODUCT,
     .w = CORE_W_EXPERT_DOWN, .is_split = true, .tiled = true, .made = true},
    {PLAIN, 1, TAPS(FFN_NORM, MLP_GATE), .sum = PRODUCT, .w = CORE_W_MLP_GATE},
    {PLAIN, 1, TAPS(MLP_ACT, MLP_OUT), .sum = PRODUCT, .w = CORE_W_MLP_DOWN,
     .is_split = true},
    {PLAIN, TAPS(FINAL_NORM, LOGITS), .sum = PRODUCT, .w = CORE_W_HEAD},
    {PLAIN, TAPS(Q_ROPE, CONTEXT), .sum = SCORES},
    {PLAIN, TAPS(V, CONTEXT), .sum = VALUES},
    {FIX_INDEXER, TAPS(INDEX_K, INDEX_K_NORM), .sum = LAYERNORM},
    {FIX_INDEXER, TAPS(INDEX_WEIGHT, EDGE), .sum = INDEX},
    {FIX_BLOCKS, TAPS(BLOCK_Q_ROPE, EDGE), .sum = BLOCKS},
    {FIX_BLOCKS, TAPS(BLOCK_K_ROPE, EDGE), .sum = BLOCKS},
    {FIX_DIGEST, TAPS(DIGEST_KV, DIGEST), .sum = DIGEST},
    {FIX_DIGEST, TAPS(PICK_WEIGHT, EDGE), .sum = PICK},
    {FIX_STREAMS, TAPS(IN, ATTN_MIX), .sum = SQUARES},
    {FIX_STREAMS, TAPS(ATTN_STREAMS, ATTN_IN), .sum = READ},
    {FIX_STREAMS, TAPS(ATTN_OUT, MID), .sum = JOIN},
    {FIX_LOOKS_BACK, TAPS(MID, FFN_LOOK), .sum = SQUARES},
    {FIX_LOOKS_BACK, TAPS(MID, FFN_LOOK), .sum = LOOK, .fine = CORE_W_FFN_LOOK,
     .finer = 12},
    {FIX_LOOKS_BACK, TAPS(MID, FFN_LOOK), .sum = LOOK,
     .fine = CORE_W_FFN_LOOK_NORM, .finer = 12},
    {FIX_LOOKS_BACK, TAPS(FFN_BACK, FFN_READ), .sum = BACK, .x = CORE_TAP_MID},
    {FIX_LOOKS_BACK, 1, TAPS(ATTN_BACK, ATTN_READ), .sum = BACK,
     .x = CORE_TAP_IN},
    {FIX_MAMBA, TAPS(MAMBA_U, MAMBA_CONV), .sum = CONV, .w = CORE_W_MAMBA_CONV},
    {FIX_DELTANET, TAPS(DELTANET_V, DELTANET_V_CONV), .sum = CONV,
     .w = CORE_W_DELTANET_V_CONV},
    {FIX_DELTANET, TAPS(DELTANET_Q_ACT, DELTANET_Q_NORM), .sum = SQUARES},
    {FIX_DELTANET, TAPS(DELTANET_K_ACT, DELTANET_K_NORM), .sum = SQUARES},
    {FIX_DELTANET, TAPS(DELTANET_V_ACT, DELTANET_Y), .sum = MATRIX},
    {FIX_DELTANET, TAPS(DELTANET_Y, DELTANET_NORM), .sum = SQUARES},
    {FIX_KDA, TAPS(DELTANET_V_ACT, DELTANET_Y), .sum = MATRIX},
    {FIX_MAMBA, TAPS(MAMBA_C, MAMBA_Y), .sum = STATE},
    {FIX_MAMBA, TAPS(MAMBA_ACT, MAMBA_X), .sum = PRODUCT, .w = CORE_W_MAMBA_X,
     .is_split = true},
    {FIX_SHORTCONV, TAPS(SHORTCONV_BX, SHORTCONV_CONV), .sum = CONV,
     .w = CORE_W_SHORTCONV_CONV},
    {FIX_SHORTCONV, TAPS(SHORTCONV_GATED, ATTN_OUT), .sum = PRODUCT,
     .w = CORE_W_SHORTCONV_OUT, .is_split = true},
    {FIX_SSD, TAPS(SSD_ACT, SSD_Y), .sum = HEADS},
    {FIX_SSD, TAPS(SSD_GATED, SSD_NORM), .sum = SQUARES},
    {FIX_SSD, TAPS(SSD_GATED, SSD_NORM), .sum = SQUARES, .one_group = true},
    {FIX_SSD, TAPS(COMBINE, WIDE), .sum = PRODUCT, .w = CORE_W_WIDE},
    {FIX_BRANCHES, TAPS(V, V_NORM), .sum = SQUARES},
    {FIX_BRANCHES, 1, TAPS(K, V_NORM), .sum = SQUARES},
    {FIX_BRANCHES, TAPS(ATTN_OUT, ATTN_POST), .sum = SQUARES},
    {FIX_BRANCHES, TAPS(COMBINE, MOE_POST), .sum = SQUARES},
    {FIX_BRANCHES, TAPS(ROUTER_IN, ROUTER_LOGITS), .sum = PRODUCT,
     .w = CORE_W_ROUTER},
};
enum { N_PLACES = sizeof places / sizeof *places };

/* What this rank was shown of the layer: whole taps, zero where others are. */
typedef struct shown {
    const place *at;
    core_spec spec;
    core_batch batch;
    core_weights *weights;
    par_plan plan;
    double factor;
    double *tap[CORE_N_TAP_KINDS];
    int64_t col0[CORE_N_TAP_KINDS], n_col[CORE_N_TAP_KINDS];
} shown;

static int64_t cols(const shown *s, core_tap_kind kind)
{
    return core_tap_cols(&s->spec, (core_tap){kind, s->at->layer});
}

static int64_t rows(const shown *s, core_tap_kind kind)
{
    return core_tap_n_rows(&s->spec, (core_tap){kind, s->at->layer}, N);
}

static void see(void *self, const par_piece *p)
{
    shown *s = self;
    const core_tap_kind kind = p->tap.kind;
    if (p->tap.layer != s->at->layer || p->n_row == 0 || p->n_col == 0)
        return;
    const int64_t n_col = cols(s, kind);
    if (s->tap[kind] == NULL)
        s->tap[kind] =
            calloc((size_t)(rows(s, kind) * n_col), sizeof *s->tap[kind]);
    s->col0[kind] = p->col0;
    s->n_col[kind] = p->n_col;
    for (int64_t r = 0; r < p->n_row; r++)
        for (int64_t c = 0; c < p->n_col; c++) {
            const int64_t to = p->row_ids[r] * n_col + p->col0 + c;
            double *value =
                p->values != NULL ? p->values + r * p->ld + c : NULL;
            if (value != NULL && kind == s->at->swells)
                *value *= s->factor;
            s->tap[kind][to] =
                value != NULL ? *value : (double)p->ints[r * p->ld + c];
        }
}

static void forget(shown *s)
{
    for (int i = 0; i < CORE_N_TAP_KINDS; i++) {
        free(s->tap[i]);
        s->tap[i] = NULL;
    }
}

static shown open_at(const place *at)
{
    shown s = {.at = at};
    char plan[32];
    const int n = mpi_world->size;
    snprintf(plan, sizeof plan, "tp=%d,etp=%d", n, n);
    s.spec = at->model < PLAIN ? fix_family(at->model) : fix_spec();
    if (at->one_group)
        s.spec.ssd.n_g = 1;
    ck_assert_int_eq(par_plan_parse(&s.plan, plan), CORE_OK);
    ck_assert_int_eq(core_batch_make(&s.batch, &s.spec, B, T, 7), CORE_OK);
    s.weights =
        scaled_weights_open(&s.spec, (scaling){at->fine, .finer = at->finer,
                                               .multiplies = at->made});
    return s;
}

static par_stats run(shown *s, double factor)
{
    core_arena arena = core_arena_measure();
    par_layout layout;
    par_model *model;
    par_stats stats;
    const par_observer observer = {.self = s, .observe = see};
    const par_options options = {.weight_budget_bytes =
                                     s->at->tiled ? 0 : 1 << 30,
                                 .dense_budget_bytes = 1 << 30,
                                 .observer = &observer};
    forget(s);
    s->factor = factor;
    ck_assert_int_eq(
        par_layout_make(&layout, &arena, &s->spec, &s->plan, mpi_world->rank),
        CORE_OK);
    const core_status opened = par_agree(
        mpi_world, par_model_open(&model, mpi_world, &layout, &s->spec,
                                  s->weights, CORE_EXACT, &options));
    ck_assert_msg(opened == CORE_OK, "%s", core_message());
    ck_assert_int_eq(par_forward(model, &s->batch, &stats), CORE_OK);
    par_model_close(model);
    core_arena_free(&arena);
    return stats;
}

/* ---- what must be counted ------------------------------------------------ */

static double norm_of(const double *x, int64_t n)
{
    double square = 0.0;
    for (int64_t i = 0; i < n; i++)
        square += x[i] * x[i];
    return sqrt(square);
}

static double largest_norm(const double *x, int64_t n_row, int64_t n_col)
{
    double largest = 0.0;
    for (int64_t r = 0; r < n_row; r++)
        largest = fmax(largest, norm_of(x + r * n_col, n_col));
    return largest;
}

static double largest_of(const double *x, int64_t n)
{
    double largest = 0.0;
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(x[i]));
    return largest;
}

/* The largest row of a weight in the columns of x that are mine; of a
 * convolution, of the rows that are.                                         */
static double norm_of_weight(const shown *s, core_weight_kind kind, int e)
{
    const core_weight id = {kind, s->at->layer, e};
    const core_tap_kind x = s->at->swells;
    int64_t n_row, n_col;
    double largest = 0.0, row[MAX_K];
    core_weight_shape(&s->spec, id, &n_row, &n_col);
    ck_assert_int_le(n_col, MAX_K);
    const int64_t c0 = s->at->is_split ? s->col0[x] : 0;
    const int64_t n = s->at->is_split ? s->n_col[x] : n_col;
    const int64_t r0 = s->at->sum == CONV ? s->col0[x] : 0;
    const int64_t r1 = s->at->sum == CONV ? r0 + s->n_col[x] : n_row;
    for (int64_t r = r0; r < r1; r++) {
        core_weights_read(s->weights, id, r, r + 1, c0, c0 + n, row, n);
        largest = fmax(largest, norm_of(row, n));
    }
    return largest;
}

/* Rows of choices meet their own expert's weight. */
static double count_product(const shown *s)
{
    const core_tap_kind kind = s->at->swells;
    const double *x = s->tap[kind], *idx = s->tap[CORE_TAP_TOPK_IDX];
    const bool by_choice = core_tap_row_kind(kind) == CORE_ROWS_CHOICE;
    const int64_t n_col = cols(s, kind), n_row = rows(s, kind);
    const double n_part = s->at->is_split ? mpi_world->size : 1.0;
    double largest = 0.0;
    for (int e = 0; e < (by_choice ? (int)s->spec.n_e : 1); e++) {
        double norm_x = 0.0;
        for (int64_t r = 0; r < n_row; r++)
            if (!by_choice || (int)idx[r] == e)
                norm_x = fmax(norm_x, norm_of(x + r * n_col, n_col));
        largest = fmax(largest, norm_x * norm_of_weight(s, s->at->w, e));
    }
    const core_weight id = {s->at->w, s->at->layer, 0};
    return n_part * largest / (ACT * core_weights_step(s->weights, id));
}

/* A head of q with its keys, in one row of the batch. */
static double count_scores(const shown *s)
{
    const int64_t n_dh = s->spec.n_dh, n_h = s->spec.n_h, n_g = s->spec.n_g;
    double largest = 0.0;
    for (int64_t b = 0; b < B; b++)
        for (int64_t h = 0; h < n_h; h++) {
            double q = 0.0, k = 0.0;
            for (int64_t t = b * T; t < (b + 1) * T; t++) {
                q = fmax(q,
                         norm_of(s->tap[CORE_TAP_Q_ROPE] + (t * n_h + h) * n_dh,
                                 n_dh));
                k = fmax(k, norm_of(s->tap[CORE_TAP_K_ROPE] +
                                        (t * n_g + h * n_g / n_h) * n_dh,
                                    n_dh));
            }
            largest = fmax(largest, q * k);
        }
    return largest / (ACT * ACT);
}

/* Over all tokens of the micro-batch. */
static double count_index(const shown *s)
{
    const int64_t n_h = s->spec.indexer.n_h, n_dh = s->spec.indexer.n_dh;
    double largest = 0.0, k = 0.0;
    for (int64_t t = 0; t < N; t++) {
        double sum = 0.0;
        for (int64_t h = t * n_h; h < (t + 1) * n_h; h++)
            sum += fabs(s->tap[CORE_TAP_INDEX_WEIGHT][h]) *
                   norm_of(s->tap[CORE_TAP_INDEX_Q_ROPE] + h * n_dh, n_dh);
        largest = fmax(largest, sum);
        k = fmax(k, norm_of(s->tap[CORE_TAP_INDEX_K_ROPE] + t * n_dh, n_dh));
    }
    return largest * k / (ACT * ACT * ACT);
}

static double count_blocks(const shown *s)
{
    const int64_t n_dh = s->spec.block_index.n_dh;
    return largest_norm(s->tap[CORE_TAP_BLOCK_Q_ROPE], N * s->spec.n_g, n_dh) *
           largest_norm(s->tap[CORE_TAP_BLOCK_K_ROPE], N, n_dh) / (ACT * ACT);
}

static double count_pick(const shown *s)
{
    const core_digests *d = &s->spec.digests;
    double largest = 0.0;
    for (int64_t t = 0; t < N; t++) {
        double sum = 0.0;
        for (int64_t h = t * d->n_ph; h < (t + 1) * d->n_ph; h++)
            sum += fabs(s->tap[CORE_TAP_PICK_WEIGHT][h]);
        largest = fmax(largest, sum);
    }
    return largest *
           largest_norm(s->tap[CORE_TAP_PICK_Q_ROPE], N * d->n_ph, d->n_pd) *
           largest_norm(s->tap[CORE_TAP_PICK_ROPE], N, d->n_pd) /
           (ACT * ACT * ACT);
}

/* Two runs of tokens have the probabilities of a digest. */
static double count_digest(const shown *s, double largest)
{
    const double n_term = 2.0 * (double)s->spec.digests.n_best;
    return (1.0 + n_term * PROB / 2.0) * largest / (PROB * ACT);
}

static double count_streams(const shown *s, bool joins)
{
    const int64_t n = s->spec.hyper.n, n_d = s->spec.n_d;
    double largest = 0.0;
    for (int64_t t = 0; t < N; t++) {
        const double *w = s->tap[CORE_TAP_ATTN_STREAMS] + t * n * (2 + n);
        const double x =
            largest_of(s->tap[CORE_TAP_IN] + t * n * n_d, n * n_d);
        double reads = 0.0, adds = 0.0, mixes = 0.0;
        for (int64_t i = 0; i < n; i++) {
            reads += w[i];
            adds += w[n + i];
        }
        for (int64_t i = 2 * n; i < n * (2 + n); i++)
            mixes += w[i];
        largest = fmax(
            largest,
            joins ? mixes * x + adds * largest_of(s->tap[CORE_TAP_ATTN_OUT] +
                                                      t * n_d,
                                                  n_d)
                  : reads * x);
    }
    return largest / (PROB * ACT);
}

static double count_look(const shown *s)
{
    const core_weight norm = {CORE_W_FFN_LOOK_NORM, s->at->layer, 0};
    const core_weight look = {CORE_W_FFN_LOOK, s->at->layer, 0};
    const int64_t n_d = s->spec.n_d;
    double a[MAX_K], b[MAX_K];
    ck_assert_int_le(n_d, MAX_K);
    core_weights_read(s->weights, norm, 0, 1, 0, n_d, a, n_d);
    core_weights_read(s->weights, look, 0, 1, 0, n_d, b, n_d);
    for (int64_t d = 0; d < n_d; d++)
        a[d] *= b[d];
    return largest_norm(s->tap[CORE_TAP_MID], N * cols(s, CORE_TAP_MID) / n_d,
                        n_d) *
           norm_of(a, n_d) /
           (ACT * core_weights_step(s->weights, norm) *
            core_weights_step(s->weights, look));
}

static double count_back(const shown *s)
{
    const core_tap_kind p = s->at->swells, x = s->at->x;
    const int64_t n_d = s->spec.n_d, n = cols(s, p);
    double largest = 0.0;
    for (int64_t t = 0; t < N; t++) {
        double sum = 0.0;
        for (int64_t j = 0; j < n; j++)
            sum += s->tap[p][t * n + j] *
                   largest_of(s->tap[x] + t * cols(s, x) + j * n_d, n_d);
        largest = fmax(largest, sum);
    }
    return largest / (PROB * ACT);
}

static double count_conv(const shown *s)
{
    const core_weight id = {s->at->w, s->at->layer, 0};
    int64_t n_c, n_conv;
    core_weight_shape(&s->spec, id, &n_c, &n_conv);
    return sqrt((double)n_conv) *
           largest_of(s->tap[s->at->swells], N * n_c) *
           norm_of_weight(s, id.kind, 0) /
           (ACT * core_weights_step(s->weights, id));
}

static double count_state(const shown *s)
{
    const int64_t n_c = s->spec.mamba.n_c, n_s = s->spec.mamba.n_s;
    const core_weight id = {CORE_W_MAMBA_A_LOG, s->at->layer, 0};
    double largest = 0.0;
    for (int64_t c = 0; c < n_c; c++) {
        double h[MAX_K], a_log[MAX_K];
        core_weights_read(s->weights, id, c, c + 1, 0, n_s, a_log, n_s);
        for (int64_t t = 0; t < N; t++) {
            const double dt = s->tap[CORE_TAP_MAMBA_DT][t * n_c + c];
            const double a = s->tap[CORE_TAP_MAMBA_ACT][t * n_c + c];
            for (int64_t i = 0; i < n_s; i++) {
                h[i] = (t % T == 0 ? 0.0 : exp(-exp(a_log[i]) * dt) * h[i]) +
                       dt * s->tap[CORE_TAP_MAMBA_B][t * n_s + i] * a;
                h[i] = rint(h[i] / ACT) * ACT;
            }
            largest = fmax(largest, norm_of(h, n_s));
        }
    }
    return largest * largest_norm(s->tap[CORE_TAP_MAMBA_C], N, n_s) /
           (ACT * ACT);
}

/* Of my value heads; taps of other ranks' heads are zero here. */
static double count_matrix(const shown *s)
{
    const core_deltanet *net = &s->spec.deltanet;
    const int64_t n_dk = net->n_dk, n_v = net->n_vh * net->n_dv;
    const core_weight id = {CORE_W_DELTANET_A_LOG, s->at->layer, 0};
    double longest = 0.0;
    for (int64_t c = 0; c < n_v; c++) {
        const int64_t h = c / net->n_dv, g = h / (net->n_vh / net->n_kh);
        double S[MAX_K], a_log;
        core_weights_read(s->weights, id, 0, 1, h, h + 1, &a_log, 1);
        for (int64_t t = 0; t < N; t++) {
            const double *k =
                s->tap[CORE_TAP_DELTANET_K_NORM] + (t * net->n_kh + g) * n_dk;
            const int64_t n_dt = net->by_row ? n_dk : 1;
            const double *dt =
                s->tap[CORE_TAP_DELTANET_DT] + (t * net->n_vh + h) * n_dt;
            double found = 0.0;
            for (int64_t i = 0; i < n_dk; i++) {
                const double kept = exp(-exp(a_log) * dt[i % n_dt]);
                S[i] = t % T == 0 ? 0.0 : rint(kept * S[i] / PROB) * PROB;
                found += k[i] * S[i];
            }
            const double d =
                s->tap[CORE_TAP_DELTANET_BETA][t * net->n_vh + h] *
                (s->tap[CORE_TAP_DELTANET_V_ACT][t * n_v + c] - found);
            for (int64_t i = 0; i < n_dk; i++)
                S[i] = rint((S[i] + k[i] * d) / PROB) * PROB;
            longest = fmax(longest, norm_of(S, n_dk));
        }
    }
    const int64_t n = N * net->n_kh;
    return longest *
           fmax(largest_norm(s->tap[CORE_TAP_DELTANET_Q_NORM], n, n_dk),
                largest_norm(s->tap[CORE_TAP_DELTANET_K_NORM], n, n_dk)) /
           (PROB * PROB);
}

static double count_heads(const shown *s)
{
    const core_ssd *m = &s->spec.ssd;
    const int64_t n_c = m->n_h * m->n_p, n = cols(s, CORE_TAP_SSD_ACT);
    const core_weight id = {CORE_W_SSD_A_LOG, s->at->layer, 0};
    double largest = 0.0, norm_c = 0.0, a_log[MAX_K];
    core_weights_read(s->weights, id, 0, 1, 0, m->n_h, a_log, m->n_h);
    for (int64_t c = 0; c < n_c; c++) {
        const int64_t i_h = c / m->n_p;
        const int64_t b = n_c + i_h / (m->n_h / m->n_g) * m->n_s;
        double h[MAX_K];
        for (int64_t t = 0; t < N; t++) {
            const double *act = s->tap[CORE_TAP_SSD_ACT] + t * n;
            const double dt = s->tap[CORE_TAP_SSD_DT][t * m->n_h + i_h];
            for (int64_t i = 0; i < m->n_s; i++) {
                h[i] = (t % T == 0 ? 0.0 : exp(-exp(a_log[i_h]) * dt) * h[i]) +
                       dt * act[b + i] * act[c];
                h[i] = rint(h[i] / PROB) * PROB;
            }
            largest = fmax(largest, norm_of(h, m->n_s));
            norm_c = fmax(norm_c, norm_of(act + b + m->n_g * m->n_s, m->n_s));
        }
    }
    return largest * norm_c / (PROB * ACT);
}

/* Of a head, or of a row; a row of heads is summed over the ranks. */
static double count_squares(const shown *s)
{
    const core_tap_kind kind = s->at->swells;
    const double *x = s->tap[kind];
    const int64_t n_col = cols(s, kind), n_dh = s->spec.n_dh;
    const core_deltanet *net = &s->spec.deltanet;
    if (kind == CORE_TAP_DELTANET_Q_ACT || kind == CORE_TAP_DELTANET_K_ACT)
        return pow(largest_norm(x, N * net->n_kh, net->n_dk) / ACT, 2.0);
    if (kind == CORE_TAP_DELTANET_Y)
        return pow(largest_norm(x, N * net->n_vh, net->n_dv) / PROB, 2.0);
    const int64_t n_dv = core_spec_heads(&s->spec, s->at->layer).n_dv;
    if (s->at->named == CORE_TAP_V_NORM)
        return pow(largest_norm(x, N * n_col / n_dv, n_dv) / ACT, 2.0);
    if (kind == CORE_TAP_Q && s->spec.qk_norm == CORE_QK_NORM_HEAD)
        return pow(largest_norm(x, N * n_col / n_dh, n_dh) / ACT, 2.0);
    if (kind == CORE_TAP_MID)
        return pow(largest_norm(x, N * n_col / s->spec.n_d, s->spec.n_d) / ACT,
                   2.0);
    const int64_t n_g = s->spec.ssd.n_g;
    if (kind == CORE_TAP_SSD_GATED && n_g % mpi_world->size == 0)
        return pow(largest_norm(x, N * n_g, n_col / n_g) / ACT, 2.0);
    double square[N];
    for (int64_t t = 0; t < N; t++)
        square[t] = pow(norm_of(x + t * n_col, n_col) / ACT, 2.0);
    if (kind != CORE_TAP_IN && kind != CORE_TAP_ATTN_OUT) /* whole on all */
        par_all_reduce(mpi_world, &mpi_world->world, square, N, PAR_SUM,
                       CORE_FP64);
    return largest_of(square, N);
}

static double count(const shown *s)
{
    const core_tap_kind kind = s->at->swells;
    const double *x = s->tap[kind];
    const int64_t n_col = cols(s, kind);
    switch (s->at->sum) {
    case PRODUCT:
        return count_product(s);
    case SQUARES:
        return count_squares(s);
    case LAYERNORM:
        return (double)n_col * pow(largest_norm(x, N, n_col) / ACT, 2.0);
    case SCORES:
        return count_scores(s);
    case VALUES:
        return (1.0 + T * PROB / 2.0) * largest_of(x, N * n_col) / (PROB * ACT);
    case CONV:
        return count_conv(s);
    case STATE:
        return count_state(s);
    case MATRIX:
        return count_matrix(s);
    case HEADS:
        return count_heads(s);
    case INDEX:
        return count_index(s);
    case BLOCKS:
        return count_blocks(s);
    case PICK:
        return count_pick(s);
    case DIGEST:
        return count_digest(s, largest_of(x, N * n_col));
    case READ:
    case JOIN:
        return count_streams(s, s->at->sum == JOIN);
    case LOOK:
        return count_look(s);
    case BACK:
        return count_back(s);
    }
    return 0.0;
}

/* Over all ranks. */
static double bits_of(const shown *s)
{
    double steps = count(s);
    par_all_reduce(mpi_world, &mpi_world->world, &steps, 1, PAR_MAX, CORE_FP64);
    return log2(steps);
}

/* Does a rank name the place first? */
static bool is_named(const shown *s, const par_stats *stats)
{
    char name[CORE_NAME_BYTES];
    core_tap_name((core_tap){s->at->named, s->at->layer}, name);
    uint64_t n = !stats->exact &&
                 strncmp(stats->not_exact, name, strlen(name)) == 0 &&
                 stats->not_exact[strlen(name)] == ':';
    par_all_reduce_u64(mpi_world, &mpi_world->world, &n, 1);
    return n > 0;
}

static par_stats run_with_bits(shown *s, double bits)
{
    const bool square = s->at->sum == SQUARES || s->at->sum == LAYERNORM;
    double exponent = 20.0;
    par_stats stats;
    for (int i = 0; i < 10; i++) {
        stats = run(s, exp2(exponent));
        const double found = bits_of(s);
        if (fabs(found - bits) < 2e-3)
            return stats;
        exponent += (bits - found) / (square                  ? 2.0
                                      : s->at->sum == HEADS ? 3.0
                                                            : 1.0);
    }
    ck_abort_msg("no factor gives %g bits", bits);
    return stats;
}

START_TEST(the_edge_of_a_check)
{
    shown s = open_at(&places[_i]);
    const par_stats fits = run_with_bits(&s, 52.99);
    ck_assert_msg(!is_named(&s, &fits), "52.99 bits: %s", fits.not_exact);
    const par_stats over = run_with_bits(&s, 53.01);
    ck_assert_msg(is_named(&s, &over), "53.01 bits: %s",
                  over.exact ? "nothing" : over.not_exact);
    forget(&s);
    core_weights_close(s.weights);
    core_batch_free(&s.batch);
}
END_TEST

/* A NaN is no smaller than what comes after it. */
START_TEST(nan_stays_the_largest)
{
    const double x[] = {1.0, NAN, 2.0};
    ck_assert(isnan(par__largest(x, 3, 1, 3)));
    ck_assert(isnan(par__worse(par__worse(0.0, NAN), 2.0)));
    ck_assert(par__worse(par__worse(0.0, 3.0), 2.0) == 3.0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("par_exactness");
    TCase *tests = tcase_create("edges");
    tcase_add_loop_test(tests, the_edge_of_a_check, 0, N_PLACES);
    tcase_add_test(tests, nan_stays_the_largest);
    suite_add_tcase(suite, tests);
    return mpi_check_run(suite);
}
