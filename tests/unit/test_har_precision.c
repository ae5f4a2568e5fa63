/* tests/unit/test_har_precision.c -- rounding told from wrong operators.
 *
 * A table of values is spoiled in one way and held against itself.  Every way
 * to round must be graded as such, with about its bits; every wrong operator,
 * however small its error, must not.
 */
#include "harness/verify/precision.h"

#include "core/numbers/dtype.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 200, COLS = 24, N = ROWS * COLS };

static double whole[N], part[2][N]; /* values, and two parts that add to them */
static double found[N];
static uint64_t state;

/* Uniform in (-1, 1). */
static double noise(void)
{
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (double)(int64_t)state * 0x1p-63;
}

static void setup(void)
{
    state = 5;
    for (int i = 0; i < N; i++) {
        part[0][i] = noise() + noise();
        part[1][i] = noise() + noise();
        whole[i] = part[0][i] + part[1][i];
    }
    memcpy(found, whole, sizeof found);
}

/* Store both sides, of which computing may part `found` from `whole` by d. */
static void take(har_precision *g, core_numerics numerics, double d,
                 double *n_marginal)
{
    double expected[COLS], bound[COLS], error[COLS];
    const double u = core_store_roundoff(numerics);
    *n_marginal = 0.0;
    for (int r = 0; r < ROWS; r++) {
        memcpy(expected, whole + r * COLS, sizeof expected);
        core_store(numerics, CORE_GRID_ACT, expected, COLS);
        core_store(numerics, CORE_GRID_ACT, found + r * COLS, COLS);
        for (int c = 0; c < COLS; c++)
            bound[c] = d > 0.0 ? d * (1.0 + u) +
                                     core_store_error(numerics, expected[c])
                               : 0.0;
        *n_marginal +=
            (double)har_precision_row(g, numerics, 1.0, COLS, expected,
                                      found + r * COLS, bound, error, r > 0);
    }
}

static har_precision grade(core_numerics numerics, double d)
{
    har_precision g = {0};
    double n_marginal;
    take(&g, numerics, d, &n_marginal);
    return g;
}

/* What four draws make that err by up to `rms` sqrt(3) per element and by a
 * factor up to 1 + `of_row` per row.  `found` is kept.                       */
static har_precision honest(core_numerics numerics, double d, double rms,
                            double of_row)
{
    static double keep[N];
    har_precision g = {0};
    double n_marginal, f = 1.0;
    memcpy(keep, found, sizeof found);
    for (int run = 0; run < 4; run++) {
        for (int i = 0; i < N; i++) {
            f = i % COLS == 0 ? 1.0 + of_row * noise() : f;
            found[i] = whole[i] * f + rms * sqrt(3.0) * noise();
        }
        take(&g, numerics, d, &n_marginal);
    }
    memcpy(found, keep, sizeof found);
    return g;
}

/* --- ways to round -------------------------------------------------------- */

static void to_bf16(void)
{
    core_store(CORE_BF16, CORE_GRID_ACT, found, N);
}

static void parts_to_bf16(void)
{
    core_store(CORE_BF16, CORE_GRID_ACT, part[0], N);
    core_store(CORE_BF16, CORE_GRID_ACT, part[1], N);
    for (int i = 0; i < N; i++)
        found[i] = part[0][i] + part[1][i];
}

static void truncated_to_bf16(void)
{
    for (int i = 0; i < N; i++) {
        int exponent;
        const double m = frexp(found[i], &exponent);
        found[i] = ldexp(trunc(ldexp(m, 8)), exponent - 8);
    }
}

static void to_f16(void)
{
    for (int i = 0; i < N; i++) {
        uint16_t code;
        core_dtype_from_f64(&code, &found[i], CORE_DTYPE_F16, 1);
        core_dtype_to_f64(&found[i], &code, CORE_DTYPE_F16, 1);
    }
}

static const struct {
    void (*spoil)(void);
    double bits;
    const char *text;
} roundings[] = {{to_bf16, 8.0, "like bf16"},
                 {parts_to_bf16, 8.0, "like bf16"},
                 {truncated_to_bf16, 7.0, "like bf16"},
                 {to_f16, 11.0, "like fp16"}};

START_TEST(rounding_is_graded)
{
    char text[HAR_PRECISION_TEXT];
    const har_precision h = honest(CORE_FP32, 0x1p-22, 0x1p-25, 0.0);
    roundings[_i].spoil();
    const har_precision g = grade(CORE_FP32, 0x1p-22);
    ck_assert(har_precision_is_rounding(&g, &h, CORE_FP32, true));
    ck_assert(har_precision_ratio(&g, &h) > 1.0);
    ck_assert(fabs(har_precision_bits(&g, CORE_FP32) - roundings[_i].bits) <
              0.7);
    har_precision_format(&g, &h, CORE_FP32, text);
    ck_assert_msg(strstr(text, roundings[_i].text) != NULL, "%s", text);
}
END_TEST

