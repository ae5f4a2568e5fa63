/* test_core_elementary.c -- the non-linear functions against values computed
 * elsewhere (30-digit arithmetic), and the RoPE tables against their formula,
 * their grid and their fp32 form. */
#include "core/model/elementary.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

static const double TOLERANCE = 4e-16;

static void check_act(core_act act, double x, double want)
{
    const double found = core_act_apply(act, x);
    ck_assert_msg(fabs(found - want) <= TOLERANCE * (1.0 + fabs(want)),
                  "act %d at %g: %.17g, expected %.17g", (int)act, x, found,
                  want);
}

START_TEST(activations)
{
    check_act(CORE_ACT_SILU, 1.0, 0.731058578630004879);
    check_act(CORE_ACT_SILU, -2.0, -0.238405844044235112);
    check_act(CORE_ACT_GELU, 1.0, 0.841344746068542949);
    check_act(CORE_ACT_GELU, -0.5, -0.154268769362993448);
    check_act(CORE_ACT_GELU_TANH, 1.0, 0.841191990608276705);
    check_act(CORE_ACT_RELU, 3.5, 3.5);
    check_act(CORE_ACT_RELU, -3.5, 0.0);
    check_act(CORE_ACT_SIGMOID, 0.0, 0.5);
    ck_assert(core_bounded_step(0.0, 0.0) == 0.5);
    ck_assert(core_bounded_step(log(3.0), 2.0) == core_sigmoid(exp(log(3.0)) * 2.0));
    ck_assert(core_bounded_decay(-5.0, 0.5) == exp(-2.5));
    check_act(CORE_ACT_RELU2, 3.5, 12.25);
    check_act(CORE_ACT_RELU2, -3.5, 0.0);
    ck_assert(isnan(core_act_apply(CORE_ACT_RELU2, NAN)));
    for (int act = CORE_ACT_SILU; act <= CORE_ACT_RELU; act++) {
        check_act((core_act)act, 0.0, 0.0);
        ck_assert(isnan(core_act_apply((core_act)act, NAN)));
        ck_assert(fabs(core_act_apply((core_act)act, -1000.0)) <= 0.0);
        ck_assert(core_act_apply((core_act)act, 1000.0) == 1000.0);
    }
}
END_TEST

START_TEST(time_steps_have_limits)
{
    ck_assert(core_time_step(1.0, 0.0, 0.0) == core_softplus(1.0));
    ck_assert(core_time_step(-9.0, 0.25, 0.0) == 0.25);
    ck_assert(core_time_step(9.0, 0.25, 1.5) == 1.5);
    ck_assert(core_time_step(900.0, 0.25, 0.0) == 900.0);
    ck_assert(isnan(core_time_step(NAN, 0.25, 1.5)));
}
END_TEST

enum { T = 9, J = 3 };

static core_spec rope_spec(core_rope_scaling scaling)
{
    core_spec spec = {.n_h = 2, .n_dh = 2 * J};
    spec.rope = (core_rope){.theta = 10000.0,
                            .scaling = scaling,
                            .factor = 4.0,
                            .beta_fast = 32.0,
                            .beta_slow = 1.0,
                            .original_positions = 1000.0,
                            .attention_factor = 1.0,
                            .truncate = true};
    return spec;
}

static void table_of(const core_spec *spec, core_numerics numerics, int64_t n_t,
                     double *c, double *s)
{
    const core_heads heads = core_spec_heads_of(spec, 0);
    core_rope_table(&heads, numerics, n_t, c, s);
}

START_TEST(plain_and_linear_tables)
{
    for (int linear = 0; linear < 2; linear++) {
        const core_spec spec =
            rope_spec(linear ? CORE_ROPE_LINEAR : CORE_ROPE_PLAIN);
        double c[T * J], s[T * J];
        table_of(&spec, CORE_FP64, T, c, s);
        for (int t = 0; t < T; t++)
            for (int j = 0; j < J; j++) {
                const double angle =
                    t * pow(10000.0, -2.0 * j / 6.0) / (linear ? 4.0 : 1.0);
                ck_assert(fabs(c[t * J + j] - cos(angle)) <= 1e-14);
                ck_assert(fabs(s[t * J + j] - sin(angle)) <= 1e-14);
            }
    }
}
END_TEST

