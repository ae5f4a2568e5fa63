/* tests/unit/test_har_predict.c -- schedules by hand, loads, memory, and what
 * must hold of any prediction.
 */
#include "harness/perf/cost/memory.h"
#include "harness/perf/machine/tiers.h"
#include "harness/perf/predict/balance.h"
#include "harness/perf/machine/record_time.h"
#include "harness/perf/predict/predict.h"
#include "harness/perf/predict/schedule.h"
#include "tests/support/check_main.h"
#include "tests/support/ref_fixture.h"
#include "tests/support/seen_spans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- replay --- */

enum { MAX_STAGE = 4, MAX_MB = 8, MAX_EVENT = 256 };

typedef struct pipe {
    har_event event[MAX_EVENT];
    int64_t first[MAX_STAGE * 2];
    int from[MAX_STAGE];
    int play[1];
    int n_member[1];
    har_lane_time lane[MAX_STAGE];
    har_schedule s;
} pipe_case;

/* A pipeline of stages that take second[s] for each of n_mb micro-batches;
 * sends take `send`. */
static void make_pipe(pipe_case *p, const double *second, int n_stage, int n_mb,
                      double send)
{
    int64_t n = 0;
    memset(p, 0, sizeof *p);
    for (int s = 0; s < n_stage; s++) {
        p->first[s * 2] = n;
        p->from[s] = s - 1;
        for (int m = 0; m < n_mb; m++) {
            if (s > 0)
                p->event[n++] = (har_event){.kind = HAR_EVENT_RECEIVE};
            p->event[n++] = (har_event){.seconds = second[s]};
            if (s + 1 < n_stage)
                p->event[n++] = (har_event){.kind = HAR_EVENT_SEND,
                                            .seconds = send,
                                            .cause = HAR_COLLECTIVE};
        }
        p->first[s * 2 + 1] = n;
    }
    p->s = (har_schedule){.n_lane = n_stage,
                          .n_at_once = 1,
                          .n_tick = 1,
                          .n_group = 1,
                          .n_class = 1,
                          .event = p->event,
                          .first = p->first,
                          .from = p->from,
                          .n_member = p->n_member};
}

/* Seconds of the world whose collectives take `factor` times as long; it is
 * replayed beside another, which must not change it. */
static double replay_world(pipe_case *p, double factor)
{
    static const har_world as_it_is = {.factor = {1, 1, 1, 1, 1}};
    har_world world[2] = {as_it_is, as_it_is};
    har_lane_time lane[2 * MAX_STAGE];
    har_replay_work work = {{0}, {0}, {0}};
    har_replay out = {.n_world = 2, .world = world, .lane = lane};
    world[0].factor[HAR_COLLECTIVE] = factor;
    world[1].factor[HAR_GEMM] = 3;
    ck_assert_int_eq(har_replay_run(&p->s, p->play, 1, &work, &out), CORE_OK);
    har_replay_work_free(&work);
    for (int i = 0; i < p->s.n_lane; i++)
        p->lane[i] = lane[2 * i];
    ck_assert(out.seconds[1] != out.seconds[0]);
    return out.seconds[0];
}

static double replay(pipe_case *p)
{
    har_replay_work work = {{0}, {0}, {0}};
    har_replay out = {.lane = p->lane};
    ck_assert_int_eq(har_replay_run(&p->s, p->play, 1, &work, &out), CORE_OK);
    har_replay_work_free(&work);
    ck_assert(replay_world(p, 1) == out.seconds[0]);
    return out.seconds[0];
}

static void near(double x, double y)
{
    ck_assert_msg(fabs(x - y) <= 1e-12 * fabs(y), "%.17g, expected %.17g", x,
                  y);
}

/* Every stage idles pp - 1 of mb + pp - 1 ticks. */
START_TEST(equal_stages_have_the_bubble_of_the_book)
{
    const double second[] = {2, 2, 2, 2};
    pipe_case p;
    make_pipe(&p, second, 4, 8, 0);
    const double all = replay(&p);
    near(all, 2 * (8 + 4 - 1));
    for (int s = 0; s < 4; s++)
        near(p.lane[s].wait_stage / all, 3.0 / 11);
}
END_TEST

/* Stages of 1, 3 and 2, four micro-batches, by hand: stage 1 begins at 1 and
 * works to 13; stage 2 gets its last at 13 and is done at 15. */
START_TEST(uneven_stages_wait_for_the_slowest)
{
    const double second[] = {1, 3, 2};
    pipe_case p;
    make_pipe(&p, second, 3, 4, 0);
    near(replay(&p), 15);
    near(p.lane[0].wait_stage, 15 - 4);
    near(p.lane[1].wait_stage, 1 + 2);
    near(p.lane[2].wait_stage, 4 + 3 * 1);
}
END_TEST

/* Four micro-batches, two of them a turn: stage 1 begins when both are there, at
 * 2, and is done with the other two at 6; without, at 5. */
START_TEST(a_turn_begins_when_all_of_it_is_there)
{
    const double second[] = {1, 1};
    pipe_case p;
    make_pipe(&p, second, 2, 4, 0);
    near(replay(&p), 5);
    p.s.n_at_once = 2;
    near(replay(&p), 6);
    near(p.lane[1].wait_stage, 2);
}
END_TEST

/* Two stages of 1, two micro-batches, sends of 0.5.  Kept: stage 0 computes,
 * sends, computes, sends: 3.0; stage 1 gets them at 1.5 and 3.0, done at 4.
 * Aside: they are there at 1.5 and 2.5, done at 3.5. */
START_TEST(a_send_keeps_its_sender_unless_it_goes_aside)
{
    const double second[] = {1, 1};
    pipe_case p;
    make_pipe(&p, second, 2, 2, 0.5);
    near(replay(&p), 4);
    near(p.lane[0].meet, 1);
    p.s.sends_aside = true;
    near(replay(&p), 3.5);
    near(p.lane[0].hidden, 1);
    near(replay_world(&p, 2), 4);
}
END_TEST

/* The play of one tick three times: the mark is what the first two take. */
START_TEST(a_mark_is_the_end_of_a_shorter_play)
{
    const double second[] = {1, 3, 2};
    const int play[3] = {0, 0, 0};
    pipe_case p;
    make_pipe(&p, second, 3, 4, 0.25);
    for (int n = 1; n < 3; n++) {
        har_replay_work work = {{0}, {0}, {0}};
        har_replay all = {.lane = p.lane, .n_mark = n}, part = {.lane = p.lane};
        ck_assert_int_eq(har_replay_run(&p.s, play, 3, &work, &all), CORE_OK);
        ck_assert_int_eq(har_replay_run(&p.s, play, n, &work, &part), CORE_OK);
        ck_assert(all.marked[0] == part.seconds[0]);
        ck_assert(all.seconds[0] > all.marked[0]);
        har_replay_work_free(&work);
    }
}
END_TEST

