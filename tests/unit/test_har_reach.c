/* tests/unit/test_har_reach.c -- what counts as having taken part.
 *
 * Pieces are made by hand for the two ranks of dp=2, ep=2: 26 experts, 13 on
 * each, in one layer.
 */
#include "harness/verify/reach.h"
#include "tests/support/mpi_check.h"

#include <string.h>

enum { N_T = 6, N_E = 26, N_F = 45 };

static core_spec spec;
static par_plan plan;
static par_layout layout;
static core_arena arena;
static har_reach reach;
static int64_t ids[N_T], chosen[N_T];
static core_st_tensor chosen_tensor;
static core_batch batch;

static void setup(void)
{
    ck_assert(core_spec_open(&spec, "shadow-b", NULL) == CORE_OK);
    spec.n_l = 1;
    ck_assert(par_plan_parse(&plan, "dp=2,ep=2") == CORE_OK);
    arena = core_arena_measure();
    mpi_assert(par_layout_make(&layout, &arena, &spec, &plan,
                               mpi_world->rank) == CORE_OK,
               "no layout");
    mpi_assert(har_reach_open(&reach, &spec, &layout) == CORE_OK, "no reach");
    for (int i = 0; i < N_T; i++)
        chosen[i] = i; /* the first experts: those of rank 0 */
    chosen_tensor = (core_st_tensor){
        .dtype = CORE_DTYPE_I64, .data = chosen, .n = N_T};
    batch = (core_batch){.n_b = 1, .n_t = N_T, .ids = ids};
    reach.batch = &batch;
}

static void teardown(void)
{
    har_reach_close(&reach);
    core_arena_free(&arena);
}

static void show(core_tap_kind kind, const int64_t *rows, int64_t n_row,
                 double *values, int64_t n_col)
{
    const par_piece piece = {.tap = {kind, 0},
                             .values = values,
                             .ld = n_col,
                             .row_ids = rows,
                             .n_row = n_row,
                             .n_col = n_col,
                             .n_owners = 1};
    har_reach_see(&reach, &piece, &chosen_tensor);
}

/* Everything but experts, on every rank. */
static void show_tokens(void)
{
    static const int64_t rows[] = {0, 1, 2, 3, 4, 5};
    double values[N_T] = {0.0};
    show(CORE_TAP_EMBED, rows, N_T, values, 1);
    show(CORE_TAP_OUT, rows, N_T, values, 1);
    show(CORE_TAP_LOGITS, rows, N_T, values, 1);
}

static har_reached agreed(void)
{
    har_reached r;
    mpi_assert(har_reach_agree(&r, mpi_world, &reach) == CORE_OK, "no sum");
    return r;
}

START_TEST(nothing_has_run_at_first)
{
    char text[HAR_REACH_TEXT];
    const har_reached r = agreed();
    ck_assert_int_eq(r.n_expert, N_E);
    ck_assert_int_eq(r.n_idle, N_E);
    ck_assert_int_eq(r.n_unmet, r.n_rectangle);
    ck_assert_int_eq(r.n_empty_replica, 2);
    ck_assert_int_eq(r.n_empty_group, 2);
    ck_assert(!har_reached_all(&r));
    ck_assert_int_eq(r.n_named_idle, HAR_REACH_NAMED);
    ck_assert_int_eq(r.idle[2].weight.expert, 2);
    ck_assert_int_eq(r.idle[2].rank, 0);
    ck_assert(strstr(har_reached_words(&r, text),
                     "26 of 26 experts on their owners idle, 2 of 2 replicas "
                     "empty, ") == text);
    ck_assert(strstr(text, "groups") == NULL); /* of empty replicas          */
}
END_TEST

