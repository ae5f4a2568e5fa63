/* tests/unit/test_par_forward.c -- two layouts compute the same, bit for bit.
 *
 * No reference takes part: rank 0 runs a case alone, under a plan of one rank
 * with the same token groups, and keeps every tap; then all ranks run it under
 * the plan of the case, and each compares its pieces with that table by global
 * coordinates.  Every element must be shown by exactly its declared owners, and
 * every choice that was sent must arrive and return.
 */
#include "core/blas/blas.h"
#include "core/pass/batch.h"
#include "parallel/decode.h"
#include "parallel/forward.h"
#include "tests/support/mpi_check.h"
#include "tests/support/random_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TAPS = 512, RESIDENT = 1 << 30 };

/* Every tap of a run as one array; ints are kept as doubles. */
typedef struct table {
    const core_spec *spec;
    core_tap tap[MAX_TAPS];
    int64_t first[MAX_TAPS + 1], n_tap;
    double *value;
    uint64_t *n_shown;   /* pieces of owner 0 that show the element           */
    uint64_t *n_missing; /* their declared owners, less all that showed it    */
} table;

typedef struct witness {
    table *t;
    bool is_writing;
    double tolerance;  /* of the largest value of the tap; 0: bit for bit   */
    bool zeroes_embed; /* overwrite the first tap                           */
    core_tap_kind swells; /* make a tap too large for exact sums; EMBED: none */
    int64_t n_wrong, n_piece;
    char first_wrong[160];
} witness;

static table table_make(const core_spec *spec, const core_batch *batch)
{
    table t = {.spec = spec};
    t.n_tap = core_taps(spec, t.tap, MAX_TAPS);
    ck_assert_int_le(t.n_tap, MAX_TAPS);
    for (int64_t i = 0; i < t.n_tap; i++)
        t.first[i + 1] = t.first[i] + core_tap_n_rows(spec, t.tap[i],
                                                      batch->n_b * batch->n_t) *
                                          core_tap_cols(spec, t.tap[i]);
    const size_t n = (size_t)t.first[t.n_tap] + 1;
    t.value = calloc(n, sizeof *t.value);
    t.n_shown = calloc(n, sizeof *t.n_shown);
    t.n_missing = calloc(n, sizeof *t.n_missing);
    return t;
}

static void table_free(table *t)
{
    free(t->value);
    free(t->n_shown);
    free(t->n_missing);
}

static int64_t table_index(const table *t, core_tap tap)
{
    for (int64_t i = 0; i < t->n_tap; i++)
        if (t->tap[i].kind == tap.kind && t->tap[i].layer == tap.layer)
            return i;
    return -1;
}

static double largest_of(const table *t, int64_t i)
{
    double largest = 0.0;
    for (int64_t e = t->first[i]; e < t->first[i + 1]; e++)
        largest = fmax(largest, fabs(t->value[e]));
    return largest;
}

static void note_wrong(witness *w, core_tap tap, int64_t row, int64_t col,
                       double expected, double found)
{
    char name[CORE_NAME_BYTES];
    if (w->n_wrong++ == 0)
        snprintf(w->first_wrong, sizeof w->first_wrong,
                 "%s[%lld, %lld]: expected %.17g, found %.17g",
                 core_tap_name(tap, name), (long long)row, (long long)col,
                 expected, found);
}

static void see_element(witness *w, const par_piece *p, int64_t i, int64_t row,
                        int64_t col, double found, double tolerance)
{
    table *t = w->t;
    const int64_t at = t->first[i] + row * core_tap_cols(t->spec, p->tap) + col;
    if (p->i_owner == 0) {
        t->n_shown[at]++;
        t->n_missing[at] += (uint64_t)p->n_owners;
    }
    t->n_missing[at]--;
    if (w->is_writing)
        t->value[at] = found;
    else if (w->tolerance > 0.0
                 ? !(fabs(found - t->value[at]) <= tolerance)
                 : memcmp(&found, &t->value[at], sizeof found) != 0)
        note_wrong(w, p->tap, row, col, t->value[at], found);
}

static void see(void *self, const par_piece *p)
{
    witness *w = self;
    const int64_t i = table_index(w->t, p->tap);
    w->n_piece++;
    if (i < 0 || (p->values == NULL) == (p->ints == NULL)) {
        note_wrong(w, p->tap, -1, -1, 0, 0);
        return;
    }
    const double tolerance =
        w->tolerance > 0.0 ? w->tolerance * largest_of(w->t, i) : 0.0;
    for (int64_t r = 0; r < p->n_row; r++)
        for (int64_t c = 0; c < p->n_col; c++) {
            const int64_t at = r * p->ld + c;
            see_element(w, p, i, p->row_ids[r], p->col0 + c,
                        p->values ? p->values[at] : (double)p->ints[at],
                        tolerance);
        }
    if (w->zeroes_embed && p->tap.kind == CORE_TAP_EMBED)
        for (int64_t e = 0; e < p->n_row * p->n_col; e++)
            p->values[e] = 0.0;
    if (w->swells != CORE_TAP_EMBED && w->swells == p->tap.kind)
        for (int64_t e = 0; e < p->n_row; e++)
            p->values[e * p->ld] = 0x1p40;
}

