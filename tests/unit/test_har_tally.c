/* test_har_tally.c -- what the lines of a run's events add up to, by hand. */
#include "harness/live/follow.h"
#include "harness/live/tally.h"
#include "tests/support/check_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Two stages of two tensor ranks; a stage's experts are cut over them. */
#define PLAN "tp=2,pp=2,etp=2"

static har_tally tally;

static core_status add(const char *line)
{
    return har_tally_add(&tally, line, strlen(line), "lines:1");
}

static void add_tick(int rank, const char *pass, double at, const char *rows)
{
    char line[512];
    snprintf(line, sizeof line,
             "{\"plan\":\"" PLAN "\",\"numerics\":\"exact\",\"pass\":\"%s\","
             "\"rank\":%d,\"tokens\":40,\"choices\":20,\"dropped\":5,"
             "\"experts\":[0,3],\"expert_rows\":[%s],\"bytes\":{\"send\":7},"
             "\"at\":%g,\"seconds\":0.5,\"wait_seconds\":0.125}",
             pass, rank, rows, at);
    ck_assert_msg(add(line) == CORE_OK, "%s", core_message());
}

START_TEST(test_figures)
{
    for (int rank = 0; rank < 4; rank++)
        add_tick(rank, "free pass", 1.0 + rank, rank < 2 ? "6,2" : "2,2");
    const har_tally_pass *p = tally.pass[0];
    ck_assert_int_eq(tally.n_pass, 1);
    ck_assert_int_eq(har_tally_tokens(p), 40);
    ck_assert(har_tally_tokens_per_second(p) == 40 / 3.5); /* from 0.5 to 4   */
    ck_assert(har_tally_dropped_share(p) == 0.25);
    ck_assert(har_tally_waiting_share(p) == 0.25);
    ck_assert(har_tally_balance(p) == (8 + 8 + 4 + 4) / (8 * 4.0));
    ck_assert_int_eq(p->n_expert, 4);
    ck_assert_int_eq(p->n_row[0], 16);
    ck_assert_int_eq(p->n_row[1], 0);
    ck_assert_int_eq(p->n_row[3], 8);
    ck_assert_int_eq(p->n_bytes[PAR_SEND], 28);
}
END_TEST

START_TEST(test_stages_dispatch)
{
    add_tick(0, "free pass", 1.0, "1,2,10,20"); /* two stages to two experts  */
    ck_assert_int_eq(tally.pass[0]->n_row[0], 11);
    ck_assert_int_eq(tally.pass[0]->n_row[3], 22);
}
END_TEST

START_TEST(test_passes_apart)
{
    add_tick(0, "free pass", 1.0, "1,2");
    add_tick(0, "forced pass", 2.0, "4,8");
    add_tick(1, "free pass", 3.0, "1,2");
    ck_assert_int_eq(tally.n_pass, 2);
    ck_assert_int_eq(tally.pass[0]->n_row[0], 2);
    ck_assert_int_eq(tally.pass[1]->n_row[0], 4);
}
END_TEST

START_TEST(test_progress)
{
    ck_assert_int_eq(add("{\"progress\":0.25,\"step\":\"exact: reference\","
                         "\"seconds\":2.5,\"left_seconds\":7}"),
                     CORE_OK);
    ck_assert(tally.is_told && tally.progress == 0.25 && tally.seconds == 2.5);
    ck_assert_str_eq(tally.step, "exact: reference");
    ck_assert_int_eq(tally.n_pass, 0);
}
END_TEST

START_TEST(test_empty)
{
    const har_tally_pass nothing = {.degrees = {.tp = 1, .pp = 1}, .n_rank = 1};
    har_tally_rank rank = {0};
    har_tally_pass pass = nothing;
    pass.rank = &rank;
    pass.from = INFINITY;
    ck_assert(har_tally_balance(&pass) == 1.0);
    ck_assert(har_tally_waiting_share(&pass) == 0.0);
    ck_assert(har_tally_tokens_per_second(&pass) == 0.0);
}
END_TEST

/* A file that grows: lines are taken when they are whole, and once. */
START_TEST(test_follow)
{
    char folder[] = "/tmp/test_har_tally_XXXXXX", path[64];
    core_target target;
    har_follow follow;
    har_follow_state state;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/events", folder);
    ck_assert_int_eq(core_target_open(&target, path), CORE_OK);
    FILE *out = fopen(target.partial, "w");
    ck_assert_int_eq(har_follow_open(&follow, path, true), CORE_OK);
    fputs("{\"progress\":0.25,\"step\":\"a\",\"seconds\":1,", out);
    fflush(out);
    ck_assert_int_eq(har_follow_read(&follow, &tally, &state), CORE_OK);
    ck_assert(state == HAR_FOLLOW_GROWS && !tally.is_told);
    fputs("\"left_seconds\":3}\n", out);
    fflush(out);
    ck_assert_int_eq(har_follow_read(&follow, &tally, &state), CORE_OK);
    ck_assert(state == HAR_FOLLOW_GROWS && tally.progress == 0.25);
    ck_assert_int_eq(follow.n_line, 1);
    fputs("{\"progress\":0.5,\"step\":\"a\",\"seconds\":1,\"left_seconds\":3}\n",
          out);
    fclose(out);
    if (_i == 0)
        ck_assert_int_eq(core_target_commit(&target), CORE_OK);
    else
        core_target_drop(&target);
    ck_assert_int_eq(har_follow_read(&follow, &tally, &state), CORE_OK);
    ck_assert_int_eq(state, _i == 0 ? HAR_FOLLOW_COMPLETE : HAR_FOLLOW_REMOVED);
    ck_assert(tally.progress == 0.5); /* what came last is not lost           */
    har_follow_close(&follow);
    unlink(path);
    rmdir(folder);
}
END_TEST

static void end(void)
{
    har_tally_free(&tally);
}

int main(void)
{
    Suite *suite = suite_create("har_tally");
    TCase *tcase = tcase_create("tally");
    tcase_add_checked_fixture(tcase, NULL, end);
    tcase_add_test(tcase, test_figures);
    tcase_add_test(tcase, test_stages_dispatch);
    tcase_add_test(tcase, test_passes_apart);
    tcase_add_test(tcase, test_progress);
    tcase_add_test(tcase, test_empty);
    tcase_add_loop_test(tcase, test_follow, 0, 2);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
