/* tests/unit/test_har_remembered.c -- what a predictor remembers changes
 * nothing.
 *
 * A predictor that was asked many other things says what a fresh one says; what
 * it adds up is what a timeline shows record by record; ticks that are played
 * again end when they would if nothing were known of them.
 */
#include "harness/perf/cost/memory.h"
#include "harness/perf/machine/record_time.h"
#include "harness/perf/predict/predict.h"
#include "harness/perf/predict/schedule.h"
#include "core/numbers/rng.h"
#include "tests/support/check_main.h"
#include "tests/support/random_case.h"
#include "tests/support/seen_spans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void near(const char *what, double x, double y, double scale)
{
    ck_assert_msg(fabs(x - y) <= 1e-12 * fmax(fabs(y), scale),
                  "%s: %.17g, expected %.17g", what, x, y);
}

/* Shares of a pass are as exact as the pass. */
static void same_range(const char *what, har_range x, har_range y, double scale)
{
    near(what, x.value, y.value, scale);
    near(what, x.low, y.low, scale);
    near(what, x.high, y.high, scale);
}

static void same_classes(const har_prediction *x, const har_prediction *y)
{
    ck_assert_int_eq(x->n_class, y->n_class);
    for (int i = 0; i < y->n_class; i++) {
        const har_class *a = &x->class_of[i], *b = &y->class_of[i];
        ck_assert_str_eq(a->op, b->op);
        ck_assert(a->kind == b->kind && a->collective == b->collective &&
                  a->axis == b->axis);
        near(b->op, a->seconds, b->seconds, 0);
        near(b->op, a->flops, b->flops, 0);
        near(b->op, a->bytes, b->bytes, 0);
        near(b->op, a->n_record, b->n_record, 0);
        near(b->op, a->exposed, b->exposed, y->latency.value);
        for (int k = 0; k < HAR_N_BOUND; k++)
            near(b->op, a->bound[k], b->bound[k], 0);
    }
}

static void same(const har_prediction *x, const har_prediction *y)
{
    same_range("latency", x->latency, y->latency, 0);
    same_range("period", x->period, y->period, y->latency.value);
    same_range("mfu", x->mfu, y->mfu, 0);
    same_range("bandwidth", x->bandwidth, y->bandwidth, 0);
    same_range("compute", x->compute, y->compute, 1);
    same_range("communication", x->communication, y->communication, 1);
    same_range("bubble", x->bubble, y->bubble, 1);
    same_range("imbalance", x->imbalance, y->imbalance, 1);
    same_range("balance", x->balance, y->balance, 0);
    near("flops", x->record_flops, y->record_flops, 0);
    near("bytes", x->record_bytes, y->record_bytes, 0);
    near("memory", x->memory, y->memory, 0);
    for (int s = 0; s < y->n_stage; s++) {
        near("stage", x->stage[s].total, y->stage[s].total, 0);
        ck_assert_int_eq(x->stage[s].rank, y->stage[s].rank);
    }
    same_classes(x, y);
}

/* --- a predictor that was asked other things --- */

typedef struct pair {
    har_machine machine;
    har_predictor *old;
    har_prediction *of_old, *of_fresh;
} pair;

static void open_pair(pair *p, const char *machine)
{
    ck_assert_int_eq(har_machine_open(&p->machine, machine), CORE_OK);
    ck_assert_int_eq(har_predictor_make(&p->old, &p->machine), CORE_OK);
    p->of_old = malloc(sizeof *p->of_old);
    p->of_fresh = malloc(sizeof *p->of_fresh);
}

static void close_pair(pair *p)
{
    har_predictor_free(p->old);
    free(p->of_old);
    free(p->of_fresh);
}

/* Twice: the second time the old one knows all of it. */
static void ask(pair *p, const har_predict_case *what)
{
    har_predictor *fresh;
    ck_assert_int_eq(har_predictor_make(&fresh, &p->machine), CORE_OK);
    ck_assert_int_eq(har_predict(fresh, what, p->of_fresh), CORE_OK);
    har_predictor_free(fresh);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(har_predict(p->old, what, p->of_old), CORE_OK);
        same(p->of_old, p->of_fresh);
    }
}

