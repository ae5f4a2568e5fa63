/* harness/verify/gradients.c -- the flow of the pass back, see gradients.h.
 *
 * As in verify.c, every step that can fail on one rank ends with par_agree.  On
 * every host the leader makes the reference's file: it is the same everywhere.
 * Where a clean pass left experts idle, both go there and back once more with
 * the routing dealt, as in the exercise of taps; every rank deals for itself.
 */
#include "harness/verify/gradients.h"

#include "core/base/arena.h"
#include "harness/verify/estimate.h"
#include "harness/verify/gradwatch.h"
#include "parallel/deal.h"
#include "parallel/hosts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct back { /* of one rank                                          */
    har_job *job;
    par_comm *comm;
    const par_plan *plan;
    const core_batch *batch;
    const par_deal *deal; /* of the exercise; NULL: the router chooses        */
    uint8_t *idle; /* [experts of all layers] on rank 0: without a row so far */
    int64_t n_token;
    char path[HAR_PATH_BYTES];
    bool is_keeper; /* of this host's file                                    */
    har_gradlist list;
    core_st *file;
    core_arena arena;
    par_layout layout;
    par_tape *tape;
    par_model *model;
    har_gradwatch watch;
    ref_stats reference;
    par_grad_stats stats;
} back;

/* --- the reference --- */

static core_status write_file(back *b)
{
    const har_limits here = har_limits_read(""); /* job->limits are rank 0's */
    const ref_options options = {
        .n_threads = har_reference_threads(b->job->spec, CORE_EXACT,
                                           b->batch->n_b, b->batch->n_t, &here,
                                           0)};
    core_groups groups = {0};
    ref_model *model = NULL;
    core_status status = par_layout_groups(&groups, b->plan, b->batch->n_b);
    if (status == CORE_OK)
        status = ref_model_open(&model, b->job->spec, b->job->weights,
                                CORE_EXACT, &options);
    ref_dealt dealt = {0};
    if (b->deal != NULL)
        dealt = (ref_dealt){b->deal->expert, b->deal->weight};
    const har_gradpass pass = {b->batch, &groups,
                               b->deal != NULL ? &dealt : NULL, b->job->seed};
    if (status == CORE_OK)
        status = har_gradfile_write(b->path, b->job->spec, &b->list, model,
                                    &pass, &b->reference);
    ref_model_close(model);
    core_groups_free(&groups);
    if (status == CORE_OK && !b->reference.exact && b->deal == NULL)
        status = core_fail(CORE_E_EXACT,
                           "the reference: %s; verify fewer layers (--layers)",
                           b->reference.not_exact);
    return status;
}

static core_status make_reference(back *b)
{
    const int64_t n_part = (int64_t)b->plan->rounds * b->plan->dp * b->plan->mb;
    par_hosts hosts;
    CORE_TRY(par_hosts_make(&hosts, b->comm));
    snprintf(b->path, sizeof b->path, "%s/gradients%s.%lld.safetensors",
             b->job->folder, b->deal != NULL ? ".exercise" : "",
             (long long)n_part);
    b->is_keeper = par_hosts_leads(&hosts);
    par_hosts_free(&hosts);
    core_status status = har_gradlist_make(&b->list, b->job->spec);
    if (status == CORE_OK && b->is_keeper) {
        par_at(b->comm, "gradients of the reference", 0);
        status = write_file(b);
    }
    CORE_TRY(par_agree(b->comm, status));
    par_broadcast(b->comm, &b->comm->world, &b->reference,
                  (int64_t)sizeof b->reference, 0);
    status = core_st_open(&b->file, b->path);
    return par_agree(b->comm, status);
}

/* --- the emulation --- */

