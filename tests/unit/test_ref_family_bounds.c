/* test_ref_family_bounds.c -- every family's operators once more, in floats.
 *
 * Each test takes an operator's inputs from the taps of an fp32 pass, computes
 * it again as ref/MODEL.md says, in another order and in fp32, and holds the
 * result against the tap's bound.  A wrong formula is far outside; a bound that
 * says nothing would leave the worst element below a thousandth of it. */
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { B = 2, T = 9, N = B * T, MAX_TENSORS = 32, MAX_COLS = 256 };

/* A pass, and the tensors that its test has read. */
typedef struct family {
    core_spec spec;
    core_batch batch;
    core_weights *weights;
    fix_taps taps;
    double *tensor[MAX_TENSORS];
    int n_tensor;
} family;

static family run_family(fix_family_kind kind)
{
    family f = {.spec = fix_family((int)kind)};
    ck_assert_int_eq(core_batch_make(&f.batch, &f.spec, B, T, 7), CORE_OK);
    const fix_run how = {.numerics = CORE_FP32, .bounds = true, .n_threads = 2};
    fix_forward(&f.spec, &f.batch, &how, &f.taps);
    ck_assert_int_eq(core_weights_open_procedural(&f.weights, &f.spec, 0),
                     CORE_OK);
    ck_assert_int_eq(core_weights_prepare(f.weights, CORE_FP32, NULL), CORE_OK);
    return f;
}

static void free_family(family *f)
{
    for (int i = 0; i < f->n_tensor; i++)
        free(f->tensor[i]);
    fix_free(&f->taps);
    core_weights_close(f->weights);
    core_batch_free(&f->batch);
}

/* A whole tensor; lives until free_family. */
static const double *tensor(family *f, core_weight_kind kind, int layer)
{
    const core_weight id = {kind, layer, 0};
    int64_t n_row, n_col;
    core_weight_shape(&f->spec, id, &n_row, &n_col);
    double *w = malloc((size_t)(n_row * n_col) * sizeof *w);
    ck_assert_int_lt(f->n_tensor, MAX_TENSORS);
    f->tensor[f->n_tensor++] = w;
    core_weights_read(f->weights, id, 0, n_row, 0, n_col, w, n_col);
    return w;
}

/* How far a tap's elements are from what a test computed, over their bounds. */
typedef struct judge {
    const double *y;
    const float *bound;
    double worst;
    char text[CORE_NAME_BYTES];
} judge;

static judge judge_of(const family *f, core_tap_kind kind, int layer)
{
    judge j = {.y = fix_find(&f->taps, kind, layer),
               .bound = fix_bound(&f->taps, kind, layer)};
    core_tap_name((core_tap){kind, layer}, j.text);
    return j;
}

static void see(judge *j, int64_t i, float got)
{
    ck_assert_msg(j->bound[i] > 0.0f && j->bound[i] < 1e-2f,
                  "%s: bound %g of element %d", j->text, (double)j->bound[i],
                  (int)i);
    j->worst =
        ref__worse(j->worst, fabs((double)got - j->y[i]) / (double)j->bound[i]);
}

static void sentence(const judge *j)
{
    ck_assert_msg(j->worst <= 1.0, "%s: %g of its bound", j->text, j->worst);
    ck_assert_msg(j->worst > 1e-3, "%s: %g of its bound", j->text, j->worst);
}

/* ---- norms --------------------------------------------------------------- */

static float clamped(float x, double clip)
{
    const float c = clip > 0.0 ? (float)clip : INFINITY;
    return fminf(fmaxf(x, -c), c);
}

/* Every part of n columns of x (row stride ld_x) normed; w NULL: no weight. */
static void check_rms(const family *f, core_tap_kind kind, int layer,
                      const double *x, int64_t ld_x, int64_t n_part, int64_t n,
                      const double *w, double eps, double clip)
{
    judge j = judge_of(f, kind, layer);
    for (int64_t t = 0; t < N; t++)
        for (int64_t p = 0; p < n_part; p++) {
            const double *x_p = x + t * ld_x + p * n;
            float sum = 0.0f;
            for (int64_t d = n - 1; d >= 0; d--)
                sum += (float)x_p[d] * (float)x_p[d];
            const float r = 1.0f / sqrtf(sum / (float)n + (float)eps);
            for (int64_t d = 0; d < n; d++) {
                const float y = (float)x_p[d] * r;
                see(&j, (t * n_part + p) * n + d,
                    clamped(w != NULL ? (float)w[d] * y : y, clip));
            }
        }
    sentence(&j);
}

START_TEST(norms_of_queries_and_keys)
{
    family f = run_family(_i == 0 ? FIX_NORM_HEAD : FIX_NORM_ALL);
    const core_spec *s = &f.spec;
    const int64_t q = s->n_h * s->n_dh, k = s->n_g * s->n_dh;
    const double eps = s->norm_eps, clip = s->clip_qkv;
    check_rms(&f, CORE_TAP_Q_NORM, 0, fix_find(&f.taps, CORE_TAP_Q, 0), q,
              _i == 0 ? s->n_h : 1, _i == 0 ? s->n_dh : q,
              tensor(&f, CORE_W_Q_NORM, 0), eps, clip);
    check_rms(&f, CORE_TAP_K_NORM, 0, fix_find(&f.taps, CORE_TAP_K, 0), k,
              _i == 0 ? s->n_g : 1, _i == 0 ? s->n_dh : k,
              tensor(&f, CORE_W_K_NORM, 0), eps, clip);
    free_family(&f);
}
END_TEST

START_TEST(norms_after_rope)
{
    family f = run_family(FIX_CHUNK);
    const core_spec *s = &f.spec;
    const int64_t q = s->n_h * s->n_dh, k = s->n_g * s->n_dh;
    check_rms(&f, CORE_TAP_Q_ROPE_NORM, 0,
              fix_find(&f.taps, CORE_TAP_Q_ROPE, 0), q, s->n_h, s->n_dh, NULL,
              s->norm_eps, 0.0);
    check_rms(&f, CORE_TAP_K_ROPE_NORM, 2,
              fix_find(&f.taps, CORE_TAP_K_ROPE, 2), k, s->n_g, s->n_dh, NULL,
              s->norm_eps, 0.0);
    free_family(&f);
}
END_TEST

/* The latent norms have an eps of their own, here 100 times smaller than it. */
START_TEST(latent_norms)
{
    family f = run_family(FIX_LATENT);
    const core_spec *s = &f.spec;
    check_rms(&f, CORE_TAP_Q_A_NORM, 0, fix_find(&f.taps, CORE_TAP_Q_A, 0),
              s->n_q_rank, 1, s->n_q_rank, tensor(&f, CORE_W_Q_A_NORM, 0), 1e-6,
              0.0);
    check_rms(&f, CORE_TAP_KV_A_NORM, 0, fix_find(&f.taps, CORE_TAP_KV_A, 0),
              s->n_kv_rank + s->n_rot, 1, s->n_kv_rank,
              tensor(&f, CORE_W_KV_A_NORM, 0), 1e-6, 0.0);
    free_family(&f);
}
END_TEST

