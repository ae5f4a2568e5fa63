/* test_ref_forward.c -- properties of whole passes that need no other witness:
 * what must not change a bit, what must, and bounds that hold and bite. */
#include "core/model/elementary.h"
#include "core/blas/blas.h"
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 64 };

/* Run twice and expect every tap equal. */
static void same(const core_spec *spec, const core_batch *batch,
                 const fix_run *one, const fix_run *two)
{
    char name[CORE_NAME_BYTES];
    fix_taps a = {0}, b = {0};
    const ref_stats sa = fix_forward(spec, batch, one, &a);
    const ref_stats sb = fix_forward(spec, batch, two, &b);
    const char *differs = fix_first_difference(&a, &b, name);
    ck_assert_msg(differs == NULL, "%s differs", differs);
    ck_assert(sa.gemm_flops == sb.gemm_flops && sa.gemm_flops > 0.0);
    if (one->numerics == CORE_EXACT)
        ck_assert_msg(sa.exact && sb.exact, "%s", sa.not_exact);
    fix_free(&a);
    fix_free(&b);
}

START_TEST(threads_change_nothing)
{
    const core_spec spec = fix_spec();
    core_batch batch = fix_batch(&spec, 3, 11);
    const fix_run one = {
        .numerics = core_numerics_plain(_i), .row_chunk = 4, .tile_rows = 5};
    fix_run two = one;
    two.n_threads = 2;
    same(&spec, &batch, &one, &two);
    two.n_threads = 3;
    same(&spec, &batch, &one, &two);
    core_batch_free(&batch);
}
END_TEST

START_TEST(the_threads_of_others_come_back)
{
    const core_spec spec = fix_spec();
    core_batch batch = fix_batch(&spec, 1, 3);
    const fix_run run = {.numerics = CORE_FP64, .n_threads = 1};
    fix_taps taps = {0};
    const int n = omp_get_num_procs() > 1 ? 2 : 1;
    (void)core_blas_set_threads(n);
    fix_forward(&spec, &batch, &run, &taps);
    ck_assert_int_eq(omp_get_max_threads(), n);
    ck_assert_int_eq(core_blas_used_threads(), n);
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

START_TEST(reading_by_tiles_changes_nothing)
{
    const core_spec spec = fix_spec();
    core_batch batch = fix_batch(&spec, 3, 11);
    const fix_run resident = {.numerics = core_numerics_plain(_i),
                              .tile_rows = 5,
                              .row_chunk = 4,
                              .group_doubles = 22 * 8};
    fix_run tiled = resident;
    tiled.tiled = true;
    tiled.n_threads = 2;
    same(&spec, &batch, &resident, &tiled);
    core_batch_free(&batch);
}
END_TEST

START_TEST(no_cut_changes_a_bit_in_exact_mode)
{
    static const int64_t cut[][3] = {
        {1, 1, 1}, {3, 5, 22 * 6}, {7, 2, 22 * 14}, {512, 4, 1 << 20}};
    const core_spec spec = fix_spec();
    core_batch batch = fix_batch(&spec, 3, 11);
    const fix_run plain = {.numerics = CORE_EXACT};
    const fix_run other = {.numerics = CORE_EXACT,
                           .row_chunk = cut[_i][0],
                           .tile_rows = cut[_i][1],
                           .group_doubles = cut[_i][2]};
    same(&spec, &batch, &plain, &other);
    core_batch_free(&batch);
}
END_TEST

/* Weights whose rows would lie whole pages apart are stored with a gap. */
START_TEST(a_row_of_a_page_is_multiplied_as_any)
{
    core_spec spec = fix_spec();
    spec.n_d = 512;
    spec.bias_router = false;
    core_batch batch = fix_batch(&spec, 1, 3);
    fix_taps taps = {0};
    fix_forward(&spec, &batch,
                &(fix_run){.numerics = CORE_FP64, .tiled = _i == 1}, &taps);
    core_weights *weights;
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 0), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_FP64, NULL), CORE_OK);
    double w[512];
    const core_weight router = {CORE_W_ROUTER, 0, 0};
    for (int64_t e = 0; e < spec.n_e; e++) {
        core_weights_read(weights, router, e, e + 1, 0, 512, w, 512);
        for (int64_t t = 0; t < 3; t++) {
            const double *x =
                fix_find(&taps, CORE_TAP_FFN_NORM, 0) + t * spec.n_d;
            double sum = 0.0;
            for (int64_t d = 0; d < spec.n_d; d++)
                sum += x[d] * w[d];
            const double *logits = fix_find(&taps, CORE_TAP_ROUTER_LOGITS, 0);
            ck_assert(fabs(logits[t * spec.n_e + e] - sum) <=
                      1e-12 * (1.0 + fabs(sum)));
        }
    }
    core_weights_close(weights);
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