START_TEST(a_row_must_leave_a_value)
{
    static const int64_t rows[] = {3, 4, 5};
    double values[3 * N_F] = {0.0};
    values[1 * N_F + 44] = -0x1p-10; /* choice 4, of expert 4 */
    show(CORE_TAP_EXPERT_ACT, rows, 3, values, N_F);
    const har_reached r = agreed();
    ck_assert_int_eq(r.n_idle, N_E - 1); /* not one on rank 1, nor 3 and 5 */
    ck_assert_int_eq(r.idle[3].weight.expert, 3);
}
END_TEST

START_TEST(rows_out_of_range_count_nowhere)
{
    static const int64_t rows[] = {-1, N_T, INT64_MAX};
    double values[3] = {1.0, 1.0, 1.0};
    show(CORE_TAP_EXPERT_ACT, rows, 3, values, 1);
    show(CORE_TAP_EXPERT_OUT, rows, 3, values, 1);
    show(CORE_TAP_EMBED, rows, 3, values, 1);
    const har_reached r = agreed();
    ck_assert_int_eq(r.n_idle, N_E);
    ck_assert_int_eq(r.n_unmet, r.n_rectangle);
    chosen[2] = -7; /* nor does an expert that there is not */
    chosen[3] = N_E;
    static const int64_t inside[] = {2, 3};
    show(CORE_TAP_EXPERT_ACT, inside, 2, values, 1);
    ck_assert_int_eq(agreed().n_idle, N_E);
}
END_TEST

START_TEST(an_empty_piece_is_no_token)
{
    double none = 0.0;
    show(CORE_TAP_OUT, NULL, 0, &none, 1);
    show(CORE_TAP_LOGITS, NULL, 0, &none, 1);
    const har_reached r = agreed();
    ck_assert_int_eq(r.n_empty_replica, 2);
    ck_assert_int_eq(r.n_unmet, r.n_rectangle);
}
END_TEST

/* Row by row, and then all: experts 0 to 12 on rank 0, the others on rank 1.  A
 * bias of the down matrix needs a row that was completed, too.               */
START_TEST(all_of_it_is_all)
{
    static const int64_t rows[] = {0, 1, 2, 3, 4, 5};
    double values[N_T] = {1.0, 1.0, 1.0, 1.0, 1.0, 1.0};
    spec.bias_ffn = true;
    show_tokens();
    for (int e = 0; e < N_E; e++) {
        for (int i = 0; i < N_T; i++)
            chosen[i] = e;
        show(CORE_TAP_EXPERT_ACT, rows, 1, values, 1);
        if (e != 20)
            show(CORE_TAP_EXPERT_OUT, rows, 1, values, 1);
    }
    har_reached r = agreed();
    ck_assert_int_eq(r.n_idle, 0);
    ck_assert_int_eq(r.n_unmet, 1);
    ck_assert_int_eq(r.unmet[0].weight.kind, CORE_W_EXPERT_DOWN_BIAS);
    ck_assert_int_eq(r.unmet[0].weight.expert, 20);
    ck_assert_int_eq(r.unmet[0].rank, 1);
    for (int i = 0; i < N_T; i++)
        chosen[i] = 20;
    show(CORE_TAP_EXPERT_OUT, rows, 1, values, 1);
    r = agreed();
    ck_assert(har_reached_all(&r));
}
END_TEST

/* A replica without tokens, by what its ranks were shown. */
START_TEST(one_replica_is_empty)
{
    if (mpi_world->rank == 0)
        show_tokens();
    const har_reached r = agreed();
    ck_assert_int_eq(r.n_empty_replica, 1);
    ck_assert_int_eq(r.n_empty_group, 1);
    ck_assert_int_eq(r.unmet[0].rank, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_reach");
    TCase *tests = tcase_create("reach");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, nothing_has_run_at_first);
    tcase_add_test(tests, a_row_must_leave_a_value);
    tcase_add_test(tests, rows_out_of_range_count_nowhere);
    tcase_add_test(tests, an_empty_piece_is_no_token);
    tcase_add_test(tests, all_of_it_is_all);
    tcase_add_test(tests, one_replica_is_empty);
    suite_add_tcase(suite, tests);
    return mpi_check_run(suite);
}