/* Random models, each with a plan of its own. */
START_TEST(random_cases_are_what_a_fresh_predictor_says)
{
    static random_case c;
    static har_demand demand;
    pair p;
    open_pair(&p, _i % 2 == 0 ? "gpu-400t-64g" : "h100-sxm");
    for (uint64_t seed = 0; seed < 12; seed++) {
        random_case_make(&c, 100 * (uint64_t)_i + seed, 16);
        har_predict_case what = {.spec = &c.spec,
                                 .plan = &c.plan,
                                 .n_b = c.n_b,
                                 .n_t = c.n_t,
                                 .types.dtype = CORE_DTYPE_F16,
                                 .overlap = HAR_OVERLAP_PIPELINE,
                                 .demand = &demand,
                                 .all_ranks = true};
        ck_assert_int_eq(har_demand_parse(&demand, "zipf:1", (int)c.spec.n_e),
                         CORE_OK);
        ask(&p, &what);
        what.all_ranks = false;
        what.demand = NULL;
        ask(&p, &what);
    }
    close_pair(&p);
}
END_TEST

static const char *const PLANS[] = {
    "tp=2,pp=2,dp=2,ep=4,mb=2", "tp=2,pp=2,dp=2,ep=4,mb=2,sp=1",
    "tp=4,dp=2,ep=4,etp=2,mb=2", "dp=8,ep=8,mb=4", "dp=8,ep=4,mb=4",
    "dp=16,ep=8,mb=2", "tp=8,ep=8,mb=2", "tp=2,dp=4,ep=8,mb=4,overlap=shared",
    "pp=4,dp=2,ep=4,mb=8,scope=replica", "pp=2,dp=4,ep=2,mb=4,scope=replica",
    "tp=2,dp=8,ep=16,mb=2,rounds=2", "dp=2,ep=2,mb=1",
    "tp=2,dp=4,ep=8,mb=4,batch_reduce=2",
    /* as many rows sent among as many ranks: in parts of experts; in other
       nodes */
    "dp=16,ep=16,mb=2", "dp=32,ep=16,etp=2,mb=2", "dp=16,ep=16,mb=4",
    "tp=4,pp=4,dp=2,ep=16,mb=4,scope=replica", "dp=16,ep=16,mb=1,rounds=4"};
enum { N_PLAN = sizeof PLANS / sizeof *PLANS };

/* One thing of the question is another, a number of it; false: after the last.
 */
static bool change(har_predict_case *what, core_spec *spec, har_demand *demand,
                   int i)
{
    switch (i) {
    case 0:
        return true;
    case 1:
        what->n_b = 96;
        return true;
    case 2:
        what->n_t = 48;
        return true;
    case 3:
        what->types.dtype = CORE_DTYPE_F32;
        return true;
    case 4:
        what->algorithm = HAR_SHOT;
        return true;
    case 5:
        what->is_eager = true;
        return true;
    case 6:
        what->overlap = HAR_OVERLAP_ALL;
        return true;
    case 7:
        what->overlap = HAR_OVERLAP_PLANNED;
        return true;
    case 8:
        what->no_interval = true;
        return true;
    case 9:
        what->is_decode = true;
        what->n_t = 1;
        what->n_kv = 700;
        return true;
    case 10:
        what->is_decode = true;
        what->n_t = 1;
        what->n_kv = 900;
        return true;
    case 11:
        what->logit_share = 0.25;
        return true;
    case 12:
        what->is_decode = true;
        what->n_t = 1;
        what->n_kv = 900;
        what->n_prompt = 32;
        what->n_run = 4;
        what->n_past = 8;
        return true;
    case 13:
    case 14:
    case 15:
        what->is_decode = true;
        what->n_t = 1;
        what->n_kv = 900;
        what->n_prompt = i == 15 ? 16 : 32;
        what->n_run = 2;
        what->n_past = i == 13 ? 8 : 24;
        return true;
    case 16:
        spec->n_f *= 2; /* where the spec was before */
        return true;
    case 17:
        demand->seed = 7;
        return true;
    default:
        return false;
    }
}

