/* tests/unit/test_har_train.c -- a step of training, against sums by hand. */
#include "harness/perf/cost/backward.h"
#include "harness/perf/machine/record_time.h"
#include "harness/perf/predict/train.h"
#include "harness/perf/search/train.h"
#include "tests/support/check_main.h"

#include <math.h>
#include <string.h>

enum { LAYERS = 16, D = 128, F = 256, E = 64, V = 512 }; /* of seed-mini */
enum { DENSE_LAYER = 4 * D * D + 2 * D + E * D, EXPERT = 2 * D * F };

typedef struct setting {
    core_spec spec;
    har_machine machine;
    par_plan plan;
    har_predictor *predictor;
    har_predict_case what;
    har_train_case train;
    har_training_step out;
} setting;

static setting s;

static void setup(void)
{
    s = (setting){0};
    ck_assert_int_eq(core_spec_open(&s.spec, "seed-mini", NULL), CORE_OK);
    ck_assert_int_eq(har_machine_open(&s.machine, "h100-sxm"), CORE_OK);
    s.machine.coef[HAR_COEF_HOST].value = 0;
    ck_assert_int_eq(har_predictor_make(&s.predictor, &s.machine), CORE_OK);
    s.what = (har_predict_case){
        .spec = &s.spec, .plan = &s.plan, .n_b = 16, .n_t = 32};
    ck_assert_int_eq(core_types_parse(&s.what.types, "bf16"), CORE_OK);
    s.train = (har_train_case){.what = &s.what, .gradients = CORE_DTYPE_F32};
}

static void teardown(void)
{
    har_predictor_free(s.predictor);
}

static core_status ask(const char *plan, int zero, har_recompute recompute)
{
    ck_assert_int_eq(par_plan_parse(&s.plan, plan), CORE_OK);
    ck_assert_msg(par_plan_check(&s.plan, &s.spec) == CORE_OK, "%s",
                  core_message());
    s.train.zero = zero;
    s.train.recompute = recompute;
    core_message_clear();
    return har_predict_training(s.predictor, &s.train, &s.out);
}

static const har_training_step *step_of(const char *plan, int zero,
                                        har_recompute recompute)
{
    const core_status status = ask(plan, zero, recompute);
    ck_assert_msg(status == CORE_OK, "%s", core_message());
    return &s.out;
}

static void near(double found, double expected)
{
    ck_assert_msg(fabs(found - expected) <= 1e-9 * fabs(expected),
                  "found %.12g, expected %.12g", found, expected);
}

/* Stages take F + B + A, transfers and ends: 3.5, 7.25 and 4 seconds; the second
 * is the slowest, the others fill and drain.                                 */
START_TEST(stages_make_a_step)
{
    const har_step_stage stage[] = {
        {.n = 1, .forward = 1, .back = 2, .moves = 0.5, .send = 0.1,
         .after = 0.3},
        {.n = 1, .forward = 2, .back = 4, .again = 1, .moves = 0.25,
         .send = 0.05, .after = 0.2},
        {.n = 1, .forward = 1, .back = 2, .ends = 1, .after = 0.1}};
    har_step step = {.n_mb = 4, .vpp = 1, .n_stage = 3, .stage = stage};
    har_step_time t;
    har_step_time_of(&s.machine, &step, &t);
    near(t.layers, 4 * 7.0);
    near(t.moves, 4 * 0.25);
    near(t.ends, 0);
    near(t.fill, 3.5 + 4);
    near(t.sends, 2 * (4 + 2) * 0.1);
    near(t.after, 0.3);
    near(t.seconds, 38.0);
    step.vpp = 2;
    har_step_time_of(&s.machine, &step, &t);
    near(t.fill, 7.5 / 2);
    near(t.sends, 2 * (4 * 2 + 2) * 0.1);
    near(t.seconds, 35.05);
}
END_TEST

/* The host starts 20 operators of 1 ms each there, again, and twice back. */
START_TEST(small_layers_wait_for_the_host)
{
    const har_step_stage stage = {.n = 1, .n_op = 20, .n_op_again = 20};
    const har_step step = {.n_mb = 1, .vpp = 1, .n_stage = 1, .stage = &stage};
    har_step_time t;
    s.machine.coef[HAR_COEF_HOST].value = 1000;
    har_step_time_of(&s.machine, &step, &t);
    near(t.seconds, 0.080);
}
END_TEST