/* What the deal decides, not the router. */
static void take_dealt(const par_deal *deal, int64_t n_k,
                       const par_piece *piece)
{
    for (int64_t i = 0; i < piece->n_row; i++)
        for (int64_t k = 0; k < piece->n_col; k++) {
            const int64_t from = piece->row_ids[i] * n_k + piece->col0 + k;
            const int64_t to = i * piece->ld + k;
            if (piece->ints != NULL)
                piece->ints[to] = deal->expert[from];
            else
                piece->values[to] = deal->weight[from];
        }
}

static void record(void *self, const par_piece *piece)
{
    const back *b = self;
    const core_tap_kind kind = piece->tap.kind;
    if (b->deal != NULL &&
        (kind == CORE_TAP_TOPK_IDX || kind == CORE_TAP_TOPK_WEIGHT))
        take_dealt(b->deal, b->job->spec->n_k, piece);
    par_tape_record(b->tape, piece);
}

static core_status run_forward(back *b)
{
    const core_spec *spec = b->job->spec;
    core_status status =
        par_layout_make(&b->layout, &b->arena, spec, b->plan, b->comm->rank);
    if (status == CORE_OK)
        status = par_tape_open(&b->tape, &b->layout, spec, b->n_token);
    const par_observer observer = {b, record};
    const par_options options = {.observer = &observer};
    par_stats stats;
    if (status == CORE_OK)
        status = par_model_open(&b->model, b->comm, &b->layout, spec,
                                b->job->weights, CORE_EXACT, &options);
    CORE_TRY(par_agree(b->comm, status));
    status = par_forward(b->model, b->batch, &stats);
    par_model_close(b->model);
    b->model = NULL;
    return status;
}

static core_status run_backward(back *b)
{
    core_status status = har_gradwatch_open(&b->watch, b->job->spec, &b->list,
                                            b->file, b->n_token);
    CORE_TRY(par_agree(b->comm, status));
    const par_grad_observer observer = har_gradwatch_observer(&b->watch);
    return par_backward(b->comm, &b->layout, b->job->spec, b->job->weights,
                        b->batch, b->tape, b->job->seed, &observer, &b->stats);
}

/* --- what all ranks found --- */

/* Sums over ranks, of every gradient. */
typedef struct sums {
    uint64_t n_different, n_poison, n_rank;
    har_cover cover;
} sums;

static bool is_choice(core_grad grad)
{
    return !grad.is_weight &&
           core_tap_row_kind(grad.tap.kind) == CORE_ROWS_CHOICE;
}

/* By what was shown: coverage, and copies that ought to be equal. */
static unsigned faults_of_cover(const back *b, int64_t i, const sums *all,
                                uint8_t *live)
{
    uint64_t once[HAR_COVER_BLOCKS];
    const core_grad grad = b->list.grad[i];
    const core_st_tensor *t = b->watch.tensor[i];
    const uint8_t *rows = NULL;
    unsigned fault = 0;
    if (is_choice(grad)) {
        har_gradfile_live(b->file, grad.tap.layer, t->shape[0], live);
        rows = live;
    }
    har_cover_expect(once, rows, t->shape[0], t->shape[1]);
    for (int k = 0; k < HAR_COVER_BLOCKS; k++) {
        if (all->cover.once[k] != once[k] || all->cover.balance[k] != 0)
            fault |= HAR_FAULT_COVERAGE;
        if (all->cover.replica[k] != 0)
            fault |= HAR_FAULT_REPLICA;
    }
    return fault;
}

