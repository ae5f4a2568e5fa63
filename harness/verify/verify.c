/* harness/verify/verify.c -- the flow of one case, see verify.h.
 *
 * Every step that can fail on one rank ends with par_agree, so that all ranks
 * take the same branch; between two agreements nobody leaves.
 */
#include "harness/verify/verify.h"

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "harness/verify/choosing.h"
#include "harness/verify/diagnosing.h"
#include "harness/verify/estimate.h"
#include "harness/launch/limits.h"
#include "harness/verify/reference.h"
#include "harness/verify/spread.h"
#include "harness/verify/threads.h"
#include "parallel/turns.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 512 ranks: what each keeps for nothing counts. */
static void give_back(void)
{
    (void)malloc_trim(0);
}

/* Weights in the numerics of the case, on every rank.  The steps of exact mode
 * come from rank 0, which may have had to scan a checkpoint. */
static core_status prepare_weights(har_job *job, par_comm *comm,
                                   core_numerics numerics)
{
    if (numerics != CORE_EXACT)
        return par_agree(comm,
                         core_weights_prepare(job->weights, numerics, NULL));
    const int64_t n = core_weight_count(
        job->weight_spec != NULL ? job->weight_spec : job->spec);
    void *steps = NULL;
    core_status status = core_alloc(&steps, n, sizeof(double), "weight steps");
    if (status == CORE_OK && comm->rank == 0) {
        par_at(comm, "weight steps", 0);
        status = core_weights_prepare(job->weights, numerics, NULL);
        if (status == CORE_OK)
            memcpy(steps, core_weights_steps(job->weights),
                   (size_t)n * sizeof(double));
    }
    status = par_agree(comm, status);
    if (status == CORE_OK) {
        par_broadcast(comm, &comm->world, steps, n * (int64_t)sizeof(double),
                      0);
        if (comm->rank != 0)
            status = core_weights_prepare(job->weights, numerics, steps);
        status = par_agree(comm, status);
    }
    free(steps);
    return status;
}

/* --- the emulation --- */

/* What passes are held against: the batch's reference, or the exercise's.    */
typedef struct view {
    const core_batch *batch;
    bool is_exercise;
    core_tapfile *file;
    har_routing routing;
    har_precision *honest; /* [taps] what drawn roundings make; NULL: none    */
} view;

typedef struct rank_state { /* of one rank during a case                      */
    par_comm *comm;
    har_job *job;
    core_arena arena;
    par_layout layout;
    par_observer observer; /* of the model: whoever watches the pass at hand  */
    par_model *model;
    int n_thread;
    har_reference reference;
    view main, exercise;
    double *correction; /* of the router, all layers; NULL: none              */
    har_watch *watch;   /* of the pass at hand                                */
    bool is_first;      /* pass                                               */
    har_estimate expected; /* rank 0's, of the case                           */
    har_dealer *dealer; /* NULL: experts stay where they are                  */
} rank_state;

static void merge_totals(har_totals *out, par_comm *comm, const par_stats *mine,
                         const int64_t *bytes_before)
{
    enum { N_U64 = 5 + PAR_N_OP_KINDS };
    uint64_t u[N_U64] = {(uint64_t)mine->n_choice, (uint64_t)mine->n_dropped,
                         (uint64_t)mine->n_sent, (uint64_t)mine->n_received,
                         (uint64_t)mine->n_returned};
    double sum[PAR_N_OPERATORS + 1];
    double largest[2] = {mine->wall_seconds,
                         (double)(mine->weight_bytes + mine->work_bytes)};
    for (int i = 0; i < PAR_N_OP_KINDS; i++)
        u[5 + i] = (uint64_t)(comm->n_bytes[i] - bytes_before[i]);
    memcpy(sum, mine->cpu_seconds, sizeof mine->cpu_seconds);
    sum[PAR_N_OPERATORS] = mine->wait_seconds;
    par_all_reduce_u64(comm, &comm->world, u, N_U64);
    par_all_reduce(comm, &comm->world, sum, PAR_N_OPERATORS + 1, PAR_SUM,
                   CORE_FP64);
    par_all_reduce(comm, &comm->world, largest, 2, PAR_MAX, CORE_FP64);
    double weight =
        (double)(mine->weight_bytes + mine->work_bytes) == largest[1]
            ? (double)mine->weight_bytes
            : 0.0;
    par_all_reduce(comm, &comm->world, &weight, 1, PAR_MAX, CORE_FP64);
    *out = (har_totals){.n_choice = (int64_t)u[0],
                        .n_dropped = (int64_t)u[1],
                        .n_sent = (int64_t)u[2],
                        .n_received = (int64_t)u[3],
                        .n_returned = (int64_t)u[4],
                        .wall_seconds = largest[0],
                        .wait_seconds = sum[PAR_N_OPERATORS],
                        .weight_bytes = (size_t)weight,
                        .work_bytes = (size_t)(largest[1] - weight),
                        .n_lane = mine->n_lane};
    memcpy(out->cpu_seconds, sum, sizeof out->cpu_seconds);
    for (int i = 0; i < PAR_N_OP_KINDS; i++)
        out->n_bytes[i] = (int64_t)u[5 + i];
}