/* What is said of the first ticks of a play is what a play of them alone says. */
START_TEST(a_pass_is_the_beginning_of_a_play)
{
    const double second[] = {1, 3, 2};
    const int play[3] = {0, 0, 0};
    for (int n = 1; n <= 3; n++) {
        pipe_case p;
        make_pipe(&p, second, 3, 4, 0.25);
        har_lane_time lane[MAX_STAGE];
        double exposed[2][1];
        har_replay_work work = {{0}, {0}, {0}};
        har_replay all = {.lane = p.lane, .n_pass = n, .exposed = exposed[0]};
        har_replay part = {.lane = lane, .exposed = exposed[1]};
        ck_assert_int_eq(har_replay_run(&p.s, play, 3, &work, &all), CORE_OK);
        ck_assert_int_eq(har_replay_run(&p.s, play, n, &work, &part), CORE_OK);
        ck_assert(all.pass[0] == part.seconds[0]);
        ck_assert(part.pass[0] == part.seconds[0]);
        ck_assert((all.seconds[0] == all.pass[0]) == (n == 3));
        ck_assert(exposed[0][0] == exposed[1][0] && exposed[0][0] > 0);
        ck_assert(memcmp(p.lane, lane, 3 * sizeof *lane) == 0);
        har_replay_work_free(&work);
    }
}
END_TEST

/* Two lanes compute 1 and 3, meet for 2: both leave at 5, or, hidden behind the
 * least that was computed, at 4. */
START_TEST(a_meeting_waits_for_the_last)
{
    pipe_case p;
    memset(&p, 0, sizeof p);
    for (int i = 0; i < 2; i++) {
        p.event[2 * i] = (har_event){.seconds = i == 0 ? 1 : 3};
        p.event[2 * i + 1] =
            (har_event){.kind = HAR_EVENT_MEET, .seconds = i == 0 ? 2 : 1};
        p.first[2 * i] = 2 * i;
        p.first[2 * i + 1] = 2 * i + 2;
        p.from[i] = -1;
    }
    p.n_member[0] = 2;
    p.s = (har_schedule){.n_lane = 2,
                         .n_at_once = 1,
                         .n_tick = 1,
                         .n_group = 1,
                         .n_class = 1,
                         .event = p.event,
                         .first = p.first,
                         .from = p.from,
                         .n_member = p.n_member};
    near(replay(&p), 5);
    near(p.lane[0].wait_peer, 2);
    near(p.lane[1].wait_peer, 0 * 1.0);
    p.s.meets_aside = true;
    near(replay(&p), 4);
    /* a third that never comes */
    p.n_member[0] = 3;
    har_replay_work work = {{0}, {0}, {0}};
    har_replay out = {.lane = p.lane};
    ck_assert_int_eq(har_replay_run(&p.s, p.play, 1, &work, &out),
                     CORE_E_INTERNAL);
    har_replay_work_free(&work);
}
END_TEST

/* --- demand --- */

typedef struct fixture {
    core_spec spec;
    par_plan plan;
    core_arena arena;
    par_layout lay;
    har_machine machine;
} fixture;

/* The spec is set. */
static void open_plan(fixture *f, const char *plan, int rank)
{
    ck_assert_int_eq(par_plan_parse(&f->plan, plan), CORE_OK);
    ck_assert_int_eq(par_plan_check(&f->plan, &f->spec), CORE_OK);
    ck_assert_int_eq(har_machine_open(&f->machine, "gpu-400t-64g"), CORE_OK);
    f->arena = core_arena_measure();
    ck_assert_int_eq(
        par_layout_make(&f->lay, &f->arena, &f->spec, &f->plan, rank), CORE_OK);
}

static void open_case(fixture *f, const char *model, const char *plan, int rank)
{
    ck_assert_int_eq(core_spec_open(&f->spec, model, NULL), CORE_OK);
    open_plan(f, plan, rank);
}

static uint64_t sum_of(const har_load *load, int64_t layer)
{
    uint64_t n = 0;
    for (int64_t p = 0; p < load->n_part; p++)
        for (int64_t t = 0; t < load->n_slice; t++)
            for (int64_t e = 0; e < load->n_entry; e++)
                n += har_load_at(load, layer, p, t)[e];
    return n;
}

/* Nothing dropped: every choice is somewhere, in every layer, however drawn. */
START_TEST(a_load_has_every_choice)
{
    static const char *const texts[] = {"uniform", "zipf:1", "power:1.2"};
    fixture f;
    open_case(&f, "shadow-a", "tp=2,pp=3,dp=6,ep=4,mb=5,stages=3/2/2", 0);
    f.spec.capacity.rule = CORE_CAPACITY_NONE;
    for (int i = 0; i < 6; i++) {
        har_demand d;
        har_load load;
        double n_choice, n_kept, share = 0;
        ck_assert_int_eq(har_demand_parse(&d, texts[i / 2], 20), CORE_OK);
        for (int e = 0; e < 20; e++)
            share += d.share[e];
        ck_assert(fabs(share - 1) < 1e-12);
        d.is_drawn = i % 2 == 0;
        ck_assert_int_eq(har_load_make(&load, &f.spec, &f.lay), CORE_OK);
        har_demand_load(&d, &f.spec, &f.lay, 31, 11, NULL, &load, &n_choice,
                        &n_kept);
        for (int64_t l = 0; l < f.spec.n_l; l++) {
            const int64_t all = 31 * 11 * f.spec.n_k,
                          n = (int64_t)sum_of(&load, l);
            if (!core_spec_is_moe(&f.spec, (int)l))
                ck_assert_int_eq(n, 0);
            else if (d.is_drawn)
                ck_assert_int_eq(n, all);
            else /* whole rows per group: less than one is lost in each */
                ck_assert(n <= all + load.n_part && n >= all - load.n_part);
        }
        har_load_free(&load);
    }
    core_arena_free(&f.arena);
}
END_TEST

/* What was drawn for another model, batch, demand or seed is not taken; there are
 * more of them than are kept.                                                */
START_TEST(draws_are_told_apart)
{
    enum { N_OTHER = 17, N_TURN = 2 };
    fixture f;
    har_draws draws = {0};
    open_case(&f, "seed-mini", "tp=2,dp=2,mb=2", 0);
    const core_spec plain = f.spec;
    for (int i = 0; i < N_TURN * N_OTHER; i++) {
        const int other = i % N_OTHER;
        har_demand d;
        har_load drawn, load;
        double n_choice[2], n_kept[2];
        f.spec = plain;
        f.spec.capacity.factor = other == 1 ? 0.9 : 1.1;
        f.spec.capacity.domain =
            other == 2 ? CORE_DOMAIN_SEQUENCE : plain.capacity.domain;
        f.spec.ffn[1] = other == 3 ? CORE_FFN_DENSE : plain.ffn[1];
        f.spec.n_k = other == 4 ? 2 : 1;
        ck_assert_int_eq(
            har_demand_parse(&d, other == 5 ? "zipf:1" : "zipf:0.5", 64),
            CORE_OK);
        d.seed = other == 6 ? 2 : other > 8 ? (uint64_t)other : 1;
        const int64_t n_b = other == 7 ? 16 : 8, n_t = other == 8 ? 16 : 32;
        ck_assert_int_eq(har_load_make(&drawn, &f.spec, &f.lay), CORE_OK);
        ck_assert_int_eq(har_load_make(&load, &f.spec, &f.lay), CORE_OK);
        har_demand_load(&d, &f.spec, &f.lay, n_b, n_t, NULL, &drawn,
                        &n_choice[0], &n_kept[0]);
        for (int again = 0; again < 2; again++) {
            memset(load.n_row, 0,
                   (size_t)har_load_size(&load) * sizeof *load.n_row);
            har_demand_load(&d, &f.spec, &f.lay, n_b, n_t, &draws, &load,
                            &n_choice[1], &n_kept[1]);
            ck_assert_msg(memcmp(load.n_row, drawn.n_row,
                                 (size_t)har_load_size(&load) *
                                     sizeof *load.n_row) == 0,
                          "other %d", other);
            ck_assert(n_choice[0] == n_choice[1] && n_kept[0] == n_kept[1]);
            har_load kept;
            const bool is_kept =
                har_draws_find(&draws, &d, &f.spec, &f.lay, n_b, n_t, &kept,
                               &n_choice[1], &n_kept[1]);
            ck_assert(is_kept == (again == 1));
            if (is_kept)
                ck_assert(memcmp(kept.n_row, drawn.n_row,
                                 (size_t)har_load_size(&kept) *
                                     sizeof *kept.n_row) == 0);
            else
                har_draws_keep(&draws, &d, &f.spec, &f.lay, n_b, n_t, &load,
                               n_choice[1], n_kept[1]);
        }
        har_load_free(&drawn);
        har_load_free(&load);
    }
    har_draws_free(&draws);
    core_arena_free(&f.arena);
}
END_TEST