static void check_layernorm(const family *f, core_tap_kind kind, int layer,
                            const double *x, int64_t n, const double *w,
                            const double *b, double eps)
{
    judge j = judge_of(f, kind, layer);
    for (int64_t t = 0; t < N; t++) {
        float mean = 0.0f, var = 0.0f; /* of deviations: another formula */
        for (int64_t d = 0; d < n; d++)
            mean += (float)x[t * n + d] / (float)n;
        for (int64_t d = 0; d < n; d++) {
            const float z = (float)x[t * n + d] - mean;
            var += z * z / (float)n;
        }
        const float r = sqrtf(var + (float)eps);
        for (int64_t d = 0; d < n; d++)
            see(&j, t * n + d,
                ((float)x[t * n + d] - mean) / r * (float)w[d] + (float)b[d]);
    }
    sentence(&j);
}

START_TEST(layernorms)
{
    family f = run_family(FIX_LAYERNORM);
    check_layernorm(&f, CORE_TAP_FFN_NORM, 2,
                    fix_find(&f.taps, CORE_TAP_MID, 2), f.spec.n_d,
                    tensor(&f, CORE_W_FFN_NORM, 2),
                    tensor(&f, CORE_W_FFN_NORM_BIAS, 2), f.spec.norm_eps);
    free_family(&f);
}
END_TEST

/* ---- rope ---------------------------------------------------------------- */

/* Elements [first, first + n_rot) of every head of x (row stride ld_x, heads
 * from column x0 on) turned; the others must be copies with bound 0. */
static void check_rope(const family *f, core_tap_kind kind, const double *x,
                       int64_t ld_x, int64_t x0, int64_t n_head, int64_t n_dh,
                       int64_t first)
{
    const int64_t n_rot = core_spec_heads_of(&f->spec, 0).n_rot;
    const bool neighbours = f->spec.rope.interleaved;
    judge j = judge_of(f, kind, 0);
    for (int64_t t = 0; t < N; t++)
        for (int64_t i = 0; i < n_head * n_dh; i++) {
            const int64_t r = i % n_dh - first; /* in the rotated part */
            const double *head = x + t * ld_x + x0 + i / n_dh * n_dh;
            const int64_t at = t * n_head * n_dh + i;
            if (r < 0 || r >= n_rot) {
                ck_assert_double_eq(j.y[at], head[i % n_dh]);
                ck_assert(j.bound[at] == 0.0f);
                continue;
            }
            const int64_t pair = neighbours ? r / 2 : r % (n_rot / 2);
            const bool is_a = neighbours ? r % 2 == 0 : r < n_rot / 2;
            const int64_t apart = neighbours ? 1 : n_rot / 2;
            const float inverse = powf((float)f->spec.rope.theta,
                                       -2.0f * (float)pair / (float)n_rot);
            const float angle = (float)(t % T) * inverse;
            const float own = (float)head[first + r];
            const float other =
                (float)head[first + r + (is_a ? apart : -apart)];
            see(&j, at,
                is_a ? own * cosf(angle) - other * sinf(angle)
                     : own * cosf(angle) + other * sinf(angle));
        }
    sentence(&j);
}

START_TEST(rope_of_a_part_of_the_head)
{
    family f = run_family(FIX_NORM_HEAD);
    const core_spec *s = &f.spec;
    check_rope(&f, CORE_TAP_Q_ROPE, fix_find(&f.taps, CORE_TAP_Q_NORM, 0),
               s->n_h * s->n_dh, 0, s->n_h, s->n_dh, 0);
    check_rope(&f, CORE_TAP_K_ROPE, fix_find(&f.taps, CORE_TAP_K_NORM, 0),
               s->n_g * s->n_dh, 0, s->n_g, s->n_dh, 0);
    free_family(&f);
}
END_TEST

START_TEST(rope_of_neighbours)
{
    family f = run_family(FIX_CHUNK);
    const core_spec *s = &f.spec;
    check_rope(&f, CORE_TAP_Q_ROPE, fix_find(&f.taps, CORE_TAP_Q, 0),
               s->n_h * s->n_dh, 0, s->n_h, s->n_dh, 0);
    free_family(&f);
}
END_TEST

START_TEST(rope_of_latent_heads)
{
    family f = run_family(FIX_LATENT);
    const core_spec *s = &f.spec;
    check_rope(&f, CORE_TAP_Q_ROPE, fix_find(&f.taps, CORE_TAP_Q, 0),
               s->n_h * s->n_dh, 0, s->n_h, s->n_dh, s->n_dh - s->n_rot);
    check_rope(&f, CORE_TAP_K_ROPE, fix_find(&f.taps, CORE_TAP_KV_A, 0),
               s->n_kv_rank + s->n_rot, s->n_kv_rank, 1, s->n_rot, 0);
    free_family(&f);
}
END_TEST

/* ---- attention ----------------------------------------------------------- */

/* One head of one row: q (stride ld_q), k and v of [T, n_dh], [T, n_dv]. */
typedef struct head {
    const double *q;
    int64_t ld_q;
    double k[T][MAX_COLS], v[T][MAX_COLS];
    const double *sink; /* or NULL */
} head;

static void see_context(judge *j, const family *f, const head *h, int64_t b,
                        int64_t at)
{
    const core_spec *s = &f->spec;
    const int64_t n_dv = core_spec_heads_of(s, 0).n_dv;
    for (int64_t i = 0; i < T; i++) {
        float e[T], sum = 0.0f;
        const int64_t lo = core_spec_first_key(s, 0, i);
        float max = h->sink != NULL ? (float)*h->sink : -INFINITY;
        for (int64_t k = lo; k <= i; k++) {
            float score = 0.0f;
            for (int64_t d = s->n_dh - 1; d >= 0; d--)
                score += (float)h->q[i * h->ld_q + d] * (float)h->k[k][d];
            e[k] = score * (float)core_spec_heads_of(s, 0).scale;
            max = fmaxf(max, e[k]);
        }
        if (h->sink != NULL)
            sum = expf((float)*h->sink - max);
        for (int64_t k = lo; k <= i; k++)
            sum += e[k] = expf(e[k] - max);
        for (int64_t d = 0; d < n_dv; d++) {
            float o = 0.0f;
            for (int64_t k = lo; k <= i; k++)
                o += e[k] / sum * (float)h->v[k][d];
            see(j, (b * T + i) * s->n_h * n_dv + at + d, o);
        }
    }
}

