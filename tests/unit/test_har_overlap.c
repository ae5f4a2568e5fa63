/* tests/unit/test_har_overlap.c -- exchanges that go on while ranks compute:
 * schedules by hand, and plans whose steps are replayed.
 */
#include "harness/perf/predict/predict.h"
#include "harness/perf/predict/schedule.h"
#include "tests/support/check_main.h"

#include <math.h>
#include <string.h>

static void near(double found, double expected)
{
    ck_assert_msg(fabs(found - expected) <= 1e-9 * (fabs(expected) + 1e-12),
                  "found %.12g, expected %.12g", found, expected);
}

/* --- by hand --- */

enum { MAX_EVENT = 8, N_LANE = 2 };

typedef struct hand {
    har_event event[N_LANE * MAX_EVENT];
    int64_t first[N_LANE * 2];
    har_lane_time lane[N_LANE];
    double seconds, exposed;
} hand;

#define COMPUTE(s) {.kind = HAR_EVENT_COMPUTE, .seconds = (s)}
#define BEGIN(s) {.kind = HAR_EVENT_BEGIN, .seconds = (s)}
#define WAIT {.kind = HAR_EVENT_WAIT}

static void replay(hand *h, const har_event event[N_LANE][MAX_EVENT],
                   const int n[N_LANE])
{
    const int from[N_LANE] = {-1, -1}, n_member[1] = {N_LANE}, play[1] = {0};
    har_replay_work work = {{0}, {0}, {0}};
    int64_t at = 0;
    for (int i = 0; i < N_LANE; i++) {
        h->first[2 * i] = at;
        memcpy(h->event + at, event[i], (size_t)n[i] * sizeof **event);
        at += n[i];
        h->first[2 * i + 1] = at;
    }
    const har_schedule s = {.n_lane = N_LANE,
                            .n_tick = 1,
                            .n_group = 1,
                            .n_class = 1,
                            .event = h->event,
                            .first = h->first,
                            .from = from,
                            .n_member = n_member,
                            .begins = true};
    har_replay out = {.lane = h->lane, .exposed = &h->exposed};
    ck_assert_int_eq(har_replay_run(&s, play, 1, &work, &out), CORE_OK);
    har_replay_work_free(&work);
    h->seconds = out.seconds[0];
}

/* One begins at 1, the other at 2: it goes from 2 to 4.  The first computes until
 * 4 and waits for nothing; the other until 2.5 and waits 1.5 of the 2 seconds. */
START_TEST(an_exchange_hides_behind_what_is_computed)
{
    static const har_event event[N_LANE][MAX_EVENT] = {
        {COMPUTE(1), BEGIN(2), COMPUTE(3), WAIT, COMPUTE(1)},
        {COMPUTE(2), BEGIN(2), COMPUTE(0.5), WAIT}};
    hand h = {0};
    replay(&h, event, (const int[]){5, 4});
    near(h.seconds, 5);
    near(h.lane[0].hidden, 2);
    near(h.lane[0].meet, 0);
    near(h.lane[1].hidden, 0.5);
    near(h.lane[1].meet, 1.5);
    near(h.lane[1].end, 4);
    near(h.lane[0].wait_peer + h.lane[1].wait_peer, 0);
    near(h.exposed, 1.5);
}
END_TEST

/* Who waits before the other has begun waits for that, too. */
START_TEST(a_late_peer_is_waited_for)
{
    static const har_event event[N_LANE][MAX_EVENT] = {
        {BEGIN(2), COMPUTE(1), WAIT}, {COMPUTE(3), BEGIN(2), WAIT}};
    hand h = {0};
    replay(&h, event, (const int[]){3, 3});
    near(h.seconds, 5);
    near(h.lane[0].wait_peer, 2);
    near(h.lane[0].meet, 2);
    near(h.lane[1].meet, 2);
}
END_TEST

/* Two exchanges of a group follow each other: 0 to 2 and 2 to 3. */
START_TEST(links_carry_one_after_the_other)
{
    static const har_event event[N_LANE][MAX_EVENT] = {
        {BEGIN(2), BEGIN(1), WAIT, COMPUTE(0.25), WAIT},
        {BEGIN(2), BEGIN(1), WAIT, COMPUTE(0.25), WAIT}};
    hand h = {0};
    replay(&h, event, (const int[]){5, 5});
    near(h.seconds, 3);
    near(h.lane[0].meet, 2 + 0.75);
    near(h.lane[0].hidden, 0.25);
}
END_TEST

/* --- plans --- */

typedef struct overlapped {
    double last[64]; /* end of what a rank computed last                     */
    int n_beside;    /* exchanges that computing runs beside                 */
} overlapped;

/* An exchange is shown when it is waited for, after what ran beside it. */
static void see(void *self, const har_span *span)
{
    overlapped *o = self;
    if (span->kind != CORE_COST_COLLECTIVE)
        o->last[span->rank] = span->end;
    else if (span->collective == CORE_ALL_TO_ALL &&
             span->start < o->last[span->rank] - 1e-15) {
        ck_assert(span->goes_on);
        o->n_beside++;
    }
}

