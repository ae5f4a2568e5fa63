/* tests/unit/test_gold_slope.c -- small errors that add up, and roundings that
 * do not: slopes of columns, and how a dump leans towards a mistake.
 */
#include "core/numbers/rng.h"
#include "golden/mistakes.h"
#include "golden/slope.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <string.h>

enum { N = 200, N_D = 48, N_K = 2, N_E = 6 };

static const core_tap ffn_out = {CORE_TAP_FFN_OUT, 0};
static core_spec spec;
static double honest[N * N_D], found[N * N_D];
static int64_t ids[N][N_K];
static float direction[N * N_D];

/* In [-1, 1), a function of its numbers. */
static double number(uint64_t of, int64_t i)
{
    return (double)core_rng(1, of, (uint64_t)i).word[0] * 0x1p-31 - 1.0;
}

/* Found is honest, each element rounded elsewhere by up to 2^-8 of itself. */
static void begin(void)
{
    memset(&spec, 0, sizeof spec);
    spec.n_l = 1;
    spec.n_h = 1;
    spec.n_d = N_D;
    spec.n_e = N_E;
    spec.n_k = N_K;
    for (int64_t i = 0; i < N * N_D; i++) {
        honest[i] = number(1, i);
        found[i] = honest[i] * (1.0 + number(2, i) * 0x1p-8);
        direction[i] = (float)(number(3, i) * 0x1p-12);
    }
    for (int64_t t = 0; t < N; t++) {
        ids[t][0] = t % N_E;
        ids[t][1] = (t + 1 + t / N_E % 3) % N_E;
    }
}

static gold_cell slope_of(core_tap tap)
{
    gold_slope slope;
    ck_assert_int_eq(gold_slope_make(&slope, &spec, tap), CORE_OK);
    for (int64_t t = 0; t < N; t++)
        gold_slope_add(&slope, t, ids[t], honest + t * N_D, found + t * N_D);
    const gold_cell cell = gold_slope_largest(&slope);
    gold_slope_free(&slope);
    gold_slope_free(&slope);
    return cell;
}

/* A column of one expert's rows, each element off by less than twice what the
 * roundings are, is where the largest slope is, and by how much.             */
START_TEST(a_scaled_row_of_an_expert_shows_as_a_slope)
{
    begin();
    const double before = slope_of(ffn_out).slope;
    for (int64_t t = 0; t < N; t++)
        if (ids[t][0] == 4 || ids[t][1] == 4)
            found[t * N_D + 7] += honest[t * N_D + 7] * 0x1p-7;
    const gold_cell cell = slope_of(ffn_out);
    ck_assert(before < 0x1p-7 && cell.slope > 4.0 * before);
    ck_assert_int_eq(cell.group, 4);
    ck_assert_int_eq(cell.col, 7);
    ck_assert(fabs(cell.share - 0x1p-7) < 0x1p-9);
}
END_TEST

START_TEST(where_there_are_no_experts_all_rows_are_one_cell)
{
    const core_tap tap = {CORE_TAP_ATTN_OUT, 0};
    begin();
    ck_assert(!gold_has_slope(&spec, tap)); /* 48 cells */
    ck_assert(!gold_has_slope(&spec, (core_tap){CORE_TAP_TOPK_IDX, 0}));
    ck_assert(slope_of(tap).slope == 0.0);
    spec.n_d = 6 * N_D; /* the same values, six tokens a row */
    gold_slope slope;
    ck_assert_int_eq(gold_slope_make(&slope, &spec, tap), CORE_OK);
    for (int64_t t = 0; t < N / 6; t++) {
        found[6 * t * N_D + 3] += honest[6 * t * N_D + 3] * 0x1p-5;
        gold_slope_add(&slope, t, NULL, honest + 6 * t * N_D,
                       found + 6 * t * N_D);
    }
    ck_assert_int_eq(gold_slope_largest(&slope).col, 3);
    ck_assert_int_eq(gold_slope_largest(&slope).group, 0);
    gold_slope_free(&slope);
}
END_TEST