static void check_grouped(family *f, core_tap_kind q_kind, core_tap_kind k_kind)
{
    const core_spec *s = &f->spec;
    const int64_t n_dh = s->n_dh, ld_k = s->n_g * n_dh;
    const double *q = fix_find(&f->taps, q_kind, 0);
    const double *k = fix_find(&f->taps, k_kind, 0);
    const double *v = fix_find(&f->taps, CORE_TAP_V, 0);
    const double *sinks = s->sinks ? tensor(f, CORE_W_SINKS, 0) : NULL;
    judge j = judge_of(f, CORE_TAP_CONTEXT, 0);
    for (int64_t i = 0; i < B * s->n_h; i++) {
        const int64_t b = i / s->n_h, h = i % s->n_h;
        const int64_t kv = h / (s->n_h / s->n_g) * n_dh;
        head one = {.q = q + b * T * s->n_h * n_dh + h * n_dh,
                    .ld_q = s->n_h * n_dh,
                    .sink = sinks != NULL ? sinks + h : NULL};
        for (int64_t t = 0; t < T; t++) {
            memcpy(one.k[t], k + (b * T + t) * ld_k + kv,
                   (size_t)n_dh * sizeof *k);
            memcpy(one.v[t], v + (b * T + t) * ld_k + kv,
                   (size_t)n_dh * sizeof *v);
        }
        see_context(&j, f, &one, b, h * n_dh);
    }
    sentence(&j);
}

START_TEST(contexts)
{
    static const struct {
        fix_family_kind family;
        core_tap_kind q, k;
    } of[] = {{FIX_NORM_HEAD, CORE_TAP_Q_ROPE, CORE_TAP_K_ROPE},
              {FIX_NORM_ALL, CORE_TAP_Q_ROPE, CORE_TAP_K_ROPE},
              {FIX_CHUNK, CORE_TAP_Q_ROPE_NORM, CORE_TAP_K_ROPE_NORM},
              {FIX_SCALES, CORE_TAP_Q_ROPE, CORE_TAP_K_ROPE}};
    family f = run_family(of[_i].family);
    check_grouped(&f, of[_i].q, of[_i].k);
    free_family(&f);
}
END_TEST

START_TEST(context_of_latent_heads)
{
    family f = run_family(_i == 0 ? FIX_LATENT : FIX_LATENT_Q);
    const core_spec *s = &f.spec;
    const int64_t n_dn = s->n_dh - s->n_rot, n_b = n_dn + s->n_dv;
    const double *q = fix_find(&f.taps, CORE_TAP_Q_ROPE, 0);
    const double *kv = fix_find(&f.taps, CORE_TAP_KV_B, 0);
    const double *k_rope = fix_find(&f.taps, CORE_TAP_K_ROPE, 0);
    judge j = judge_of(&f, CORE_TAP_CONTEXT, 0);
    for (int64_t i = 0; i < B * s->n_h; i++) {
        const int64_t b = i / s->n_h, h = i % s->n_h;
        head one = {.q = q + b * T * s->n_h * s->n_dh + h * s->n_dh,
                    .ld_q = s->n_h * s->n_dh};
        for (int64_t t = 0; t < T; t++) {
            const double *own = kv + ((b * T + t) * s->n_h + h) * n_b;
            for (int64_t d = 0; d < n_dn; d++)
                one.k[t][d] = own[d];
            for (int64_t d = 0; d < s->n_rot; d++)
                one.k[t][n_dn + d] = k_rope[(b * T + t) * s->n_rot + d];
            for (int64_t d = 0; d < s->n_dv; d++)
                one.v[t][d] = own[n_dn + d];
        }
        see_context(&j, &f, &one, b, h * s->n_dv);
    }
    sentence(&j);
    free_family(&f);
}
END_TEST

/* ---- products ------------------------------------------------------------ */

/* y = (x W^T + b) / divisor; b_kind CORE_N_WEIGHT_KINDS: no bias. */
static void check_product(family *f, core_tap_kind x_kind, core_tap_kind y_kind,
                          core_weight_kind w_kind, core_weight_kind b_kind,
                          int layer, double divisor, double clip)
{
    int64_t n_out, n_k;
    core_weight_shape(&f->spec, (core_weight){w_kind, layer, 0}, &n_out, &n_k);
    const double *w = tensor(f, w_kind, layer);
    const double *b =
        b_kind == CORE_N_WEIGHT_KINDS ? NULL : tensor(f, b_kind, layer);
    const double *x = fix_find(&f->taps, x_kind, layer);
    judge j = judge_of(f, y_kind, layer);
    for (int64_t t = 0; t < N; t++)
        for (int64_t o = 0; o < n_out; o++) {
            float sum = b != NULL ? (float)b[o] : 0.0f;
            for (int64_t k = n_k - 1; k >= 0; k--)
                sum += (float)x[t * n_k + k] * (float)w[o * n_k + k];
            see(&j, t * n_out + o, clamped(sum / (float)divisor, clip));
        }
    sentence(&j);
}

START_TEST(products_of_latent_attention)
{
    family f = run_family(FIX_LATENT);
    const core_weight_kind none = CORE_N_WEIGHT_KINDS;
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_Q_A, CORE_W_Q_A,
                  CORE_W_Q_A_BIAS, 0, 1.0, 0.0);
    check_product(&f, CORE_TAP_Q_A_NORM, CORE_TAP_Q, CORE_W_Q, none, 0, 1.0,
                  0.0);
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_KV_A, CORE_W_KV_A,
                  CORE_W_KV_A_BIAS, 0, 1.0, 0.0);
    check_product(&f, CORE_TAP_KV_A_NORM, CORE_TAP_KV_B, CORE_W_KV_B, none, 0,
                  1.0, 0.0);
    check_product(&f, CORE_TAP_CONTEXT, CORE_TAP_ATTN_OUT, CORE_W_O,
                  CORE_W_O_BIAS, 0, 1.0, 0.0);
    free_family(&f);
}
END_TEST

/* The edge of query i's choice, its row's scores computed anew. */
static void see_edge(judge *j, const family *f, int64_t b, int64_t i)
{
    const core_spec *s = &f->spec;
    const int64_t n_h = s->indexer.n_h, n_dh = s->indexer.n_dh;
    const int64_t t = b * T + i;
    const double *q = fix_find(&f->taps, CORE_TAP_INDEX_Q_ROPE, 0);
    const double *k = fix_find(&f->taps, CORE_TAP_INDEX_K_ROPE, 0);
    const double *w = fix_find(&f->taps, CORE_TAP_INDEX_WEIGHT, 0);
    const double *seen = fix_find(&f->taps, CORE_TAP_SEEN, 0) + t * s->n_seen;
    const float scale = 1.0f / sqrtf((float)n_dh) / sqrtf((float)n_h);
    float last = INFINITY, best = -INFINITY;
    for (int64_t key = 0; key <= i; key++) {
        float score = 0.0f;
        bool chosen = false;
        for (int64_t h = n_h - 1; h >= 0; h--) {
            float dot = 0.0f;
            for (int64_t d = n_dh - 1; d >= 0; d--)
                dot += (float)q[(t * n_h + h) * n_dh + d] *
                       (float)k[(b * T + key) * n_dh + d];
            score += (float)w[t * n_h + h] * fmaxf(dot, 0.0f);
        }
        for (int64_t c = 0; c < s->n_seen; c++)
            chosen = chosen || seen[c] == (double)key;
        if (chosen)
            last = fminf(last, score * scale);
        else
            best = fmaxf(best, score * scale);
    }
    const bool leaves = i >= s->n_seen;
    see(j, 2 * t, leaves ? last : 0.0f);
    see(j, 2 * t + 1, leaves ? best : 0.0f);
    ck_assert(!leaves || j->y[2 * t] >= j->y[2 * t + 1]);
}