/* A message that a narrower type carried: nothing may part it from what was
 * sent, and it is its rounding.                                              */
START_TEST(a_rounded_transfer_is_graded)
{
    const har_precision none = {0};
    roundings[_i].spoil();
    const har_precision g = grade(CORE_FP32, 0.0);
    ck_assert(har_precision_is_rounding(&g, &none, CORE_FP32, true));
    ck_assert(fabs(har_precision_bits(&g, CORE_FP32) - roundings[_i].bits) <
              0.7);
}
END_TEST

/* One row of a message, or a zero that is none any more. */
START_TEST(a_part_of_a_transfer_is_wrong)
{
    const har_precision none = {0};
    if (_i == 0) {
        core_store(CORE_BF16, CORE_GRID_ACT, found + COLS, COLS);
    } else {
        whole[7] = 0.0;
        to_bf16();
        found[7] = 0x1p-9;
    }
    const har_precision g = grade(CORE_FP32, 0.0);
    ck_assert(!har_precision_is_rounding(&g, &none, CORE_FP32, true));
}
END_TEST

/* A statistic of a row that was rounded is one factor of the row: rounding
 * where the operator has such a statistic, wrong where it has none.          */
START_TEST(a_factor_per_row_is_rounding_where_honest_errors_have_one)
{
    const har_precision with = honest(CORE_FP32, 0x1p-22, 0x1p-26, 0x1p-24);
    const har_precision without = honest(CORE_FP32, 0x1p-22, 0x1p-25, 0.0);
    double f = 1.0;
    for (int i = 0; i < N; i++) {
        f = i % COLS == 0 ? 1.0 + 0x1p-8 * noise() : f;
        found[i] *= f;
    }
    const har_precision g = grade(CORE_FP32, 0x1p-22);
    ck_assert(har_precision_is_rounding(&g, &with, CORE_FP32, true));
    ck_assert(!har_precision_is_rounding(&g, &with, CORE_FP32, false));
    ck_assert(!har_precision_is_rounding(&g, &without, CORE_FP32, true));
}
END_TEST

/* Twice the rms of the draws is less than a bit; six times is two and more. */
START_TEST(less_than_a_bit_is_no_finding)
{
    const double rms = 0x1p-24;
    const har_precision h = honest(CORE_FP32, 0x1p-20, rms, 0.0);
    for (int i = 0; i < N; i++)
        found[i] += 1.9 * rms * sqrt(3.0) * noise();
    const har_precision less = grade(CORE_FP32, 0x1p-20);
    ck_assert(har_precision_ratio(&less, &h) <= 1.0);
    for (int i = 0; i < N; i++)
        found[i] += 6.0 * rms * sqrt(3.0) * noise();
    const har_precision more = grade(CORE_FP32, 0x1p-20);
    ck_assert(har_precision_ratio(&more, &h) > 1.0);
}
END_TEST

/* Without draws the elements decide. */
START_TEST(without_draws_nothing_is_too_much)
{
    const har_precision none = {0};
    to_bf16();
    const har_precision g = grade(CORE_FP32, 0x1p-22);
    ck_assert(har_precision_ratio(&g, &none) <= 1.0);
    ck_assert(har_precision_ratio(&none, &none) == 0.0);
}
END_TEST

/* --- wrong operators with small errors ------------------------------------ */

/* All above a unit of storage: what is below it has lost its shape. */

static void untouched(void) {}

static void factor(void)
{
    for (int i = 0; i < N; i++)
        found[i] *= 1.02;
}

static void factor_of_a_row(void)
{
    double f = 1.0;
    for (int i = 0; i < N; i++) {
        f = i % COLS == 0 ? 1.0 + 0.04 * noise() : f;
        found[i] *= f;
    }
}

static void bias_left_out(void)
{
    double bias[COLS];
    for (int c = 0; c < COLS; c++)
        bias[c] = 0.04 * noise();
    for (int i = 0; i < N; i++)
        found[i] += bias[i % COLS];
}

static void one_row_of_another(void)
{
    memcpy(found + 7 * COLS, whole + 8 * COLS, COLS * sizeof *found);
}

static void one_value(void)
{
    found[777] += 0.5;
}