START_TEST(rows_of_a_batch_are_independent)
{
    const core_spec spec = fix_spec();
    fix_rows_are_independent(&spec);
}
END_TEST

START_TEST(a_later_token_changes_no_earlier_output)
{
    const core_spec spec = fix_spec();
    fix_is_causal(&spec, 12, 8, 4); /* but every later one */
}
END_TEST

START_TEST(a_window_holds_w_keys_and_the_query_is_one)
{
    enum { T = 9, W = 4 };
    core_spec spec = fix_spec();
    spec.n_l = 1;
    spec.sliding_window = W;
    fix_taps a = {0}, b = {0};
    fix_changed_token(&spec, T, 2, &a, &b);
    for (int64_t t = 0; t < T; t++)
        ck_assert(fix_row_differs(&a, &b, CORE_TAP_CONTEXT, 0, t) ==
                  (t >= 2 && t < 2 + W));
    fix_free(&a);
    fix_free(&b);
}
END_TEST

/* More than one block of queries must be the same as one. */
START_TEST(a_long_row_begins_like_a_short_one)
{
    enum { LONG = 300, SHORT = 40 };
    core_spec spec = fix_spec();
    spec.sliding_window = 3 * _i; /* 0: all keys */
    fix_taps a = {0};
    fix_begins_like(&spec, LONG, SHORT, &a);
    fix_free(&a);
}
END_TEST

START_TEST(a_query_without_keys_attends_to_all_of_its_row)
{
    enum { T = 6 };
    core_spec spec = fix_spec();
    core_batch batch = fix_batch(&spec, 2, T);
    const uint8_t mask[2 * T] = {1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1};
    batch.mask = mask;
    const fix_run how = {.numerics = CORE_FP64};
    fix_taps taps = {0};
    fix_forward(&spec, &batch, &how, &taps);
    const double *v = fix_find(&taps, CORE_TAP_V, 0);
    const double *o = fix_find(&taps, CORE_TAP_CONTEXT, 0);
    const int64_t n_dh = spec.n_dh, ld_v = spec.n_g * n_dh;
    const int64_t ld_o = spec.n_h * n_dh;
    for (int64_t h = 0; h < spec.n_h; h++)
        for (int64_t d = 0; d < n_dh; d++) {
            const int64_t g = h * spec.n_g / spec.n_h;
            double mean = 0.0;
            for (int64_t j = T; j < 2 * T; j++)
                mean += v[j * ld_v + g * n_dh + d] / T;
            const int64_t at = h * n_dh + d;
            ck_assert(fabs(o[T * ld_o + at] - mean) <= 1e-13);
            ck_assert(fabs(o[(T + 1) * ld_o + at] - mean) <= 1e-13);
            /* the first real token sees itself only, not the padding */
            ck_assert(fabs(o[(T + 2) * ld_o + at] -
                           v[(T + 2) * ld_v + g * n_dh + d]) <= 1e-13);
        }
    fix_free(&taps);
    batch.mask = NULL;
    core_batch_free(&batch);
}
END_TEST