/* Of every rank, 64 rows of 64 tokens. */
typedef struct mini {
    core_spec spec;
    har_demand demand;
    par_plan plan;
    har_predict_case what; /* of these                                        */
} mini;

static void open_mini(mini *m, const char *demand)
{
    ck_assert_int_eq(core_spec_open(&m->spec, "seed-mini", NULL), CORE_OK);
    ck_assert_int_eq(har_demand_parse(&m->demand, demand, (int)m->spec.n_e),
                     CORE_OK);
    m->what = (har_predict_case){.spec = &m->spec,
                                 .plan = &m->plan,
                                 .n_b = 64,
                                 .n_t = 64,
                                 .types.dtype = CORE_DTYPE_F16,
                                 .overlap = HAR_OVERLAP_PIPELINE,
                                 .demand = &m->demand,
                                 .all_ranks = true};
}

START_TEST(other_questions_leave_nothing_behind)
{
    static mini m;
    static core_spec other;
    static har_demand drawn;
    pair p;
    open_pair(&p, "gpu-400t-64g");
    open_mini(&m, "zipf:0.5");
    har_predict_case base = m.what;
    base.spec = &other;
    base.demand = &drawn;
    ck_assert_int_eq(par_plan_parse(&m.plan, PLANS[_i]), CORE_OK);
    ck_assert_int_eq(par_plan_check(&m.plan, &m.spec), CORE_OK);
    for (int i = 0;; i++)
        for (int before = 0; before < 2; before++) {
            /* after the unchanged question, and after the change before */
            har_predict_case what = base;
            other = m.spec;
            drawn = m.demand;
            ck_assert(change(&what, &other, &drawn,
                             before == 0 || i == 0 ? 0 : i - 1));
            ask(&p, &what);
            what = base;
            other = m.spec;
            drawn = m.demand;
            if (!change(&what, &other, &drawn, i)) {
                close_pair(&p);
                return;
            }
            ask(&p, &what);
        }
}
END_TEST

/* Plans one after the other, in two orders; drawn and as expected, which has as
 * many rows in many of them. */
START_TEST(other_plans_leave_nothing_behind)
{
    static mini m;
    pair p;
    open_pair(&p, "gpu-400t-64g");
    open_mini(&m, "zipf:0.5");
    m.demand.is_drawn = _i < 2;
    for (int i = 0; i < N_PLAN; i++) {
        const int at = _i % 2 == 0 ? i : N_PLAN - 1 - i;
        ck_assert_int_eq(par_plan_parse(&m.plan, PLANS[at]), CORE_OK);
        ask(&p, &m.what);
    }
    close_pair(&p);
}
END_TEST

/* Its blocks are of the tokens that reach a rank and of the experts that it
 * holds: large, small, large.  The shape is the same. */
START_TEST(a_grouped_product_is_of_its_group)
{
    static core_spec spec;
    static har_machine machine;
    const core_types types = {.dtype = CORE_DTYPE_F16};
    const core_cost cost = {.kind = CORE_COST_GROUPED_GEMM,
                            .tap = {CORE_TAP_EXPERT_UP, 1},
                            .m = 4096,
                            .n = 4096,
                            .k = 4096,
                            .n_expert = 32,
                            .m_max = 512};
    har_timer timer;
    double seconds[3];
    ck_assert_int_eq(core_spec_open(&spec, "seed-mini", NULL), CORE_OK);
    ck_assert_int_eq(har_machine_open(&machine, "gpu-400t-64g"), CORE_OK);
    ck_assert_int_eq(har_timer_make(&timer, &machine), CORE_OK);
    spec.n_k = 4;
    har_timer_aim(&timer, &spec, &types);
    for (int i = 0; i < 3; i++) {
        timer.ep = i < 2 ? 4 : 64;
        timer.n_held = i < 1 ? 512 : 3500;
        seconds[i] = har_timer_ask(&timer, &cost, 0).seconds;
    }
    ck_assert(seconds[0] != seconds[1] && seconds[1] != seconds[2]);
    har_timer_free(&timer);
}
END_TEST

