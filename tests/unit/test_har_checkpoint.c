/* tests/unit/test_har_checkpoint.c -- a kept reference is taken up by what asks
 * for the very same, and by nothing else.
 */
#include "harness/verify/checkpoint.h"
#include "tests/support/check_main.h"
#include "tests/support/scratch.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_SPREAD = 3 };

static core_spec spec;
static core_batch batch;
static har_job job;
static har_mark mark;
static har_reference_entry kept;
static har_precision spread[N_SPREAD];

static void draw_batch(int64_t n_t)
{
    core_batch_free(&batch);
    ck_assert_int_eq(core_batch_make(&batch, &spec, 4, n_t, job.seed), CORE_OK);
    if (job.is_padded)
        ck_assert_int_eq(core_batch_pad_left(&batch, &spec), CORE_OK);
    job.batch = &batch;
}

static void write_taps(const char *text)
{
    FILE *out = fopen(kept.path, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
}

static core_status ask(core_numerics numerics, int64_t n_part)
{
    return har_mark_make(&mark, kept.path, &job, numerics, n_part, NULL);
}

/* A reference of shadow-a is kept. */
static void begin(void)
{
    make_folder();
    ck_assert_int_eq(core_spec_open(&spec, "shadow-a", NULL), CORE_OK);
    job = (har_job){.spec = &spec,
                    .seed = 1,
                    .checkpoint = folder,
                    .weights_mark = "procedural"};
    draw_batch(11);
    for (int i = 0; i < N_SPREAD; i++)
        spread[i] = (har_precision){.n = i + 0.1, .sum_lag = -1e-300 * i};
    ck_assert_int_eq(ask(CORE_BF16, 2), CORE_OK);
    kept.n_redraw = 2;
    kept.is_telling = true;
    kept.spread = spread;
    kept.stats = (ref_stats){.cpu_seconds = 0.1, .bits = 33.5, .exact = true};
    snprintf(kept.vacuity, sizeof kept.vacuity, "why not");
    write_taps("taps");
    ck_assert_int_eq(har_checkpoint_store(&kept, &mark, N_SPREAD), CORE_OK);
}

static void end(void)
{
    core_batch_free(&batch);
    remove_folder();
}

/* The path as it was kept: a name must not be what tells references apart. */
static core_status load(har_reference_entry *out, bool *found)
{
    core_message_clear();
    *out = (har_reference_entry){0};
    memcpy(out->path, kept.path, sizeof out->path);
    return har_checkpoint_load(out, &mark, N_SPREAD, found);
}

static void expect_foreign(const char *field)
{
    har_reference_entry out;
    char kept_path[HAR_PATH_BYTES], text[64];
    bool found;
    memcpy(kept_path, kept.path, sizeof kept_path);
    ck_assert_int_eq(ask(CORE_BF16, 2), CORE_OK);
    memcpy(kept.path, kept_path, sizeof kept_path);
    ck_assert_int_eq(load(&out, &found), CORE_E_INPUT);
    snprintf(text, sizeof text, "made for another %s: expected '", field);
    ck_assert_msg(strstr(core_message(), text) != NULL, "%s", core_message());
}

START_TEST(what_was_kept_comes_back)
{
    har_reference_entry out;
    bool found;
    ck_assert_int_eq(load(&out, &found), CORE_OK);
    ck_assert(found && out.is_telling && out.stats.exact);
    ck_assert_int_eq(out.n_redraw, 2);
    ck_assert(out.stats.cpu_seconds == 0.1 && out.stats.bits == 33.5);
    ck_assert_str_eq(out.vacuity, "why not");
    ck_assert(memcmp(out.spread, spread, sizeof spread) == 0);
    free(out.spread);
}
END_TEST

START_TEST(another_model_is_foreign)
{
    spec.n_l = 3;
    expect_foreign("model");
    spec.n_l = 7;
    spec.norm_eps *= 2.0;
    expect_foreign("model");
}
END_TEST

START_TEST(other_weights_are_foreign)
{
    job.weights_mark = "procedural, but for a word";
    expect_foreign("weights");
}
END_TEST

START_TEST(another_batch_is_foreign)
{
    draw_batch(12);
    expect_foreign("batch");
    job.seed = 2;
    draw_batch(11);
    expect_foreign("batch");
    job.seed = 1;
    job.is_padded = true;
    draw_batch(11);
    expect_foreign("batch");
}
END_TEST

/* The same shape and seed: what is in it counts. */
START_TEST(a_token_makes_another_batch)
{
    int64_t *ids = (int64_t *)(uintptr_t)batch.ids;
    ids[40] = (ids[40] + 1) % spec.n_v;
    expect_foreign("batch");
}
END_TEST

START_TEST(other_groups_and_numerics_are_foreign_under_any_name)
{
    char kept_path[HAR_PATH_BYTES];
    har_reference_entry out;
    bool found;
    memcpy(kept_path, kept.path, sizeof kept_path);
    ck_assert_int_eq(ask(CORE_BF16, 4), CORE_OK);
    ck_assert_str_ne(kept.path, kept_path);
    memcpy(kept.path, kept_path, sizeof kept_path);
    ck_assert_int_eq(load(&out, &found), CORE_E_INPUT);
    ck_assert_ptr_nonnull(strstr(core_message(), "another groups"));
    ck_assert_int_eq(ask(CORE_FP32, 2), CORE_OK);
    ck_assert_str_ne(kept.path, kept_path);
    memcpy(kept.path, kept_path, sizeof kept_path);
    ck_assert_int_eq(load(&out, &found), CORE_E_INPUT);
    ck_assert_ptr_nonnull(strstr(core_message(), "another numerics"));
}
END_TEST

START_TEST(other_routing_is_foreign)
{
    int64_t expert[44 * 8] = {0}, id[44] = {0};
    double weight[44 * 8] = {0};
    const par_deal deal = {4, 11, expert, weight, id, 0};
    char a[HAR_PATH_BYTES], b[HAR_PATH_BYTES];
    har_mark other;
    ck_assert_int_le(spec.n_k, 8);
    ck_assert_int_eq(har_mark_make(&mark, a, &job, CORE_BF16, 2, &deal),
                     CORE_OK);
    weight[43 * spec.n_k] = 0.5;
    ck_assert_int_eq(har_mark_make(&other, b, &job, CORE_BF16, 2, &deal),
                     CORE_OK);
    ck_assert_str_ne(a, b);
    ck_assert(memcmp(&mark, &other, sizeof mark) != 0);
}
END_TEST

/* Two plans may deal the same to other token groups: each has its own file, or
 * the second one would be refused.                                           */
START_TEST(the_same_routing_of_other_groups_lies_beside)
{
    int64_t expert[44 * 8] = {0}, id[44] = {0};
    double weight[44 * 8] = {0};
    const par_deal deal = {4, 11, expert, weight, id, 0};
    char a[HAR_PATH_BYTES], b[HAR_PATH_BYTES];
    ck_assert_int_eq(har_mark_make(&mark, a, &job, CORE_BF16, 2, &deal),
                     CORE_OK);
    ck_assert_int_eq(har_mark_make(&mark, b, &job, CORE_BF16, 4, &deal),
                     CORE_OK);
    ck_assert_str_ne(a, b);
}
END_TEST

START_TEST(damage_is_seen)
{
    har_reference_entry out;
    bool found;
    write_taps("tapz");
    ck_assert_int_eq(load(&out, &found), CORE_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(core_message(), "damaged: expected XXH3"));
    unlink(kept.path);
    ck_assert_int_eq(load(&out, &found), CORE_E_FILE);
    write_taps("taps");
    ck_assert_int_eq(har_checkpoint_load(&kept, &mark, N_SPREAD + 1, &found),
                     CORE_E_FORMAT);
}
END_TEST

START_TEST(taps_without_facts_are_none)
{
    har_reference_entry out;
    char facts[HAR_PATH_BYTES];
    bool found;
    snprintf(facts, sizeof facts, "%s/reference-bf16-2.facts", folder);
    ck_assert_int_eq(unlink(facts), 0);
    ck_assert_int_eq(load(&out, &found), CORE_OK);
    ck_assert(!found);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_checkpoint");
    TCase *tests = tcase_create("checkpoint");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, what_was_kept_comes_back);
    tcase_add_test(tests, another_model_is_foreign);
    tcase_add_test(tests, other_weights_are_foreign);
    tcase_add_test(tests, another_batch_is_foreign);
    tcase_add_test(tests, a_token_makes_another_batch);
    tcase_add_test(tests, other_groups_and_numerics_are_foreign_under_any_name);
    tcase_add_test(tests, other_routing_is_foreign);
    tcase_add_test(tests, the_same_routing_of_other_groups_lies_beside);
    tcase_add_test(tests, damage_is_seen);
    tcase_add_test(tests, taps_without_facts_are_none);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
