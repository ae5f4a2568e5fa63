/* tests/unit/test_har_estimate.c -- what is said before a run. */
#include "harness/verify/estimate.h"
#include "harness/verify/pace.h"
#include "harness/verify/rates.h"
#include "harness/words/words.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const har_limits ROOMY = {
    .memory_bytes = (size_t)1 << 40, .process_bytes = SIZE_MAX, .n_core = 2};

static core_spec spec_of(const char *name)
{
    core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, name, NULL), CORE_OK);
    return spec;
}

static par_plan plan_of(const char *text)
{
    par_plan plan;
    ck_assert_int_eq(par_plan_parse(&plan, text), CORE_OK);
    return plan;
}

static har_estimate estimate_of(const char *model, const char *text)
{
    const core_spec spec = spec_of(model);
    const par_plan plan = plan_of(text);
    har_estimate e;
    ck_assert_int_eq(
        har_estimate_make(&e, &spec, &plan, 16, 16, CORE_EXACT, PAR_ORDER_AUTO,
                          &ROOMY),
        CORE_OK);
    return e;
}

START_TEST(splitting_a_model_shrinks_the_largest_rank)
{
    const har_estimate whole = estimate_of("seed-mini", "tp=1");
    const har_estimate parts = estimate_of("seed-mini", "seed-32");
    ck_assert(parts.largest_rank_bytes * 8 < whole.largest_rank_bytes);
    ck_assert(parts.held_bytes > 0 && parts.least_bytes > parts.held_bytes);
    ck_assert(whole.reference_bytes == parts.reference_bytes);
}
END_TEST

/* Weights as dear as told, products as good as free. */
static har_estimate with_weights_at(double seconds, const char *model,
                                    const char *text, size_t budget[3])
{
    const core_spec spec = spec_of(model);
    const par_plan plan = plan_of(text);
    const har_rates rates = {.weight_seconds = seconds, .flop_seconds = 1e-15};
    har_limits limits = ROOMY;
    har_estimate e;
    for (int i = 0; i < HAR_N_KERNELS; i++)
        limits.rates[i] = rates;
    ck_assert_int_eq(
        har_estimate_make(&e, &spec, &plan, 16, 16, CORE_FP32, PAR_ORDER_AUTO,
                          &limits),
        CORE_OK);
    har_rank_budget(budget, &e, &plan, ROOMY.memory_bytes, 0);
    return e;
}

/* Every micro-batch would make them once more: in exact mode none does. */
START_TEST(weights_are_kept_where_making_them_is_dear)
{
    size_t dear_budget[3], cheap_budget[3];
    const har_estimate dear =
        with_weights_at(1e-6, "seed-mini", "seed-32", dear_budget);
    const har_estimate cheap =
        with_weights_at(1e-12, "seed-mini", "seed-32", cheap_budget);
    ck_assert(dear.ranks_keep && dear.is_resident);
    ck_assert(!cheap.ranks_keep && !cheap.is_resident);
    ck_assert_uint_gt(dear_budget[0], 0);
    ck_assert_uint_gt(dear_budget[1], 0);
    ck_assert_uint_eq(cheap_budget[0], 0);
    ck_assert_uint_eq(cheap_budget[1], 0);
    ck_assert_uint_gt(dear.all_ranks_bytes, 2 * cheap.all_ranks_bytes);
}
END_TEST

/* What rates are measured does not decide about a few mebibytes. */
START_TEST(few_weights_are_kept_in_any_case)
{
    size_t budget[3];
    const har_estimate e =
        with_weights_at(1e-12, "shadow-a", "tp=2,mb=2", budget);
    ck_assert(e.ranks_keep && e.is_resident && e.reference_keeps);
    ck_assert_uint_gt(budget[0], 0);
}
END_TEST

