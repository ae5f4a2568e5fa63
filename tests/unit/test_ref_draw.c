/* tests/unit/test_ref_draw.c -- passes that round as an honest one may.
 *
 * What must hold: every operator that rounds errs, within the bound that is
 * certain; what is forced is the honest pass's, bit for bit, for the operator
 * that reads it; the draw depends on (seed, run) alone; styles differ where
 * they say; the routing is the one handed in.
 */
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_B = 2, N_T = 9, N = N_B * N_T, N_RUN = 16 };

static core_spec spec;
static core_batch batch;
static core_weights *weights;
static ref_model *resident, *tiled; /* weights kept, or read a tile at a time */
static fix_taps honest;

static ref_model *open_model(core_numerics numerics, size_t budget)
{
    ref_model *model;
    const ref_options options = {.n_threads = 1, .weight_budget_bytes = budget};
    ck_assert_int_eq(ref_model_open(&model, &spec, weights, numerics, &options),
                     CORE_OK);
    return model;
}

static void open_honest(core_numerics numerics)
{
    ck_assert_int_eq(core_weights_open_procedural(&weights, &spec, 3), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, numerics, NULL), CORE_OK);
    resident = open_model(numerics, SIZE_MAX);
    tiled = open_model(numerics, 0);
    ck_assert_int_eq(core_batch_make(&batch, &spec, N_B, N_T, 1), CORE_OK);
    const fix_run how = {.numerics = numerics, .bounds = true, .seed = 3};
    fix_forward(&spec, &batch, &how, &honest);
}

static void close_honest(void)
{
    ref_model_close(resident);
    ref_model_close(tiled);
    core_weights_close(weights);
    fix_free(&honest);
    core_batch_free(&batch);
}

static void setup(void)
{
    spec = fix_spec();
    spec.twin_expert = 3; /* exact ties, which any error breaks */
    open_honest(CORE_FP32);
}

/* --- what a draw takes over --- */

/* The ints of the honest pass: the fixture keeps them as doubles. */
static const int64_t *routing(void *self, core_tap tap)
{
    static _Thread_local int64_t ints[N * 8]; /* of the pass that asks */
    const int64_t n_col = core_tap_cols(&spec, tap);
    ck_assert_int_le(n_col, 8);
    const double *v = fix_find(self, tap.kind, tap.layer);
    for (int64_t i = 0; i < N * n_col; i++)
        ints[i] = (int64_t)v[i];
    return ints;
}

static void values(void *self, core_tap tap, int64_t first, int64_t n,
                   double *out)
{
    memcpy(out, fix_find(self, tap.kind, tap.layer) + first,
           (size_t)n * sizeof *out);
}

static ref_draw of_run(uint64_t seed, uint64_t run, ref_forcing forcing)
{
    return (ref_draw){.seed = seed,
                      .run = run,
                      .forcing = forcing,
                      .values = values,
                      .routing = routing,
                      .self = &honest};
}

static void drawn_by(ref_model *model, fix_taps *out, ref_draw draw)
{
    const core_tap_sink sink = fix_sink(out, &spec, N);
    const ref_draws one = {&draw, &sink, 1, 1};
    ck_assert_int_eq(ref_forward_drawn(model, &batch, NULL, &one), CORE_OK);
}

static void drawn(fix_taps *out, ref_draw draw)
{
    drawn_by(resident, out, draw);
}

/* --- the draw --- */

static const struct {
    uint64_t seed, run;
    int n_threads;
    bool is_tiled, same;
} draws[] = {
    {5, 0, 2, false, true},
    {5, 0, 1, true, true},
    {5, 1, 1, false, false},
    {6, 0, 1, false, false},
};