static void rows_moved(void)
{
    memmove(found + COLS, whole, (N - COLS) * sizeof *found);
}

static void not_a_number(void)
{
    for (int i = 0; i < N; i++)
        found[i] = (double)NAN;
}

static void (*const wrong[])(void) = {
    untouched,          factor,    factor_of_a_row, bias_left_out,
    one_row_of_another, one_value, rows_moved,      not_a_number};

START_TEST(wrong_is_not_rounding)
{
    const har_precision h = honest(CORE_FP32, 0x1p-22, 0x1p-25, 0.0);
    const har_precision h16 = honest(CORE_BF16, 0x1p-16, 0x1p-20, 0.0);
    const har_precision none = {0};
    wrong[_i]();
    har_precision g = grade(CORE_FP32, 0x1p-22);
    ck_assert(!har_precision_is_rounding(&g, &h, CORE_FP32, true));
    g = grade(CORE_FP32, 0.0);
    ck_assert(!har_precision_is_rounding(&g, &none, CORE_FP32, true));
    g = grade(CORE_BF16, 0x1p-16);
    ck_assert(!har_precision_is_rounding(&g, &h16, CORE_BF16, true));
}
END_TEST

/* Errors in every element, without sign or place, and small: but larger than
 * bf16 would make of an operator whose honest errors are so large. */
START_TEST(noise_beyond_bf16_is_wrong)
{
    const har_precision longer = honest(CORE_FP32, 0x1p-18, 0x1p-21, 0.0);
    const har_precision shorter = honest(CORE_FP32, 0x1p-22, 0x1p-25, 0.0);
    for (int i = 0; i < N; i++)
        found[i] *= 1.0 + 0.06 * noise();
    har_precision g = grade(CORE_FP32, 0x1p-18);
    ck_assert(har_precision_is_rounding(&g, &longer, CORE_FP32, true));
    g = grade(CORE_FP32, 0x1p-22);
    ck_assert(!har_precision_is_rounding(&g, &shorter, CORE_FP32, true));
}
END_TEST

/* --- below the storage ---------------------------------------------------- */

START_TEST(fp32_sums_stored_in_bf16_pass)
{
    const double d = 0x1p-14, rms = 0.2 * d;
    const har_precision h = honest(CORE_BF16, d, rms, 0.0);
    double n_marginal;
    har_precision g = {0};
    for (int i = 0; i < N; i++)
        found[i] += rms * sqrt(3.0) * noise();
    take(&g, CORE_BF16, d, &n_marginal);
    ck_assert(g.sum_spread > 1.0); /* some stores were tipped ... */
    ck_assert(har_precision_ratio(&g, &h) <= 1.0);
    ck_assert(n_marginal == 0.0); /* ... by one unit of storage */
}
END_TEST

START_TEST(bf16_parts_stored_in_bf16_do_not)
{
    const har_precision h = honest(CORE_BF16, 0x1p-14, 0x1p-20, 0.0);
    char text[HAR_PRECISION_TEXT];
    parts_to_bf16();
    const har_precision g = grade(CORE_BF16, 0x1p-14);
    ck_assert(har_precision_ratio(&g, &h) > 3.0);
    ck_assert(fabs(har_precision_bits(&g, CORE_BF16) - 8.0) < 1.0);
    har_precision_format(&g, &h, CORE_BF16, text);
    ck_assert_msg(strstr(text, "fp32 sums and bf16 storage") != NULL, "%s",
                  text);
}
END_TEST

/* Parts of 11 bits: most errors hide below the unit, a few elements cancel and
 * fail; those that show lie everywhere.                                      */
START_TEST(what_hides_below_a_unit_is_still_rounding)
{
    const har_precision h = honest(CORE_BF16, 0x1p-20, 0x1p-24, 0.0);
    core_store(CORE_FP32, CORE_GRID_ACT, part[0], N);
    for (int i = 0; i < N; i++) {
        part[0][i] = rint(part[0][i] * 0x1p10) * 0x1p-10;
        part[1][i] = rint(part[1][i] * 0x1p10) * 0x1p-10;
        found[i] = part[0][i] + part[1][i];
    }
    const har_precision g = grade(CORE_BF16, 0x1p-20);
    ck_assert(g.n_error < 0.4 * g.n);
    ck_assert(har_precision_is_rounding(&g, &h, CORE_BF16, true));
}
END_TEST

/* Small errors without sign in some rows, in a column, in a few elements, where
 * all others are right: no shape but their place. */