/* Twice the price is more time, and not more than twice. */
START_TEST(the_price_of_a_weight_is_in_the_time)
{
    size_t budget[3];
    const har_estimate one =
        with_weights_at(1e-6, "seed-mini", "seed-32", budget);
    const har_estimate two =
        with_weights_at(2e-6, "seed-mini", "seed-32", budget);
    ck_assert(two.reference_seconds > 1.9 * one.reference_seconds);
    ck_assert(two.reference_seconds < 2.0 * one.reference_seconds);
    ck_assert(two.pass_seconds > 1.5 * one.pass_seconds);
    ck_assert(two.pass_seconds < 2.0 * one.pass_seconds);
}
END_TEST

static har_estimate with_floats_at(double seconds, core_numerics numerics)
{
    const core_spec spec = spec_of("seed-mini");
    const par_plan plan = plan_of("tp=2");
    har_limits limits = ROOMY;
    har_estimate e;
    for (int i = 0; i < HAR_N_KERNELS; i++)
        limits.rates[i] = (har_rates){1e-6, 1e-15};
    limits.rates[HAR_KERNEL_FLOATS].weight_seconds = seconds;
    ck_assert_int_eq(har_estimate_make(&e, &spec, &plan, 16, 16, numerics,
                                       PAR_ORDER_AUTO, &limits),
                     CORE_OK);
    return e;
}

/* Ranks multiply floats, the reference does not; in exact numerics nobody. */
START_TEST(who_multiplies_floats_pays_for_them)
{
    const har_estimate one = with_floats_at(1e-6, CORE_FP32);
    const har_estimate two = with_floats_at(2e-6, CORE_FP32);
    ck_assert(two.pass_seconds > 1.9 * one.pass_seconds);
    ck_assert(two.reference_seconds == one.reference_seconds);
    ck_assert(with_floats_at(2e-6, CORE_EXACT).seconds ==
              with_floats_at(1e-6, CORE_EXACT).seconds);
    ck_assert(with_floats_at(2e-6, CORE_FP64).seconds ==
              with_floats_at(1e-6, CORE_FP64).seconds);
}
END_TEST

START_TEST(rates_are_measured_of_what_the_numerics_multiply)
{
    const core_spec spec = spec_of("shadow-a");
    const core_numerics numerics[] = {CORE_EXACT, CORE_FP64, CORE_FP32};
    static const bool measured[][HAR_N_KERNELS] = {
        {true, false, false}, {false, true, false}, {false, true, true}};
    for (int i = 0; i < 3; i++) {
        har_limits limits = ROOMY;
        har_rates_measure(&limits, &spec, &numerics[i], 1);
        for (int k = 0; k < HAR_N_KERNELS; k++)
            ck_assert_int_eq(limits.rates[k].weight_seconds > 0.0,
                             measured[i][k]);
    }
}
END_TEST

/* What they need is asked for where it saves weights, kept or not. */
START_TEST(micro_batches_have_room_where_that_helps)
{
    const par_plan plan = plan_of("seed-32");
    har_estimate e = {.joins = true};
    size_t budget[3];
    har_rank_budget(budget, &e, &plan, (size_t)32 << 30, 0);
    ck_assert_uint_eq(budget[0] + budget[1], 0);
    ck_assert_uint_gt(budget[2], (size_t)900 << 20);
    e.joins = false;
    har_rank_budget(budget, &e, &plan, (size_t)32 << 30, 0);
    ck_assert_uint_eq(budget[2], 0);
}
END_TEST

static double pass_on(const char *text, par_order order, core_numerics numerics,
                      const har_limits *limits)
{
    const core_spec spec = spec_of("seed-mini");
    const par_plan plan = plan_of(text);
    har_estimate e;
    ck_assert_int_eq(har_estimate_make(&e, &spec, &plan, 16, 16, numerics,
                                       order, limits),
                     CORE_OK);
    ck_assert(!e.is_resident);
    return e.pass_seconds;
}

static double pass_in(par_order order, core_numerics numerics,
                      const har_limits *limits)
{
    return pass_on("seed-32", order, numerics, limits);
}