/* After a difference a free pass may drop others than the reference, which is
 * no loss; the forced pass, which then follows, is held to the reference.    */
static bool is_conserved(const har_totals *t, const har_routing *routing,
                         const har_pass *pass)
{
    const bool may_differ =
        pass->mode == HAR_FREE && har_verdict_is_bad(pass->verdict);
    return t->n_choice == routing->n_choice &&
           (may_differ || t->n_dropped == routing->n_dropped) &&
           t->n_choice - t->n_dropped == t->n_sent &&
           t->n_sent == t->n_received && t->n_received == t->n_returned;
}

/* One model serves all passes.                                              */
static void observe(void *self, const par_piece *piece)
{
    const rank_state *s = self;
    const par_observer observer = har_watch_observer(s->watch);
    observer.observe(observer.self, piece);
}

static void pass_tick(void *self, const par_tick *tick)
{
    const rank_state *s = self;
    const par_plan *plan = &s->layout.plan;
    s->job->tick(s->job->tick_self, tick);
    if (s->comm->rank == 0)
        har_steps_done(&s->job->steps,
                       (double)(tick->tick + 1) /
                           (plan->rounds * par_ticks(plan)));
}

/* Of the first pass alone. */
static void pass_cost(void *self, const core_cost *cost,
                      const par_cost_time *took)
{
    const rank_state *s = self;
    if (s->is_first)
        s->job->cost(s->job->cost_self, cost, took);
}

static void pass_under_way(void *self, const par_under_way *request)
{
    const rank_state *s = self;
    if (s->is_first)
        s->job->under_way(s->job->cost_self, request);
}

/* The layout and the shards, unless they are there; what has taken part is
 * remembered for a plan.                                                     */
static core_status open_rank(rank_state *s, const par_plan *plan,
                             core_numerics numerics, const size_t budget[3])
{
    har_job *job = s->job;
    const par_options options = {.weight_budget_bytes = budget[0],
                                 .dense_budget_bytes = budget[1],
                                 .lane_budget_bytes = budget[2],
                                 .observer = &s->observer,
                                 .tick = job->tick != NULL ? pass_tick : NULL,
                                 .tick_self = s,
                                 .cost = job->cost != NULL ? pass_cost : NULL,
                                 .under_way = job->under_way != NULL ? pass_under_way : NULL,
                                 .cost_self = s,
                                 .order = job->order,
                                 .n_threads = s->n_thread,
                                 .schedule_seed = job->schedule_seed};
    s->observer = (par_observer){s, observe};
    if (s->model == NULL)
        CORE_TRY(par_layout_make(&s->layout, &s->arena, job->spec, plan,
                                 s->comm->rank));
    if (job->plan != plan) {
        har_reach_close(&job->reach);
        CORE_TRY(har_reach_open(&job->reach, job->spec, &s->layout));
        job->plan = plan;
    }
    job->reach.layout = &s->layout;
    if (s->model != NULL) /* of the pass before */
        return CORE_OK;
    CORE_TRY(par_model_open(&s->model, s->comm, &s->layout, job->spec,
                            job->weights, numerics, &options));
    const har_decode *d = job->decode;
    return d == NULL ? CORE_OK
                     : par_decode_open(s->model, d->n_slot, d->n_t, d->n_chunk);
}