START_TEST(micro_batches_in_flight)
{
    static const struct {
        int pp, vpp, n_mb, stage, n;
    } ROWS[] = {{4, 1, 8, 0, 4}, {4, 1, 8, 1, 3}, {4, 1, 8, 3, 1},
                {4, 1, 2, 0, 2}, {4, 1, 2, 3, 1}, {4, 2, 8, 0, 11},
                {4, 2, 8, 3, 5}, {4, 2, 1, 0, 2}, {1, 1, 9, 0, 1}};
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        const par_plan plan = {.pp = ROWS[i].pp, .vpp = ROWS[i].vpp};
        ck_assert_int_eq(
            har_train_in_flight(&plan, ROWS[i].stage, ROWS[i].n_mb), ROWS[i].n);
    }
}
END_TEST

/* Four replicas, two of them have the same experts: what is no expert's is
 * split in four, experts in two, and one thing more with each stage of ZeRO. */
START_TEST(zero_splits_what_it_says)
{
    const double dense = LAYERS * DENSE_LAYER + V * D + D;
    const double experts = (double)LAYERS * (E / 2) * EXPERT;
    const double whole = dense + experts, part = dense / 4 + experts / 2;
    for (int zero = 0; zero <= 3; zero++) {
        const har_train_memory *m =
            &step_of("dp=4,ep=2", zero, HAR_RECOMPUTE_NONE)->stage[0];
        near(m->weights, 2 * (zero >= 3 ? part : whole));
        near(m->gradients, 4 * (zero >= 2 ? part : whole));
        near(m->optimiser, 12 * (zero >= 1 ? part : whole));
        near(m->total, m->weights + m->gradients + m->optimiser + m->kept +
                           m->buffers);
    }
    s.train.gradients = CORE_DTYPE_BF16;
    near(step_of("dp=4,ep=2", 0, HAR_RECOMPUTE_NONE)->stage[0].gradients,
         2 * whole);
    near(har_train_state_bytes(CORE_DTYPE_BF16), 12);
    near(har_train_state_bytes(CORE_DTYPE_F32), 8);
}
END_TEST

/* 64 tokens, one for each expert.  Of a layer: 8 results as wide as the stream
 * (input, two norms, query and key turned, value, context, mid), the router's
 * probabilities, choice, weight and slot, what came to experts and went back,
 * two inner ones; at the end the norm and logits in fp32.                    */
START_TEST(what_is_kept)
{
    const double n = 64, wide = n * D, inner = n * F, end = wide + n * V * 2;
    const double layer = 8 * wide + n * (E + 3) + 2 * wide + 2 * inner;
    s.what.n_b = 2;
    s.spec.capacity.rule = CORE_CAPACITY_NONE;
    const double none =
        step_of("mb=1", 0, HAR_RECOMPUTE_NONE)->stage[0].kept;
    near(none, 2 * (LAYERS * layer + end));
    near(step_of("mb=1", 0, HAR_RECOMPUTE_SELECTIVE)->stage[0].kept,
         2 * (LAYERS * (layer - 2 * wide - inner) + end - wide));
    near(step_of("mb=1", 0, HAR_RECOMPUTE_FULL)->stage[0].kept,
         2 * (LAYERS * wide + end));
    const double buffers = s.out.stage[0].buffers;
    near(buffers - step_of("mb=1", 0, HAR_RECOMPUTE_NONE)->stage[0].buffers,
         2 * layer);
    ck_assert_int_eq(s.out.stage[0].in_flight, 1);
}
END_TEST

/* Stage 0 of 2 keeps two micro-batches of half the layers. */
START_TEST(kept_of_all_in_flight)
{
    const double n = 64;
    s.what.n_b = 8;
    const har_training_step *t = step_of("pp=2,mb=4", 0, HAR_RECOMPUTE_FULL);
    near(t->stage[0].kept, 2 * 2 * (LAYERS / 2 * n * D));
    near(t->stage[1].kept, 2 * (LAYERS / 2 * n * D + n * D + n * V * 2));
}
END_TEST

static void product_is(const core_cost *c, int64_t m, int64_t n, int64_t k)
{
    ck_assert_int_eq(c->m, m);
    ck_assert_int_eq(c->n, n);
    ck_assert_int_eq(c->k, k);
    ck_assert_int_eq(c->flops, 2 * m * n * k);
    ck_assert_int_eq(c->written, m * n);
}

