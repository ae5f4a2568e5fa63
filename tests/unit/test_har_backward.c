/* tests/unit/test_har_backward.c -- transfers of the way back: what is emitted is
 * what is generated.
 *
 * Every case goes forward and back, keeps the records that par_backward shows
 * and the load of the forward pass, and has the generator make the same records
 * from that load alone.  They must be equal field by field, in order; of the
 * sums of weights' gradients, whose order is their own, as a set.
 */
#include "harness/perf/cost/backward.h"
#include "parallel/backward.h"
#include "tests/support/mpi_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct records {
    core_cost *cost;
    int64_t n, room;
} records;

static void keep(void *self, const core_cost *cost)
{
    records *r = self;
    if (r->n == r->room) {
        r->room = 2 * r->room + 256;
        r->cost = realloc(r->cost, (size_t)r->room * sizeof *r->cost);
        ck_assert_ptr_nonnull(r->cost);
    }
    r->cost[r->n++] = *cost;
}

typedef struct run {
    core_spec spec;
    par_plan plan;
    core_batch batch;
    par_layout layout;
    core_arena arena;
    har_load load;
    har_load_watch watch;
    par_tape *tape;
    records emitted, generated;
    int64_t n_sent; /* by the communicator                                   */
} run;

static void record(void *self, const par_piece *piece)
{
    run *r = self;
    har_load_see(&r->watch, piece);
    par_tape_record(r->tape, piece);
}

static void nobody(void *self, const par_grad_piece *piece)
{
    (void)self;
    (void)piece;
}

static int64_t sent(const par_comm *comm)
{
    int64_t n = 0;
    for (int i = 0; i < PAR_N_OP_KINDS; i++)
        n += comm->n_bytes[i];
    return n;
}

static void emit(run *r, par_comm *comm, const core_weights *weights)
{
    const par_observer observer = {r, record};
    const par_options options = {.observer = &observer};
    const par_grad_observer back = {&r->emitted, nobody, keep};
    par_model *model = NULL;
    par_stats stats;
    par_grad_stats grad;
    ck_assert_int_eq(par_model_open(&model, comm, &r->layout, &r->spec, weights,
                                    CORE_EXACT, &options),
                     CORE_OK);
    ck_assert_int_eq(par_forward(model, &r->batch, &stats), CORE_OK);
    par_model_close(model);
    /* the pass begins with an agreement, which is no transfer of its work */
    const int64_t first = sent(comm);
    ck_assert_int_eq(par_agree(comm, CORE_OK), CORE_OK);
    const int64_t before = sent(comm);
    ck_assert_int_eq(par_backward(comm, &r->layout, &r->spec, weights,
                                  &r->batch, r->tape, 3, &back, &grad),
                     CORE_OK);
    r->n_sent = (sent(comm) - before - (before - first)) / 8;
    par_all_reduce_u64(comm, &comm->world, r->load.n_row,
                       har_load_size(&r->load));
}

static void do_run(run *r, par_comm *comm)
{
    core_weights *weights;
    core_arena work = core_arena_measure();
    ck_assert_int_eq(
        par_layout_make(&r->layout, &r->arena, &r->spec, &r->plan, comm->rank),
        CORE_OK);
    ck_assert_int_eq(har_load_make(&r->load, &r->spec, &r->layout), CORE_OK);
    r->watch = (har_load_watch){
        .load = &r->load, .spec = &r->spec, .layout = &r->layout};
    ck_assert_int_eq(par_tape_open(&r->tape, &r->layout, &r->spec,
                                   r->batch.n_b * r->batch.n_t),
                     CORE_OK);
    ck_assert_int_eq(core_weights_open_procedural(&weights, &r->spec, 7),
                     CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_EXACT, NULL), CORE_OK);
    emit(r, comm, weights);
    const har_cost_case request = {&r->spec, &r->plan, &r->batch, &r->load};
    const har_cost_reader reader = {.self = &r->generated, .put = keep};
    ck_assert_int_eq(
        har_cost_backward(&request, &r->layout, &work, &reader), CORE_OK);
    core_arena_free(&work);
    core_weights_close(weights);
}

static void run_free(run *r)
{
    free(r->emitted.cost);
    free(r->generated.cost);
    har_load_free(&r->load);
    par_tape_close(r->tape);
    core_arena_free(&r->arena);
}

/* --- equal? --- */

enum { N_FIELD = 13 };