/* Which experts the first differing choices went to, by the reference. */
static void name_experts(har_pass *pass, const core_tapfile *file)
{
    for (int64_t i = 0; i < pass->n_tap; i++) {
        har_tap_result *t = &pass->tap[i];
        const core_tap idx = {CORE_TAP_TOPK_IDX, t->tap.layer};
        if (t->first_rank >= 0 &&
            core_tap_row_kind(t->tap.kind) == CORE_ROWS_CHOICE)
            t->expert = core_st_int(core_tapfile_find(file, "", idx, false),
                                    t->diff.first.row);
    }
}

static void begin_pass(rank_state *s, core_numerics numerics, const view *v,
                       har_mode mode)
{
    char *what = s->job->pass, number[16] = "";
    if (s->dealer != NULL)
        snprintf(number, sizeof number, " %d", 1 + s->job->drift.n_pass);
    snprintf(what, sizeof s->job->pass, "%s pass%s%s", har_mode_name(mode),
             number, v->is_exercise ? " of the exercise" : "");
    if (s->comm->rank == 0)
        har_steps_begin(&s->job->steps, s->comm,
                        core_numerics_name(numerics).text, what,
                        v->is_exercise ? s->expected.exercise_pass_seconds
                                       : s->expected.pass_seconds);
}

/* In one piece or, the batch's own, in steps. */
static core_status run_batch(rank_state *s, har_case_result *out, const view *v,
                             par_stats *stats)
{
    const har_job *job = s->job;
    har_greedy greedy;
    if (job->decode == NULL || v->is_exercise)
        return par_forward(s->model, v->batch, stats);
    CORE_TRY(har_decode_pass(s->model, s->comm, job->spec, v->batch,
                             job->decode, v->file, &greedy, stats));
    if (s->is_first)
        out->greedy = greedy;
    return CORE_OK;
}

static core_status watch_pass(rank_state *s, har_case_result *out,
                              const view *v, har_mode mode, par_stats *stats)
{
    har_pass *pass = &out->pass[out->n_pass];
    const int64_t n_token = v->batch->n_b * v->batch->n_t;
    core_status status = har_watch_open(&s->watch, s->job->spec, out->numerics,
                                        mode, v->file, n_token);
    CORE_TRY(par_agree(s->comm, status));
    s->watch->correction = s->correction;
    s->watch->honest = v->honest;
    s->watch->is_exercise = v->is_exercise;
    s->watch->reach = &s->job->reach;
    s->job->reach.batch = v->batch;
    s->is_first = out->n_pass == 0;
    begin_pass(s, out->numerics, v, mode);
    CORE_TRY(run_batch(s, out, v, stats));
    if (!stats->is_written)
        har_watch_unwritten(s->watch, stats->unwritten);
    par_at(s->comm, "verdict", 0);
    CORE_TRY(har_pass_agree(pass, s->comm, s->watch));
    give_back();
    pass->n_t = v->batch->n_t;
    name_experts(pass, v->file);
    har_pass_diagnose(pass, s->comm, s->watch, s->job->weights, &s->layout.plan,
                      v->batch->n_t);
    out->n_pass++;
    return CORE_OK;
}

/* One pass: run, merge, and check what needs no reference. */
static core_status run_pass(rank_state *s, har_case_result *out, const view *v,
                            har_mode mode)
{
    har_pass *pass = &out->pass[out->n_pass];
    int64_t bytes_before[PAR_N_OP_KINDS];
    par_stats stats;
    har_totals totals;
    memset(&stats, 0, sizeof stats);
    memcpy(bytes_before, s->comm->n_bytes, sizeof bytes_before);
    core_status status = watch_pass(s, out, v, mode, &stats);
    har_watch_close(s->watch);
    s->watch = NULL;
    CORE_TRY(status);
    merge_totals(&totals, s->comm, &stats, bytes_before);
    out->is_conserved &= is_conserved(&totals, &v->routing, pass);
    if (out->n_pass == 1)
        out->totals = totals;
    if (!har_verdict_is_bad(pass->verdict) && out->numerics == CORE_EXACT &&
        !stats.exact)
        status = core_fail(CORE_E_EXACT,
                           "%s; verify fewer layers (--layers) or "
                           "with --numerics fp32",
                           stats.not_exact);
    if (s->comm->rank != 0 && !har_verdict_is_bad(pass->verdict))
        har_pass_drop_taps(pass);
    return par_agree(s->comm, status);
}

