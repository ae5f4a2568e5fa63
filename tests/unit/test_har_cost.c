/* tests/unit/test_har_cost.c -- what is emitted is what is generated.
 *
 * Every case runs the distributed pass, keeps the records that it emits and
 * the load that its slots show, and has the generator make the same records
 * from that load alone.  They must be equal field by field, in order; and what
 * the collectives among them sent must be what the communicator counted, so
 * that no transfer is without a record.
 *
 * The experts that tokens chose are written into a file of taps on the way, and
 * the load that is read back from it must be the load of the run.
 */
#include "core/pass/tapfile.h"
#include "harness/perf/cost/measured.h"
#include "harness/perf/cost/memory.h"
#include "tests/support/mpi_check.h"
#include "tests/support/random_case.h"
#include "tests/support/ref_fixture.h"
#include "tests/support/shadow_plans.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct records {
    core_cost *cost;
    int64_t n, room;
    double seconds;
    int64_t n_odd_time; /* times that cannot be                               */
} records;

static void keep(records *r, const core_cost *cost)
{
    if (r->n == r->room) {
        r->room = 2 * r->room + 256;
        r->cost = realloc(r->cost, (size_t)r->room * sizeof *r->cost);
        ck_assert_ptr_nonnull(r->cost);
    }
    r->cost[r->n++] = *cost;
}

static void keep_generated(void *self, const core_cost *cost)
{
    keep(self, cost);
}

static void keep_emitted(void *self, const core_cost *cost,
                         const par_cost_time *took)
{
    records *r = self;
    keep(r, cost);
    r->seconds += took->seconds;
    if (!(took->seconds >= 0.0) || !(took->cpu_seconds >= 0.0) ||
        !(took->wait_seconds >= 0.0) || !(took->start > 0.0))
        r->n_odd_time++;
}


typedef struct run_case {
    const char *name;
    core_spec spec;
    par_plan plan;
    core_batch batch; /* borrowed */
    size_t budget;    /* 0: experts are read a tile at a time */
    int64_t wide;     /* wide_elements of ranks               */
} run_case;

/* What the tokens of the batch chose, [n_l, N, K]; zero on all ranks but the
 * one that owns the piece. */
typedef struct choices {
    uint64_t *idx, *weight; /* weight: the bits of a double */
} choices;

/* What one rank did. */
typedef struct run {
    records emitted, generated;
    har_load load;
    choices chosen;
    int64_t n_element[PAR_N_OP_KINDS]; /* sent, by the communicator's count */
    par_stats stats;
} run;

static void make_layout(par_layout *out, core_arena *arena, const run_case *c,
                        int rank)
{
    *arena = core_arena_measure();
    ck_assert_int_eq(par_layout_make(out, arena, &c->spec, &c->plan, rank),
                     CORE_OK);
}

static int64_t n_choices(const run_case *c)
{
    return c->spec.n_l * c->batch.n_b * c->batch.n_t * c->spec.n_k;
}

typedef struct watch {
    const run_case *c;
    har_load_watch load;
    choices chosen;
} watch;

static void see(void *self, const par_piece *piece)
{
    watch *w = self;
    const int64_t n_k = w->c->spec.n_k;
    const int64_t n_token = w->c->batch.n_b * w->c->batch.n_t;
    const bool is_idx = piece->tap.kind == CORE_TAP_TOPK_IDX;
    har_load_see(&w->load, piece);
    if ((!is_idx && piece->tap.kind != CORE_TAP_TOPK_WEIGHT) ||
        piece->i_owner != 0)
        return;
    for (int64_t i = 0; i < piece->n_row; i++)
        for (int64_t k = 0; k < n_k; k++) {
            const int64_t at =
                (piece->tap.layer * n_token + piece->row_ids[i]) * n_k + k;
            if (is_idx)
                w->chosen.idx[at] = (uint64_t)piece->ints[i * piece->ld + k];
            else
                memcpy(&w->chosen.weight[at], &piece->values[i * piece->ld + k],
                       sizeof(double));
        }
}

static choices make_choices(const run_case *c)
{
    const size_t n = (size_t)n_choices(c) + 1;
    const choices out = {calloc(n, sizeof *out.idx),
                         calloc(n, sizeof *out.weight)};
    ck_assert(out.idx != NULL && out.weight != NULL);
    return out;
}