static void fields_of(const core_cost *c, int64_t out[N_FIELD])
{
    const int64_t all[N_FIELD] = {
        c->mb < 0, c->tap.layer, c->axis, c->collective, c->group, c->type,
        c->in,     c->out,       c->sent, c->round,      c->mb,    c->tick,
        c->n_token};
    memcpy(out, all, sizeof all);
}

static int by_fields(const void *a, const void *b)
{
    int64_t x[N_FIELD], y[N_FIELD];
    fields_of(a, x);
    fields_of(b, y);
    for (int i = 0; i < N_FIELD; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

/* The sums of weights' gradients come last. */
static void sort_weights(records *r)
{
    int64_t first = 0;
    while (first < r->n && r->cost[first].mb >= 0)
        first++;
    qsort(r->cost + first, (size_t)(r->n - first), sizeof *r->cost, by_fields);
}

enum { WHY = 300 };

static void say(char text[WHY], int64_t at, const records *r)
{
    const core_cost none = {0}, *c = at < r->n ? &r->cost[at] : &none;
    snprintf(text, WHY,
             "%lld of %lld: layer %d, %s over %s of %d, %lld to %lld, sent "
             "%lld, tick %lld",
             (long long)at, (long long)r->n, c->tap.layer,
             core_collective_name(c->collective), core_axis_name(c->axis),
             c->group, (long long)c->in, (long long)c->out,
             (long long)c->sent, (long long)c->tick);
}

static bool is_wrong(run *r, int rank, char why[3 * WHY])
{
    char a[WHY], b[WHY];
    int64_t at = 0, n_sent = 0;
    records *e = &r->emitted, *g = &r->generated;
    sort_weights(e);
    sort_weights(g);
    for (int64_t i = 0; i < e->n; i++)
        n_sent += e->cost[i].sent;
    while (at < e->n && at < g->n && by_fields(&e->cost[at], &g->cost[at]) == 0)
        at++;
    say(a, at, e);
    say(b, at, g);
    snprintf(why, 3 * WHY,
             "rank %d: emitted %s; generated %s; %lld sent, %lld in records",
             rank, a, b, (long long)r->n_sent, (long long)n_sent);
    return e->n == 0 || at < e->n || at < g->n || n_sent != r->n_sent;
}

/* --- cases --- */

static const struct {
    const char *model, *plan;
    int64_t n_b, n_t;
} CASES[] = {
    {"shadow-a", "tp=2,pp=3,dp=2,ep=4,mb=3", 11, 7},
    {"shadow-a", "tp=2,pp=3,ep=3,etp=2,scope=replica,mb=2", 5, 9},
    {"shadow-a", "dp=5,ep=5,mb=2,rounds=2", 21, 4},
    {"shadow-b", "tp=6,pp=2,ep=2,etp=3,mb=2", 5, 6},
    {"shadow-b", "tp=3,dp=4,ep=6,etp=2", 9, 5},
};
enum { N_CASE = sizeof CASES / sizeof CASES[0] };

START_TEST(backward_agrees)
{
    par_comm *comm;
    char why[3 * WHY] = "";
    bool ok = true;
    run r = {.arena = core_arena_measure()};
    ck_assert_int_eq(core_spec_open(&r.spec, CASES[_i].model, NULL), CORE_OK);
    ck_assert_int_eq(par_plan_parse(&r.plan, CASES[_i].plan), CORE_OK);
    ck_assert_msg(par_plan_check(&r.plan, &r.spec) == CORE_OK, "%s",
                  core_message());
    ck_assert_int_le(par_plan_world(&r.plan), mpi_world->size);
    ck_assert_int_eq(core_batch_make(&r.batch, &r.spec, CASES[_i].n_b,
                                     CASES[_i].n_t, 5),
                     CORE_OK);
    ck_assert_int_eq(par_comm_open(&comm, par_plan_world(&r.plan)), CORE_OK);
    if (comm != NULL) {
        do_run(&r, comm);
        ok = !is_wrong(&r, comm->rank, why);
        run_free(&r);
    }
    par_comm_close(comm);
    mpi_assert(ok, "%s under %s: %s", CASES[_i].model, CASES[_i].plan, why);
    core_batch_free(&r.batch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_backward");
    TCase *t = tcase_create("backward");
    tcase_add_loop_test(t, backward_agrees, 0, N_CASE);
    suite_add_tcase(suite, t);
    return mpi_check_run(suite);
}