/* Why the first bad tap of a pass is bad. */
static void give_reason(har_case_result *out, const har_pass *pass)
{
    char name[CORE_NAME_BYTES], text[HAR_PRECISION_TEXT];
    const har_tap_result *tap = &pass->tap[pass->first];
    const core_tap_kind kind = tap->tap.kind;
    core_tap_name(tap->tap, name);
    if ((tap->fault & HAR_FAULT_PRECISION) != 0)
        snprintf(out->reason, sizeof out->reason, "%s: %s%s", name,
                 har_precision_format(&tap->grade, &tap->honest,
                                      core_tap_coarsest(pass->numerics, kind),
                                      text),
                 tap->is_pooled ? ", all layers together" : "");
    else if (tap->verdict == HAR_PRECISION)
        snprintf(out->reason, sizeof out->reason, "%s: %s (rank %d)", name,
                 har_lattice_format(&tap->lattice,
                                    core_tap_numerics(pass->numerics, kind),
                                    text),
                 tap->lattice_rank);
    else
        snprintf(out->reason, sizeof out->reason, "%s %s", name,
                 tap->fault == HAR_FAULT_NO_TAP
                     ? "is shown, and the reference has no such tap"
                 : tap->fault == HAR_FAULT_POISON
                     ? "takes in what was never written (NaN)"
                     : "differs");
}

/* All taps agree, and what was chosen by the logits does not. */
static void give_token(har_case_result *out)
{
    const har_greedy *g = &out->greedy;
    snprintf(out->reason, sizeof out->reason,
             "row %lld: behind token %lld token %lld is the best, %lld was "
             "chosen; %lld of %lld choices are wrong",
             (long long)g->row, (long long)g->at, (long long)g->expected,
             (long long)g->found, (long long)g->n_wrong, (long long)g->n);
}

/* No pass is bad; what is the agreement worth? */
static void qualify(har_case_result *out, const har_reference_entry *reference)
{
    const har_axis equal = har_distinct_next(&out->distinct, -1);
    char tried[80] = "", words[HAR_REACH_TEXT], text[HAR_DISTINCT_TEXT];
    if (reference->n_redraw > 0)
        snprintf(tried, sizeof tried,
                 "; drawn again %d times, last with seed %llu",
                 reference->n_redraw, (unsigned long long)out->batch_seed);
    if (!out->is_telling) {
        out->verdict = HAR_UNPROVEN;
        snprintf(out->reason, sizeof out->reason, "%s%s", reference->vacuity,
                 tried);
    } else if (equal != HAR_N_AXES) {
        out->verdict = HAR_UNPROVEN;
        snprintf(out->reason, sizeof out->reason,
                 "%s, so agreement would prove nothing about %s",
                 har_distinct_format(&out->distinct, equal, text),
                 har_axis_degree(equal));
    } else if (!har_reached_all(&out->reached)) {
        out->verdict = HAR_PARTIAL;
        snprintf(out->reason, sizeof out->reason, "right where it ran: %s",
                 har_reached_words(&out->reached, words));
    }
}

/* The first bad pass decides: what a later one finds may follow from it, as the
 * choices of a router that is imprecise do.                                  */
static void conclude(har_case_result *out, const har_reference_entry *reference)
{
    out->verdict = HAR_PASS;
    for (int i = 0; i < out->n_pass && !har_verdict_is_bad(out->verdict); i++) {
        const har_pass *pass = &out->pass[i];
        if (har_verdict_is_bad(pass->verdict))
            give_reason(out, pass);
        if (pass->verdict > out->verdict)
            out->verdict = pass->verdict;
    }
    if (out->greedy.n_wrong > 0) {
        if (!har_verdict_is_bad(out->verdict))
            give_token(out);
        out->verdict = HAR_FAIL;
    }
    if (!out->is_conserved) {
        if (!har_verdict_is_bad(out->verdict))
            snprintf(out->reason, sizeof out->reason,
                     "choices dispatched, received and returned do not add up");
        out->verdict = HAR_FAIL;
    }
    if (!har_verdict_is_bad(out->verdict))
        qualify(out, reference);
}

/* After a clean pass that left something idle: the dealt one. */
static core_status exercise(rank_state *s, har_case_result *out)
{
    const bool is_free = out->pass[0].mode == HAR_FREE;
    CORE_TRY(har_reach_agree(&out->reached, s->comm, &s->job->reach));
    if (har_reached_all(&out->reached) || !s->reference.has_exercise ||
        har_verdict_is_bad(out->pass[0].verdict))
        return CORE_OK;
    CORE_TRY(run_pass(s, out, &s->exercise, out->pass[0].mode));
    CORE_TRY(har_reach_agree(&out->reached, s->comm, &s->job->reach));
    if (is_free && har_verdict_is_bad(out->pass[1].verdict))
        return run_pass(s, out, &s->exercise, HAR_FORCED);
    return CORE_OK;
}

