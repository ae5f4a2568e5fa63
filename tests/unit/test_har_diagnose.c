/* tests/unit/test_har_diagnose.c -- known mistakes, planted one by one.
 *
 * Each is planted into the taps of a real reference, by a pass with another
 * setting of the model where there is one, else by hand.  The diagnosis must
 * name it, and nothing else: so every plant is the silence of all other
 * signatures. The same plant under noise that no signature explains has no
 * diagnosis.
 */
#include "core/base/arena.h"
#include "core/model/elementary.h"
#include "harness/diagnose/diagnose.h"
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_B = 3, N_T = 11, N_TOKEN = N_B * N_T, TP = 2, MAX_ELEMENTS = 8192 };

/* --- a pass, and the tap of it that differs --- */

static core_numerics numerics;
static core_weights *weights;
static fix_taps taps;
static core_tap tap;
static int64_t n_row, n_col;
static const double *expected;
static double found[MAX_ELEMENTS], allowed[MAX_ELEMENTS];
static int64_t row[MAX_ELEMENTS];

static void forward(fix_taps *out, const core_spec *spec, core_weights *from)
{
    core_batch batch;
    ref_model *model = NULL;
    ref_stats stats;
    const ref_options options = {.n_threads = 1,
                                 .weight_budget_bytes = (size_t)1 << 28,
                                 .bounds = core_uses_floats(numerics)};
    core_tap_sink sink = fix_sink(out, spec, N_TOKEN);
    ck_assert_int_eq(core_batch_make(&batch, spec, N_B, N_T, 5), CORE_OK);
    ck_assert_int_eq(ref_model_open(&model, spec, from, numerics, &options),
                     CORE_OK);
    ck_assert_int_eq(ref_forward(model, &batch, NULL, &sink, &stats), CORE_OK);
    ref_model_close(model);
    core_batch_free(&batch);
}

enum { FIX_PLAIN = -1 };

static void open_tap(int model, core_tap which)
{
    const core_spec spec = model == FIX_PLAIN ? fix_spec() : fix_family(model);
    tap = which;
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 5), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, numerics, NULL), CORE_OK);
    forward(&taps, &spec, weights);
    n_row = core_tap_n_rows(&spec, tap, N_TOKEN);
    n_col = core_tap_cols(&spec, tap);
    ck_assert_int_le(n_row * n_col, MAX_ELEMENTS);
    expected = fix_find(&taps, tap.kind, tap.layer);
    memcpy(found, expected, (size_t)(n_row * n_col) * sizeof *found);
    const bool is_int = core_tap_grid(tap.kind) == CORE_GRID_INT;
    const float *bound = core_uses_floats(numerics) && !is_int
                             ? fix_bound(&taps, tap.kind, tap.layer)
                             : NULL;
    for (int64_t i = 0; i < n_row; i++) {
        row[i] = i;
        allowed[i] = 0.0;
        for (int64_t j = 0; bound != NULL && j < n_col; j++)
            allowed[i] = fmax(allowed[i], (double)bound[i * n_col + j]);
    }
}

static void close_tap(void)
{
    fix_free(&taps);
    core_weights_close(weights);
}

static void give_expected(void *self, int64_t i, double *out)
{
    (void)self;
    memcpy(out, expected + i * n_col, (size_t)n_col * sizeof *out);
}

static int64_t give_n_col(void *self, core_tap other)
{
    (void)self;
    return core_tap_exists(&taps.spec, other) ? core_tap_cols(&taps.spec, other)
                                              : 0;
}

static void give_row(void *self, core_tap other, int64_t i, double *out)
{
    (void)self;
    const int64_t n = core_tap_cols(&taps.spec, other);
    memcpy(out, fix_find(&taps, other.kind, other.layer) + i * n,
           (size_t)n * sizeof *out);
}

static har_diagnosis diagnose(void)
{
    har_diagnosis out;
    const har_scene scene = {.is_tap = true,
                             .tap = tap,
                             .n_b = N_B,
                             .n_t = N_T,
                             .n_row = n_row,
                             .n_col = n_col,
                             .n_found = n_row,
                             .n_found_col = n_col,
                             .n_seen = n_row,
                             .row = row,
                             .found = found,
                             .allowed = allowed,
                             .numerics = numerics,
                             .spec = &taps.spec,
                             .weights = weights,
                             .n_degree = 1,
                             .degree = {{"tp", TP}},
                             .expected = give_expected,
                             .n_col_of = give_n_col,
                             .read = give_row};
    har_diagnose(&out, &scene);
    return out;
}

