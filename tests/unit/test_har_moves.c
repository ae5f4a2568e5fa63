/* tests/unit/test_har_moves.c -- experts that move between two passes: what is
 * emitted is what is generated from the two maps.
 *
 * Every rank deals by made-up loads, moves, keeps the records, and has the
 * generator make the same ones before the layout changes.  They must be equal
 * field by field, and add up to what the communicator counted.
 */
#include "core/numbers/rng.h"
#include "harness/perf/cost/moves.h"
#include "harness/verify/dealer.h"
#include "tests/support/mpi_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64, WHY = 300 };

typedef struct records {
    core_cost cost[MOST];
    int n;
} records;

static void keep(void *self, const core_cost *cost)
{
    records *r = self;
    ck_assert_int_lt(r->n, MOST);
    r->cost[r->n++] = *cost;
}

static void keep_timed(void *self, const core_cost *cost,
                       const par_cost_time *took)
{
    ck_assert(took->seconds >= 0);
    keep(self, cost);
}

static void ignore(void *self, const par_piece *piece)
{
    (void)self;
    (void)piece;
}

/* Every layer's experts by loads of dice: what several moves begin and end with. */
static void deal(uint16_t *out, const core_spec *spec, const par_plan *plan,
                 uint64_t seed)
{
    const par_balancer how = {.n_e = (int)spec->n_e,
                              .n_gpu = plan->ep,
                              .n_slot = plan->n_physical / plan->ep,
                              .n_node = 1,
                              .n_group = 1,
                              .is_once = true};
    double load[64];
    int logical[MOST];
    ck_assert_int_le(spec->n_e, 64);
    ck_assert_int_le(plan->n_physical, MOST);
    for (int i = 0; i < plan->n_mapped; i++) {
        for (int e = 0; e < how.n_e; e++)
            load[e] = (double)core_rng_below(seed, (uint64_t)i, (uint64_t)e, 99);
        par_balancer_deal(&how, load, logical);
        for (int p = 0; p < plan->n_physical; p++)
            out[i * plan->n_physical + p] = (uint16_t)logical[p];
    }
}

static bool is_same(const core_cost *a, const core_cost *b)
{
    return a->kind == b->kind && strcmp(a->op, b->op) == 0 &&
           a->tap.kind == b->tap.kind && a->tap.layer == b->tap.layer &&
           a->stage == b->stage && a->rank == b->rank && a->mb == b->mb &&
           a->tick == b->tick && a->collective == b->collective &&
           a->axis == b->axis && a->group == b->group && a->type == b->type &&
           a->in == b->in && a->out == b->out && a->sent == b->sent;
}

static bool is_right(const records *emitted, const records *generated,
                     int n_layer, int64_t n_sent, int rank, char why[WHY])
{
    int64_t sum = 0;
    for (int i = 0; i < emitted->n; i++)
        sum += emitted->cost[i].sent;
    snprintf(why, WHY,
             "rank %d: %d records of %d layers, %lld elements in them, %lld sent",
             rank, emitted->n, n_layer, (long long)sum, (long long)n_sent);
    if (emitted->n != n_layer || generated->n != n_layer || sum != n_sent)
        return false;
    for (int i = 0; i < n_layer; i++) {
        const core_cost *e = &emitted->cost[i], *g = &generated->cost[i];
        snprintf(why, WHY,
                 "rank %d layer %d: emitted %lld to %lld, sent %lld; generated "
                 "%lld to %lld, sent %lld",
                 rank, e->tap.layer, (long long)e->in, (long long)e->out,
                 (long long)e->sent, (long long)g->in, (long long)g->out,
                 (long long)g->sent);
        if (!is_same(e, g))
            return false;
    }
    return true;
}