static void emit(run *out, par_comm *comm, const run_case *c,
                 const core_weights *weights)
{
    core_arena arena;
    par_layout layout;
    par_model *model = NULL;
    make_layout(&layout, &arena, c, comm->rank);
    ck_assert_int_eq(har_load_make(&out->load, &c->spec, &layout), CORE_OK);
    watch w = {c,
               {.load = &out->load, .spec = &c->spec, .layout = &layout},
               make_choices(c)};
    const par_observer observer = {&w, see};
    const par_options options = {.weight_budget_bytes = c->budget,
                                 .dense_budget_bytes = c->budget,
                                 .observer = &observer,
                                 .cost = keep_emitted,
                                 .cost_self = &out->emitted,
                                 .wide_elements = c->wide};
    ck_assert_int_eq(
        par_agree(comm, par_model_open(&model, comm, &layout, &c->spec, weights,
                                       CORE_FP64, &options)),
        CORE_OK);
    int64_t before[PAR_N_OP_KINDS];
    memcpy(before, comm->n_bytes, sizeof before);
    ck_assert_int_eq(par_forward(model, &c->batch, &out->stats), CORE_OK);
    for (int i = 0; i < PAR_N_OP_KINDS; i++)
        out->n_element[i] = (comm->n_bytes[i] - before[i]) / 8;
    par_model_close(model);
    par_all_reduce_u64(comm, &comm->world, out->load.n_row,
                       har_load_size(&out->load));
    par_all_reduce_u64(comm, &comm->world, w.chosen.idx, n_choices(c));
    par_all_reduce_u64(comm, &comm->world, w.chosen.weight, n_choices(c));
    out->chosen = w.chosen;
    core_arena_free(&arena);
}

/* Emitted and generated; on the ranks of comm. */
/* Of micro-batches that take turns within a tick's time, one after the other;
 * what each does stays in order.                                             */
static void by_tick(records *r)
{
    for (int64_t i = 1; i < r->n; i++) {
        const core_cost cost = r->cost[i];
        int64_t at = i;
        for (; at > 0 && r->cost[at - 1].tick > cost.tick; at--)
            r->cost[at] = r->cost[at - 1];
        r->cost[at] = cost;
    }
}

static run do_run(par_comm *comm, const run_case *c)
{
    run r;
    core_weights *weights;
    memset(&r, 0, sizeof r);
    ck_assert_int_eq(core_weights_open_procedural(&weights, &c->spec, 7),
                     CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_FP64, NULL), CORE_OK);
    emit(&r, comm, c, weights);
    by_tick(&r.emitted);
    const har_cost_case request = {&c->spec, &c->plan, &c->batch, &r.load};
    ck_assert_int_eq(
        har_cost_rank(&request, comm->rank, keep_generated, &r.generated),
        CORE_OK);
    core_weights_close(weights);
    return r;
}

static void run_free(run *r)
{
    free(r->emitted.cost);
    free(r->generated.cost);
    har_load_free(&r->load);
    free(r->chosen.idx);
    free(r->chosen.weight);
}

/* --- the load that a file of taps holds --- */

static void put_layer(core_tapfile *file, const run_case *c, const choices *of,
                      int layer)
{
    const int64_t n = c->batch.n_b * c->batch.n_t, n_k = c->spec.n_k;
    const int64_t at = layer * n * n_k;
    core_tapfile_put(file, "", (core_tap){CORE_TAP_TOPK_IDX, layer}, NULL,
                     (const int64_t *)of->idx + at, n_k, NULL, 0, n, 0, n_k);
    core_tapfile_put(file, "", (core_tap){CORE_TAP_TOPK_WEIGHT, layer},
                     (const double *)of->weight + at, NULL, n_k, NULL, 0, n, 0,
                     n_k);
}

static core_status write_taps(const char *path, const run_case *c,
                              const choices *of)
{
    const core_tapfile_part part = {"", c->batch.n_b, c->batch.n_t, NULL};
    core_tapfile *file = NULL;
    CORE_TRY(core_tapfile_create(&file, path, &c->spec, CORE_FP64, true, false,
                                 &part, 1, NULL));
    for (int l = 0; l < (int)c->spec.n_l; l++)
        if (core_spec_is_moe(&c->spec, l))
            put_layer(file, c, of, l);
    const core_status status = core_tapfile_commit(file);
    core_tapfile_close(file);
    return status;
}

static core_status read_load(const char *path, const run_case *c,
                             har_load *read)
{
    har_measured measured;
    CORE_TRY(har_measured_open(&measured, path, &c->spec, NULL));
    const core_status status = har_measured_load(
        &measured, &c->plan, c->batch.n_b, c->batch.n_t, read);
    har_measured_close(&measured);
    return status;
}

/* Rows that differ between a load and the one that a file of these choices
 * says; -1: there is no such file, see core_message.  On one rank. */
static int64_t n_misread(const run_case *c, const choices *of,
                         const har_load *load)
{
    char folder[] = "/tmp/test_har_cost-XXXXXX", path[64];
    har_load read = {0};
    int64_t n = 0;
    if (core_spec_count_moe(&c->spec, 0, (int)c->spec.n_l) == 0)
        return 0;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/taps", folder);
    if (write_taps(path, c, of) != CORE_OK ||
        read_load(path, c, &read) != CORE_OK ||
        har_load_size(&read) != har_load_size(load))
        n = -1;
    for (int64_t i = 0; n >= 0 && i < har_load_size(load); i++)
        n += read.n_row[i] != load->n_row[i];
    har_load_free(&read);
    unlink(path);
    rmdir(folder);
    return n;
}

