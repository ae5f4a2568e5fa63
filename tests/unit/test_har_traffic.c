/* tests/unit/test_har_traffic.c -- bytes from rank to rank, against the records
 * of cost, which count them another way.
 */
#include "harness/perf/cost/memory.h"
#include "harness/perf/predict/traffic.h"
#include "tests/support/check_main.h"

#include <math.h>
#include <stdlib.h>

typedef struct fixture {
    core_spec spec;
    par_plan plan;
    har_machine machine;
    har_demand demand;
    har_predict_case request;
    har_load load;
    har_traffic traffic;

} fixture;

static void ok(core_status status)
{
    ck_assert_msg(status == CORE_OK, "%s", core_message());
}

static void layout_of(fixture *f, par_layout *out, int rank, core_arena *arena)
{
    *arena = core_arena_measure();
    ok(par_layout_make(out, arena, &f->spec, &f->plan, rank));
}

static void make(fixture *f, const char *model, const char *plan, int block)
{
    par_layout lay;
    core_arena arena;
    double n_choice, n_kept;
    ok(core_spec_open(&f->spec, model, NULL));
    ok(par_plan_parse(&f->plan, plan));
    ok(par_plan_check(&f->plan, &f->spec));
    ok(har_machine_open(&f->machine, "gpu-400t-64g"));
    ok(har_demand_parse(&f->demand, "zipf:1", (int)f->spec.n_e));
    f->request = (har_predict_case){.spec = &f->spec,
                                    .plan = &f->plan,
                                    .n_b = 23,
                                    .n_t = 11,
                                    .types.dtype = CORE_DTYPE_F16,
                                    .demand = &f->demand};
    layout_of(f, &lay, 0, &arena);
    ok(har_load_make(&f->load, &f->spec, &lay));
    har_demand_load(&f->demand, &f->spec, &lay, 23, 11, NULL, &f->load,
                    &n_choice, &n_kept);
    core_arena_free(&arena);
    ok(har_traffic_make(&f->traffic, &f->request, &f->machine, &f->load,
                        block));
}

static void drop(fixture *f)
{
    har_load_free(&f->load);
    har_traffic_free(&f->traffic);
}

/* What the records of a rank say that it gives to others and gets from them. */
typedef struct counted {
    double given, got, ring, next, context;
} counted;

static void count(void *self, const core_cost *c)
{
    counted *n = self;
    const double size = c->type == CORE_COST_WORDS ? 8 : 2;
    const double most = (double)(c->in > c->out ? c->in : c->out) * size;
    const double stays = (double)(c->in - c->sent) * size;
    if (c->kind != CORE_COST_COLLECTIVE || c->group < 2)
        return;
    if (c->axis == CORE_AXIS_CP) {
        n->context += c->collective == CORE_ALL_TO_ALL
                          ? (double)c->sent * size
                          : most * (c->group - 1) / c->group;
    } else if (c->collective == CORE_ALL_TO_ALL) {
        n->given += (double)c->sent * size;
        n->got += (double)c->out * size - stays;
    } else if (c->collective == CORE_SEND) {
        n->next += most;
    } else if (c->collective != CORE_RECEIVE) {
        n->ring += (c->collective == CORE_ALL_REDUCE ? 2 : 1) * most *
                   (c->group - 1) / c->group;
    }
}

static double row_sum(const har_traffic *t, har_flow flow, int i)
{
    double sum = 0;
    for (int j = 0; j < t->n_cell; j++)
        sum += har_traffic_at(t, flow, i, j);
    return sum;
}

static double column_sum(const har_traffic *t, har_flow flow, int j)
{
    double sum = 0;
    for (int i = 0; i < t->n_cell; i++)
        sum += har_traffic_at(t, flow, i, j);
    return sum;
}

static void same(double x, double y)
{
    ck_assert_msg(fabs(x - y) <= 1e-9 * fabs(y) && y > 0,
                  "%.17g, expected %.17g", x, y);
}

static const char *const plans[] = {"dp=2,pp=2,tp=2,ep=4,sp=1,mb=3",
                                    "tp=2,pp=3,ep=6,scope=replica,mb=2",
                                    "tp=5,dp=2,ep=5,etp=2,pp=2,mb=2,rounds=2",
                                    "tp=2,cp=3,ep=6,sp=1,mb=2",
                                    "tp=2,cp=3,cp_kind=ring,pp=2,ep=2,mb=2",
                                    "dp=2,cp=2,cp_kind=ulysses,ep=4,mb=2"};
enum { N_PLAN = sizeof plans / sizeof plans[0] };

/* Every rank's bytes are those that its records count.  Nothing in the records
 * knows to whom, and nothing in the table of experts reads `sent`.           */
