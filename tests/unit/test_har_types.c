/* test_har_types.c -- narrow types: what products of them take on machines that
 * have units for them and that have none, and what a rank holds.
 */
#include "harness/perf/machine/record_time.h"
#include "harness/perf/predict/predict.h"
#include "tests/support/check_main.h"

#include "core/model/config.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static core_types types_of(const char *text)
{
    core_types out;
    ck_assert_msg(core_types_parse(&out, text) == CORE_OK, "%s: %s", text,
                  core_message());
    return out;
}

static har_machine machine_of(const char *name)
{
    har_machine m;
    ck_assert_msg(har_machine_open(&m, name) == CORE_OK, "%s", core_message());
    return m;
}

static void near(double found, double expected, double relative)
{
    ck_assert_msg(fabs(found - expected) <= relative * expected,
                  "found %.9g, expected %.9g", found, expected);
}

/* --- units --- */

START_TEST(products_run_in_the_units_that_there_are)
{
    static const struct {
        const char *machine, *types;
        int unit;
        bool is_unpacked;
    } of[] = {{"a100-sxm", "fp8", CORE_DTYPE_BF16, true},
              {"a100-sxm", "int8", CORE_DTYPE_I8, false},
              {"a100-sxm", "mxfp4", CORE_DTYPE_BF16, true},
              {"h100-sxm", "fp8", CORE_DTYPE_F8_E4M3, false},
              {"h100-sxm", "nvfp4", CORE_DTYPE_F8_E4M3, true},
              {"h100-sxm", "w=mxfp4+act=fp8", CORE_DTYPE_F8_E4M3, true},
              {"h100-sxm", "w=fp8+act=fp16", CORE_DTYPE_F16, true},
              {"b200-sxm", "nvfp4", HAR_UNIT_F4, false},
              {"b200-sxm", "w=mxfp4+act=fp8", CORE_DTYPE_F8_E4M3, true},
              {"b200-sxm", "int4", CORE_DTYPE_BF16, true},
              {"b200-sxm", "bf16", CORE_DTYPE_BF16, false}};
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        const har_machine m = machine_of(of[i].machine);
        const core_types t = types_of(of[i].types);
        const har_operands o = har_operands_of(&m, &t, t.w);
        ck_assert_msg(o.unit == of[i].unit &&
                          o.is_unpacked == of[i].is_unpacked,
                      "%s on %s: %s", of[i].types, of[i].machine,
                      har_unit_name(o.unit));
    }
}
END_TEST

/* Activations that no unit takes narrow are not made narrow. */
START_TEST(operands_have_their_bytes)
{
    const har_machine a100 = machine_of("a100-sxm"),
                      h100 = machine_of("h100-sxm");
    const core_types f8 = types_of("fp8");
    const har_operands plain = har_operands_of(&a100, &f8, f8.w);
    const har_operands narrow = har_operands_of(&h100, &f8, f8.w);
    ck_assert(plain.a == 2 && plain.out == 2);
    near(plain.b, 1, 1e-3);
    near(narrow.a, 1 + 4.0 / 128, 1e-9);
    ck_assert(narrow.out == 2);
}
END_TEST

/* One row times 4096 x 65536: weights bound it, whatever multiplies. */
START_TEST(few_rows_take_the_time_of_their_weights)
{
    const har_machine m = machine_of("h100-sxm");
    const core_types wide = types_of("bf16"), mx = types_of("mxfp4");
    const har_operands a = har_operands_of(&m, &wide, wide.w),
                       b = har_operands_of(&m, &mx, mx.w);
    const double n = 65536, k = 16384;
    const double of_a = har_time_product(&m, &a, 1, n, k).seconds;
    const double of_b = har_time_product(&m, &b, 1, n, k).seconds;
    ck_assert_msg(of_b < 0.4 * of_a && of_b > 4.25 / 16 * of_a, "%g of %g",
                  of_b, of_a);
    const har_uneven rows = {.all = 2, .most = 1, .n_some = 2, .n_group = 2};
    const double of_2a =
        har_time_uneven_product(&m, &a, &rows, 2, n, k).seconds;
    const double of_2b =
        har_time_uneven_product(&m, &b, &rows, 2, n, k).seconds;
    ck_assert_msg(of_2b < 0.4 * of_2a && of_2b > 4.25 / 16 * of_2a, "%g of %g",
                  of_2b, of_2a);
}
END_TEST