/* --- memory --- */

static void see_products(void *self, const core_cost *cost)
{
    int64_t *most = self;
    if (cost->kind == CORE_COST_GROUPED_GEMM && cost->m > *most)
        *most = cost->m;
}

static double bytes_of(const har_predict_case *what, const har_load *load,
                       int rank, int *stage)
{
    const core_batch batch = {.n_b = what->n_b, .n_t = what->n_t};
    const har_cost_case records = {what->spec, what->plan, &batch, load};
    core_arena arena = core_arena_measure();
    par_layout lay;
    int64_t most = 0, row0, row1, n_row = 0, all = 0;
    ck_assert_int_eq(
        par_layout_make(&lay, &arena, what->spec, what->plan, rank), CORE_OK);
    ck_assert_int_eq(har_cost_rank(&records, rank, see_products, &most),
                     CORE_OK);
    for (int m = 0; m < what->plan->mb; m++) {
        par_layout_rows(what->plan, what->n_b, 0, lay.d, m, &row0, &row1);
        n_row = row1 - row0 > n_row ? row1 - row0 : n_row;
        all += row1 - row0;
    }
    const double n =
        har_cost_weight_size(what->spec, &lay, &what->types) +
        0.25 * (double)par_arena_bytes(what->spec, &lay, n_row, what->n_t) +
        0.25 * (double)par_pair_bytes(what->spec, &lay, most) +
        2 * (double)(all * what->n_t * har_cost_kv(what->spec, &lay));
    *stage = lay.stage;
    core_arena_free(&arena);
    return n;
}

/* Of ranks whose micro-batches, tensor parts and rows of experts differ. */
START_TEST(memory_is_that_of_the_fullest_rank)
{
    static const char *const plans[] = {"tp=2,pp=2,dp=2,ep=4,mb=3",
                                        "tp=4,dp=3,ep=6,mb=2", "dp=5,ep=5,mb=3",
                                        "tp=2,dp=4,ep=4,etp=2,mb=2"};
    static core_spec spec;
    static par_plan plan;
    static har_demand demand;
    pair p;
    par_layout lay;
    har_load load;
    core_arena arena = core_arena_measure();
    double n_choice, n_kept, most[4] = {0};
    open_pair(&p, "gpu-400t-64g");
    ck_assert_int_eq(core_spec_open(&spec, "seed-mini", NULL), CORE_OK);
    ck_assert_int_eq(har_demand_parse(&demand, "zipf:1", (int)spec.n_e),
                     CORE_OK);
    ck_assert_int_eq(par_plan_parse(&plan, plans[_i]), CORE_OK);
    ck_assert_int_eq(par_plan_check(&plan, &spec), CORE_OK);
    const har_predict_case what = {.spec = &spec,
                                   .plan = &plan,
                                   .n_b = 31,
                                   .n_t = 33,
                                   .types.dtype = CORE_DTYPE_F16,
                                   .demand = &demand,
                                   .all_ranks = true};
    ck_assert_int_eq(har_predict(p.old, &what, p.of_old), CORE_OK);
    ck_assert_int_eq(par_layout_make(&lay, &arena, &spec, &plan, 0), CORE_OK);
    ck_assert_int_eq(har_load_make(&load, &spec, &lay), CORE_OK);
    har_demand_load(&demand, &spec, &lay, what.n_b, what.n_t, NULL, &load,
                    &n_choice, &n_kept);
    const har_stage_memory *m = p.of_old->stage;
    for (int rank = 0; rank < par_plan_world(&plan); rank++) {
        int stage;
        const double n = bytes_of(&what, &load, rank, &stage);
        most[stage] = fmax(most[stage], n);
        if (rank == m[stage].rank)
            near("rank", m[stage].total, n, 0);
        else
            ck_assert(n <= m[stage].total * (1 + 1e-12));
    }
    for (int s = 0; s < plan.pp; s++)
        near("stage", m[s].total, most[s], 0);
    har_load_free(&load);
    core_arena_free(&arena);
    close_pair(&p);
}
END_TEST

