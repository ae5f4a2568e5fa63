/* harness/verify/verify.c -- the flow of one case, see verify.h.
 *
 * Every step that can fail on one rank ends with par_agree, so that all ranks
 * take the same branch; between two agreements nobody leaves.
 */
#include "harness/verify/verify.h"

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "harness/verify/choosing.h"
#include "harness/verify/estimate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- the reference --- */

static void show_progress(void *self, double fraction)
{
    par_at(self, "reference", 0);
    par_set_fraction(self, fraction);
}

static core_status run_reference(har_job *job, par_comm *comm,
                                 const core_groups *groups, core_tapfile *file,
                                 har_reference_entry *entry)
{
    const ref_options options = {har_n_cores(), har_memory_available() / 2,
                                 core_has_bounds(entry->numerics),
                                 show_progress, comm};
    ref_model *model = NULL;
    core_tap_sink sink = {0};
    CORE_TRY(core_tapfile_sink(&sink, file, ""));
    core_status status = ref_model_open(&model, job->spec, job->weights,
                                        entry->numerics, &options);
    if (status == CORE_OK)
        status = ref_forward(model, job->batch, groups, &sink, &entry->stats);
    ref_model_close(model);
    free(sink.self);
    return status;
}

static core_status make_reference(har_job *job, par_comm *comm,
                                  const par_plan *plan,
                                  har_reference_entry *entry)
{
    const core_tapfile_part part = {"", job->batch->n_b, job->batch->n_t, NULL};
    core_tapfile *file = NULL;
    core_groups groups = {0, NULL};
    CORE_TRY(par_layout_groups(&groups, plan, job->batch->n_b));
    core_status status = core_tapfile_create(
        &file, entry->path, job->spec, entry->numerics, false,
        core_has_bounds(entry->numerics), &part, 1, NULL);
    if (status == CORE_OK)
        status = run_reference(job, comm, &groups, file, entry);
    if (status == CORE_OK && !entry->stats.exact &&
        entry->numerics == CORE_EXACT)
        status = core_fail(CORE_E_EXACT,
                           "reference: %s; verify fewer layers "
                           "(--layers) or with --numerics fp32",
                           entry->stats.not_exact);
    if (status == CORE_OK)
        status = core_tapfile_commit(file);
    core_tapfile_close(file);
    free((void *)(uintptr_t)groups.first_row);
    return status;
}

/* The token groups matter only where something is counted within them. */
static int64_t group_key(const core_spec *spec, const par_plan *plan)
{
    const int64_t n_part = (int64_t)plan->rounds * plan->dp * plan->mb;
    return spec->capacity.domain == CORE_DOMAIN_GROUP ? n_part : 0;
}