START_TEST(indexer)
{
    family f = run_family(FIX_INDEXER);
    const core_spec *s = &f.spec;
    const int64_t n_h = s->indexer.n_h, n_dh = s->indexer.n_dh;
    const core_weight_kind none = CORE_N_WEIGHT_KINDS;
    check_product(&f, CORE_TAP_Q_A_NORM, CORE_TAP_INDEX_Q, CORE_W_INDEX_Q, none,
                  0, 1.0, 0.0);
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_INDEX_K, CORE_W_INDEX_K,
                  none, 0, 1.0, 0.0);
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_INDEX_WEIGHT,
                  CORE_W_INDEX_WEIGHT, none, 0, 1.0, 0.0);
    check_layernorm(&f, CORE_TAP_INDEX_K_NORM, 0,
                    fix_find(&f.taps, CORE_TAP_INDEX_K, 0), n_dh,
                    tensor(&f, CORE_W_INDEX_K_NORM, 0),
                    tensor(&f, CORE_W_INDEX_K_NORM_BIAS, 0), 1e-6);
    f.spec.rope.interleaved = s->indexer.interleaved;
    check_rope(&f, CORE_TAP_INDEX_Q_ROPE,
               fix_find(&f.taps, CORE_TAP_INDEX_Q, 0), n_h * n_dh, 0, n_h, n_dh,
               0);
    check_rope(&f, CORE_TAP_INDEX_K_ROPE,
               fix_find(&f.taps, CORE_TAP_INDEX_K_NORM, 0), n_dh, 0, 1, n_dh,
               0);
    judge j = judge_of(&f, CORE_TAP_EDGE, 0);
    for (int64_t t = 0; t < N; t++)
        see_edge(&j, &f, t / T, t % T);
    sentence(&j);
    free_family(&f);
}
END_TEST

START_TEST(products_of_mamba)
{
    family f = run_family(FIX_MAMBA);
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_MAMBA_U, CORE_W_MAMBA_U,
                  CORE_W_MAMBA_U_BIAS, 2, 1.0, 0.0);
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_MAMBA_GATE,
                  CORE_W_MAMBA_GATE, CORE_W_MAMBA_GATE_BIAS, 2, 1.0, 0.0);
    check_product(&f, CORE_TAP_MAMBA_ACT, CORE_TAP_MAMBA_X, CORE_W_MAMBA_X,
                  CORE_N_WEIGHT_KINDS, 2, 1.0, 0.0);
    check_product(&f, CORE_TAP_MAMBA_DT_NORM, CORE_TAP_MAMBA_DT_RAW,
                  CORE_W_MAMBA_DT, CORE_W_MAMBA_DT_BIAS, 2, 1.0, 0.0);
    check_product(&f, CORE_TAP_MAMBA_GATED, CORE_TAP_ATTN_OUT, CORE_W_MAMBA_OUT,
                  CORE_W_MAMBA_OUT_BIAS, 2, 1.0, 0.0);
    free_family(&f);
}
END_TEST

START_TEST(products_of_a_short_convolution)
{
    family f = run_family(FIX_SHORTCONV);
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_SHORTCONV_B,
                  CORE_W_SHORTCONV_B, CORE_W_SHORTCONV_B_BIAS, 2, 1.0, 0.0);
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_SHORTCONV_C,
                  CORE_W_SHORTCONV_C, CORE_W_SHORTCONV_C_BIAS, 2, 1.0, 0.0);
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_SHORTCONV_X,
                  CORE_W_SHORTCONV_X, CORE_W_SHORTCONV_X_BIAS, 2, 1.0, 0.0);
    check_product(&f, CORE_TAP_SHORTCONV_GATED, CORE_TAP_ATTN_OUT,
                  CORE_W_SHORTCONV_OUT, CORE_W_SHORTCONV_OUT_BIAS, 2, 1.0, 0.0);
    free_family(&f);
}
END_TEST

/* v is always clamped, q and k only where no norm will follow before rope. */
START_TEST(clamped_projections)
{
    family f = run_family(_i == 0 ? FIX_CHUNK : FIX_NORM_HEAD);
    const double clip = f.spec.clip_qkv, of_qk = _i == 0 ? clip : 0.0;
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_Q, CORE_W_Q, CORE_W_Q_BIAS,
                  0, 1.0, of_qk);
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_K, CORE_W_K, CORE_W_K_BIAS,
                  0, 1.0, of_qk);
    check_product(&f, CORE_TAP_ATTN_NORM, CORE_TAP_V, CORE_W_V, CORE_W_V_BIAS,
                  0, 1.0, clip);
    int n_clamped = 0;
    const double *v = fix_find(&f.taps, CORE_TAP_V, 0);
    for (int64_t i = 0; i < N * f.spec.n_g * f.spec.n_dh; i++)
        n_clamped += fabs(v[i]) == (double)(float)clip ? 1 : 0;
    ck_assert_int_gt(n_clamped, 0);
    free_family(&f);
}
END_TEST

START_TEST(logits_with_bias_and_divisor)
{
    family biased = run_family(FIX_NORM_ALL);
    check_product(&biased, CORE_TAP_FINAL_NORM, CORE_TAP_LOGITS, CORE_W_HEAD,
                  CORE_W_HEAD_BIAS, 0, 1.0, 0.0);
    free_family(&biased);
    family divided = run_family(FIX_SCALES);
    check_product(&divided, CORE_TAP_FINAL_NORM, CORE_TAP_LOGITS, CORE_W_HEAD,
                  CORE_N_WEIGHT_KINDS, 0, divided.spec.logits_divisor, 0.0);
    free_family(&divided);
}
END_TEST

/* ---- short convolution --------------------------------------------------- */

/* Nothing between the two products is activated. */
START_TEST(a_short_convolution_between_its_gates)
{
    family f = run_family(FIX_SHORTCONV);
    const int64_t n_d = f.spec.n_d, n_conv = f.spec.shortconv.n_conv;
    const double *b = fix_find(&f.taps, CORE_TAP_SHORTCONV_B, 0);
    const double *c = fix_find(&f.taps, CORE_TAP_SHORTCONV_C, 0);
    const double *x = fix_find(&f.taps, CORE_TAP_SHORTCONV_X, 0);
    const double *u = fix_find(&f.taps, CORE_TAP_SHORTCONV_BX, 0);
    const double *y = fix_find(&f.taps, CORE_TAP_SHORTCONV_CONV, 0);
    const double *w = tensor(&f, CORE_W_SHORTCONV_CONV, 0);
    const double *bias = tensor(&f, CORE_W_SHORTCONV_CONV_BIAS, 0);
    judge before = judge_of(&f, CORE_TAP_SHORTCONV_BX, 0);
    judge conv = judge_of(&f, CORE_TAP_SHORTCONV_CONV, 0);
    judge behind = judge_of(&f, CORE_TAP_SHORTCONV_GATED, 0);
    for (int64_t t = 0; t < N; t++)
        for (int64_t i = 0; i < n_d; i++) {
            const int64_t at = t * n_d + i;
            float sum = (float)bias[i];
            for (int64_t back = 0; back < n_conv && back <= t % T; back++)
                sum += (float)w[i * n_conv + n_conv - 1 - back] *
                       (float)u[(t - back) * n_d + i];
            see(&before, at, nextafterf((float)b[at] * (float)x[at], 9));
            see(&conv, at, sum);
            see(&behind, at, nextafterf((float)c[at] * (float)y[at], 9));
        }
    sentence(&before);
    sentence(&conv);
    sentence(&behind);
    free_family(&f);
}
END_TEST

