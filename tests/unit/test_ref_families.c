/* test_ref_families.c -- whole passes of every family's operators.
 *
 * What holds for every model: all taps come, in order, on their grids; no cut
 * and no thread changes a bit; nobody sees a later token or another row.  Then
 * who sees whom, where that is not as usual. */
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 64 };

START_TEST(all_taps_come_in_order_and_on_their_grid)
{
    const core_spec spec = fix_family(_i);
    core_batch batch = fix_batch(&spec, 2, 9);
    const fix_run how = {.numerics = CORE_EXACT};
    fix_taps taps = {0};
    char name[CORE_NAME_BYTES];
    const ref_stats stats = fix_forward(&spec, &batch, &how, &taps);
    ck_assert_msg(stats.exact, "%s", stats.not_exact);
    for (int64_t i = 0; i < taps.n; i++) {
        const core_grid grid = core_tap_grid(taps.tap[i].kind);
        core_tap_name(taps.tap[i], name);
        ck_assert_msg(taps.values[i] != NULL, "%s was not delivered", name);
        int64_t n_zero = 0;
        for (int64_t j = 0; j < fix_size(&taps, i); j++) {
            double stored = taps.values[i][j];
            if (grid != CORE_GRID_INT)
                core_store(CORE_EXACT, grid, &stored, 1);
            ck_assert_msg(taps.values[i][j] == stored, "%s", name);
            n_zero += stored == 0.0 ? 1 : 0;
        }
        const bool is_cut = spec.act == CORE_ACT_RELU2 &&
                            (taps.tap[i].kind == CORE_TAP_EXPERT_ACT ||
                             taps.tap[i].kind == CORE_TAP_MLP_ACT);
        ck_assert_msg(grid == CORE_GRID_INT || is_cut ||
                          2 * n_zero < fix_size(&taps, i),
                      "%s is mostly zero", name);
    }
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

/* Loops over families and, for a family, over numerics. */
START_TEST(threads_and_tiles_change_nothing)
{
    const core_spec spec = fix_family(_i / CORE_N_PLAIN_NUMERICS);
    core_batch batch = fix_batch(&spec, 3, 11);
    char name[CORE_NAME_BYTES];
    const fix_run one = {.numerics = core_numerics_plain(_i % CORE_N_PLAIN_NUMERICS),
                         .row_chunk = 4,
                         .tile_rows = 5,
                         .group_doubles = 22 * 8};
    fix_run other = one;
    other.n_threads = 3;
    other.tiled = true;
    if (one.numerics == CORE_EXACT) { /* there no cut changes a bit either */
        other.row_chunk = 7;
        other.tile_rows = 3;
        other.group_doubles = 1 << 20;
    }
    fix_taps a = {0}, b = {0};
    const ref_stats sa = fix_forward(&spec, &batch, &one, &a);
    const ref_stats sb = fix_forward(&spec, &batch, &other, &b);
    const char *differs = fix_first_difference(&a, &b, name);
    ck_assert_msg(differs == NULL, "%s differs", differs);
    ck_assert(sa.gemm_flops == sb.gemm_flops && sa.gemm_flops > 0.0);
    fix_free(&a);
    fix_free(&b);
    core_batch_free(&batch);
}
END_TEST

START_TEST(a_later_token_changes_no_earlier_output)
{
    const core_spec spec = fix_family(_i);
    fix_is_causal(&spec, 12, 7, 2);
}
END_TEST

START_TEST(rows_of_a_batch_are_independent)
{
    const core_spec spec = fix_family(_i);
    fix_rows_are_independent(&spec);
}
END_TEST

/* A pass takes exactly what measuring it said, weights read or resident. */
START_TEST(the_workspace_is_what_was_measured)
{
    const core_spec spec = fix_family(_i);
    core_batch batch = fix_batch(&spec, 2, 9);
    core_weights *weights;
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 0), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_FP32, NULL), CORE_OK);
    for (int bounds = 0; bounds < 2; bounds++) {
        const ref_options options = {.n_threads = 2, .bounds = bounds == 1};
        ref_model *model;
        ck_assert_int_eq(
            ref_model_open(&model, &spec, weights, CORE_FP32, &options),
            CORE_OK);
        fix_taps taps = {0};
        const core_tap_sink sink = fix_sink(&taps, &spec, 18);
        ck_assert_int_eq(ref_forward(model, &batch, NULL, &sink, NULL),
                         CORE_OK);
        ck_assert_uint_gt(model->work.peak_bytes, 0);
        ck_assert_uint_eq(model->work.peak_bytes, model->work.size_bytes);
        fix_free(&taps);
        ref_model_close(model);
    }
    core_weights_close(weights);
    core_batch_free(&batch);
}
END_TEST