/* --- judgement --- */

typedef struct cost_field {
    const char *name;
    size_t at, bytes;
} cost_field;

#define FIELD(name)                                                            \
    {                                                                          \
#name, offsetof(core_cost, name), sizeof(((core_cost *)0)->name)       \
    }

/* Everything but kind, op and tap: a field that is not here is not compared.
 * They are int, int64_t or enums. */
static const cost_field FIELDS[] = {
    FIELD(stage),   FIELD(rank),    FIELD(round),      FIELD(mb),
    FIELD(tick),    FIELD(n_token), FIELD(m),          FIELD(n),
    FIELD(k),       FIELD(n_head),  FIELD(n_pair),     FIELD(n_expert),
    FIELD(m_max),   FIELD(flops),   FIELD(weights),    FIELD(read),
    FIELD(written), FIELD(kv_read), FIELD(kv_written), FIELD(collective),
    FIELD(axis),    FIELD(group),   FIELD(type),       FIELD(in),
    FIELD(out),     FIELD(sent),
};

static int64_t value_of(const core_cost *cost, const cost_field *f)
{
    const char *at = (const char *)cost + f->at;
    int small;
    int64_t large;
    if (f->bytes == sizeof small) {
        memcpy(&small, at, sizeof small);
        return small;
    }
    memcpy(&large, at, sizeof large);
    return large;
}

/* The name of the first field that differs, NULL if none does; its values into
 * *x and *y (no numbers for op and layers). */
static const char *difference(const core_cost *a, const core_cost *b,
                              int64_t *x, int64_t *y)
{
    *x = a->kind;
    *y = b->kind;
    if (a->kind != b->kind)
        return "kind";
    if (strcmp(a->op, b->op) != 0)
        return "op";
    *x = a->tap.kind;
    *y = b->tap.kind;
    if (a->tap.kind != b->tap.kind || a->tap.layer != b->tap.layer)
        return "tap";
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
        *x = value_of(a, &FIELDS[i]);
        *y = value_of(b, &FIELDS[i]);
        if (*x != *y)
            return FIELDS[i].name;
    }
    return NULL;
}

enum { WHY = 1024, COST_TEXT = 320 };

static const char *format(const core_cost *c, char text[COST_TEXT])
{
    char name[CORE_NAME_BYTES];
    const int n = snprintf(
        text, COST_TEXT, "%s %s %s, rank %d, tick %lld, micro-batch %d: ",
        c->kind == CORE_COST_COLLECTIVE ? core_collective_name(c->collective)
                                        : core_cost_kind_name(c->kind),
        c->op, core_tap_name(c->tap, name), c->rank, (long long)c->tick, c->mb);
    if (n < 0 || n >= COST_TEXT)
        return text;
    const size_t left = COST_TEXT - (size_t)n;
    if (c->kind == CORE_COST_COLLECTIVE)
        snprintf(text + n, left,
                 "%d ranks of %s, gives %lld, gets %lld, sends "
                 "%lld elements",
                 c->group, core_axis_name(c->axis), (long long)c->in,
                 (long long)c->out, (long long)c->sent);
    else
        snprintf(text + n, left,
                 "%lld x %lld x %lld, %lld flops, weights %lld, read %lld, "
                 "written %lld, kv %lld + %lld elements",
                 (long long)c->m, (long long)c->n, (long long)c->k,
                 (long long)c->flops, (long long)c->weights, (long long)c->read,
                 (long long)c->written, (long long)c->kv_read,
                 (long long)c->kv_written);
    return text;
}

/* The first record that differs, in words; false if there is none. */
static bool first_difference(const records *emitted, const records *generated,
                             char why[WHY])
{
    char a[COST_TEXT], b[COST_TEXT];
    int64_t x = 0, y = 0;
    for (int64_t i = 0; i < emitted->n || i < generated->n; i++) {
        if (i >= emitted->n || i >= generated->n) {
            snprintf(why, WHY, "record %lld only %s: %s", (long long)i,
                     i < emitted->n ? "emitted" : "generated",
                     format(i < emitted->n ? &emitted->cost[i]
                                                     : &generated->cost[i],
                                      a));
            return true;
        }
        const char *field = difference(&emitted->cost[i],
                                                 &generated->cost[i], &x, &y);
        if (field == NULL)
            continue;
        snprintf(why, WHY,
                 "record %lld: %s is %lld emitted, %lld generated\n  emitted: "
                 "  %s\n  generated: %s",
                 (long long)i, field, (long long)x, (long long)y,
                 format(&emitted->cost[i], a),
                 format(&generated->cost[i], b));
        return true;
    }
    return false;
}