/* ---- mamba --------------------------------------------------------------- */

START_TEST(mamba_before_the_state)
{
    family f = run_family(FIX_MAMBA);
    const core_mamba *m = &f.spec.mamba;
    const int64_t n_x = m->n_r + 2 * m->n_s;
    const double eps = f.spec.norm_eps;
    const double *u = fix_find(&f.taps, CORE_TAP_MAMBA_U, 0);
    const double *c = fix_find(&f.taps, CORE_TAP_MAMBA_CONV, 0);
    const double *x = fix_find(&f.taps, CORE_TAP_MAMBA_X, 0);
    const double *raw = fix_find(&f.taps, CORE_TAP_MAMBA_DT_RAW, 0);
    const double *w = tensor(&f, CORE_W_MAMBA_CONV, 0);
    const double *bias = tensor(&f, CORE_W_MAMBA_CONV_BIAS, 0);
    judge conv = judge_of(&f, CORE_TAP_MAMBA_CONV, 0);
    judge act = judge_of(&f, CORE_TAP_MAMBA_ACT, 0);
    judge dt = judge_of(&f, CORE_TAP_MAMBA_DT, 0);
    for (int64_t t = 0; t < N; t++)
        for (int64_t i = 0; i < m->n_c; i++) {
            const int64_t at = t * m->n_c + i;
            float sum = (float)bias[i];
            for (int64_t back = 0; back < m->n_conv && back <= t % T; back++)
                sum += (float)w[i * m->n_conv + m->n_conv - 1 - back] *
                       (float)u[(t - back) * m->n_c + i];
            see(&conv, at, sum);
            see(&act, at, (float)c[at] / (1.0f + expf(-(float)c[at])));
            see(&dt, at, logf(1.0f + expf((float)raw[at])));
        }
    sentence(&conv);
    sentence(&act);
    sentence(&dt);
    check_rms(&f, CORE_TAP_MAMBA_DT_NORM, 0, x, n_x, 1, m->n_r,
              tensor(&f, CORE_W_MAMBA_DT_NORM, 0), eps, 0.0);
    check_rms(&f, CORE_TAP_MAMBA_B, 0, x + m->n_r, n_x, 1, m->n_s,
              tensor(&f, CORE_W_MAMBA_B_NORM, 0), eps, 0.0);
    check_rms(&f, CORE_TAP_MAMBA_C, 0, x + m->n_r + m->n_s, n_x, 1, m->n_s,
              tensor(&f, CORE_W_MAMBA_C_NORM, 0), eps, 0.0);
    free_family(&f);
}
END_TEST

START_TEST(mamba_state_and_gate)
{
    family f = run_family(FIX_MAMBA);
    const core_mamba *m = &f.spec.mamba;
    const int64_t n_s = m->n_s;
    const double *a = fix_find(&f.taps, CORE_TAP_MAMBA_ACT, 0);
    const double *dt = fix_find(&f.taps, CORE_TAP_MAMBA_DT, 0);
    const double *b = fix_find(&f.taps, CORE_TAP_MAMBA_B, 0);
    const double *c = fix_find(&f.taps, CORE_TAP_MAMBA_C, 0);
    const double *gate = fix_find(&f.taps, CORE_TAP_MAMBA_GATE, 0);
    const double *a_log = tensor(&f, CORE_W_MAMBA_A_LOG, 0);
    const double *skip = tensor(&f, CORE_W_MAMBA_D, 0);
    judge y = judge_of(&f, CORE_TAP_MAMBA_Y, 0);
    judge gated = judge_of(&f, CORE_TAP_MAMBA_GATED, 0);
    for (int64_t i = 0; i < m->n_c; i++) {
        float h[8];
        for (int64_t t = 0; t < N; t++) {
            const int64_t at = t * m->n_c + i;
            float sum = (float)skip[i] * (float)a[at];
            for (int64_t s = 0; s < n_s; s++) {
                const float rate = -expf((float)a_log[i * n_s + s]);
                const float before = t % T == 0 ? 0.0f : h[s];
                h[s] = expf((float)dt[at] * rate) * before +
                       (float)dt[at] * (float)b[t * n_s + s] * (float)a[at];
                sum += h[s] * (float)c[t * n_s + s];
            }
            see(&y, at, sum);
            const float g = (float)gate[at];
            see(&gated, at, (float)y.y[at] * (g / (1.0f + expf(-g))));
        }
    }
    sentence(&y);
    sentence(&gated);
    free_family(&f);
}
END_TEST

/* Lengths, strengths and steps; of the norm after the state its tap. */
static const fix_family_kind DELTA_NETS[] = {FIX_DELTANET, FIX_KDA,
                                             FIX_KDA_BOUNDED};

START_TEST(delta_net_around_the_state)
{
    family f = run_family(DELTA_NETS[_i]);
    const core_deltanet *s = &f.spec.deltanet;
    const double *raw = fix_find(&f.taps, CORE_TAP_DELTANET_BETA_RAW, 0);
    const double *step = fix_find(&f.taps, CORE_TAP_DELTANET_DT_RAW, 0);
    const double *k = fix_find(&f.taps, CORE_TAP_DELTANET_K_ACT, 0);
    const double *a_log = tensor(&f, CORE_W_DELTANET_A_LOG, 0);
    judge beta = judge_of(&f, CORE_TAP_DELTANET_BETA, 0);
    judge dt = judge_of(&f, CORE_TAP_DELTANET_DT, 0);
    judge length = judge_of(&f, CORE_TAP_DELTANET_K_NORM, 0);
    for (int64_t i = 0; i < N * s->n_vh; i++)
        see(&beta, i, 1.0f / (1.0f + expf(-(float)raw[i])));
    const int64_t n_dt = s->by_row ? s->n_dk : 1;
    for (int64_t i = 0; i < N * s->n_vh * n_dt; i++) {
        const float rate = expf((float)a_log[i / n_dt % s->n_vh]);
        see(&dt, i,
            s->floor < 0.0 ? 1.0f / (1.0f + expf(-rate * (float)step[i]))
                           : logf(1.0f + expf((float)step[i])));
    }
    for (int64_t i = 0; i < N * s->n_kh; i++) {
        float sum = 1e-6f;
        for (int64_t d = s->n_dk - 1; d >= 0; d--)
            sum += (float)k[i * s->n_dk + d] * (float)k[i * s->n_dk + d];
        for (int64_t d = 0; d < s->n_dk; d++)
            see(&length, i * s->n_dk + d,
                (float)k[i * s->n_dk + d] * (1.0f / sqrtf(sum)));
    }
    sentence(&beta);
    sentence(&dt);
    sentence(&length);
    check_rms(&f, CORE_TAP_DELTANET_NORM, 0,
              fix_find(&f.taps, CORE_TAP_DELTANET_Y, 0), s->n_vh * s->n_dv,
              s->n_vh, s->n_dv, tensor(&f, CORE_W_DELTANET_NORM, 0),
              f.spec.norm_eps, 0.0);
    free_family(&f);
}
END_TEST