/* Many rows: twice the units' rate, or the plain one and unpacking on top. */
START_TEST(many_rows_take_the_time_of_their_units)
{
    const har_machine m = machine_of("h100-sxm"), a100 = machine_of("a100-sxm");
    const core_types wide = types_of("bf16"), f8 = types_of("fp8"),
                     mx = types_of("mxfp4");
    const har_operands plain = har_operands_plain(wide.dtype);
    const har_operands eight = har_operands_of(&m, &f8, f8.w);
    const har_operands four = har_operands_of(&a100, &mx, mx.w);
    const double n = 16384;
    const double of_plain = har_time_product(&m, &plain, n, n, n).seconds;
    near(har_time_product(&m, &eight, n, n, n).seconds, of_plain / 2, 0.1);
    const double on_a100 = har_time_product(&a100, &plain, n, n, n).seconds;
    const double unpacked = har_time_product(&a100, &four, n, n, n).seconds;
    ck_assert_msg(unpacked > 1.02 * on_a100 && unpacked < 1.5 * on_a100,
                  "%g, not %g", unpacked, on_a100);
}
END_TEST

/* A cache that is read at half the bytes. */
START_TEST(attention_reads_the_cache_as_it_lies)
{
    const har_machine m = machine_of("h100-sxm");
    har_attention a = {.n_row = 64, .n_t = 32768, .n_h = 64, .n_g = 8,
                       .n_dh = 128, .kv_share = 1};
    const double wide = har_time_decode(&m, CORE_DTYPE_BF16, &a).seconds;
    a.kv_bytes = 1;
    near(har_time_decode(&m, CORE_DTYPE_BF16, &a).seconds, wide / 2, 0.02);
    a.n_shared = 512;
    a.n_rot = 64;
    const double narrow = har_time_decode(&m, CORE_DTYPE_BF16, &a).seconds;
    a.kv_bytes = 0;
    ck_assert(narrow < har_time_decode(&m, CORE_DTYPE_BF16, &a).seconds);
}
END_TEST

/* --- what a rank holds --- */

static har_prediction *predict(const core_spec *spec, const char *machine,
                               const char *types, int64_t n_kv)
{
    har_predictor *p;
    par_plan plan;
    const har_machine m = machine_of(machine);
    har_prediction *out = malloc(sizeof *out);
    const har_predict_case c = {.spec = spec, .plan = &plan, .n_b = 8,
                                .n_t = 1, .is_decode = true, .n_kv = n_kv,
                                .types = types_of(types)};
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(par_plan_parse(&plan, "tp=1"), CORE_OK);
    ck_assert_int_eq(har_predictor_make(&p, &m), CORE_OK);
    ck_assert_msg(har_predict(p, &c, out) == CORE_OK, "%s", core_message());
    har_predictor_free(p);
    return out;
}

/* 117e9 parameters; 36 layers x 128 experts of three matrices of 2880 x 2880 in
 * 4.25 bits, all else in 16. */
START_TEST(gpt_oss_120b_fits_a_gpu_of_80_gb)
{
    core_spec spec;
    core_config_facts facts;
    ck_assert_msg(core_config_open(&spec, &facts, NULL, GPT_OSS) == CORE_OK,
                  "%s", core_message());
    har_prediction *p = predict(&spec, "h100-sxm", "w=bf16+experts=mxfp4", 4096);
    const double experts = 36.0 * 128 * 3 * 2880 * 2880;
    const double all = (double)core_spec_parameters(&spec);
    near(p->stage[0].weights, experts * 4.25 / 8 + (all - experts) * 2, 1e-9);
    near(p->stage[0].weights, 65.2e9, 0.01);
    ck_assert(p->memory < 80e9);
    free(p);
    p = predict(&spec, "h100-sxm", "bf16", 4096);
    ck_assert(p->memory > 2 * 80e9);
    free(p);
    /* tables and routers stay wide, whatever w is: 2 x 201088 x 2880, and 36
     * routers of 128 x 2880 */
    p = predict(&spec, "h100-sxm", "w=mxfp4", 4096);
    const double attention = 36.0 * 2880 * 64 * (64 + 16 + 64);
    near(p->stage[0].weights,
         (experts + attention) * 4.25 / 8 + (all - experts - attention) * 2,
         1e-9);
    free(p);
}
END_TEST