/* ---- who sees whom ------------------------------------------------------- */

/* For every query: does its context change with token `changed`? */
static void context_changes(const core_spec *spec, int layer, int64_t n_t,
                            int64_t changed, bool *changes)
{
    fix_taps a = {0}, b = {0};
    fix_changed_token(spec, n_t, changed, &a, &b);
    for (int64_t t = 0; t < n_t; t++)
        changes[t] = fix_row_differs(&a, &b, CORE_TAP_CONTEXT, layer, t);
    fix_free(&a);
    fix_free(&b);
}

START_TEST(a_chunk_sees_itself_only)
{
    enum { T = 15, CHANGED = 5 }; /* chunks of 4: 4..7 */
    core_spec spec = fix_family(FIX_CHUNK);
    spec.n_l = 1;
    bool changes[T];
    context_changes(&spec, 0, T, CHANGED, changes);
    for (int64_t t = 0; t < T; t++)
        ck_assert(changes[t] == (t >= CHANGED && t < 8));
}
END_TEST

START_TEST(a_span_of_all_ignores_the_window)
{
    enum { T = 12, CHANGED = 2 };
    core_spec spec = fix_family(FIX_NORM_HEAD);
    spec.n_l = 1;
    bool changes[T];
    context_changes(&spec, 0, T, CHANGED, changes);
    for (int64_t t = 0; t < T; t++)
        ck_assert(changes[t] == (t >= CHANGED && t < CHANGED + 4));
    spec.span[0] = CORE_SPAN_FULL;
    context_changes(&spec, 0, T, CHANGED, changes);
    for (int64_t t = 0; t < T; t++)
        ck_assert(changes[t] == (t >= CHANGED));
}
END_TEST

/* Chunks that begin inside a block of queries, more than one block of them. */
START_TEST(a_long_row_of_chunks_begins_like_a_short_one)
{
    enum { LONG = 300, SHORT = 50 };
    core_spec spec = fix_family(FIX_CHUNK);
    spec.chunk = 100;
    fix_taps a = {0};
    fix_begins_like(&spec, LONG, SHORT, &a);
    /* the first token of a chunk sees itself only */
    const double *v = fix_find(&a, CORE_TAP_V, 0);
    const double *o = fix_find(&a, CORE_TAP_CONTEXT, 0);
    const int64_t n_dh = spec.n_dh, ld_v = spec.n_g * n_dh;
    for (int64_t d = 0; d < n_dh; d++)
        ck_assert_double_eq(o[200 * spec.n_h * n_dh + d], v[200 * ld_v + d]);
    fix_free(&a);
}
END_TEST

/* Padded queries without keys: uniform over the row, or nothing with a sink. */
START_TEST(a_sink_takes_all_of_a_query_without_keys)
{
    enum { T = 6 };
    core_spec spec = fix_family(FIX_NORM_ALL);
    spec.sinks = _i == 1;
    core_batch batch = fix_batch(&spec, 1, T);
    const uint8_t mask[T] = {0, 0, 1, 1, 1, 1};
    batch.mask = mask;
    const fix_run how = {.numerics = CORE_FP64};
    fix_taps taps = {0};
    fix_forward(&spec, &batch, &how, &taps);
    const double *v = fix_find(&taps, CORE_TAP_V, 0);
    const double *o = fix_find(&taps, CORE_TAP_CONTEXT, 0);
    const int64_t ld_v = spec.n_g * spec.n_dh;
    for (int64_t d = 0; d < spec.n_dh; d++) {
        double mean = 0.0;
        for (int64_t j = 0; j < T; j++)
            mean += v[j * ld_v + d] / T;
        ck_assert(fabs(o[d] - (spec.sinks ? 0.0 : mean)) <= 1e-14);
        /* the first real token: all of itself, or what the sink leaves */
        const double own = v[2 * ld_v + d],
                     got = o[2 * spec.n_h * spec.n_dh + d];
        ck_assert(spec.sinks ? fabs(got) < fabs(own)
                             : fabs(got - own) <= 1e-14);
    }
    fix_free(&taps);
    batch.mask = NULL;
    core_batch_free(&batch);
}
END_TEST

/* ---- what a layer without an operator does not have ---------------------- */