/* In floats, sums backwards; the root is applied to the query. */
START_TEST(delta_net_state)
{
    family f = run_family(DELTA_NETS[_i]);
    const core_deltanet *s = &f.spec.deltanet;
    const int64_t n = s->n_dk, n_v = s->n_vh * s->n_dv;
    const double *q = fix_find(&f.taps, CORE_TAP_DELTANET_Q_NORM, 0);
    const double *k = fix_find(&f.taps, CORE_TAP_DELTANET_K_NORM, 0);
    const double *v = fix_find(&f.taps, CORE_TAP_DELTANET_V_ACT, 0);
    const double *beta = fix_find(&f.taps, CORE_TAP_DELTANET_BETA, 0);
    const double *dt = fix_find(&f.taps, CORE_TAP_DELTANET_DT, 0);
    const double *a_log = tensor(&f, CORE_W_DELTANET_A_LOG, 0);
    judge y = judge_of(&f, CORE_TAP_DELTANET_Y, 0);
    for (int64_t c = 0; c < n_v; c++) {
        const int64_t h = c / s->n_dv, g = h / (s->n_vh / s->n_kh);
        float S[8];
        for (int64_t t = 0; t < N; t++) {
            const double *q_t = q + (t * s->n_kh + g) * n;
            const double *k_t = k + (t * s->n_kh + g) * n;
            const int64_t at = t * s->n_vh + h;
            float found = 0.0f, sum = 0.0f;
            for (int64_t i = n - 1; i >= 0; i--) {
                const float step = (float)dt[s->by_row ? at * n + i : at];
                const float kept = expf(
                    (s->floor < 0.0 ? (float)s->floor : -expf((float)a_log[h])) *
                    step);
                S[i] = t % T == 0 ? 0.0f : S[i] * kept;
                found += (float)k_t[i] * S[i];
            }
            const float d =
                (float)beta[at] * ((float)v[t * n_v + c] - found);
            for (int64_t i = n - 1; i >= 0; i--) {
                S[i] += (float)k_t[i] * d;
                sum += (float)q_t[i] / sqrtf((float)n) * S[i];
            }
            see(&y, t * n_v + c, sum);
        }
    }
    sentence(&y);
    free_family(&f);
}
END_TEST

START_TEST(gated_attention_and_norms_that_add_one)
{
    family f = run_family(FIX_DELTANET);
    const double *raw = fix_find(&f.taps, CORE_TAP_CONTEXT_GATE, 1);
    const int64_t n_d = f.spec.n_d;
    judge score = judge_of(&f, CORE_TAP_CONTEXT_SCORE, 1);
    for (int64_t i = 0; i < N * f.spec.n_h * f.spec.n_dh; i++)
        see(&score, i, 1.0f / (1.0f + expf(-(float)raw[i])));
    sentence(&score);
    double weight[MAX_COLS];
    const double *stored = tensor(&f, CORE_W_ATTN_NORM, 1);
    for (int64_t d = 0; d < n_d; d++)
        weight[d] = 1.0 + stored[d];
    check_rms(&f, CORE_TAP_ATTN_NORM, 1, fix_find(&f.taps, CORE_TAP_IN, 1), n_d,
              1, n_d, weight, f.spec.norm_eps, 0.0);
    free_family(&f);
}
END_TEST

/* ---- feed-forward -------------------------------------------------------- */

START_TEST(clamped_activations)
{
    family f = run_family(FIX_NORM_ALL);
    const double *gate = fix_find(&f.taps, CORE_TAP_MLP_GATE, 0);
    const double *up = fix_find(&f.taps, CORE_TAP_MLP_UP, 0);
    judge j = judge_of(&f, CORE_TAP_MLP_ACT, 0);
    for (int64_t i = 0; i < N * f.spec.n_f_shared; i++) {
        const float g = fminf((float)gate[i], 7.0f);
        const float u = clamped((float)up[i], 7.0);
        see(&j, i, g / (1.0f + expf(-1.702f * g)) * (u + 1.0f));
    }
    sentence(&j);
    free_family(&f);
}
END_TEST

/* Beyond the clamps, where no activation of a small model goes; a limit that is
 * no fp32 number may be another one there.                                   */
static void check_beyond(core_gating gating)
{
    const float limit = (float)gating.limit, alpha = (float)gating.alpha;
    enum { N_Z = 60 };
    double gate[N_Z], up[N_Z], a[N_Z], worst = 0.0;
    float bound[N_Z];
    for (int i = 0; i < N_Z; i++) {
        gate[i] = (double)(float)(i < 10 ? -6.3 * i : 0.2 * i);
        up[i] = (double)(float)(9.0 * sin(1.0 + i));
    }
    gate[6] = 8.0;
    up[6] = -1.0;
    for (int i = 0; i < N_Z; i++)
        a[i] = core_gated(gating, gate[i], up[i]);
    core_store(CORE_FP32, CORE_GRID_ACT, a, N_Z);
    ref__bound_clamped(ref__roundoff_of(CORE_FP32), bound, gate, up, a, N_Z,
                       gating);
    for (int i = 0; i < N_Z; i++) {
        const float g = fminf((float)gate[i], limit);
        const float u = fmaxf(fminf((float)up[i], limit), -limit);
        const float got = g / (1.0f + expf(-alpha * g)) * (u + 1.0f);
        worst = ref__worse(worst, fabs((double)got - a[i]) / (double)bound[i]);
    }
    ck_assert_msg(worst <= 1.0, "%g", worst);
    ck_assert_msg(worst > 1e-3, "%g", worst);
    if (gating.limit >= 1.0)
        ck_assert_double_eq(a[6], 0.0); /* up + 1 vanishes */
}

START_TEST(clamped_activations_beyond_the_limits)
{
    check_beyond((core_gating){CORE_ACT_CLAMPED_SWIGLU, 1.702, 7.0, 0.0});
    check_beyond((core_gating){CORE_ACT_CLAMPED_SWIGLU, 1.3, 1.3, 0.0});
    check_beyond((core_gating){CORE_ACT_CLAMPED_SWIGLU, 1.702, 0.9999999, 0.0});
}
END_TEST

