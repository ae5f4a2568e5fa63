/* test_ref_bounds.c -- every bound once more, at every element of every tap.
 *
 * A bound that is too wide hides what it should find, and no healthy run can
 * tell.  So each is computed again here, from the taps and weights that its
 * operator reads, by the formula in ref/bounds*.c; and the tap's bound must be
 * that, to a part in 20,000: a factor, a term or a rounding too many or too few
 * is seen, in the formula or where an operator calls it.                     */
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 9, N = B * T, MAX_K = 256, SWITCH = FIX_N_FAMILIES };

/* Weights, what meets them and the router bf16, out fp32, the rest fp16.     */
#define OTHER(slot, rounding)                                                  \
    (CORE_IN_SLOT(slot, rounding) - CORE_IN_SLOT(slot, CORE_ROUND_BF16))
#define MIXED                                                                  \
    (CORE_BF16 + OTHER(CORE_SLOT_OUT, CORE_ROUND_F32) +                        \
     OTHER(CORE_SLOT_RESIDUAL, CORE_ROUND_F16) +                               \
     OTHER(CORE_SLOT_KV, CORE_ROUND_F16) +                                     \
     OTHER(CORE_SLOT_QP, CORE_ROUND_F16) +                                     \
     OTHER(CORE_SLOT_PROB, CORE_ROUND_F16))
/* What meets an F16 cache fp32; and the sum of it stored in F16.             */
#define WIDE_P                                                                 \
    (CORE_FP16 + CORE_IN_SLOT(CORE_SLOT_OUT, CORE_ROUND_F32) -                 \
     CORE_IN_SLOT(CORE_SLOT_OUT, CORE_ROUND_F16) +                             \
     CORE_IN_SLOT(CORE_SLOT_QP, CORE_ROUND_F32) -                              \
     CORE_IN_SLOT(CORE_SLOT_QP, CORE_ROUND_F16))
#define NARROW_SUM                                                             \
    (MIXED + CORE_IN_SLOT(CORE_SLOT_CTX, CORE_ROUND_F16) -                     \
     CORE_IN_SLOT(CORE_SLOT_CTX, CORE_ROUND_F32))

static const struct {
    core_numerics numerics;
    bool pads;
} ways[] = {{CORE_FP32, false},
            {CORE_FP32, true},
            {CORE_BF16, false},
            {CORE_FP64, false},
            {CORE_FP16, true},
            {MIXED, false},
            {WIDE_P, false},
            {NARROW_SUM, true}};
enum { N_WAYS = sizeof ways / sizeof *ways };

/* A pass, and the layer in which a bound is looked at. */
typedef struct pass {
    core_spec spec;
    core_batch batch;
    core_weights *weights;
    fix_taps taps;
    core_numerics numerics;
    double u, sides;   /* of a sum; on how many sides it errs                */
    double u_s, least; /* of storing at the tap at hand; of it, near zero    */
    double largest_v;  /* of the layer's values, as they are read            */
    int l;
} pass;

/* ---- what the formulas are made of --------------------------------------- */

static double gamma_n(const pass *p, double n)
{
    return n * p->u / (1.0 - n * p->u);
}

static double sum_error(const pass *p, double n)
{
    return fmin(gamma_n(p, n), 8.0 * sqrt(n) * p->u);
}

static double norm2(const double *x, int64_t n)
{
    double s = 0.0;
    for (int64_t i = n - 1; i >= 0; i--)
        s += x[i] * x[i];
    return sqrt(s);
}

static bool has(const pass *p, core_tap_kind kind)
{
    return core_tap_exists(&p->spec, (core_tap){kind, p->l});
}

static int64_t cols(const pass *p, core_tap_kind kind)
{
    return core_tap_cols(&p->spec, (core_tap){kind, p->l});
}

static const double *row(const pass *p, core_tap_kind kind, int64_t r)
{
    for (int64_t i = 0; i < p->taps.n; i++)
        if (p->taps.tap[i].kind == kind && p->taps.tap[i].layer == p->l)
            return p->taps.values[i] + r * cols(p, kind);
    ck_abort_msg("layer %d has no tap kind %d", p->l, (int)kind);
    return NULL;
}

static void weights(const pass *p, core_weight_kind kind, int expert, int64_t r,
                    double *w, int64_t n)
{
    if (n > MAX_K)
        ck_abort_msg("%d columns", (int)n);
    core_weights_read(p->weights, (core_weight){kind, p->l, expert}, r, r + 1,
                      0, n, w, n);
}

static double weight(const pass *p, core_weight_kind kind, int64_t r, int64_t c)
{
    double w;
    core_weights_read(p->weights, (core_weight){kind, p->l, 0}, r, r + 1, c,
                      c + 1, &w, 1);
    return w;
}

/* ---- storing ------------------------------------------------------------- */

static double roundoff(core_rounding type)
{
    return type == CORE_ROUND_BF16  ? 0x1p-8
           : type == CORE_ROUND_F16 ? 0x1p-11
           : type == CORE_ROUND_F32 ? 0x1p-24
                                    : 0x1p-53;
}

static double least(core_rounding type)
{
    return type == CORE_ROUND_F16 ? 0x1p-25 : 0.0;
}

/* All that is not said is out's. */
static core_slot slot_of(core_tap_kind kind)
{
    switch (kind) {
    case CORE_TAP_EMBED:
    case CORE_TAP_IN:
    case CORE_TAP_MID:
    case CORE_TAP_OUT:
        return CORE_SLOT_RESIDUAL;
    case CORE_TAP_ROUTER_LOGITS:
    case CORE_TAP_SHARED_LOGIT:
    case CORE_TAP_ATTN_LOOK:
    case CORE_TAP_FFN_LOOK:
    case CORE_TAP_HEAD_LOOK:
    case CORE_TAP_ATTN_MIX:
    case CORE_TAP_FFN_MIX:
    case CORE_TAP_HEAD_MIX:
        return CORE_SLOT_ROUTER;
    case CORE_TAP_ROUTER_PROBS:
    case CORE_TAP_TOPK_WEIGHT:
    case CORE_TAP_SHARED_SCORE:
    case CORE_TAP_ATTN_BACK:
    case CORE_TAP_FFN_BACK:
    case CORE_TAP_HEAD_BACK:
    case CORE_TAP_ATTN_STREAMS:
    case CORE_TAP_FFN_STREAMS:
    case CORE_TAP_HEAD_STREAMS:
        return CORE_SLOT_PROB;
    default:
        return CORE_SLOT_OUT;
    }
}

/* x as it is read in a slot. */
static void read_in(const pass *p, core_slot slot, double *x, int64_t n)
{
    core_store(core_numerics_of(p->numerics, slot), CORE_GRID_ACT, x, n);
}

/* ---- products ------------------------------------------------------------ */