/* 12 rows from 5 to 7 columns; of 3 experts with 6, 4 and 2 rows. */
START_TEST(products_of_the_way_back)
{
    core_cost there = {.kind = CORE_COST_GEMM, .m = 12, .n = 7, .k = 5,
                       .weights = 35, .read = 60, .written = 84};
    core_cost back[2];
    har_cost_products_back(&there, back);
    product_is(&back[0], 12, 5, 7);
    ck_assert(back[0].weights == 35 && back[0].read == 84);
    product_is(&back[1], 7, 5, 12);
    ck_assert(back[1].weights == 0 && back[1].read == 60 + 84);
    there.kind = CORE_COST_GROUPED_GEMM;
    there.n_expert = 3;
    there.m_max = 6;
    there.weights = 3 * 35;
    har_cost_products_back(&there, back);
    product_is(&back[0], 12, 5, 7);
    ck_assert(back[0].weights == 3 * 35 && back[0].m_max == 6);
    product_is(&back[1], 3 * 7, 5, 4); /* experts alike: 4 rows each */
    ck_assert(back[1].m_max == 7 && back[1].n_expert == 3);
}
END_TEST

typedef struct both_ways {
    har_timer timer;
    double there[2], back[2]; /* layers; the two ends                         */
} both_ways;

static double seconds_of(both_ways *b, const core_cost *c)
{
    har_time time = {0};
    time = har_timer_ask(&b->timer, c, 0);
    return time.seconds;
}

static void add_both_ways(void *self, const core_cost *c)
{
    both_ways *b = self;
    core_cost back[2];
    const bool ends = strcmp(c->op, par_operator_name(PAR_OP_EMBED)) == 0 ||
                      strcmp(c->op, par_operator_name(PAR_OP_HEAD)) == 0;
    if (c->kind == CORE_COST_COLLECTIVE)
        return;
    const double there = seconds_of(b, c);
    b->there[ends] += there;
    if (c->kind != CORE_COST_GEMM && c->kind != CORE_COST_GROUPED_GEMM) {
        b->back[ends] += 2 * there;
        return;
    }
    har_cost_products_back(c, back);
    b->back[ends] += seconds_of(b, &back[0]) + seconds_of(b, &back[1]);
}

/* Every product once there, and two of its own back; all else twice back. */
START_TEST(layers_there_and_back)
{
    const har_step_time parts = step_of("mb=1", 0, HAR_RECOMPUTE_NONE)->parts;
    const core_batch batch = {.n_b = s.what.n_b, .n_t = s.what.n_t};
    both_ways b = {.there = {0}};
    core_arena arena = core_arena_measure();
    par_layout lay;
    har_demand even;
    har_load load;
    double n_choice, n_kept;
    ck_assert_int_eq(har_demand_parse(&even, "uniform", E), CORE_OK);
    even.is_drawn = false;
    ck_assert_int_eq(par_layout_make(&lay, &arena, &s.spec, &s.plan, 0),
                     CORE_OK);
    ck_assert_int_eq(har_load_make(&load, &s.spec, &lay), CORE_OK);
    har_demand_load(&even, &s.spec, &lay, batch.n_b, batch.n_t, NULL, &load,
                    &n_choice, &n_kept);
    ck_assert_int_eq(har_timer_make(&b.timer, &s.machine), CORE_OK);
    har_timer_aim(&b.timer, &s.spec, &s.what.types);
    b.timer.n_held = E;
    b.timer.ep = 1;
    const har_cost_case records = {
        .spec = &s.spec, .plan = &s.plan, .batch = &batch, .load = &load};
    ck_assert_int_eq(har_cost_rank(&records, 0, add_both_ways, &b), CORE_OK);
    near(parts.layers, b.there[0] + b.back[0]);
    near(parts.ends, b.there[1] + b.back[1] +
                         har_step_loss(&s.machine,
                                       (double)(batch.n_b * batch.n_t) * V));
    ck_assert(fabs(b.back[0] / b.there[0] - 2) > 1e-3);
    har_timer_free(&b.timer);
    har_load_free(&load);
    core_arena_free(&arena);
}
END_TEST

/* Layers there and back; made again in whole as much as there, norms and
 * activations less.                                                          */
START_TEST(recompute_costs_a_pass)
{
    const double none =
        step_of("dp=2,ep=2,mb=2", 0, HAR_RECOMPUTE_NONE)->parts.layers;
    const double selective =
        step_of("dp=2,ep=2,mb=2", 0, HAR_RECOMPUTE_SELECTIVE)->parts.layers;
    const double full =
        step_of("dp=2,ep=2,mb=2", 0, HAR_RECOMPUTE_FULL)->parts.layers;
    ck_assert(full > 1.25 * none && full < 1.45 * none);
    ck_assert(selective > none && selective < full);
}
END_TEST

