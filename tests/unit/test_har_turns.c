/* tests/unit/test_har_turns.c -- virtual stages in step: the closed form against
 * the turns of parallel/turns.h, played one by one with a clock for each stage.
 */
#include "core/numbers/rng.h"
#include "harness/perf/search/impl.h"
#include "parallel/turns.h"
#include "tests/support/check_main.h"

#include <math.h>

/* 0 .. 7 */
static int drawn(uint64_t *at)
{
    return (int)core_rng_below(1, 1, (*at)++, 8);
}

/* Parts of any length, with any number of pairs of their own. */
static har__segments draw(int pp, int vpp, int n_pair, uint64_t *at)
{
    har__segments own = {.pp = pp, .vpp = vpp, .n_pair = n_pair};
    for (int part = 0; part < pp * vpp; part++) {
        own.n_moe[part] = drawn(at) % (n_pair + 1);
        own.after[part] = drawn(at);
        for (int pair = 0; pair < n_pair; pair++)
            own.seconds[pair * pp * vpp + part] = drawn(at);
    }
    return own;
}

/* What a stage does of its own before a pair; the first needs the message. */
static void go_on(const har__segments *own, const par_plan *plan, int turn,
                  int pair, const double *sent, double *clock, int *n_busy)
{
    *n_busy = 0;
    for (int s = 0; s < own->pp; s++) {
        const par_turn t = par_turn_of(plan, plan->mb, s, turn);
        const int part = par_virtual_stage(plan, s, t.chunk);
        if (t.run < 0)
            continue;
        if (pair == 0 && part > 0)
            clock[s] = fmax(clock[s], sent[(s + own->pp - 1) % own->pp]);
        clock[s] += own->seconds[pair * par_plan_parts(plan) + part];
        *n_busy += own->n_moe[part] > pair;
    }
}

static void meet(double *clock, int pp)
{
    double most = 0;
    for (int s = 0; s < pp; s++)
        most = fmax(most, clock[s]);
    for (int s = 0; s < pp; s++)
        clock[s] = most;
}

static har__turns play(const har__segments *own, const par_plan *plan)
{
    double clock[8] = {0}, sent[8] = {0};
    har__turns out = {0};
    for (int turn = 0; turn < par_turns(plan, plan->mb); turn++) {
        for (int pair = 0; pair < own->n_pair; pair++) {
            int n_busy;
            go_on(own, plan, turn, pair, sent, clock, &n_busy);
            meet(clock, own->pp);
            out.pairs.n[n_busy]++;
        }
        for (int s = 0; s < own->pp; s++) {
            const par_turn t = par_turn_of(plan, plan->mb, s, turn);
            if (t.run >= 0)
                clock[s] += own->after[par_virtual_stage(plan, s, t.chunk)];
            sent[s] = clock[s];
        }
    }
    meet(clock, own->pp);
    out.seconds = clock[0];
    return out;
}

/* Whole numbers: sums are exact. */
static void hold(const har__segments *own, int n_group)
{
    par_plan plan;
    har__turns alone, more;
    char text[80];
    snprintf(text, sizeof text, "pp=%d,vpp=%d,mb=%d", own->pp, own->vpp,
             n_group * own->pp);
    ck_assert_int_eq(par_plan_parse(&plan, text), CORE_OK);
    har__turns_of_group(own, &alone);
    har__turns_of_more(own, &more);
    const har__turns played = play(own, &plan);
    const double sum = alone.seconds + (n_group - 1) * more.seconds;
    ck_assert_msg(sum == played.seconds, "%s: %g, played %g", text, sum,
                  played.seconds);
    for (int n = 0; n <= own->pp; n++)
        ck_assert(alone.pairs.n[n] + (n_group - 1) * more.pairs.n[n] ==
                  played.pairs.n[n]);
}

START_TEST(closed_form_of_turns)
{
    uint64_t at = 0;
    for (int pp = 2; pp <= 5; pp++)
        for (int vpp = 2; vpp <= 4; vpp++)
            for (int n_pair = 1; n_pair <= 3; n_pair++)
                for (int i = 0; i < 20; i++) {
                    const har__segments own = draw(pp, vpp, n_pair, &at);
                    for (int n_group = 1; n_group <= 3; n_group++)
                        hold(&own, n_group);
                }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_turns");
    TCase *tests = tcase_create("turns");
    tcase_add_test(tests, closed_form_of_turns);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