/* --- mistakes by another setting --- */

static void set_gelu_tanh(core_spec *s)
{
    s->act = CORE_ACT_GELU_TANH;
}
static void set_eps(core_spec *s)
{
    s->norm_eps = 1e-3;
}
static void set_pairs(core_spec *s)
{
    s->rope.interleaved ^= true;
}
static void set_theta(core_spec *s)
{
    s->rope.theta = 5e5;
}
static void set_sigmoid(core_spec *s)
{
    s->router = CORE_ROUTER_SIGMOID;
}
static void set_weights(core_spec *s)
{
    s->renormalise ^= true;
}
static void set_scale(core_spec *s)
{
    s->score_scale = 1.0;
}
static void set_square(core_spec *s)
{
    s->score_scale =
        core_spec_heads_of(s, 0).scale * core_spec_heads_of(s, 0).scale;
}
static void set_window(core_spec *s)
{
    s->sliding_window++;
}

static void spoil_by_setting(void (*set)(core_spec *spec))
{
    core_spec spec = taps.spec;
    fix_taps other = {.n = 0};
    set(&spec);
    forward(&other, &spec, weights);
    memcpy(found, fix_find(&other, tap.kind, tap.layer),
           (size_t)(n_row * n_col) * sizeof *found);
    fix_free(&other);
}

/* --- mistakes by hand --- */

#define EACH(value)                                                            \
    for (int64_t i = 0; i < n_row; i++)                                        \
        for (int64_t j = 0; j < n_col; j++)                                    \
    found[i * n_col + j] = (value)
#define AT(i, j) expected[(i)*n_col + (j)]

static const double *beside(core_tap_kind kind)
{
    return fix_find(&taps, kind, tap.layer);
}

/* A weight; valid until the next call. */
static const double *weight(core_weight_kind kind)
{
    static double values[MAX_ELEMENTS];
    int64_t rows, cols;
    core_weight_shape(&taps.spec, (core_weight){kind, tap.layer, 0}, &rows,
                      &cols);
    core_weights_read(weights, (core_weight){kind, tap.layer, 0}, 0, rows, 0,
                      cols, values, cols);
    return values;
}