/* low = floor(6 ln(1000/64 pi)/(2 ln 10^4)) = 0, high = ceil(1.65..) = 2: the
 * ramp is 0, 1/2, 1, the interpolation 1, 5/8, 1/4. */
START_TEST(yarn_mixes_the_frequencies)
{
    static const double KEPT[J] = {1.0, 0.625, 0.25};
    core_spec spec = rope_spec(CORE_ROPE_YARN);
    spec.rope.attention_factor = 1.5;
    double c[T * J], s[T * J];
    table_of(&spec, CORE_FP64, T, c, s);
    for (int t = 0; t < T; t++)
        for (int j = 0; j < J; j++) {
            const double angle = t * pow(10000.0, -2.0 * j / 6.0) * KEPT[j];
            ck_assert(fabs(c[t * J + j] - 1.5 * cos(angle)) <= 1e-14);
            ck_assert(fabs(s[t * J + j] - 1.5 * sin(angle)) <= 1e-14);
        }
    spec.rope.truncate = false;
    double other[T * J];
    table_of(&spec, CORE_FP64, T, other, s);
    ck_assert(fabs(other[1 * J + 1] - c[1 * J + 1]) > 1e-6);
}
END_TEST

START_TEST(exact_tables_lie_on_their_grid)
{
    const core_spec spec = rope_spec(CORE_ROPE_PLAIN);
    double c[T * J], s[T * J], c64[T * J], s64[T * J];
    table_of(&spec, CORE_EXACT, T, c, s);
    table_of(&spec, CORE_FP64, T, c64, s64);
    for (int i = 0; i < T * J; i++) {
        const double n = c[i] / CORE_STEP_TABLE, m = s[i] / CORE_STEP_TABLE;
        ck_assert(n == nearbyint(n) && m == nearbyint(m));
        ck_assert(fabs(c[i] - c64[i]) <= CORE_STEP_TABLE / 2);
        ck_assert(fabs(s[i] - s64[i]) <= CORE_STEP_TABLE / 2);
    }
}
END_TEST

/* The angle is rounded to fp32 before the cosine is taken: far out the table
 * differs from the fp64 one by much more than its own last bit. */
START_TEST(fp32_tables_round_every_step)
{
    enum { FAR = 4000 };
    const core_spec spec = rope_spec(CORE_ROPE_PLAIN);
    double *c = malloc(FAR * J * sizeof *c), *s = malloc(FAR * J * sizeof *s);
    ck_assert(c != NULL && s != NULL);
    table_of(&spec, CORE_FP32, FAR, c, s);
    const float inverse =
        1.0f / (float)pow(10000.0, (double)(float)(2.0 / 6.0));
    double worst = 0.0;
    for (int t = 0; t < FAR; t++) {
        const float angle = (float)t * inverse;
        ck_assert(c[t * J + 1] == (double)(float)cos((double)angle));
        ck_assert(s[t * J + 1] == (double)(float)sin((double)angle));
        const double exact = cos(t * pow(10000.0, -2.0 / 6.0));
        worst = fmax(worst, fabs(c[t * J + 1] - exact));
    }
    ck_assert(worst > 1e-6 && worst < 1e-3);
    free(c);
    free(s);
}
END_TEST

START_TEST(bf16_tables_are_fp32_tables_rounded)
{
    const core_spec spec = rope_spec(CORE_ROPE_PLAIN);
    double c[T * J], s[T * J], c32[T * J], s32[T * J];
    table_of(&spec, CORE_BF16, T, c, s);
    table_of(&spec, CORE_FP32, T, c32, s32);
    core_store(CORE_BF16, CORE_GRID_ACT, c32, T * J);
    core_store(CORE_BF16, CORE_GRID_ACT, s32, T * J);
    ck_assert_mem_eq(c, c32, sizeof c);
    ck_assert_mem_eq(s, s32, sizeof s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_elementary");
    TCase *tcase = tcase_create("elementary");
    tcase_add_test(tcase, activations);
    tcase_add_test(tcase, time_steps_have_limits);
    tcase_add_test(tcase, plain_and_linear_tables);
    tcase_add_test(tcase, yarn_mixes_the_frequencies);
    tcase_add_test(tcase, exact_tables_lie_on_their_grid);
    tcase_add_test(tcase, fp32_tables_round_every_step);
    tcase_add_test(tcase, bf16_tables_are_fp32_tables_rounded);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
