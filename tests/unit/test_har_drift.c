/* tests/unit/test_har_drift.c -- physical experts by load, by hand; and what
 * dealing them anew is worth while popularity drifts.
 */
#include "parallel/balancer.h"
#include "harness/perf/search/drift.h"
#include "tests/support/check_main.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void near(double a, double b)
{
    ck_assert_msg(fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)), "%.17g, %.17g",
                  a, b);
}

static void is(const int *logical, const int *want, int n)
{
    for (int p = 0; p < n; p++)
        ck_assert_msg(logical[p] == want[p], "physical %d: %d, expected %d", p,
                      logical[p], want[p]);
}

/* Loads 8 4 2 2, two GPUs of three.  Copies: of 0, with 4 each; of 0 again, by
 * its number.  In order: 1 (4) to GPU 0, 0 (8/3) to GPU 1; 0 to GPU 0, which has
 * none, though it has more; 0 to GPU 1, as both have it; 2 to GPU 1, 3 to 0.   */
START_TEST(most_loaded_get_copies)
{
    const par_balancer d = {
        .n_e = 4, .n_gpu = 2, .n_slot = 3, .n_node = 1, .n_group = 1};
    const double load[] = {8, 4, 2, 2};
    int logical[6], copy[4];
    ck_assert_int_eq(par_balancer_check(&d), CORE_OK);
    par_balancer_deal(&d, load, logical);
    par_balancer_copies(&d, logical, copy);
    const int copies[] = {3, 1, 1, 1};
    is(copy, copies, 4);
    const int want[] = {1, 0, 3, 0, 0, 2};
    is(logical, want, 6);
    near(par_balancer_balance(&d, load, logical), 8 / (4 + 8.0 / 3 + 2));
}
END_TEST

/* Four experts in two groups on two nodes of a GPU each: over all GPUs 0 and 3
 * would go apart; by node group {0, 1} stays together, as {2, 3} does.       */
START_TEST(groups_stay_in_a_node)
{
    const double load[] = {8, 1, 7, 2};
    int logical[4];
    par_balancer d = {.n_e = 4, .n_gpu = 2, .n_slot = 2, .n_node = 1, .n_group = 1};
    par_balancer_deal(&d, load, logical);
    const int apart[] = {0, 1, 2, 3};
    is(logical, apart, 4);
    near(par_balancer_balance(&d, load, logical), 1);
    const double other[] = {8, 7, 1, 2};
    par_balancer_deal(&d, other, logical);
    const int mixed[] = {0, 2, 1, 3};
    is(logical, mixed, 4);
    near(par_balancer_balance(&d, other, logical), 1);
    d.n_node = d.n_group = 2;
    par_balancer_deal(&d, other, logical);
    const int by_node[] = {0, 1, 3, 2};
    is(logical, by_node, 4);
    near(par_balancer_balance(&d, other, logical), 9.0 / 15);
}
END_TEST

/* Over all loads of some sizes: every expert is somewhere, every slot taken, no
 * expert outside its group's node, and dealing beats the order they come in
 * where a GPU has several to choose from.                                    */
START_TEST(every_expert_is_somewhere)
{
    static const par_balancer deal[] = {
        {.n_e = 26, .n_gpu = 6, .n_slot = 5, .n_node = 1, .n_group = 1},
        {.n_e = 24, .n_gpu = 8, .n_slot = 4, .n_node = 2, .n_group = 4},
        {.n_e = 20, .n_gpu = 4, .n_slot = 5, .n_node = 4, .n_group = 20},
        {.n_e = 3, .n_gpu = 4, .n_slot = 2, .n_node = 1, .n_group = 1}};
    const par_balancer *d = &deal[_i];
    double load[32] = {0};
    int logical[64], in_order[64], copy[32], node[32];
    for (int e = 0; e < d->n_e; e++)
        load[e] = 1.0 / (1 + (e * 7 + 3) % d->n_e);
    par_balancer_deal(d, load, logical);
    par_balancer_in_order(d, in_order);
    par_balancer_copies(d, logical, copy);
    memset(node, -1, sizeof node);
    for (int p = 0; p < d->n_gpu * d->n_slot; p++) {
        const int g = logical[p] / (d->n_e / d->n_group);
        const int at = p / d->n_slot / (d->n_gpu / d->n_node);
        ck_assert(logical[p] >= 0 && logical[p] < d->n_e);
        ck_assert(node[g] < 0 || node[g] == at);
        node[g] = at;
    }
    for (int e = 0; e < d->n_e; e++)
        ck_assert_int_ge(copy[e], 1);
    ck_assert(d->n_e < d->n_gpu || par_balancer_balance(d, load, logical) >
                                       par_balancer_balance(d, load, in_order));
}
END_TEST

/* With is_once no GPU has an expert twice, whatever the loads: one that is asked
 * for alone has a copy on every GPU of its node.                             */
START_TEST(no_gpu_has_an_expert_twice)
{
    for (int slots = 4; slots <= 13; slots++) {
        const par_balancer d = {.n_e = 26, .n_gpu = 14, .n_slot = slots,
                                .n_node = 1 + slots % 2, .n_group = 2,
                                .is_once = true};
        double load[26];
        int logical[14 * 13], copy[26];
        for (int e = 0; e < d.n_e; e++)
            load[e] = e == _i ? 1000 : (e * 5 + _i) % 7;
        ck_assert_int_eq(par_balancer_check(&d), CORE_OK);
        par_balancer_deal(&d, load, logical);
        par_balancer_copies(&d, logical, copy);
        ck_assert_int_eq(copy[_i], d.n_gpu / d.n_node);
        for (int e = 0; e < d.n_e; e++)
            ck_assert_int_ge(copy[e], 1);
        for (int p = 0; p < d.n_gpu * slots; p++)
            for (int q = p / slots * slots; q < p; q++)
                ck_assert_int_ne(logical[q], logical[p]);
    }
}
END_TEST