static core_status run_passes(rank_state *s, har_case_result *out,
                              har_passes passes)
{
    const bool is_forced =
        passes == HAR_PASSES_FORCED || core_has_bounds(out->numerics);
    if (s->dealer != NULL)
        har_dealer_begin(s->dealer, s->model);
    CORE_TRY(run_pass(s, out, &s->main, is_forced ? HAR_FORCED : HAR_FREE));
    if (s->dealer != NULL)
        CORE_TRY(har_dealer_count(s->dealer, &out->dealt, s->comm, s->model,
                                  &s->layout, s->main.batch, s->main.file,
                                  s->job->price));
    if (!is_forced && har_verdict_is_bad(out->pass[0].verdict))
        CORE_TRY(run_pass(s, out, &s->main, HAR_FORCED));
    CORE_TRY(exercise(s, out));
    if (passes == HAR_PASSES_USUAL && core_has_bounds(out->numerics))
        return run_pass(s, out, &s->main, HAR_FORCED_ROUTING);
    return CORE_OK;
}

/* Map a reference and learn from it what the passes need. */
static core_status open_view(view *out, const rank_state *s,
                             const core_batch *batch, const char *path)
{
    const core_spec *spec = s->job->spec;
    const int64_t n_token = batch->n_b * batch->n_t;
    out->batch = batch;
    CORE_TRY(core_tapfile_open(&out->file, path, spec, false, false));
    if (s->comm->rank != 0) /* who tells the others */
        return CORE_OK;
    return har_routing_read(&out->routing, spec, s->correction, out->file,
                            n_token);
}

static void close_view(view *v)
{
    core_tapfile_close(v->file);
    free(v->honest);
}

static core_status open_views(rank_state *s)
{
    const har_reference *r = &s->reference;
    CORE_TRY(
        har_corrections_make(&s->correction, s->job->spec, s->job->weights));
    CORE_TRY(open_view(&s->main, s, har_job_batch(s->job), r->main.path));
    s->exercise.is_exercise = true;
    return r->has_exercise ? open_view(&s->exercise, s, &r->batch, r->path)
                           : CORE_OK;
}

static void show_comparing(void *self)
{
    par_at(self, "equal weights", 0);
}

/* Rank 0 looks for weights that are equal where the plan tells them apart. */
static core_status find_equal(rank_state *s, har_case_result *out,
                              const par_plan *plan)
{
    core_status status = CORE_OK;
    if (s->comm->rank == 0)
        status = har_distinct_find(&out->distinct, s->job->spec, plan,
                                   s->job->weights, show_comparing, s->comm);
    CORE_TRY(par_agree(s->comm, status));
    par_broadcast(s->comm, &s->comm->world, &out->distinct,
                  (int64_t)sizeof out->distinct, 0);
    return CORE_OK;
}

static size_t reference_bytes(const core_spec *spec, const core_batch *batch)
{
    return (size_t)core_spec_parameters(spec) * sizeof(double) +
           ref_workspace_bytes(spec, batch->n_b, batch->n_t);
}

/* What rank 0 drew when it made a view's reference. */
static core_status share_spread(const rank_state *s, view *v,
                                core_numerics numerics,
                                const har_precision *spread)
{
    const int64_t n_tap = core_taps(s->job->spec, NULL, 0);
    const int64_t n_bytes = n_tap * (int64_t)sizeof *v->honest;
    void *p = NULL;
    if (har_spread_draws(numerics) == 0)
        return CORE_OK;
    CORE_TRY(par_agree(s->comm, core_alloc(&p, n_tap, sizeof *v->honest,
                                           "the spread of roundings")));
    v->honest = p;
    if (s->comm->rank == 0)
        memcpy(p, spread, (size_t)n_bytes);
    par_broadcast(s->comm, &s->comm->world, p, n_bytes, 0);
    return CORE_OK;
}