START_TEST(a_draw_depends_on_seed_and_run_alone)
{
    fix_taps a = {0}, b = {0};
    char name[CORE_NAME_BYTES];
    drawn(&a, of_run(5, 0, REF_FREE));
    ref_model *model = draws[_i].is_tiled ? tiled : resident;
    model->options.n_threads = draws[_i].n_threads;
    drawn_by(model, &b, of_run(draws[_i].seed, draws[_i].run, REF_FREE));
    ck_assert((fix_first_difference(&a, &b, name) == NULL) == draws[_i].same);
    fix_free(&a);
    fix_free(&b);
}
END_TEST

/* The budget of the tiled model has no room for a second workspace. */
static const struct {
    int n_beside;
    bool is_tiled;
} besides[] = {{1, false}, {2, false}, {3, false}, {6, false}, {3, true}};

START_TEST(a_draw_is_the_same_whatever_runs_beside_it)
{
    enum { N_PASS = 5 };
    fix_taps alone = {0}, taps[N_PASS];
    ref_draw draw[N_PASS];
    core_tap_sink sink[N_PASS];
    char name[CORE_NAME_BYTES];
    for (int i = 0; i < N_PASS; i++) {
        draw[i] = of_run(5, (uint64_t)i, (ref_forcing)(i % 3));
        taps[i] = (fix_taps){.n = 0};
        sink[i] = fix_sink(&taps[i], &spec, N);
    }
    const ref_draws all = {draw, sink, N_PASS, besides[_i].n_beside};
    ref_model *model = besides[_i].is_tiled ? tiled : resident;
    ck_assert_int_eq(ref_forward_drawn(model, &batch, NULL, &all), CORE_OK);
    for (int i = 0; i < N_PASS; i++) {
        drawn(&alone, draw[i]);
        ck_assert_ptr_null(fix_first_difference(&alone, &taps[i], name));
        fix_free(&alone);
        fix_free(&taps[i]);
    }
}
END_TEST

static double largest_difference(const fix_taps *a, const fix_taps *b)
{
    double largest = 0.0;
    ck_assert_int_eq(a->n, b->n);
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t j = 0; j < fix_size(a, i); j++)
            largest = fmax(largest, fabs(a->values[i][j] - b->values[i][j]));
    return largest;
}

/* Draws of one run are one pass over copies of the batch.  Its products have
 * more rows, which some kernels sum otherwise; an eps of another size moves
 * much more, and what is forced by so much less.                             */
START_TEST(draws_that_take_over_other_taps_are_copies_of_one_pass)
{
    static const struct {
        uint64_t run;
        ref_forcing forcing;
    } cases[] = {{1, REF_FREE},  {1, REF_LAYER}, {1, REF_BLOCK},
                 {2, REF_BLOCK}, {2, REF_FREE},  {3, REF_LAYER}};
    enum { N_DRAW = sizeof cases / sizeof cases[0] };
    core_spec wrong = spec;
    wrong.norm_eps = 0.01;
    fix_taps alone[N_DRAW], taps[N_DRAW];
    ref_draw draw[N_DRAW];
    core_tap_sink sink[N_DRAW];
    for (int i = 0; i < N_DRAW; i++) {
        draw[i] = of_run(5, cases[i].run, cases[i].forcing);
        draw[i].spec = &wrong;
        taps[i] = alone[i] = (fix_taps){.n = 0};
        drawn(&alone[i], draw[i]);
        sink[i] = fix_sink(&taps[i], &spec, N);
    }
    const ref_draws all = {draw, sink, N_DRAW, 1 + _i};
    ck_assert_int_eq(ref_forward_drawn(resident, &batch, NULL, &all), CORE_OK);
    for (int i = 0; i < N_DRAW; i++)
        for (int k = 0; k < N_DRAW; k++)
            if (i == k)
                ck_assert_double_lt(largest_difference(&taps[i], &alone[k]),
                                    1e-4);
            else if (cases[i].forcing != cases[k].forcing)
                ck_assert_double_gt(largest_difference(&taps[i], &alone[k]),
                                    1e-3);
    for (int i = 0; i < N_DRAW; i++) {
        fix_free(&alone[i]);
        fix_free(&taps[i]);
    }
}
END_TEST