static void twice(void)
{
    EACH(2.0 * AT(i, j));
}
static void negated(void)
{
    EACH(-AT(i, j));
}
static void scaled(void)
{
    EACH(0.37 * AT(i, j));
}
static void by_score_scale(void)
{
    EACH(core_spec_heads_of(&taps.spec, 0).scale * AT(i, j));
}
static void half_of_columns(void)
{
    EACH(j < n_col / 2 ? AT(i, j) : 0.5 * AT(i, j));
}
static void rows_scaled(void)
{
    EACH((0.4 + 0.07 * (double)i) * AT(i, j));
}
static void columns_scaled(void)
{
    EACH((0.5 + 0.03 * (double)j) * AT(i, j));
}
static void bias_again(void)
{
    EACH(AT(i, j) + weight(CORE_W_O_BIAS)[j]);
}
static void bias_missing(void)
{
    EACH(AT(i, j) - weight(CORE_W_Q_BIAS)[j]);
}
static void same_offset(void)
{
    EACH(AT(i, j) + 0.1 * sin((double)(7 * j)));
}
static void shared_twice(void)
{
    EACH(AT(i, j) + beside(CORE_TAP_MLP_OUT)[i * n_col + j]);
}
static void no_residual(void)
{
    EACH(AT(i, j) - beside(CORE_TAP_IN)[i * n_col + j]);
}
static void is_up(void)
{
    EACH(beside(CORE_TAP_EXPERT_UP)[i * n_col + j]);
}
static void of_layer_2(void)
{
    EACH(fix_find(&taps, tap.kind, 2)[i * n_col + j]);
}
static void shifted(void)
{
    EACH(i % N_T == 0 ? 0.0 : AT(i - 1, j));
}
static void shifted_back(void)
{
    EACH(AT(i % N_T == N_T - 1 ? i : i + 1, j));
}
static void sequence_first(void)
{
    EACH(AT(i % N_B * N_T + i / N_B, j));
}
static void batch_first(void)
{
    EACH(AT(i % N_T * N_B + i / N_T, j));
}
static void reversed(void)
{
    EACH(AT(i / N_T * N_T + N_T - 1 - i % N_T, j));
}
static void batch_rows(void)
{
    EACH(AT((i + N_T) % N_TOKEN, j));
}
static void stale(void)
{
    EACH(AT(i >= 7 && i < 13 ? 2 : i, j));
}
static void one_stale(void)
{
    EACH(AT(i == 9 ? 8 : i, j));
}
static void permuted(void)
{
    EACH(AT(i * 7 % n_row, j));
}
static void transposed(void)
{
    EACH(expected[(i * n_col + j) % n_row * n_col + (i * n_col + j) / n_row]);
}
static void heads_first(void)
{
    const int64_t n_h = core_tap_heads(&taps.spec, tap);
    const int64_t n_d = n_col / n_h;
    for (int64_t b = 0; b < N_B; b++)
        for (int64_t h = 0; h < n_h; h++)
            for (int64_t t = 0; t < N_T; t++)
                for (int64_t d = 0; d < n_d; d++)
                    found[((b * n_h + h) * N_T + t) * n_d + d] =
                        AT(b * N_T + t, h * n_d + d);
}
static void rolled(void)
{
    EACH(AT(i, (j + n_col - 1) % n_col));
}
static void shifted_columns(void)
{
    EACH(j < 1 ? 0.0 : AT(i, j - 1));
}
static void heads_exchanged(void)
{
    const int64_t n_d = n_col / core_tap_heads(&taps.spec, tap);
    EACH(AT(i, j / n_d < 4 ? (3 - j / n_d) * n_d + j % n_d : j));
}
static void experts_exchanged(void)
{
    EACH(AT(i, j * 3 % n_col));
}
static void never_written(void)
{
    EACH(i < 20 ? (double)NAN : AT(i, j));
}
static void zeros(void)
{
    EACH(i % 4 == 0 ? 0.0 : AT(i, j));
}
static void rounded(void)
{
    core_store(CORE_BF16, CORE_GRID_ACT, found, n_row * n_col);
}
static void cut_off(void)
{
    for (int64_t i = 0; i < n_row * n_col; i++) {
        float x = (float)expected[i];
        uint32_t bits;
        memcpy(&bits, &x, sizeof x);
        bits &= 0xffff0000;
        memcpy(&x, &bits, sizeof x);
        found[i] = (double)x;
    }
}
static void gate_for_up(void)
{
    EACH(core_gated(core_spec_gating(&taps.spec),
                    beside(CORE_TAP_EXPERT_UP)[i * n_col + j],
                    beside(CORE_TAP_EXPERT_GATE)[i * n_col + j]));
    core_store(numerics, CORE_GRID_ACT, found, n_row * n_col);
}
static void unweighed_norm(void)
{
    EACH(AT(i, j) / weight(CORE_W_ATTN_NORM)[j]);
}
static void one_more_norm(void)
{
    EACH(AT(i, j) / weight(CORE_W_ATTN_NORM)[j] *
         (1.0 + weight(CORE_W_ATTN_NORM)[j]));
}

/* mean and mean of squares of columns [0, n) of a row of the stream */
static double mean_of(int64_t i, int64_t n, int power)
{
    double sum = 0.0;
    for (int64_t d = 0; d < n; d++)
        sum += pow(beside(CORE_TAP_IN)[i * n_col + d], power);
    return sum / (double)n;
}
static void less_the_mean(void)
{
    EACH(weight(CORE_W_ATTN_NORM)[j] *
         (beside(CORE_TAP_IN)[i * n_col + j] - mean_of(i, n_col, 1)) /
         sqrt(mean_of(i, n_col, 2) - pow(mean_of(i, n_col, 1), 2) +
              taps.spec.norm_eps));
}
static void of_own_columns(void)
{
    EACH(weight(CORE_W_ATTN_NORM)[j] * beside(CORE_TAP_IN)[i * n_col + j] /
         sqrt(mean_of(i, n_col / TP, 2) + taps.spec.norm_eps));
}