static const struct {
    core_tap_kind y, x;
    core_weight_kind w;
} products[] = {
    {CORE_TAP_Q_A, CORE_TAP_ATTN_NORM, CORE_W_Q_A},
    {CORE_TAP_Q, CORE_TAP_Q_A_NORM, CORE_W_Q},
    {CORE_TAP_Q, CORE_TAP_ATTN_NORM, CORE_W_Q},
    {CORE_TAP_K, CORE_TAP_ATTN_NORM, CORE_W_K},
    {CORE_TAP_V, CORE_TAP_ATTN_NORM, CORE_W_V},
    {CORE_TAP_KV_A, CORE_TAP_ATTN_NORM, CORE_W_KV_A},
    {CORE_TAP_KV_B, CORE_TAP_KV_A_NORM, CORE_W_KV_B},
    {CORE_TAP_INDEX_Q, CORE_TAP_Q_A_NORM, CORE_W_INDEX_Q},
    {CORE_TAP_INDEX_K, CORE_TAP_ATTN_NORM, CORE_W_INDEX_K},
    {CORE_TAP_INDEX_WEIGHT, CORE_TAP_ATTN_NORM, CORE_W_INDEX_WEIGHT},
    {CORE_TAP_BLOCK_Q, CORE_TAP_ATTN_NORM, CORE_W_BLOCK_Q},
    {CORE_TAP_BLOCK_K, CORE_TAP_ATTN_NORM, CORE_W_BLOCK_K},
    {CORE_TAP_DIGEST_KV, CORE_TAP_ATTN_NORM, CORE_W_DIGEST_KV},
    {CORE_TAP_DIGEST_GATE, CORE_TAP_ATTN_NORM, CORE_W_DIGEST_GATE},
    {CORE_TAP_PICK_Q, CORE_TAP_Q_A_NORM, CORE_W_PICK_Q},
    {CORE_TAP_PICK_KV, CORE_TAP_ATTN_NORM, CORE_W_PICK_KV},
    {CORE_TAP_PICK_GATE, CORE_TAP_ATTN_NORM, CORE_W_PICK_GATE},
    {CORE_TAP_PICK_WEIGHT, CORE_TAP_ATTN_NORM, CORE_W_PICK_WEIGHT},
    {CORE_TAP_ATTN_OUT, CORE_TAP_O_A, CORE_W_O},
    {CORE_TAP_ATTN_OUT, CORE_TAP_CONTEXT_GATED, CORE_W_O},
    {CORE_TAP_ATTN_OUT, CORE_TAP_CONTEXT, CORE_W_O},
    {CORE_TAP_CONTEXT_GATE, CORE_TAP_ATTN_NORM, CORE_W_CONTEXT_GATE},
    {CORE_TAP_ATTN_OUT, CORE_TAP_DELTANET_GATED, CORE_W_DELTANET_OUT},
    {CORE_TAP_DELTANET_Q, CORE_TAP_ATTN_NORM, CORE_W_DELTANET_Q},
    {CORE_TAP_DELTANET_K, CORE_TAP_ATTN_NORM, CORE_W_DELTANET_K},
    {CORE_TAP_DELTANET_V, CORE_TAP_ATTN_NORM, CORE_W_DELTANET_V},
    {CORE_TAP_DELTANET_GATE_A, CORE_TAP_ATTN_NORM, CORE_W_DELTANET_GATE_A},
    {CORE_TAP_DELTANET_GATE, CORE_TAP_DELTANET_GATE_A, CORE_W_DELTANET_GATE},
    {CORE_TAP_DELTANET_GATE, CORE_TAP_ATTN_NORM, CORE_W_DELTANET_GATE},
    {CORE_TAP_DELTANET_BETA_RAW, CORE_TAP_ATTN_NORM, CORE_W_DELTANET_BETA},
    {CORE_TAP_DELTANET_DT_A, CORE_TAP_ATTN_NORM, CORE_W_DELTANET_DT_A},
    {CORE_TAP_DELTANET_DT_RAW, CORE_TAP_DELTANET_DT_A, CORE_W_DELTANET_DT},
    {CORE_TAP_DELTANET_DT_RAW, CORE_TAP_ATTN_NORM, CORE_W_DELTANET_DT},
    {CORE_TAP_ATTN_OUT, CORE_TAP_MAMBA_GATED, CORE_W_MAMBA_OUT},
    {CORE_TAP_MAMBA_U, CORE_TAP_ATTN_NORM, CORE_W_MAMBA_U},
    {CORE_TAP_MAMBA_GATE, CORE_TAP_ATTN_NORM, CORE_W_MAMBA_GATE},
    {CORE_TAP_MAMBA_X, CORE_TAP_MAMBA_ACT, CORE_W_MAMBA_X},
    {CORE_TAP_MAMBA_DT_RAW, CORE_TAP_MAMBA_DT_NORM, CORE_W_MAMBA_DT},
    {CORE_TAP_ATTN_OUT, CORE_TAP_SSD_NORM, CORE_W_SSD_OUT},
    {CORE_TAP_SSD_GATE, CORE_TAP_ATTN_NORM, CORE_W_SSD_GATE},
    {CORE_TAP_SSD_XBC, CORE_TAP_ATTN_NORM, CORE_W_SSD_XBC},
    {CORE_TAP_SSD_DT_RAW, CORE_TAP_ATTN_NORM, CORE_W_SSD_DT},
    {CORE_TAP_ROUTER_LOGITS, CORE_TAP_ROUTER_IN, CORE_W_ROUTER},
    {CORE_TAP_ATTN_OUT, CORE_TAP_SHORTCONV_GATED, CORE_W_SHORTCONV_OUT},
    {CORE_TAP_SHORTCONV_B, CORE_TAP_ATTN_NORM, CORE_W_SHORTCONV_B},
    {CORE_TAP_SHORTCONV_C, CORE_TAP_ATTN_NORM, CORE_W_SHORTCONV_C},
    {CORE_TAP_SHORTCONV_X, CORE_TAP_ATTN_NORM, CORE_W_SHORTCONV_X},
    {CORE_TAP_ROUTER_LOGITS, CORE_TAP_FFN_NORM, CORE_W_ROUTER},
    {CORE_TAP_NARROW, CORE_TAP_MOE_NORM, CORE_W_NARROW},
    {CORE_TAP_NARROW, CORE_TAP_FFN_NORM, CORE_W_NARROW},
    {CORE_TAP_WIDE, CORE_TAP_WIDE_NORM, CORE_W_WIDE},
    {CORE_TAP_WIDE, CORE_TAP_COMBINE, CORE_W_WIDE},
    {CORE_TAP_EXPERT_GATE, CORE_TAP_RECV, CORE_W_EXPERT_GATE},
    {CORE_TAP_EXPERT_UP, CORE_TAP_RECV, CORE_W_EXPERT_UP},
    {CORE_TAP_EXPERT_OUT, CORE_TAP_EXPERT_ACT, CORE_W_EXPERT_DOWN},
    {CORE_TAP_MLP_GATE, CORE_TAP_FFN_NORM, CORE_W_MLP_GATE},
    {CORE_TAP_MLP_UP, CORE_TAP_FFN_NORM, CORE_W_MLP_UP},
    {CORE_TAP_MLP_OUT, CORE_TAP_MLP_ACT, CORE_W_MLP_DOWN},
    {CORE_TAP_SHARED_LOGIT, CORE_TAP_FFN_NORM, CORE_W_SHARED_GATE},
    {CORE_TAP_LOGITS, CORE_TAP_FINAL_NORM, CORE_W_HEAD},
};
enum { N_PRODUCTS = sizeof products / sizeof *products };

/* sum_error (|x| |w| + |b|), all of it divided where the sum is. */
static double of_product(const pass *p, int i, int64_t r, int64_t c)
{
    const core_weight_kind kind = products[i].w, bias = core_weight_bias(kind);
    const bool by_choice = core_tap_row_kind(products[i].y) == CORE_ROWS_CHOICE;
    const int expert = by_choice ? (int)row(p, CORE_TAP_TOPK_IDX, 0)[r] : 0;
    const int64_t n = cols(p, products[i].x);
    double w[MAX_K], x[MAX_K], magnitude = 0.0, n_term = (double)n;
    weights(p, kind, expert, c, w, n);
    memcpy(x, row(p, products[i].x, r), (size_t)n * sizeof *x);
    read_in(p,
            kind == CORE_W_ROUTER || kind == CORE_W_SHARED_GATE
                ? CORE_SLOT_ROUTER
                : CORE_SLOT_ACT,
            x, n);
    magnitude = norm2(x, n) * norm2(w, n);
    const core_weight id = {bias, p->l, expert};
    if (bias != CORE_W_NONE && core_weight_exists(&p->spec, id)) {
        core_weights_read(p->weights, id, 0, 1, c, c + 1, w, 1);
        magnitude += fabs(w[0]);
        n_term += 1.0;
    }
    const bool divided = products[i].y == CORE_TAP_LOGITS;
    return sum_error(p, n_term) * magnitude /
           (divided ? p->spec.logits_divisor : 1.0);
}

static int product_of(const pass *p, core_tap_kind y)
{
    for (int i = 0; i < N_PRODUCTS; i++)
        if (products[i].y == y && has(p, products[i].x))
            return i;
    return -1;
}

/* ---- norms --------------------------------------------------------------- */

/* Columns over which a tap's statistic is taken; 0: it is no such norm. */
static int64_t width_of_rms(const pass *p, core_tap_kind kind)
{
    const bool all = p->spec.qk_norm == CORE_QK_NORM_ALL;
    const bool layer = p->spec.norm == CORE_NORM_LAYER;
    switch (kind) {
    case CORE_TAP_ATTN_NORM:
    case CORE_TAP_FFN_NORM:
    case CORE_TAP_FINAL_NORM:
        return layer ? 0 : p->spec.n_d;
    case CORE_TAP_ATTN_POST:
    case CORE_TAP_FFN_POST:
    case CORE_TAP_MOE_NORM:
    case CORE_TAP_MOE_POST:
    case CORE_TAP_MLP_POST:
    case CORE_TAP_ROUTER_IN:
        return p->spec.n_d;
    case CORE_TAP_V_NORM:
        return core_spec_heads(&p->spec, p->l).n_dv;
    case CORE_TAP_Q_NORM:
    case CORE_TAP_K_NORM:
        return all ? cols(p, kind) : core_spec_heads(&p->spec, p->l).n_dh;
    case CORE_TAP_Q_ROPE_NORM:
    case CORE_TAP_K_ROPE_NORM:
        return core_spec_heads(&p->spec, p->l).n_dh;
    case CORE_TAP_DELTANET_Q_NORM:
    case CORE_TAP_DELTANET_K_NORM:
        return p->spec.deltanet.n_dk;
    case CORE_TAP_DELTANET_NORM:
        return p->spec.deltanet.n_dv;
    case CORE_TAP_Q_A_NORM:
    case CORE_TAP_KV_A_NORM:
    case CORE_TAP_WIDE_NORM:
    case CORE_TAP_MAMBA_DT_NORM:
    case CORE_TAP_MAMBA_B:
    case CORE_TAP_MAMBA_C:
        return cols(p, kind);
    case CORE_TAP_SSD_NORM:
        return cols(p, kind) / p->spec.ssd.n_g;
    case CORE_TAP_BLOCK_Q_NORM:
    case CORE_TAP_BLOCK_K_NORM:
        return p->spec.block_index.n_dh;
    case CORE_TAP_DIGEST_NORM:
    case CORE_TAP_PICK_NORM:
        return cols(p, kind);
    default:
        return 0;
    }
}

/* |w / r| ((c + u) rms + (1 / sqrt(1 - rho) - 1 + 4u) |x - mean|). */
static double of_centred(const pass *p, const double *x, int64_t n_d, double w,
                         double eps, int64_t d)
{
    const double n = (double)n_d, c = sum_error(p, n);
    double mean = 0.0, var = 0.0;
    for (int64_t i = 0; i < n_d; i++)
        mean += x[i] / n;
    for (int64_t i = 0; i < n_d; i++)
        var += (x[i] - mean) * (x[i] - mean) / n;
    const double q = var + mean * mean, r2 = var + eps;
    const double rho = (3.0 * c + 5.0 * p->u) * q / r2;
    return fabs(w) / sqrt(r2) *
           ((c + p->u) * sqrt(q) +
            (1.0 / sqrt(1.0 - rho) - 1.0 + 4.0 * p->u) * fabs(x[d] - mean));
}