/* Seconds of the collectives of a forward pass whose ranks speak for their
 * stages, in layers.                                                         */
static double forward_moves(const char *plan)
{
    static har_prediction p;
    double sum = 0;
    ck_assert_int_eq(par_plan_parse(&s.plan, plan), CORE_OK);
    ck_assert_int_eq(har_predict(s.predictor, &s.what, &p), CORE_OK);
    for (int i = 0; i < p.n_class; i++)
        if (p.class_of[i].kind == CORE_COST_COLLECTIVE &&
            strcmp(p.class_of[i].op, par_operator_name(PAR_OP_EMBED)) != 0)
            sum += p.class_of[i].seconds;
    return sum;
}

/* What goes in layers goes again where they are made again. */
START_TEST(transfers_come_again)
{
    static const char plan[] = "tp=2,dp=2,ep=4,mb=4";
    const double there = forward_moves(plan);
    const double none = step_of(plan, 0, HAR_RECOMPUTE_NONE)->parts.moves;
    const double full = step_of(plan, 0, HAR_RECOMPUTE_FULL)->parts.moves;
    ck_assert(there > 0);
    near(full - none, there);
    ck_assert(none > 1.5 * there);
}
END_TEST

static double moved(har_collective kind, double bytes, int n)
{
    return har_time_collective(&s.machine, kind, HAR_LIBRARY, bytes, n, 0)
        .seconds;
}

/* One sum of fp32 gradients; split, and bf16 parameters gathered once; with
 * ZeRO 2 split in each of 4 micro-batches, with 3 gathered twice in each.
 * Routers are summed over tp alone, here one rank.                           */
START_TEST(sums_of_gradients)
{
    const double dense = LAYERS * DENSE_LAYER + V * D + D;
    const double experts = (double)LAYERS * (E / 2) * EXPERT;
    const double n[2] = {dense, experts};
    const int of[2] = {4, 2};
    double all = 0, scatter = 0, gather = 0;
    for (int i = 0; i < 2; i++) {
        all += moved(HAR_ALL_REDUCE, 4 * n[i], of[i]);
        scatter += moved(HAR_REDUCE_SCATTER, 4 * n[i], of[i]);
        gather += moved(HAR_ALL_GATHER, 2 * n[i], of[i]);
    }
    const double expected[] = {all, scatter + gather, 4 * scatter + gather,
                               4 * scatter + 8 * gather};
    for (int zero = 0; zero <= 3; zero++) {
        const har_training_step *t =
            step_of("dp=4,ep=2,mb=4", zero, HAR_RECOMPUTE_NONE);
        near(t->gradients, expected[zero]);
        near(t->optimiser,
             har_step_optimiser(&s.machine, zero > 0 ? dense / 4 + experts / 2
                                                     : dense + experts));
        near(t->parts.after, t->gradients + t->optimiser);
    }
}
END_TEST

/* Virtual stages, sequence and context parallel have steps, too: chunks fill
 * the pipeline faster, and a stream that is split is kept split.             */
START_TEST(other_degrees)
{
    const double one =
        step_of("pp=4,mb=8", 0, HAR_RECOMPUTE_NONE)->parts.fill;
    const double two =
        step_of("pp=4,vpp=2,mb=8", 0, HAR_RECOMPUTE_NONE)->parts.fill;
    ck_assert(two < 0.6 * one && two > 0.4 * one);
    s.what.n_b = 2;
    const double whole =
        step_of("tp=2,ep=2", 0, HAR_RECOMPUTE_FULL)->stage[0].kept;
    const double split =
        step_of("tp=2,ep=2,sp=1", 0, HAR_RECOMPUTE_FULL)->stage[0].kept;
    near(whole - split, 2 * (LAYERS + 1) * (64 / 2) * (double)D);
    const double own = step_of("dp=2,ep=2", 0, HAR_RECOMPUTE_NONE)->parts.moves;
    static const char *const context[] = {"cp=2,ep=2", "cp=2,ep=2,cp_kind=ring",
                                          "cp=2,ep=2,cp_kind=ulysses"};
    for (int i = 0; i < 3; i++)
        ck_assert(step_of(context[i], 0, HAR_RECOMPUTE_NONE)->parts.moves >
                  own);
}
END_TEST