/* Turn what is in found[] by `by` positions: halves, whole heads. */
static void turn_on(double by)
{
    const int64_t n_dh = taps.spec.n_dh, half = n_dh / 2;
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t j = 0; j < n_col; j++) {
            const int64_t d = j % n_dh;
            if (d >= half)
                continue;
            double *a = &found[i * n_col + j], *b = a + half, x = *a, y = *b;
            const double angle =
                by * pow(taps.spec.rope.theta, -2.0 * (double)d / (double)n_dh);
            *a = x * cos(angle) - y * sin(angle);
            *b = y * cos(angle) + x * sin(angle);
        }
}
static void one_position_on(void)
{
    turn_on(1.0);
}
static void other_way_round(void)
{
    for (int64_t i = 0; i < n_row; i++) {
        double line[64];
        memcpy(line, found + i * n_col, (size_t)n_col * sizeof *line);
        turn_on(-2.0 * (double)(i % N_T)); /* right for row i alone */
        const double *mine = found + i * n_col;
        double keep[64];
        memcpy(keep, mine, (size_t)n_col * sizeof *keep);
        turn_on(2.0 * (double)(i % N_T));
        memcpy(found + i * n_col, keep, (size_t)n_col * sizeof *keep);
    }
}
static void ids_off_by_one(void)
{
    EACH(AT(i, j) + 1.0);
}
static void local_ids(void)
{
    EACH(fmod(AT(i, j), 4.0));
}
static void sum_of_choices(double (*weigh)(double weight))
{
    const double *back = beside(CORE_TAP_BACK);
    const double *w = beside(CORE_TAP_TOPK_WEIGHT);
    const int64_t n_k = taps.spec.n_k;
    EACH(0.0);
    for (int64_t i = 0; i < n_row * n_k; i++)
        for (int64_t j = 0; j < n_col; j++)
            found[i / n_k * n_col + j] += weigh(w[i]) * back[i * n_col + j];
}
static double square(double x)
{
    return x * x;
}
static double one(double x)
{
    return x > 0.0 ? 1.0 : 0.0;
}
static void weighed_twice(void)
{
    sum_of_choices(square);
}
static void unweighed(void)
{
    sum_of_choices(one);
}

/* The context with kv heads in turn; one key ahead of the query. */
static void attend(bool in_turn, int64_t ahead)
{
    const int64_t n_dh = taps.spec.n_dh, n_g = taps.spec.n_g;
    const double *q = beside(CORE_TAP_Q_ROPE), *k = beside(CORE_TAP_K_ROPE);
    const double *v = beside(CORE_TAP_V);
    EACH(0.0);
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t h = 0; h < taps.spec.n_h; h++) {
            const int64_t g = in_turn ? h % n_g : h * n_g / taps.spec.n_h;
            const int64_t t = i % N_T, end = t + 1 + ahead;
            double p[N_T], sum = 0.0;
            for (int64_t j = 0; j < end && j < N_T; j++) {
                p[j] = 0.0;
                for (int64_t d = 0; d < n_dh; d++)
                    p[j] += q[i * n_col + h * n_dh + d] *
                            k[((i - t + j) * n_g + g) * n_dh + d];
                p[j] = exp(p[j] * core_spec_heads_of(&taps.spec, 0).scale);
                sum += p[j];
            }
            for (int64_t j = 0; j < end && j < N_T; j++)
                for (int64_t d = 0; d < n_dh; d++)
                    found[i * n_col + h * n_dh + d] +=
                        p[j] / sum * v[((i - t + j) * n_g + g) * n_dh + d];
        }
}
static void kv_in_turn(void)
{
    attend(true, 0);
}
static void sees_next(void)
{
    attend(false, 1);
}
static void first_share_missing(void)
{
    const int64_t n_k = taps.spec.n_h * taps.spec.n_dh;
    const double *w = weight(CORE_W_O), *x = beside(CORE_TAP_CONTEXT);
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t j = 0; j < n_col; j++)
            for (int64_t k = 0; k < n_k / TP; k++)
                found[i * n_col + j] -= x[i * n_k + k] * w[j * n_k + k];
}