static double of_layernorm(const pass *p, core_tap_kind kind, int64_t t,
                           int64_t d)
{
    const bool of_mixer = kind == CORE_TAP_ATTN_NORM;
    pass last = *p;
    last.l = (int)p->spec.n_l - 1;
    const double *x = kind == CORE_TAP_FINAL_NORM ? row(&last, CORE_TAP_OUT, t)
                      : of_mixer                  ? row(p, CORE_TAP_IN, t)
                                                  : row(p, CORE_TAP_MID, t);
    const double w = weight(p,
                            of_mixer                    ? CORE_W_ATTN_NORM
                            : kind == CORE_TAP_FFN_NORM ? CORE_W_FFN_NORM
                                                        : CORE_W_FINAL_NORM,
                            0, d);
    return of_centred(p, x, p->spec.n_d, w, p->spec.norm_eps, d);
}

/* ---- attention ----------------------------------------------------------- */

/* The last of some taps that this layer has. */
static core_tap_kind last_of(const pass *p, const core_tap_kind *kind, int n)
{
    while (n > 1 && !has(p, kind[n - 1]))
        n--;
    return kind[n - 1];
}

static core_tap_kind queries(const pass *p)
{
    static const core_tap_kind kind[] = {CORE_TAP_Q, CORE_TAP_Q_NORM,
                                         CORE_TAP_Q_ROPE, CORE_TAP_Q_ROPE_NORM,
                                         CORE_TAP_Q_TEMPER};
    return last_of(p, kind, 5);
}

static core_tap_kind keys(const pass *p)
{
    static const core_tap_kind kind[] = {CORE_TAP_K, CORE_TAP_K_NORM,
                                         CORE_TAP_K_ROPE, CORE_TAP_K_ROPE_NORM};
    return last_of(p, kind, 4);
}

static core_tap_kind values(const pass *p)
{
    return p->spec.one_kv             ? CORE_TAP_K_ROPE
           : has(p, CORE_TAP_V_NORM) ? CORE_TAP_V_NORM
           : has(p, CORE_TAP_V)    ? CORE_TAP_V
                                   : CORE_TAP_K;
}

/* The key and the value of a token that head h meets. */
static void key_and_value(const pass *p, int64_t t, int64_t h, double *k,
                          double *v)
{
    const core_spec *s = &p->spec;
    const core_heads heads = core_spec_heads(s, p->l);
    const int64_t n_dh = heads.n_dh, n_dv = heads.n_dv;
    const bool latent = s->n_kv_rank > 0;
    const int64_t n_dn = latent ? n_dh - heads.n_rot : 0;
    const int64_t g = h * heads.n_g / heads.n_h;
    const double *kv =
        latent ? row(p, CORE_TAP_KV_B, t) + h * (n_dn + n_dv) : NULL;
    const double *rest = NULL;
    if (latent)
        rest = has(p, CORE_TAP_K_ROPE) ? row(p, CORE_TAP_K_ROPE, t)
                                       : row(p, CORE_TAP_KV_A, t) + s->n_kv_rank;
    for (int64_t d = 0; d < n_dh; d++)
        k[d] = !latent    ? row(p, keys(p), t)[g * n_dh + d]
               : d < n_dn ? kv[d]
                          : rest[d - n_dn];
    for (int64_t d = 0; d < n_dv; d++)
        v[d] = latent ? kv[n_dn + d] : row(p, values(p), t)[g * n_dv + d];
    read_in(p, CORE_SLOT_KV, k, n_dh);
    read_in(p, CORE_SLOT_KV, v, n_dv);
}

/* The digest that token t sees last, as key and value. */
static void digest_of(const pass *p, int64_t t, double *k, double *v)
{
    const int64_t n = core_spec_heads(&p->spec, p->l).n_dh;
    memcpy(k, row(p, CORE_TAP_DIGEST_ROPE, t), (size_t)n * sizeof *k);
    read_in(p, CORE_SLOT_KV, k, n);
    memcpy(v, k, (size_t)n * sizeof *v);
}

static double largest_value(const pass *p)
{
    double k[MAX_K], v[MAX_K], largest = 0.0;
    const core_heads heads = core_spec_heads(&p->spec, p->l);
    for (int64_t t = 0; t < N; t++)
        for (int64_t h = 0; h < heads.n_h; h++) {
            key_and_value(p, t, h, k, v);
            for (int64_t d = 0; d < heads.n_dv; d++)
                largest = fmax(largest, fabs(v[d]));
            if (!has(p, CORE_TAP_DIGEST_ROPE))
                continue;
            digest_of(p, t, k, v);
            for (int64_t d = 0; d < heads.n_dv; d++)
                largest = fmax(largest, fabs(v[d]));
        }
    return largest * (p->spec.value_scale > 0.0 ? p->spec.value_scale : 1.0);
}

/* Is key j of the row, or digest j, among those that query t's head h attends to
 * where it chooses? */
static bool attends_to(const pass *p, int64_t t, int64_t h, int64_t j)
{
    const core_seen seen = core_spec_seen(&p->spec, p->l);
    const int64_t n_h = core_spec_heads(&p->spec, p->l).n_h;
    bool found = seen.n_set == 0;
    for (int64_t e = 0; !found && e < seen.n_key; e++) {
        const double *set = row(p, CORE_TAP_SEEN, t) + h * seen.n_set / n_h *
                                                           seen.n_key;
        found = set[e] == (double)(j / seen.n_wide);
    }
    return found;
}

/* Of an indexer's choice: the largest sum of |w| |q| over its heads, the largest
 * |k| of all tokens; two sums and four roundings. */
static double of_index_edge(const pass *p, int64_t t)
{
    const core_indexer *index = &p->spec.indexer;
    double reach = 0.0, norm_k = 0.0;
    for (int64_t h = 0; h < index->n_h; h++)
        reach += fabs(row(p, CORE_TAP_INDEX_WEIGHT, t)[h]) *
                 norm2(row(p, CORE_TAP_INDEX_Q_ROPE, t) + h * index->n_dh,
                       index->n_dh);
    for (int64_t j = 0; j < N; j++)
        norm_k = fmax(norm_k,
                      norm2(row(p, CORE_TAP_INDEX_K_ROPE, j), index->n_dh));
    return (sum_error(p, (double)index->n_dh) +
            sum_error(p, (double)index->n_h) + 4.0 * p->u) *
           reach * norm_k / sqrt((double)(index->n_h * index->n_dh));
}

/* Of a choice by blocks: the worst score of a key that a query may see. */
static double of_edge(const pass *p, int64_t t, int64_t c)
{
    const core_block_index *index = &p->spec.block_index;
    const int64_t n_dh = index->n_dh, i = t % T;
    const bool has_rope = has(p, CORE_TAP_BLOCK_Q_ROPE);
    const double *q = row(p,
                          has_rope ? CORE_TAP_BLOCK_Q_ROPE
                                   : CORE_TAP_BLOCK_Q_NORM,
                          t) +
                      c / 2 * n_dh;
    double worst = 0.0;
    for (int64_t j = t - i; j <= t; j++) {
        const double *k = row(
            p, has_rope ? CORE_TAP_BLOCK_K_ROPE : CORE_TAP_BLOCK_K_NORM, j);
        double dot = 0.0;
        for (int64_t d = 0; d < n_dh; d++)
            dot += q[d] * k[d];
        worst = fmax(worst, sum_error(p, (double)n_dh) * norm2(q, n_dh) *
                                    norm2(k, n_dh) +
                                4.0 * p->u * fabs(dot));
    }
    return worst;
}

/* A context's sum, stored after each key: y belongs to the largest p so far. */
typedef struct stored_sum {
    core_numerics ctx;
    double share, u, largest, y, error;
} stored_sum;

static double in_ctx(const stored_sum *s, double x)
{
    core_store(s->ctx, CORE_GRID_ACT, &x, 1);
    return x;
}

/* Another side's sum is within s->error before it is stored, too. */
static void store_sum(stored_sum *s)
{
    const double y = in_ctx(s, s->y);
    s->error = fmax(in_ctx(s, s->y + s->error) - y,
                    y - in_ctx(s, s->y - s->error));
    s->y = y;
}

static void take_key(stored_sum *s, double prob, double v)
{
    if (prob > s->largest) {
        const double down = s->largest / prob;
        s->y *= down;
        s->error = s->error * down * (1.0 + s->share) +
                   (s->share + s->u) * fabs(s->y);
        store_sum(s);
        s->largest = prob;
    }
    if (prob == 0.0)
        return;
    const double term = prob / s->largest * v;
    s->y += term;
    s->error = s->error * (1.0 + s->u) + (s->share + s->u) * fabs(term) +
               s->u * fabs(s->y);
    store_sum(s);
}

/* sum p |v| (2 max ds + 2 sum_error(p, n) + 6u + 2 u_s) (1 + u_s), with ds =
 * sum_error(p, Dh) |q| |k| scale + 4u |s|; a sink is one more key without
 * value. A query that sees no key takes all of its row alike, or gives all to a
 * sink.  A scale of the values is one more product.  What storing a sum after
 * each key may do comes on top, and then no p is stored.
 */
