/* test_ref_router.c -- one token's experts and weights, worked out by hand. */
#include "ref/ref_impl.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

enum { MAX_E = 16, MAX_K = 4 };

/* What the router made of a token. */
typedef struct routed {
    double p[MAX_E], w[MAX_K];
    int64_t idx[MAX_K];
} routed;

static routed route(const core_spec *spec, core_numerics numerics,
                    const double *logits, const double *correction)
{
    routed r = {.w = {0.0}};
    double score[2 * MAX_E];
    int64_t kept[MAX_E];
    if (spec->router == CORE_ROUTER_SOFTMAX ||
        spec->router == CORE_ROUTER_SIGMOID)
        ref__route_scores(spec, numerics, logits, r.p);
    ref__route_choose(spec, logits, r.p, correction, r.idx, score, kept);
    ref__route_weigh(spec, numerics, logits, r.p, r.idx, NULL, r.w);
    return r;
}

static void near(double x, double want)
{
    ck_assert_msg(fabs(x - want) <= 1e-15 * (1.0 + want),
                  "%.17g, expected %.17g", x, want);
}

/* The logit whose sigmoid is p. */
static double logit(double p)
{
    return -log(1.0 / p - 1.0);
}

START_TEST(softmax_weighs_among_all_experts)
{
    core_spec spec = {.n_e = 4, .n_k = 2, .routed_scale = 1.0};
    const double logits[] = {log(1.0), log(4.0), log(2.0), log(3.0)};
    routed r = route(&spec, CORE_FP64, logits, NULL);
    ck_assert_int_eq(r.idx[0], 1);
    ck_assert_int_eq(r.idx[1], 3);
    near(r.w[0], 0.4);
    near(r.w[1], 0.3);
    spec.renormalise = true;
    spec.routed_scale = 7.0;
    r = route(&spec, CORE_FP64, logits, NULL);
    near(r.w[0], 4.0);
    near(r.w[1], 3.0);
}
END_TEST

START_TEST(softmax_top_weighs_among_the_chosen)
{
    const core_spec spec = {.router = CORE_ROUTER_SOFTMAX_TOP,
                            .n_e = 4,
                            .n_k = 2,
                            .routed_scale = 3.0};
    const double logits[] = {log(8.0), log(1.0), log(8.0), log(16.0)};
    const routed r = route(&spec, CORE_FP64, logits, NULL);
    ck_assert_int_eq(r.idx[0], 3);
    ck_assert_int_eq(r.idx[1], 0); /* ties with 2 */
    near(r.w[0], 2.0);
    near(r.w[1], 1.0);
}
END_TEST

/* In exact mode e is stored, the quotient is not, its multiple is. */
START_TEST(a_weight_is_stored_once)
{
    const core_spec spec = {.router = CORE_ROUTER_SOFTMAX_TOP,
                            .n_e = 2,
                            .n_k = 2,
                            .routed_scale = 37.0};
    const double logits[] = {0.0, -1.1}, step = 0x1p-20;
    const double e = rint(exp(-1.1) / step) * step;
    const routed r = route(&spec, CORE_EXACT, logits, NULL);
    ck_assert_double_eq(r.w[0], rint(37.0 / (1.0 + e) / step) * step);
    ck_assert_double_eq(r.w[1], rint(37.0 * (e / (1.0 + e)) / step) * step);
    const double twice = 37.0 * (rint(e / (1.0 + e) / step) * step);
    ck_assert_double_ne(r.w[1], twice); /* the numbers tell the two apart */
}
END_TEST

START_TEST(a_correction_chooses_and_does_not_weigh)
{
    core_spec spec = {.router = CORE_ROUTER_SIGMOID,
                      .n_e = 3,
                      .n_k = 2,
                      .routed_scale = 1.0,
                      .renormalise = true};
    const double logits[] = {logit(0.6), logit(0.5), logit(0.2)};
    const double correction[] = {-0.3, 0.0, 0.2}; /* .3 .5 .4 */
    routed r = route(&spec, CORE_FP64, logits, correction);
    ck_assert_int_eq(r.idx[0], 1);
    ck_assert_int_eq(r.idx[1], 2);
    near(r.w[0], 0.5 / 0.7);
    near(r.w[1], 0.2 / 0.7);
    near(r.p[0], 0.6);
    r = route(&spec, CORE_FP64, logits, NULL); /* the positive twin */
    ck_assert_int_eq(r.idx[0], 0);
    ck_assert_int_eq(r.idx[1], 1);
    near(r.w[0], 0.6 / 1.1);
}
END_TEST

