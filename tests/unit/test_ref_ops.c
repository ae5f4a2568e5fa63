/* test_ref_ops.c -- single operators of the reference against values worked out
 * by hand, and the traps of ref/MODEL.md one by one.                         */
#include "ref/ref_impl.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_CHOICE = 16 };

static const double NONE = -HUGE_VAL; /* no sink */

START_TEST(rmsnorm_by_hand)
{
    const double x[] = {3.0, -4.0, 0.0, 0.0}, w[] = {2.0, 1.0, 5.0, 1.0};
    double y[4];
    ref__rmsnorm_row(y, x, w, 4, 4.0, 0.0); /* sqrt(25 / 4) = 2.5 */
    ck_assert_double_eq(y[0], 2.0 * (3.0 / 2.5));
    ck_assert_double_eq(y[1], -4.0 / 2.5);
    ck_assert_double_eq(y[2], 0.0);
    ref__rmsnorm_row(y, x, w, 4, 4.0, 2.75); /* eps is inside the root: 3 */
    ck_assert_double_eq(y[0], 2.0);
    ck_assert_double_eq(y[1], -4.0 / 3.0);
}
END_TEST

START_TEST(rmsnorm_without_weight)
{
    double x[] = {3.0, -4.0, 0.0, 0.0};
    ref__rmsnorm_row(x, x, NULL, 4, 4.0, 2.75); /* in place */
    ck_assert_double_eq(x[0], 1.0);
    ck_assert_double_eq(x[1], -4.0 / 3.0);
}
END_TEST

START_TEST(layernorm_by_hand)
{
    /* mean 2, deviations -1 1 -3 3, variance 5; eps 4 makes the root 3 */
    const double x[] = {1.0, 3.0, -1.0, 5.0}, w[] = {2.0, 1.0, 1.0, 1.0};
    const double b[] = {0.5, 0.0, 0.0, -1.0};
    double y[4];
    ref__layernorm_row(y, x, w, b, 4, 4.0);
    ck_assert_double_eq(y[0], 2.0 * (-1.0 / 3.0) + 0.5);
    ck_assert_double_eq(y[1], 1.0 / 3.0);
    ck_assert_double_eq(y[2], -1.0);
    ck_assert_double_eq(y[3], 0.0);
}
END_TEST

START_TEST(clip_holds_both_sides_and_a_nan)
{
    double x[] = {-3.0, -1.0, 0.5, 2.0, (double)NAN};
    ref__clip(x, 5, 0.0); /* none */
    ck_assert_double_eq(x[0], -3.0);
    ref__clip(x, 5, 1.0);
    const double want[] = {-1.0, -1.0, 0.5, 1.0};
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq(x[i], want[i]);
    ck_assert(isnan(x[4]));
}
END_TEST

START_TEST(rope_pairs_neighbours_if_interleaved)
{
    double r[] = {1.0, 2.0, 10.0, 20.0, 7.0};
    const double cos_j[] = {0.0, 1.0}, sin_j[] = {1.0, 0.0};
    ref__rope_row(r, cos_j, sin_j, 4, true);
    /* 0 turns with 1, 2 with 3 not at all; what is not rotated stays */
    const double want[] = {-2.0, 1.0, 10.0, 20.0, 7.0};
    for (int i = 0; i < 5; i++)
        ck_assert_double_eq(r[i], want[i]);
}
END_TEST

START_TEST(rope_pairs_the_halves)
{
    double head[] = {1.0, 2.0, 10.0, 20.0};
    const double cos_j[] = {0.0, 1.0}, sin_j[] = {1.0, 0.0};
    ref__rope_row(head, cos_j, sin_j, 4, false);
    /* element 0 turns with element 2 by a right angle, 1 with 3 not at all */
    const double want[] = {-10.0, 2.0, 1.0, 20.0};
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq(head[i], want[i]);
}
END_TEST