/* --- every operator --- */

/* What only moves values, or is one product of floats: weighted inputs, the
 * shared expert's, the gated context, a short convolution's gates; an embedding
 * without a scale. */
static bool is_exact(core_tap tap)
{
    return tap.kind == CORE_TAP_IN || tap.kind == CORE_TAP_BACK ||
           tap.kind == CORE_TAP_RECV || tap.kind == CORE_TAP_SHARED_WEIGHTED ||
           tap.kind == CORE_TAP_CONTEXT_GATED ||
           tap.kind == CORE_TAP_SHORTCONV_BX ||
           tap.kind == CORE_TAP_SHORTCONV_GATED ||
           (tap.kind == CORE_TAP_EMBED && spec.embed_scale == 1.0);
}

/* Rounded once, as the reference does: a sum of two floats, the square of one,
 * and a weight that is a probability, or its product with a scale that a float
 * holds. */
static bool is_rounded_once(core_tap tap)
{
    const bool is_stream = tap.kind == CORE_TAP_MID || tap.kind == CORE_TAP_OUT;
    const bool has_probs = spec.router == CORE_ROUTER_SOFTMAX ||
                           spec.router == CORE_ROUTER_SIGMOID;
    const bool is_square =
        spec.act == CORE_ACT_RELU2 &&
        (tap.kind == CORE_TAP_EXPERT_ACT || tap.kind == CORE_TAP_MLP_ACT);
    return tap.kind == CORE_TAP_FFN_OUT || is_square ||
           (is_stream && spec.residual_scale == 1.0) ||
           (tap.kind == CORE_TAP_TOPK_WEIGHT && has_probs && !spec.renormalise);
}

/* Of the rotated elements' bound: the table of another step's angle. */
static double of_table(core_tap tap, double y)
{
    const bool is_rope =
        tap.kind == CORE_TAP_Q_ROPE || tap.kind == CORE_TAP_K_ROPE ||
        tap.kind == CORE_TAP_BLOCK_Q_ROPE || tap.kind == CORE_TAP_BLOCK_K_ROPE;
    return is_rope ? 0x1p-22 * N_T * (fabs(y) + 4.0) : 0.0;
}

/* The largest error of tap i; fails at one that is beyond its bound. */
static double largest_error(const fix_taps *p, int64_t i, uint64_t run)
{
    double largest = 0.0;
    for (int64_t j = 0; j < fix_size(p, i); j++) {
        const double y = honest.values[i][j], off = fabs(p->values[i][j] - y);
        const double bound =
            honest.bound[i] != NULL
                ? (double)honest.bound[i][j] + of_table(p->tap[i], y)
                : 0.0;
        char name[CORE_NAME_BYTES];
        if (!(off <= bound))
            ck_abort_msg("%s of run %d: %g off %g, bound %g",
                         core_tap_name(p->tap[i], name), (int)run, off, y,
                         bound);
        largest = fmax(largest, off);
    }
    return largest;
}

/* With honest inputs, no operator of any draw is off by more than its bound,
 * and each that rounds is off somewhere.                                     */
static void expect_errors_within_bounds(void)
{
    double largest[512] = {0.0};
    ck_assert_int_le(honest.n, 512);
    for (uint64_t run = 0; run < N_RUN; run++) {
        fix_taps p = {0};
        drawn(&p, of_run(5, run, REF_TAP));
        for (int64_t i = 0; i < p.n; i++)
            largest[i] = fmax(largest[i], largest_error(&p, i, run));
        fix_free(&p);
    }
    for (int64_t i = 0; i < honest.n; i++) {
        char name[CORE_NAME_BYTES];
        const core_tap tap = honest.tap[i];
        if (core_tap_grid(tap.kind) == CORE_GRID_INT || is_exact(tap))
            ck_assert_msg(largest[i] == 0.0, "%s moved",
                          core_tap_name(tap, name));
        else if (!is_rounded_once(tap))
            ck_assert_msg(largest[i] > 0.0, "%s never moved",
                          core_tap_name(tap, name));
    }
}