static double of_context(const pass *p, int64_t t, int64_t c)
{
    const core_spec *s = &p->spec;
    const core_heads heads = core_spec_heads(s, p->l);
    const int64_t n_dh = heads.n_dh, n_dv = heads.n_dv, h = c / n_dv;
    const int64_t first = t / T * T, lo = core_spec_first_key(s, p->l, t % T);
    const double scale = heads.scale;
    const core_rounding acc = core_numerics_at(p->numerics, CORE_SLOT_ACC);
    const core_rounding ctx = core_numerics_at(p->numerics, CORE_SLOT_CTX);
    const core_slot slot_p = ctx == acc ? CORE_SLOT_QP : CORE_SLOT_ACC;
    const core_rounding of_p = core_numerics_at(p->numerics, slot_p);
    double q[MAX_K];
    memcpy(q, row(p, queries(p), t) + h * n_dh, (size_t)n_dh * sizeof *q);
    read_in(p, CORE_SLOT_QP, q, n_dh);
    const double sink = heads.sinks ? weight(p, CORE_W_SINKS, 0, h) : -HUGE_VAL;
    const int64_t run = core_spec_digest_run(s, p->l);
    const int64_t n_digest = run > 0 ? (t % T + 1) / run : 0;
    double e[2 * T] = {0.0}, own_v[2 * T] = {0.0},
           worst = heads.sinks ? 4.0 * p->u * fabs(sink) : 0.0;
    double max = sink, sum, of_v = 0.0, n = 0.0;
    for (int64_t j = 0; j < T + n_digest; j++) {
        double k[MAX_K], v[MAX_K];
        if (j < T)
            key_and_value(p, first + j, h, k, v);
        else
            digest_of(p, first + (j - T + 1) * run - 1, k, v);
        own_v[j] = v[c % n_dv];
        e[j] = -HUGE_VAL;
        if (j >= T ? !attends_to(p, t, h, j - T)
                   : j < lo || j > t % T ||
                         (run == 0 && !attends_to(p, t, h, j)) ||
                         (p->batch.mask != NULL &&
                          p->batch.mask[first + j] == 0))
            continue;
        double dot = 0.0;
        for (int64_t d = 0; d < n_dh; d++)
            dot += q[d] * k[d];
        e[j] = dot * scale;
        max = fmax(max, e[j]);
        worst = fmax(worst, sum_error(p, (double)n_dh) * norm2(q, n_dh) *
                                    norm2(k, n_dh) * scale +
                                4.0 * p->u * fabs(e[j]));
        n += 1.0;
    }
    const bool blind = n == 0.0;
    sum = blind ? (double)T : exp(sink - max);
    core_store(p->numerics, CORE_GRID_EXP, &sum, 1);
    for (int64_t j = 0; j < T + n_digest; j++) {
        e[j] = blind ? 0.0 : exp(e[j] - max);
        core_store(p->numerics, CORE_GRID_EXP, &e[j], 1);
        sum += e[j];
    }
    for (int64_t j = 0; j < T + n_digest; j++) {
        e[j] = (blind && !heads.sinks ? 1.0 : e[j]) / sum;
        read_in(p, slot_p, &e[j], 1); /* used as stored */
        of_v += e[j] * fabs(own_v[j]);
    }
    n = (blind ? (double)T : n) + (heads.sinks ? 1.0 : 0.0);
    if (s->value_scale > 0.0) {
        of_v *= s->value_scale;
        n += 1.0;
    }
    const double once = (1.0 + roundoff(of_p)) *
                        (2.0 * worst + 2.0 * sum_error(p, n) + 6.0 * p->u +
                         2.0 * roundoff(of_p));
    const double near_zero = 2.0 * least(of_p) * n * p->largest_v;
    if (ctx == acc)
        return of_v * once + near_zero;
    stored_sum of_sum = {.ctx = core_numerics_of(p->numerics, CORE_SLOT_CTX),
                         .share = once,
                         .u = p->u};
    for (int64_t j = T; j < T + n_digest; j++)
        take_key(&of_sum, e[j], own_v[j]); /* before those of the window */
    for (int64_t j = 0; j < T; j++)
        take_key(&of_sum, e[j], own_v[j]);
    return of_v * once + near_zero +
           of_sum.error * of_sum.largest *
               (s->value_scale > 0.0 ? s->value_scale : 1.0);
}

/* ---- activations --------------------------------------------------------- */

static double of_act(const pass *p, double z, double a)
{
    return p->u * (4.0 * fabs(z) + 3.0 * fabs(a));
}

/* 4u (|g| + |act g|) |up|. */
static double of_gated(const pass *p, core_act act, double g, double up)
{
    return 4.0 * p->u * (fabs(g) + fabs(core_act_apply(act, g))) * fabs(up);
}

static double of_clamped(const pass *p, double gate, double up, double a)
{
    const core_gating gating = core_spec_gating(&p->spec);
    const bool plus_one = gating.act == CORE_ACT_CLAMPED_SWIGLU;
    const double most = gating.limit;
    const double g = gate > most ? most : gate;
    const double f =
        g / (1.0 + exp(-(plus_one ? gating.alpha : 1.0) * g));
    const double u = up > most ? most : up < -most ? -most : up;
    const double off =
        fabs(up) > most
            ? fmin(fabs(most - (double)(float)most), p->u * most)
            : 0.0;
    return 4.0 * p->u * (fabs(g) + fabs(f)) * fabs(plus_one ? u + 1.0 : u) +
           (plus_one ? p->u * fabs(a) : 0.0) + off * fabs(f);
}

/* min(act g, most) times up within most: as above, but for what is cut off. */
static double of_limited(const pass *p, double g, double up, double most)
{
    const double f = core_act_apply(p->spec.act, g);
    const double error = 4.0 * p->u * (fabs(g) + fabs(f));
    const double within = up > most ? most : up < -most ? -most : up;
    const double off = fmin(fabs(most - (double)(float)most), p->u * most);
    return (f - error > most ? 0.0 : error) * fabs(within) +
           off * (fabs(f > most ? most : f) + fabs(within));
}

static double of_ffn_act(const pass *p, core_tap_kind gate, core_tap_kind up,
                         int64_t r, int64_t c, double a)
{
    const core_act act = p->spec.act;
    const double u = row(p, up, r)[c];
    const double most = up == CORE_TAP_EXPERT_UP ? p->spec.expert_most[p->l]
                                                 : p->spec.mlp_most[p->l];
    if (act == CORE_ACT_RELU2)
        return 0.0; /* one product, stored */
    if (act == CORE_ACT_SITU)
        return 21.0 * p->u * fabs(a);
    if (!p->spec.gated)
        return of_act(p, u, a);
    const double g = row(p, gate, r)[c];
    if (most > 0.0)
        return of_limited(p, g, u, most);
    return core_act_is_clamped(act) ? of_clamped(p, g, u, a)
                                    : of_gated(p, act, g, u);
}

/* ---- routers ------------------------------------------------------------- */

/* (m - l + their average over p + n + rest) u p, of n logits. */
static double of_softmax(const pass *p, double below, double average, double n,
                         double rest, double y)
{
    return (below + average + n + rest) * p->u * y;
}

static double of_probs(const pass *p, int64_t t, int64_t e)
{
    const int64_t n_e = p->spec.n_e;
    const double *l = row(p, CORE_TAP_ROUTER_LOGITS, t);
    const double *y = row(p, CORE_TAP_ROUTER_PROBS, t);
    double max = l[0], average = 0.0;
    if (p->spec.router == CORE_ROUTER_SIGMOID)
        return 3.0 * p->u * y[e];
    if (p->spec.router == CORE_ROUTER_SQRT_SOFTPLUS)
        return 2.0 * p->u * (fabs(l[e]) / y[e] + y[e]) + p->u * y[e];
    for (int64_t i = 0; i < n_e; i++)
        max = fmax(max, l[i]);
    for (int64_t i = 0; i < n_e; i++)
        average += y[i] * (max - l[i]);
    return of_softmax(p, max - l[e], average, (double)n_e, 6.0, y[e]);
}

/* ---- attention residuals -------------------------------------------------- */

typedef struct looking {
    core_tap_kind stream, look, back, read;
    core_weight_kind norm, weight;
} looking;

static const looking LOOKS[] = {
    {CORE_TAP_IN, CORE_TAP_ATTN_LOOK, CORE_TAP_ATTN_BACK, CORE_TAP_ATTN_READ,
     CORE_W_ATTN_LOOK_NORM, CORE_W_ATTN_LOOK},
    {CORE_TAP_MID, CORE_TAP_FFN_LOOK, CORE_TAP_FFN_BACK, CORE_TAP_FFN_READ,
     CORE_W_FFN_LOOK_NORM, CORE_W_FFN_LOOK},
    {CORE_TAP_OUT, CORE_TAP_HEAD_LOOK, CORE_TAP_HEAD_BACK, CORE_TAP_HEAD_READ,
     CORE_W_HEAD_LOOK_NORM, CORE_W_HEAD_LOOK},
};

static const looking *looking_of(core_tap_kind kind)
{
    for (size_t i = 0; i < sizeof LOOKS / sizeof *LOOKS; i++)
        if (LOOKS[i].look == kind || LOOKS[i].back == kind ||
            LOOKS[i].read == kind)
            return &LOOKS[i];
    return NULL;
}

/* Sum j of token t; the head reads those behind the last layer. */
static const double *sum_of(const pass *p, const looking *k, int64_t t,
                            int64_t j)
{
    pass at = *p;
    if (k->stream == CORE_TAP_OUT)
        at.l = (int)p->spec.n_l - 1;
    return row(&at, k->stream, t) + j * p->spec.n_d;
}

/* (1.5 sum_error + 7u) |x| |w| / rms, with w the product of both weights. */
static double of_look(const pass *p, const looking *k, int64_t t, int64_t j)
{
    const int64_t n = p->spec.n_d;
    const double *x = sum_of(p, k, t, j);
    double a[MAX_K], b[MAX_K];
    weights(p, k->norm, 0, 0, a, n);
    weights(p, k->weight, 0, 0, b, n);
    for (int64_t d = 0; d < n; d++)
        a[d] *= b[d];
    const double rms =
        sqrt(pow(norm2(x, n), 2.0) / (double)n + p->spec.norm_eps);
    return (1.5 * sum_error(p, (double)n) + 7.0 * p->u) * norm2(x, n) / rms *
           norm2(a, n);
}