/* A load that is kept is the one that would be made: of as many slices, and of no
 * plan with replicas.                                                        */
START_TEST(loads_are_kept_by_their_slices)
{
    static const char *const plans[] = {"tp=2,dp=2",      "tp=4,dp=2",
                                        "dp=2,mb=2",      "tp=2,ep=2",
                                        "tp=2,dp=2,mb=2", "tp=8,dp=2",
                                        "tp=2,dp=2,pp=2", "tp=1,dp=2"};
    enum { N_PLAN = sizeof plans / sizeof plans[0], N_B = 8, N_T = 32 };
    har_draws draws = {0};
    int n_found = 0;
    for (int i = 0; i < 2 * N_PLAN; i++) {
        fixture f;
        har_demand d;
        har_load made, kept;
        double n[4];
        open_case(&f, "seed-mini", plans[i % N_PLAN], 0);
        ck_assert_int_eq(har_demand_parse(&d, "zipf:0.5", 64), CORE_OK);
        ck_assert_int_eq(har_load_make(&made, &f.spec, &f.lay), CORE_OK);
        const bool is_kept = har_draws_find(&draws, &d, &f.spec, &f.lay, N_B,
                                            N_T, &kept, &n[0], &n[1]);
        har_demand_load(&d, &f.spec, &f.lay, N_B, N_T, &draws, &made, &n[2],
                        &n[3]);
        if (is_kept) {
            ck_assert_int_eq(har_load_size(&kept), har_load_size(&made));
            ck_assert_int_eq(kept.n_slice, made.n_slice);
            ck_assert(memcmp(kept.n_row, made.n_row,
                             (size_t)har_load_size(&made) *
                                 sizeof *made.n_row) == 0);
            ck_assert(n[0] == n[2] && n[1] == n[3]);
        } else {
            har_draws_keep(&draws, &d, &f.spec, &f.lay, N_B, N_T, &made, n[2],
                           n[3]);
        }
        ck_assert(i < N_PLAN || is_kept);
        n_found += is_kept;
        har_load_free(&made);
        core_arena_free(&f.arena);
    }
    ck_assert_int_eq(n_found, N_PLAN + 1); /* pp=2 has the load of pp=1 */
    har_draws_free(&draws);
}
END_TEST

/* All experts on both ranks: their rows are shared, so the load is of this
 * placement alone.                                                           */
START_TEST(loads_of_replicas_are_not_kept)
{
    fixture f;
    har_demand d;
    har_load load;
    har_draws draws = {0};
    double n[2];
    char plan[512] = "dp=2,ep=2,placement=0+1";
    for (int e = 1; e < 64; e++)
        strcat(plan, "/0+1");
    open_case(&f, "seed-mini", plan, 0);
    ck_assert_int_eq(har_demand_parse(&d, "zipf:0.5", 64), CORE_OK);
    ck_assert_int_eq(har_load_make(&load, &f.spec, &f.lay), CORE_OK);
    har_demand_load(&d, &f.spec, &f.lay, 8, 32, &draws, &load, &n[0], &n[1]);
    har_draws_keep(&draws, &d, &f.spec, &f.lay, 8, 32, &load, n[0], n[1]);
    ck_assert(!har_draws_find(&draws, &d, &f.spec, &f.lay, 8, 32, &load, &n[0],
                              &n[1]));
    har_load_free(&load);
    har_draws_free(&draws);
    core_arena_free(&f.arena);
}
END_TEST

/* No expert has more rows than slots; a smaller factor drops more. */
START_TEST(a_load_fits_its_slots)
{
    fixture f;
    open_case(&f, "seed-mini", "seed-32", 0);
    double kept[2];
    for (int i = 0; i < 2; i++) {
        har_demand d;
        har_load load;
        double n_choice;
        f.spec.capacity.factor = i == 0 ? 1.1 : 0.6;
        ck_assert_int_eq(har_demand_parse(&d, "zipf:1", 64), CORE_OK);
        ck_assert_int_eq(har_load_make(&load, &f.spec, &f.lay), CORE_OK);
        har_demand_load(&d, &f.spec, &f.lay, 16, 64, NULL, &load, &n_choice,
                        &kept[i]);
        ck_assert(n_choice == 16.0 * 64 * 16);
        const int64_t slots = core_spec_capacity(&f.spec, 64);
        uint64_t sum = 0;
        for (int64_t p = 0; p < load.n_part; p++)
            for (int64_t e = 0; e < 64; e++) {
                int64_t n = 0;
                for (int64_t t = 0; t < load.n_slice; t++)
                    n += (int64_t)har_load_at(&load, 3, p, t)[e];
                ck_assert_int_le(n, slots);
            }
        for (int64_t l = 0; l < 16; l++)
            sum += sum_of(&load, l);
        ck_assert((double)sum == kept[i]);
        har_load_free(&load);
    }
    ck_assert(kept[1] < kept[0] && kept[0] < 16.0 * 64 * 16);
    core_arena_free(&f.arena);
}
END_TEST

START_TEST(a_demand_that_says_nothing_is_refused)
{
    har_demand d;
    ck_assert_int_eq(har_demand_parse(&d, "zipf:1.5", 8), CORE_OK);
    ck_assert_int_eq(har_demand_parse(&d, "zipf:", 8), CORE_E_USAGE);
    ck_assert_int_eq(har_demand_parse(&d, "zipf:nan", 8), CORE_E_USAGE);
    ck_assert_int_eq(har_demand_parse(&d, "power:-1", 8), CORE_E_USAGE);
    ck_assert_int_eq(har_demand_parse(&d, "no/such/file", 8), CORE_E_FILE);
}
END_TEST

/* --- predictions --- */

static har_prediction *predict(const fixture *f, const har_predict_case *base)
{
    har_predictor *p;
    har_predict_case c = *base;
    har_prediction *out = malloc(sizeof *out);
    c.spec = &f->spec;
    c.plan = &f->plan;
    ck_assert_int_eq(har_predictor_make(&p, &f->machine), CORE_OK);
    ck_assert_int_eq(har_predict(p, &c, out), CORE_OK);
    har_predictor_free(p);
    return out;
}

