/* tests/unit/test_har_compare.c -- the comparator is tested first.
 *
 * Each mutant is a wrong tensor that some comparator in the field has accepted.
 * All of them must be caught under every rule, and the clean tensor accepted.
 */
#include "harness/verify/compare.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_ROW = 256, N_COL = 24, N = N_ROW * N_COL };

static double expected[N], found[N], bound[N];

static void setup(void)
{
    for (int i = 0; i < N; i++) {
        expected[i] = (double)((i * 7919) % 2003 - 1001) / 1024.0 + 0x1p-11;
        found[i] = expected[i];
        bound[i] = 1e-6;
    }
}

static const har_rule rules[] = {
    {HAR_RULE_BITS, 0.0}, {HAR_RULE_BOUND, 0.0}, {HAR_RULE_TOLERANCE, 1e-6}};

static har_diff compare(int rule)
{
    har_diff diff;
    har_diff_init(&diff);
    for (int64_t r = 0; r < N_ROW; r++)
        har_diff_row(&diff, rules[rule], r, 0, N_COL, expected + r * N_COL,
                     found + r * N_COL, bound + r * N_COL);
    return diff;
}

START_TEST(clean_tensor_is_accepted)
{
    const har_diff diff = compare(_i);
    ck_assert_int_eq(diff.n, N);
    ck_assert_int_eq(diff.n_bad, 0);
    ck_assert(diff.worst_score == 0.0);
    ck_assert(har_diff_relative_rms(&diff) == 0.0);
}
END_TEST

static void mutate_zeros(void)
{
    memset(found, 0, sizeof found);
}

static void mutate_twice(void)
{
    for (int i = 0; i < N; i++)
        found[i] *= 2.0;
}

static void mutate_sign(void)
{
    for (int i = 0; i < N; i++)
        found[i] = -found[i];
}

static void mutate_nan_found(void)
{
    found[777] = NAN;
}
static void mutate_nan_expected(void)
{
    expected[777] = NAN;
}
static void mutate_nan_both(void)
{
    found[777] = expected[777] = NAN;
}

static void mutate_nan_all(void)
{
    for (int i = 0; i < N; i++)
        found[i] = expected[i] = NAN;
}

static void mutate_inf_found(void)
{
    found[5] = INFINITY;
}

static void mutate_inf_sign(void)
{
    expected[5] = INFINITY;
    found[5] = -INFINITY;
}

static void mutate_permuted(void)
{
    double row[N_COL];
    memcpy(row, found, sizeof row);
    memcpy(found, found + 9 * N_COL, sizeof row);
    memcpy(found + 9 * N_COL, row, sizeof row);
}

static void mutate_one_row(void)
{
    for (int j = 0; j < N_COL; j++)
        found[200 * N_COL + j] += 0x1p-10;
}

static void mutate_one_element(void)
{
    found[N - 1] += 2e-6;
}
static void mutate_shifted(void)
{
    memmove(found + 1, found, (N - 1) * sizeof *found);
}

static void mutate_nan_allowance(void)
{
    bound[3] = NAN;
    found[3] += 0x1p-10;
}

static void (*const mutants[])(void) = {
    mutate_zeros,     mutate_twice,         mutate_sign,
    mutate_nan_found, mutate_nan_expected,  mutate_nan_both,
    mutate_nan_all,   mutate_inf_found,     mutate_inf_sign,
    mutate_permuted,  mutate_one_row,       mutate_one_element,
    mutate_shifted,   mutate_nan_allowance,
};
enum { N_MUTANT = sizeof mutants / sizeof mutants[0] };

START_TEST(every_mutant_is_caught)
{
    for (int rule = 0; rule < 3; rule++) {
        setup();
        mutants[_i]();
        const har_diff diff = compare(rule);
        ck_assert_msg(diff.n_bad > 0, "mutant %d, rule %d", _i, rule);
        ck_assert(diff.n_bad_rows > 0);
    }
}
END_TEST

START_TEST(same_infinity_is_accepted)
{
    expected[5] = found[5] = -INFINITY;
    ck_assert_int_eq(compare(_i).n_bad, 0);
}
END_TEST

START_TEST(infinite_bound_accepts_nothing)
{
    bound[3] = INFINITY;
    found[3] += 1.0;
    ck_assert_int_eq(compare(1).n_bad, 1);
}
END_TEST

START_TEST(first_and_worst_are_named)
{
    found[200 * N_COL + 3] += 1.0;
    found[17 * N_COL + 4] += 0.5;
    const har_diff diff = compare(_i);
    ck_assert_int_eq(diff.n_bad, 2);
    ck_assert_int_eq(diff.n_bad_rows, 2);
    ck_assert_int_eq(diff.first.row, 17);
    ck_assert_int_eq(diff.first.col, 4);
    ck_assert_int_eq(diff.worst.row, 200);
    ck_assert_int_eq(diff.worst.col, 3);
}
END_TEST