/* Weights that do not stay, and are most of the time. */
START_TEST(the_plans_order_makes_weights_for_each_micro_batch)
{
    har_limits limits = ROOMY;
    limits.memory_bytes = 0;
    limits.pace = (har_pace){1e-9, 1e-12};
    for (int i = 0; i < HAR_N_KERNELS; i++)
        limits.rates[i] = (har_rates){1e-6, 1e-15};
    const double best = pass_in(PAR_ORDER_AUTO, CORE_EXACT, &limits);
    const double plan = pass_in(PAR_ORDER_PLAN, CORE_EXACT, &limits);
    ck_assert(plan > 1.5 * best);
    ck_assert(pass_in(PAR_ORDER_LAYERS, CORE_EXACT, &limits) == best);
    ck_assert(pass_in(PAR_ORDER_AUTO, CORE_FP32, &limits) ==
              pass_in(PAR_ORDER_PLAN, CORE_FP32, &limits));
}
END_TEST

/* An expert that all token groups share is made once for all of them; two copies
 * are made by each; all other weights by every replica for every micro-batch.  */
START_TEST(weights_are_counted_where_they_are_made)
{
    har_limits limits = ROOMY;
    limits.memory_bytes = 0;
    limits.pace = (har_pace){1e-9, 1e-12};
    limits.rates[HAR_KERNEL_EXACT] = (har_rates){1e-6, 1e-15};
    const double shared =
        pass_on("tp=2,dp=2,ep=4", PAR_ORDER_PLAN, CORE_EXACT, &limits);
    const double copied =
        pass_on("tp=2,dp=2,ep=2", PAR_ORDER_PLAN, CORE_EXACT, &limits);
    const double joined =
        pass_on("tp=2,dp=2,ep=4,mb=8", PAR_ORDER_LAYERS, CORE_EXACT, &limits);
    ck_assert(copied > 1.6 * shared && copied < 2.0 * shared);
    ck_assert(joined > 1.1 * shared && joined < 2.0 * shared);
    ck_assert(pass_on("tp=2,dp=2,ep=2,scope=replica", PAR_ORDER_PLAN,
                      CORE_EXACT, &limits) == copied);
}
END_TEST

START_TEST(starts_and_messages_take_what_was_measured)
{
    har_limits slow = ROOMY, slower = ROOMY;
    slow.memory_bytes = slower.memory_bytes = 0;
    slow.rates[HAR_KERNEL_EXACT] = slower.rates[HAR_KERNEL_EXACT] =
        (har_rates){1e-12, 1e-15};
    slow.pace = (har_pace){0.5, 0.25};
    slower.pace = (har_pace){1.0, 0.5};
    ck_assert(har_start_seconds(8, &slow) == 2.0 * har_start_seconds(4, &slow));
    ck_assert(har_start_seconds(4, &slower) ==
              2.0 * har_start_seconds(4, &slow));
    const double ratio = pass_in(PAR_ORDER_AUTO, CORE_EXACT, &slower) /
                         pass_in(PAR_ORDER_AUTO, CORE_EXACT, &slow);
    ck_assert(ratio > 1.99 && ratio <= 2.0);
}
END_TEST

START_TEST(a_message_takes_time)
{
    har_limits limits = ROOMY;
    har_pace_measure(&limits, 0.25);
    ck_assert(limits.pace.start_seconds == 0.25);
    ck_assert(limits.pace.message_seconds > 0.0);
}
END_TEST

static int threads_with(size_t addresses, size_t files)
{
    const core_spec spec = spec_of("shadow-a");
    har_limits limits = ROOMY;
    limits.n_core = 4;
    limits.process_bytes = addresses;
    return har_reference_threads(&spec, CORE_EXACT, 4, 11, &limits, files);
}

/* With few addresses one thread makes the reference, and that is what is asked
 * for.                                                                       */
START_TEST(threads_of_the_reference_are_as_many_as_addresses_allow)
{
    const core_spec spec = spec_of("shadow-a");
    const par_plan plan = plan_of("tp=2");
    har_estimate e;
    ck_assert_int_eq(har_estimate_make(&e, &spec, &plan, 4, 11, CORE_EXACT,
                                       PAR_ORDER_AUTO, &ROOMY),
                     CORE_OK);
    const size_t one = e.address_bytes, more = HAR_THREAD_ADDRESSES;
    const size_t tile = (size_t)20 << 20; /* more than one of so small a model */
    ck_assert_int_eq(threads_with(SIZE_MAX, 0), 4);
    ck_assert_int_eq(threads_with(one, 0), 1);
    ck_assert_int_eq(threads_with(one + more + tile, 0), 2);
    ck_assert_int_eq(threads_with(one + more + tile, more), 1);
    ck_assert_int_eq(threads_with(0, 0), 1);
}
END_TEST