/* 1e-20 decides where all scores vanish: no 0 / 0. */
START_TEST(sigmoid_weights_survive_vanishing_scores)
{
    const core_spec spec = {.router = CORE_ROUTER_SIGMOID,
                            .n_e = 2,
                            .n_k = 2,
                            .routed_scale = 1.0,
                            .renormalise = true};
    const double logits[] = {-800.0, -800.0};
    const routed r = route(&spec, CORE_FP64, logits, NULL);
    ck_assert_double_eq(r.w[0], 0.0);
    ck_assert_double_eq(r.w[1], 0.0);
}
END_TEST

/* Six experts in three groups. */
static core_spec grouped(core_group_score how, int64_t n_kept)
{
    return (core_spec){.router = CORE_ROUTER_SIGMOID,
                       .n_e = 6,
                       .n_k = 2,
                       .routed_scale = 1.0,
                       .n_group = 3,
                       .n_group_kept = n_kept,
                       .group_score = how};
}

START_TEST(groups_by_largest_or_by_two)
{
    /* groups (.9 .1), (.6 .5), (.4 .2) */
    const double p[] = {0.9, 0.1, 0.6, 0.5, 0.4, 0.2};
    double score[9];
    int64_t kept[3];
    core_spec spec = grouped(CORE_GROUP_SCORE_MAX, 1);
    ref__eligible(&spec, p, NULL, score, kept);
    ck_assert_double_eq(score[0], 0.9);
    ck_assert_double_eq(score[1], 0.1);
    for (int e = 2; e < 6; e++)
        ck_assert(score[e] == -HUGE_VAL);
    spec = grouped(CORE_GROUP_SCORE_BEST_TWO, 1); /* 1.0, 1.1, 0.6 */
    ref__eligible(&spec, p, NULL, score, kept);
    ck_assert_double_eq(score[2], 0.6);
    ck_assert(score[0] == -HUGE_VAL && score[4] == -HUGE_VAL);
    spec = grouped(CORE_GROUP_SCORE_BEST_TWO, 2);
    ref__eligible(&spec, p, NULL, score, kept);
    ck_assert_double_eq(score[0], 0.9);
    ck_assert_double_eq(score[3], 0.5);
    ck_assert(score[4] == -HUGE_VAL && score[5] == -HUGE_VAL);
}
END_TEST

START_TEST(groups_that_tie_go_to_the_lowest)
{
    const double p[] = {0.25, 0.125, 0.5, 0.25, 0.25, 0.5};
    double score[9];
    int64_t kept[3];
    const core_spec spec = grouped(CORE_GROUP_SCORE_BEST_TWO, 1);
    ref__eligible(&spec, p, NULL, score, kept);
    ck_assert_double_eq(score[2], 0.5);
    ck_assert(score[0] == -HUGE_VAL && score[5] == -HUGE_VAL);
}
END_TEST

/* With every corrected score negative a 0 outside the kept group would win. */
START_TEST(an_ineligible_expert_loses_to_a_negative_score)
{
    const core_spec spec = grouped(CORE_GROUP_SCORE_BEST_TWO, 1);
    double logits[6];
    const double p[] = {0.5, 0.4, 0.3, 0.2, 0.1, 0.1};
    const double correction[] = {-2, -2, -1, -1, -3, -3};
    for (int e = 0; e < 6; e++)
        logits[e] = logit(p[e]);
    const routed r = route(&spec, CORE_FP64, logits, correction);
    ck_assert_int_eq(r.idx[0], 2); /* -1.5 against -3.1 and -5.8 */
    ck_assert_int_eq(r.idx[1], 3);
    near(r.w[0], 0.3);
    near(r.w[1], 0.2);
}
END_TEST

/* ---- sparsemixer --------------------------------------------------------- */

static core_spec sparse(int64_t n_e, double jitter)
{
    return (core_spec){.router = CORE_ROUTER_SPARSEMIXER,
                       .n_e = n_e,
                       .n_k = 2,
                       .routed_scale = 1.0,
                       .jitter = jitter};
}

START_TEST(sparsemixer_by_hand)
{
    /* 2 jitter = 1/4.  From 4: 3 by (4-3)/4 = 1/4 stays, 2 by 1/2 does not.
     * From 3, 4 left out: 2 by 1/3 does not, so 3 is alone.                  */
    const core_spec spec = sparse(4, 0.125);
    const double logits[] = {2.0, 3.0, 4.0, -4.0};
    const routed r = route(&spec, CORE_FP64, logits, NULL);
    ck_assert_int_eq(r.idx[0], 2);
    ck_assert_int_eq(r.idx[1], 1);
    near(r.w[0], 1.0 / (1.0 + exp(-1.0)));
    ck_assert_double_eq(r.w[1], 1.0);
}
END_TEST