/* Who has the first different element, and what it is. */
static void find_first(const back *b, int64_t i, har_grad_fault *fault)
{
    const har_grad_seen *mine = &b->watch.seen[i];
    par_comm *comm = b->comm;
    double first = mine->first >= 0 ? -(double)mine->first : -HUGE_VAL;
    double ratio[2] = {-mine->least, mine->most}, value[2];
    par_all_reduce(comm, &comm->world, &first, 1, PAR_MAX, CORE_FP64);
    par_all_reduce(comm, &comm->world, ratio, 2, PAR_MAX, CORE_FP64);
    if (!(first > -HUGE_VAL))
        return; /* nobody: something is missing, or there twice */
    double rank = mine->first >= 0 && -(double)mine->first == first
                      ? -comm->rank
                      : -HUGE_VAL;
    par_all_reduce(comm, &comm->world, &rank, 1, PAR_MAX, CORE_FP64);
    value[0] = mine->expected;
    value[1] = mine->found;
    fault->first_rank = (int)-rank;
    par_broadcast(comm, &comm->world, value, (int64_t)sizeof value,
                  fault->first_rank);
    const int64_t at = (int64_t)-first, n_col = b->watch.tensor[i]->shape[1];
    fault->row = at / n_col;
    fault->col = at % n_col;
    fault->expected = value[0];
    fault->found = value[1];
    if (ratio[1] + ratio[0] <= 0x1p-9 && ratio[1] > -HUGE_VAL)
        fault->ratio = ratio[1];
}

static void judge(const back *b, har_grad_result *out, const sums *all,
                  uint8_t *live)
{
    for (int64_t i = 0; i < b->list.n; i++) {
        har_grad_fault fault = {.grad = b->list.grad[i],
                                .in_exercise = b->deal != NULL,
                                .first_rank = -1};
        fault.n_element = b->watch.tensor[i]->n;
        fault.n_different = (int64_t)all[i].n_different;
        fault.n_rank = (int)all[i].n_rank;
        fault.fault = faults_of_cover(b, i, &all[i], live);
        fault.fault |= all[i].n_different > 0 ? HAR_FAULT_VALUE : 0U;
        fault.fault |= all[i].n_poison > 0 ? HAR_FAULT_POISON : 0U;
        out->n_element += fault.n_element;
        if (fault.fault == 0)
            continue;
        if (out->n_bad++ == 0)
            out->verdict = HAR_FAIL;
        if (out->n_named == HAR_MAX_GRAD_FAULTS)
            continue;
        find_first(b, i, &fault);
        out->bad[out->n_named++] = fault;
    }
}

/* Does the gradient say nothing: is it all zero, or every row of it that is not
 * zero the same?  A vector has one row.                                      */
static bool says_nothing(const core_st_tensor *t)
{
    const int64_t n_col = t->shape[1];
    const double *x = t->data, *first = NULL;
    for (int64_t r = 0; r < t->shape[0]; r++) {
        const double *row = x + r * n_col;
        if (core_largest(row, n_col) == 0.0)
            continue;
        if (first != NULL &&
            memcmp(first, row, (size_t)n_col * sizeof *row) != 0)
            return false;
        first = row;
    }
    return first == NULL || t->shape[0] > 1;
}

/* Experts without a row have gradients of zeros, which is counted: in the exercise
 * those that had none before either.                                         */
static void qualify(const back *b, har_grad_result *out)
{
    char name[CORE_GRAD_NAME_BYTES];
    for (int64_t i = 0; i < b->list.n; i++) {
        const core_grad grad = b->list.grad[i];
        const bool is_expert =
            grad.is_weight &&
            core_weight_scope_of(grad.weight.kind) == CORE_SCOPE_EXPERT;
        const bool is_down =
            is_expert && grad.weight.kind == CORE_W_EXPERT_DOWN;
        const bool is_quiet =
            (!is_expert || is_down) && says_nothing(b->watch.tensor[i]);
        if (is_down) {
            uint8_t *idle = &b->idle[out->n_expert++];
            *idle = is_quiet && (b->deal == NULL || *idle);
            out->n_idle += *idle;
        }
        if (is_expert || !is_quiet || out->verdict != HAR_PASS ||
            b->deal != NULL) /* of few tokens, for the experts' sake */
            continue;
        out->verdict = HAR_UNPROVEN;
        snprintf(out->reason, sizeof out->reason,
                 "%s: its rows are zero or all alike, so agreement would prove "
                 "nothing",
                 core_grad_name(grad, name));
    }
}