/* --- what is added up --- */

/* A timeline has every record by itself. */
START_TEST(what_is_remembered_ends_with_the_timeline)
{
    static mini m;
    pair p;
    open_pair(&p, "gpu-400t-64g");
    open_mini(&m, "zipf:1");
    ck_assert_int_eq(par_plan_parse(&m.plan, PLANS[_i]), CORE_OK);
    for (int again = 0; again < 2; again++) {
        seen_spans s = {0, 0};
        double n_record = 0;
        ck_assert_int_eq(har_predict(p.old, &m.what, p.of_old), CORE_OK);
        ck_assert_int_eq(har_predict(p.old, &m.what, p.of_old), CORE_OK);
        ck_assert_int_eq(har_predict_spans(p.old, see_span, &s), CORE_OK);
        for (int k = 0; k < p.of_old->n_class; k++)
            n_record += p.of_old->class_of[k].n_record * p.of_old->n_gpu;
        near("records", s.n_span, n_record, 0);
        near("end", s.end, p.of_old->latency.value, 0);
    }
    close_pair(&p);
}
END_TEST

/* --- ticks that are played again --- */

enum { N_LANE = 8, N_TICK = 3, N_STEP = 12, N_GROUP = 7, N_PLAY = 9 };

/* Groups 0 and 1 are the halves of the lanes, 2 to 5 pairs, 6 is lanes 3 and 4,
 * between the halves; lane i + 4 receives from lane i. */
typedef struct drawn_case {
    har_event event[N_LANE * N_TICK * (2 * N_STEP + 2)];
    int64_t first[N_LANE * (N_TICK + 1)];
    int from[N_LANE], n_member[N_GROUP], play[N_PLAY];
    har_schedule s;
} drawn_case;

typedef enum step { HALVES, PAIRS, BETWEEN, MESSAGE, WORK } step;

static uint32_t draw(uint64_t seed, uint64_t i, uint32_t n)
{
    return core_rng(seed, core_rng_stream("hubs"), i).word[0] % n;
}

static void put(drawn_case *c, int64_t *n, har_event_kind kind, int group,
                uint32_t seconds)
{
    c->event[(*n)++] = (har_event){
        .kind = (uint8_t)kind, .group = group, .seconds = 0.1 + seconds};
}

static void put_step(drawn_case *c, int64_t *n, int lane, step what,
                     uint32_t seconds)
{
    if (what == HALVES)
        put(c, n, HAR_EVENT_MEET, lane / 4, seconds);
    else if (what == PAIRS)
        put(c, n, HAR_EVENT_MEET, 2 + lane / 2, seconds);
    else if (what == BETWEEN && (lane == 3 || lane == 4))
        put(c, n, HAR_EVENT_MEET, 6, seconds);
    else if (what == MESSAGE)
        put(c, n, lane < 4 ? HAR_EVENT_SEND : HAR_EVENT_RECEIVE, 0, seconds);
    else if (what == WORK)
        put(c, n, HAR_EVENT_COMPUTE, 0, seconds);
}