/* Of the passes to come.  0: that of weights; as there are by default; one. */
static size_t lane_budget;
static int64_t wide;
static int n_thread;
static const par_step *in_step; /* likewise; NULL: the whole batch      */

static core_status forward(par_model *model, const core_batch *batch,
                           par_stats *stats)
{
    if (in_step == NULL)
        return par_forward(model, batch, stats);
    ck_assert_int_eq(
        par_decode_open(model, in_step->n_slot, batch->n_t, batch->n_t),
        CORE_OK);
    return par_decode_step(model, batch, in_step, stats);
}

/* One forward pass on the ranks of comm; the stats of this rank. */
static par_stats run_plan(par_comm *comm, const core_spec *spec,
                          const par_plan *plan, const core_weights *weights,
                          const core_batch *batch, core_numerics numerics,
                          size_t budget, par_order order, witness *w)
{
    core_arena arena = core_arena_measure();
    par_layout layout;
    ck_assert_int_eq(par_layout_make(&layout, &arena, spec, plan, comm->rank),
                     CORE_OK);
    const par_observer observer = {.self = w, .observe = see};
    const par_options options = {.weight_budget_bytes = budget,
                                 .dense_budget_bytes = budget,
                                 .lane_budget_bytes = lane_budget > 0 ? lane_budget : budget,
                                 .observer = w ? &observer : NULL,
                                 .order = order,
                                 .wide_elements = wide,
                                 .n_threads = n_thread};
    par_model *model = NULL;
    par_stats stats;
    (void)core_blas_set_threads(2); /* as a rank that nobody told may start */
    const core_status opened =
        par_agree(comm, par_model_open(&model, comm, &layout, spec, weights,
                                       numerics, &options));
    ck_assert_msg(opened == CORE_OK, "%s", core_message());
    ck_assert_int_eq(core_blas_used_threads(), 1);
    const core_status status = forward(model, batch, &stats);
    ck_assert_msg(status == CORE_OK, "%s", core_message());
    par_model_close(model);
    core_arena_free(&arena);
    return stats;
}

/* The plan of one rank with the same token groups, in the same order. */
static par_plan solo_plan(const par_plan *plan)
{
    par_plan solo;
    char text[64];
    snprintf(text, sizeof text, "mb=%d", plan->mb * plan->dp * plan->rounds);
    ck_assert_int_eq(par_plan_parse(&solo, text), CORE_OK);
    return solo;
}

static void run_alone(table *t, const core_spec *spec, const par_plan *plan,
                      const core_weights *weights, const core_batch *batch,
                      core_numerics numerics)
{
    par_comm *alone;
    const par_plan solo = solo_plan(plan);
    witness w = {.t = t, .is_writing = true};
    ck_assert_int_eq(par_comm_open(&alone, 1), CORE_OK);
    if (alone != NULL)
        run_plan(alone, spec, &solo, weights, batch, numerics, RESIDENT,
                 PAR_ORDER_PLAN, &w);
    par_comm_close(alone);
    par_broadcast(mpi_world, &mpi_world->world, t->value,
                  t->first[t->n_tap] * (int64_t)sizeof *t->value, 0);
    par_broadcast(mpi_world, &mpi_world->world, t->n_shown,
                  t->first[t->n_tap] * (int64_t)sizeof *t->n_shown, 0);
}

/* Elements whose owners are not those declared, or that the other layout shows
 * and this one does not.                                                     */
static int64_t count_uncovered(par_comm *comm, table *mine, const table *solo,
                               char *first_wrong, size_t room)
{
    const int64_t n = mine->first[mine->n_tap];
    int64_t n_wrong = 0;
    par_all_reduce_u64(comm, &comm->world, mine->n_shown, n);
    par_all_reduce_u64(comm, &comm->world, mine->n_missing, n);
    for (int64_t i = 0; i < mine->n_tap; i++)
        for (int64_t e = mine->first[i]; e < mine->first[i + 1]; e++) {
            char name[CORE_NAME_BYTES];
            if (mine->n_shown[e] == solo->n_shown[e] && mine->n_missing[e] == 0)
                continue;
            if (n_wrong++ == 0)
                snprintf(first_wrong, room,
                         "%s: element %lld shown %lld times, not %lld",
                         core_tap_name(mine->tap[i], name),
                         (long long)(e - mine->first[i]),
                         (long long)mine->n_shown[e],
                         (long long)solo->n_shown[e]);
        }
    return n_wrong;
}

