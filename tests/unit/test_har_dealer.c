/* tests/unit/test_har_dealer.c -- what a pass had of the move before it, by hand. */
#include "harness/verify/dealer.h"
#include "tests/support/check_main.h"

#include <math.h>

/* Two layers of four experts on two ep indices of two slots.  In order they have
 * 8 + 4 and 1 + 1 rows in the first layer, 2 + 2 and 2 + 2 in the second; dealt
 * 8 + 1 and 4 + 1, and the second layer as it was.                           */
static const uint16_t BEFORE[] = {0, 1, 2, 3, 0, 1, 2, 3};
static const uint16_t NOW[] = {0, 2, 1, 3, 0, 1, 2, 3};
static double load[] = {8, 4, 1, 1, 2, 2, 2, 2};
static uint64_t rows[] = {8, 1, 4, 1, 2, 2, 2, 2};

static har_dealer dealer(const core_spec *spec, int *room, uint16_t *before)
{
    har_dealer d = {.spec = spec,
                    .how = {4, 2, 2, 1, 1, true},
                    .n_moe = 2,
                    .rows = rows,
                    .load = load,
                    .logical = room,
                    .before = before,
                    .moved_bytes = 640,
                    .most = 3};
    d.plan.n_physical = 4;
    for (int i = 0; i < 8; i++) {
        d.plan.physical[i] = NOW[i];
        before[i] = BEFORE[i];
    }
    return d;
}

static void near(double a, double b)
{
    ck_assert_msg(fabs(a - b) <= 1e-12 * fmax(fabs(a), fabs(b)),
                  "%.17g, %.17g", a, b);
}

static double products(const void *self, const double *l, const int *logical)
{
    const double *of_row = self;
    return *of_row * fmax(l[logical[0]] + l[logical[1]],
                          l[logical[2]] + l[logical[3]]);
}

static double move(const void *self, int64_t n_expert)
{
    (void)self;
    return (double)n_expert;
}

static double pays(double a, double kept, double dealt)
{
    return a / (kept - dealt);
}

START_TEST(a_pass_says_what_the_move_before_it_saved)
{
    static const core_spec spec = {.n_e = 4};
    static har_dealer d;
    const double of_row = 0.5;
    const har_price price = {&of_row, products, move, pays};
    int room[8];
    uint16_t before[8];
    har_dealt out = {0};
    d = dealer(&spec, room, before);
    har_dealer_weigh(&d, &out, NULL);
    near(out.fullest, 9 + 4);
    near(out.fullest_kept, 12 + 4);
    near(out.balance, 11.0 / 13);
    near(out.kept, 11.0 / 16);
    ck_assert_int_eq(out.n_bytes_before, 640);
    ck_assert(!out.is_priced);
    har_dealer_weigh(&d, &out, &price);
    ck_assert(out.is_priced);
    near(out.seconds, 6.5);
    near(out.seconds_kept, 8);
    near(out.seconds_before, 3);
    near(out.pays, 2);
}
END_TEST

static const struct {
    const char *plan;
    int n_part;
} PARTS[] = {{"tp=2,dp=2,ep=4", 1},
             {"tp=2,dp=2,ep=2", 2},
             {"dp=4,ep=2,etp=2", 2},
             {"pp=2,dp=2,ep=2", 1},
             {"tp=2,pp=2,dp=3,ep=2,etp=2,scope=replica", 6}};

START_TEST(ranks_of_an_expert_are_counted)
{
    static par_plan plan;
    ck_assert_int_eq(par_plan_parse(&plan, PARTS[_i].plan), CORE_OK);
    ck_assert_int_eq(har_dealer_parts(&plan), PARTS[_i].n_part);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dealer");
    TCase *tc = tcase_create("dealer");
    tcase_add_test(tc, a_pass_says_what_the_move_before_it_saved);
    tcase_add_loop_test(tc, ranks_of_an_expert_are_counted, 0,
                        (int)(sizeof PARTS / sizeof *PARTS));
    suite_add_tcase(s, tc);
    return check_main(s);
}