typedef struct outcome {
    double latency, computing, total, exposed;
    int n_beside;
} outcome;

static outcome ask(const core_spec *spec, const char *text, har_overlap overlap,
                   bool all_ranks)
{
    static har_prediction p;
    static har_machine machine;
    par_plan plan;
    har_predictor *predictor;
    overlapped seen = {0};
    ck_assert_int_eq(har_machine_open(&machine, "h100-sxm"), CORE_OK);
    ck_assert_int_eq(har_predictor_make(&predictor, &machine), CORE_OK);
    ck_assert_int_eq(par_plan_parse(&plan, text), CORE_OK);
    ck_assert_msg(par_plan_check(&plan, spec) == CORE_OK, "%s: %s", text,
                  core_message());
    const har_predict_case c = {.spec = spec,
                                .plan = &plan,
                                .n_b = 24,
                                .n_t = 128,
                                .types.dtype = CORE_DTYPE_F16,
                                .overlap = overlap,
                                .all_ranks = all_ranks,
                                .no_interval = true};
    ck_assert_msg(har_predict(predictor, &c, &p) == CORE_OK, "%s",
                  core_message());
    ck_assert_int_eq(har_predict_spans(predictor, see, &seen), CORE_OK);
    har_predictor_free(predictor);
    ck_assert(p.period.value > 0 && p.period.value <= p.latency.value * 1.0001);
    return (outcome){p.latency.value, p.compute.value * p.latency.value,
                     p.comm_total, p.comm_exposed, seen.n_beside};
}

static const struct {
    const char *model, *plan;
    bool in_step; /* scope=replica: turns of idle micro-batches meet, too      */
} PLANS[] = {
    {"seed-mini", "dp=2,ep=2,mb=4,overlap=dispatch", false},
    {"seed-mini", "tp=2,pp=2,dp=2,ep=4,mb=5,overlap=dispatch+p2p", false},
    {"seed-mini", "tp=2,ep=2,mb=3,rounds=2,sp=1,overlap=dispatch", false},
    {"seed-mini", "pp=2,vpp=2,dp=2,ep=2,mb=6,overlap=dispatch", false},
    {"seed-mini", "cp=2,ep=2,mb=2,overlap=dispatch", false},
    {"seed-mini", "pp=4,ep=4,scope=replica,mb=3,overlap=dispatch", true},
    {"seed-mini", "pp=2,ep=2,scope=replica,vpp=2,mb=8,overlap=dispatch", true},
    {"shadow-a", "tp=2,pp=3,dp=2,ep=4,mb=3,overlap=dispatch+shared", false},
    {"shadow-a", "tp=2,dp=2,ep=4,mb=4,overlap=shared", false},
    {"shadow-b", "tp=3,ep=3,mb=4,overlap=dispatch+shared", false},
};
enum { N_PLAN = sizeof PLANS / sizeof PLANS[0] };

/* The same work, of which less waits; every event has its step (order.c holds
 * that itself).                                                              */
START_TEST(plans_hide_exchanges)
{
    core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, PLANS[_i].model, NULL), CORE_OK);
    const outcome kept =
        ask(&spec, PLANS[_i].plan, HAR_OVERLAP_PIPELINE, true);
    const outcome planned =
        ask(&spec, PLANS[_i].plan, HAR_OVERLAP_PLANNED, true);
    if (!PLANS[_i].in_step) {
        near(planned.computing, kept.computing);
        near(planned.total, kept.total);
    }
    ck_assert_int_eq(kept.n_beside, 0);
    ck_assert_int_gt(planned.n_beside, 0);
    ck_assert(planned.exposed < kept.exposed);
    const outcome all = ask(&spec, PLANS[_i].plan, HAR_OVERLAP_ALL, false);
    const outcome spoken =
        ask(&spec, PLANS[_i].plan, HAR_OVERLAP_PLANNED, false);
    near(spoken.latency, all.latency);
}
END_TEST

/* Without a shared expert nothing runs beside one micro-batch's rows. */
START_TEST(nothing_to_hide_behind)
{
    core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, "seed-mini", NULL), CORE_OK);
    const outcome shared = ask(&spec, "dp=2,ep=2,mb=4,overlap=shared",
                               HAR_OVERLAP_PLANNED, true);
    const outcome none =
        ask(&spec, "dp=2,ep=2,mb=4", HAR_OVERLAP_PIPELINE, true);
    near(shared.latency, none.latency);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_overlap");
    TCase *t = tcase_create("overlap");
    tcase_add_test(t, an_exchange_hides_behind_what_is_computed);
    tcase_add_test(t, a_late_peer_is_waited_for);
    tcase_add_test(t, links_carry_one_after_the_other);
    tcase_add_loop_test(t, plans_hide_exchanges, 0, N_PLAN);
    tcase_add_test(t, nothing_to_hide_behind);
    suite_add_tcase(suite, t);
    return check_main(suite);
}