START_TEST(tempered_queries_are_those_of_layers_without_rope)
{
    const core_spec spec = fix_family(FIX_CHUNK);
    core_batch batch = fix_batch(&spec, 2, 7);
    const fix_run how = {.numerics = CORE_FP64};
    fix_taps taps = {0};
    fix_forward(&spec, &batch, &how, &taps);
    const double *q = fix_find(&taps, CORE_TAP_Q, 1);
    const double *tempered = fix_find(&taps, CORE_TAP_Q_TEMPER, 1);
    const int64_t width = spec.n_h * spec.n_dh;
    for (int64_t t = 0; t < 14; t++)
        for (int64_t d = 0; d < width; d++) {
            /* positions 0 1 | 2 3 4 | 5 6 of each row: floor 0, 1, 2 */
            const int64_t position = t % 7;
            const double steps = position < 2 ? 0.0 : position < 5 ? 1.0 : 2.0;
            const double want =
                q[t * width + d] * (1.0 + 0.3 * log(1.0 + steps));
            ck_assert(fabs(tempered[t * width + d] - want) <=
                      1e-15 * (1.0 + fabs(want)));
        }
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

/* ffn_out of a weighted input is the plain sum of what the experts gave. */
START_TEST(a_weighted_input_is_not_weighted_again)
{
    const core_spec spec = fix_family(FIX_CHUNK);
    core_batch batch = fix_batch(&spec, 1, 9);
    const fix_run how = {.numerics = CORE_EXACT};
    fix_taps taps = {0};
    fix_forward(&spec, &batch, &how, &taps);
    const double *xn = fix_find(&taps, CORE_TAP_FFN_NORM, 0);
    const double *w = fix_find(&taps, CORE_TAP_TOPK_WEIGHT, 0);
    const double *x = fix_find(&taps, CORE_TAP_RECV, 0);
    const double *y = fix_find(&taps, CORE_TAP_BACK, 0);
    const double *out = fix_find(&taps, CORE_TAP_COMBINE, 0);
    for (int64_t t = 0; t < 9; t++)
        for (int64_t d = 0; d < spec.n_d; d++) {
            double sum = 0.0;
            for (int64_t c = t * spec.n_k; c < (t + 1) * spec.n_k; c++) {
                double want = w[c] * xn[t * spec.n_d + d];
                core_store(CORE_EXACT, CORE_GRID_ACT, &want, 1);
                ck_assert_double_eq(x[c * spec.n_d + d], want);
                sum += y[c * spec.n_d + d];
            }
            ck_assert_double_eq(out[t * spec.n_d + d], sum);
        }
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

/* Only logits know of the divisor, and it divides: to the last bit. */
START_TEST(logits_are_divided_and_nothing_else)
{
    core_spec spec = fix_family(FIX_SCALES);
    core_batch batch = fix_batch(&spec, 2, 9);
    const fix_run how = {.numerics = CORE_FP64};
    fix_taps a = {0}, b = {0};
    fix_forward(&spec, &batch, &how, &a);
    const double divisor = spec.logits_divisor;
    spec.logits_divisor = 1.0;
    fix_forward(&spec, &batch, &how, &b);
    const double *divided = fix_find(&a, CORE_TAP_LOGITS, 0);
    const double *whole = fix_find(&b, CORE_TAP_LOGITS, 0);
    for (int64_t i = 0; i < 18 * spec.n_v; i++)
        ck_assert_double_eq(divided[i], whole[i] / divisor);
    char name[CORE_NAME_BYTES];
    ck_assert_str_eq(fix_first_difference(&a, &b, name), "logits");
    fix_free(&a);
    fix_free(&b);
    core_batch_free(&batch);
}
END_TEST

/* The state starts each position from its stored value, each row from 0. */
START_TEST(a_state_is_stored_at_every_position)
{
    enum { B = 2, T = 9, S = 5 };
    const core_spec spec = fix_family(FIX_MAMBA);
    const core_mamba *m = &spec.mamba;
    core_batch batch = fix_batch(&spec, B, T);
    const fix_run how = {.numerics = CORE_EXACT};
    fix_taps taps = {0};
    fix_forward(&spec, &batch, &how, &taps);
    core_weights *weights;
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 0), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_EXACT, NULL), CORE_OK);
    const double *a = fix_find(&taps, CORE_TAP_MAMBA_ACT, 2);
    const double *dt = fix_find(&taps, CORE_TAP_MAMBA_DT, 2);
    const double *b = fix_find(&taps, CORE_TAP_MAMBA_B, 2);
    const double *c = fix_find(&taps, CORE_TAP_MAMBA_C, 2);
    const double *y = fix_find(&taps, CORE_TAP_MAMBA_Y, 2);
    for (int64_t i = 0; i < m->n_c; i++) {
        double a_log[S], skip, h[S];
        core_weights_read(weights, (core_weight){CORE_W_MAMBA_A_LOG, 2, 0}, i,
                          i + 1, 0, S, a_log, S);
        core_weights_read(weights, (core_weight){CORE_W_MAMBA_D, 2, 0}, 0, 1, i,
                          i + 1, &skip, 1);
        for (int64_t t = 0; t < B * T; t++) {
            const int64_t at = t * m->n_c + i;
            double sum = skip * a[at];
            for (int64_t s = 0; s < S; s++) {
                const double decay = exp(-exp(a_log[s]) * dt[at]);
                h[s] = (t % T == 0 ? 0.0 : decay * h[s]) +
                       (dt[at] * b[t * S + s]) * a[at];
                h[s] = rint(h[s] / CORE_STEP_ACT) * CORE_STEP_ACT;
                sum += h[s] * c[t * S + s];
            }
            ck_assert_double_eq(y[at],
                                rint(sum / CORE_STEP_ACT) * CORE_STEP_ACT);
        }
    }
    core_weights_close(weights);
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