/* Limits behind the activation: below, at and far beyond them. */
START_TEST(limited_activations)
{
    enum { N_Z = 60 };
    static const double most[] = {7.0, 0.4, 1.0};
    for (int k = 0; k < 3; k++) {
        const core_gating gating = {.act = CORE_ACT_SILU, .most = most[k]};
        const float limit = (float)most[k];
        double gate[N_Z], up[N_Z], a[N_Z], worst = 0.0;
        float bound[N_Z];
        int n_cut = 0, n_kept = 0;
        for (int i = 0; i < N_Z; i++) {
            gate[i] = (double)(float)(i < 10 ? -1.3 * i : 0.3 * (i - 10));
            up[i] = (double)(float)(9.0 * sin(1.0 + i));
            a[i] = core_gated(gating, gate[i], up[i]);
        }
        core_store(CORE_FP32, CORE_GRID_ACT, a, N_Z);
        ref__bound_limited(ref__roundoff_of(CORE_FP32), bound, gate, up, a, N_Z,
                           gating);
        for (int i = 0; i < N_Z; i++) {
            const float g = (float)gate[i], f = g / (1.0f + expf(-g));
            const float u = fmaxf(fminf((float)up[i], limit), -limit);
            const float got = fminf(f, limit) * u;
            n_cut += f > limit;
            n_kept += f < limit;
            worst =
                ref__worse(worst, fabs((double)got - a[i]) / (double)bound[i]);
        }
        ck_assert_int_gt(n_cut, 0);
        ck_assert_int_gt(n_kept, 0);
        ck_assert_msg(worst <= 1.0 && worst > 1e-3, "%g", worst);
    }
}
END_TEST

START_TEST(shared_expert_with_a_weight)
{
    family f = run_family(FIX_SHARED_GATE);
    const int64_t n_d = f.spec.n_d;
    check_product(&f, CORE_TAP_FFN_NORM, CORE_TAP_SHARED_LOGIT,
                  CORE_W_SHARED_GATE, CORE_N_WEIGHT_KINDS, 0, 1.0, 0.0);
    const double *z = fix_find(&f.taps, CORE_TAP_SHARED_LOGIT, 0);
    const double *out = fix_find(&f.taps, CORE_TAP_MLP_OUT, 0);
    const double *moe = fix_find(&f.taps, CORE_TAP_COMBINE, 0);
    judge score = judge_of(&f, CORE_TAP_SHARED_SCORE, 0);
    judge weighted = judge_of(&f, CORE_TAP_SHARED_WEIGHTED, 0);
    judge sum = judge_of(&f, CORE_TAP_FFN_OUT, 0);
    for (int64_t t = 0; t < N; t++) {
        const float e = expf((float)z[t]); /* e / (1 + e): another formula */
        see(&score, t, e / (1.0f + e));
        for (int64_t d = t * n_d; d < (t + 1) * n_d; d++) {
            see(&weighted, d, nextafterf((float)score.y[t] * (float)out[d], 9));
            see(&sum, d, nextafterf((float)moe[d] + (float)weighted.y[d], 9));
        }
    }
    sentence(&score);
    sentence(&weighted);
    sentence(&sum);
    free_family(&f);
}
END_TEST

START_TEST(scaled_embedding_and_residual)
{
    family f = run_family(FIX_SCALES);
    const int64_t n_d = f.spec.n_d;
    const double *table = tensor(&f, CORE_W_EMBED, 0);
    const double *x = fix_find(&f.taps, CORE_TAP_IN, 0);
    const double *r = fix_find(&f.taps, CORE_TAP_ATTN_OUT, 0);
    const double *mid = fix_find(&f.taps, CORE_TAP_MID, 0);
    const double *ffn = fix_find(&f.taps, CORE_TAP_FFN_OUT, 0);
    const float scale = (float)f.spec.residual_scale;
    judge embed = judge_of(&f, CORE_TAP_EMBED, 0);
    judge first = judge_of(&f, CORE_TAP_MID, 0);
    judge second = judge_of(&f, CORE_TAP_OUT, 0);
    for (int64_t t = 0; t < N; t++)
        for (int64_t d = 0; d < n_d; d++) {
            const int64_t at = t * n_d + d;
            see(&embed, at,
                (float)table[f.batch.ids[t] * n_d + d] *
                    (float)f.spec.embed_scale);
            see(&first, at, (float)x[at] + scale * (float)r[at]);
            see(&second, at, (float)mid[at] + scale * (float)ffn[at]);
        }
    sentence(&embed);
    sentence(&first);
    sentence(&second);
    free_family(&f);
}
END_TEST

START_TEST(temperature_and_weighted_inputs)
{
    family f = run_family(FIX_CHUNK);
    const core_spec *s = &f.spec;
    const int64_t width = s->n_h * s->n_dh;
    const double *q = fix_find(&f.taps, CORE_TAP_Q, 1);
    judge warm = judge_of(&f, CORE_TAP_Q_TEMPER, 1);
    for (int64_t t = 0; t < N; t++)
        for (int64_t d = t * width; d < (t + 1) * width; d++)
            see(&warm, d,
                (float)q[d] *
                    (1.0f + (float)s->temper_scale *
                                logf(1.0f + floorf((float)(t % T + 1) /
                                                   (float)s->temper_floor))));
    sentence(&warm);
    const double *xn = fix_find(&f.taps, CORE_TAP_FFN_NORM, 0);
    const double *w = fix_find(&f.taps, CORE_TAP_TOPK_WEIGHT, 0);
    judge recv = judge_of(&f, CORE_TAP_RECV, 0);
    for (int64_t c = 0; c < N * s->n_k; c++)
        for (int64_t d = 0; d < s->n_d; d++)
            see(&recv, c * s->n_d + d,
                nextafterf((float)w[c] * (float)xn[c / s->n_k * s->n_d + d],
                           9));
    sentence(&recv);
    free_family(&f);
}
END_TEST

/* ---- routers ------------------------------------------------------------- */

START_TEST(sigmoid_scores_and_scaled_weights)
{
    family f = run_family(FIX_LATENT);
    const int64_t n_e = f.spec.n_e, n_k = f.spec.n_k;
    const double *logits = fix_find(&f.taps, CORE_TAP_ROUTER_LOGITS, 0);
    const double *idx = fix_find(&f.taps, CORE_TAP_TOPK_IDX, 0);
    judge p = judge_of(&f, CORE_TAP_ROUTER_PROBS, 0);
    judge w = judge_of(&f, CORE_TAP_TOPK_WEIGHT, 0);
    for (int64_t t = 0; t < N; t++) {
        float sum = 1e-20f;
        for (int64_t e = t * n_e; e < (t + 1) * n_e; e++)
            see(&p, e, 1.0f / (1.0f + expf(-(float)logits[e])));
        for (int64_t k = n_k - 1; k >= 0; k--)
            sum += (float)p.y[t * n_e + (int64_t)idx[t * n_k + k]];
        for (int64_t k = 0; k < n_k; k++)
            see(&w, t * n_k + k,
                (float)p.y[t * n_e + (int64_t)idx[t * n_k + k]] / sum *
                    (float)f.spec.routed_scale);
    }
    sentence(&p);
    sentence(&w);
    free_family(&f);
}
END_TEST