/* Elements sent by the collectives of the records; a ring is made of sends. */
static int64_t sent(const records *r, core_collective collective)
{
    int64_t n = 0;
    for (int64_t i = 0; i < r->n; i++)
        if (r->cost[i].collective == collective ||
            (r->cost[i].collective == CORE_RING && collective == CORE_SEND))
            n += r->cost[i].sent;
    return n;
}

static bool is_wrong(const run *r, char why[WHY])
{
    static const struct {
        core_collective collective;
        par_op_kind op;
    } pairs[] = {{CORE_ALL_REDUCE, PAR_ALL_REDUCE},
                 {CORE_ALL_GATHER, PAR_ALL_GATHER},
                 {CORE_REDUCE_SCATTER, PAR_REDUCE_SCATTER},
                 {CORE_ALL_TO_ALL, PAR_ALL_TO_ALL},
                 {CORE_SEND, PAR_SEND}};
    if (first_difference(&r->emitted, &r->generated, why))
        return true;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const int64_t n = sent(&r->emitted, pairs[i].collective);
        if (n == r->n_element[pairs[i].op])
            continue;
        snprintf(why, WHY, "%s: records say %lld elements, %lld were sent",
                 par_op_name(pairs[i].op), (long long)n,
                 (long long)r->n_element[pairs[i].op]);
        return true;
    }
    snprintf(why, WHY, "%lld records, %lld of them with times that cannot be",
             (long long)r->emitted.n, (long long)r->emitted.n_odd_time);
    return r->emitted.n == 0 || r->emitted.n_odd_time > 0 ||
           !(r->emitted.seconds <= r->stats.wall_seconds);
}

static void check_case(const run_case *c)
{
    par_comm *comm;
    char why[WHY] = "";
    bool ok = true;
    ck_assert_int_eq(par_comm_open(&comm, par_plan_world(&c->plan)), CORE_OK);
    if (comm != NULL) {
        run r = do_run(comm, c);
        ok = !is_wrong(&r, why);
        if (comm->rank == 0 && ok) {
            const int64_t n = n_misread(c, &r.chosen, &r.load);
            ok = n == 0;
            snprintf(why, WHY, "%lld rows of experts are other in the taps %s",
                     (long long)n, n < 0 ? core_message() : "");
        }
        run_free(&r);
    }
    par_comm_close(comm);
    mpi_assert(ok, "%s under %s: %s", c->spec.name, c->name, why);
}

static core_batch batch_of(const core_spec *spec, int64_t n_b, int64_t n_t)
{
    core_batch batch;
    ck_assert_int_eq(core_batch_make(&batch, spec, n_b, n_t, 5), CORE_OK);
    return batch;
}

static run_case make_case(const core_spec *spec, const char *plan, int64_t n_b,
                          int64_t n_t)
{
    run_case c = {.name = plan, .spec = *spec, .budget = 1 << 30};
    ck_assert_msg(par_plan_parse(&c.plan, plan) == CORE_OK, "%s",
                  core_message());
    ck_assert_msg(par_plan_check(&c.plan, &c.spec) == CORE_OK, "%s",
                  core_message());
    c.batch = batch_of(spec, n_b, n_t);
    return c;
}

static core_spec open_spec(const char *model)
{
    core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, model, NULL), CORE_OK);
    return spec;
}

static const core_cost two_costs[] = {{.kind = CORE_COST_GEMM,
                                       .op = "qkv",
                                       .tap = {CORE_TAP_Q, 3},
                                       .rank = 5,
                                       .tick = 2,
                                       .m = 4,
                                       .n = 6,
                                       .k = 8,
                                       .flops = 384,
                                       .weights = 48},
                                      {.kind = CORE_COST_COLLECTIVE,
                                       .op = "expert",
                                       .collective = CORE_ALL_TO_ALL,
                                       .axis = CORE_AXIS_EP,
                                       .group = 4,
                                       .in = 9,
                                       .out = 7,
                                       .sent = 5}};

/* --- cases --- */

START_TEST(shadow_plans_agree)
{
    for (int i = 0; shadow_plan_at(i) != NULL; i++) {
        const shadow_plan *row = shadow_plan_at(i);
        const core_spec spec = open_spec(row->model);
        run_case c = make_case(&spec, row->plan, row->n_b, row->n_t);
        ck_assert_int_le(par_plan_world(&c.plan), mpi_world->size);
        c.name = row->name;
        c.wide = i % 2 * 3 * spec.n_f; /* some rows at a time: no other records */
        check_case(&c);
        core_batch_free(&c.batch);
    }
}
END_TEST