START_TEST(rows_and_columns_add_up_to_the_records)
{
    fixture f;
    make(&f, "shadow-a", plans[_i], 1);
    const core_batch batch = {.n_b = 23, .n_t = 11};
    const har_cost_case records = {
        .spec = &f.spec, .plan = &f.plan, .batch = &batch, .load = &f.load};
    const int n = par_plan_world(&f.plan);
    ck_assert_int_eq(f.traffic.n_cell, n);
    for (int rank = 0; rank < n; rank++) {
        counted c = {0};
        ok(har_cost_rank(&records, rank, count, &c));
        const double experts = row_sum(&f.traffic, HAR_FLOW_EXPERT, rank);
        const double tensor = row_sum(&f.traffic, HAR_FLOW_TENSOR, rank);
        const double etp_ring = f.plan.etp > 1 ? experts - c.given : 0;
        const double context = row_sum(&f.traffic, HAR_FLOW_CONTEXT, rank);
        if (f.plan.etp == 1) {
            same(experts, c.given);
            same(column_sum(&f.traffic, HAR_FLOW_EXPERT, rank), c.got);
        }
        if (f.plan.tp > 1)
            same(tensor + etp_ring, c.ring);
        if (f.plan.cp > 1)
            same(context, c.context);
        if (rank < n - n / f.plan.pp)
            same(row_sum(&f.traffic, HAR_FLOW_STAGE, rank), c.next);
        same(f.traffic.out[rank],
             experts + tensor + context +
                 row_sum(&f.traffic, HAR_FLOW_STAGE, rank));
    }
    drop(&f);
}
END_TEST

/* A tensor group is a ring; rows stay in their expert group; a stage sends to
 * the next one.                                                              */
START_TEST(bytes_go_where_the_layout_says)
{
    fixture f;
    make(&f, "shadow-a", plans[_i], 1);
    for (int i = 0; i < f.traffic.n_gpu; i++) {
        par_layout lay;
        core_arena arena;
        layout_of(&f, &lay, i, &arena);
        for (int j = 0; j < f.traffic.n_gpu; j++) {
            bool in_group = false;
            for (int k = 0; k < lay.ep_group.n; k++)
                in_group = in_group || lay.ep_group.rank[k] == j;
            const int next =
                i / f.plan.tp * f.plan.tp + (lay.t + 1) % f.plan.tp;
            const int c = (lay.c + 1) % f.plan.cp; /* whose rank gets mine */
            const har_traffic *t = &f.traffic;
            bool shares = j == lay.cp_group.rank[c];
            for (int k = 0; f.plan.cp_kind == PAR_CP_ULYSSES &&
                            k < lay.cp_group.n;
                 k++)
                shares = shares || lay.cp_group.rank[k] == j;
            ck_assert((har_traffic_at(t, HAR_FLOW_CONTEXT, i, j) > 0) ==
                      (shares && i != j));
            ck_assert((har_traffic_at(t, HAR_FLOW_TENSOR, i, j) > 0) ==
                      (j == next && i != j));
            ck_assert((har_traffic_at(t, HAR_FLOW_STAGE, i, j) > 0) ==
                      (j == lay.next_rank));
            ck_assert((har_traffic_at(t, HAR_FLOW_EXPERT, i, j) > 0) ==
                      (in_group && i != j));
        }
        core_arena_free(&arena);
    }
    drop(&f);
}
END_TEST

static double total(const har_traffic *t)
{
    double sum = 0;
    for (int flow = 0; flow < (int)HAR_N_FLOW; flow++)
        for (int i = 0; i < t->n_cell; i++)
            sum += row_sum(t, (har_flow)flow, i);
    return sum;
}

/* Blocks and links are other ways to add the same up; every row that found a
 * slot is worked on by etp ranks.                                            */
START_TEST(blocks_links_and_rows_add_up)
{
    fixture one, four;
    make(&one, "shadow-a", plans[_i], 1);
    make(&four, "shadow-a", plans[_i], 5);
    double links = 0, out = 0, rows = 0, load = 0;
    for (int flow = 0; flow < (int)HAR_N_FLOW; flow++)
        for (int i = 0; i < one.machine.n_link; i++)
            links += one.traffic.by_link[flow][i];
    for (int i = 0; i < one.traffic.n_gpu; i++) {
        out += one.traffic.out[i];
        rows += one.traffic.rows[i];
    }
    for (int64_t i = 0; i < har_load_size(&one.load); i++)
        load += (double)one.load.n_row[i];
    same(total(&four.traffic), total(&one.traffic));
    same(links, total(&one.traffic));
    same(out, total(&one.traffic));
    same(rows, load * one.plan.etp);
    drop(&one);
    drop(&four);
}
END_TEST

/* Codes of eight bits on the way to an expert, once with scales: what a plain
 * type sends more is a byte for each value, less the scales.                 */
START_TEST(narrow_rows_weigh_less)
{
    static const char *const types[] = {"bf16", "fp8", "int8"};
    fixture f;
    double bytes[3];
    make(&f, "shadow-a", "tp=2,dp=2,ep=4,mb=2", 1);
    ok(har_machine_open(&f.machine, "h100-sxm"));
    for (int i = 0; i < 3; i++) {
        har_traffic t;
        ok(core_types_parse(&f.request.types, types[i]));
        ok(har_traffic_make(&t, &f.request, &f.machine, &f.load, 1));
        bytes[i] = total(&t);
        har_traffic_free(&t);
    }
    ck_assert(bytes[2] < bytes[0]);
    same((bytes[0] - bytes[1]) / (bytes[0] - bytes[2]), 1 - 4.0 / 128);
    drop(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("traffic");
    TCase *t = tcase_create("traffic");
    tcase_add_loop_test(t, rows_and_columns_add_up_to_the_records, 0, N_PLAN);
    tcase_add_loop_test(t, bytes_go_where_the_layout_says, 0, N_PLAN);
    tcase_add_test(t, narrow_rows_weigh_less);
    tcase_add_loop_test(t, blocks_links_and_rows_add_up, 0, N_PLAN);
    suite_add_tcase(suite, t);
    return check_main(suite);
}