static const har_predict_case PREFILL = {.n_b = 64,
                                         .n_t = 128,
                                         .types.dtype = CORE_DTYPE_F16,
                                         .overlap = HAR_OVERLAP_PIPELINE};

static bool holds(const har_range *r)
{
    return r->low <= r->value && r->value <= r->high && r->low > 0;
}

START_TEST(an_interval_holds_its_value_and_shares_add_up)
{
    static const char *const plans[] = {"seed-32", "seed-32-stage", "seed-16",
                                        "tp=2,pp=2,dp=2,ep=4,mb=4",
                                        "pp=4,ep=4,scope=replica,mb=2"};
    for (int i = 0; i < 5; i++) {
        fixture f;
        open_case(&f, "seed-mini", plans[i], 0);
        har_predict_case c = PREFILL;
        c.all_ranks = true;
        har_prediction *p = predict(&f, &c);
        ck_assert(holds(&p->latency) && holds(&p->period));
        ck_assert(holds(&p->tokens_per_s) && holds(&p->mfu));
        ck_assert(p->latency.low < p->latency.value);
        /* a full pipeline is never slower than one that fills and drains */
        ck_assert(p->period.value <= p->latency.value * (1 + 1e-9));
        const double sum = p->compute.value + p->communication.value +
                           p->bubble.value + p->imbalance.value;
        ck_assert(fabs(sum - 1) < 1e-9);
        free(p);
        core_arena_free(&f.arena);
    }
}
END_TEST

/* The root of the mean square of ln(x / point). */
static double rms_of_logs(double point, const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += log(x[i] / point) * log(x[i] / point) / n;
    return sqrt(sum);
}

/* Other draws are those of the next seeds, and what the interval says of them is
 * how far they are from the one that is reported, which stays what it was. */
START_TEST(an_interval_holds_other_draws)
{
    fixture f;
    har_demand d;
    double latency[3], balance[3];
    open_case(&f, "seed-mini", "seed-32", 0);
    ck_assert_int_eq(har_demand_parse(&d, "zipf:1", 64), CORE_OK);
    har_predict_case c = PREFILL;
    c.demand = &d;
    c.all_ranks = true;
    har_prediction *alone = predict(&f, &c);
    ck_assert_int_eq(alone->sources.n_draw, 0);
    ck_assert(alone->sources.routing == 0);
    ck_assert(alone->balance.low == alone->balance.value);
    c.n_draw = 3;
    har_prediction *all = predict(&f, &c);
    ck_assert(all->latency.value == alone->latency.value);
    ck_assert(all->latency.high > alone->latency.high);
    ck_assert(all->balance.low < all->balance.value);
    c.n_draw = 0;
    for (int i = 0; i < 3; i++) {
        d.seed = (uint64_t)i + 2;
        har_prediction *other = predict(&f, &c);
        latency[i] = other->latency.value;
        balance[i] = other->balance.value;
        free(other);
    }
    near(all->sources.routing, rms_of_logs(all->latency.value, latency, 3));
    double square = 0;
    for (int i = 0; i < 3; i++)
        square += pow(balance[i] - all->balance.value, 2) / 3;
    ck_assert(fabs(all->balance.high - all->balance.value -
                   1.645 * sqrt(square)) < 1e-12);
    const double sum = all->sources.operators * all->sources.operators +
                       all->sources.links * all->sources.links +
                       all->sources.routing * all->sources.routing;
    ck_assert(fabs(log(all->latency.high / all->latency.value) -
                   1.645 * sqrt(sum)) < 1e-12);
    free(alone);
    free(all);
    core_arena_free(&f.arena);
}
END_TEST

/* Nothing is drawn: expectations, and a measured load. */
START_TEST(what_is_not_drawn_has_no_other_draws)
{
    fixture f;
    har_demand d;
    har_load load;
    double n_choice, n_kept;
    open_case(&f, "seed-mini", "seed-32", 0);
    ck_assert_int_eq(har_demand_parse(&d, "zipf:1", 64), CORE_OK);
    ck_assert_int_eq(har_load_make(&load, &f.spec, &f.lay), CORE_OK);
    har_demand_load(&d, &f.spec, &f.lay, PREFILL.n_b, PREFILL.n_t, NULL, &load,
                    &n_choice, &n_kept);
    for (int i = 0; i < 3; i++) {
        har_predict_case c = PREFILL;
        c.demand = &d;
        c.n_draw = 3;
        c.all_ranks = i > 0;
        c.load = i == 2 ? &load : NULL;
        d.is_drawn = i > 0;
        har_prediction *p = predict(&f, &c);
        ck_assert_int_eq(p->sources.n_draw, i == 1 ? 3 : 0);
        ck_assert((p->sources.routing > 0) == (i == 1));
        free(p);
    }
    har_load_free(&load);
    core_arena_free(&f.arena);
}
END_TEST

/* The world in which a tier is a sigma slower is the prediction for a machine
 * whose links are that much slower. */
START_TEST(an_interval_holds_the_links_that_are_assumed)
{
    fixture f;
    double moved = 0;
    open_case(&f, "seed-30b", "seed-32", 0);
    ck_assert_int_eq(f.machine.n_link, 2);
    har_predict_case c = PREFILL;
    c.all_ranks = true;
    const har_machine machine = f.machine;
    har_prediction *base = predict(&f, &c);
    ck_assert(base->sources.links > 0);
    for (int i = 0; i < 2; i++) {
        f.machine = machine;
        f.machine.link[i].bw /= 1 + machine.link[i].sigma;
        har_prediction *p = predict(&f, &c);
        moved += pow(log(p->latency.value / base->latency.value), 2);
        ck_assert(p->latency.value > base->latency.value);
        free(p);
    }
    ck_assert_msg(fabs(base->sources.links / sqrt(moved) - 1) < 1e-6,
                  "%.17g, machines with slower links say %.17g",
                  base->sources.links, sqrt(moved));
    f.machine = machine;
    f.machine.link[0].sigma = f.machine.link[1].sigma = 0;
    har_prediction *sure = predict(&f, &c);
    ck_assert(sure->sources.links == 0);
    ck_assert(sure->sources.operators == base->sources.operators);
    ck_assert(sure->latency.high < base->latency.high);
    free(base);
    free(sure);
    core_arena_free(&f.arena);
}
END_TEST

/* A machine whose coefficients were measured elsewhere is less sure than one that
 * has the same of its own; on one rank nothing is sent. */
START_TEST(an_interval_holds_what_is_carried_over)
{
    fixture f;
    open_case(&f, "seed-mini", "tp=1", 0);
    ck_assert_int_eq(har_machine_open(&f.machine, "h100-sxm"), CORE_OK);
    har_predict_case c = PREFILL;
    har_prediction *carried = predict(&f, &c);
    for (int i = 0; i < HAR_N_COEF; i++)
        f.machine.coef[i].origin = HAR_MEASURED;
    har_prediction *own = predict(&f, &c);
    ck_assert(carried->latency.value == own->latency.value);
    ck_assert(carried->sources.operators > 1.05 * own->sources.operators);
    /* causes one by one, the largest first, and all of them */
    double sum = 0;
    for (int i = 0; i < carried->sources.n_doubt; i++) {
        const double sigma = carried->sources.doubt[i].sigma;
        ck_assert(i == 0 || sigma <= carried->sources.doubt[i - 1].sigma);
        sum += sigma * sigma;
    }
    near(sqrt(sum), carried->sources.operators);
    free(carried);
    free(own);
    core_arena_free(&f.arena);
}
END_TEST