START_TEST(constant_ratio_is_recognised)
{
    double ratio = 0.0;
    mutate_twice();
    har_diff diff = compare(0);
    ck_assert(har_diff_ratio(&diff, &ratio));
    ck_assert(ratio == 2.0);
    found[9] = 0.0;
    diff = compare(0);
    ck_assert(!har_diff_ratio(&diff, &ratio));
}
END_TEST

START_TEST(negative_zero_is_not_zero_bit_for_bit)
{
    expected[0] = 0.0;
    found[0] = -0.0;
    ck_assert_int_eq(compare(0).n_bad, 1);
    ck_assert_int_eq(compare(2).n_bad, 0);
}
END_TEST

START_TEST(over_half_the_bound_is_marginal)
{
    found[0] += 0.75e-6;
    found[1] += 0.25e-6;
    const har_diff diff = compare(1);
    ck_assert_int_eq(diff.n_bad, 0);
    ck_assert_int_eq(diff.n_marginal, 1);
}
END_TEST

START_TEST(drift_fails_only_what_is_not_finite)
{
    const har_rule drift = {HAR_RULE_DRIFT, 0.0};
    const double a[3] = {1.0, 2.0, 3.0}, b[3] = {2.0, 2.0, 3.0};
    const double c[3] = {1.0, NAN, 3.0};
    har_diff diff;
    har_diff_init(&diff);
    har_diff_row(&diff, drift, 0, 0, 3, a, b, NULL);
    ck_assert_int_eq(diff.n_bad, 0);
    ck_assert(diff.sum_sq_error == 1.0);
    har_diff_row(&diff, drift, 1, 0, 3, a, c, NULL);
    ck_assert_int_eq(diff.n_bad, 1);
    ck_assert_int_eq(diff.n_nan, 1);
}
END_TEST

START_TEST(integers_are_compared_exactly)
{
    const int64_t a[3] = {1, -1, (INT64_C(1) << 53) + 1};
    const int64_t b[3] = {1, -1, INT64_C(1) << 53};
    har_diff diff;
    har_diff_init(&diff);
    har_diff_row_ints(&diff, 0, 0, 3, a, a);
    ck_assert_int_eq(diff.n_bad, 0);
    har_diff_row_ints(&diff, 0, 0, 3, a, b);
    ck_assert_int_eq(diff.n_bad, 1);
}
END_TEST

START_TEST(experts_are_a_set_and_weights_follow_them)
{
    const har_rule rule = {HAR_RULE_TOLERANCE, 1e-9};
    const int64_t a[3] = {4, 1, 7}, order[3] = {7, 4, 1}, other[3] = {7, 4, 2};
    const int64_t twice[3] = {4, 4, 1}, twice_other[3] = {4, 1, 1};
    const double wa[3] = {0.5, 0.3, 0.2}, wo[3] = {0.2, 0.5, 0.3};
    har_diff diff;
    har_diff_init(&diff);
    har_diff_row_topk(&diff, rule, 0, 3, a, order, wa, wo);
    ck_assert_int_eq(diff.n_bad, 0);
    har_diff_row_topk(&diff, rule, 0, 3, a, order, wa, wa);
    ck_assert_int_eq(diff.n_bad, 3);
    har_diff_init(&diff);
    har_diff_row_topk(&diff, rule, 0, 3, a, other, NULL, NULL);
    ck_assert_int_gt(diff.n_bad, 0);
    har_diff_init(&diff);
    har_diff_row_topk(&diff, rule, 0, 3, twice, twice_other, NULL, NULL);
    ck_assert_int_gt(diff.n_bad, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_compare");
    TCase *tests = tcase_create("compare");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_loop_test(tests, clean_tensor_is_accepted, 0, 3);
    tcase_add_loop_test(tests, every_mutant_is_caught, 0, N_MUTANT);
    tcase_add_loop_test(tests, same_infinity_is_accepted, 0, 3);
    tcase_add_test(tests, infinite_bound_accepts_nothing);
    tcase_add_loop_test(tests, first_and_worst_are_named, 0, 3);
    tcase_add_test(tests, constant_ratio_is_recognised);
    tcase_add_test(tests, negative_zero_is_not_zero_bit_for_bit);
    tcase_add_test(tests, over_half_the_bound_is_marginal);
    tcase_add_test(tests, drift_fails_only_what_is_not_finite);
    tcase_add_test(tests, integers_are_compared_exactly);
    tcase_add_test(tests, experts_are_a_set_and_weights_follow_them);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