/* Sent = arrived = returned = choices - dropped, over all ranks. */
static bool is_conserved(par_comm *comm, const par_stats *s)
{
    uint64_t sum[5] = {(uint64_t)s->n_choice, (uint64_t)s->n_dropped,
                       (uint64_t)s->n_sent, (uint64_t)s->n_received,
                       (uint64_t)s->n_returned};
    par_all_reduce_u64(comm, &comm->world, sum, 5);
    return sum[2] == sum[0] - sum[1] && sum[3] == sum[2] && sum[4] == sum[2];
}

typedef struct run_case {
    const char *name;
    core_spec spec;
    par_plan plan;
    int64_t n_b, n_t;
    bool pads;
    core_numerics numerics;
    double tolerance;
    size_t budget;
    par_order order;
    int64_t wide;
} run_case;

/* Left padding of different lengths; the last row is nothing but padding. */
static uint8_t *make_mask(const run_case *c)
{
    uint8_t *mask = malloc((size_t)(c->n_b * c->n_t));
    for (int64_t b = 0; b < c->n_b; b++)
        for (int64_t t = 0; t < c->n_t; t++)
            mask[b * c->n_t + t] = t >= b % 5 && b + 1 < c->n_b;
    return mask;
}

/* What is right on every rank of comm (NULL: this rank takes no part). */
static bool judge(par_comm *comm, const run_case *c,
                  const core_weights *weights, const core_batch *batch,
                  const table *solo, char text[300])
{
    if (comm == NULL)
        return true;
    table mine = table_make(&c->spec, batch);
    memcpy(mine.value, solo->value,
           (size_t)solo->first[solo->n_tap] * sizeof *mine.value);
    witness w = {.t = &mine, .tolerance = c->tolerance};
    wide = c->wide;
    const par_stats stats = run_plan(comm, &c->spec, &c->plan, weights, batch,
                                     c->numerics, c->budget, c->order, &w);
    wide = 0;
    const bool conserved = is_conserved(comm, &stats);
    char uncovered[100] = "";
    const int64_t n_uncovered =
        count_uncovered(comm, &mine, solo, uncovered, sizeof uncovered);
    snprintf(text, 300, "%.120s: %s", c->name,
             w.n_wrong > 0     ? w.first_wrong
             : n_uncovered > 0 ? uncovered
             : !conserved      ? "choices were lost"
             : !stats.exact    ? stats.not_exact
                               : "nothing was shown");
    table_free(&mine);
    return w.n_wrong == 0 && n_uncovered == 0 && conserved && stats.exact &&
           w.n_piece > 0;
}

static void open_case(const run_case *c, core_numerics numerics,
                      core_weights **weights, core_batch *batch)
{
    ck_assert_int_eq(core_weights_open_procedural(weights, &c->spec, 7),
                     CORE_OK);
    ck_assert_int_eq(core_weights_prepare(*weights, numerics, NULL), CORE_OK);
    ck_assert_int_eq(core_batch_make(batch, &c->spec, c->n_b, c->n_t, 5),
                     CORE_OK);
}

static void check_case(const run_case *c, bool spoil)
{
    core_weights *weights;
    core_batch batch;
    char text[300] = "";
    open_case(c, c->numerics, &weights, &batch);
    uint8_t *mask = c->pads ? make_mask(c) : NULL;
    core_batch padded = batch;
    padded.mask = mask;
    table solo = table_make(&c->spec, &batch);
    run_alone(&solo, &c->spec, &c->plan, weights, &padded, c->numerics);
    if (spoil)
        solo.value[solo.first[solo.n_tap] - 1] += CORE_STEP_ACT;
    par_comm *comm;
    ck_assert_int_eq(par_comm_open(&comm, par_plan_world(&c->plan)), CORE_OK);
    const bool ok = judge(comm, c, weights, &padded, &solo, text);
    par_comm_close(comm);
    table_free(&solo);
    free(mask);
    core_batch_free(&batch);
    core_weights_close(weights);
    if (spoil) {
        uint64_t n_failed = ok ? 0 : 1;
        par_all_reduce_u64(mpi_world, &mpi_world->world, &n_failed, 1);
        ck_assert_uint_ge(n_failed, 1);
    } else {
        mpi_assert(ok, "%s", text);
    }
}

static run_case make_case(const char *model, const char *plan, int64_t n_b,
                          int64_t n_t)
{
    run_case c = {.name = plan,
                  .n_b = n_b,
                  .n_t = n_t,
                  .numerics = CORE_EXACT,
                  .budget = RESIDENT};
    ck_assert_msg(core_spec_open(&c.spec, model, NULL) == CORE_OK, "%s",
                  core_message());
    ck_assert_msg(par_plan_parse(&c.plan, plan) == CORE_OK, "%s",
                  core_message());
    ck_assert_msg(par_plan_check(&c.plan, &c.spec) == CORE_OK, "%s",
                  core_message());
    return c;
}