/* ---- routing ------------------------------------------------------------- */

static void swap_tensors(ref_model *m, core_weight a, core_weight b)
{
    double **x = &m->tensor[core_weight_index(m->spec, a)];
    double **y = &m->tensor[core_weight_index(m->spec, b)];
    double *t = *x;
    *x = *y;
    *y = t;
}

/* Exchange experts e and f of layer 0, weights and router rows. */
static void relabel(ref_model *m, int e, int f)
{
    const core_weight_kind kind[] = {CORE_W_EXPERT_GATE, CORE_W_EXPERT_UP,
                                     CORE_W_EXPERT_DOWN};
    for (int i = 0; i < 3; i++)
        swap_tensors(m, (core_weight){kind[i], 0, e},
                     (core_weight){kind[i], 0, f});
    const core_weight router = {CORE_W_ROUTER, 0, 0};
    double *w = m->tensor[core_weight_index(m->spec, router)];
    const int64_t stride = ref__row_stride(m->spec->n_d);
    for (int64_t d = 0; d < m->spec->n_d; d++) {
        const double t = w[e * stride + d];
        w[e * stride + d] = w[f * stride + d];
        w[f * stride + d] = t;
    }
}

START_TEST(relabelled_experts_give_the_same_layer)
{
    core_spec spec = fix_spec();
    spec.bias_router = spec.bias_ffn = false;
    core_batch batch = fix_batch(&spec, 2, 9);
    core_weights *weights;
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 0), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_FP64, NULL), CORE_OK);
    const ref_options options = {.n_threads = 1,
                                 .weight_budget_bytes = SIZE_MAX};
    ref_model *model;
    ck_assert_int_eq(
        ref_model_open(&model, &spec, weights, CORE_FP64, &options), CORE_OK);
    fix_taps a = {0}, b = {0};
    core_tap_sink sink = fix_sink(&a, &spec, 18);
    ck_assert_int_eq(ref_forward(model, &batch, NULL, &sink, NULL), CORE_OK);
    relabel(model, 1, 4);
    sink = fix_sink(&b, &spec, 18);
    ck_assert_int_eq(ref_forward(model, &batch, NULL, &sink, NULL), CORE_OK);
    const double *ya = fix_find(&a, CORE_TAP_OUT, 0);
    const double *yb = fix_find(&b, CORE_TAP_OUT, 0);
    for (int64_t i = 0; i < 18 * spec.n_d; i++) /* the sum's order changed */
        ck_assert(fabs(ya[i] - yb[i]) <= 1e-13);
    const double *ia = fix_find(&a, CORE_TAP_TOPK_IDX, 0);
    const double *ib = fix_find(&b, CORE_TAP_TOPK_IDX, 0);
    for (int64_t c = 0; c < 18 * spec.n_k; c++) {
        const double want = ia[c] == 1.0 ? 4.0 : ia[c] == 4.0 ? 1.0 : ia[c];
        ck_assert_double_eq(ib[c], want);
    }
    fix_free(&a);
    fix_free(&b);
    ref_model_close(model);
    core_weights_close(weights);
    core_batch_free(&batch);
}
END_TEST

static void expect_tap(const fix_taps *a, const double *want,
                       core_tap_kind kind, int layer, int64_t n)
{
    const double *found = fix_find(a, kind, layer);
    for (int64_t i = 0; i < n; i++)
        ck_assert_double_eq(found[i], want[i]);
}