START_TEST(top_k_ties_go_to_the_lowest_index)
{
    const double p[] = {0.1, 0.3, 0.1, 0.3, 0.2};
    int64_t idx[5];
    ref__top_k(idx, p, 5, 4);
    const int64_t want[] = {1, 3, 4, 0};
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(idx[i], want[i]);
    const double equal[] = {0.2, 0.2, 0.2, 0.2, 0.2};
    ref__top_k(idx, equal, 5, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(idx[i], i);
}
END_TEST

START_TEST(softmax_stores_exponentials_before_the_sum)
{
    double s[] = {99.0, 0.0, log(0.5), log(0.3), 99.0};
    ck_assert_int_eq(ref__softmax_row(CORE_EXACT, s, 1, 4, NULL, 1.0, NONE), 3);
    const double step = 0x1p-20;
    const double e[] = {1.0, 0.5, rint(0.3 / step) * step};
    const double sum = e[0] + e[1] + e[2];
    for (int i = 0; i < 3; i++)
        ck_assert_double_eq(s[i + 1], rint(e[i] / sum / step) * step);
    ck_assert_double_eq(s[0], 99.0); /* outside [lo, hi) */
    ck_assert_double_eq(s[4], 99.0);
}
END_TEST

START_TEST(softmax_ignores_masked_keys_even_the_largest)
{
    double s[] = {1.0, 1e30, 1.0};
    const uint8_t mask[] = {1, 0, 1};
    ck_assert_int_eq(ref__softmax_row(CORE_FP64, s, 0, 3, mask, 2.0, NONE), 2);
    ck_assert_double_eq(s[0], 0.5);
    ck_assert_double_eq(s[1], 0.0);
    ck_assert_double_eq(s[2], 0.5);
    const uint8_t none[] = {0, 0, 0};
    ck_assert_int_eq(ref__softmax_row(CORE_FP64, s, 0, 3, none, 2.0, NONE), 0);
    ck_assert_double_eq(s[0] + s[1] + s[2], 0.0);
}
END_TEST

START_TEST(a_sink_takes_and_gives_nothing)
{
    double s[] = {0.0, log(2.0)};
    const int64_t n =
        ref__softmax_row(CORE_FP64, s, 0, 2, NULL, 1.0, log(5.0));
    ck_assert_int_eq(n, 2);
    ck_assert(fabs(s[0] - 1.0 / 8.0) <= 1e-16);
    ck_assert(fabs(s[1] - 2.0 / 8.0) <= 1e-16);
    /* not scaled, and the largest of all it keeps the exponentials small */
    double large[] = {1.0, 2.0};
    ref__softmax_row(CORE_FP64, large, 0, 2, NULL, 0.5, 1000.0);
    ck_assert_double_eq(large[0], 0.0);
    ck_assert_double_eq(large[1], 0.0);
}
END_TEST

static double on_prob_grid(double x)
{
    return rint(x / 0x1p-20) * 0x1p-20;
}

/* The sink is part of the maximum, and its exponential is stored like the
 * others before the sum: both cost the last bit of p at these logits.        */
START_TEST(a_sink_is_rounded_as_a_key_is)
{
    double p[] = {0.0};
    ref__softmax_row(CORE_EXACT, p, 0, 1, NULL, 1.0, -0.28);
    ck_assert_double_eq(p[0],
                        on_prob_grid(1.0 / (1.0 + on_prob_grid(exp(-0.28)))));
    ck_assert_double_ne(p[0], on_prob_grid(1.0 / (1.0 + exp(-0.28))));
    p[0] = 0.0;
    ref__softmax_row(CORE_EXACT, p, 0, 1, NULL, 1.0, 0.32);
    const double e = on_prob_grid(exp(-0.32));
    ck_assert_double_eq(p[0], on_prob_grid(e / (e + 1.0)));
    ck_assert_double_ne(p[0],
                        on_prob_grid(1.0 / (1.0 + on_prob_grid(exp(0.32)))));
}
END_TEST

/* ---- slots --------------------------------------------------------------- */

static core_spec router_spec(core_capacity capacity)
{
    return (core_spec){.n_e = 3, .n_k = 2, .capacity = capacity};
}

static void check_slots(const core_spec *spec, int64_t n_b, int64_t n_t,
                        const core_groups *groups, const int64_t *idx,
                        const double *weight, const int64_t *want)
{
    const core_batch batch = {.n_b = n_b, .n_t = n_t};
    int64_t slot[N_CHOICE];
    void *work = malloc(ref__slots_bytes(spec, n_b * n_t));
    memset(slot, 0x55, sizeof slot);
    ref__slots(spec, &batch, groups, idx, weight, slot, work);
    free(work);
    for (int64_t c = 0; c < n_b * n_t * spec->n_k; c++)
        ck_assert_msg(slot[c] == want[c], "choice %d: slot %d, expected %d",
                      (int)c, (int)slot[c], (int)want[c]);
}

/* Four tokens, all naming expert 0 first or second. */
static const int64_t IDX[] = {0, 1, 0, 2, 1, 0, 0, 1};
static const double WEIGHT[] = {.3, .1, .5, .2, .6, .5, .7, .2};

START_TEST(slots_count_positions_without_a_rule)
{
    const core_spec spec =
        router_spec((core_capacity){.domain = CORE_DOMAIN_BATCH});
    const int64_t want[] = {0, 0, 1, 0, 1, 2, 3, 2};
    check_slots(&spec, 2, 2, NULL, IDX, WEIGHT, want);
}
END_TEST

START_TEST(slots_by_position)
{
    const core_spec spec =
        router_spec((core_capacity){.rule = CORE_CAPACITY_ABSOLUTE,
                                    .absolute = 2,
                                    .domain = CORE_DOMAIN_BATCH});
    const int64_t want[] = {0, 0, 1, 0, 1, -1, -1, -1};
    check_slots(&spec, 1, 4, NULL, IDX, WEIGHT, want);
}
END_TEST

START_TEST(slots_by_weight_ties_to_the_first_token)
{
    const core_spec spec =
        router_spec((core_capacity){.rule = CORE_CAPACITY_ABSOLUTE,
                                    .absolute = 2,
                                    .domain = CORE_DOMAIN_BATCH,
                                    .priority = CORE_PRIORITY_PROB});
    /* expert 0: .7 (token 3), .5 (token 1), .5 (token 2), .3 (token 0) */
    const int64_t want[] = {-1, -1, 1, 0, 0, -1, 0, 1};
    check_slots(&spec, 1, 4, NULL, IDX, WEIGHT, want);
}
END_TEST

START_TEST(slots_start_anew_in_each_domain)
{
    core_spec spec =
        router_spec((core_capacity){.rule = CORE_CAPACITY_ABSOLUTE,
                                    .absolute = 1,
                                    .domain = CORE_DOMAIN_SEQUENCE});
    const int64_t want[] = {0, 0, -1, 0, 0, 0, -1, -1};
    check_slots(&spec, 2, 2, NULL, IDX, WEIGHT, want);
    /* the same as groups of rows, one of them empty */
    spec.capacity.domain = CORE_DOMAIN_GROUP;
    const int64_t first[] = {0, 1, 1, 2};
    const core_groups groups = {.n = 3, .first_row = first};
    check_slots(&spec, 2, 2, &groups, IDX, WEIGHT, want);
    /* positive twin: one group of everything has other slots */
    const int64_t whole[] = {0, 0, -1, 0, -1, -1, -1, -1};
    check_slots(&spec, 2, 2, NULL, IDX, WEIGHT, whole);
}
END_TEST

START_TEST(slots_of_listed_tokens_in_their_order)
{
    core_spec spec =
        router_spec((core_capacity){.rule = CORE_CAPACITY_ABSOLUTE,
                                    .absolute = 1,
                                    .domain = CORE_DOMAIN_GROUP});
    const int64_t first[] = {0, 3, 3, 4}, token[] = {3, 1, 0, 2};
    const core_groups groups = {.n = 3, .first = first, .token = token};
    const int64_t want[] = {-1, -1, -1, 0, 0, 0, 0, 0};
    check_slots(&spec, 2, 2, &groups, IDX, WEIGHT, want);
    /* by weight: of expert 0 token 3, of expert 1 it, too */
    spec.capacity.priority = CORE_PRIORITY_PROB;
    const int64_t heaviest[] = {-1, -1, -1, 0, 0, 0, 0, 0};
    check_slots(&spec, 2, 2, &groups, IDX, WEIGHT, heaviest);
    /* equal weights: the first one listed */
    const double even[] = {.5, .5, .5, .5, .5, .5, .5, .5};
    const int64_t listed[] = {0, 3, 4}, behind[] = {2, 1, 0, 3};
    const core_groups other = {.n = 2, .first = listed, .token = behind};
    const int64_t in_order[] = {-1, -1, -1, 0, 0, 0, 0, 0};
    check_slots(&spec, 2, 2, &other, IDX, even, in_order);
    /* lists are the domains of rows, too */
    spec.capacity.domain = CORE_DOMAIN_SEQUENCE;
    check_slots(&spec, 2, 2, &groups, IDX, WEIGHT, heaviest);
}
END_TEST

START_TEST(capacity_is_evaluated_left_to_right)
{
    /* 1000 * 1 / 10 * 1.1 = 110.00000000000001 in double: 111 slots */
    core_spec spec = {.n_e = 10,
                      .n_k = 1,
                      .capacity = {.rule = CORE_CAPACITY_FACTOR,
                                   .factor = 1.1,
                                   .domain = CORE_DOMAIN_BATCH}};
    const core_batch batch = {.n_b = 1, .n_t = 1000};
    static int64_t idx[1000], slot[1000];
    void *work = malloc(ref__slots_bytes(&spec, 1000));
    ref__slots(&spec, &batch, NULL, idx, NULL, slot, work);
    free(work);
    ck_assert_int_eq(slot[110], 110);
    ck_assert_int_eq(slot[111], -1);
}
END_TEST

/* ---- exactness ----------------------------------------------------------- */

START_TEST(bits_keep_one_spare)
{
    ck_assert_double_eq(ref__bits(0x1p10, 0x1p-10), 21.0);
    ck_assert_double_eq(ref__bits(0.0, 0x1p-10), 0.0);
    ck_assert(ref__bits((double)NAN, 1.0) == HUGE_VAL);
    ck_assert(ref__worse((double)NAN, 1.0) == HUGE_VAL);
    ck_assert(ref__worse(1.0, (double)NAN) == HUGE_VAL);
    ck_assert_double_eq(ref__worse(1.0, 2.0), 2.0);
    /* agrees with core's rule for a doubled magnitude */
    const double norm[] = {0x1p20, 0x1.fp31, 0x1p32, 0x1.1p32};
    for (int i = 0; i < 4; i++)
        ck_assert(core_product_is_exact(2.0 * norm[i], 1.0, 0x1p-10, 0x1p-10) ==
                  (ref__bits(norm[i], 0x1p-20) <= 53.0));
}
END_TEST

START_TEST(a_violation_is_named)
{
    ref_stats stats = {.exact = true};
    const ref__run run = {.stats = &stats};
    ref__record_bits(&run, CORE_TAP_Q, 1, 52.9);
    ck_assert(stats.exact);
    ref__record_bits(&run, CORE_TAP_EXPERT_OUT, 3, 55.2);
    ref__record_bits(&run, CORE_TAP_OUT, 4, 60.0);
    ck_assert(!stats.exact);
    ck_assert_str_eq(stats.not_exact,
                     "layers.3.moe.expert_out: 55.2 bits, 53 allowed");
    ck_assert_double_eq(stats.bits, 60.0);
}
END_TEST

/* ---- bounds -------------------------------------------------------------- */

START_TEST(sum_error_is_the_smaller_form)
{
    const double u = 0x1p-24;
    ck_assert_double_eq(ref__sum_error(ref__roundoff_of(CORE_FP32), 1),
                        u / (1.0 - u));
    ck_assert_double_eq(ref__sum_error(ref__roundoff_of(CORE_FP32), 1024),
                        256.0 * u);
}
END_TEST

/* Both sides sum in double: each may err by d, and by one rounding at the end.
 */
START_TEST(fp64_bound_pays_for_both_sides)
{
    const ref__roundoff fp32 = ref__roundoff_of(CORE_FP32);
    const ref__roundoff fp64 = ref__roundoff_of(CORE_FP64);
    const double u = 0x1p-53, d = 40.0 * u, y = -3.0;
    const float bound = ref__up(fp64, d, y);
    ck_assert((double)bound >= 2.0 * d + 2.0 * u * 3.0);
    ck_assert((double)bound <= (2.0 * d + 2.0 * u * 3.0) * (1.0 + 1e-6));
    ck_assert((double)ref__up(fp32, d, y) < d + 2.1 * 0x1p-24 * 3.0);
    ck_assert(ref__sum_error(fp64, 1024) == 256.0 * u);
    ck_assert(ref__up(fp64, 0.0, 1e-300) > 0.0f); /* a float holds it */
}
END_TEST

/* A sum forwards and one backwards, both in double. */
START_TEST(fp64_bound_holds_and_bites)
{
    enum { K = 300 };
    double forward = 0.0, backward = 0.0, nx = 0.0, nw = 0.0;
    float bound;
    for (int k = 0; k < K; k++) {
        const int l = K - 1 - k;
        forward += sin(k + 1.0) * cos(3.0 * k);
        backward += sin(l + 1.0) * cos(3.0 * l);
        nx += sin(k + 1.0) * sin(k + 1.0);
        nw += cos(3.0 * k) * cos(3.0 * k);
    }
    nx = sqrt(nx), nw = sqrt(nw);
    ref__bound_product(ref__roundoff_of(CORE_FP64), &bound, 1, &forward, 1, 1,
                       1, K, &nx, &nw, NULL);
    ck_assert(forward != backward);
    ck_assert(fabs(forward - backward) <= (double)bound);
    ck_assert((double)bound < 1e-12 * nx * nw);
}
END_TEST

/* Two values so near that floats lose the variance: it counts as 0 at the least,
 * so the bound is finite, and holds for both ways to compute it.             */
START_TEST(layernorm_bound_holds_where_nothing_is_left)
{
    const double x[2] = {40.0, 40.0 + (_i - 1) * 4e-6}, w[2] = {1.5, -0.5};
    const double b[2] = {0.25, 0.5}, eps = 1e-6;
    const float x0 = (float)x[0], x1 = (float)x[1], mean = (x0 + x1) / 2.0f;
    const float from_sums = x0 * x0 + x1 * x1 - 2.0f * mean * mean;
    const float apart = (x0 - mean) * (x0 - mean) + (x1 - mean) * (x1 - mean);
    double floats[2] = {(double)x0, (double)x1}, y[2];
    const double apart64 = floats[0] - floats[1];
    float bound[2];
    ref__layernorm_row(y, floats, w, b, 2, eps);
    core_store(CORE_FP32, CORE_GRID_ACT, y, 2);
    ref__bound_layernorm(ref__roundoff_of(CORE_FP32), bound, floats, y, w, 2,
                         (floats[0] + floats[1]) / 2.0,
                         sqrt(apart64 * apart64 / 4.0 + eps), eps);
    for (int d = 0; d < 2; d++)
        for (int way = 0; way < 2; way++) {
            const float var = fmaxf(way == 0 ? from_sums : apart, 0.0f) / 2.0f;
            const float got = (float)w[d] * (((float)floats[d] - mean) /
                                             sqrtf(var + (float)eps)) +
                              (float)b[d];
            ck_assert(isfinite(bound[d]));
            ck_assert(fabs((double)got - y[d]) <= (double)bound[d]);
        }
    ck_assert((double)bound[0] < 1.0);
}
END_TEST

/* Equal values so large that rounding puts the variance of some below -eps.   */
START_TEST(layernorm_of_equal_values_is_its_bias)
{
    const double w[3] = {1.0, 1.0, 1.0}, b[3] = {0.25, 0.25, 0.25};
    for (int i = 1; i <= 64; i++) {
        const double x[3] = {1e9 / i, 1e9 / i, 1e9 / i};
        double y[3];
        ref__layernorm_row(y, x, w, b, 3, 1e-6);
        ck_assert_msg(isfinite(y[0]) != 0, "1e9 / %d: %g", i, y[0]);
    }
}
END_TEST

/* The mean is far larger than the deviations: what cancels is in the bound. */
START_TEST(layernorm_bound_holds_where_it_cancels)
{
    enum { D = 40 };
    double x[D], w[D], b[D], y[D], s1 = 0.0, s2 = 0.0;
    for (int d = 0; d < D; d++) {
        x[d] = (double)(float)(_i * 10.0 + sin(d + 1.0));
        w[d] = (double)(float)(1.0 + 0.25 * cos(3.0 * d));
        b[d] = (double)(float)(0.5 * sin(2.0 * d));
        s1 += x[d];
        s2 += x[d] * x[d];
    }
    ref__layernorm_row(y, x, w, b, D, 1e-5);
    core_store(CORE_FP32, CORE_GRID_ACT, y, D);
    float t1 = 0.0f, t2 = 0.0f, bound[D];
    for (int d = D - 1; d >= 0; d--) {
        t1 += (float)x[d];
        t2 += (float)x[d] * (float)x[d];
    }
    const float var =
        ((float)D * t2 - t1 * t1) / ((float)D * (float)D), mean = t1 / (float)D;
    const double r = sqrt((D * s2 - s1 * s1) / (D * D) + 1e-5);
    ref__bound_layernorm(ref__roundoff_of(CORE_FP32), bound, x, y, w, D, s1 / D,
                         r, 1e-5);
    double worst = 0.0;
    for (int d = 0; d < D; d++) {
        const float got =
            (float)w[d] * (((float)x[d] - mean) / sqrtf(var + 1e-5f)) +
            (float)b[d];
        worst = ref__worse(worst, fabs((double)got - y[d]) / (double)bound[d]);
    }
    ck_assert_msg(worst <= 1.0, "%g", worst);
    ck_assert_msg(worst > 0.002, "%g", worst);
    ck_assert(_i > 0 || (double)bound[0] < 1e-4);
}
END_TEST

/* fp32 sums in two orders must stay inside, a tenth of a percent must not. */
START_TEST(product_bound_holds_and_bites)
{
    enum { K = 300 };
    double x[K], w[K], y = 0.0, nx = 0.0, nw = 0.0;
    for (int k = 0; k < K; k++) {
        x[k] = (double)(float)sin(k + 1.0);
        w[k] = (double)(float)cos(3.0 * k);
        y += x[k] * w[k];
        nx += x[k] * x[k];
        nw += w[k] * w[k];
    }
    nx = sqrt(nx), nw = sqrt(nw);
    float forward = 0.0f, backward = 0.0f, bound;
    for (int k = 0; k < K; k++) {
        forward += (float)x[k] * (float)w[k];
        backward += (float)x[K - 1 - k] * (float)w[K - 1 - k];
    }
    ref__bound_product(ref__roundoff_of(CORE_FP32), &bound, 1, &y, 1, 1, 1, K,
                       &nx, &nw, NULL);
    ck_assert(fabs((double)forward - y) <= (double)bound);
    ck_assert(fabs((double)backward - y) <= (double)bound);
    ck_assert((double)bound < 1e-3 * nx * nw);
}
END_TEST

/* A sum made in fp32 and stored by way of a float, against a double stored
 * once: the stores alone may part them by a unit, on ties and near them too.
 * The reference's value is walked over the ties between 1 and 2.             */
START_TEST(bf16_bound_holds_on_ties_and_bites)
{
    enum { K = 16 };
    const double norm = 1.5;
    double worst = 0.0;
    for (int tie = 0; tie < 128; tie++)
        for (int step = -40; step <= 40; step++) {
            double y = 1.0 + (2 * tie + 1) * 0x1p-8 + step * 0x1p-26;
            const double delta =
                ref__sum_error(ref__roundoff_of(CORE_FP32), K) * norm * norm;
            double found[2] = {(double)(float)(y - delta),
                               (double)(float)(y + delta)};
            float bound;
            core_store(CORE_BF16, CORE_GRID_ACT, &y, 1);
            core_store(CORE_BF16, CORE_GRID_ACT, found, 2);
            ref__bound_product(ref__roundoff_of(CORE_BF16), &bound, 1, &y, 1, 1,
                               1, K, &norm, &norm, NULL);
            for (int i = 0; i < 2; i++)
                worst = fmax(worst, fabs(found[i] - y) / (double)bound);
            ck_assert((double)bound < 1.01 * 0x1p-7 * y); /* not two units */
        }
    ck_assert(worst <= 1.0);
    ck_assert(worst > 0.9);
}
END_TEST

/* Whether a logit is kept is a comparison; where rounding may turn it, its
 * share is in the bound, and a hair beside that it is not. */
START_TEST(sparsemixer_bound_knows_doubt)
{
    const int64_t idx[] = {0, 1};
    const double e = exp(-0.2), jitter = 0.1;
    const double apart = _i == 0 ? 0.2 : 0.2 + 1e-5;
    const double logits[] = {1.0, 1.0 - apart}, w[] = {1.0, 1.0};
    float bound[2];
    ref__bound_sparsemixer(ref__roundoff_of(CORE_FP32), bound, logits, idx, w,
                           2, jitter, 1.0);
    if (_i == 0)
        ck_assert(fabs((double)bound[0] - e) < 1e-5);
    else
        ck_assert((double)bound[0] < 1e-5);
    ck_assert((double)bound[1] < 1e-5); /* it is alone */
}
END_TEST

START_TEST(softmax_bound_holds)
{
    enum { E = 9 };
    double logits[E], p[E];
    float e[E], max = -1e30f, sum = 0.0f, bound[E];
    for (int j = 0; j < E; j++) {
        logits[j] = (double)(float)(8.0 * sin(5.0 * j));
        max = fmaxf(max, (float)logits[j]);
    }
    ref__softmax(CORE_FP32, p, logits, E);
    for (int j = 0; j < E; j++) {
        e[j] = expf((float)logits[j] - max);
        sum += e[j];
    }
    ref__bound_softmax(ref__roundoff_of(CORE_FP32), bound, logits, p, E);
    for (int j = 0; j < E; j++) {
        ck_assert(fabs((double)(e[j] / sum) - p[j]) <= (double)bound[j]);
        ck_assert((double)bound[j] <= 1e-5 * p[j] + 1e-30);
    }
}
END_TEST

/* key[0..3) of the best three of score, and their edge. */
static void check_best_keys(const double *score, int64_t lo, int64_t hi,
                            const uint8_t *mask, const int64_t *want,
                            const double *edge)
{
    int64_t key[3];
    double room[N_CHOICE], found[2];
    ref__best_keys(key, 3, score, lo, hi, mask, room, found);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(key[i], want[i]);
    ck_assert_double_eq(found[0], edge[0]);
    ck_assert_double_eq(found[1], edge[1]);
}

START_TEST(best_keys_ties_go_to_the_lowest_position)
{
    const double score[] = {1.0, 3.0, 3.0, 5.0, 3.0, -1.0, 7.0};
    const uint8_t mask[] = {1, 0, 1, 1, 1, 1, 1};
    check_best_keys(score, 0, 6, NULL, (const int64_t[]){1, 2, 3},
                    (const double[]){3.0, 3.0});
    check_best_keys(score, 0, 6, mask, (const int64_t[]){2, 3, 4},
                    (const double[]){3.0, 1.0});
    check_best_keys(score, 4, 7, NULL, (const int64_t[]){4, 5, 6},
                    (const double[]){0.0, 0.0});
    check_best_keys(score, 2, 4, NULL, (const int64_t[]){2, 3, -1},
                    (const double[]){0.0, 0.0});
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ref_ops");
    TCase *ops = tcase_create("operators");
    tcase_add_test(ops, rmsnorm_by_hand);
    tcase_add_test(ops, rmsnorm_without_weight);
    tcase_add_test(ops, layernorm_by_hand);
    tcase_add_test(ops, clip_holds_both_sides_and_a_nan);
    tcase_add_test(ops, rope_pairs_the_halves);
    tcase_add_test(ops, rope_pairs_neighbours_if_interleaved);
    tcase_add_test(ops, a_sink_takes_and_gives_nothing);
    tcase_add_test(ops, a_sink_is_rounded_as_a_key_is);
    tcase_add_test(ops, top_k_ties_go_to_the_lowest_index);
    tcase_add_test(ops, best_keys_ties_go_to_the_lowest_position);
    tcase_add_test(ops, softmax_stores_exponentials_before_the_sum);
    tcase_add_test(ops, softmax_ignores_masked_keys_even_the_largest);
    suite_add_tcase(suite, ops);
    TCase *slots = tcase_create("slots");
    tcase_add_test(slots, slots_count_positions_without_a_rule);
    tcase_add_test(slots, slots_by_position);
    tcase_add_test(slots, slots_by_weight_ties_to_the_first_token);
    tcase_add_test(slots, slots_start_anew_in_each_domain);
    tcase_add_test(slots, slots_of_listed_tokens_in_their_order);
    tcase_add_test(slots, capacity_is_evaluated_left_to_right);
    suite_add_tcase(suite, slots);
    TCase *checks = tcase_create("exactness and bounds");
    tcase_add_test(checks, bits_keep_one_spare);
    tcase_add_test(checks, a_violation_is_named);
    tcase_add_test(checks, sum_error_is_the_smaller_form);
    tcase_add_test(checks, product_bound_holds_and_bites);
    tcase_add_test(checks, fp64_bound_pays_for_both_sides);
    tcase_add_test(checks, fp64_bound_holds_and_bites);
    tcase_add_test(checks, layernorm_of_equal_values_is_its_bias);
    tcase_add_loop_test(checks, layernorm_bound_holds_where_nothing_is_left, 0, 4);
    tcase_add_loop_test(checks, layernorm_bound_holds_where_it_cancels, 0, 4);
    tcase_add_test(checks, bf16_bound_holds_on_ties_and_bites);
    tcase_add_test(checks, softmax_bound_holds);
    tcase_add_loop_test(checks, sparsemixer_bound_knows_doubt, 0, 2);
    suite_add_tcase(suite, checks);
    return check_main(suite);
}
