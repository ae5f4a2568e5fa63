/* test_core_operand.c -- what activations become when engines quantise them.
 * That whole models come out as the publishers' packages have them:
 * test_ref_oracle.c. */
#include "core/numbers/operand_format.h"

#include "core/numbers/dtype.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>

enum { MOST = 8 };

static const core_operand_format BY_TOKEN = {.code = CORE_CODE_E4M3};
static const core_operand_format OF_TENSOR = {.code = CORE_CODE_E4M3,
                                              .fixed = 0.5};
static const core_operand_format FP4_OF_TENSOR = {.code = CORE_CODE_E2M1,
                                                  .fixed = 1.0};
static const core_operand_format INT8_OF_TENSOR = {.code = CORE_CODE_INT8,
                                                   .fixed = 1.0};

static void check_row(const core_operand_format *format, const double *x, int n,
                      const double *want)
{
    double y[MOST];
    for (int i = 0; i < n; i++)
        y[i] = x[i];
    core_operand_quantise(format, CORE_FP64, core_largest(x, n), y, n, NULL);
    for (int i = 0; i < n; i++)
        ck_assert_msg(y[i] == want[i], "%d: %.17g became %.17g, expected %.17g",
                      i, x[i], y[i], want[i]);
}

/* Each number of FP8 stays, what lies between two goes to the nearer one, what
 * lies in the middle to the even one, and what lies beyond to the last. */
START_TEST(fp8_numbers)
{
    const core_operand_format format = {.code = CORE_CODE_E4M3, .fixed = 1.0};
    for (unsigned code = 0; code < 0x7e; code++) {
        const uint8_t codes[2] = {(uint8_t)code, (uint8_t)(code + 1)};
        double at[2];
        core_dtype_to_f64(at, codes, CORE_DTYPE_F8_E4M3, 2);
        const double middle = (at[0] + at[1]) / 2;
        const double x[] = {at[0], -at[1], middle, nextafter(middle, 0.0),
                            -nextafter(middle, 500.0)};
        const double want[] = {at[0], -at[1], code % 2 == 0 ? at[0] : at[1],
                               at[0], -at[1]};
        check_row(&format, x, 5, want);
    }
    const double beyond[] = {449.0, 1e9, -1e9};
    const double last[] = {448.0, 448.0, -448.0};
    check_row(&format, beyond, 3, last);
}
END_TEST

START_TEST(fp4_and_int8_numbers)
{
    const double x[] = {0.25, 0.26, 0.75, 2.5, -3.5, 5.0, 5.1, -7.0};
    const double fp4[] = {0.0, 0.5, 1.0, 2.0, -4.0, 4.0, 6.0, -6.0};
    check_row(&FP4_OF_TENSOR, x, 8, fp4);
    const double y[] = {0.5, 1.5, -1.5, 127.4, 128.0, -127.6, -200.0};
    const double int8[] = {0.0, 2.0, -2.0, 127.0, 127.0, -128.0, -128.0};
    check_row(&INT8_OF_TENSOR, y, 7, int8);
}
END_TEST

/* A scale of the files, of the row (in float), of a row cut at a magnitude. */
START_TEST(scales)
{
    const double x[] = {1.0, -0.3, 448.0};
    const double of_tensor[] = {1.0, -0.3125, 224.0};
    check_row(&OF_TENSOR, x, 3, of_tensor);
    const double y[] = {7.0, -3.3};
    const float scale = 7.0F / 448.0F;
    const double by_token[] = {7.0, -208.0 * (double)scale};
    check_row(&BY_TOKEN, y, 2, by_token);
    const core_operand_format cut = {.code = CORE_CODE_E4M3, .most = 3.5};
    const double half[] = {3.5, -3.25};
    check_row(&cut, y, 2, half);
    ck_assert(core_operand_needs_row(&BY_TOKEN));
    ck_assert(!core_operand_needs_row(&OF_TENSOR));
}
END_TEST

/* Powers of two: the next one, as exact ones are kept; and that of the largest
 * magnitude, from 1.75 on the one above. */
START_TEST(powers)
{
    const core_operand_format up = {
        .code = CORE_CODE_E4M3, .scale = CORE_OPERAND_SCALE_UP, .group = 2};
    const double x[] = {448.0, 9.1, 449.0, 9.1};
    const double of_up[] = {448.0, 9.0, 448.0, 9.0}; /* scales 1 and 2 */
    check_row(&up, x, 4, of_up);
    const core_operand_format near = {
        .code = CORE_CODE_E2M1, .scale = CORE_OPERAND_SCALE_NEAR, .group = 2};
    const double y[] = {6.9, 0.3, 7.0, 0.3};
    const double of_near[] = {6.0, 0.5, 8.0, 0.0}; /* scales 1 and 2 */
    check_row(&near, y, 4, of_near);
}
END_TEST

/* NVFP4: the scale is itself FP8, over that of the tensor; one that vanishes
 * there leaves zeros. */