/* The router's own routing, dealt, changes nothing in its layer. */
START_TEST(dealt_as_the_router_chose)
{
    enum { N = 18, MOST = 8 };
    const core_spec spec = fix_family(_i);
    core_batch batch = fix_batch(&spec, 2, N / 2);
    fix_run how = {.numerics = CORE_EXACT};
    int64_t expert[N * MOST];
    fix_taps a = {0}, b = {0};
    fix_forward(&spec, &batch, &how, &a);
    const double *idx = fix_find(&a, CORE_TAP_TOPK_IDX, 0);
    for (int64_t c = 0; c < N * spec.n_k; c++)
        expert[c] = (int64_t)idx[c];
    const ref_dealt dealt = {expert, fix_find(&a, CORE_TAP_TOPK_WEIGHT, 0)};
    how.dealt = &dealt;
    fix_forward(&spec, &batch, &how, &b);
    for (int64_t i = 0; i < a.n; i++)
        if (a.tap[i].layer == 0 && !core_tap_is_global(a.tap[i].kind))
            expect_tap(&b, a.values[i], a.tap[i].kind, 0, fix_size(&a, i));
    fix_free(&a);
    fix_free(&b);
    core_batch_free(&batch);
}
END_TEST

/* Another one is taken in every layer; slots follow from it. */
START_TEST(dealt_otherwise)
{
    enum { N = 18, MOST = 8 };
    core_spec spec = fix_family(_i);
    spec.capacity = (core_capacity){.rule = CORE_CAPACITY_FACTOR,
                                    .factor = 1.0,
                                    .domain = CORE_DOMAIN_GROUP};
    core_batch batch = fix_batch(&spec, 2, N / 2);
    int64_t expert[N * MOST], n_claim[CORE_MAX_LAYERS] = {0};
    double weight[N * MOST], want_expert[N * MOST], want_slot[N * MOST];
    const int64_t n = N * spec.n_k;
    for (int64_t c = 0; c < n; c++) {
        expert[c] = (c / spec.n_k * 3 + c % spec.n_k) % spec.n_e;
        weight[c] = (double)(1 + c % 5) / 8.0;
        want_expert[c] = (double)expert[c];
        const int64_t slot = n_claim[expert[c]]++;
        want_slot[c] = slot < core_spec_capacity(&spec, N) ? (double)slot : -1;
    }
    const ref_dealt dealt = {expert, weight};
    const fix_run how = {.numerics = CORE_EXACT, .dealt = &dealt};
    fix_taps a = {0};
    fix_forward(&spec, &batch, &how, &a);
    for (int l = 0; l < (int)spec.n_l; l++) {
        if (!core_spec_is_moe(&spec, l))
            continue;
        expect_tap(&a, want_expert, CORE_TAP_TOPK_IDX, l, n);
        expect_tap(&a, weight, CORE_TAP_TOPK_WEIGHT, l, n);
        expect_tap(&a, want_slot, CORE_TAP_SLOT, l, n);
    }
    fix_free(&a);
    core_batch_free(&batch);
}
END_TEST