/* Moves twice: from experts in order, and from dealt ones. */
static bool moves(par_comm *comm, const core_spec *spec, const par_plan *plan,
                  char why[WHY])
{
    static par_plan now;
    static uint16_t after[PAR_MAX_PHYSICAL];
    records emitted = {.n = 0};
    core_arena arena = core_arena_measure();
    const par_observer observer = {NULL, ignore};
    const par_options options = {.weight_budget_bytes = SIZE_MAX,
                                 .observer = &observer,
                                 .cost = keep_timed,
                                 .cost_self = &emitted};
    core_weights *weights;
    par_layout layout;
    par_model *model;
    par_moved moved;
    int n_layer = 0;
    int64_t n_in = 0;
    bool ok = true;
    now = *plan;
    ck_assert_int_eq(par_layout_make(&layout, &arena, spec, &now, comm->rank),
                     CORE_OK);
    ck_assert_int_eq(core_weights_open_procedural(&weights, spec, 7), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_EXACT, NULL), CORE_OK);
    ck_assert_int_eq(par_model_open(&model, comm, &layout, spec, weights,
                                    CORE_EXACT, &options),
                     CORE_OK);
    for (int l = 0; l < (int)spec->n_l; l++)
        n_layer += core_spec_is_moe(spec, l) &&
                   (plan->scope == PAR_SCOPE_REPLICA ||
                    layout.local_layer[l] >= 0);
    for (uint64_t move = 0; move < 2 && ok; move++) {
        records generated = {.n = 0};
        const har_cost_reader reader = {.self = &generated, .put = keep};
        const int64_t before = comm->n_bytes[PAR_ALL_TO_ALL];
        par_misplaced wrong;
        emitted.n = 0;
        deal(after, spec, plan, move);
        har_cost_moves(spec, &layout, after, &reader);
        par_move_experts(model, &layout, after, &moved);
        ok = is_right(&emitted, &generated, n_layer,
                      (comm->n_bytes[PAR_ALL_TO_ALL] - before) / 8, comm->rank,
                      why) &&
             !par_find_misplaced(model, &wrong);
        for (int i = 0; i < emitted.n; i++)
            n_in += emitted.cost[i].in;
    }
    double total = (double)n_in;
    par_all_reduce(comm, &comm->world, &total, 1, PAR_SUM, CORE_FP64);
    ok = ok && total > 0; /* else nothing moved */
    par_model_close(model);
    core_weights_close(weights);
    core_arena_free(&arena);
    return ok;
}

static const struct {
    const char *model, *plan;
    int n_slot;
} CASES[] = {
    {"shadow-a", "tp=2,dp=2,ep=4,mb=2", 7},
    {"shadow-a", "tp=2,pp=2,dp=2,ep=2,mb=2", 11},
    {"shadow-a", "tp=2,pp=3,ep=3,etp=2,scope=replica", 8},
    {"shadow-b", "tp=3,dp=4,ep=6,etp=2", 7},
};
enum { N_CASE = sizeof CASES / sizeof CASES[0] };

START_TEST(moves_agree)
{
    static par_plan plan;
    core_spec spec;
    par_comm *comm;
    char why[WHY] = "";
    bool ok = true;
    ck_assert_int_eq(core_spec_open(&spec, CASES[_i].model, NULL), CORE_OK);
    ck_assert_int_eq(par_plan_parse(&plan, CASES[_i].plan), CORE_OK);
    ck_assert_msg(har_dealer_plan(&plan, &spec, CASES[_i].n_slot, 1) == CORE_OK,
                  "%s", core_message());
    ck_assert_int_le(par_plan_world(&plan), mpi_world->size);
    ck_assert_int_eq(par_comm_open(&comm, par_plan_world(&plan)), CORE_OK);
    if (comm != NULL)
        ok = moves(comm, &spec, &plan, why);
    par_comm_close(comm);
    mpi_assert(ok, "%s under %s: %s", CASES[_i].model, CASES[_i].plan, why);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_moves");
    TCase *t = tcase_create("moves");
    tcase_add_loop_test(t, moves_agree, 0, N_CASE);
    suite_add_tcase(suite, t);
    return mpi_check_run(suite);
}