START_TEST(every_operator_errs_within_its_bound)
{
    expect_errors_within_bounds();
}
END_TEST

START_TEST(every_operator_of_a_family_errs_within_its_bound)
{
    close_honest();
    spec = fix_family(_i);
    open_honest(CORE_FP32);
    expect_errors_within_bounds();
}
END_TEST

/* --- forcing --- */

static bool same_bits(const fix_taps *p, core_tap_kind kind, int layer)
{
    const core_tap tap = {kind, layer};
    const int64_t n =
        core_tap_n_rows(&spec, tap, N) * core_tap_cols(&spec, tap);
    return memcmp(fix_find(p, kind, layer), fix_find(&honest, kind, layer),
                  (size_t)n * sizeof(double)) == 0;
}

/* What each level hands on: a layer's input, what the mixer's first product
 * reads (seen in what it makes of it, with the same draw), the FFN's.        */
static const struct {
    ref_forcing forcing;
    bool in, mid;
} levels[] = {{REF_FREE, false, false},
              {REF_LAYER, true, false},
              {REF_BLOCK, true, false},
              {REF_TAP, true, true}};

START_TEST(what_is_forced_is_the_honest_pass)
{
    fix_taps p = {0};
    drawn(&p, of_run(5, 0, levels[_i].forcing));
    ck_assert(same_bits(&p, CORE_TAP_IN, 2) == levels[_i].in);
    ck_assert(!same_bits(&p, CORE_TAP_ATTN_OUT, 2));
    /* mid is x + attn_out, exact but for its store: of honest inputs it is
     * the honest one */
    ck_assert(same_bits(&p, CORE_TAP_MID, 2) == levels[_i].mid);
    fix_free(&p);
}
END_TEST

/* The same draw reads the honest norm in blocks and in taps, its own else. */
START_TEST(blocks_read_honest_norms)
{
    static const core_tap_kind of_norm[] = {CORE_TAP_Q, CORE_TAP_ROUTER_LOGITS,
                                            CORE_TAP_LOGITS};
    fix_taps taps = {0}, blocks = {0}, layers = {0};
    drawn(&taps, of_run(5, 0, REF_TAP));
    drawn(&blocks, of_run(5, 0, REF_BLOCK));
    drawn(&layers, of_run(5, 0, REF_LAYER));
    for (int i = 0; i < 3; i++) {
        const core_tap tap = {of_norm[i], i == 2 ? 0 : 2};
        const size_t bytes =
            (size_t)(N * core_tap_cols(&spec, tap)) * sizeof(double);
        const double *v = fix_find(&taps, tap.kind, tap.layer);
        ck_assert(memcmp(v, fix_find(&blocks, tap.kind, tap.layer), bytes) ==
                  0);
        ck_assert(memcmp(v, fix_find(&layers, tap.kind, tap.layer), bytes) !=
                  0);
    }
    fix_free(&taps);
    fix_free(&blocks);
    fix_free(&layers);
}
END_TEST

START_TEST(a_free_draw_carries_its_roundings_on)
{
    fix_taps p = {0};
    drawn(&p, of_run(5, 0, REF_FREE));
    const size_t bytes = (size_t)(N * spec.n_d) * sizeof(double);
    ck_assert(memcmp(fix_find(&p, CORE_TAP_IN, 2),
                     fix_find(&p, CORE_TAP_OUT, 1), bytes) == 0);
    ck_assert(memcmp(fix_find(&p, CORE_TAP_BACK, 0),
                     fix_find(&p, CORE_TAP_EXPERT_OUT, 0),
                     bytes * (size_t)spec.n_k) == 0);
    ck_assert(same_bits(&p, CORE_TAP_TOPK_IDX, 0));
    ck_assert(same_bits(&p, CORE_TAP_SLOT, 2));
    fix_free(&p);
}
END_TEST