START_TEST(softmax_over_the_chosen)
{
    family f = run_family(FIX_NORM_ALL);
    const int64_t n_e = f.spec.n_e, n_k = f.spec.n_k;
    const double *logits = fix_find(&f.taps, CORE_TAP_ROUTER_LOGITS, 0);
    const double *idx = fix_find(&f.taps, CORE_TAP_TOPK_IDX, 0);
    judge w = judge_of(&f, CORE_TAP_TOPK_WEIGHT, 0);
    for (int64_t t = 0; t < N; t++) {
        float e[8], sum = 0.0f;
        for (int64_t k = n_k - 1; k >= 0; k--) {
            const double *l = logits + t * n_e;
            e[k] = expf((float)l[(int64_t)idx[t * n_k + k]] -
                        (float)l[(int64_t)idx[t * n_k]]);
            sum += e[k];
        }
        for (int64_t k = 0; k < n_k; k++)
            see(&w, t * n_k + k, e[k] / sum * (float)f.spec.routed_scale);
    }
    sentence(&w);
    free_family(&f);
}
END_TEST

START_TEST(sparsemixer_weights)
{
    family f = run_family(FIX_LAYERNORM);
    const int64_t n_e = f.spec.n_e;
    const double *logits = fix_find(&f.taps, CORE_TAP_ROUTER_LOGITS, 0);
    const double *idx = fix_find(&f.taps, CORE_TAP_TOPK_IDX, 0);
    judge w = judge_of(&f, CORE_TAP_TOPK_WEIGHT, 0);
    int n_shared = 0; /* weights that more than one expert made */
    for (int64_t t = 0; t < N; t++)
        for (int64_t k = 0; k < 2; k++) {
            const double *l = logits + t * n_e;
            const float m = (float)l[(int64_t)idx[2 * t + k]];
            float sum = 0.0f;
            for (int64_t e = n_e - 1; e >= 0; e--) {
                const float x = (float)l[e], size = fmaxf(fabsf(x), m);
                if (k == 1 && e == (int64_t)idx[2 * t])
                    continue;
                ck_assert(x <= m);
                if (!((m - x) / size > 2.0f * (float)f.spec.jitter))
                    sum += expf(x - m);
            }
            n_shared += sum > 1.0f ? 1 : 0;
            see(&w, 2 * t + k, 1.0f / sum);
        }
    ck_assert_int_gt(n_shared, 3);
    sentence(&w);
    free_family(&f);
}
END_TEST

/* ---- all taps ------------------------------------------------------------ */

static bool is_copy(const core_spec *spec, core_tap tap)
{
    return tap.kind == CORE_TAP_IN || tap.kind == CORE_TAP_BACK ||
           (tap.kind == CORE_TAP_RECV && !spec->weigh_input);
}

/* Some heads turn in part; before the first digest there are zeros; earlier sums
 * stand.                                                                     */
static bool may_be_copy(const core_spec *spec, core_tap tap)
{
    switch (tap.kind) {
    case CORE_TAP_Q_ROPE:
    case CORE_TAP_K_ROPE:
    case CORE_TAP_CONTEXT_BACK:
    case CORE_TAP_PICK_Q_ROPE:
    case CORE_TAP_DIGEST_ROPE:
    case CORE_TAP_PICK_ROPE:
    case CORE_TAP_INDEX_Q_ROPE:
    case CORE_TAP_INDEX_K_ROPE:
    case CORE_TAP_BLOCK_Q_ROPE:
    case CORE_TAP_BLOCK_K_ROPE:
        return spec->n_rot > 0;
    case CORE_TAP_DIGEST:
    case CORE_TAP_PICK:
        return true;
    case CORE_TAP_MID:
    case CORE_TAP_OUT:
        return spec->attn_res.n_block > 0;
    default:
        return false;
    }
}

START_TEST(every_tap_has_a_bound)
{
    static const core_numerics all[] = {CORE_FP64, CORE_FP32, CORE_BF16};
    static const float most_of[] = {1e-10f, 1e-2f, 10.0f};
    const core_spec spec = fix_family(_i / 3);
    const core_numerics numerics = all[_i % 3];
    const float most = most_of[_i % 3];
    core_batch batch;
    ck_assert_int_eq(core_batch_make(&batch, &spec, B, T, 7), CORE_OK);
    const fix_run how = {.numerics = numerics, .bounds = true};
    fix_taps taps = {0};
    char name[CORE_NAME_BYTES];
    fix_forward(&spec, &batch, &how, &taps);
    for (int64_t i = 0; i < taps.n; i++) {
        const core_tap tap = taps.tap[i];
        const float *bound = taps.bound[i];
        core_tap_name(tap, name);
        ck_assert_msg((bound == NULL) ==
                          (core_tap_grid(tap.kind) == CORE_GRID_INT),
                      "%s", name);
        for (int64_t j = 0; bound != NULL && j < fix_size(&taps, i); j++) {
            const bool copied = is_copy(&spec, tap) ||
                                (may_be_copy(&spec, tap) && bound[j] == 0.0f);
            ck_assert_msg(copied ? bound[j] == 0.0f
                                 : bound[j] > 0.0f && bound[j] < most,
                          "%s: bound %g", name, (double)bound[j]);
        }
    }
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref_family_bounds");
    TCase *mixer = tcase_create("attention and mamba");
    tcase_set_timeout(mixer, 60.0);
    tcase_add_loop_test(mixer, norms_of_queries_and_keys, 0, 2);
    tcase_add_test(mixer, norms_after_rope);
    tcase_add_test(mixer, latent_norms);
    tcase_add_test(mixer, layernorms);
    tcase_add_test(mixer, rope_of_a_part_of_the_head);
    tcase_add_test(mixer, rope_of_neighbours);
    tcase_add_test(mixer, rope_of_latent_heads);
    tcase_add_loop_test(mixer, contexts, 0, 4);
    tcase_add_loop_test(mixer, context_of_latent_heads, 0, 2);
    tcase_add_test(mixer, products_of_latent_attention);
    tcase_add_test(mixer, indexer);
    tcase_add_test(mixer, products_of_mamba);
    tcase_add_test(mixer, products_of_a_short_convolution);
    tcase_add_test(mixer, a_short_convolution_between_its_gates);
    tcase_add_loop_test(mixer, clamped_projections, 0, 2);
    tcase_add_test(mixer, logits_with_bias_and_divisor);
    tcase_add_test(mixer, mamba_before_the_state);
    tcase_add_test(mixer, mamba_state_and_gate);
    tcase_add_loop_test(mixer, delta_net_around_the_state, 0, 3);
    tcase_add_loop_test(mixer, delta_net_state, 0, 3);
    tcase_add_test(mixer, gated_attention_and_norms_that_add_one);
    suite_add_tcase(suite, mixer);
    TCase *rest = tcase_create("feed-forward and routers");
    tcase_set_timeout(rest, 60.0);
    tcase_add_test(rest, clamped_activations);
    tcase_add_test(rest, clamped_activations_beyond_the_limits);
    tcase_add_test(rest, limited_activations);
    tcase_add_test(rest, shared_expert_with_a_weight);
    tcase_add_test(rest, scaled_embedding_and_residual);
    tcase_add_test(rest, temperature_and_weighted_inputs);
    tcase_add_test(rest, sigmoid_scores_and_scaled_weights);
    tcase_add_test(rest, softmax_over_the_chosen);
    tcase_add_test(rest, sparsemixer_weights);
    tcase_add_loop_test(rest, every_tap_has_a_bound, 0, 3 * FIX_N_FAMILIES);
    suite_add_tcase(suite, rest);
    return check_main(suite);
}