static double of_back(const pass *p, const looking *k, int64_t t, int64_t j)
{
    const int64_t n = cols(p, k->back);
    const double *l = row(p, k->look, t), *y = row(p, k->back, t);
    double max = l[0], average = 0.0;
    for (int64_t i = 0; i < n; i++)
        max = fmax(max, l[i]);
    for (int64_t i = 0; i < n; i++)
        average += y[i] * (max - l[i]);
    return of_softmax(p, max - l[j], average, (double)n, 6.0, y[j]);
}

static double of_read_back(const pass *p, const looking *k, int64_t t, int64_t d)
{
    const int64_t n = cols(p, k->back);
    double sum = 0.0;
    for (int64_t j = 0; j < n; j++)
        sum += fabs(row(p, k->back, t)[j] * sum_of(p, k, t, j)[d]);
    return sum_error(p, (double)n) * sum;
}

static double of_looking(const pass *p, core_tap_kind kind, int64_t t,
                         int64_t c)
{
    const looking *k = looking_of(kind);
    return kind == k->look   ? of_look(p, k, t, c)
           : kind == k->back ? of_back(p, k, t, c)
                             : of_read_back(p, k, t, c);
}

/* Over the logits that may take part in choice k, as ref/MODEL.md says. */
static double of_top(const pass *p, int64_t t, int64_t k)
{
    const core_spec *s = &p->spec;
    const bool sparse = s->router == CORE_ROUTER_SPARSEMIXER;
    const double *l = row(p, CORE_TAP_ROUTER_LOGITS, t);
    const double *idx = row(p, CORE_TAP_TOPK_IDX, t);
    const int64_t n = sparse ? s->n_e : s->n_k;
    const double m = l[(int64_t)idx[sparse ? k : 0]];
    double sum = 0.0, average = 0.0, n_kept = 0.0;
    for (int64_t i = 0; i < n; i++) {
        const double x = sparse ? l[i] : l[(int64_t)idx[i]];
        if (sparse && ((k == 1 && i == (int64_t)idx[0]) ||
                       (m - x) / fmax(fabs(x), m) > 2.0 * s->jitter))
            continue;
        sum += exp(x - m);
        average += exp(x - m) * (m - x);
        n_kept += 1.0;
    }
    return of_softmax(p, sparse ? 0.0 : m - l[(int64_t)idx[k]], average / sum,
                      n_kept, s->routed_scale != 1.0 ? 8.0 : 6.0,
                      row(p, CORE_TAP_TOPK_WEIGHT, t)[k]);
}

static double of_weight(const pass *p, int64_t t, int64_t k)
{
    const core_spec *s = &p->spec;
    const bool sigmoid = s->router == CORE_ROUTER_SIGMOID;
    if (s->router == CORE_ROUTER_SOFTMAX_TOP ||
        s->router == CORE_ROUTER_SPARSEMIXER)
        return of_top(p, t, k);
    double n = s->routed_scale != 1.0 ? 2.0 : 0.0;
    if (s->renormalise)
        n += (double)s->n_k + (sigmoid ? 1.0 : 0.0);
    n += s->expert_scale ? 1.0 : 0.0;
    return n * p->u * row(p, CORE_TAP_TOPK_WEIGHT, t)[k];
}

static double of_combine(const pass *p, int64_t t, int64_t d)
{
    const int64_t n_k = p->spec.n_k;
    double sum = 0.0;
    for (int64_t k = 0; k < n_k; k++)
        sum += fabs(row(p, CORE_TAP_BACK, t * n_k + k)[d]) *
               (p->spec.weigh_input ? 1.0 : row(p, CORE_TAP_TOPK_WEIGHT, t)[k]);
    return sum_error(p, (double)n_k) * sum;
}

/* ---- mamba --------------------------------------------------------------- */

/* Of tap u with a weight, which may have a bias. */
static double of_conv(const pass *p, core_tap_kind u, core_weight_kind w,
                      int64_t t, int64_t c)
{
    const core_weight bias = {core_weight_bias(w), p->l, 0};
    int64_t n_row, n;
    core_weight_shape(&p->spec, (core_weight){w, p->l, 0}, &n_row, &n);
    double sum = core_weight_exists(&p->spec, bias)
                     ? fabs(weight(p, bias.kind, 0, c))
                     : 0.0;
    for (int64_t back = 0; back < n && back <= t % T; back++)
        sum += fabs(weight(p, w, c, n - 1 - back) * row(p, u, t - back)[c]);
    return sum_error(p, (double)n + 1.0) * sum;
}

/* A state's error decays with it; a step adds u (3 |exponent| + 3) |decay h| +
 * 2u |dt B a|, and both stores.                                              */
static double of_state(const pass *p, int64_t t, int64_t c)
{
    const int64_t n_s = p->spec.mamba.n_s;
    const double skip = weight(p, CORE_W_MAMBA_D, 0, c);
    double sum = fabs(skip * row(p, CORE_TAP_MAMBA_ACT, t)[c]), carried = 0.0;
    for (int64_t s = 0; s < n_s; s++) {
        const double rate = exp(weight(p, CORE_W_MAMBA_A_LOG, c, s));
        double h = 0.0, error = 0.0;
        for (int64_t i = t / T * T; i <= t; i++) {
            const double dt = row(p, CORE_TAP_MAMBA_DT, i)[c];
            const double in = dt * row(p, CORE_TAP_MAMBA_B, i)[s] *
                              row(p, CORE_TAP_MAMBA_ACT, i)[c];
            const double kept = exp(-rate * dt);
            error = kept * error +
                    p->u * (3.0 * (rate * dt + 1.0) * fabs(kept * h) +
                            2.0 * fabs(in));
            h = kept * h + in;
            core_store(p->numerics, CORE_GRID_ACT, &h, 1);
            error = (error + 2.0 * p->u_s * fabs(h) + 2.0 * p->least) *
                    (1.0 + p->u_s);
        }
        sum += fabs(h * row(p, CORE_TAP_MAMBA_C, t)[s]);
        carried += error * fabs(row(p, CORE_TAP_MAMBA_C, t)[s]);
    }
    return sum_error(p, (double)n_s + 1.0) * sum + carried;
}

/* ---- delta net ----------------------------------------------------------- */

/* A column's error decays as its slowest row; a position adds u times the norm of
 * (3 |exponent| + 5) decayed element, beta sum_error |k|^2 (that column and the
 * error), 3u |k| |d| and 2u |column|, and 8u of all of it.                    */
static double of_delta(const pass *p, int64_t t, int64_t c)
{
    const core_deltanet *s = &p->spec.deltanet;
    const int64_t n = s->n_dk, h = c / s->n_dv, g = h / (s->n_vh / s->n_kh);
    const double rate = exp(weight(p, CORE_W_DELTANET_A_LOG, 0, h));
    const double of_sum = sum_error(p, (double)n);
    double S[MAX_K] = {0.0}, e = 0.0;
    for (int64_t i = t / T * T; i <= t; i++) {
        const double *k = row(p, CORE_TAP_DELTANET_K_NORM, i) + g * n;
        const double *dt = row(p, CORE_TAP_DELTANET_DT, i) +
                           (s->by_row ? h * n : h);
        const double beta = row(p, CORE_TAP_DELTANET_BETA, i)[h];
        double found = 0.0, squares = 0.0, slowest = 0.0, off[MAX_K];
        for (int64_t j = 0; j < n; j++) {
            const double exponent =
                (s->floor < 0.0 ? -s->floor : rate) * dt[s->by_row ? j : 0];
            S[j] *= exp(-exponent);
            off[j] = 3.0 * exponent + 5.0;
            slowest = fmax(slowest, exp(-exponent));
        }
        core_store(p->numerics, CORE_GRID_EXP, S, n);
        for (int64_t j = 0; j < n; j++) {
            found += k[j] * S[j];
            squares += k[j] * k[j];
            off[j] *= S[j];
        }
        const double before = norm2(S, n);
        const double d = beta * (row(p, CORE_TAP_DELTANET_V_ACT, i)[c] - found);
        for (int64_t j = 0; j < n; j++)
            S[j] += k[j] * d;
        core_store(p->numerics, CORE_GRID_EXP, S, n);
        e = slowest * e + p->u * norm2(off, n);
        e += beta * of_sum * squares * (before + e) +
             p->u * (3.0 * sqrt(squares) * fabs(d) + 2.0 * norm2(S, n));
        e *= 1.0 + 8.0 * p->u;
    }
    const double of_q =
        norm2(row(p, CORE_TAP_DELTANET_Q_NORM, t) + g * n, n) / sqrt((double)n);
    return of_q * ((of_sum + 2.0 * p->u) * norm2(S, n) + e);
}

/* 4u y (1 + |z| (1 - y)), z the exponential of the head's weight times x. */
static double of_bounded_step(const pass *p, double x, int64_t c, double y)
{
    const int64_t of_head = cols(p, CORE_TAP_DELTANET_DT) /
                            p->spec.deltanet.n_vh;
    const double z =
        exp(weight(p, CORE_W_DELTANET_A_LOG, 0, c / of_head)) * x;
    return 4.0 * p->u * y * (1.0 + fabs(z) * (1.0 - y));
}

/* ---- heads of a state space ---------------------------------------------- */

