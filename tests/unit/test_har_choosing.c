/* tests/unit/test_har_choosing.c -- scores, groups and certificates by hand. */
#include "harness/verify/choosing.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_E = 6 };

static core_spec router(core_router kind, int64_t n_group,
                        core_group_score score)
{
    core_spec s;
    memset(&s, 0, sizeof s);
    s.n_e = N_E;
    s.n_k = 2;
    s.router = kind;
    s.n_group = n_group;
    s.n_group_kept = 1;
    s.group_score = score;
    return s;
}

START_TEST(the_tap_is_that_of_the_scores)
{
    core_spec s = router(CORE_ROUTER_SOFTMAX, 0, CORE_GROUP_SCORE_MAX);
    ck_assert_int_eq(har_choosing_tap(&s), CORE_TAP_ROUTER_PROBS);
    s.router = CORE_ROUTER_SIGMOID;
    ck_assert_int_eq(har_choosing_tap(&s), CORE_TAP_ROUTER_PROBS);
    s.router = CORE_ROUTER_SOFTMAX_TOP;
    ck_assert_int_eq(har_choosing_tap(&s), CORE_TAP_ROUTER_LOGITS);
    s.router = CORE_ROUTER_SPARSEMIXER;
    ck_assert_int_eq(har_choosing_tap(&s), CORE_TAP_ROUTER_LOGITS);
}
END_TEST

/* Scores of six experts, and which are left after groups and correction. */
static const struct {
    int64_t n_group;
    core_group_score kind;
    double score[N_E], correction[N_E];
    const char *kept; /* x: kept */
} choice[] = {
    {0, CORE_GROUP_SCORE_MAX, {1, 2, 3, 4, 5, 6}, {0}, "xxxxxx"},
    {2, CORE_GROUP_SCORE_MAX, {1, 2, 9, 4, 5, 6}, {0}, "xxx..."},
    {2, CORE_GROUP_SCORE_BEST_TWO, {1, 2, 8, 4, 5, 6}, {0}, "...xxx"},
    {3, CORE_GROUP_SCORE_MAX, {1, 5, 5, 1, 5, 5}, {0}, "xx...."}, /* ties */
    {3, CORE_GROUP_SCORE_BEST_TWO, {-9, -8, -1, -2, -4, -1}, {0}, "..xx.."},
    {3, CORE_GROUP_SCORE_MAX, {1, 5, 4, 1, 2, 3}, {0, 0, 2, 0, 0, 0}, "..xx.."},
};

START_TEST(groups_are_kept)
{
    const core_spec s =
        router(CORE_ROUTER_SIGMOID, choice[_i].n_group, choice[_i].kind);
    double score[N_E];
    memcpy(score, choice[_i].score, sizeof score);
    har_choosing(&s, choice[_i].correction, score);
    for (int e = 0; e < N_E; e++) {
        if (choice[_i].kept[e] == 'x')
            ck_assert(score[e] ==
                      choice[_i].score[e] + choice[_i].correction[e]);
        else
            ck_assert(isinf(score[e]) && score[e] < 0.0);
    }
}
END_TEST

typedef struct side {
    double expected[N_E], found[N_E], bound[N_E], correction[N_E];
    double room[HAR_FLIP_ROOM * N_E];
} side;

/* Logits of a sigmoid router that all lie apart; found errs by `error` at one
 * expert; bounds are 1e-6.                                                   */
static side apart(int e, double error)
{
    side s = {.expected = {-3, -2, -1, 0, 1, 2}};
    memcpy(s.found, s.expected, sizeof s.found);
    s.found[e] += error;
    for (int i = 0; i < N_E; i++)
        s.bound[i] = 1e-6;
    return s;
}

static bool is_excused(const core_spec *spec, side *s, bool corrects,
                       int64_t out, int64_t in, double *margin)
{
    const har_flip flip = {.spec = spec,
                           .correction = corrects ? s->correction : NULL,
                           .expected = s->expected,
                           .bound = s->bound,
                           .found = s->found,
                           .room = s->room,
                           .u = 0x1p-24,
                           .u_store = 0x1p-24};
    return har_flip_is_excused(&flip, out, in, margin);
}

START_TEST(a_close_pair_of_logits_is_excused)
{
    const core_spec spec =
        router(CORE_ROUTER_SOFTMAX_TOP, 0, CORE_GROUP_SCORE_MAX);
    side s = apart(4, 1e-6);
    double margin;
    s.expected[4] = s.expected[5] - 5e-7;
    s.found[4] = s.expected[4] + 1e-6;
    ck_assert(is_excused(&spec, &s, false, 5, 4, &margin));
    ck_assert(fabs(margin - 5e-7) < 1e-12);
    s.found[4] = NAN;
    ck_assert(!is_excused(&spec, &s, false, 5, 4, &margin));
    s = apart(4, 2.0); /* the scores say so, but none of a correct router */
    ck_assert(!is_excused(&spec, &s, false, 5, 4, &margin));
}
END_TEST

/* What counts is the distance of the corrected scores. */
START_TEST(a_correction_moves_the_margin)
{
    const core_spec spec = router(CORE_ROUTER_SIGMOID, 0, CORE_GROUP_SCORE_MAX);
    const double p4 = 1.0 / (1.0 + exp(-1.0)), p5 = 1.0 / (1.0 + exp(-2.0));
    side s = apart(4, 1e-6);
    double margin;
    s.correction[4] = p5 - p4 - 1e-7;
    ck_assert(is_excused(&spec, &s, true, 5, 4, &margin));
    ck_assert(fabs(margin - 1e-7) < 1e-12);
    ck_assert(!is_excused(&spec, &s, false, 5, 4, &margin));
    s = apart(4, 1e-6); /* close logits, but the correction parts them */
    s.expected[4] = s.found[4] = s.expected[5];
    ck_assert(is_excused(&spec, &s, false, 5, 4, &margin));
    s.correction[5] = 0.1;
    ck_assert(!is_excused(&spec, &s, true, 5, 4, &margin));
}
END_TEST

/* Two groups of three: experts may change places when the groups are close. */
START_TEST(close_groups_excuse_distant_experts)
{
    const core_spec spec = router(CORE_ROUTER_SIGMOID, 2, CORE_GROUP_SCORE_MAX);
    side s = apart(0, 0.0);
    double margin;
    s.expected[2] = s.expected[5] - 4e-7; /* best of group 0 and of group 1 */
    memcpy(s.found, s.expected, sizeof s.found);
    s.found[2] = s.expected[5] + 4e-7;
    ck_assert(is_excused(&spec, &s, false, 5, 2, &margin));
    ck_assert(is_excused(&spec, &s, false, 4, 1, &margin)); /* far apart */
    ck_assert(margin < 1e-6);
    s = apart(2, 4.0); /* group 0 wins by an error that no bound covers */
    ck_assert(!is_excused(&spec, &s, false, 4, 1, &margin));
    ck_assert(margin > 0.01);
    /* within a group that both sides keep, experts must be close themselves */
    s = apart(0, 0.0);
    ck_assert(!is_excused(&spec, &s, false, 5, 4, &margin));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_choosing");
    TCase *tc = tcase_create("choosing");
    tcase_add_test(tc, the_tap_is_that_of_the_scores);
    tcase_add_loop_test(tc, groups_are_kept, 0,
                        (int)(sizeof choice / sizeof *choice));
    tcase_add_test(tc, a_close_pair_of_logits_is_excused);
    tcase_add_test(tc, a_correction_moves_the_margin);
    tcase_add_test(tc, close_groups_excuse_distant_experts);
    suite_add_tcase(suite, tc);
    return check_main(suite);
}