static double on_grid(double x)
{
    return rint(x / CORE_STEP_PROB) * CORE_STEP_PROB;
}

static const fix_family_kind DELTA_NETS[] = {FIX_DELTANET, FIX_KDA,
                                             FIX_KDA_BOUNDED};

/* A delta net's state is stored after it decayed and after it was corrected. */
START_TEST(a_matrix_state_is_stored_twice_at_every_position)
{
    enum { B = 2, T = 9, SK = 5 };
    const core_spec spec = fix_family(DELTA_NETS[_i]);
    const core_deltanet *n = &spec.deltanet;
    const int64_t n_v = n->n_vh * n->n_dv;
    core_batch batch = fix_batch(&spec, B, T);
    const fix_run how = {.numerics = CORE_EXACT};
    fix_taps taps = {0};
    fix_forward(&spec, &batch, &how, &taps);
    core_weights *weights;
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 0), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_EXACT, NULL), CORE_OK);
    const double *q = fix_find(&taps, CORE_TAP_DELTANET_Q_NORM, 2);
    const double *k = fix_find(&taps, CORE_TAP_DELTANET_K_NORM, 2);
    const double *v = fix_find(&taps, CORE_TAP_DELTANET_V_ACT, 2);
    const double *beta = fix_find(&taps, CORE_TAP_DELTANET_BETA, 2);
    const double *dt = fix_find(&taps, CORE_TAP_DELTANET_DT, 2);
    const double *y = fix_find(&taps, CORE_TAP_DELTANET_Y, 2);
    for (int64_t c = 0; c < n_v; c++) {
        const int64_t h = c / n->n_dv, g = h / 2; /* a key head serves two */
        double a_log, s[SK];
        core_weights_read(weights, (core_weight){CORE_W_DELTANET_A_LOG, 2, 0},
                          0, 1, h, h + 1, &a_log, 1);
        for (int64_t t = 0; t < B * T; t++) {
            const double *q_t = q + (t * n->n_kh + g) * SK;
            const double *k_t = k + (t * n->n_kh + g) * SK;
            double found = 0.0, sum = 0.0;
            for (int64_t i = 0; i < SK; i++) {
                const int64_t head = t * n->n_vh + h;
                const double step = dt[n->by_row ? head * SK + i : head];
                const double kept =
                    exp((n->floor < 0.0 ? n->floor : -exp(a_log)) * step) * s[i];
                s[i] = t % T == 0 ? 0.0 : on_grid(kept);
                found += k_t[i] * s[i];
            }
            const double d = beta[t * n->n_vh + h] * (v[t * n_v + c] - found);
            for (int64_t i = 0; i < SK; i++) {
                s[i] = on_grid(s[i] + k_t[i] * d);
                sum += q_t[i] * s[i];
            }
            ck_assert_double_eq(y[t * n_v + c], on_grid(sum / sqrt(SK)));
        }
    }
    core_weights_close(weights);
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