/* Of a plan on four processors, ulimit -v or not. */
static har_estimate on_four(const char *text, size_t addresses)
{
    const core_spec spec = spec_of("shadow-a");
    const par_plan plan = plan_of(text);
    har_limits limits = ROOMY;
    har_estimate e;
    limits.n_core = 4;
    limits.process_bytes = addresses;
    limits.pace = (har_pace){1e-12, 1e-12};
    ck_assert_int_eq(har_estimate_make(&e, &spec, &plan, 4, 11, CORE_FP32,
                                       PAR_ORDER_AUTO, &limits),
                     CORE_OK);
    return e;
}

/* One rank has four threads there, and under ulimit -v one; of two each has two. */
START_TEST(threads_of_ranks_count)
{
    const size_t addresses = (size_t)1 << 40;
    const har_estimate four = on_four("tp=1", SIZE_MAX);
    const har_estimate one = on_four("tp=1", addresses);
    const har_estimate pair = on_four("tp=2", SIZE_MAX);
    const har_estimate two = on_four("tp=2", addresses);
    ck_assert(fabs(one.pass_seconds / four.pass_seconds - 4.0) < 1e-3);
    ck_assert(fabs(two.pass_seconds / pair.pass_seconds - 2.0) < 1e-3);
    ck_assert_uint_gt(four.all_ranks_bytes,
                      one.all_ranks_bytes + ((size_t)3 << 20));
}
END_TEST

static size_t tap_bytes_in(core_numerics numerics)
{
    const core_spec spec = spec_of("shadow-a");
    const par_plan plan = plan_of("tp=2");
    har_estimate e;
    ck_assert_int_eq(
        har_estimate_make(&e, &spec, &plan, 4, 11, numerics, PAR_ORDER_AUTO,
                          &ROOMY), CORE_OK);
    return e.tap_bytes;
}

/* Values of 8, 8, 4 and 4 bytes; all but exact have bounds of 4 beside them. */
START_TEST(bounds_take_room_beside_the_values)
{
    const size_t exact = tap_bytes_in(CORE_EXACT);
    ck_assert_uint_eq(tap_bytes_in(CORE_FP32), exact);
    ck_assert_uint_eq(tap_bytes_in(CORE_BF16), exact);
    ck_assert_uint_gt(tap_bytes_in(CORE_FP64), exact + exact / 3);
    ck_assert_uint_lt(tap_bytes_in(CORE_FP64), exact + exact / 2);
}
END_TEST

START_TEST(figures_grow_with_the_model)
{
    const har_estimate small = estimate_of("seed-mini", "seed-32");
    const har_estimate large = estimate_of("seed-30b", "seed-32");
    ck_assert(large.largest_rank_bytes > 100 * small.largest_rank_bytes);
    ck_assert(large.tap_bytes > small.tap_bytes);
    ck_assert(large.seconds > small.seconds && small.seconds > 0.0);
}
END_TEST

START_TEST(the_default_batch_has_a_row_for_every_part)
{
    const core_spec spec = spec_of("seed-mini");
    const par_plan plans[2] = {plan_of("tp=2"), plan_of("seed-32")};
    int64_t n_b, n_t;
    ck_assert_int_eq(har_default_batch(&spec, plans, 2, &n_b, &n_t), CORE_OK);
    ck_assert_int_eq(n_b, 16);
    ck_assert_int_ge(n_t, 2);
    ck_assert_int_eq(har_default_batch(&spec, plans, 1, &n_b, &n_t), CORE_OK);
    ck_assert_int_ge(n_b, 2);
}
END_TEST