/* As of_state, with one decay for a head, and B and C of its group. */
static double of_head(const pass *p, int64_t t, int64_t c)
{
    const core_ssd *m = &p->spec.ssd;
    const int64_t h_i = c / m->n_p, n_c = m->n_h * m->n_p;
    const int64_t b = n_c + h_i * m->n_g / m->n_h * m->n_s;
    const int64_t to_c = m->n_g * m->n_s;
    const double rate = exp(weight(p, CORE_W_SSD_A_LOG, 0, h_i));
    const double *act = row(p, CORE_TAP_SSD_ACT, t);
    double sum = fabs(weight(p, CORE_W_SSD_D, 0, h_i) * act[c]), carried = 0.0;
    for (int64_t s = b; s < b + m->n_s; s++) {
        double h = 0.0, error = 0.0;
        for (int64_t i = t / T * T; i <= t; i++) {
            const double dt = row(p, CORE_TAP_SSD_DT, i)[h_i];
            const double in = dt * row(p, CORE_TAP_SSD_ACT, i)[s] *
                              row(p, CORE_TAP_SSD_ACT, i)[c];
            const double kept = exp(-rate * dt);
            error = kept * error +
                    p->u * (3.0 * (rate * dt + 1.0) * fabs(kept * h) +
                            2.0 * fabs(in));
            h = kept * h + in;
            core_store(p->numerics, CORE_GRID_EXP, &h, 1);
            error = (error + 2.0 * p->u * fabs(h)) * (1.0 + p->u);
        }
        sum += fabs(h * act[s + to_c]);
        carried += error * fabs(act[s + to_c]);
    }
    return sum_error(p, (double)m->n_s + 1.0) * sum + carried;
}

/* ---- digests ------------------------------------------------------------- */

/* A sum by a softmax, as of_context, of scores that are sums of two and lose
 * another rounding as the largest is subtracted; the last run's digest.      */
static double of_digest(const pass *p, core_tap_kind kv, core_tap_kind gate,
                        core_weight_kind bias, int64_t t, int64_t c)
{
    const int64_t m = core_spec_digest_run(&p->spec, p->l);
    const int64_t n_vector = core_spec_digest_vectors(&p->spec, p->l);
    const int64_t n = cols(p, kv) / n_vector, last = (t % T + 1) / m - 1;
    double z[2 * T], v[2 * T], max = -HUGE_VAL, largest = 0.0, sum = 0.0;
    double of_v = 0.0, max_v = 0.0;
    int64_t n_term = 0;
    for (int64_t i = 0; i < n_vector && i <= last; i++) /* runs last - i */
        for (int64_t j = 0; j < m; j++, n_term++) {
            const int64_t at = t / T * T + (last - i) * m + j;
            const int64_t col = (n_vector - 1 - i) * n + c;
            z[n_term] = row(p, gate, at)[col] + weight(p, bias, j, col);
            v[n_term] = fabs(row(p, kv, at)[col]);
            max = fmax(max, z[n_term]);
            largest = fmax(largest, fabs(z[n_term]));
            max_v = fmax(max_v, v[n_term]);
        }
    for (int64_t i = 0; i < n_term; i++)
        sum += z[i] = exp(z[i] - max);
    for (int64_t i = 0; i < n_term; i++) {
        double prob = z[i] / sum;
        read_in(p, CORE_SLOT_OUT, &prob, 1); /* used as stored */
        of_v += prob * v[i];
    }
    return of_v * (1.0 + p->u_s) *
               (2.0 * 5.0 * p->u * largest +
                2.0 * sum_error(p, (double)n_term) + 6.0 * p->u +
                2.0 * p->u_s) +
           2.0 * p->least * (double)n_term * max_v;
}

/* The worst of the scores of token t. */
static double of_pick(const pass *p, int64_t t)
{
    const core_digests *d = &p->spec.digests;
    const int64_t n = d->n_pd, m = d->n_best;
    const double scale = sqrt((double)(n * d->n_ph));
    double worst = 0.0;
    for (int64_t e = 0; e < (t % T + 1) / m; e++) {
        const double *k =
            row(p, CORE_TAP_PICK_ROPE, t / T * T + (e + 1) * m - 1);
        double off = 0.0;
        for (int64_t h = 0; h < d->n_ph; h++) {
            const double *q = row(p, CORE_TAP_PICK_Q_ROPE, t) + h * n;
            double dot = 0.0;
            for (int64_t i = 0; i < n; i++)
                dot += q[i] * k[i];
            off += fabs(row(p, CORE_TAP_PICK_WEIGHT, t)[h]) *
                   (sum_error(p, (double)n) * norm2(q, n) * norm2(k, n) +
                    (double)(d->n_ph + 4) * p->u * fmax(dot, 0.0));
        }
        worst = fmax(worst, off / scale);
    }
    return worst;
}

/* A product with the columns of its group. */
static double of_o_group(const pass *p, int64_t t, int64_t c)
{
    const core_o_groups *o = &p->spec.o_groups;
    const int64_t n = cols(p, CORE_TAP_CONTEXT_BACK) / o->n;
    double x[MAX_K], w[MAX_K];
    weights(p, CORE_W_O_A, 0, c, w, n);
    memcpy(x, row(p, CORE_TAP_CONTEXT_BACK, t) + c / o->n_r * n,
           (size_t)n * sizeof *x);
    read_in(p, CORE_SLOT_ACT, x, n);
    return sum_error(p, (double)n) * norm2(x, n) * norm2(w, n);
}

/* ---- streams ------------------------------------------------------------- */

/* Around a part of a layer, or before the head. */
typedef struct part {
    core_tap_kind mix, streams;
    core_weight_kind w, base, scale;
} part;

static part part_of(core_tap_kind kind)
{
    static const part mixer = {CORE_TAP_ATTN_MIX, CORE_TAP_ATTN_STREAMS,
                               CORE_W_ATTN_MIX, CORE_W_ATTN_MIX_BASE,
                               CORE_W_ATTN_MIX_SCALE};
    static const part ffn = {CORE_TAP_FFN_MIX, CORE_TAP_FFN_STREAMS,
                             CORE_W_FFN_MIX, CORE_W_FFN_MIX_BASE,
                             CORE_W_FFN_MIX_SCALE};
    static const part head = {CORE_TAP_HEAD_MIX, CORE_TAP_HEAD_STREAMS,
                              CORE_W_HEAD_MIX, CORE_W_HEAD_MIX_BASE,
                              CORE_W_HEAD_MIX_SCALE};
    switch (kind) {
    case CORE_TAP_ATTN_MIX:
    case CORE_TAP_ATTN_STREAMS:
    case CORE_TAP_ATTN_IN:
    case CORE_TAP_MID:
        return mixer;
    case CORE_TAP_FFN_MIX:
    case CORE_TAP_FFN_STREAMS:
    case CORE_TAP_FFN_IN:
    case CORE_TAP_OUT:
        return ffn;
    default:
        return head;
    }
}

/* The streams as they are there. */
static const double *streams_at(const pass *p, part at, int64_t t)
{
    pass last = *p;
    last.l = (int)p->spec.n_l - 1;
    return at.mix == CORE_TAP_ATTN_MIX  ? row(p, CORE_TAP_IN, t)
           : at.mix == CORE_TAP_FFN_MIX ? row(p, CORE_TAP_MID, t)
                                        : row(&last, CORE_TAP_OUT, t);
}

/* (1.5 sum_error + 4u) |x| |w| / rms. */
static double of_mix(const pass *p, part at, int64_t t, int64_t c)
{
    const int64_t n = p->spec.hyper.n * p->spec.n_d;
    double w[MAX_K], x[MAX_K];
    weights(p, at.w, 0, c, w, n);
    memcpy(x, streams_at(p, at, t), (size_t)n * sizeof *x);
    const double norm = norm2(x, n);
    read_in(p, CORE_SLOT_ROUTER, x, n);
    return (1.5 * sum_error(p, (double)n) + 4.0 * p->u) * norm2(x, n) *
           norm2(w, n) / sqrt(norm * norm / (double)n + p->spec.norm_eps);
}

/* z = m scale + base: 2 |m scale| + |base|; *value that sum. */
static double logit_of(const pass *p, part at, int64_t t, int64_t c, int i,
                       double *value)
{
    const double of_m = row(p, at.mix, t)[c] * weight(p, at.scale, 0, i);
    const double base = weight(p, at.base, 0, c);
    *value = of_m + base;
    return 2.0 * fabs(of_m) + fabs(base);
}

static double of_joint(const pass *p, part at, int64_t t, int64_t c)
{
    const int64_t n = p->spec.hyper.n;
    const double y = row(p, at.streams, t)[c];
    const double n_step = 2.0 * (double)p->spec.hyper.n_round - 1.0;
    double z, least_z = HUGE_VAL, most_z = -HUGE_VAL, worst = 0.0;
    if (c < 2 * n)
        return p->u * (0.25 * (c < n ? 1.0 : 2.0) *
                           logit_of(p, at, t, c, c < n ? 0 : 1, &z) +
                       5.0 * y);
    for (int64_t i = 2 * n; i < (2 + n) * n; i++) {
        worst = fmax(worst, logit_of(p, at, t, i, 2, &z));
        least_z = fmin(least_z, z);
        most_z = fmax(most_z, z);
    }
    const double entry = 2.0 * worst + 2.0 * (most_z - least_z) + (double)n +
                         7.0 + 2.0 * n_step;
    return n_step * (2.0 * entry + 2.0 * (double)n + 4.0) * p->u * y;
}

static double of_read(const pass *p, part at, int64_t t, int64_t d)
{
    const int64_t n = p->spec.hyper.n;
    double sum = 0.0;
    for (int64_t j = 0; j < n; j++)
        sum += fabs(row(p, at.streams, t)[j] *
                    streams_at(p, at, t)[j * p->spec.n_d + d]);
    return sum_error(p, (double)n) * sum;
}

static double of_streams(const pass *p, core_tap_kind kind, int64_t t,
                         int64_t c)
{
    const int64_t n = p->spec.hyper.n, n_d = p->spec.n_d;
    const part at = part_of(kind);
    const double *joint = row(p, at.streams, t);
    const double *r = row(
        p, kind == CORE_TAP_MID ? CORE_TAP_ATTN_OUT : CORE_TAP_FFN_OUT, t);
    double sum = fabs(joint[n + c / n_d] * r[c % n_d]);
    for (int64_t j = 0; j < n; j++)
        sum += fabs(joint[(2 + j) * n + c / n_d] *
                    streams_at(p, at, t)[j * n_d + c % n_d]);
    return sum_error(p, (double)n + 1.0) * sum;
}