/* The same of heads; after the row's end nothing of it is left. */
START_TEST(a_state_of_heads_is_stored_at_every_position)
{
    enum { B = 2, T = 9, S = 5, P = 4, HEADS = 12, N_C = HEADS * P };
    const core_spec spec = fix_family(FIX_SSD);
    core_batch batch = fix_batch(&spec, B, T);
    const fix_run how = {.numerics = CORE_EXACT};
    fix_taps taps = {0};
    fix_forward(&spec, &batch, &how, &taps);
    core_weights *weights;
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 0), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_EXACT, NULL), CORE_OK);
    const int64_t n_xbc =
        core_tap_cols(&spec, (core_tap){CORE_TAP_SSD_ACT, 2});
    const double *dt = fix_find(&taps, CORE_TAP_SSD_DT, 2);
    const double *y = fix_find(&taps, CORE_TAP_SSD_Y, 2);
    double a_log[HEADS], skip[HEADS], h[S];
    core_weights_read(weights, (core_weight){CORE_W_SSD_A_LOG, 2, 0}, 0, 1, 0,
                      HEADS, a_log, HEADS);
    core_weights_read(weights, (core_weight){CORE_W_SSD_D, 2, 0}, 0, 1, 0,
                      HEADS, skip, HEADS);
    for (int64_t i = 0; i < N_C; i++) {
        const int64_t head = i / P, group = head / 2;
        for (int64_t t = 0; t < B * T; t++) {
            const double *x = fix_find(&taps, CORE_TAP_SSD_ACT, 2) + t * n_xbc;
            const double *b = x + N_C + group * S, *c = b + 6 * S;
            const double step = dt[t * HEADS + head];
            double sum = skip[head] * x[i];
            for (int64_t s = 0; s < S; s++) {
                const double decay = exp(-exp(a_log[head]) * step);
                h[s] = (t % T == 0 ? 0.0 : decay * h[s]) + (step * b[s]) * x[i];
                h[s] = rint(h[s] / CORE_STEP_PROB) * CORE_STEP_PROB;
                sum += h[s] * c[s];
            }
            ck_assert_double_eq(y[t * N_C + i],
                                rint(sum / CORE_STEP_ACT) * CORE_STEP_ACT);
        }
    }
    core_weights_close(weights);
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

/* D times the sum of squares is what a layernorm needs to be exact: over 70
 * bits for an embedding of 2^20, some 32 for one of order 1. */
START_TEST(a_layernorm_that_does_not_fit_is_named)
{
    core_spec spec = fix_family(FIX_LAYERNORM);
    core_batch batch = fix_batch(&spec, 1, 4);
    const fix_run how = {.numerics = CORE_EXACT};
    fix_taps taps = {0};
    spec.embed_scale = _i == 0 ? 1.0 : 0x1p20;
    const ref_stats stats = fix_forward(&spec, &batch, &how, &taps);
    ck_assert(stats.exact == (_i == 0));
    if (_i == 1)
        ck_assert_ptr_nonnull(strstr(stats.not_exact, "layers.0.attn.norm: "));
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref_families");
    TCase *every = tcase_create("every family");
    const int n = FIX_N_FAMILIES;
    tcase_set_timeout(every, 60.0);
    tcase_add_loop_test(every, all_taps_come_in_order_and_on_their_grid, 0, n);
    tcase_add_loop_test(every, threads_and_tiles_change_nothing, 0,
                        n * CORE_N_PLAIN_NUMERICS);
    tcase_add_loop_test(every, a_later_token_changes_no_earlier_output, 0, n);
    tcase_add_loop_test(every, rows_of_a_batch_are_independent, 0, n);
    tcase_add_loop_test(every, the_workspace_is_what_was_measured, 0, n);
    suite_add_tcase(suite, every);
    TCase *seen = tcase_create("who sees whom");
    tcase_set_timeout(seen, 60.0);
    tcase_add_test(seen, a_chunk_sees_itself_only);
    tcase_add_test(seen, a_span_of_all_ignores_the_window);
    tcase_add_test(seen, a_long_row_of_chunks_begins_like_a_short_one);
    tcase_add_loop_test(seen, a_sink_takes_all_of_a_query_without_keys, 0, 2);
    suite_add_tcase(suite, seen);
    TCase *weights = tcase_create("factors");
    tcase_add_test(weights, tempered_queries_are_those_of_layers_without_rope);
    tcase_add_test(weights, a_weighted_input_is_not_weighted_again);
    tcase_add_test(weights, logits_are_divided_and_nothing_else);
    tcase_add_test(weights, a_state_is_stored_at_every_position);
    tcase_add_loop_test(weights, a_matrix_state_is_stored_twice_at_every_position,
                        0, 3);
    tcase_add_test(weights, a_state_of_heads_is_stored_at_every_position);
    tcase_add_loop_test(weights, a_layernorm_that_does_not_fit_is_named, 0, 2);
    suite_add_tcase(suite, weights);
    return check_main(suite);
}