static const struct {
    const char *model, *plan;
    int64_t n_b, n_t;
    bool pads;
} row[] = {
    {"shadow-a", "mb=3", 4, 5, true},
    {"shadow-a", "tp=2,ep=2,mb=2", 3, 7, false},
    {"shadow-a", "dp=2,ep=2,mb=2", 3, 5, false}, /* an empty micro-batch */
    {"shadow-a", "tp=2,etp=2", 2, 9, true},
    {"shadow-a", "tp=2,etp=2,sp=1,mb=2", 3, 9, true},
    {"shadow-a", "dp=2,tp=2,ep=4,sp=1,mb=3", 4, 1, false}, /* empty slices */
    {"shadow-b", "pp=2,mb=3,rounds=2", 7, 5, false},
    {"shadow-b", "pp=2,ep=2,scope=replica,mb=3", 4, 9, true},
    {"shadow-b", "pp=2,tp=2,ep=4,scope=replica,mb=3", 4, 9, true},
    {"shadow-b", "pp=2,tp=2,ep=2,etp=2,scope=replica,mb=2,rounds=2", 5, 7,
     false},
    {"shadow-a", "dp=2,tp=2,ep=2,mb=3", 4, 7, true},
    {"shadow-a", "dp=2,tp=2,ep=2,etp=2,mb=2", 5, 5, false},
    {"shadow-b", "tp=4,ep=4", 1, 11, false},
    {"shadow-a", "pp=3,dp=2,ep=2,mb=3", 7, 5, true},
    {"shadow-b", "tp=6,ep=3,etp=2,mb=2", 3, 13, true},
    {"shadow-b", "pp=3,tp=2,ep=6,scope=replica,sp=1,mb=2", 3, 11, true},
    {"shadow-a", "cp=2,dp=2,ep=2,mb=2", 5, 9, true},
    {"shadow-b", "tp=2,cp=3,ep=3,etp=2,sp=1,mb=2", 3, 13, true},
    {"shadow-a", "pp=2,cp=2,ep=4,scope=replica,mb=2", 3, 3, false}, /* no token */
    {"shadow-a", "cp=2,cp_kind=ring,dp=2,ep=2,mb=2", 5, 9, true},
    {"shadow-b", "tp=2,cp=3,cp_kind=ring,ep=3,etp=2,sp=1,mb=2", 3, 150, true},
    {"shadow-a", "cp=4,cp_kind=ring,ep=4,mb=2", 3, 3, false},
    {"shadow-a", "cp=2,cp_kind=ulysses,dp=2,ep=2,mb=2", 5, 9, true},
    {"shadow-b", "tp=2,cp=3,cp_kind=ulysses,ep=3,etp=2,sp=1,mb=2", 3, 13, true},
    {"shadow-b", "cp=4,cp_kind=ulysses,ep=4,mb=2", 3, 3, false},
    {"shadow-a", "pp=2,vpp=3,mb=3", 4, 5, true},
    {"shadow-b", "pp=2,vpp=2,ep=2,scope=replica,mb=3,rounds=2", 7, 9, true},
    {"shadow-a", "pp=3,vpp=2,dp=2,ep=2,mb=4", 7, 5, false},
    {"shadow-b", "pp=3,tp=2,ep=6,scope=replica,mb=2,rounds=2", 3, 11, false},
    {"shadow-b", "pp=3,tp=2,ep=3,etp=2,scope=replica,mb=4", 5, 7, true},
    {"shadow-a", "pp=3,tp=2,ep=2,etp=1,mb=4", 3, 5, false},
};
enum { N_ROW = sizeof row / sizeof *row };

START_TEST(layouts_agree)
{
    run_case c =
        make_case(row[_i].model, row[_i].plan, row[_i].n_b, row[_i].n_t);
    c.pads = row[_i].pads;
    if (par_plan_world(&c.plan) == mpi_world->size)
        check_case(&c, false);
}
END_TEST

/* Layer by layer, with weights that are multiplied where they are made. */
START_TEST(orders_agree)
{
    run_case c =
        make_case(row[_i].model, row[_i].plan, row[_i].n_b, row[_i].n_t);
    c.pads = row[_i].pads;
    c.budget = 0;
    c.order = PAR_ORDER_LAYERS;
    if (par_plan_world(&c.plan) == mpi_world->size)
        check_case(&c, false);
}
END_TEST

/* One rank has all rows at once, ranks of a plan some at a time: by _i / N_ROW
 * one, or more of few columns than of many, and a last part that is shorter.  */
START_TEST(some_rows_at_a_time_agree)
{
    const int i = _i % N_ROW;
    run_case c = make_case(row[i].model, row[i].plan, row[i].n_b, row[i].n_t);
    c.pads = row[i].pads;
    c.budget = 0;
    c.wide = _i < N_ROW ? 1 : 4 * c.spec.n_f;
    if (par_plan_world(&c.plan) == mpi_world->size)
        check_case(&c, false);
}
END_TEST