static void give_reason(har_grad_result *out)
{
    const har_grad_fault *f = &out->bad[0];
    char name[CORE_GRAD_NAME_BYTES];
    if (out->n_named > 0)
        snprintf(out->reason, sizeof out->reason, "%s%s %s",
                 core_grad_name(f->grad, name),
                 f->in_exercise ? ", in the exercise," : "",
                 (f->fault & HAR_FAULT_POISON) != 0
                     ? "takes in what was never written (NaN)"
                     : "differs");
}

/* Every rank's sums, then the same verdict everywhere. */
static core_status agree(const back *b, har_grad_result *out)
{
    void *all = NULL, *live = NULL;
    core_status status =
        core_alloc(&all, b->list.n, sizeof(sums), "gradients of all ranks");
    if (status == CORE_OK)
        status = core_alloc(&live, b->n_token * b->job->spec->n_k + 1, 1,
                            "choices with a row");
    status = par_agree(b->comm, status);
    if (status == CORE_OK) {
        sums *s = all;
        for (int64_t i = 0; i < b->list.n; i++) {
            const har_grad_seen *seen = &b->watch.seen[i];
            s[i] = (sums){(uint64_t)seen->n_different, (uint64_t)seen->n_poison,
                          seen->n_different > 0, seen->cover};
        }
        par_all_reduce_u64(b->comm, &b->comm->world, all,
                           b->list.n * (int64_t)(sizeof *s / sizeof(uint64_t)));
        judge(b, out, all, live);
        give_reason(out);
    }
    free(all);
    free(live);
    return status;
}

static void add_figures(const back *b, har_grad_result *out)
{
    double seconds = b->stats.wall_seconds, waited = b->stats.wait_seconds;
    uint64_t sent[PAR_N_GRAD_AXES];
    for (int i = 0; i < PAR_N_GRAD_AXES; i++)
        sent[i] = (uint64_t)b->stats.n_sent[i];
    par_all_reduce_u64(b->comm, &b->comm->world, sent, PAR_N_GRAD_AXES);
    par_all_reduce(b->comm, &b->comm->world, &seconds, 1, PAR_MAX, CORE_FP64);
    par_all_reduce(b->comm, &b->comm->world, &waited, 1, PAR_SUM, CORE_FP64);
    for (int i = 0; i < PAR_N_GRAD_AXES; i++)
        out->n_sent[i] = (int64_t)sent[i];
    out->n_grad = b->list.n;
    out->bits = b->reference.bits;
    out->reference_seconds = b->reference.wall_seconds;
    out->wall_seconds = seconds;
    out->wait_seconds = waited;
}

/* Of a rank at least a sum does not fit. */
static bool is_too_large(const back *b)
{
    uint64_t n = !b->stats.exact;
    par_all_reduce_u64(b->comm, &b->comm->world, &n, 1);
    return n > 0;
}

static core_status run(back *b, har_grad_result *out)
{
    CORE_TRY(make_reference(b));
    if (!b->reference.exact) /* an exercise, which is left out then */
        return CORE_OK;
    CORE_TRY(run_forward(b));
    CORE_TRY(run_backward(b));
    CORE_TRY(agree(b, out));
    add_figures(b, out);
    if (b->comm->rank == 0)
        qualify(b, out);
    par_broadcast(b->comm, &b->comm->world, out, (int64_t)sizeof *out, 0);
    core_status status = CORE_OK;
    out->is_exact = !is_too_large(b);
    if (out->verdict != HAR_FAIL && !b->stats.exact && b->deal == NULL)
        status = core_fail(CORE_E_EXACT, "%s; verify fewer layers (--layers)",
                           b->stats.not_exact);
    return par_agree(b->comm, status);
}

static void close_back(back *b)
{
    har_gradwatch_close(&b->watch);
    par_model_close(b->model);
    par_tape_close(b->tape);
    core_st_close(b->file);
    har_gradlist_free(&b->list);
    core_arena_free(&b->arena);
    if (b->is_keeper && !b->job->keeps_files)
        unlink(b->path);
}