static const char *const family_plan[] = {
    "tp=2,pp=3,dp=2,ep=2,mb=3", "tp=3,ep=3,mb=2",
    "tp=2,pp=3,ep=3,etp=2,scope=replica,mb=2,rounds=2", "tp=6,ep=2,etp=3",
    "tp=3,pp=2,ep=3,sp=1,mb=2"};
enum { N_FAMILY_PLAN = sizeof family_plan / sizeof *family_plan };

START_TEST(families_agree)
{
    for (int i = 0; i < N_FAMILY_PLAN; i++) {
        const core_spec spec = fix_family(_i);
        run_case c = make_case(&spec, family_plan[i], 7, 9);
        check_case(&c);
        core_batch_free(&c.batch);
    }
}
END_TEST

/* Heads of a state space on more ranks than divide their groups. */
START_TEST(repeated_groups_agree)
{
    for (int i = 0; i < N_FAMILY_PLAN; i++) {
        core_spec spec = fix_family(FIX_SSD);
        spec.ssd.n_g = _i == 0 ? 1 : 4;
        run_case c = make_case(&spec, family_plan[i], 7, 9);
        check_case(&c);
        core_batch_free(&c.batch);
    }
}
END_TEST

/* GPT-OSS-like, with capacity: sinks, windows, biases, drops. */
START_TEST(drops_agree)
{
    core_spec spec = fix_family(FIX_NORM_ALL);
    spec.capacity = (core_capacity){
        .rule = CORE_CAPACITY_FACTOR,
        .domain = CORE_DOMAIN_GROUP,
        .priority = CORE_PRIORITY_PROB,
        .dropped = _i == 0 ? CORE_DROPPED_ZERO : CORE_DROPPED_PASSTHROUGH,
        .factor = 0.6};
    run_case c = make_case(&spec, family_plan[2], 9, 11);
    par_comm *comm;
    uint64_t n_dropped = 0;
    char why[WHY] = "";
    bool ok = true;
    ck_assert_int_eq(par_comm_open(&comm, par_plan_world(&c.plan)), CORE_OK);
    if (comm != NULL) {
        run r = do_run(comm, &c);
        n_dropped = (uint64_t)r.stats.n_dropped;
        ok = !is_wrong(&r, why) &&
             (comm->rank != 0 || n_misread(&c, &r.chosen, &r.load) == 0);
        run_free(&r);
    }
    par_comm_close(comm);
    par_all_reduce_u64(mpi_world, &mpi_world->world, &n_dropped, 1);
    mpi_assert(ok, "%s", why);
    ck_assert_uint_gt(n_dropped, 0);
    core_batch_free(&c.batch);
}
END_TEST

/* Rows longer than a block of queries; padding, one row nothing else. */
START_TEST(padding_agrees)
{
    static const int family[] = {FIX_NORM_HEAD, FIX_NORM_ALL, FIX_CHUNK,
                                 FIX_DIGEST};
    for (size_t i = 0; i < sizeof family / sizeof *family; i++) {
        const core_spec spec = fix_family(family[i]);
        run_case c = make_case(&spec, "tp=2,ep=2,mb=2", 4, 150);
        uint8_t mask[4 * 150];
        for (int b = 0; b < 4; b++)
            for (int t = 0; t < 150; t++)
                mask[b * 150 + t] = t >= 40 * b && b < 3;
        core_batch padded = c.batch;
        c.batch.mask = mask;
        check_case(&c);
        core_batch_free(&padded);
    }
}
END_TEST

/* Runs of a row on several ranks, shorter and longer than a block of queries. */
START_TEST(parts_of_rows_agree)
{
    static const int family[] = {FIX_NORM_HEAD, FIX_CHUNK, FIX_LATENT};
    static const char *const plan[] = {
        "tp=2,cp=3,ep=3,pp=2,sp=1,mb=2",
        "tp=2,cp=3,cp_kind=ring,ep=3,pp=2,sp=1,mb=2",
        "cp=3,cp_kind=ulysses,ep=3,pp=2,mb=2"};
    for (size_t i = 0; i < sizeof family / sizeof *family; i++) {
        const core_spec spec = fix_family(family[i]);
        for (size_t k = 0; k < sizeof plan / sizeof *plan; k++) {
            run_case c = make_case(&spec, plan[k], 3, _i == 0 ? 11 : 410);
            check_case(&c);
            core_batch_free(&c.batch);
        }
    }
}
END_TEST

/* Virtual stages: groups of micro-batches, the last one short; both scopes.  */
START_TEST(virtual_stages_agree)
{
    static const char *const plan[] = {"tp=2,pp=2,vpp=2,ep=2,mb=3",
                                       "pp=3,vpp=2,dp=2,ep=2,mb=4,rounds=2",
                                       "pp=2,vpp=3,ep=2,scope=replica,mb=5"};
    const core_spec spec = open_spec("shadow-a");
    run_case c = make_case(&spec, plan[_i], 9, 11);
    check_case(&c);
    core_batch_free(&c.batch);
}
END_TEST