/* ---- all taps ------------------------------------------------------------ */

/* d of a sum with scale r: the scale's rounding and the product's; all times the
 * layer's own number, which makes the sum's rounding another one.            */
static double of_residual(const pass *p, core_tap_kind kind, int64_t t,
                          int64_t d, double y)
{
    const double scale = p->spec.residual_scale;
    const bool of_mixer = kind == CORE_TAP_MID || !has(p, CORE_TAP_FFN_OUT);
    const bool normed = p->spec.post_norm;
    const core_tap_kind added =
        of_mixer ? (normed ? CORE_TAP_ATTN_POST : CORE_TAP_ATTN_OUT)
                 : (normed ? CORE_TAP_FFN_POST : CORE_TAP_FFN_OUT);
    const bool times = kind == CORE_TAP_OUT && p->spec.layer_scale;
    const double number = times ? weight(p, CORE_W_LAYER_SCALE, 0, 0) : 1.0;
    const double of_scale =
        scale == 1.0 ? 0.0 : 2.0 * p->u * fabs(scale * row(p, added, t)[d]);
    return of_scale * fabs(number) +
           (number != 1.0 ? p->u * fabs(y) : 0.0);
}

static bool adds_one(const pass *p, core_tap_kind kind)
{
    return p->spec.norm == CORE_NORM_RMS_PLUS_ONE &&
           (kind == CORE_TAP_ATTN_NORM || kind == CORE_TAP_FFN_NORM ||
            kind == CORE_TAP_FINAL_NORM || kind == CORE_TAP_Q_NORM ||
            kind == CORE_TAP_K_NORM || kind == CORE_TAP_BLOCK_Q_NORM ||
            kind == CORE_TAP_BLOCK_K_NORM || kind == CORE_TAP_ATTN_POST ||
            kind == CORE_TAP_FFN_POST || kind == CORE_TAP_MOE_NORM ||
            kind == CORE_TAP_MOE_POST || kind == CORE_TAP_MLP_POST);
}

/* What a norm has beside the three roundings of all: 1 + w, or a root that
 * divides it.                                                                */
static double more_of_rms(const pass *p, core_tap_kind kind)
{
    return kind == CORE_TAP_ROUTER_IN ? 2.0 : adds_one(p, kind) ? 1.0 : 0.0;
}

/* Logits that are capped: 7u of what is left. */
static double of_cap(const pass *p, core_tap_kind kind, double y)
{
    const bool capped = kind == CORE_TAP_LOGITS && p->spec.logits_cap > 0.0;
    return capped ? 7.0 * p->u * fabs(y) : 0.0;
}

/* What computing may do to element (r, c), of value y. */
static double computing(const pass *p, core_tap_kind kind, int64_t r, int64_t c,
                        double y)
{
    if (product_of(p, kind) >= 0)
        return of_product(p, product_of(p, kind), r, c) + of_cap(p, kind, y);
    if (width_of_rms(p, kind) > 0)
        return (0.5 * gamma_n(p, (double)width_of_rms(p, kind)) +
                (3.0 + more_of_rms(p, kind)) * p->u) *
               fabs(y);
    switch (kind) {
    case CORE_TAP_EMBED:
        return p->spec.embed_scale != 1.0 ? p->u * fabs(y) : 0.0;
    case CORE_TAP_ATTN_NORM:
    case CORE_TAP_FFN_NORM:
    case CORE_TAP_FINAL_NORM:
        return of_layernorm(p, kind, r, c);
    case CORE_TAP_Q_TEMPER:
        return 5.0 * p->u * fabs(y);
    case CORE_TAP_INDEX_K_NORM:
        return of_centred(p, row(p, CORE_TAP_INDEX_K, r), cols(p, kind),
                          weight(p, CORE_W_INDEX_K_NORM, 0, c), 1e-6, c);
    case CORE_TAP_EDGE:
        return has(p, CORE_TAP_PICK_Q)    ? of_pick(p, r)
               : has(p, CORE_TAP_INDEX_Q) ? of_index_edge(p, r)
                                          : of_edge(p, r, c);
    case CORE_TAP_DIGEST:
        return of_digest(p, CORE_TAP_DIGEST_KV, CORE_TAP_DIGEST_GATE,
                         CORE_W_DIGEST_BIAS, r, c);
    case CORE_TAP_PICK:
        return of_digest(p, CORE_TAP_PICK_KV, CORE_TAP_PICK_GATE,
                         CORE_W_PICK_BIAS, r, c);
    case CORE_TAP_O_A:
        return of_o_group(p, r, c);
    case CORE_TAP_ATTN_MIX:
    case CORE_TAP_FFN_MIX:
    case CORE_TAP_HEAD_MIX:
        return of_mix(p, part_of(kind), r, c);
    case CORE_TAP_ATTN_STREAMS:
    case CORE_TAP_FFN_STREAMS:
    case CORE_TAP_HEAD_STREAMS:
        return of_joint(p, part_of(kind), r, c);
    case CORE_TAP_ATTN_IN:
    case CORE_TAP_FFN_IN:
    case CORE_TAP_HEAD_IN:
        return of_read(p, part_of(kind), r, c);
    case CORE_TAP_CONTEXT:
        return of_context(p, r, c);
    case CORE_TAP_MID:
    case CORE_TAP_OUT:
        return p->spec.hyper.n > 0 ? of_streams(p, kind, r, c)
                                   : of_residual(p, kind, r, c, y);
    case CORE_TAP_ATTN_LOOK:
    case CORE_TAP_ATTN_BACK:
    case CORE_TAP_ATTN_READ:
    case CORE_TAP_FFN_LOOK:
    case CORE_TAP_FFN_BACK:
    case CORE_TAP_FFN_READ:
    case CORE_TAP_HEAD_LOOK:
    case CORE_TAP_HEAD_BACK:
    case CORE_TAP_HEAD_READ:
        return of_looking(p, kind, r, c);
    case CORE_TAP_ROUTER_PROBS:
        return of_probs(p, r, c);
    case CORE_TAP_TOPK_WEIGHT:
        return of_weight(p, r, c);
    case CORE_TAP_EXPERT_ACT:
        return of_ffn_act(p, CORE_TAP_EXPERT_GATE, CORE_TAP_EXPERT_UP, r, c, y);
    case CORE_TAP_MLP_ACT:
        return of_ffn_act(p, CORE_TAP_MLP_GATE, CORE_TAP_MLP_UP, r, c, y);
    case CORE_TAP_COMBINE:
        return of_combine(p, r, c);
    case CORE_TAP_SHARED_SCORE:
        return 3.0 * p->u * y;
    case CORE_TAP_MAMBA_CONV:
        return of_conv(p, CORE_TAP_MAMBA_U, CORE_W_MAMBA_CONV, r, c);
    case CORE_TAP_MAMBA_ACT:
        return of_act(p, row(p, CORE_TAP_MAMBA_CONV, r)[c], y);
    case CORE_TAP_MAMBA_DT:
        return 4.0 * p->u * (fabs(row(p, CORE_TAP_MAMBA_DT_RAW, r)[c]) + y);
    case CORE_TAP_MAMBA_Y:
        return of_state(p, r, c);
    case CORE_TAP_MAMBA_GATED:
        return of_gated(p, CORE_ACT_SILU, row(p, CORE_TAP_MAMBA_GATE, r)[c],
                        row(p, CORE_TAP_MAMBA_Y, r)[c]);
    case CORE_TAP_SSD_CONV:
        return of_conv(p, CORE_TAP_SSD_XBC, CORE_W_SSD_CONV, r, c);
    case CORE_TAP_SSD_ACT:
        return of_act(p, row(p, CORE_TAP_SSD_CONV, r)[c], y);
    case CORE_TAP_SSD_DT:
        return p->u * (5.0 * fabs(row(p, CORE_TAP_SSD_DT_RAW, r)[c] +
                                  weight(p, CORE_W_SSD_STEP, 0, c)) +
                       4.0 * y);
    case CORE_TAP_SSD_Y:
        return of_head(p, r, c);
    case CORE_TAP_SSD_GATED:
        return of_gated(p, CORE_ACT_SILU, row(p, CORE_TAP_SSD_GATE, r)[c],
                        row(p, CORE_TAP_SSD_Y, r)[c]);
    case CORE_TAP_CONTEXT_SCORE:
    case CORE_TAP_DELTANET_BETA:
        return 3.0 * p->u * y;
    case CORE_TAP_DELTANET_Q_CONV:
        return of_conv(p, CORE_TAP_DELTANET_Q, CORE_W_DELTANET_Q_CONV, r, c);
    case CORE_TAP_DELTANET_K_CONV:
        return of_conv(p, CORE_TAP_DELTANET_K, CORE_W_DELTANET_K_CONV, r, c);
    case CORE_TAP_DELTANET_V_CONV:
        return of_conv(p, CORE_TAP_DELTANET_V, CORE_W_DELTANET_V_CONV, r, c);
    case CORE_TAP_DELTANET_Q_ACT:
        return of_act(p, row(p, CORE_TAP_DELTANET_Q_CONV, r)[c], y);
    case CORE_TAP_DELTANET_K_ACT:
        return of_act(p, row(p, CORE_TAP_DELTANET_K_CONV, r)[c], y);
    case CORE_TAP_DELTANET_V_ACT:
        return of_act(p, row(p, CORE_TAP_DELTANET_V_CONV, r)[c], y);
    case CORE_TAP_DELTANET_DT:
        if (p->spec.deltanet.floor < 0.0)
            return of_bounded_step(p, row(p, CORE_TAP_DELTANET_DT_RAW, r)[c], c,
                                   y);
        return 4.0 * p->u *
               (fabs(row(p, CORE_TAP_DELTANET_DT_RAW, r)[c]) + y);
    case CORE_TAP_DELTANET_Y:
        return of_delta(p, r, c);
    case CORE_TAP_DELTANET_GATED:
        return of_gated(p,
                        p->spec.deltanet.sigmoid_gate ? CORE_ACT_SIGMOID
                                                      : CORE_ACT_SILU,
                        row(p, CORE_TAP_DELTANET_GATE, r)[c],
                        row(p, CORE_TAP_DELTANET_NORM, r)[c]);
    case CORE_TAP_SHORTCONV_CONV:
        return of_conv(p, CORE_TAP_SHORTCONV_BX, CORE_W_SHORTCONV_CONV, r, c);
    case CORE_TAP_CONTEXT_GATED:
    case CORE_TAP_SHORTCONV_BX:
    case CORE_TAP_SHORTCONV_GATED:
    case CORE_TAP_RECV: /* weighted, it is one product */
    case CORE_TAP_SHARED_WEIGHTED:
    case CORE_TAP_FFN_OUT:
        return 0.0;
    default:
        ck_abort_msg("no formula for tap kind %d", (int)kind);
    }
    return 0.0;
}