/* Rows that have no size, experts that do not exist and NaN. */
START_TEST(rows_without_size_say_nothing_and_nan_is_not_lost)
{
    begin();
    const double before = slope_of(ffn_out).slope;
    memset(honest + 5 * N_D, 0, N_D * sizeof *honest);
    ids[6][0] = N_E;
    ids[7][1] = -1;
    ck_assert(slope_of(ffn_out).slope < 1.5 * before);
    found[9 * N_D + 1] = NAN;
    ck_assert(slope_of(ffn_out).slope == HUGE_VAL);
}
END_TEST

static gold_lean lean_of(void)
{
    gold_direction d = {.tap = ffn_out, .n_row = N, .n_col = N_D};
    gold_leaning leaning = {{{{0.0}}}};
    d.of[1] = direction;
    for (int64_t t = 0; t < N; t++)
        gold_leaning_add(&leaning, &d, t, honest + t * N_D, found + t * N_D);
    ck_assert(!gold_leaning_of(&leaning, 0, ffn_out.kind).moves);
    ck_assert(!gold_leaning_of(&leaning, 1, CORE_TAP_OUT).moves);
    return gold_leaning_of(&leaning, 1, ffn_out.kind);
}

/* A sixteenth of a rounding in each element, and over all of them sure. */
START_TEST(a_small_mistake_in_all_elements_is_told)
{
    begin();
    const gold_lean before = lean_of();
    ck_assert(before.moves && fabs(before.lean) < 0.25);
    ck_assert(fabs(before.sigmas) < 4.0);
    for (int64_t i = 0; i < N * N_D; i++)
        found[i] += (double)direction[i];
    const gold_lean with = lean_of();
    ck_assert(fabs(with.lean - 1.0 - before.lean) < 1e-6);
    ck_assert(with.sigmas > 7.0);
}
END_TEST

/* Rounding to a grid 16 times as coarse as the mistake keeps it on average. */
START_TEST(a_mistake_smaller_than_the_unit_survives_storing)
{
    begin();
    for (int64_t i = 0; i < N * N_D; i++) {
        honest[i] = rint(number(4, i) * 0x1p8) * 0x1p-8;
        found[i] = rint((number(4, i) + (double)direction[i]) * 0x1p8) * 0x1p-8;
    }
    ck_assert(fabs(lean_of().lean - 1.0) < 0.25);
    ck_assert(lean_of().sigmas > 7.0);
}
END_TEST

START_TEST(mistakes_are_those_that_the_model_can_make)
{
    core_spec mini, a, changed;
    ck_assert_int_eq(core_spec_open(&mini, "seed-mini", NULL), CORE_OK);
    ck_assert_int_eq(core_spec_open(&a, "shadow-a", NULL), CORE_OK);
    changed = mini;
    ck_assert_str_eq(gold_mistake(&changed, 0), "norm eps 1e-6 for 1e-5");
    ck_assert(changed.norm_eps == 1e-6);
    ck_assert_str_eq(gold_mistake(&changed, 0), "norm eps 1e-5 for 1e-6");
    ck_assert_str_eq(gold_mistake(&changed, 1), "gelu by tanh for erf");
    ck_assert(changed.act == CORE_ACT_GELU_TANH);
    ck_assert_str_eq(gold_mistake(&changed, 1), "gelu by erf for tanh");
    ck_assert_str_eq(gold_mistake(&changed, 2), "rope's theta doubled");
    ck_assert(changed.rope.theta == 2.0 * mini.rope.theta);
    changed = a; /* SwiGLU */
    ck_assert_ptr_null(gold_mistake(&changed, 1));
    changed.n_h = 0; /* a Switch layer, which is not forced */
    ck_assert_ptr_null(gold_mistake(&changed, 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gold_slope");
    TCase *tests = tcase_create("sums");
    tcase_add_test(tests, a_scaled_row_of_an_expert_shows_as_a_slope);
    tcase_add_test(tests, where_there_are_no_experts_all_rows_are_one_cell);
    tcase_add_test(tests, rows_without_size_say_nothing_and_nan_is_not_lost);
    tcase_add_test(tests, a_small_mistake_in_all_elements_is_told);
    tcase_add_test(tests, a_mistake_smaller_than_the_unit_survives_storing);
    tcase_add_test(tests, mistakes_are_those_that_the_model_can_make);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