/* Two micro-batches in a turn, whose exchanges go on while the other computes;
 * the shared expert beside them; one left over.                              */
START_TEST(overlap_agrees)
{
    static const char *const plan[] = {
        "tp=2,dp=2,ep=2,overlap=shared,mb=3",
        "tp=2,pp=2,ep=2,etp=2,dp=2,overlap=dispatch+shared+p2p,mb=5",
        "pp=2,vpp=2,tp=2,ep=4,scope=replica,overlap=dispatch,mb=3"};
    const core_spec spec = open_spec("shadow-a");
    run_case c = make_case(&spec, plan[_i], 11, 11);
    check_case(&c);
    core_batch_free(&c.batch);
}
END_TEST

/* Sums over tp of several micro-batches at once, of unequal ones too: all of
 * them, whose exchanges take turns or cross; scattered; in both scopes.      */
START_TEST(batched_sums_agree)
{
    static const char *const plan[] = {
        "tp=2,dp=2,ep=2,batch_reduce=3,mb=3",
        "tp=2,sp=1,dp=3,ep=2,etp=3,batch_reduce=2,mb=4",
        "tp=2,pp=2,vpp=2,ep=2,overlap=dispatch+shared,batch_reduce=2,mb=4",
        "pp=2,tp=2,ep=4,scope=replica,overlap=shared,batch_reduce=2,mb=2"};
    const core_spec spec = open_spec("shadow-a");
    run_case c = make_case(&spec, plan[_i], 11, 11);
    check_case(&c);
    core_batch_free(&c.batch);
}
END_TEST

/* Wide enough that sums are chunked; groups too large for pairwise messages. */
START_TEST(large_groups_agree)
{
    static const char *const plan[] = {"tp=5,ep=5", "tp=20,ep=20,mb=2",
                                       "tp=20,pp=1,ep=10,etp=2"};
    core_spec spec = fix_spec();
    spec.n_h = 20;
    spec.n_g = 4;
    spec.n_e = 21;
    spec.n_d = 160;
    for (size_t i = 0; i < sizeof plan / sizeof *plan; i++) {
        run_case c = make_case(&spec, plan[i], 5, 33);
        check_case(&c);
        core_batch_free(&c.batch);
    }
}
END_TEST

START_TEST(switch_layer_agrees)
{
    const core_spec spec = fix_switch(2, CORE_DROPPED_PASSTHROUGH);
    run_case c = make_case(&spec, "dp=5,ep=5,mb=2", 11, 7);
    check_case(&c);
    core_batch_free(&c.batch);
}
END_TEST

/* Weights that are read a tile at a time are the same products. */
START_TEST(tiles_agree)
{
    const core_spec spec = open_spec("shadow-a");
    run_case c = make_case(&spec, "tp=2,dp=2,ep=2,etp=2,mb=2", 5, 7);
    c.budget = 0;
    check_case(&c);
    core_batch_free(&c.batch);
}
END_TEST

START_TEST(random_cases_agree)
{
    random_case dice;
    random_case_make(&dice, (uint64_t)_i, 12);
    char name[300];
    snprintf(name, sizeof name, "random case %d, %s", _i, dice.plan.text);
    run_case c = {.name = name,
                  .spec = dice.spec,
                  .plan = dice.plan,
                  .batch = batch_of(&dice.spec, dice.n_b, dice.n_t),
                  .budget = 1 << 30};
    check_case(&c);
    core_batch_free(&c.batch);
}
END_TEST

/* --- sums and memory --- */

/* Elements of the experts that got no row all through the run, and of what would
 * look at earlier sums where there are none: before the first attention.      */
static int64_t untouched(const run_case *c, const par_layout *lay, const run *r)
{
    const bool all = lay->plan.scope == PAR_SCOPE_REPLICA;
    const int64_t n_f = lay->first_f[lay->etp_i + 1] - lay->first_f[lay->etp_i];
    int64_t n = 0;
    for (int l = 0; l < (int)c->spec.n_l; l++)
        if (core_spec_is_moe(&c->spec, l) && (all || lay->local_layer[l] >= 0))
            n += lay->n_my_expert;
    for (int64_t i = 0; i < r->emitted.n; i++)
        if (r->emitted.cost[i].tap.kind == CORE_TAP_EXPERT_UP)
            n -= r->emitted.cost[i].n_expert;
    const bool looks = c->spec.attn_res.n_block > 0 && lay->stage == 0;
    return n * (c->spec.gated ? 3 : 2) * n_f * core_spec_n_de(&c->spec) +
           (looks ? 2 * c->spec.n_d : 0);
}