START_TEST(a_cache_has_its_own_type)
{
    core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, "seed-mini", NULL), CORE_OK);
    har_prediction *wide = predict(&spec, "h100-sxm", "fp8", 8192);
    har_prediction *narrow = predict(&spec, "h100-sxm", "fp8+kv=fp8", 8192);
    har_prediction *four = predict(&spec, "h100-sxm", "fp8+kv=nvfp4", 8192);
    ck_assert(narrow->stage[0].kv == wide->stage[0].kv / 2);
    ck_assert(four->stage[0].kv == wide->stage[0].kv * 4.5 / 16);
    ck_assert(narrow->stage[0].weights == wide->stage[0].weights);
    ck_assert(narrow->latency.value < wide->latency.value);
    ck_assert(narrow->record_bytes < wide->record_bytes);
    free(wide);
    free(narrow);
    free(four);
}
END_TEST

/* A timer remembers times; those of other types are others. */
START_TEST(a_predictor_tells_types_apart)
{
    static const char *const text[] = {"bf16", "mxfp4", "bf16"};
    core_spec spec;
    par_plan plan;
    har_predictor *p;
    har_prediction *out = malloc(sizeof *out);
    double seconds[3];
    const har_machine m = machine_of("h100-sxm");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(core_spec_open(&spec, "seed-mini", NULL), CORE_OK);
    ck_assert_int_eq(par_plan_parse(&plan, "tp=1"), CORE_OK);
    ck_assert_int_eq(har_predictor_make(&p, &m), CORE_OK);
    for (int i = 0; i < 3; i++) {
        const har_predict_case c = {.spec = &spec, .plan = &plan, .n_b = 8,
                                    .n_t = 128, .types = types_of(text[i])};
        ck_assert_int_eq(har_predict(p, &c, out), CORE_OK);
        seconds[i] = out->latency.value;
    }
    ck_assert(seconds[0] == seconds[2]);
    ck_assert(seconds[0] != seconds[1]);
    har_predictor_free(p);
    free(out);
}
END_TEST

/* Rows go to experts as their products read them, and come back as results:
 * where no unit takes narrow values they are not made narrow.                */
START_TEST(a_dispatch_carries_what_experts_read)
{
    static const struct {
        const char *machine, *types;
        double there;
    } of[] = {{"h100-sxm", "bf16", 2},
              {"h100-sxm", "fp8", 1 + 4.0 / 128},
              {"h100-sxm", "w=fp8+act=bf16", 2},
              {"a100-sxm", "fp8", 2},
              {"h100-sxm", "w=fp8+experts=bf16+act=fp8", 2}};
    const int64_t n = 1 << 30;
    core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, "seed-mini", NULL), CORE_OK);
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        const har_machine m = machine_of(of[i].machine);
        const core_types types = types_of(of[i].types);
        core_cost c = {.kind = CORE_COST_COLLECTIVE,
                       .collective = CORE_ALL_TO_ALL,
                       .axis = CORE_AXIS_EP,
                       .group = 8,
                       .in = n,
                       .out = n,
                       .sent = n,
                       .tap = {CORE_TAP_RECV, 0}};
        har_timer t;
        har_time there, back;
        ck_assert_int_eq(har_timer_make(&t, &m), CORE_OK);
        har_timer_aim(&t, &spec, &types);
        ck_assert(har_timer_bytes(&t, &c) == (double)n * of[i].there);
        there = har_timer_ask(&t, &c, 0);
        c.tap.kind = CORE_TAP_BACK;
        ck_assert(har_timer_bytes(&t, &c) == (double)n * 2);
        back = har_timer_ask(&t, &c, 0);
        near(there.seconds / back.seconds, of[i].there / 2, 0.05);
        c.type = CORE_COST_WORDS;
        c.tap.kind = CORE_TAP_RECV;
        ck_assert(har_timer_bytes(&t, &c) == (double)n * 8);
        har_timer_free(&t);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("types");
    TCase *t = tcase_create("all");
    tcase_add_test(t, products_run_in_the_units_that_there_are);
    tcase_add_test(t, operands_have_their_bytes);
    tcase_add_test(t, few_rows_take_the_time_of_their_weights);
    tcase_add_test(t, many_rows_take_the_time_of_their_units);
    tcase_add_test(t, attention_reads_the_cache_as_it_lies);
    tcase_add_test(t, a_dispatch_carries_what_experts_read);
    tcase_add_test(t, gpt_oss_120b_fits_a_gpu_of_80_gb);
    tcase_add_test(t, a_cache_has_its_own_type);
    tcase_add_test(t, a_predictor_tells_types_apart);
    suite_add_tcase(s, t);
    return check_main(s);
}