static void of_expert_2(void)
{
    static double w[MAX_ELEMENTS], b[64];
    const double *x = beside(CORE_TAP_RECV), *idx = beside(CORE_TAP_TOPK_IDX);
    const int64_t n_k = taps.spec.n_d;
    core_weights_read(weights, (core_weight){CORE_W_EXPERT_UP, 0, 2}, 0, n_col,
                      0, n_k, w, n_k);
    core_weights_read(weights, (core_weight){CORE_W_EXPERT_UP_BIAS, 0, 2}, 0, 1,
                      0, n_col, b, n_col);
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t j = 0; j < n_col && idx[i] == 5.0; j++) {
            found[i * n_col + j] = b[j];
            for (int64_t k = 0; k < n_k; k++)
                found[i * n_col + j] += x[i * n_k + k] * w[j * n_k + k];
        }
}
static void from_stream(void)
{
    const int64_t n_k = taps.spec.n_d;
    const double *w = weight(CORE_W_V), *x = beside(CORE_TAP_IN);
    EACH(0.0);
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t j = 0; j < n_col; j++)
            for (int64_t k = 0; k < n_k; k++)
                found[i * n_col + j] += x[i * n_k + k] * w[j * n_k + k];
    const double *bias = weight(CORE_W_V_BIAS);
    EACH(found[i * n_col + j] + bias[j]);
}
static void largest(void)
{
    EACH(fmax(AT(i, j), 0.0));
}

/* --- the table --- */