START_TEST(scales_of_two_levels)
{
    const core_operand_format format = {.code = CORE_CODE_E2M1,
                                        .scale = CORE_OPERAND_SCALE_E4M3,
                                        .group = 2,
                                        .fixed = 0.25};
    const double x[] = {1.7, 0.5, 6000.0, 600.0, 0.001, -0.001};
    const double scale = 1.125 * 0.25; /* 1.7 / 6 / 0.25 = 1.1333 */
    const double want[] = {6.0 * scale, 2.0 * scale, 6.0 * 112.0,
                           672.0,       0.0,         -0.0};
    check_row(&format, x, 6, want);
}
END_TEST

/* GGUF's Q8_0: codes by the float, times that as F16: 1 / 127 is 1.0078740
 * 2^-7, and 1.0078125 2^-7 there. */
START_TEST(a_scale_that_is_kept_as_f16)
{
    const core_operand_format format = {
        .code = CORE_CODE_INT8, .scale = CORE_OPERAND_SCALE_F16, .group = 3};
    const double x[] = {1.0, 0.3, -0.25, 127.0, -127.0, 0.4};
    const double kept = 0x1.02p-7;
    const double want[] = {127.0 * kept, 38.0 * kept, -32.0 * kept,
                           127.0,        -127.0,      0.0};
    check_row(&format, x, 6, want);
}
END_TEST

START_TEST(zeros_and_what_is_no_number)
{
    const double zeros[] = {0.0, -0.0};
    check_row(&BY_TOKEN, zeros, 2, zeros);
    double x[] = {1.0, NAN, 2.0};
    ck_assert(isnan(core_largest(x, 3)));
    core_operand_quantise(&BY_TOKEN, CORE_FP64, NAN, x, 3, NULL);
    ck_assert(isnan(x[0]) && isnan(x[1]) && isnan(x[2]));
    double y[] = {1.0, NAN};
    core_operand_quantise(&OF_TENSOR, CORE_FP64, 0.0, y, 2, NULL);
    ck_assert(y[0] == 1.0 && isnan(y[1]));
}
END_TEST

/* What is nearer to the middle of two codes than the reach goes to either of
 * them, all else where it would go; so does a scale that is rounded to F16,
 * here 1 + 2^-11 less a little. */
START_TEST(a_draw_turns_what_is_near_a_tie)
{
    enum { N = 4, DRAWS = 64 };
    const core_operand_format ints = {.code = CORE_CODE_INT8, .group = N};
    const core_operand_format kept = {
        .code = CORE_CODE_INT8, .scale = CORE_OPERAND_SCALE_F16, .group = N};
    const double off = 127.0 * 0x1p-21;
    const double x[N] = {127.0, 4.5 - off, -(9.5 + off), 20.5 + 4.0 * off};
    const double below[N] = {127.0, 4.0, -10.0, 21.0};
    const double above[N] = {127.0, 5.0, -9.0, 21.0};
    const double large = 127.0 * (1.0 + 0x1p-11 - 0x1p-22);
    int n[N] = {0}, n_up = 0;
    for (uint64_t stream = 0; stream < DRAWS; stream++) {
        const core_operand_draw draw = {0x1p-20, 1, stream};
        double y[N], z[N] = {large, 0.0, 0.0, 0.0};
        for (int i = 0; i < N; i++)
            y[i] = x[i];
        core_operand_quantise(&ints, CORE_FP64, 127.0, y, N, &draw);
        for (int i = 0; i < N; i++) {
            ck_assert(y[i] == below[i] || y[i] == above[i]);
            n[i] += y[i] == above[i];
        }
        core_operand_quantise(&kept, CORE_FP64, large, z, N, &draw);
        ck_assert(z[0] == 127.0 || z[0] == 127.0 * (1.0 + 0x1p-10));
        n_up += z[0] > 127.0;
    }
    for (int i = 1; i < 3; i++)
        ck_assert(n[i] > DRAWS / 4 && n[i] < DRAWS * 3 / 4);
    ck_assert(n_up > DRAWS / 4 && n_up < DRAWS * 3 / 4);
}
END_TEST

START_TEST(exact_mode_keeps_its_grid)
{
    double x[] = {7.0, -3.3}, y[] = {7.0, -3.3};
    core_operand_quantise(&BY_TOKEN, CORE_EXACT, 7.0, x, 2, NULL);
    core_operand_quantise(&BY_TOKEN, CORE_FP64, 7.0, y, 2, NULL);
    for (int i = 0; i < 2; i++) {
        ck_assert(x[i] == rint(x[i] / CORE_STEP_ACT) * CORE_STEP_ACT);
        ck_assert(fabs(x[i] - y[i]) <= CORE_STEP_ACT / 2);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_operand");
    TCase *tcase = tcase_create("operand");
    tcase_add_test(tcase, fp8_numbers);
    tcase_add_test(tcase, fp4_and_int8_numbers);
    tcase_add_test(tcase, scales);
    tcase_add_test(tcase, powers);
    tcase_add_test(tcase, scales_of_two_levels);
    tcase_add_test(tcase, a_scale_that_is_kept_as_f16);
    tcase_add_test(tcase, zeros_and_what_is_no_number);
    tcase_add_test(tcase, a_draw_turns_what_is_near_a_tie);
    tcase_add_test(tcase, exact_mode_keeps_its_grid);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