static const har_reference_entry *
find_reference(const har_job *job, int64_t key, core_numerics numerics)
{
    for (int i = 0; i < job->n_reference; i++)
        if (job->reference[i].n_part == key &&
            job->reference[i].numerics == numerics)
            return &job->reference[i];
    return NULL;
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

/* Make or find the reference on rank 0 and tell everybody about it. */
static core_status get_reference(har_job *job, par_comm *comm,
                                 const par_plan *plan, core_numerics numerics,
                                 har_reference_entry *entry, bool *was_made)
{
    const int64_t key = group_key(job->spec, plan);
    core_status status = CORE_OK;
    memset(entry, 0, sizeof *entry);
    *was_made = false;
    if (comm->rank == 0) {
        const har_reference_entry *known = find_reference(job, key, numerics);
        if (known != NULL) {
            *entry = *known;
        } else if (job->n_reference == HAR_MAX_REFERENCES) {
            status = core_fail(CORE_E_USAGE,
                               "more than %d different token groups in one run",
                               HAR_MAX_REFERENCES);
        } else {
            entry->n_part = key;
            entry->numerics = numerics;
            snprintf(entry->path, sizeof entry->path,
                     "%s/reference-%ld-%d.taps", job->folder, (long)getpid(),
                     job->n_reference);
            *was_made = true;
            status = make_reference(job, comm, plan, entry);
            if (status == CORE_OK)
                job->reference[job->n_reference++] = *entry;
        }
    }
    status = par_agree(comm, status);
    if (status != CORE_OK)
        return status;
    par_broadcast(comm, &comm->world, entry, (int64_t)sizeof *entry, 0);
    par_broadcast(comm, &comm->world, was_made, (int64_t)sizeof *was_made, 0);
    return CORE_OK;
}

void har_job_close(har_job *job)
{
    for (int i = 0; i < job->n_reference; i++)
        unlink(job->reference[i].path);
    job->n_reference = 0;
}

/* --- the emulation --- */

typedef struct rank_state { /* of one rank during a case                      */
    par_comm *comm;
    har_job *job;
    core_arena arena;
    par_layout layout;
    core_tapfile *file;
    uint8_t **live;
    double *correction; /* of the router, all layers; NULL: none              */
    size_t budget;
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
                        .work_bytes = (size_t)(largest[1] - weight)};
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

static core_status forward(rank_state *s, har_case_result *out,
                           har_watch *watch, par_stats *stats)
{
    const par_observer observer = har_watch_observer(watch);
    const bool is_first = out->n_pass == 0;
    const par_options options = {s->budget, &observer,
                                 is_first ? s->job->tick : NULL,
                                 s->job->tick_self,
                                 is_first ? s->job->cost : NULL,
                                 s->job->cost_self};
    const double start = core_seconds(CLOCK_MONOTONIC);
    par_model *model = NULL;
    core_status status = par_agree(
        s->comm, par_model_open(&model, s->comm, &s->layout, s->job->spec,
                                s->job->weights, out->numerics, &options));
    if (is_first)
        out->startup_seconds = core_seconds(CLOCK_MONOTONIC) - start;
    if (status == CORE_OK)
        status = par_forward(model, s->job->batch, stats);
    par_model_close(model);
    return status;
}

/* Which experts the first differing choices went to, by the reference. */
static void name_experts(har_pass *pass, const core_tapfile *file)
{
    for (int64_t i = 0; i < pass->n_tap; i++) {
        har_tap_result *t = &pass->tap[i];
        const core_tap idx = {CORE_TAP_TOPK_IDX, t->tap.layer};
        if (t->first_rank >= 0 &&
            core_tap_row_kind(t->tap.kind) == CORE_ROWS_CHOICE)
            t->expert = har_reference_int(
                core_tapfile_find(file, "", idx, false), t->diff.first.row);
    }
}

/* One pass: run, merge, and check what needs no reference. */
static core_status run_pass(rank_state *s, har_case_result *out, har_mode mode)
{
    const core_batch *batch = s->job->batch;
    har_pass *pass = &out->pass[out->n_pass];
    int64_t bytes_before[PAR_N_OP_KINDS];
    par_stats stats;
    har_watch *watch = NULL;
    memset(&stats, 0, sizeof stats);
    memcpy(bytes_before, s->comm->n_bytes, sizeof bytes_before);
    core_status status = par_agree(
        s->comm, har_watch_open(&watch, s->job->spec, out->numerics, mode,
                                s->file, batch->n_b * batch->n_t));
    if (status == CORE_OK) {
        watch->correction = s->correction;
        status = forward(s, out, watch, &stats);
    }
    if (status == CORE_OK && !stats.is_written)
        har_watch_unwritten(watch, stats.unwritten);
    if (status == CORE_OK) {
        par_at(s->comm, "verdict", 0);
        status = har_pass_agree(pass, s->comm, watch, s->live);
        if (status == CORE_OK)
            name_experts(pass, s->file);
    }
    har_watch_close(watch);
    if (status != CORE_OK)
        return status;
    out->n_pass++;
    har_totals totals;
    merge_totals(&totals, s->comm, &stats, bytes_before);
    out->is_conserved &= is_conserved(&totals, &out->routing, pass);
    if (out->n_pass == 1)
        out->totals = totals;
    if (!har_verdict_is_bad(pass->verdict) && out->numerics == CORE_EXACT &&
        !stats.exact)
        status = core_fail(CORE_E_EXACT,
                           "%s; verify fewer layers (--layers) or "
                           "with --numerics fp32",
                           stats.not_exact);
    return par_agree(s->comm, status);
}

/* Why the first bad tap of a pass is bad. */
static void give_reason(har_case_result *out, const har_pass *pass)
{
    char name[CORE_NAME_BYTES], grade[HAR_PRECISION_TEXT];
    const har_tap_result *tap = &pass->tap[pass->first];
    core_tap_name(tap->tap, name);
    if (tap->verdict == HAR_PRECISION)
        snprintf(out->reason, sizeof out->reason, "%s: %s", name,
                 har_precision_format(&tap->grade, pass->numerics, grade));
    else
        snprintf(out->reason, sizeof out->reason, "%s %s", name,
                 tap->fault == HAR_FAULT_NO_TAP
                     ? "is shown, and the reference has no such tap"
                 : tap->fault == HAR_FAULT_POISON
                     ? "takes in what was never written (NaN)"
                     : "differs");
}

/* The first bad pass decides: what a later one finds may follow from it, as the
 * choices of a router that is imprecise do.                                  */
static void conclude(har_case_result *out)
{
    out->verdict = HAR_PASS;
    for (int i = 0; i < out->n_pass && !har_verdict_is_bad(out->verdict); i++) {
        const har_pass *pass = &out->pass[i];
        if (har_verdict_is_bad(pass->verdict))
            give_reason(out, pass);
        if (pass->verdict > out->verdict)
            out->verdict = pass->verdict;
    }
    if (!out->is_conserved) {
        if (!har_verdict_is_bad(out->verdict))
            snprintf(out->reason, sizeof out->reason,
                     "choices dispatched, received and returned do not add up");
        out->verdict = HAR_FAIL;
    }
    if (!out->is_telling && !har_verdict_is_bad(out->verdict)) {
        out->verdict = HAR_UNPROVEN;
        snprintf(out->reason, sizeof out->reason, "%s", out->vacuity);
    }
    const har_axis equal = har_distinct_next(&out->distinct, -1);
    if (equal != HAR_N_AXES && out->verdict < HAR_UNPROVEN) {
        char text[HAR_DISTINCT_TEXT];
        out->verdict = HAR_UNPROVEN;
        snprintf(out->reason, sizeof out->reason,
                 "%s, so agreement would prove nothing about %s",
                 har_distinct_format(&out->distinct, equal, text),
                 har_axis_degree(equal));
    }
}

static core_status run_passes(rank_state *s, har_case_result *out,
                              har_passes passes)
{
    if (passes == HAR_PASSES_FORCED)
        return run_pass(s, out, HAR_FORCED);
    if (core_has_bounds(out->numerics)) {
        CORE_TRY(run_pass(s, out, HAR_FORCED));
        return run_pass(s, out, HAR_FORCED_ROUTING);
    }
    CORE_TRY(run_pass(s, out, HAR_FREE));
    if (har_verdict_is_bad(out->pass[0].verdict))
        return run_pass(s, out, HAR_FORCED);
    return CORE_OK;
}

/* Map the reference and learn from it what the passes need. */
static core_status open_reference(rank_state *s, har_case_result *out,
                                  const char *path)
{
    const int64_t n_token = out->n_token;
    const core_spec *spec = s->job->spec;
    CORE_TRY(core_tapfile_open(&s->file, path, spec, false, false));
    CORE_TRY(har_live_make(&s->live, spec, s->file, n_token));
    CORE_TRY(har_corrections_make(&s->correction, spec, s->job->weights));
    CORE_TRY(har_routing_read(&out->routing, spec, s->correction, s->file,
                              n_token));
    out->is_telling = true;
    if (s->comm->rank == 0)
        out->is_telling =
            har_taps_are_telling(spec, s->file, n_token, s->live, out->vacuity);
    return CORE_OK;
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

static core_status verify(rank_state *s, har_case_result *out,
                          const par_plan *plan, har_passes passes)
{
    har_reference_entry entry;
    CORE_TRY(prepare_weights(s->job, s->comm, out->numerics));
    CORE_TRY(find_equal(s, out, plan));
    CORE_TRY(get_reference(s->job, s->comm, plan, out->numerics, &entry,
                           &out->reference_was_made));
    out->reference = entry.stats;
    out->reference_bytes = reference_bytes(s->job->spec, s->job->batch);
    CORE_TRY(par_agree(s->comm, open_reference(s, out, entry.path)));
    par_broadcast(s->comm, &s->comm->world, &out->is_telling,
                  (int64_t)sizeof out->is_telling, 0);
    par_broadcast(s->comm, &s->comm->world, out->vacuity,
                  (int64_t)sizeof out->vacuity, 0);
    s->budget = har_weight_budget(plan, har_memory_available());
    par_broadcast(s->comm, &s->comm->world, &s->budget,
                  (int64_t)sizeof s->budget, 0);
    CORE_TRY(par_agree(s->comm,
                       par_layout_make(&s->layout, &s->arena, s->job->spec,
                                       plan, s->comm->rank)));
    CORE_TRY(run_passes(s, out, passes));
    conclude(out);
    return CORE_OK;
}

core_status har_job_verify(har_case_result *out, har_job *job, par_comm *comm,
                           const par_plan *plan, core_numerics numerics,
                           har_passes passes)
{
    rank_state s = {comm, job, core_arena_measure(), {.size = 0}, NULL,
                    NULL, NULL, 0};
    memset(out, 0, sizeof *out);
    out->numerics = numerics;
    out->is_conserved = true;
    out->n_token = job->batch->n_b * job->batch->n_t;
    const core_status status = verify(&s, out, plan, passes);
    har_live_free(s.live, job->spec);
    free(s.correction);
    core_tapfile_close(s.file);
    core_arena_free(&s.arena);
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