/* Rank 0 knows what this case should take, and tells how far it is. */
static core_status begin_case(rank_state *s, const par_plan *plan,
                              core_numerics numerics)
{
    const core_batch *batch = s->job->batch;
    har_estimate *e = &s->expected;
    if (s->comm->rank != 0)
        return CORE_OK;
    CORE_TRY(har_estimate_make(e, s->job->spec, plan, batch->n_b, batch->n_t,
                               numerics, s->job->order, s->job->limits));
    if (s->job->plan != plan)
        CORE_TRY(har_estimate_exercise(e, s->job->spec, plan, batch->n_b,
                                       batch->n_t, numerics, s->job->order,
                                       s->job->limits));
    har_steps_case(&s->job->steps, e->seconds);
    har_steps_begin(&s->job->steps, s->comm, core_numerics_name(numerics).text,
                    "reference",
                    e->reference_seconds + e->exercise_reference_seconds);
    return CORE_OK;
}

/* What moves has to be there, whether or not one pass is faster with it. */
static void choose_budget(const rank_state *s, const par_plan *plan,
                          size_t budget[3])
{
    const size_t available = har_memory_available();
    const size_t held = s->expected.held_bytes;
    har_rank_budget(budget, &s->expected, plan, available, held);
    if (s->dealer != NULL && available > held)
        budget[0] = (available - held) / (size_t)par_plan_world(plan);
}

static core_status verify(rank_state *s, har_case_result *out,
                          const par_plan *plan, har_passes passes)
{
    har_job *job = s->job;
    if (s->model == NULL)
        CORE_TRY(prepare_weights(job, s->comm, out->numerics));
    CORE_TRY(find_equal(s, out, plan));
    CORE_TRY(par_agree(s->comm, begin_case(s, plan, out->numerics)));
    CORE_TRY(har_reference_get(&s->reference, job, s->comm, plan, out->numerics,
                               job->plan != plan));
    const har_reference_entry *main = &s->reference.main;
    out->reference = main->stats;
    out->reference_was_made = s->reference.was_made;
    out->reference_bytes = reference_bytes(job->spec, job->batch);
    out->is_telling = main->is_telling;
    out->first_seed = job->seed;
    out->batch_seed = job->seed + (uint64_t)main->n_redraw;
    snprintf(out->no_exercise, sizeof out->no_exercise, "%s",
             s->reference.no_exercise);
    CORE_TRY(share_spread(s, &s->main, out->numerics, main->spread));
    if (s->reference.has_exercise)
        CORE_TRY(
            share_spread(s, &s->exercise, out->numerics, s->reference.spread));
    CORE_TRY(par_agree(s->comm, open_views(s)));
    give_back(); /* headers were parsed */
    par_broadcast(s->comm, &s->comm->world, &s->main.routing,
                  (int64_t)sizeof s->main.routing, 0);
    par_broadcast(s->comm, &s->comm->world, &s->exercise.routing,
                  (int64_t)sizeof s->exercise.routing, 0);
    out->routing = s->main.routing;
    size_t budget[3] = {0};
    if (s->comm->rank == 0)
        choose_budget(s, plan, budget);
    par_broadcast(s->comm, &s->comm->world, budget, (int64_t)sizeof budget, 0);
    CORE_TRY(har_rank_threads(&s->n_thread, s->comm));
    const double start = core_seconds(CLOCK_MONOTONIC);
    CORE_TRY(par_agree(s->comm, open_rank(s, plan, out->numerics, budget)));
    out->startup_seconds = core_seconds(CLOCK_MONOTONIC) - start;
    give_back();
    CORE_TRY(run_passes(s, out, passes));
    conclude(out, main);
    return CORE_OK;
}

/* What a case was held against. */
static void close_case(rank_state *s)
{
    close_view(&s->main);
    close_view(&s->exercise);
    s->main = s->exercise = (view){0};
    har_reference_close(&s->reference, s->job, s->comm);
    s->reference = (har_reference){0};
    free(s->correction);
    s->correction = NULL;
    s->job->reach.layout = NULL;
}

static void close_rank(rank_state *s)
{
    par_model_close(s->model);
    close_case(s);
    core_arena_free(&s->arena);
}

static void begin_result(har_case_result *out, const har_job *job,
                         core_numerics numerics)
{
    memset(out, 0, sizeof *out);
    out->numerics = numerics;
    out->is_conserved = true;
    out->n_token = job->batch->n_b * job->batch->n_t;
}