START_TEST(errors_in_one_place_are_wrong)
{
    const har_precision h = honest(CORE_BF16, 0x1p-20, 0x1p-24, 0.0);
    for (int i = 0; i < N; i++) {
        const bool here = _i == 0   ? i < 2 * COLS
                          : _i == 1 ? i % COLS == 3
                          : _i == 2 ? i % (N / 15) == 0
                                    : i % 8 == i / COLS % 8;
        found[i] *= here ? 1.0 + 0.06 * noise() : 1.0;
    }
    const har_precision g = grade(CORE_BF16, 0x1p-20);
    ck_assert(har_precision_is_rounding(&g, &h, CORE_BF16, true) == (_i == 3));
}
END_TEST

/* Draws that saw nothing explain a few units, and more draws fewer. */
START_TEST(few_units_are_chance)
{
    har_precision h = {.n = 4 * N}, g = {.n = N, .sum_spread = 35.0};
    ck_assert(har_precision_ratio(&g, &h) <= 1.0); /* 28 / ln 2 = 40 */
    g.sum_spread = 45.0;
    ck_assert(har_precision_ratio(&g, &h) > 1.0);
    h.n = N;
    ck_assert(har_precision_ratio(&g, &h) <= 1.0);
    h.sum_spread = 1000.0;
    g.sum_spread = 4000.0;
    ck_assert(har_precision_ratio(&g, &h) <= 1.0);
    g.sum_spread = 6000.0;
    ck_assert(har_precision_ratio(&g, &h) > 1.0);
    g.sum_spread = (double)NAN;
    ck_assert(!(har_precision_ratio(&g, &h) <= 1.0));
}
END_TEST

START_TEST(marginal_is_more_than_a_unit)
{
    const double expected = 1.5, unit = 0x1p-7, error_before = 0.0;
    const double found_at[] = {1.5 + unit, 1.5 + 3 * unit, 1.5 + 9 * unit};
    const int64_t want[] = {0, 1, 0}; /* the last is beyond its bound */
    for (int i = 0; i < 3; i++) {
        const double bound = 4.0 * unit;
        double error = error_before;
        har_precision g = {0};
        ck_assert_int_eq(har_precision_row(&g, CORE_BF16, 1.0, 1, &expected,
                                       &found_at[i], &bound, &error, false),
                         want[i]);
    }
}
END_TEST

START_TEST(copies_count_once)
{
    const double expected[] = {1.0, 2.0}, seen[] = {1.25, 2.0};
    const double bound[] = {0.5, 0.5};
    double error[2];
    har_precision one = {0}, two = {0};
    har_precision_row(&one, CORE_FP32, 1.0, 2, expected, seen, bound, error, false);
    for (int copy = 0; copy < 2; copy++)
        har_precision_row(&two, CORE_FP32, 0.5, 2, expected, seen, bound, error,
                      false);
    ck_assert_mem_eq(&one, &two, sizeof one);
}
END_TEST

START_TEST(sums_add)
{
    const har_precision one = {.n = 1.0, .sum_spread = 0.5, .sum_lag = -2.0};
    har_precision sum = one;
    har_precision_add(&sum, &one);
    ck_assert(sum.n == 2.0 && sum.sum_spread == 1.0 && sum.sum_lag == -4.0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_precision");
    TCase *tcase = tcase_create("grade");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_loop_test(tcase, rounding_is_graded, 0,
                        sizeof roundings / sizeof *roundings);
    tcase_add_loop_test(tcase, a_rounded_transfer_is_graded, 0,
                        sizeof roundings / sizeof *roundings);
    tcase_add_loop_test(tcase, a_part_of_a_transfer_is_wrong, 0, 2);
    tcase_add_test(tcase,
                   a_factor_per_row_is_rounding_where_honest_errors_have_one);
    tcase_add_test(tcase, less_than_a_bit_is_no_finding);
    tcase_add_test(tcase, without_draws_nothing_is_too_much);
    tcase_add_test(tcase, what_hides_below_a_unit_is_still_rounding);
    tcase_add_loop_test(tcase, errors_in_one_place_are_wrong, 0, 4);
    tcase_add_test(tcase, few_units_are_chance);
    tcase_add_test(tcase, sums_add);
    tcase_add_loop_test(tcase, wrong_is_not_rounding, 0,
                        sizeof wrong / sizeof *wrong);
    tcase_add_test(tcase, noise_beyond_bf16_is_wrong);
    tcase_add_test(tcase, fp32_sums_stored_in_bf16_pass);
    tcase_add_test(tcase, bf16_parts_stored_in_bf16_do_not);
    tcase_add_test(tcase, marginal_is_more_than_a_unit);
    tcase_add_test(tcase, copies_count_once);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