START_TEST(a_dropped_token_of_a_switch_layer)
{
    const core_dropped rule =
        _i == 0 ? CORE_DROPPED_ZERO : CORE_DROPPED_PASSTHROUGH;
    const core_spec spec = fix_switch(2, rule);
    core_batch batch = fix_batch(&spec, 3, 15);
    const fix_run how = {.numerics = CORE_EXACT};
    fix_taps taps = {0};
    const ref_stats stats = fix_forward(&spec, &batch, &how, &taps);
    ck_assert_msg(stats.exact, "%s", stats.not_exact);
    const double *slot = fix_find(&taps, CORE_TAP_SLOT, 0);
    const double *w = fix_find(&taps, CORE_TAP_TOPK_WEIGHT, 0);
    const double *xn = fix_find(&taps, CORE_TAP_FFN_NORM, 0);
    const double *y = fix_find(&taps, CORE_TAP_EXPERT_OUT, 0);
    const double *out = fix_find(&taps, CORE_TAP_FFN_OUT, 0);
    int n_dropped = 0;
    for (int64_t t = 0; t < 45; t++) {
        const bool dropped = slot[t] < 0.0;
        n_dropped += dropped ? 1 : 0;
        for (int64_t d = 0; d < spec.n_d; d++) {
            const int64_t i = t * spec.n_d + d;
            double want = w[t] * (dropped ? (_i == 0 ? 0.0 : xn[i]) : y[i]);
            core_store(CORE_EXACT, CORE_GRID_ACT, &want, 1);
            ck_assert_double_eq(out[i], want);
            if (dropped)
                ck_assert_double_eq(y[i], 0.0);
        }
    }
    ck_assert_int_gt(n_dropped, 0);
    ck_assert_int_lt(n_dropped, 45);
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

/* ---- taps, statistics ---------------------------------------------------- */

START_TEST(every_value_lies_on_its_grid)
{
    const core_numerics numerics = core_numerics_plain(_i);
    const core_spec spec = fix_spec();
    core_batch batch = fix_batch(&spec, 2, 7);
    const fix_run how = {.numerics = numerics};
    fix_taps taps = {0};
    const ref_stats stats = fix_forward(&spec, &batch, &how, &taps);
    ck_assert(stats.exact == (numerics == CORE_EXACT));
    ck_assert((stats.bits > 20.0) == (numerics == CORE_EXACT));
    for (int64_t i = 0; i < taps.n; i++) {
        ck_assert_ptr_nonnull(taps.values[i]);
        ck_assert_ptr_null(taps.bound[i]);
        const core_grid grid = core_tap_grid(taps.tap[i].kind);
        for (int64_t j = 0; j < fix_size(&taps, i); j++) {
            const double x = taps.values[i][j];
            double stored = x;
            if (grid != CORE_GRID_INT)
                core_store(numerics, grid, &stored, 1);
            ck_assert(x == stored && isfinite(x));
        }
    }
    fix_free(&taps);
    core_batch_free(&batch);
}
END_TEST

START_TEST(a_sink_may_decline_taps)
{
    const core_spec spec = fix_spec();
    core_batch batch = fix_batch(&spec, 2, 7);
    const fix_run how = {.numerics = CORE_EXACT};
    fix_taps all = {0}, coarse = {.coarse_only = true};
    fix_forward(&spec, &batch, &how, &all);
    fix_forward(&spec, &batch, &how, &coarse);
    for (int64_t i = 0; i < all.n; i++) {
        const bool kept = core_tap_is_coarse(all.tap[i].kind);
        ck_assert((coarse.values[i] != NULL) == kept);
        if (kept)
            ck_assert(memcmp(coarse.values[i], all.values[i],
                             (size_t)fix_size(&all, i) * sizeof(double)) == 0);
    }
    fix_free(&all);
    fix_free(&coarse);
    core_batch_free(&batch);
}
END_TEST

START_TEST(a_sum_that_does_not_fit_is_named)
{
    const core_spec spec = fix_switch(3, CORE_DROPPED_ZERO);
    core_batch batch = fix_batch(&spec, 1, 4);
    double *hidden = malloc((size_t)(4 * spec.n_d) * sizeof *hidden);
    for (int64_t i = 0; i < 4 * spec.n_d; i++)
        hidden[i] = batch.hidden[i] * 0x1p20;
    const core_batch large = {.n_b = 1, .n_t = 4, .hidden = hidden};
    const fix_run how = {.numerics = CORE_EXACT};
    fix_taps taps = {0};
    const ref_stats stats = fix_forward(&spec, &large, &how, &taps);
    ck_assert(!stats.exact);
    ck_assert(stats.bits > 53.0);
    ck_assert_ptr_nonnull(strstr(stats.not_exact, "layers.0.ffn.norm: "));
    ck_assert_ptr_nonnull(strstr(stats.not_exact, " bits, 53 allowed"));
    fix_free(&taps);
    free(hidden);
    core_batch_free(&batch);
}
END_TEST

static void note_progress(void *self, double fraction)
{
    double *last = self;
    ck_assert(fraction > *last && fraction <= 1.0);
    *last = fraction;
}

/* Rooms have the rows that there are: what is asked for is what is taken. */
START_TEST(few_tokens_take_little)
{
    const core_spec spec = fix_spec();
    const ref_pass_kind kind = {.n_threads = 1};
    const size_t few = ref_pass_bytes(&spec, CORE_FP64, 1, 4, &kind);
    ck_assert_uint_lt(few, 1 << 20);
    ck_assert_uint_lt(few, ref_pass_bytes(&spec, CORE_FP64, 1, 400, &kind));
}
END_TEST

START_TEST(progress_and_workspace)
{
    const core_spec spec = fix_spec();
    core_batch batch = fix_batch(&spec, 1, 4);
    core_weights *weights;
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 0), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_FP64, NULL), CORE_OK);
    double last = 0.0;
    const ref_options options = {
        .n_threads = 1, .progress = note_progress, .progress_self = &last};
    ref_model *model;
    ck_assert_int_eq(
        ref_model_open(&model, &spec, weights, CORE_FP64, &options), CORE_OK);
    ck_assert_int_eq(ref_forward(model, &batch, NULL, NULL, NULL), CORE_OK);
    ck_assert_double_eq(last, 1.0);
    ck_assert(ref_workspace_bytes(&spec, 1, 400) >
              ref_workspace_bytes(&spec, 1, 4));
    ref_model_close(model);
    ref_model_close(NULL);
    core_weights_close(weights);
    core_batch_free(&batch);
}
END_TEST