/* What a search says of a plan is what is predicted of it, per GPU; a plan that
 * fits, and has the shortest step, is on the front; those of scope=replica are
 * not asked.                                                                 */
START_TEST(a_search_asks_the_same)
{
    static har_train_search search;
    search = (har_train_search){.what = s.what,
                                .train = {.zero = 1,
                                          .gradients = CORE_DTYPE_F32},
                                .machine = &s.machine,
                                .n_thread = 2};
    ck_assert_int_eq(har_train_search_make(&search), CORE_OK);
    const har_search_cost cost = {&search, har_train_search_memory,
                                  har_train_search_time};
    const har_search_case request = {.spec = &s.spec,
                                     .cost = &cost,
                                     .n_gpu0 = 2,
                                     .n_gpu1 = 4,
                                     .n_b = s.what.n_b,
                                     .memory_bytes = 0.8e9,
                                     .n_thread = 2,
                                     .has_vpp = true,
                                     .allows = har_train_search_allows};
    har_search_result r;
    ck_assert_int_eq(har_search_run(&r, &request), CORE_OK);
    ck_assert_int_eq(search.status, CORE_OK);
    ck_assert(r.n_barred > 0 && r.n_large > 0 && r.n_good > 0 && r.n_front > 0);
    const har_figures *best = &r.front[0].figures;
    har_search_case plain = request;
    har_search_result without;
    plain.has_vpp = false;
    ck_assert_int_eq(har_search_run(&without, &plain), CORE_OK);
    ck_assert_int_gt(r.n_plan, without.n_plan);
    har_search_free(&without);
    s.train.zero = 1;
    for (int i = 0; i < r.n_front; i++) {
        const har_search_point *p = &r.front[i];
        har_shape_plan(&p->shape, &s.plan);
        ck_assert_int_eq(
            har_predict_training(s.predictor, &s.train, &s.out), CORE_OK);
        near(p->figures.latency, s.out.seconds.value);
        near(p->figures.tokens_per_s * s.out.n_gpu, s.out.tokens_per_s.value);
        near(p->figures.memory, s.out.memory);
        ck_assert(s.out.memory <= request.memory_bytes);
    }
    step_of("dp=4,ep=4", 1, HAR_RECOMPUTE_NONE);
    ck_assert(s.out.memory <= request.memory_bytes &&
              s.out.seconds.value >= best->latency);
    har_search_free(&r);
    har_train_search_free(&search);
}
END_TEST

START_TEST(refusals)
{
    ck_assert_int_eq(core_types_parse(&s.what.types, "w=mxfp4+act=bf16"),
                     CORE_OK);
    ck_assert_int_eq(ask("dp=2", 0, HAR_RECOMPUTE_NONE), CORE_E_USAGE);
    ck_assert_ptr_nonnull(strstr(core_message(), "expected one plain type"));
    ck_assert_int_eq(core_types_parse(&s.what.types, "f32"), CORE_OK);
    ck_assert_int_eq(ask("dp=2", 0, HAR_RECOMPUTE_NONE), CORE_OK);
    ck_assert_int_eq(
        ask("pp=2,vpp=2,ep=2,scope=replica,mb=2", 0, HAR_RECOMPUTE_NONE),
        CORE_E_USAGE);
    ck_assert_ptr_nonnull(strstr(core_message(), "vpp = 2 with scope=replica"));
    ck_assert_int_eq(ask("pp=2,ep=2,scope=replica,mb=2", 0, HAR_RECOMPUTE_NONE),
                     CORE_OK);
    ck_assert_int_eq(ask("pp=2,vpp=2,mb=2", 0, HAR_RECOMPUTE_NONE), CORE_OK);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_train");
    TCase *t = tcase_create("step");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, stages_make_a_step);
    tcase_add_test(t, small_layers_wait_for_the_host);
    tcase_add_test(t, micro_batches_in_flight);
    tcase_add_test(t, zero_splits_what_it_says);
    tcase_add_test(t, what_is_kept);
    tcase_add_test(t, kept_of_all_in_flight);
    tcase_add_test(t, products_of_the_way_back);
    tcase_add_test(t, layers_there_and_back);
    tcase_add_test(t, recompute_costs_a_pass);
    tcase_add_test(t, transfers_come_again);
    tcase_add_test(t, sums_of_gradients);
    tcase_add_test(t, other_degrees);
    tcase_add_test(t, a_search_asks_the_same);
    tcase_add_test(t, refusals);
    suite_add_tcase(suite, t);
    return check_main(suite);
}