core_status har_job_verify(har_case_result *out, har_job *job, par_comm *comm,
                           const par_plan *plan, core_numerics numerics,
                           har_passes passes)
{
    rank_state s = {.comm = comm, .job = job, .arena = core_arena_measure()};
    begin_result(out, job, numerics);
    const core_status status = verify(&s, out, plan, passes);
    close_rank(&s);
    give_back();
    if (status != CORE_OK)
        har_case_result_free(out);
    return status;
}

void har_case_result_free(har_case_result *result)
{
    for (int i = 0; i < result->n_pass; i++)
        har_pass_free(&result->pass[i]);
    result->n_pass = 0;
}

/* What was counted or moved wrongly, unless taps differ: they say more. */
static void judge_dealing(har_case_result *out)
{
    if (out->dealt.wrong[0] == '\0')
        return;
    if (!har_verdict_is_bad(out->verdict))
        snprintf(out->reason, sizeof out->reason, "%s", out->dealt.wrong);
    out->verdict = HAR_FAIL;
}

/* Pass `number` of a run: prompts of its own, in a reference of its own. */
static core_status verify_next(rank_state *s, har_case_result *out,
                               core_batch *batch, int number)
{
    har_job *job = s->job;
    const core_batch *first = job->batch;
    const uint64_t seed = job->seed;
    core_status status = CORE_OK;
    har_job_drop_references(job);
    job->n_redraw = 0;
    job->drift.n_pass = number;
    job->plan = NULL; /* everything takes part anew */
    if (number > 0) {
        job->seed += (uint64_t)number * (HAR_MAX_REDRAWS + 1);
        status =
            har_job_draw(batch, job, first->n_b, first->n_t, job->seed);
        job->batch = batch;
    }
    status = par_agree(s->comm, status);
    begin_result(out, job, CORE_EXACT);
    out->dealt.number = number;
    if (status == CORE_OK)
        status = verify(s, out, &s->dealer->plan, HAR_PASSES_USUAL);
    close_case(s);
    job->batch = first;
    job->seed = seed;
    return status;
}

/* Behind the first pass: can weights move? */
static core_status check_kept(const rank_state *s)
{
    core_status status = CORE_OK;
    if (!par_keeps_experts(s->model))
        status = core_fail(CORE_E_MEMORY,
                           "--passes: experts move from memory to memory, and "
                           "there is no room to keep them; verify fewer layers "
                           "(--layers)");
    return par_agree(s->comm, status);
}

core_status har_job_verify_passes(har_case_result *out, har_job *job,
                                  par_comm *comm, const par_plan *plan,
                                  int n_pass, int n_node)
{
    rank_state s = {.comm = comm, .job = job, .arena = core_arena_measure()};
    har_dealer dealer = {.arena = core_arena_measure()};
    core_batch batch = {0};
    core_status status =
        par_layout_make(&s.layout, &s.arena, job->spec, plan, comm->rank);
    if (status == CORE_OK)
        status = har_dealer_open(&dealer, job->spec, &s.layout, n_node);
    status = par_agree(comm, status);
    s.dealer = &dealer;
    bool is_right = true;
    for (int i = 0; i < n_pass && status == CORE_OK && is_right; i++) {
        status = verify_next(&s, &out[i], &batch, i);
        if (status == CORE_OK && i == 0)
            status = check_kept(&s);
        s.is_first = true; /* what moves is in the trace, too */
        if (status == CORE_OK && i + 1 < n_pass)
            status = har_dealer_move(&dealer, &out[i].dealt, comm, s.model,
                                     &s.layout);
        if (status == CORE_OK)
            judge_dealing(&out[i]);
        is_right = out[i].dealt.wrong[0] == '\0';
        core_batch_free(&batch);
    }
    close_rank(&s);
    har_dealer_close(&dealer);
    job->plan = NULL;
    give_back();
    for (int i = 0; i < n_pass && status != CORE_OK; i++)
        har_case_result_free(&out[i]);
    return status;
}

core_status har_case_gradients(har_case_result *out, har_job *job,
                               par_comm *comm, const par_plan *plan)
{
    if (har_verdict_is_bad(out->verdict))
        return CORE_OK; /* wrong values have no right gradients */
    CORE_TRY(har_job_gradients(&out->grad, job, comm, plan));
    if (out->grad.verdict <= out->verdict)
        return CORE_OK;
    out->verdict = out->grad.verdict;
    memcpy(out->reason, out->grad.reason, sizeof out->reason);
    return CORE_OK;
}