enum { ROWS = 5 };

/* The plan that uses all ranks, whatever their number. */
static run_case any_case(void)
{
    char plan[64];
    const int n = mpi_world->size;
    snprintf(plan, sizeof plan,
             n % 2 == 0 ? "dp=%d,tp=2,ep=%d,mb=2" : "dp=%d,ep=%d,mb=2",
             n % 2 == 0 ? n / 2 : n, n);
    run_case c = make_case("shadow-a", plan, ROWS, 7);
    c.name = "any";
    return c;
}

/* The tokens behind prompts of different lengths, all in one step. */
static void choose_tokens(const run_case *c, int64_t elements,
                          int64_t greedy[ROWS])
{
    core_weights *weights;
    core_batch batch;
    par_step_row prompt[ROWS];
    const par_step step = {
        .n_slot = ROWS, .n_row = ROWS, .row = prompt, .greedy = greedy};
    for (int64_t b = 0; b < ROWS; b++) {
        prompt[b] = (par_step_row){b, b, 0, c->n_t - b};
        greedy[b] = -1;
    }
    open_case(c, c->numerics, &weights, &batch);
    wide = elements;
    in_step = &step;
    run_plan(mpi_world, &c->spec, &c->plan, weights, &batch, c->numerics,
             c->budget, c->order, NULL);
    in_step = NULL;
    wide = 0;
    core_batch_free(&batch);
    core_weights_close(weights);
}

START_TEST(tokens_of_some_rows_at_a_time_agree)
{
    const run_case c = any_case();
    int64_t whole[ROWS], parts[ROWS];
    choose_tokens(&c, 0, whole);
    choose_tokens(&c, _i * c.spec.n_v, parts);
    ck_assert_mem_eq(whole, parts, sizeof whole);
    uint64_t n = 0;
    for (int b = 0; b < ROWS; b++)
        n += whole[b] >= 0;
    par_all_reduce_u64(mpi_world, &mpi_world->world, &n, 1);
    ck_assert_uint_ge(n, ROWS);
}
END_TEST

START_TEST(random_layouts_agree)
{
    random_case dice;
    random_case_make(&dice, (uint64_t)_i, mpi_world->size);
    char name[400];
    snprintf(name, sizeof name, "random case %d, %s", _i, dice.plan.text);
    const run_case c = {.name = name,
                        .spec = dice.spec,
                        .plan = dice.plan,
                        .n_b = dice.n_b,
                        .n_t = dice.n_t,
                        .pads = dice.pads,
                        .numerics = CORE_EXACT,
                        .budget = RESIDENT,
                        .order = _i % 2 ? PAR_ORDER_LAYERS : PAR_ORDER_PLAN};
    check_case(&c, false);
}
END_TEST

START_TEST(wrong_element_is_seen)
{
    const run_case c = any_case();
    check_case(&c, true);
}
END_TEST

START_TEST(tiles_agree)
{
    run_case c = any_case();
    c.budget = 0;
    check_case(&c, false);
}
END_TEST

/* One rank of three threads, or of one, computes the same bits: with weights that
 * stay, and with weights that are read, or made, where they are multiplied.  Products
 * have several tiles.                                                        */
static const struct {
    core_numerics numerics;
    size_t budget;
} SHARED[] = {{CORE_FP32, RESIDENT},
              {CORE_FP32, 0},
              {CORE_EXACT, RESIDENT},
              {CORE_EXACT, 0}};
enum { N_SHARED = sizeof SHARED / sizeof *SHARED };

START_TEST(threads_agree)
{
    run_case c = make_case("shadow-a", "tp=1", 5, 70);
    core_weights *weights;
    core_batch batch;
    par_comm *alone;
    if (mpi_world->size > 1)
        return; /* one start of the program is enough */
    c.spec.n_f = 1100;
    open_case(&c, SHARED[_i].numerics, &weights, &batch);
    table one = table_make(&c.spec, &batch);
    witness w = {.t = &one, .is_writing = true};
    ck_assert_int_eq(par_comm_open(&alone, 1), CORE_OK);
    for (n_thread = 1; n_thread <= 3; n_thread += 2) {
        run_plan(alone, &c.spec, &c.plan, weights, &batch, SHARED[_i].numerics,
                 SHARED[_i].budget, PAR_ORDER_AUTO, &w);
        w.is_writing = false;
    }
    n_thread = 0;
    par_comm_close(alone);
    table_free(&one);
    core_batch_free(&batch);
    core_weights_close(weights);
    mpi_assert(w.n_wrong == 0, "%s", w.first_wrong);
}
END_TEST