/* ---- bounds -------------------------------------------------------------- */

typedef struct bounded {
    core_spec spec;
    core_batch batch;
    fix_taps taps;
    core_weights *weights;
} bounded;

static bounded run_bounded(void)
{
    bounded r = {.spec = fix_spec()};
    r.batch = fix_batch(&r.spec, 2, 9);
    const fix_run how = {.numerics = CORE_FP32, .bounds = true, .n_threads = 2};
    fix_forward(&r.spec, &r.batch, &how, &r.taps);
    ck_assert_int_eq(core_weights_open_procedural(&r.weights, &r.spec, 0),
                     CORE_OK);
    ck_assert_int_eq(core_weights_prepare(r.weights, CORE_FP32, NULL), CORE_OK);
    return r;
}

static void free_bounded(bounded *r)
{
    fix_free(&r->taps);
    core_weights_close(r->weights);
    core_batch_free(&r->batch);
}

START_TEST(bounds_exist_and_transfers_have_none)
{
    bounded r = run_bounded();
    char name[CORE_NAME_BYTES];
    for (int64_t i = 0; i < r.taps.n; i++) {
        const core_tap tap = r.taps.tap[i];
        const float *bound = r.taps.bound[i];
        const bool is_int = core_tap_grid(tap.kind) == CORE_GRID_INT;
        ck_assert((bound == NULL) == is_int);
        const bool transfer = tap.kind == CORE_TAP_IN ||
                              tap.kind == CORE_TAP_RECV ||
                              tap.kind == CORE_TAP_BACK;
        for (int64_t j = 0; !is_int && j < fix_size(&r.taps, i); j++)
            ck_assert_msg(transfer ? bound[j] == 0.0f
                                   : bound[j] > 0.0f && bound[j] < 1e-2f,
                          "%s: bound %g", core_tap_name(tap, name),
                          (double)bound[j]);
    }
    free_bounded(&r);
}
END_TEST

/* y [n, out] = x W^T + b in fp32, backwards; every element within its bound,
 * and some element not within a hundredth of it.                             */