static core_status go_back(har_grad_result *out, har_job *job, par_comm *comm,
                           const par_plan *plan, const core_batch *batch,
                           const par_deal *deal, uint8_t *idle)
{
    back b = {.job = job,
              .comm = comm,
              .plan = plan,
              .batch = batch,
              .deal = deal,
              .idle = idle,
              .n_token = batch->n_b * batch->n_t,
              .arena = core_arena_measure()};
    const core_status status = run(&b, out);
    close_back(&b);
    return status;
}

/* --- the exercise --- */

/* What it found beside the pass before. */
static void add_exercise(har_grad_result *out, const har_grad_result *found)
{
    out->was_exercised = found->is_exact || found->verdict == HAR_FAIL;
    if (!out->was_exercised)
        return;
    out->n_left = found->n_idle;
    out->exercise_seconds = found->wall_seconds;
    if (found->verdict != HAR_FAIL)
        return;
    out->verdict = found->verdict;
    memcpy(out->reason, found->reason, sizeof out->reason);
    out->n_bad = found->n_bad;
    out->n_named = found->n_named;
    memcpy(out->bad, found->bad, sizeof out->bad);
}

static core_status deal_out(par_deal *deal, core_batch *batch,
                            const har_job *job, const par_plan *plan)
{
    const core_batch *of = har_job_batch(job);
    CORE_TRY(par_deal_make(deal, job->spec, plan, of->n_b, of->n_t, job->seed));
    CORE_TRY(
        core_batch_make(batch, job->spec, of->n_b, deal->n_t, job->seed));
    memcpy((int64_t *)(uintptr_t)batch->ids, deal->id, /* ours */
           (size_t)(deal->n_b * deal->n_t) * sizeof *deal->id);
    return CORE_OK;
}

static core_status exercise(har_grad_result *out, har_job *job, par_comm *comm,
                            const par_plan *plan, uint8_t *idle)
{
    par_deal deal = {0};
    core_batch batch = {0};
    har_grad_result found = {.is_there = true, .verdict = HAR_PASS};
    core_status status =
        par_agree(comm, deal_out(&deal, &batch, job, plan));
    if (status == CORE_OK)
        status = go_back(&found, job, comm, plan, &batch, &deal, idle);
    if (status == CORE_OK)
        add_exercise(out, &found);
    core_batch_free(&batch);
    par_deal_free(&deal);
    return status;
}

core_status har_job_gradients(har_grad_result *out, har_job *job,
                              par_comm *comm, const par_plan *plan)
{
    const core_spec *spec = job->spec;
    const int64_t n_expert =
        core_spec_count_moe(spec, 0, (int)spec->n_l) * spec->n_e;
    void *idle = NULL;
    *out = (har_grad_result){.is_there = true, .verdict = HAR_PASS};
    core_status status =
        par_agree(comm, core_alloc(&idle, n_expert + 1, 1, "idle experts"));
    if (status == CORE_OK)
        status =
            go_back(out, job, comm, plan, har_job_batch(job), NULL, idle);
    if (status == CORE_OK && out->n_idle > 0 && out->verdict == HAR_PASS)
        status = exercise(out, job, comm, plan, idle);
    free(idle);
    return status;
}

core_status har_gradients_need(size_t *file_bytes, size_t *memory_bytes,
                               const core_spec *spec, const par_plan *plan,
                               int64_t n_b, int64_t n_t)
{
    const int n_rank = par_plan_world(plan);
    *file_bytes = har_gradfile_bytes(spec, n_b * n_t);
    *memory_bytes = ref_gradients_bytes(spec, n_b, n_t);
    for (int rank = 0; rank < n_rank; rank++) {
        core_arena arena = core_arena_measure();
        par_layout layout;
        CORE_TRY(par_layout_make(&layout, &arena, spec, plan, rank));
        *memory_bytes += par_backward_bytes(spec, &layout, n_b, n_t);
        core_arena_free(&arena);
    }
    return CORE_OK;
}