static bool is_index_rope(core_tap_kind kind)
{
    return kind == CORE_TAP_BLOCK_Q_ROPE || kind == CORE_TAP_BLOCK_K_ROPE ||
           kind == CORE_TAP_INDEX_Q_ROPE || kind == CORE_TAP_INDEX_K_ROPE;
}

/* What an index turns, the first elements of its heads, halves with halves. */
static core_tap_kind before_index_rope(core_tap_kind kind)
{
    return kind == CORE_TAP_BLOCK_Q_ROPE   ? CORE_TAP_BLOCK_Q_NORM
           : kind == CORE_TAP_BLOCK_K_ROPE ? CORE_TAP_BLOCK_K_NORM
           : kind == CORE_TAP_INDEX_Q_ROPE ? CORE_TAP_INDEX_Q
                                           : CORE_TAP_INDEX_K_NORM;
}

/* Taps of heads whose last elements turn, and what they are made from. */
static const struct {
    core_tap_kind y, x;
} turned[] = {
    {CORE_TAP_Q_ROPE, CORE_TAP_Q_NORM},
    {CORE_TAP_K_ROPE, CORE_TAP_K_NORM},
    {CORE_TAP_CONTEXT_BACK, CORE_TAP_CONTEXT},
    {CORE_TAP_DIGEST_ROPE, CORE_TAP_DIGEST_NORM},
    {CORE_TAP_PICK_ROPE, CORE_TAP_PICK_NORM},
    {CORE_TAP_PICK_Q_ROPE, CORE_TAP_PICK_Q},
};
enum { N_TURNED = sizeof turned / sizeof *turned };

static int turned_of(core_tap_kind kind)
{
    int i = 0;
    while (i < N_TURNED && turned[i].y != kind)
        i++;
    return i;
}

static double pair_of_last(const pass *p, core_tap_kind kind, int64_t t,
                           int64_t c)
{
    const bool of_picker =
        kind == CORE_TAP_PICK_ROPE || kind == CORE_TAP_PICK_Q_ROPE;
    const core_heads heads = core_spec_heads(&p->spec, p->l);
    const int64_t n = of_picker ? p->spec.digests.n_pd : heads.n_dh;
    const double *x = row(p, turned[turned_of(kind)].x, t);
    const int64_t at = c % n - (n - heads.n_rot);
    return at < 0 ? -1.0 : fabs(x[c]) + fabs(x[c - at + (at ^ 1)]);
}

/* |a| + |b| of the pair that element c of a rotated tap belongs to, -1 if it
 * does not turn.                                                             */
static double pair_of(const pass *p, core_tap_kind kind, int64_t t, int64_t c)
{
    const core_spec *s = &p->spec;
    const bool latent = s->n_kv_rank > 0, of_q = kind == CORE_TAP_Q_ROPE;
    const core_heads heads = core_spec_heads(s, p->l);
    const int64_t n_rot = heads.n_rot, half = n_rot / 2;
    if (s->one_kv)
        return pair_of_last(p, kind, t, c);
    if (is_index_rope(kind)) {
        const int64_t at = c % (s->indexer.n_h > 0 ? s->indexer.n_dh
                                                   : s->block_index.n_dh);
        const double *x = row(p, before_index_rope(kind), t);
        return at >= n_rot ? -1.0
                           : fabs(x[c]) +
                                 fabs(x[at < half ? c + half : c - half]);
    }
    const int64_t n_dh = latent && !of_q ? n_rot : heads.n_dh;
    const core_tap_kind normed = of_q ? CORE_TAP_Q_NORM : CORE_TAP_K_NORM;
    const double *x = of_q || !latent ? row(p,
                                            has(p, normed) ? normed
                                            : of_q         ? CORE_TAP_Q
                                                           : CORE_TAP_K,
                                            t)
                                      : row(p, CORE_TAP_KV_A, t) + s->n_kv_rank;
    const int64_t at = c % n_dh - (latent ? n_dh - n_rot : 0);
    if (at < 0 || at >= n_rot)
        return -1.0;
    const int64_t partner = s->rope.interleaved ? (at ^ 1) - at
                            : at < half         ? half
                                                : -half;
    return fabs(x[c]) + fabs(x[c + partner]);
}

/* The whole bound: computing, both stores, and what may be flushed to zero. */
static double expected(const pass *p, core_tap_kind kind, int64_t r, int64_t c,
                       double y)
{
    double d = 0.0;
    if (kind == CORE_TAP_IN || kind == CORE_TAP_BACK ||
        (kind == CORE_TAP_RECV && !p->spec.weigh_input))
        return 0.0;
    if ((kind == CORE_TAP_DIGEST || kind == CORE_TAP_PICK) &&
        r % T + 1 < core_spec_digest_run(&p->spec, p->l))
        return 0.0; /* there is none yet */
    if (p->spec.attn_res.n_block > 0 && c >= p->spec.n_d &&
        (kind == CORE_TAP_MID || kind == CORE_TAP_OUT))
        return 0.0; /* earlier sums stand */
    if (turned_of(kind) < N_TURNED || is_index_rope(kind)) {
        const double largest = fmax(1.0, p->spec.rope.attention_factor);
        y = largest * pair_of(p, kind, r, c);
        if (y < 0.0)
            return 0.0;
        d = 2.0 * p->u * y;
    } else {
        d = computing(p, kind, r, c, y);
    }
    if (kind == CORE_TAP_EMBED && p->spec.embed_scale == 1.0)
        y *= 0.5; /* a copy is stored once, not twice */
    return (p->sides * d + 2.0 * p->u_s * fabs(y) + 2.0 * p->least +
            (double)FLT_MIN) *
           (1.0 + p->u_s);
}

static core_spec spec_of(int i)
{
    core_spec spec =
        i == SWITCH ? fix_switch(N, CORE_DROPPED_ZERO) : fix_family(i);
    if (i == FIX_NORM_HEAD)
        spec.rope.attention_factor = 1.3; /* as yarn has it */
    return spec;
}

START_TEST(a_bound_is_its_formula)
{
    const core_numerics numerics = ways[_i % N_WAYS].numerics;
    pass p = {.spec = spec_of(_i / N_WAYS),
              .numerics = numerics,
              .u = numerics == CORE_FP64 ? 0x1p-53 : 0x1p-24,
              .sides = numerics == CORE_FP64 ? 2.0 : 1.0};
    const fix_run how = {.numerics = numerics, .bounds = true};
    ck_assert_int_eq(core_batch_make(&p.batch, &p.spec, B, T, 7), CORE_OK);
    if (ways[_i % N_WAYS].pads &&
        core_batch_pad_left(&p.batch, &p.spec) != CORE_OK)
        core_message_clear(); /* this mixer takes none */
    fix_forward(&p.spec, &p.batch, &how, &p.taps);
    ck_assert_int_eq(core_weights_open_procedural(&p.weights, &p.spec, 0),
                     CORE_OK);
    ck_assert_int_eq(core_weights_prepare(p.weights, numerics, NULL), CORE_OK);
    for (int64_t i = 0; i < p.taps.n; i++) {
        const core_tap tap = p.taps.tap[i];
        const int64_t n = core_tap_cols(&p.spec, tap);
        char name[CORE_NAME_BYTES];
        core_tap_name(tap, name);
        p.l = tap.layer;
        const core_rounding type =
            core_numerics_at(p.numerics, slot_of(tap.kind));
        p.u_s = roundoff(type);
        p.least = least(type);
        if (tap.kind == CORE_TAP_CONTEXT)
            p.largest_v = largest_value(&p);
        if (core_tap_grid(tap.kind) == CORE_GRID_INT)
            continue;
        for (int64_t j = 0; j < fix_size(&p.taps, i); j++) {
            const double want =
                expected(&p, tap.kind, j / n, j % n, p.taps.values[i][j]);
            const double got = (double)p.taps.bound[i][j];
            if (!(fabs(got - want) <= want / 2e4))
                ck_abort_msg(
                    "%s: bound %g of element %d is %.5f of its formula", name,
                    got, (int)j, got / want);
        }
    }
    core_weights_close(p.weights);
    fix_free(&p.taps);
    core_batch_free(&p.batch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref_bounds");
    TCase *tests = tcase_create("formulas");
    tcase_set_timeout(tests, 120.0);
    tcase_add_loop_test(tests, a_bound_is_its_formula, 0,
                        N_WAYS * (SWITCH + 1));
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