/* --- styles, of which bf16 shows what they store --- */

/* Elements of a tap that differ from the honest ones. */
static int64_t n_moved(uint64_t run, core_tap_kind kind)
{
    fix_taps p = {0};
    int64_t n = 0;
    drawn(&p, of_run(5, run, REF_TAP));
    const core_tap tap = {kind, 0};
    for (int64_t j = 0;
         j < core_tap_n_rows(&spec, tap, N) * core_tap_cols(&spec, tap); j++)
        n += fix_find(&p, kind, 0)[j] != fix_find(&honest, kind, 0)[j];
    fix_free(&p);
    return n;
}

static const struct {
    core_tap_kind kind;
    uint64_t few, many; /* runs whose styles store less and more of it        */
} styles[] = {
    {CORE_TAP_ATTN_NORM, 2, 1},  {CORE_TAP_EXPERT_ACT, 2, 1},
    {CORE_TAP_COMBINE, 2, 1},    {CORE_TAP_ATTN_OUT, 1, 2},
    {CORE_TAP_EXPERT_OUT, 1, 3},
};

START_TEST(a_style_stores_what_it_says)
{
    close_honest();
    spec = fix_spec();
    open_honest(CORE_BF16);
    const int64_t few = n_moved(styles[_i].few, styles[_i].kind);
    ck_assert_int_gt(n_moved(styles[_i].many, styles[_i].kind), 10 * few + 10);
}
END_TEST

/* A quarter of what is stored is turned by a unit, where it is not copied. */
START_TEST(units_are_turned_in_one_style)
{
    static const core_tap_kind stored[] = {CORE_TAP_MID, CORE_TAP_EXPERT_UP};
    close_honest();
    spec = fix_spec();
    open_honest(CORE_BF16);
    fix_taps p = {0};
    for (int i = 0; i < 2; i++) {
        const core_tap tap = {stored[i], 0};
        const double *a = fix_find(&honest, stored[i], 0);
        const int64_t n_each =
            core_tap_n_rows(&spec, tap, N) * core_tap_cols(&spec, tap);
        int64_t n = 0, n_turned = 0, n_away = 0, n_far = 0;
        for (uint64_t run = 0; run < 16; run += 4, n += n_each) {
            fix_free(&p);
            p = (fix_taps){0};
            drawn(&p, of_run(5, run, REF_TAP));
            const double *b = fix_find(&p, stored[i], 0);
            for (int64_t j = 0; j < n_each; j++) {
                n_turned += a[j] != b[j];
                n_away += fabs(b[j]) > fabs(a[j]);
                n_far += !(fabs(b[j] - a[j]) <= 0x1p-7 * fabs(a[j]));
            }
        }
        ck_assert_int_gt(n_turned, n / 5);
        ck_assert_int_lt(n_turned, n * 3 / 10);
        ck_assert_int_gt(n_away, n_turned * 2 / 5);
        ck_assert_int_lt(n_away, n_turned * 3 / 5);
        ck_assert_int_eq(n_far, 0);
    }
    ck_assert(same_bits(&p, CORE_TAP_EMBED, 0));
    ck_assert(memcmp(fix_find(&p, CORE_TAP_BACK, 0),
                     fix_find(&honest, CORE_TAP_BACK, 0),
                     (size_t)(N * spec.n_k * spec.n_d) * sizeof(double)) == 0);
    fix_free(&p);
}
END_TEST