static void check_product(const bounded *r, core_tap_kind x_kind,
                          core_tap_kind y_kind, core_weight_kind w_kind,
                          core_weight_kind b_kind)
{
    const core_weight w_id = {w_kind, 0, 0}, b_id = {b_kind, 0, 0};
    int64_t n_out, n_k;
    core_weight_shape(&r->spec, w_id, &n_out, &n_k);
    double *w = malloc((size_t)(n_out * n_k) * sizeof *w), b[64];
    core_weights_read(r->weights, w_id, 0, n_out, 0, n_k, w, n_k);
    core_weights_read(r->weights, b_id, 0, 1, 0, n_out, b, n_out);
    const double *x = fix_find(&r->taps, x_kind, 0);
    const double *y = fix_find(&r->taps, y_kind, 0);
    const float *bound = fix_bound(&r->taps, y_kind, 0);
    double worst = 0.0;
    for (int64_t t = 0; t < r->taps.n_token; t++)
        for (int64_t j = 0; j < n_out; j++) {
            float sum = (float)b[j];
            for (int64_t k = n_k - 1; k >= 0; k--)
                sum += (float)x[t * n_k + k] * (float)w[j * n_k + k];
            const double error = fabs((double)sum - y[t * n_out + j]);
            worst = fmax(worst, error / (double)bound[t * n_out + j]);
        }
    ck_assert(worst <= 1.0);
    ck_assert(worst > 0.01);
    free(w);
}

START_TEST(products_in_fp32_stay_within_bounds)
{
    bounded r = run_bounded();
    check_product(&r, CORE_TAP_ATTN_NORM, CORE_TAP_Q, CORE_W_Q, CORE_W_Q_BIAS);
    check_product(&r, CORE_TAP_CONTEXT, CORE_TAP_ATTN_OUT, CORE_W_O,
                  CORE_W_O_BIAS);
    check_product(&r, CORE_TAP_FFN_NORM, CORE_TAP_ROUTER_LOGITS, CORE_W_ROUTER,
                  CORE_W_ROUTER_BIAS);
    check_product(&r, CORE_TAP_FFN_NORM, CORE_TAP_MLP_UP, CORE_W_MLP_UP,
                  CORE_W_MLP_UP_BIAS);
    free_bounded(&r);
}
END_TEST

/* One query's context in fp32. */
static void context_fp32(const bounded *r, int64_t t, int64_t h, float *o)
{
    const core_spec *s = &r->spec;
    const int64_t n_t = r->batch.n_t, first = t / n_t * n_t;
    const int64_t g = h * s->n_g / s->n_h, n_dh = s->n_dh;
    const double *q = fix_find(&r->taps, CORE_TAP_Q_ROPE, 0);
    const double *k = fix_find(&r->taps, CORE_TAP_K_ROPE, 0);
    const double *v = fix_find(&r->taps, CORE_TAP_V, 0);
    float e[MAX_TOKENS], max = -1e30f, sum = 0.0f;
    for (int64_t j = first; j <= t; j++) {
        float score = 0.0f;
        for (int64_t d = 0; d < n_dh; d++)
            score += (float)q[(t * s->n_h + h) * n_dh + d] *
                     (float)k[(j * s->n_g + g) * n_dh + d];
        e[j - first] = score * (1.0f / sqrtf((float)n_dh));
        max = fmaxf(max, e[j - first]);
    }
    for (int64_t j = first; j <= t; j++)
        sum += e[j - first] = expf(e[j - first] - max);
    for (int64_t d = 0; d < n_dh; d++) {
        o[d] = 0.0f;
        for (int64_t j = first; j <= t; j++)
            o[d] += e[j - first] / sum * (float)v[(j * s->n_g + g) * n_dh + d];
    }
}

START_TEST(attention_in_fp32_stays_within_bounds)
{
    bounded r = run_bounded();
    const double *y = fix_find(&r.taps, CORE_TAP_CONTEXT, 0);
    const float *bound = fix_bound(&r.taps, CORE_TAP_CONTEXT, 0);
    double worst = 0.0;
    for (int64_t t = 0; t < r.taps.n_token; t++)
        for (int64_t h = 0; h < r.spec.n_h; h++) {
            float o[16];
            context_fp32(&r, t, h, o);
            for (int64_t d = 0; d < r.spec.n_dh; d++) {
                const int64_t i = (t * r.spec.n_h + h) * r.spec.n_dh + d;
                worst =
                    fmax(worst, fabs((double)o[d] - y[i]) / (double)bound[i]);
            }
        }
    ck_assert(worst <= 1.0);
    ck_assert(worst > 0.001);
    free_bounded(&r);
}
END_TEST

