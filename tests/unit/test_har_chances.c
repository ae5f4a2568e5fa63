/* tests/unit/test_har_chances.c -- experts that a batch is expected to choose,
 * against those that the reference chose.
 */
#include "harness/verify/chances.h"
#include "harness/verify/estimate.h"
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { N_E = 64, N_K = 6 };

/* A router as DeepSeek-V3 has it. */
static core_spec deepseek_shaped(void)
{
    core_spec spec = fix_spec();
    spec.n_l = 5;
    spec.n_d = 96;
    spec.n_e = N_E;
    spec.n_k = N_K;
    spec.n_v = 512;
    spec.router = CORE_ROUTER_SIGMOID;
    spec.bias_qkv = spec.bias_o = spec.bias_router = spec.bias_ffn = false;
    spec.correction = true;
    spec.n_group = 8;
    spec.n_group_kept = 4;
    spec.group_score = CORE_GROUP_SCORE_BEST_TWO;
    ck_assert_int_eq(core_spec_validate(&spec), CORE_OK);
    return spec;
}

/* Of a layer with experts, a mean. */
static double chosen_by_reference(const core_spec *spec, const core_batch *batch)
{
    fix_taps taps = {0};
    int n_layer = 0, n_chosen = 0;
    fix_forward(spec, batch, &(fix_run){.numerics = CORE_FP64, .seed = 1},
                &taps);
    for (int l = 0; l < (int)spec->n_l; l++) {
        bool is_chosen[N_E] = {false};
        if (!core_spec_is_moe(spec, l))
            continue;
        const double *idx = fix_find(&taps, CORE_TAP_TOPK_IDX, l);
        n_layer++;
        for (int64_t i = 0; i < batch->n_b * batch->n_t * N_K; i++) {
            n_chosen += !is_chosen[(int)idx[i]];
            is_chosen[(int)idx[i]] = true;
        }
    }
    fix_free(&taps);
    return (double)n_chosen / n_layer;
}

START_TEST(as_many_experts_are_expected_as_a_batch_chooses)
{
    static const int64_t n_row[] = {3, 6, 12}, n_t = 8;
    const core_spec spec = deepseek_shaped();
    core_batch batch = fix_batch(&spec, n_row[_i], n_t);
    double *chance;
    ck_assert_int_eq(har_chances_make(&chance, &spec, 1), CORE_OK);
    const double n = (double)(n_row[_i] * n_t);
    const double found = chosen_by_reference(&spec, &batch);
    const double said = har_chosen_experts(chance, N_E, N_K, n);
    const double alike = har_chosen_experts(NULL, N_E, N_K, n);
    ck_assert_msg(fabs(said - found) < 0.15 * found,
                  "%g tokens: expected %.1f experts, found %.1f", n, said,
                  found);
    ck_assert_msg(alike > 1.15 * found, "%g tokens: %.1f alike, found %.1f", n,
                  alike, found);
    free(chance);
    core_batch_free(&batch);
}
END_TEST

START_TEST(without_a_correction_all_are_alike)
{
    core_spec spec = deepseek_shaped();
    spec.correction = false;
    double *chance = &(double){0.0};
    ck_assert_int_eq(har_chances_make(&chance, &spec, 1), CORE_OK);
    ck_assert_ptr_null(chance);
    ck_assert_double_eq_tol(har_chosen_experts(NULL, N_E, N_K, 1.0), N_K, 0.3);
    ck_assert_double_eq_tol(har_chosen_experts(NULL, N_E, N_K, 1e4), N_E, 1e-9);
}
END_TEST

/* Two experts are always chosen, one by every other token, one never. */
START_TEST(chances_of_tokens_add_up)
{
    static const double chance[] = {1.0, 1.0, 0.5, 0.0};
    ck_assert_double_eq_tol(har_chosen_experts(chance, 4, 3, 0.0), 2.0, 1e-12);
    ck_assert_double_eq_tol(har_chosen_experts(chance, 4, 3, 1.0), 2.5, 1e-12);
    ck_assert_double_eq_tol(har_chosen_experts(chance, 4, 3, 2.0), 2.75, 1e-12);
}
END_TEST

/* What is not chosen is neither made nor waited for. */
START_TEST(the_estimate_counts_experts_that_are_chosen)
{
    core_spec spec = deepseek_shaped();
    par_plan plan;
    har_estimate alike, likely;
    har_limits limits = {.memory_bytes = 0, .process_bytes = SIZE_MAX, .n_core = 2};
    limits.pace = (har_pace){1e-9, 1e-12};
    limits.rates[HAR_KERNEL_EXACT] = (har_rates){1e-6, 1e-15};
    double *chance;
    spec.n_f = 256; /* experts are most of the model */
    ck_assert_int_eq(par_plan_parse(&plan, "tp=2,ep=2"), CORE_OK);
    ck_assert_int_eq(har_chances_make(&chance, &spec, 1), CORE_OK);
    ck_assert_int_eq(har_estimate_make(&alike, &spec, &plan, 3, 8, CORE_EXACT,
                                       PAR_ORDER_AUTO, &limits),
                     CORE_OK);
    limits.chance = chance;
    ck_assert_int_eq(har_estimate_make(&likely, &spec, &plan, 3, 8, CORE_EXACT,
                                       PAR_ORDER_AUTO, &limits),
                     CORE_OK);
    ck_assert_double_lt(likely.pass_seconds, 0.9 * alike.pass_seconds);
    ck_assert_double_lt(likely.reference_seconds,
                        0.9 * alike.reference_seconds);
    free(chance);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_chances");
    TCase *tests = tcase_create("chances");
    tcase_add_loop_test(tests, as_many_experts_are_expected_as_a_batch_chooses,
                        0, 3);
    tcase_add_test(tests, without_a_correction_all_are_alike);
    tcase_add_test(tests, chances_of_tokens_add_up);
    tcase_add_test(tests, the_estimate_counts_experts_that_are_chosen);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