/* Micro-batches that are worked on together. */
static int n_together(const run_case *c, size_t budget)
{
    core_weights *weights;
    core_batch batch;
    open_case(c, c->numerics, &weights, &batch);
    const par_stats stats =
        run_plan(mpi_world, &c->spec, &c->plan, weights, &batch, c->numerics,
                 budget, c->order, NULL);
    core_batch_free(&batch);
    core_weights_close(weights);
    return stats.n_lane;
}

/* Where it saves work, changes no bit and there is room. */
START_TEST(order_is_chosen)
{
    run_case c = any_case();
    core_arena arena = core_arena_measure();
    par_layout layout;
    ck_assert_int_eq(
        par_layout_make(&layout, &arena, &c.spec, &c.plan, mpi_world->rank),
        CORE_OK);
    const size_t all = par_weight_bytes(&c.spec, &layout, CORE_EXACT);
    const size_t dense = par_tiled_weight_bytes(&c.spec, &layout, CORE_EXACT);
    core_arena_free(&arena);
    ck_assert_int_eq(n_together(&c, all), 1);
    ck_assert_int_eq(n_together(&c, all - 1), 2);
    ck_assert_int_eq(n_together(&c, dense), 1);
    lane_budget = all; /* weights have none of their own */
    ck_assert_int_eq(n_together(&c, 0), 2);
    lane_budget = 0;
    ck_assert_int_eq(n_together(&c, 0), 1);
    c.order = PAR_ORDER_PLAN;
    ck_assert_int_eq(n_together(&c, all - 1), 1);
    c.order = PAR_ORDER_LAYERS;
    ck_assert_int_eq(n_together(&c, all), 2);
    c.order = PAR_ORDER_AUTO;
    c.numerics = CORE_FP64;
    ck_assert_int_eq(n_together(&c, all - 1), 1);
}
END_TEST

START_TEST(floats_agree_nearly)
{
    run_case c = any_case();
    c.spec.capacity.rule = CORE_CAPACITY_NONE;
    c.numerics = CORE_FP64;
    c.tolerance = 1e-10;
    check_case(&c, false);
    c.numerics = CORE_FP32; /* without a router: nothing that may flip */
    memset(c.spec.ffn, CORE_FFN_DENSE, sizeof c.spec.ffn);
    c.spec.n_f_dense = 31;
    c.tolerance = 2e-5;
    check_case(&c, false);
    c.budget = 0;
    check_case(&c, false);
}
END_TEST

static const core_spec switch_spec = {
    .name = "switch",
    .family = CORE_FAMILY_SWITCH,
    .n_l = 1,
    .n_d = 24,
    .n_e = 7,
    .n_k = 1,
    .n_f = 10,
    .ffn = {CORE_FFN_MOE},
    .norm_eps = 1e-6,
    .residual_scale = 1.0,
    .act = CORE_ACT_RELU,
    .routed_scale = 1.0,
    .bias_router = true,
    .capacity = {.rule = CORE_CAPACITY_ABSOLUTE,
                 .domain = CORE_DOMAIN_SEQUENCE,
                 .priority = CORE_PRIORITY_POSITION,
                 .dropped = CORE_DROPPED_PASSTHROUGH,
                 .absolute = 2},
    .twin_expert = -1,
};

START_TEST(switch_layer_agrees)
{
    run_case c = any_case();
    c.spec = switch_spec;
    c.name = "switch";
    check_case(&c, false);
}
END_TEST

/* An observer's values are what the pass goes on with. */
START_TEST(observer_may_overwrite)
{
    run_case c = any_case();
    core_weights *weights;
    core_batch batch;
    open_case(&c, CORE_EXACT, &weights, &batch);
    table t = table_make(&c.spec, &batch);
    witness w = {.t = &t, .is_writing = true, .zeroes_embed = true};
    run_plan(mpi_world, &c.spec, &c.plan, weights, &batch, CORE_EXACT, RESIDENT,
             PAR_ORDER_AUTO, &w);
    const core_tap_kind kind[] = {CORE_TAP_EMBED, CORE_TAP_IN, CORE_TAP_OUT};
    double largest[3];
    for (int i = 0; i < 3; i++)
        largest[i] = largest_of(&t, table_index(&t, (core_tap){kind[i], 0}));
    const double embed = largest[0], in = largest[1], out = largest[2];
    uint64_t n_seen = embed > 0.0 && out > 0.0;
    par_all_reduce_u64(mpi_world, &mpi_world->world, &n_seen, 1);
    mpi_assert(in == 0.0, "embed was zeroed, but in holds %g", in);
    ck_assert_uint_ge(n_seen, 1);
    table_free(&t);
    core_batch_free(&batch);
    core_weights_close(weights);
}
END_TEST

/* Fewer columns than ranks: some have none, yet hold the whole sum. */
START_TEST(narrow_shared_expert_agrees)
{
    run_case c = any_case();
    c.spec.n_f_shared = 1;
    c.name = "narrow shared expert";
    check_case(&c, false);
}
END_TEST