static const struct plant {
    const char *signature, *text; /* a part of the sentence                   */
    int model;
    core_tap tap;
    void (*spoil)(void);
    void (*set)(core_spec *spec);
    const char *also; /* what says the same in other words        */
} plants[] = {
#define T(kind)                                                                \
    {                                                                          \
        CORE_TAP_##kind, 0                                                     \
    }
    {"ratio", "twice", FIX_PLAIN, T(ATTN_OUT), twice, NULL, NULL},
    {"ratio", "other sign", FIX_PLAIN, T(V), negated, NULL, NULL},
    {"ratio", "0.37 times", FIX_PLAIN, T(FFN_OUT), scaled, NULL, NULL},
    {"ratio", "the scores' scale", FIX_PLAIN, T(Q_ROPE), by_score_scale, NULL,
     NULL},
    {"ratio", "half", FIX_PLAIN, T(MLP_OUT), half_of_columns, NULL, NULL},
    {"row_ratios", "every row", FIX_PLAIN, T(OUT), rows_scaled, NULL, NULL},
    {"column_ratios", "every column", FIX_PLAIN, T(OUT), columns_scaled, NULL,
     NULL},
    {"bias", "attn.o_bias is added once more", FIX_PLAIN, T(ATTN_OUT),
     bias_again, NULL, NULL},
    {"bias", "attn.q_bias is missing", FIX_PLAIN, T(Q), bias_missing, NULL,
     NULL},
    {"same_offset", "same values", FIX_PLAIN, T(EMBED), same_offset, NULL,
     NULL},
    {"addend", "layers.0.mlp.out is added once more", FIX_PLAIN, T(FFN_OUT),
     shared_twice, NULL, NULL},
    {"other_tap", "values of layers.0.attn_out", FIX_PLAIN, T(MID), no_residual,
     NULL, "addend"},
    {"other_tap", "layers.0.moe.up", FIX_PLAIN, T(EXPERT_GATE), is_up, NULL,
     NULL},
    {"other_tap", "layers.2.router_logits", FIX_PLAIN, T(ROUTER_LOGITS),
     of_layer_2, NULL, NULL},
    {"shift", "1 position: found are the values of an earlier", FIX_PLAIN, T(V),
     shifted, NULL, NULL},
    {"shift", "a later one", FIX_PLAIN, T(K), shifted_back, NULL, NULL},
    {"sequence_first", "sbh", FIX_PLAIN, T(OUT), sequence_first, NULL, NULL},
    {"sequence_first", "bsh for sbh", FIX_PLAIN, T(OUT), batch_first, NULL,
     NULL},
    {"reversed", "reverse", FIX_PLAIN, T(OUT), reversed, NULL, NULL},
    {"batch_rows", "0 holds 1, 1 holds 2, 2 holds 0", FIX_PLAIN, T(OUT),
     batch_rows, NULL, NULL},
    {"stale", "that of row 0 position 2", FIX_PLAIN, T(OUT), stale, NULL, NULL},
    {"stale", "row 0 position 9 that of row 0 position 8", FIX_PLAIN, T(OUT),
     one_stale, NULL, NULL},
    {"rows", "permuted: row 0 position 1 holds that of row 0 position 7",
     FIX_PLAIN, T(OUT), permuted, NULL, NULL},
    {"transposed", "[columns, tokens]", FIX_PLAIN, T(OUT), transposed, NULL,
     NULL},
    {"axes", "heads before positions", FIX_PLAIN, T(Q), heads_first, NULL,
     NULL},
    {"roll", "shifted by 1: column 1 holds that of 0", FIX_PLAIN, T(LOGITS),
     rolled, NULL, NULL},
    {"roll", "shifted by 1", FIX_PLAIN, T(LOGITS), shifted_columns, NULL, NULL},
    {"columns", "heads are permuted: 0 holds that of 3, 1 holds that of 2",
     FIX_PLAIN, T(Q), heads_exchanged, NULL, NULL},
    {"columns", "experts are permuted: 1 holds that of 3", FIX_PLAIN,
     T(ROUTER_LOGITS), experts_exchanged, NULL, NULL},
    {"nonfinite", "NaN", FIX_PLAIN, T(ATTN_NORM), never_written, NULL, NULL},
    {"zeros", "zeros", FIX_PLAIN, T(OUT), zeros, NULL, NULL},
    {"act", "gelu_tanh", FIX_PLAIN, T(EXPERT_ACT), NULL, set_gelu_tanh, NULL},
    {"gate_up", "act(up) * gate", FIX_PLAIN, T(EXPERT_ACT), gate_for_up, NULL,
     NULL},
    {"norm_weight", "without its weights", FIX_PLAIN, T(ATTN_NORM),
     unweighed_norm, NULL, NULL},
    {"norm_weight", "1 + weight", FIX_PLAIN, T(ATTN_NORM), one_more_norm, NULL,
     NULL},
    {"norm_kind", "layernorm", FIX_PLAIN, T(ATTN_NORM), less_the_mean, NULL,
     NULL},
    {"norm_share", "share 0 of 2 (tp)", FIX_PLAIN, T(ATTN_NORM), of_own_columns,
     NULL, NULL},
    {"pairs", "interleaved) instead of halves", FIX_PLAIN, T(Q_ROPE), NULL,
     set_pairs, NULL},
    {"pairs", "halves (split) instead", FIX_LATENT_Q, T(K_ROPE), NULL,
     set_pairs, NULL},
    {"position", "off by +1", FIX_PLAIN, T(Q_ROPE), one_position_on, NULL,
     NULL},
    {"rope_sign", "other way round", FIX_PLAIN, T(Q_ROPE), other_way_round,
     NULL, NULL},
    {"theta", "theta 500000 instead of 10000", FIX_PLAIN, T(K_ROPE), NULL,
     set_theta, NULL},
    {"scores", "sigmoid instead of softmax", FIX_PLAIN, T(ROUTER_PROBS), NULL,
     set_sigmoid, NULL},
    {"renormalised", "renormalisation missing", FIX_PLAIN, T(TOPK_WEIGHT), NULL,
     set_weights, NULL},
    {"renormalised", "divided by their sum, which", FIX_CHUNK, T(TOPK_WEIGHT),
     NULL, set_weights, NULL},
    {"ids", "off by +1", FIX_PLAIN, T(TOPK_IDX), ids_off_by_one, NULL, NULL},
    {"ids", "modulo 4", FIX_PLAIN, T(TOPK_IDX), local_ids, NULL, NULL},
    {"combine", "once too often", FIX_PLAIN, T(COMBINE), weighed_twice, NULL,
     NULL},
    {"combine", "without weights", FIX_PLAIN, T(COMBINE), unweighed, NULL,
     NULL},
    {"mask", "one key too long", FIX_NORM_ALL, T(CONTEXT), NULL, set_window,
     NULL},
    {"mask", "the key after it", FIX_PLAIN, T(CONTEXT), sees_next, NULL, NULL},
    {"score_scale", "without their scale", FIX_PLAIN, T(CONTEXT), NULL,
     set_scale, NULL},
    {"score_scale", "square of their scale", FIX_PLAIN, T(CONTEXT), NULL,
     set_square, NULL},
    {"kv_heads", "in turn", FIX_PLAIN, T(CONTEXT), kv_in_turn, NULL, NULL},
    {"parts", "2 shares (tp) without share 0", FIX_PLAIN, T(ATTN_OUT),
     first_share_missing, NULL, NULL},
    {"weights", "5 with those of 2", FIX_PLAIN, T(EXPERT_UP), of_expert_2, NULL,
     NULL},
    {"input", "computed from layers.0.in", FIX_PLAIN, T(V), from_stream, NULL,
     NULL},
    {"maximum", "zero where it should be negative", FIX_PLAIN, T(EMBED),
     largest, NULL, NULL},
    /* below what bf16 can tell */
    {"eps", "eps 0.001 instead of 1e-05", FIX_PLAIN, T(ATTN_NORM), NULL,
     set_eps, NULL},
    /* neither where all values have few bits */
    {"rounded", "rounded to 8 bits (bf16)", FIX_PLAIN, T(ROUTER_LOGITS),
     rounded, NULL, NULL},
    {"truncated", "cut off to 8 bits", FIX_PLAIN, T(ROUTER_LOGITS), cut_off,
     NULL, NULL},
#undef T
};