/* One rank that speaks for its stage says what all ranks together say, where
 * all of a stage are alike. */
START_TEST(a_spokesman_agrees_with_all_ranks)
{
    static const char *const plans[] = {"tp=2,pp=2,dp=2,ep=4,mb=4",
                                        "tp=4,pp=4,ep=16,scope=replica,mb=8",
                                        "pp=4,ep=4,scope=replica,mb=2",
                                        "pp=4,vpp=2,dp=2,ep=2,mb=8",
                                        "pp=4,vpp=3,mb=2",
                                        "pp=4,vpp=2,ep=4,scope=replica,mb=8",
                                        "tp=4,pp=2,ep=4,batch_reduce=2,mb=8",
                                        "tp=2,pp=2,ep=4,scope=replica,"
                                        "batch_reduce=2,mb=8"};
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        fixture f;
        har_demand d;
        open_case(&f, "seed-mini", plans[i], 0);
        f.spec.capacity.rule = CORE_CAPACITY_NONE;
        ck_assert_int_eq(har_demand_parse(&d, "uniform", 64), CORE_OK);
        d.is_drawn = false;
        har_predict_case c = PREFILL;
        c.n_t = 256; /* every expert gets whole rows from every slice */
        c.demand = &d;
        c.no_interval = true;
        har_prediction *one = predict(&f, &c);
        c.all_ranks = true;
        har_prediction *all = predict(&f, &c);
        ck_assert_msg(fabs(one->latency.value / all->latency.value - 1) < 1e-3,
                      "%s: %g, all ranks %g", plans[i], one->latency.value,
                      all->latency.value);
        ck_assert_msg(fabs(one->period.value / all->period.value - 1) < 1e-3,
                      "%s: period %g, all ranks %g", plans[i],
                      one->period.value, all->period.value);
        free(one);
        free(all);
        core_arena_free(&f.arena);
    }
}
END_TEST

/* Seconds and number of the sums over tp of a pass. */
static har_class sums_over_tp(const har_prediction *p)
{
    har_class all = {0};
    for (int i = 0; i < p->n_class; i++)
        if (p->class_of[i].axis == CORE_AXIS_TP &&
            p->class_of[i].collective == CORE_ALL_REDUCE) {
            all.seconds += p->class_of[i].seconds;
            all.n_record += p->class_of[i].n_record;
        }
    return all;
}

/* Batched over 4 micro-batches there are a quarter of the sums, which carry the
 * same: less time, by what they have in common. */
START_TEST(batched_sums_have_fewer_latencies)
{
    static const char *const plan[] = {"tp=4,ep=4,mb=8",
                                       "tp=4,ep=4,batch_reduce=4,mb=8"};
    har_class sums[2];
    for (int i = 0; i < 2; i++) {
        fixture f;
        open_case(&f, "seed-mini", plan[i], 0);
        har_predict_case c = PREFILL;
        c.no_interval = true;
        har_prediction *p = predict(&f, &c);
        sums[i] = sums_over_tp(p);
        free(p);
        core_arena_free(&f.arena);
    }
    near(sums[0].n_record, 4 * sums[1].n_record);
    ck_assert(sums[1].seconds < sums[0].seconds);
    ck_assert(sums[1].seconds > sums[0].seconds / 4);
}
END_TEST

/* --- groups that cross nodes --- */

enum { N_TIER_AXIS = 5 };
static const core_axis tier_axis[N_TIER_AXIS] = {
    CORE_AXIS_TP, CORE_AXIS_CP, CORE_AXIS_EP, CORE_AXIS_ETP, CORE_AXIS_PP};

typedef struct crossing {
    const core_spec *spec;
    const har_machine *machine;
    int n_plan;
    int n_nearer[CORE_N_AXES]; /* stages whose first rank sees nearer links   */
} crossing;

static int most_of(int a, int b)
{
    return a > b ? a : b;
}

/* The nearest links that reach all of some ranks, one by one. */
static int tier_by_hand(const har_machine *m, const int *rank, int n)
{
    for (int tier = 0; tier + 1 < m->n_link; tier++) {
        int n_there = 0;
        for (int i = 0; i < n; i++)
            n_there += rank[i] / m->link[tier].n_gpu ==
                       rank[0] / m->link[tier].n_gpu;
        if (n_there == n)
            return tier;
    }
    return m->n_link - 1;
}

static void tiers_of_rank(const crossing *x, const par_plan *plan, int rank,
                          int *tier)
{
    par_layout lay;
    core_arena arena = core_arena_measure();
    ck_assert_int_eq(par_layout_make(&lay, &arena, x->spec, plan, rank),
                     CORE_OK);
    const int pair[2] = {lay.rank, lay.next_rank};
    tier[CORE_AXIS_TP] =
        tier_by_hand(x->machine, lay.tp_group.rank, lay.tp_group.n);
    tier[CORE_AXIS_CP] =
        tier_by_hand(x->machine, lay.cp_group.rank, lay.cp_group.n);
    tier[CORE_AXIS_EP] =
        tier_by_hand(x->machine, lay.ep_group.rank, lay.ep_group.n);
    tier[CORE_AXIS_ETP] =
        tier_by_hand(x->machine, lay.etp_group.rank, lay.etp_group.n);
    tier[CORE_AXIS_PP] =
        tier_by_hand(x->machine, pair, lay.next_rank < 0 ? 1 : 2);
    core_arena_free(&arena);
}

static void hold_tiers(void *self, const par_plan *plan)
{
    crossing *x = self;
    const int n = plan->dp * plan->cp * plan->tp;
    const har_mesh mesh = {plan->dp, plan->pp,  plan->cp,   plan->tp,
                           plan->ep, plan->etp, plan->scope, plan->vpp};
    for (int stage = 0; stage < plan->pp; stage++) {
        int first[CORE_N_AXES], mine[CORE_N_AXES], tier[CORE_N_AXES];
        int most[CORE_N_AXES] = {0};
        for (int i = 0; i < n; i++) {
            tiers_of_rank(x, plan, stage * n + i, mine);
            for (int k = 0; k < N_TIER_AXIS; k++)
                most[tier_axis[k]] =
                    most_of(most[tier_axis[k]], mine[tier_axis[k]]);
            if (i == 0)
                memcpy(first, mine, sizeof first);
        }
        har_stage_tiers(x->machine, &mesh, stage, tier);
        for (int k = 0; k < N_TIER_AXIS; k++) {
            const core_axis axis = tier_axis[k];
            ck_assert_msg(tier[axis] == most[axis],
                          "%s, stage %d: axis %d has links %d, found %d",
                          plan->text, stage, (int)axis, most[axis], tier[axis]);
            x->n_nearer[axis] += first[axis] < most[axis];
        }
    }
    x->n_plan++;
}