/* Of tensors of which a row is read for every token. */
static int64_t read_by_token(const core_spec *spec, const par_layout *lay)
{
    const int64_t n_v =
        lay->first_vocab[lay->t + 1] - lay->first_vocab[lay->t];
    int64_t n = lay->stage == 0 ? n_v * spec->n_d : 0;
    for (int i = 0; i < lay->n_my_layer; i++)
        n += core_spec_by_table(spec, lay->my_layer[i]) ? spec->n_v * spec->n_k
                                                        : 0;
    return n;
}

/* Is the memory what the run used?  One token group and no bias that is read row
 * by row: then every other weight is read once, and what is held and touched is
 * what is read. */
static bool is_memory_wrong(const run_case *c, const run *r, int rank,
                            char why[WHY])
{
    int64_t read = 0, most_rows = 0;
    core_arena arena;
    par_layout layout;
    make_layout(&layout, &arena, c, rank);
    for (int64_t i = 0; i < r->emitted.n; i++) {
        const core_cost *cost = &r->emitted.cost[i];
        if (cost->tap.kind != CORE_TAP_EMBED &&
            !(cost->tap.kind == CORE_TAP_SLOT &&
              core_spec_by_table(&c->spec, cost->tap.layer)))
            read += cost->weights;
        if (cost->kind == CORE_COST_GROUPED_GEMM && cost->m > most_rows)
            most_rows = cost->m;
    }
    const har_cost_memory memory = har_cost_memory_of(
        &c->spec, &layout, CORE_FP64, c->batch.n_b / c->plan.dp, c->batch.n_t,
        most_rows);
    const size_t used = memory.work_bytes + memory.pair_bytes;
    const int64_t held = memory.weights - read_by_token(&c->spec, &layout) -
                         untouched(c, &layout, r);
    core_arena_free(&arena);
    snprintf(why, WHY,
             "%lld weights are read, %lld held and touched; %zu bytes of work "
             "are used, %zu counted",
             (long long)read, (long long)held, r->stats.work_bytes, used);
    return read != held ||
           memory.weight_bytes < (size_t)memory.weights * sizeof(double) ||
           memory.weight_bytes != r->stats.weight_bytes ||
           !(r->stats.work_bytes >= used &&
             r->stats.work_bytes <= used + memory.pair_bytes / 8 + 64);
}

static const char *const memory_plan[] = {"mb=1", "tp=2,ep=2", "tp=3,dp=2,ep=3",
                                          "tp=2,dp=2,ep=2,etp=2",
                                          "tp=2,pp=3,ep=3,etp=2,scope=replica"};
enum { N_MEMORY_PLAN = sizeof memory_plan / sizeof *memory_plan };

static void check_memory(const core_spec *spec, const char *plan, int i)
{
    run_case c = make_case(spec, plan, 6, 25);
    par_comm *comm;
    char why[WHY] = "";
    bool ok = true;
    ck_assert_int_eq(par_comm_open(&comm, par_plan_world(&c.plan)), CORE_OK);
    if (comm != NULL) {
        run r = do_run(comm, &c);
        ok = !is_memory_wrong(&c, &r, comm->rank, why);
        run_free(&r);
    }
    par_comm_close(comm);
    mpi_assert(ok, "family %d under %s: %s", i, c.name, why);
    core_batch_free(&c.batch);
}

START_TEST(memory_is_what_is_used)
{
    for (int i = 0; i < N_MEMORY_PLAN; i++) {
        core_spec spec = fix_family(_i);
        spec.bias_ffn = false;
        spec.tied = false;
        check_memory(&spec, memory_plan[i], _i);
        spec.ssd.n_g = 1; /* which tp does not divide */
        if (_i == FIX_SSD)
            check_memory(&spec, memory_plan[i], _i);
    }
}
END_TEST

/* One rank holds the model. */
START_TEST(one_rank_holds_all)
{
    for (int i = 0; i < FIX_N_FAMILIES; i++) {
        const core_spec spec = fix_family(i);
        run_case c = make_case(&spec, "mb=1", 1, 1);
        core_arena arena;
        par_layout layout;
        make_layout(&layout, &arena, &c, 0);
        ck_assert_int_eq(
            har_cost_memory_of(&spec, &layout, CORE_FP64, 1, 1, 1).weights,
            core_spec_parameters(&spec));
        core_arena_free(&arena);
        core_batch_free(&c.batch);
    }
}
END_TEST

START_TEST(bytes_follow_the_type)
{
    core_cost cost = two_costs[0];
    cost.read = 1;
    cost.kv_written = 2;
    ck_assert_int_eq(har_cost_bytes(&cost, 2), 2 * (48 + 1 + 2));
    ck_assert_int_eq(har_cost_sent_bytes(&two_costs[1], 2), 2 * 5);
    cost = two_costs[1];
    cost.type = CORE_COST_WORDS;
    ck_assert_int_eq(har_cost_sent_bytes(&cost, 2), 8 * 5);
}
END_TEST