/* rare: how seldom halves meet each other and messages are sent. */
static void draw_case(drawn_case *c, uint64_t seed, uint32_t rare)
{
    int64_t n = 0;
    memset(c, 0, sizeof *c);
    for (int lane = 0; lane < N_LANE; lane++) {
        c->from[lane] = lane - 4;
        for (int tick = 0; tick < N_TICK; tick++) {
            c->first[lane * (N_TICK + 1) + tick] = n;
            for (int i = 0; i < N_STEP; i++) {
                const uint64_t at = (uint64_t)(tick * N_STEP + i);
                const uint32_t k = draw(seed, 2 * at, 6 * rare);
                const step what = k == 0   ? BETWEEN
                                  : k == 1 ? MESSAGE
                                           : (step)(k % 2);
                put_step(c, &n, lane, WORK,
                         draw(seed, 1000 + 64 * at + (uint64_t)lane, 50));
                put_step(c, &n, lane, what,
                         draw(seed, 2000 + 64 * at + (uint64_t)lane, 9));
            }
            /* a tick begins and ends with messages, as of stages */
            put_step(c, &n, lane, MESSAGE,
                     draw(seed, 2 * (uint64_t)tick + 1, 9));
        }
        c->first[lane * (N_TICK + 1) + N_TICK] = n;
    }
    for (int g = 0; g < N_GROUP; g++)
        c->n_member[g] = g < 2 ? 4 : 2;
    for (int i = 0; i < N_PLAY; i++)
        c->play[i] = i % N_TICK;
    c->s = (har_schedule){.n_lane = N_LANE,
                          .n_tick = N_TICK,
                          .n_group = N_GROUP,
                          .n_class = 1,
                          .n_at_once = 1,
                          .event = c->event,
                          .first = c->first,
                          .from = c->from,
                          .n_member = c->n_member};
}

/* Of a pass in which ticks come again nothing is left out. */
START_TEST(a_pass_of_ticks_that_come_again_is_played)
{
    static drawn_case c;
    for (uint64_t seed = 0; seed < 20; seed++) {
        har_lane_time lane[2][N_LANE];
        double exposed[2][1];
        har_replay_work work = {{0}, {0}, {0}};
        har_replay all = {.lane = lane[0], .n_pass = 6, .exposed = exposed[0]};
        har_replay part = {.lane = lane[1], .exposed = exposed[1]};
        draw_case(&c, seed, 1000);
        ck_assert_int_eq(har_replay_run(&c.s, c.play, N_PLAY, &work, &all),
                         CORE_OK);
        ck_assert_int_eq(har_replay_run(&c.s, c.play, 6, &work, &part),
                         CORE_OK);
        ck_assert(memcmp(lane[0], lane[1], sizeof lane[0]) == 0);
        ck_assert(exposed[0][0] == exposed[1][0]);
        har_replay_work_free(&work);
    }
}
END_TEST

/* Nothing is known of a tick where the pass is the whole play. */
START_TEST(a_tick_that_is_known_ends_as_one_that_is_played)
{
    static drawn_case c;
    for (uint64_t seed = 0; seed < 60; seed++) {
        har_lane_time lane[N_LANE];
        har_replay_work work = {{0}, {0}, {0}};
        har_replay known = {.lane = lane, .n_mark = 6, .n_pass = 1};
        har_replay all = {.lane = lane, .n_mark = 6};
        draw_case(&c, seed, seed % 3 == 0 ? 1 : seed % 3 == 1 ? 10 : 1000);
        ck_assert_int_eq(har_replay_run(&c.s, c.play, N_PLAY, &work, &known),
                         CORE_OK);
        ck_assert_int_eq(har_replay_run(&c.s, c.play, N_PLAY, &work, &all),
                         CORE_OK);
        near("mark", known.marked[0], all.marked[0], 0);
        near("end", known.seconds[0], all.seconds[0], 0);
        har_replay_work_free(&work);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_remembered");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, random_cases_are_what_a_fresh_predictor_says, 0,
                        4);
    tcase_add_loop_test(all, other_questions_leave_nothing_behind, 0, N_PLAN);
    tcase_add_loop_test(all, other_plans_leave_nothing_behind, 0, 4);
    tcase_add_loop_test(all, memory_is_that_of_the_fullest_rank, 0, 4);
    tcase_add_test(all, a_grouped_product_is_of_its_group);
    tcase_add_loop_test(all, what_is_remembered_ends_with_the_timeline, 0,
                        N_PLAN);
    tcase_add_test(all, a_pass_of_ticks_that_come_again_is_played);
    tcase_add_test(all, a_tick_that_is_known_ends_as_one_that_is_played);
    suite_add_tcase(suite, all);
    return check_main(suite);
}
