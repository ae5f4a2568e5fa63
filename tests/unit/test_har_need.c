/* tests/unit/test_har_need.c -- what is refused before a run, and what would
 * fit instead.  Each remedy is carried out: it must be accepted.
 */
#include "harness/verify/need.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const core_numerics BOTH[2] = {CORE_EXACT, CORE_FP32};

static core_spec spec;
static par_plan plan;
static har_wish wish;
static har_need need;

static void begin(const char *model, const char *text)
{
    ck_assert_int_eq(core_spec_open(&spec, model, NULL), CORE_OK);
    ck_assert_int_eq(par_plan_parse(&plan, text), CORE_OK);
    wish = (har_wish){&spec, &plan, 1, BOTH, 1, 16, 64, PAR_ORDER_AUTO,
                      false, NULL};
}

static har_limits limits_of(size_t memory)
{
    return (har_limits){
        .memory_bytes = memory, .process_bytes = SIZE_MAX, .n_core = 2};
}

static bool in_memory(const char *folder, size_t bytes)
{
    (void)folder;
    return bytes > 0;
}

static bool on_disk(const char *folder, size_t bytes)
{
    (void)folder;
    return bytes == 0;
}

static core_status check(size_t memory, har_in_memory *where)
{
    const har_limits limits = limits_of(memory);
    core_message_clear();
    ck_assert_int_eq(har_need_make(&need, NULL, &wish, &limits), CORE_OK);
    return har_need_check(&need, &wish, &limits, where);
}

/* The number after `option` in the message. */
static long told(const char *option)
{
    const char *at = strstr(core_message(), option);
    ck_assert_msg(at != NULL, "no %s in: %s", option, core_message());
    return atol(at + strlen(option));
}

START_TEST(what_is_needed_is_enough_and_less_is_not)
{
    begin("seed-mini", "seed-32");
    (void)check(1, in_memory);
    const size_t all = need.least_bytes + need.folder_bytes;
    ck_assert_int_eq(check(all, in_memory), CORE_OK);
    ck_assert_int_eq(check(all - 1, in_memory), CORE_E_MEMORY);
    ck_assert_ptr_nonnull(strstr(core_message(), "seed-mini on tp=4"));
    ck_assert_int_eq(check(need.least_bytes, on_disk), CORE_OK);
    ck_assert_int_eq(check(need.least_bytes - 1, on_disk), CORE_E_MEMORY);
}
END_TEST

START_TEST(weights_that_could_be_kept_are_no_need)
{
    begin("seed-30b", "tp=4,pp=2,ep=8,scope=replica,mb=2");
    spec.n_l = 2;
    (void)check(1, on_disk);
    ck_assert_uint_lt(need.least_bytes, (size_t)3 << 30);
    ck_assert_int_gt(core_spec_parameters(&spec) * 8, INT64_C(20) << 30);
}
END_TEST

/* Inner columns of experts and logits exist of some rows at a time. */
START_TEST(long_rows_fit)
{
    begin("seed-30b", "seed-32,mb=1");
    spec.n_l = 4;
    wish.n_b = 2;
    wish.n_t = 10240;
    ck_assert_int_eq(check((size_t)18 << 30, on_disk), CORE_OK);
}
END_TEST

START_TEST(addresses_are_refused_apart)
{
    begin("seed-mini", "tp=2");
    har_limits limits = limits_of((size_t)1 << 40);
    ck_assert_int_eq(har_need_make(&need, NULL, &wish, &limits), CORE_OK);
    limits.process_bytes = need.address_bytes;
    ck_assert_int_eq(har_need_check(&need, &wish, &limits, on_disk), CORE_OK);
    limits.process_bytes--;
    ck_assert_int_eq(har_need_check(&need, &wish, &limits, on_disk),
                     CORE_E_MEMORY);
    ck_assert_ptr_nonnull(strstr(core_message(), "ulimit -v allows"));
}
END_TEST

START_TEST(files_of_numerics_and_plans_add_up_if_they_are_kept)
{
    begin("seed-mini", "tp=2");
    (void)check((size_t)1 << 40, in_memory);
    const size_t one = need.folder_bytes;
    wish.n_numerics = 2;
    (void)check((size_t)1 << 40, in_memory);
    ck_assert_uint_lt(need.folder_bytes, one + one / 2);
    wish.keeps_files = true;
    (void)check((size_t)1 << 40, in_memory);
    ck_assert_uint_gt(need.folder_bytes, one + one / 2);
}
END_TEST

START_TEST(one_numerics_is_the_smallest_change)
{
    begin("seed-mini", "tp=2");
    (void)check(1, in_memory);
    const size_t one = need.least_bytes + need.folder_bytes;
    wish.n_numerics = 2;
    wish.keeps_files = true;
    ck_assert_int_eq(check(one, in_memory), CORE_E_MEMORY);
    ck_assert_ptr_nonnull(strstr(core_message(), "--numerics exact alone"));
}
END_TEST

START_TEST(a_batch_that_is_told_fits)
{
    begin("seed-mini", "tp=2");
    (void)check(1, in_memory);
    const size_t half = need.least_bytes / 2 + need.folder_bytes / 2;
    ck_assert_int_eq(check(half, in_memory), CORE_E_MEMORY);
    wish.n_t = told("--batch 16x");
    ck_assert_int_gt(wish.n_t, 0);
    ck_assert_int_eq(check(half, in_memory), CORE_OK);
    wish.n_t *= 2;
    ck_assert_int_eq(check(half, in_memory), CORE_E_MEMORY);
}
END_TEST

/* Of many ranks, each watches the taps of all layers. */
START_TEST(layers_that_are_told_fit)
{
    begin("seed-mini", "tp=8,dp=4");
    wish.n_t = 1;
    spec.n_l = 8;
    (void)check(1, on_disk);
    const size_t few = need.least_bytes;
    spec.n_l = 16;
    ck_assert_int_eq(check(few, on_disk), CORE_E_MEMORY);
    ck_assert_int_eq(told("--layers "), 8);
    spec.n_l = 8;
    ck_assert_int_eq(check(few, on_disk), CORE_OK);
    spec.n_l = 9;
    ck_assert_int_eq(check(few, on_disk), CORE_E_MEMORY);
}
END_TEST

START_TEST(nothing_is_promised_where_nothing_fits)
{
    begin("seed-30b", "seed-32");
    ck_assert_int_eq(check((size_t)32 << 20, on_disk), CORE_E_MEMORY);
    ck_assert_ptr_nonnull(strstr(core_message(), "no batch and no number of"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_need");
    TCase *tests = tcase_create("need");
    tcase_add_test(tests, what_is_needed_is_enough_and_less_is_not);
    tcase_add_test(tests, weights_that_could_be_kept_are_no_need);
    tcase_add_test(tests, long_rows_fit);
    tcase_add_test(tests, addresses_are_refused_apart);
    tcase_add_test(tests, files_of_numerics_and_plans_add_up_if_they_are_kept);
    tcase_add_test(tests, one_numerics_is_the_smallest_change);
    tcase_add_test(tests, a_batch_that_is_told_fits);
    tcase_add_test(tests, layers_that_are_told_fit);
    tcase_add_test(tests, nothing_is_promised_where_nothing_fits);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