/* --- the comparison itself --- */

/* The first token goes to an expert that it did not choose. */
static void plant_choice(const core_spec *spec, const choices *of)
{
    for (bool is_used = true; is_used;) {
        of->idx[0] = (of->idx[0] + 1) % (uint64_t)spec->n_e;
        is_used = false;
        for (int64_t k = 1; k < spec->n_k; k++)
            is_used = is_used || of->idx[k] == of->idx[0];
    }
}

/* The lightest choices get the slots. */
static void plant_weights(const run_case *c, const choices *of)
{
    for (int64_t i = 0; i < n_choices(c); i++)
        of->weight[i] ^= (uint64_t)1 << 63;
}

/* One token that chose another expert, or other choices that are dropped, and
 * the load that is read is not that of the run. */
START_TEST(another_routing_is_seen)
{
    const core_capacity capacity[2] = {{.rule = CORE_CAPACITY_NONE},
                                       {.rule = CORE_CAPACITY_FACTOR,
                                        .priority = CORE_PRIORITY_PROB,
                                        .factor = 0.6}};
    core_spec spec = fix_family(FIX_NORM_ALL);
    spec.capacity = capacity[_i];
    run_case c = make_case(&spec, "tp=2,ep=2,mb=2", 5, 9);
    par_comm *comm;
    int64_t n_same = 0, n_other = 1;
    ck_assert_int_eq(par_comm_open(&comm, par_plan_world(&c.plan)), CORE_OK);
    if (comm != NULL) {
        run r = do_run(comm, &c);
        if (comm->rank == 0) {
            n_same = n_misread(&c, &r.chosen, &r.load);
            if (_i == 0)
                plant_choice(&spec, &r.chosen);
            else
                plant_weights(&c, &r.chosen);
            n_other = n_misread(&c, &r.chosen, &r.load);
        }
        run_free(&r);
    }
    par_comm_close(comm);
    mpi_assert(n_same == 0 && n_other > 0, "%lld rows, %lld with a fault",
               (long long)n_same, (long long)n_other);
    core_batch_free(&c.batch);
}
END_TEST

START_TEST(difference_is_seen)
{
    core_cost changed[2];
    char why[WHY] = "";
    records a = {.cost = (core_cost *)(uintptr_t)two_costs, .n = 2};
    records b = {.cost = changed, .n = 2};
    memcpy(changed, two_costs, sizeof changed);
    ck_assert(!first_difference(&a, &b, why));
    changed[1].sent = 10; /* a message counted twice */
    ck_assert(first_difference(&a, &b, why));
    ck_assert_msg(strstr(why, "record 1: sent is 5 emitted, 10 generated") !=
                      NULL,
                  "%s", why);
    changed[0].flops = 383;
    ck_assert(first_difference(&a, &b, why));
    ck_assert_msg(strstr(why, "record 0: flops is 384") != NULL, "%s", why);
    ck_assert_msg(strstr(why, "gemm qkv layers.3.attn.q, rank 5, tick 2") !=
                      NULL,
                  "%s", why);
    b.n = 0;
    ck_assert(first_difference(&a, &b, why));
    ck_assert_msg(strstr(why, "record 0 only emitted") != NULL, "%s", why);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_cost");
    TCase *tc = tcase_create("cost");
    tcase_add_test(tc, difference_is_seen);
    tcase_add_loop_test(tc, another_routing_is_seen, 0, 2);
    tcase_add_test(tc, shadow_plans_agree);
    tcase_add_loop_test(tc, families_agree, 0, FIX_N_FAMILIES);
    tcase_add_loop_test(tc, repeated_groups_agree, 0, 2);
    tcase_add_loop_test(tc, drops_agree, 0, 2);
    tcase_add_test(tc, padding_agrees);
    tcase_add_loop_test(tc, parts_of_rows_agree, 0, 2);
    tcase_add_loop_test(tc, virtual_stages_agree, 0, 3);
    tcase_add_loop_test(tc, overlap_agrees, 0, 3);
    tcase_add_loop_test(tc, batched_sums_agree, 0, 4);
    tcase_add_test(tc, large_groups_agree);
    tcase_add_test(tc, switch_layer_agrees);
    tcase_add_test(tc, tiles_agree);
    tcase_add_loop_test(tc, memory_is_what_is_used, 0, FIX_N_FAMILIES);
    tcase_add_test(tc, one_rank_holds_all);
    tcase_add_test(tc, bytes_follow_the_type);
    tcase_add_loop_test(tc, random_cases_agree, 0, 60);
    suite_add_tcase(suite, tc);
    return mpi_check_run(suite);
}