/* The same ranks with rows cut over two replicas' worth of them. */
static void hold_cut(void *self, const par_plan *plan)
{
    par_plan cut = *plan;
    crossing *x = self;
    hold_tiers(self, plan);
    if (plan->dp % 2 != 0)
        return;
    cut.dp /= 2;
    cut.cp = 2;
    if (cut.scope == PAR_SCOPE_REPLICA)
        cut.ep *= 2;
    if (par_plan_check(&cut, x->spec) == CORE_OK)
        hold_tiers(self, &cut);
    core_message_clear();
}

/* Every legal plan, nodes of 8 in islands of 24: against all ranks. */
START_TEST(tiers_are_the_furthest_of_a_stage)
{
    static const int n_gpu[] = {7, 12, 24, 30, 48};
    fixture f;
    open_case(&f, "seed-mini", "seed-32", 0);
    f.machine.n_link = 3;
    f.machine.link[2] = f.machine.link[1];
    f.machine.link[1].n_gpu = 24;
    ck_assert_int_eq(f.machine.link[0].n_gpu, 8);
    crossing x = {.spec = &f.spec, .machine = &f.machine};
    for (int i = 0; i < 5; i++)
        par_plan_each_legal(&f.spec, n_gpu[i], hold_cut, &x);
    ck_assert_int_gt(x.n_plan, 300);
    for (int k = 0; k < N_TIER_AXIS; k++)
        ck_assert_msg(x.n_nearer[tier_axis[k]] > 0,
                      "axis %d: the first rank says it all",
                      (int)tier_axis[k]);
    core_arena_free(&f.arena);
}
END_TEST

/* Every slice, column part and expert gets whole rows. */
static void open_even(fixture *f, har_demand *d, const char *plan)
{
    ck_assert_int_eq(core_spec_open(&f->spec, "seed-mini", NULL), CORE_OK);
    f->spec.capacity.rule = CORE_CAPACITY_NONE;
    f->spec.n_e = 60;
    f->spec.n_f = 240;
    open_plan(f, plan, 0);
    ck_assert_int_eq(har_demand_parse(d, "uniform", 60), CORE_OK);
    d->is_drawn = false;
}

/* By the stage's rank, by all ranks, and by that rank with its own links, which
 * is what it says where a node holds all: its groups do not cross. */
static void ask_three(fixture *f, const har_demand *d, int64_t n_b,
                      har_prediction *out[3])
{
    har_predict_case c = PREFILL;
    c.n_b = n_b;
    c.n_t = 900;
    c.demand = d;
    c.no_interval = true;
    out[0] = predict(f, &c);
    c.all_ranks = true;
    out[1] = predict(f, &c);
    c.all_ranks = false;
    f->machine.link[0].n_gpu = 1024;
    out[2] = predict(f, &c);
}

/* Groups of every axis cross nodes of 8, none of rank 0, and with all ranks
 * alike one says what all say; with its own links only, less. */