/* Sums that need more than 53 bits are noticed; others are not (above). */
START_TEST(inexact_sum_is_named)
{
    run_case c = any_case();
    core_weights *weights;
    c.spec = switch_spec;
    ck_assert_int_eq(core_weights_open_procedural(&weights, &c.spec, 7),
                     CORE_OK);
    ck_assert_int_eq(core_weights_prepare(weights, CORE_EXACT, NULL), CORE_OK);
    double hidden[5 * 7 * 24];
    for (int i = 0; i < 5 * 7 * 24; i++)
        hidden[i] = 0x1p20 + i;
    const core_batch batch = {.n_b = 5, .n_t = 7, .hidden = hidden};
    const par_stats stats =
        run_plan(mpi_world, &c.spec, &c.plan, weights, &batch, CORE_EXACT,
                 RESIDENT, PAR_ORDER_AUTO, NULL);
    uint64_t n_named =
        !stats.exact && strstr(stats.not_exact, "layers.0.ffn.norm: ") != NULL;
    par_all_reduce_u64(mpi_world, &mpi_world->world, &n_named, 1);
    ck_assert_uint_ge(n_named, 1);
    core_weights_close(weights);
}
END_TEST

static void with_layernorm(core_spec *s) { s->norm = CORE_NORM_LAYER; }
static void with_norm_of_all(core_spec *s) { s->qk_norm = CORE_QK_NORM_ALL; }
static void with_norm_of_head(core_spec *s) { s->qk_norm = CORE_QK_NORM_HEAD; }
static void with_roped_norm(core_spec *s) { s->qk_norm = CORE_QK_NORM_ROPED; }

static void with_latent(core_spec *s)
{
    s->n_g = s->n_h;
    s->n_kv_rank = 9;
    s->n_q_rank = 11;
    s->n_dv = 7;
    s->n_rot = 4;
}

static void with_mamba(core_spec *s)
{
    memset(s->mixer, CORE_MIXER_MAMBA, sizeof s->mixer);
    s->mamba = (core_mamba){.n_c = 13, .n_s = 3, .n_conv = 4, .n_r = 5};
}

static void with_deltanet(core_spec *s)
{
    memset(s->mixer, CORE_MIXER_DELTANET, sizeof s->mixer);
    s->deltanet = (core_deltanet){
        .n_kh = 3, .n_vh = 6, .n_dk = 5, .n_dv = 7, .n_conv = 4};
}

static void with_shortconv(core_spec *s)
{
    memset(s->mixer, CORE_MIXER_SHORTCONV, sizeof s->mixer);
    s->shortconv.n_conv = 3;
}

static void with_context_gate(core_spec *s) { s->context_gate = true; }

/* What is checked after a tap that was made too large. */
static const struct {
    void (*change)(core_spec *spec);
    core_tap_kind swells;
    const char *named;
} swollen[] = {
    {with_layernorm, CORE_TAP_IN, "layers.0.attn.norm: "},
    {with_norm_of_all, CORE_TAP_Q, "layers.0.attn.q_norm: "},
    {with_norm_of_all, CORE_TAP_K, "layers.0.attn.k_norm: "},
    {with_norm_of_head, CORE_TAP_K, "layers.0.attn.k_norm: "},
    {with_roped_norm, CORE_TAP_Q_ROPE, "layers.0.attn.q_rope_norm: "},
    {with_latent, CORE_TAP_Q_A, "layers.0.attn.q_a_norm: "},
    {with_latent, CORE_TAP_Q_A_NORM, "layers.0.attn.q: "},
    {with_latent, CORE_TAP_KV_A, "layers.0.attn.kv_a_norm: "},
    {with_latent, CORE_TAP_KV_A_NORM, "layers.0.attn.kv_b: "},
    {with_latent, CORE_TAP_K_ROPE, "layers.0.attn.context: "},
    {with_mamba, CORE_TAP_MAMBA_U, "layers.0.mamba.conv: "},
    {with_mamba, CORE_TAP_MAMBA_ACT, "layers.0.mamba.x: "},
    {with_mamba, CORE_TAP_MAMBA_X, "layers.0.mamba.dt_norm: "},
    {with_mamba, CORE_TAP_MAMBA_DT_NORM, "layers.0.mamba.dt_raw: "},
    {with_mamba, CORE_TAP_MAMBA_C, "layers.0.mamba.y: "},
    {with_mamba, CORE_TAP_MAMBA_GATED, "layers.0.attn_out: "},
    {with_deltanet, CORE_TAP_DELTANET_V, "layers.0.deltanet.v_conv: "},
    {with_deltanet, CORE_TAP_DELTANET_Q_ACT, "layers.0.deltanet.q_norm: "},
    {with_deltanet, CORE_TAP_DELTANET_V_ACT, "layers.0.deltanet.y: "},
    {with_deltanet, CORE_TAP_DELTANET_Y, "layers.0.deltanet.norm: "},
    {with_deltanet, CORE_TAP_DELTANET_GATED, "layers.0.attn_out: "},
    {with_shortconv, CORE_TAP_SHORTCONV_BX, "layers.0.shortconv.conv: "},
    {with_shortconv, CORE_TAP_SHORTCONV_GATED, "layers.0.attn_out: "},
    {with_context_gate, CORE_TAP_CONTEXT_GATED, "layers.0.attn_out: "},
};
enum { N_SWOLLEN = sizeof swollen / sizeof *swollen };