enum {
    N_PLANT = sizeof plants / sizeof *plants,
    N_IN_EXACT = N_PLANT - 2,
    N_IN_BF16 = N_PLANT - 3
};

static void plant(const struct plant *p)
{
    open_tap(p->model, p->tap);
    if (p->set != NULL)
        spoil_by_setting(p->set);
    else
        p->spoil();
    const core_grid grid = core_tap_grid(p->tap.kind);
    if (grid != CORE_GRID_INT)
        core_store(numerics, grid, found, n_row * n_col);
}

START_TEST(a_plant_is_named_and_nothing_else)
{
    const struct plant *p = &plants[_i];
    plant(p);
    const har_diagnosis d = diagnose();
    ck_assert_msg(d.n > 0, "%s, %s: no diagnosis", p->signature, p->text);
    bool seen = false;
    for (int i = 0; i < d.n; i++) {
        const char *name = har_signature_name(d.likeness[i].signature);
        ck_assert(d.likeness[i].explained > 0.99);
        if (strcmp(name, p->signature) == 0 &&
            strstr(d.likeness[i].text, p->text) != NULL)
            seen = true;
        else
            ck_assert_msg(p->also != NULL && strcmp(name, p->also) == 0,
                          "%s, %s: also %s, %s", p->signature, p->text, name,
                          d.likeness[i].text);
    }
    ck_assert_msg(seen, "%s: expected '%s', found '%s'", p->signature, p->text,
                  d.likeness[0].text);
    close_tap();
}
END_TEST

/* A tenth of the difference, in the mean square, that nothing explains. */
START_TEST(a_plant_under_noise_has_no_diagnosis)
{
    const struct plant *p = &plants[_i];
    plant(p);
    double difference = 0.0;
    for (int64_t i = 0; i < n_row * n_col; i++)
        if (isfinite(found[i]))
            difference += pow(found[i] - expected[i], 2);
    double size = sqrt(0.1 * difference / (double)(n_row * n_col));
    if (strcmp(p->signature, "nonfinite") == 0)
        size = 0.1;
    if (core_tap_grid(p->tap.kind) == CORE_GRID_INT)
        size = 2.0;
    uint64_t state = 1;
    for (int64_t i = 0; i < n_row * n_col; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        const double u = (double)(state >> 11) * 0x1p-53 * 2.0 - 1.0;
        found[i] += core_tap_grid(p->tap.kind) == CORE_GRID_INT
                        ? floor(2.0 * size * u)
                        : sqrt(3.0) * size * u;
    }
    const har_diagnosis d = diagnose();
    ck_assert_msg(d.n == 0, "%s, %s under noise: %s", p->signature, p->text,
                  d.likeness[0].text);
    close_tap();
}
END_TEST

START_TEST(no_difference_has_no_diagnosis)
{
    open_tap(FIX_PLAIN, plants[_i].tap);
    ck_assert_int_eq(diagnose().n, 0);
    close_tap();
}
END_TEST

static void in_fp32(void)
{
    numerics = CORE_FP32;
}
static void in_exact(void)
{
    numerics = CORE_EXACT;
}
static void in_bf16(void)
{
    numerics = CORE_BF16;
}

static void add_case(Suite *suite, const char *name, void (*choose)(void),
                     int n)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, choose, NULL);
    tcase_add_loop_test(tc, a_plant_is_named_and_nothing_else, 0, n);
    tcase_add_loop_test(tc, a_plant_under_noise_has_no_diagnosis, 0, n);
    tcase_add_loop_test(tc, no_difference_has_no_diagnosis, 0, n);
    suite_add_tcase(suite, tc);
}

int main(void)
{
    Suite *suite = suite_create("har_diagnose");
    add_case(suite, "fp32", in_fp32, N_PLANT);
    add_case(suite, "exact", in_exact, N_IN_EXACT);
    add_case(suite, "bf16", in_bf16, N_IN_BF16);
    return check_main(suite);
}