static int64_t default_tokens(const char *model, const char *text)
{
    const core_spec spec = spec_of(model);
    const par_plan plan = plan_of(text);
    int64_t n_b, n_t;
    ck_assert_int_eq(har_default_batch(&spec, &plan, 1, &n_b, &n_t), CORE_OK);
    return n_b * n_t;
}

/* Each of 16 sets of 26 experts needs a token for each; slots alone are content
 * with 8 rows of 32.  What is not affordable is not begun.                   */
START_TEST(the_default_batch_is_enough_for_an_exercise)
{
    ck_assert_int_eq(default_tokens("shadow-b", "dp=8,ep=2,tp=2"), 8 * 32);
    ck_assert_int_eq(default_tokens("shadow-b", "dp=8,tp=2"), 8 * 64);
    ck_assert_int_eq(default_tokens("shadow-b", "dp=100,tp=2"), 100 * 32);
}
END_TEST

START_TEST(an_exercise_takes_less_than_the_batch)
{
    const core_spec spec = spec_of("seed-mini");
    const par_plan plan = plan_of("seed-32");
    har_estimate e, with;
    ck_assert_int_eq(
        har_estimate_make(&e, &spec, &plan, 16, 64, CORE_EXACT, PAR_ORDER_AUTO,
                          &ROOMY),
        CORE_OK);
    with = e;
    ck_assert_int_eq(
        har_estimate_exercise(&with, &spec, &plan, 16, 64, CORE_EXACT, PAR_ORDER_AUTO,
                          &ROOMY),
        CORE_OK);
    ck_assert_uint_gt(with.tap_bytes, e.tap_bytes);
    ck_assert_uint_lt(with.tap_bytes, e.tap_bytes + e.tap_bytes / 4);
    ck_assert(with.seconds > e.seconds && with.seconds < 2.0 * e.seconds);
}
END_TEST

START_TEST(operations_are_linear_in_tokens)
{
    const core_spec spec = spec_of("seed-30b");
    const double one = har_forward_flops(&spec, 16, 16);
    ck_assert(one > 2.0 * 16.0 * 5e8 && one < 2.0 * 16.0 * 7e8);
    ck_assert(har_forward_flops(&spec, 32, 16) == 2.0 * one);
}
END_TEST

START_TEST(bytes_are_readable)
{
    char text[16];
    ck_assert_str_eq(har_format_bytes(12, text), "12 B");
    ck_assert_str_eq(har_format_bytes(1536, text), "1.5 KiB");
    ck_assert_str_eq(har_format_bytes((size_t)3 << 40, text), "3.0 TiB");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_estimate");
    TCase *tests = tcase_create("estimate");
    tcase_add_test(tests, splitting_a_model_shrinks_the_largest_rank);
    tcase_add_test(tests, weights_are_kept_where_making_them_is_dear);
    tcase_add_test(tests, few_weights_are_kept_in_any_case);
    tcase_add_test(tests, the_price_of_a_weight_is_in_the_time);
    tcase_add_test(tests, who_multiplies_floats_pays_for_them);
    tcase_add_test(tests, rates_are_measured_of_what_the_numerics_multiply);
    tcase_add_test(tests, micro_batches_have_room_where_that_helps);
    tcase_add_test(tests, the_plans_order_makes_weights_for_each_micro_batch);
    tcase_add_test(tests, weights_are_counted_where_they_are_made);
    tcase_add_test(tests, starts_and_messages_take_what_was_measured);
    tcase_add_test(tests, a_message_takes_time);
    tcase_add_test(tests,
                   threads_of_the_reference_are_as_many_as_addresses_allow);
    tcase_add_test(tests, threads_of_ranks_count);
    tcase_add_test(tests, bounds_take_room_beside_the_values);
    tcase_add_test(tests, figures_grow_with_the_model);
    tcase_add_test(tests, the_default_batch_has_a_row_for_every_part);
    tcase_add_test(tests, the_default_batch_is_enough_for_an_exercise);
    tcase_add_test(tests, an_exercise_takes_less_than_the_batch);
    tcase_add_test(tests, operations_are_linear_in_tokens);
    tcase_add_test(tests, bytes_are_readable);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