START_TEST(sparsemixer_divides_by_the_larger_magnitude)
{
    /* -4 lies 5 below 1, over max(|-4|, 1) = 4: 1.25.  2 jitter 1.3 keeps it,
     * 1.2 does not; over 1 neither would.                                    */
    const double logits[] = {1.0, -4.0, -40.0};
    core_spec spec = sparse(3, 0.65);
    /* -40: 41 / 40 = 1.025 stays in both */
    const double with = 1.0 + exp(-5.0) + exp(-41.0);
    near(route(&spec, CORE_FP64, logits, NULL).w[0], 1.0 / with);
    spec.jitter = 0.6;
    near(route(&spec, CORE_FP64, logits, NULL).w[0], 1.0 / (1.0 + exp(-41.0)));
}
END_TEST

START_TEST(sparsemixer_keeps_zero_over_zero_and_ties)
{
    /* all logits 0: every ratio is 0 / 0, everyone is kept */
    const double zero[] = {0.0, 0.0, 0.0, 0.0};
    const core_spec spec = sparse(4, 0.01);
    routed r = route(&spec, CORE_FP64, zero, NULL);
    ck_assert_int_eq(r.idx[0], 0);
    ck_assert_int_eq(r.idx[1], 1);
    ck_assert_double_eq(r.w[0], 0.25);
    ck_assert_double_eq(r.w[1], 1.0 / 3.0); /* the first is left out */
    const double twins[] = {1.0, 5.0, 5.0, 1.0};
    r = route(&spec, CORE_FP64, twins, NULL);
    ck_assert_int_eq(r.idx[0], 1);
    ck_assert_int_eq(r.idx[1], 2);
    ck_assert_double_eq(r.w[0], 0.5);
    ck_assert_double_eq(r.w[1], 1.0);
}
END_TEST

/* A comparison too close for fp32 makes the weight's bound as wide as what
 * hangs on it; a clear one leaves a bound of roundings.                      */
START_TEST(sparsemixer_bound_knows_close_comparisons)
{
    const double jitter = 0.125;
    double logits[] = {4.0, 3.0, 1.0}; /* (4 - 3) / 4 is 2 jitter exactly */
    const int64_t idx[] = {0, 1};
    const double w[] = {1.0 / (1.0 + exp(-1.0)), 1.0};
    float bound[2];
    ref__bound_sparsemixer(ref__roundoff_of(CORE_FP32), bound, logits, idx, w,
                           3, jitter, 1.0);
    ck_assert((double)bound[0] >= 1.0 - w[0]); /* it may be alone */
    ck_assert((double)bound[1] < 1e-5);
    logits[1] = 3.001;
    ref__bound_sparsemixer(ref__roundoff_of(CORE_FP32), bound, logits, idx, w,
                           3, jitter, 1.0);
    ck_assert((double)bound[0] < 1e-5);
    ck_assert((double)bound[0] > 0.0);
}
END_TEST

/* Groups of two, one kept; the correction decides between the groups. */
START_TEST(a_margin_is_the_closest_decision)
{
    const core_spec spec = {.n_e = 4,
                            .n_k = 1,
                            .router = CORE_ROUTER_SIGMOID,
                            .correction = true,
                            .n_group = 2,
                            .n_group_kept = 1};
    const double p[] = {0.5, 0.25, 0.75, 0.125};
    const double correction[] = {0.375, 0.0, 0.0, 0.0};
    const int64_t idx[] = {0};
    double score[6];
    int64_t kept[2];
    /* 0.875 against 0.25 in its group, and against 0.75 of the other */
    ck_assert(ref_routing_margin(&spec, p, correction, idx, score, kept) ==
              0.125);
    core_spec alone = spec;
    alone.n_group = 0;
    ck_assert(ref_routing_margin(&alone, p, correction, idx, score, kept) ==
              0.125);
    const double far[] = {0.5, 0.25, 0.125, 0.125};
    ck_assert(ref_routing_margin(&spec, far, correction, idx, score, kept) ==
              0.625);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref_router");
    TCase *tcase = tcase_create("by hand");
    tcase_add_test(tcase, softmax_weighs_among_all_experts);
    tcase_add_test(tcase, a_margin_is_the_closest_decision);
    tcase_add_test(tcase, softmax_top_weighs_among_the_chosen);
    tcase_add_test(tcase, a_weight_is_stored_once);
    tcase_add_test(tcase, a_correction_chooses_and_does_not_weigh);
    tcase_add_test(tcase, sigmoid_weights_survive_vanishing_scores);
    tcase_add_test(tcase, groups_by_largest_or_by_two);
    tcase_add_test(tcase, groups_that_tie_go_to_the_lowest);
    tcase_add_test(tcase, an_ineligible_expert_loses_to_a_negative_score);
    tcase_add_test(tcase, sparsemixer_by_hand);
    tcase_add_test(tcase, sparsemixer_divides_by_the_larger_magnitude);
    tcase_add_test(tcase, sparsemixer_keeps_zero_over_zero_and_ties);
    tcase_add_test(tcase, sparsemixer_bound_knows_close_comparisons);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