START_TEST(activation_in_fp32_stays_within_bounds)
{
    bounded r = run_bounded();
    const double *gate = fix_find(&r.taps, CORE_TAP_MLP_GATE, 0);
    const double *up_v = fix_find(&r.taps, CORE_TAP_MLP_UP, 0);
    const double *a = fix_find(&r.taps, CORE_TAP_MLP_ACT, 0);
    const float *bound = fix_bound(&r.taps, CORE_TAP_MLP_ACT, 0);
    double worst = 0.0;
    for (int64_t i = 0; i < r.taps.n_token * r.spec.n_f_shared; i++) {
        const float z = (float)gate[i];
        const float y = z / (1.0f + expf(-z)) * (float)up_v[i];
        worst = fmax(worst, fabs((double)y - a[i]) / (double)bound[i]);
    }
    ck_assert(worst <= 1.0);
    ck_assert(worst > 0.01);
    free_bounded(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref_forward");
    TCase *cut = tcase_create("what changes no bit");
    tcase_add_loop_test(cut, threads_change_nothing, 0,
                        CORE_N_PLAIN_NUMERICS);
    tcase_add_test(cut, the_threads_of_others_come_back);
    tcase_add_loop_test(cut, reading_by_tiles_changes_nothing, 0,
                        CORE_N_PLAIN_NUMERICS);
    tcase_add_loop_test(cut, no_cut_changes_a_bit_in_exact_mode, 0, 4);
    tcase_add_loop_test(cut, a_row_of_a_page_is_multiplied_as_any, 0, 2);
    suite_add_tcase(suite, cut);
    TCase *attention = tcase_create("who sees whom");
    tcase_add_test(attention, rows_of_a_batch_are_independent);
    tcase_add_test(attention, a_later_token_changes_no_earlier_output);
    tcase_add_test(attention, a_window_holds_w_keys_and_the_query_is_one);
    tcase_add_loop_test(attention, a_long_row_begins_like_a_short_one, 0, 2);
    tcase_add_test(attention, a_query_without_keys_attends_to_all_of_its_row);
    suite_add_tcase(suite, attention);
    TCase *routing = tcase_create("routing");
    tcase_add_test(routing, relabelled_experts_give_the_same_layer);
    tcase_add_loop_test(routing, dealt_as_the_router_chose, 0, FIX_N_FAMILIES);
    tcase_add_loop_test(routing, dealt_otherwise, 0, FIX_N_FAMILIES);
    tcase_add_loop_test(routing, a_dropped_token_of_a_switch_layer, 0, 2);
    suite_add_tcase(suite, routing);
    TCase *taps = tcase_create("taps and statistics");
    tcase_add_loop_test(taps, every_value_lies_on_its_grid, 0,
                        CORE_N_PLAIN_NUMERICS);
    tcase_add_test(taps, a_sink_may_decline_taps);
    tcase_add_test(taps, a_sum_that_does_not_fit_is_named);
    tcase_add_test(taps, few_tokens_take_little);
    tcase_add_test(taps, progress_and_workspace);
    suite_add_tcase(suite, taps);
    TCase *bounds = tcase_create("bounds");
    tcase_add_test(bounds, bounds_exist_and_transfers_have_none);
    tcase_add_test(bounds, products_in_fp32_stay_within_bounds);
    tcase_add_test(bounds, attention_in_fp32_stays_within_bounds);
    tcase_add_test(bounds, activation_in_fp32_stays_within_bounds);
    suite_add_tcase(suite, bounds);
    return check_main(suite);
}