START_TEST(only_what_a_gpu_lacks_moves)
{
    const par_balancer d = {
        .n_e = 4, .n_gpu = 2, .n_slot = 3, .n_node = 1, .n_group = 1};
    const int before[] = {0, 1, 2, 3, 0, 1}, after[] = {2, 1, 0, 2, 3, 2};
    int most = -1;
    ck_assert_int_eq(par_balancer_moved(&d, before, before, &most), 0);
    ck_assert_int_eq(most, 0);
    ck_assert_int_eq(par_balancer_moved(&d, before, after, &most), 1);
    ck_assert_int_eq(most, 1);
}
END_TEST

static const struct {
    par_balancer deal;
    const char *says; /* NULL: legal                                          */
} refused[] = {
    {{64, 16, 3, 1, 1, false}, "16 GPUs x 3 physical experts = 48, expected 64"},
    {{64, 16, 4, 1, 1, false}, NULL},
    {{64, 16, 257, 1, 1, false}, "= 4112, expected 64 to 4096"},
    {{64, 16, 4, 3, 3, false}, "GPUs % nodes = 16 % 3 = 1"},
    {{64, 16, 4, 4, 6, false}, "groups % nodes = 6 % 4 = 2"},
    {{64, 16, 4, 4, 12, false}, "experts % groups = 64 % 12 = 4"},
    {{64, 16, 4, 4, 8, false}, NULL},
    {{64, 16, 17, 4, 4, true},
     "17 physical experts on a GPU, expected at most 16"},
    {{64, 16, 17, 4, 4, false}, NULL}};

START_TEST(what_cannot_be_dealt_is_refused)
{
    core_message_clear();
    const core_status status = par_balancer_check(&refused[_i].deal);
    ck_assert_int_eq(status, refused[_i].says != NULL ? CORE_E_USAGE : CORE_OK);
    ck_assert_msg(refused[_i].says == NULL ||
                      strstr(core_message(), refused[_i].says) != NULL,
                  "%s", core_message());
}
END_TEST

static har_drift drift_of(double drift, int every, core_spec *spec,
                          har_machine *machine, double *share)
{
    har_drift out = {0};
    ck_assert_int_eq(core_spec_open(spec, "seed-mini", NULL), CORE_OK);
    ck_assert_int_eq(har_machine_open(machine, "gpu-400t-64g"), CORE_OK);
    double sum = 0;
    for (int e = 0; e < 64; e++)
        sum += share[e] = 1.0 / (1 + e);
    for (int e = 0; e < 64; e++)
        share[e] /= sum;
    const har_drift_case c = {.dealing = {.spec = spec,
                                          .machine = machine,
                                          .dtype = CORE_DTYPE_F16,
                                          .deal = {64, 16, 5, 1, 1, false}},
                              .share = share,
                              .drift = drift,
                              .n_token = 8192,
                              .n_pass = 4,
                              .every = every,
                              .seed = 1};
    ck_assert_int_eq(har_drift_run(&out, &c), CORE_OK);
    return out;
}

/* Before the first dealing nothing is known; behind it GPUs are more even, and
 * less so where popularity has drifted in between.                           */
START_TEST(a_dealing_lasts_as_long_as_its_counts)
{
    core_spec spec;
    har_machine machine;
    double share[64];
    har_drift still = drift_of(0, 1, &spec, &machine, share);
    ck_assert(still.pass[0].dealt == still.pass[0].in_order);
    ck_assert(still.pass[1].dealt > 2 * still.pass[1].in_order);
    ck_assert(still.pass[1].dealt_seconds < still.pass[1].kept_seconds);
    ck_assert(still.pass[1].kept == still.pass[1].in_order);
    ck_assert(still.pass[0].moved_bytes > 0 && still.pass[0].move_seconds > 0);
    ck_assert(isfinite(har_drift_pays(&still, 0)));
    har_drift all = drift_of(1, 1, &spec, &machine, share);
    ck_assert(all.pass[0].in_order == still.pass[0].in_order);
    ck_assert(all.pass[1].dealt < still.pass[1].dealt);
    har_drift once = drift_of(0, 3, &spec, &machine, share);
    ck_assert(once.pass[2].dealt == once.pass[2].in_order);
    ck_assert(once.pass[0].moved_bytes == 0 && once.pass[2].moved_bytes > 0);
    ck_assert(once.pass[3].dealt > 2 * once.pass[3].in_order);
    har_drift_free(&once);
    har_drift_free(&all);
    har_drift_free(&still);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("deal");
    TCase *tc = tcase_create("deal");
    tcase_add_test(tc, most_loaded_get_copies);
    tcase_add_test(tc, groups_stay_in_a_node);
    tcase_add_loop_test(tc, every_expert_is_somewhere, 0, 4);
    tcase_add_loop_test(tc, no_gpu_has_an_expert_twice, 0, 26);
    tcase_add_test(tc, only_what_a_gpu_lacks_moves);
    tcase_add_loop_test(tc, what_cannot_be_dealt_is_refused, 0,
                        (int)(sizeof refused / sizeof *refused));
    tcase_add_test(tc, a_dealing_lasts_as_long_as_its_counts);
    suite_add_tcase(s, tc);
    return check_main(s);
}