START_TEST(a_spokesman_knows_the_links_of_its_stage)
{
    static const struct {
        const char *plan;
        int64_t n_b;
        bool crosses;
    } cases[] = {{"dp=20,ep=4", 60, false},
                 {"dp=9,ep=3", 36, true},
                 {"dp=15,ep=1,etp=5", 60, true},
                 {"dp=12,ep=2,etp=3", 60, true},
                 {"dp=6,pp=2,ep=1,mb=2", 48, true},
                 {"dp=60,ep=3,etp=5", 60, true},
                 {"dp=4,cp=3,ep=1", 36, true},
                 {"dp=4,cp=3,cp_kind=ring,ep=1", 36, true},
                 {"dp=3,cp=4,cp_kind=ulysses,ep=1", 36, false},
                 {"dp=3,pp=2,cp=2,ep=4,scope=replica,mb=3", 36, true},
                 {"dp=3,pp=2,tp=2,ep=4,scope=replica,mb=3", 36, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f;
        har_demand d;
        har_prediction *p[3];
        open_even(&f, &d, cases[i].plan);
        ask_three(&f, &d, cases[i].n_b, p);
        const double one = p[0]->latency.value, all = p[1]->latency.value;
        const double alone = p[2]->latency.value;
        ck_assert_msg(fabs(one / all - 1) <= 1e-9, "%s: %.12g, all ranks %.12g",
                      cases[i].plan, one, all);
        ck_assert(fabs(p[0]->period.value / p[1]->period.value - 1) <= 1e-9);
        ck_assert_msg(cases[i].crosses ? alone < all * (1 - 1e-3)
                                       : fabs(alone / all - 1) <= 1e-9,
                      "%s: %g by itself, all ranks %g", cases[i].plan, alone,
                      all);
        for (int k = 0; k < 3; k++)
            free(p[k]);
        core_arena_free(&f.arena);
    }
}
END_TEST

/* Other replicas have the slow links in the first stage than in the second, and
 * no micro-batch passes both: one rank says more than all, never less. */
START_TEST(a_spokesman_is_never_too_fast)
{
    fixture f;
    har_demand d;
    har_prediction *p[3];
    open_even(&f, &d, "dp=12,pp=2,ep=1,etp=3,mb=2");
    ask_three(&f, &d, 48, p);
    ck_assert(p[0]->latency.value >= p[1]->latency.value * 1.05);
    ck_assert(p[2]->latency.value <= p[1]->latency.value * 0.95);
    ck_assert(fabs(p[0]->period.value / p[1]->period.value - 1) <= 1e-9);
    for (int k = 0; k < 3; k++)
        free(p[k]);
    core_arena_free(&f.arena);
}
END_TEST

/* --- what is looked up is what would be generated --- */

typedef struct counting {
    const har_prediction *p;
    double n_record[HAR_MAX_CLASS], flops[HAR_MAX_CLASS], bytes[HAR_MAX_CLASS];
    double seconds[HAR_MAX_CLASS];
    har_timer timer; /* of ranks in one node                                  */
    int n_unknown;
} counting;

/* The records of a rank are next. */
static void aim_at(counting *n, const fixture *f, int rank)
{
    core_arena arena = core_arena_measure();
    par_layout lay;
    const bool all_stages = f->plan.scope == PAR_SCOPE_REPLICA;
    ck_assert_int_eq(
        par_layout_make(&lay, &arena, &f->spec, &f->plan, rank), CORE_OK);
    n->timer.n_held = lay.n_my_expert * (all_stages ? f->plan.pp : 1);
    n->timer.ep = f->plan.ep;
    core_arena_free(&arena);
}

static void count(void *self, const core_cost *c)
{
    counting *n = self;
    int i = 0;
    if (c->kind == CORE_COST_COLLECTIVE && c->group < 2)
        return;
    for (; i < n->p->n_class; i++) {
        const har_class *k = &n->p->class_of[i];
        if (k->op == c->op && k->kind == c->kind && k->axis == c->axis &&
            k->collective == c->collective)
            break;
    }
    if (i == n->p->n_class) {
        n->n_unknown++;
        return;
    }
    if (c->collective != CORE_RECEIVE) {
        har_time time;
        time = har_timer_ask(&n->timer, c, 0);
        n->seconds[i] += time.seconds;
    }
    n->n_record[i]++;
    n->flops[i] += (double)c->flops;
    n->bytes[i] += (double)(c->kind == CORE_COST_COLLECTIVE
                                ? har_cost_sent_bytes(c, 2)
                                : har_cost_bytes(c, 2));
}

static void expect_sum(const har_class *c, const char *what, double mean,
                       double sum, int n_lane)
{
    ck_assert_msg(fabs(mean * n_lane - sum) <= 1e-9 * sum,
                  "%s %s: %s %.17g, records have %.17g", c->op,
                  core_cost_kind_name(c->kind), what, mean * n_lane, sum);
}

static const char *const family_plan[] = {
    "tp=2,pp=3,dp=2,ep=2,mb=3", "tp=3,ep=3,mb=2",
    "tp=2,pp=3,ep=3,etp=2,scope=replica,mb=2,rounds=2", "tp=6,ep=2,etp=3",
    "tp=3,pp=2,ep=3,sp=1,mb=2"};

/* So that layers differ in one thing only, and it has to be looked at. */
static void make_alike(core_spec *spec, int i)
{
    for (int l = 1; l < (int)spec->n_l; l++) {
        if (i > 0)
            spec->ffn[l] = spec->ffn[0];
        if (i == 2)
            spec->no_rope[l] = spec->no_rope[0];
        if (i == 3)
            spec->span[l] = spec->span[0];
    }
}

/* Operators of every family: the sums over the records of all ranks.  Seven
 * rows: micro-batches of two sizes. */
START_TEST(classes_are_the_sums_of_their_records)
{
    for (int i = 0; i < 4; i++) {
        fixture f;
        har_demand d;
        har_load load;
        double n_choice, n_kept;
        f.spec = fix_family(_i);
        make_alike(&f.spec, i);
        open_plan(&f, family_plan[i], 0);
        const core_batch batch = {.n_b = 7, .n_t = 70};
        ck_assert_int_eq(har_demand_parse(&d, "zipf:1", (int)f.spec.n_e),
                         CORE_OK);
        ck_assert_int_eq(har_load_make(&load, &f.spec, &f.lay), CORE_OK);
        har_demand_load(&d, &f.spec, &f.lay, batch.n_b, batch.n_t, NULL, &load,
                        &n_choice, &n_kept);
        har_predict_case c = PREFILL;
        c.n_b = batch.n_b;
        c.n_t = batch.n_t;
        c.load = &load;
        c.all_ranks = true;
        f.machine.link[0].n_gpu = 64;
        har_prediction *p = predict(&f, &c);
        counting n = {.p = p};
        ck_assert_int_eq(har_timer_make(&n.timer, &f.machine), CORE_OK);
        har_timer_aim(&n.timer, &f.spec, &c.types);
        const har_cost_case request = {&f.spec, &f.plan, &batch, &load};
        const int n_lane = par_plan_world(&f.plan);
        for (int rank = 0; rank < n_lane; rank++) {
            aim_at(&n, &f, rank);
            ck_assert_int_eq(har_cost_rank(&request, rank, count, &n), CORE_OK);
        }
        ck_assert_int_eq(n.n_unknown, 0);
        for (int k = 0; k < p->n_class; k++) {
            const har_class *of = &p->class_of[k];
            expect_sum(of, "records", of->n_record, n.n_record[k], n_lane);
            expect_sum(of, "flop", of->flops, n.flops[k], n_lane);
            expect_sum(of, "bytes", of->bytes, n.bytes[k], n_lane);
            expect_sum(of, "seconds", of->seconds, n.seconds[k], n_lane);
        }
        har_timer_free(&n.timer);
        free(p);
        har_load_free(&load);
        core_arena_free(&f.arena);
    }
}
END_TEST

/* A prediction adds up what is computed between transfers, and transfers that
 * follow each other where nothing hides them; a timeline has every record by
 * itself, and ends with the pass.                                            */
START_TEST(a_timeline_has_every_record)
{
    static const struct {
        const char *plan;
        har_overlap overlap;
    } cases[] = {{"tp=2,pp=2,dp=2,ep=4,mb=2", HAR_OVERLAP_PIPELINE},
                 {"cp=2,dp=2,ep=4,mb=2", HAR_OVERLAP_PIPELINE},
                 {"tp=2,pp=2,dp=2,ep=4,mb=2", HAR_OVERLAP_ALL}};
    fixture f;
    har_demand uneven;
    har_predictor *p;
    har_prediction *out = malloc(sizeof *out);
    open_case(&f, "seed-mini", cases[_i].plan, 0);
    har_predict_case c = PREFILL;
    c.spec = &f.spec;
    c.plan = &f.plan;
    c.all_ranks = true;
    c.overlap = cases[_i].overlap;
    c.demand = &uneven;
    ck_assert_int_eq(har_demand_parse(&uneven, "zipf:1", 64), CORE_OK);
    ck_assert_int_eq(har_predictor_make(&p, &f.machine), CORE_OK);
    ck_assert_int_eq(har_predict(p, &c, out), CORE_OK);
    for (int again = 0; again < 2; again++) {
        seen_spans s = {0};
        ck_assert_int_eq(har_predict_spans(p, see_span, &s), CORE_OK);
        double n_record = 0;
        for (int k = 0; k < out->n_class; k++)
            n_record += out->class_of[k].n_record * out->n_gpu;
        near(s.n_span, n_record);
        near(s.end, out->latency.value);
    }
    har_predictor_free(p);
    free(out);
    core_arena_free(&f.arena);
}
END_TEST

/* On one GPU a kind of operators that is a sigma slower makes the pass as much
 * longer as its records are.                                                 */
START_TEST(kinds_are_added_up_apart)
{
    fixture f;
    open_case(&f, "seed-mini", "tp=1", 0);
    ck_assert_int_eq(har_machine_open(&f.machine, "a100-sxm"), CORE_OK);
    har_predict_case c = PREFILL;
    c.all_ranks = true;
    har_prediction *p = predict(&f, &c);
    for (int i = 0; i < p->sources.n_doubt; i++) {
        const har_doubt *d = &p->sources.doubt[i];
        double seconds = 0;
        for (int k = 0; d->kind == HAR_DOUBT_OPERATORS && k < p->n_class; k++)
            if ((int)har_timer_kind(p->class_of[k].kind) == d->index)
                seconds += p->class_of[k].seconds;
        if (seconds > 0)
            ck_assert(fabs(d->sigma - log1p(f.machine.sigma[d->index].value *
                                            seconds / p->latency.value)) <
                      1e-9);
        ck_assert(seconds > 0 || d->kind != HAR_DOUBT_OPERATORS ||
                  d->index == HAR_COLLECTIVE);
    }
    free(p);
    core_arena_free(&f.arena);
}
END_TEST

START_TEST(a_better_machine_is_never_slower)
{
    fixture f;
    open_case(&f, "seed-30b", "seed-32", 0);
    har_predict_case c = PREFILL;
    c.no_interval = true;
    har_prediction *base = predict(&f, &c);
    const har_machine machine = f.machine;
    for (int i = 0; i < 3; i++) {
        f.machine = machine;
        if (i == 0)
            f.machine.memory_bw *= 2;
        if (i == 1)
            for (int k = 0; k < f.machine.n_link; k++)
                f.machine.link[k].bw *= 2;
        if (i == 2)
            f.machine.peak[CORE_DTYPE_F16] *= 2;
        har_prediction *p = predict(&f, &c);
        ck_assert_msg(p->latency.value < base->latency.value, "change %d", i);
        ck_assert(p->period.value < base->period.value);
        free(p);
    }
    f.machine = machine;
    c.overlap = HAR_OVERLAP_ALL;
    har_prediction *hidden = predict(&f, &c);
    ck_assert(hidden->latency.value < base->latency.value);
    c.overlap = HAR_OVERLAP_NONE;
    har_prediction *kept = predict(&f, &c);
    ck_assert(kept->latency.value >= base->latency.value);
    free(base);
    free(hidden);
    free(kept);
    core_arena_free(&f.arena);
}
END_TEST

/* tp = dp = 1: the shards of all ranks are the model, a tied head twice. */
START_TEST(memory_is_the_models)
{
    fixture f;
    open_case(&f, "seed-mini", "pp=4", 0);
    har_predict_case c = PREFILL;
    c.all_ranks = true;
    har_prediction *p = predict(&f, &c);
    double weights = 0, kv = 0;
    for (int s = 0; s < 4; s++) {
        weights += p->stage[s].weights;
        kv += p->stage[s].kv;
    }
    const int64_t tied = f.spec.tied ? f.spec.n_v * f.spec.n_d : 0;
    ck_assert(weights == 2.0 * (double)(core_spec_parameters(&f.spec) + tied));
    ck_assert(kv ==
              2.0 * 2 * 16 * (double)(f.spec.n_g * f.spec.n_dh) * 64 * 128);
    /* activations: element for element those that the emulation works with */
    const double work = (double)par_arena_bytes(&f.spec, &f.lay, 64, 128);
    ck_assert(p->stage[0].activations == work / 4);
    free(p);
    core_arena_free(&f.arena);
}
END_TEST

/* A decoding step reads every cached key once: four times the keys, four times
 * the cache; and it is not faster. */
START_TEST(decoding_grows_with_its_cache)
{
    fixture f;
    open_case(&f, "seed-30b", "seed-32", 0);
    har_predict_case c = {.n_b = 256,
                          .n_t = 1,
                          .is_decode = true,
                          .n_kv = 1024,
                          .types.dtype = CORE_DTYPE_F16,
                          .all_ranks = true};
    har_prediction *one = predict(&f, &c);
    c.n_kv = 4096;
    har_prediction *four = predict(&f, &c);
    ck_assert(four->stage[0].kv == 4 * one->stage[0].kv);
    ck_assert(four->latency.value > one->latency.value);
    ck_assert(four->record_bytes > one->record_bytes);
    ck_assert(one->n_token == 256);
    free(one);
    free(four);
    core_arena_free(&f.arena);
}
END_TEST

typedef struct watching {
    double last;
    int n, n_back; /* n_back: told less than before                           */
} watching;

static void watch(void *self, double done)
{
    watching *w = self;
    w->n_back += !(done > w->last);
    w->last = done;
    w->n++;
}

/* What is done only grows, to all of it: with other draws, and where serving
 * has lanes of its own. */
START_TEST(a_prediction_says_how_far_it_is)
{
    static const char *const plans[] = {"seed-32",
                                        "pp=4,ep=4,scope=replica,mb=2"};
    for (int i = 0; i < 2; i++) {
        fixture f;
        har_demand d;
        har_predictor *p;
        har_prediction *out = malloc(sizeof *out);
        watching w = {0};
        open_case(&f, "seed-mini", plans[i], 0);
        ck_assert_int_eq(har_demand_parse(&d, "uniform", 64), CORE_OK);
        har_predict_case c = PREFILL;
        c.spec = &f.spec;
        c.plan = &f.plan;
        c.demand = &d;
        c.all_ranks = true;
        c.n_draw = 2;
        ck_assert_int_eq(har_predictor_make(&p, &f.machine), CORE_OK);
        har_predictor_watch(p, watch, &w);
        ck_assert_int_eq(har_predict(p, &c, out), CORE_OK);
        ck_assert_int_eq(w.n, 3 * (1 + i) * par_plan_world(&f.plan));
        ck_assert_int_eq(w.n_back, 0);
        near(w.last, 1);
        har_predictor_free(p);
        free(out);
        core_arena_free(&f.arena);
    }
}
END_TEST

START_TEST(a_dtype_without_units_is_refused)
{
    fixture f;
    har_predictor *p;
    har_prediction *out = malloc(sizeof *out);
    open_case(&f, "seed-mini", "seed-32", 0);
    har_predict_case c = PREFILL;
    c.spec = &f.spec;
    c.plan = &f.plan;
    ck_assert_int_eq(har_predictor_make(&p, &f.machine), CORE_OK);
    ck_assert_int_eq(har_predict(p, &c, out), CORE_OK);
    c.types.dtype = CORE_DTYPE_F8_E4M3;
    ck_assert_int_eq(har_predict(p, &c, out), CORE_E_USAGE);
    har_predictor_free(p);
    free(out);
    core_arena_free(&f.arena);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("predict");
    TCase *t = tcase_create("all");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, equal_stages_have_the_bubble_of_the_book);
    tcase_add_test(t, uneven_stages_wait_for_the_slowest);
    tcase_add_test(t, a_turn_begins_when_all_of_it_is_there);
    tcase_add_test(t, a_send_keeps_its_sender_unless_it_goes_aside);
    tcase_add_test(t, a_mark_is_the_end_of_a_shorter_play);
    tcase_add_test(t, a_pass_is_the_beginning_of_a_play);
    tcase_add_test(t, a_meeting_waits_for_the_last);
    tcase_add_test(t, a_load_has_every_choice);
    tcase_add_test(t, draws_are_told_apart);
    tcase_add_test(t, loads_are_kept_by_their_slices);
    tcase_add_test(t, loads_of_replicas_are_not_kept);
    tcase_add_test(t, a_load_fits_its_slots);
    tcase_add_test(t, a_demand_that_says_nothing_is_refused);
    tcase_add_test(t, an_interval_holds_its_value_and_shares_add_up);
    tcase_add_test(t, an_interval_holds_other_draws);
    tcase_add_test(t, what_is_not_drawn_has_no_other_draws);
    tcase_add_test(t, an_interval_holds_the_links_that_are_assumed);
    tcase_add_test(t, an_interval_holds_what_is_carried_over);
    tcase_add_test(t, a_spokesman_agrees_with_all_ranks);
    tcase_add_test(t, batched_sums_have_fewer_latencies);
    tcase_add_test(t, tiers_are_the_furthest_of_a_stage);
    tcase_add_test(t, a_spokesman_knows_the_links_of_its_stage);
    tcase_add_test(t, a_spokesman_is_never_too_fast);
    tcase_add_loop_test(t, classes_are_the_sums_of_their_records, 0,
                        FIX_N_FAMILIES);
    tcase_add_loop_test(t, a_timeline_has_every_record, 0, 3);
    tcase_add_test(t, kinds_are_added_up_apart);
    tcase_add_test(t, a_better_machine_is_never_slower);
    tcase_add_test(t, memory_is_the_models);
    tcase_add_test(t, decoding_grows_with_its_cache);
    tcase_add_test(t, a_prediction_says_how_far_it_is);
    tcase_add_test(t, a_dtype_without_units_is_refused);
    suite_add_tcase(s, t);
    return check_main(s);
}