/* Every new sum has its check, and the first that fails is named. */
START_TEST(swollen_value_is_noticed)
{
    run_case c = any_case();
    core_weights *weights;
    core_batch batch;
    c.spec.capacity.rule = CORE_CAPACITY_NONE;
    swollen[_i].change(&c.spec);
    open_case(&c, CORE_EXACT, &weights, &batch);
    table t = table_make(&c.spec, &batch);
    witness w = {.t = &t, .is_writing = true, .swells = swollen[_i].swells};
    const par_stats stats =
        run_plan(mpi_world, &c.spec, &c.plan, weights, &batch, CORE_EXACT,
                 RESIDENT, PAR_ORDER_AUTO, &w);
    uint64_t n_named =
        !stats.exact && strncmp(stats.not_exact, swollen[_i].named,
                                strlen(swollen[_i].named)) == 0;
    char text[200];
    snprintf(text, sizeof text, "%s", stats.not_exact);
    par_all_reduce_u64(mpi_world, &mpi_world->world, &n_named, 1);
    ck_assert_msg(n_named >= 1, "expected %s found %s", swollen[_i].named,
                  text);
    table_free(&t);
    core_batch_free(&batch);
    core_weights_close(weights);
}
END_TEST

/* The measure run is the real layout. */
START_TEST(bytes_are_measured)
{
    run_case c = any_case();
    core_weights *weights;
    core_batch batch;
    open_case(&c, CORE_FP32, &weights, &batch);
    core_arena arena = core_arena_measure();
    par_layout layout;
    ck_assert_int_eq(
        par_layout_make(&layout, &arena, &c.spec, &c.plan, mpi_world->rank),
        CORE_OK);
    const size_t measured = par_weight_bytes(&c.spec, &layout, CORE_FP32);
    const size_t dense = par_tiled_weight_bytes(&c.spec, &layout, CORE_FP32);
    const size_t least = par_least_weight_bytes(&c.spec, &layout, CORE_FP32);
    const par_stats full =
        run_plan(mpi_world, &c.spec, &c.plan, weights, &batch, CORE_FP32,
                 measured, PAR_ORDER_AUTO, NULL);
    const par_stats tiled =
        run_plan(mpi_world, &c.spec, &c.plan, weights, &batch, CORE_FP32,
                 measured - 1, PAR_ORDER_AUTO, NULL);
    const par_stats none =
        run_plan(mpi_world, &c.spec, &c.plan, weights, &batch, CORE_FP32,
                 dense - 1, PAR_ORDER_AUTO, NULL);
    core_arena_free(&arena);
    core_batch_free(&batch);
    core_weights_close(weights);
    mpi_assert(full.weight_bytes == measured, "measured %zu, resident %zu",
               measured, full.weight_bytes);
    mpi_assert(tiled.weight_bytes == dense && dense < measured,
               "a budget that is too small for all kept %zu, expected %zu",
               tiled.weight_bytes, dense);
    mpi_assert(none.weight_bytes == least && least < dense,
               "a budget that is too small for any kept %zu, expected %zu",
               none.weight_bytes, least);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("par_forward");
    TCase *tc = tcase_create("forward");
    tcase_add_test(tc, wrong_element_is_seen);
    tcase_add_loop_test(tc, layouts_agree, 0, N_ROW);
    tcase_add_loop_test(tc, some_rows_at_a_time_agree, 0, 2 * N_ROW);
    tcase_add_loop_test(tc, tokens_of_some_rows_at_a_time_agree, 1, 4);
    tcase_add_loop_test(tc, random_layouts_agree, 0, 80);
    tcase_add_test(tc, switch_layer_agrees);
    tcase_add_test(tc, narrow_shared_expert_agrees);
    tcase_add_test(tc, tiles_agree);
    tcase_add_loop_test(tc, threads_agree, 0, N_SHARED);
    tcase_add_loop_test(tc, orders_agree, 0, N_ROW);
    tcase_add_test(tc, order_is_chosen);
    tcase_add_test(tc, floats_agree_nearly);
    tcase_add_test(tc, observer_may_overwrite);
    tcase_add_test(tc, inexact_sum_is_named);
    tcase_add_loop_test(tc, swollen_value_is_noticed, 0, N_SWOLLEN);
    tcase_add_test(tc, bytes_are_measured);
    suite_add_tcase(suite, tc);
    return mpi_check_run(suite);
}