/* What has activations in codes: W8A8, with a scale for a token. */
static void open_quantised(void)
{
    static const char FOLDER[] = GOLDEN_DIR "/oracle/formats/tensors_w8a8";
    bool is_checkpoint = false;
    close_honest();
    honest = (fix_taps){0};
    ck_assert_int_eq(core_spec_open(&spec, FOLDER, &is_checkpoint), CORE_OK);
    ck_assert_int_eq(
        core_weights_open_checkpoint(&weights, &spec, FOLDER, true), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_FP32, NULL), CORE_OK);
    resident = open_model(CORE_FP32, SIZE_MAX);
    tiled = open_model(CORE_FP32, 0);
    ck_assert_int_eq(core_batch_make(&batch, &spec, N_B, N_T, 1), CORE_OK);
    const core_tap_sink sink = fix_sink(&honest, &spec, N);
    ref_stats stats;
    ck_assert_int_eq(ref_forward(resident, &batch, NULL, &sink, &stats),
                     CORE_OK);
}

/* Rows of taps behind products in a pass fed by taps that are off by more than
 * floats are, and so have read another code.                                 */
static int64_t n_rows_of_other_codes(const fix_taps *p)
{
    static const core_tap_kind product[] = {
        CORE_TAP_Q, CORE_TAP_ATTN_OUT, CORE_TAP_EXPERT_UP, CORE_TAP_EXPERT_OUT};
    int64_t n_off = 0;
    for (int i = 0; i < 8; i++) {
        const core_tap tap = {product[i / 2], i % 2};
        const int64_t n_col = core_tap_cols(&spec, tap);
        const double *a = fix_find(&honest, tap.kind, tap.layer);
        const double *b = fix_find(p, tap.kind, tap.layer);
        for (int64_t r = 0; r < core_tap_n_rows(&spec, tap, N); r++) {
            double off = 0.0;
            for (int64_t c = r * n_col; c < (r + 1) * n_col; c++)
                off = fmax(off, fabs(a[c] - b[c]));
            n_off += off > 1e-4 * core_largest(a + r * n_col, n_col);
        }
    }
    return n_off;
}

/* Some 12,000 values are read, one of 4,000 so near to a tie. */
START_TEST(codes_near_a_tie_are_turned)
{
    int64_t n = 0;
    open_quantised();
    for (uint64_t run = 0; run < N_RUN; run++) {
        fix_taps p = {0};
        drawn(&p, of_run(5, run, REF_TAP));
        n += n_rows_of_other_codes(&p);
        fix_free(&p);
    }
    ck_assert_int_gt(n, 0);
    ck_assert_int_lt(n, 10 * N_RUN);
    fix_taps p = {0};
    ref_draw stated = of_run(5, 0, REF_TAP);
    stated.stated = true;
    drawn(&p, stated);
    ck_assert_int_eq(n_rows_of_other_codes(&p), 0);
    fix_free(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref_draw");
    TCase *tests = tcase_create("draw");
    tcase_add_checked_fixture(tests, setup, close_honest);
    tcase_add_loop_test(tests, a_draw_depends_on_seed_and_run_alone, 0,
                        sizeof draws / sizeof draws[0]);
    tcase_add_loop_test(tests, a_draw_is_the_same_whatever_runs_beside_it, 0,
                        (int)(sizeof besides / sizeof besides[0]));
    tcase_add_loop_test(
        tests, draws_that_take_over_other_taps_are_copies_of_one_pass, 0, 2);
    tcase_add_test(tests, every_operator_errs_within_its_bound);
    tcase_add_loop_test(tests, every_operator_of_a_family_errs_within_its_bound,
                        0, FIX_N_FAMILIES);
    tcase_add_loop_test(tests, what_is_forced_is_the_honest_pass, 0,
                        sizeof levels / sizeof levels[0]);
    tcase_add_test(tests, blocks_read_honest_norms);
    tcase_add_test(tests, a_free_draw_carries_its_roundings_on);
    tcase_add_loop_test(tests, a_style_stores_what_it_says, 0,
                        sizeof styles / sizeof styles[0]);
    tcase_add_test(tests, units_are_turned_in_one_style);
    tcase_add_test(tests, codes_near_a_tie_are_turned);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
