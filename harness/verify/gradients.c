/* harness/verify/gradients.c -- the flow of the pass back, see gradients.h.
 *
 * As in verify.c, every step that can fail on one rank ends with par_agree.  On
 * every host the leader makes the reference's file: it is the same everywhere.
 */
#include "harness/verify/gradients.h"

#include "core/base/arena.h"
#include "harness/verify/gradwatch.h"
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
    const ref_options options = {.n_threads = har_n_cores()};
    core_groups groups = {0};
    ref_model *model = NULL;
    core_status status = par_layout_groups(&groups, b->plan, b->batch->n_b);
    if (status == CORE_OK)
        status = ref_model_open(&model, b->job->spec, b->job->weights,
                                CORE_EXACT, &options);
    if (status == CORE_OK)
        status =
            har_gradfile_write(b->path, b->job->spec, &b->list, model, b->batch,
                               &groups, b->job->seed, &b->reference);
    ref_model_close(model);
    free((void *)groups.first_row);
    if (status == CORE_OK && !b->reference.exact)
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
    snprintf(b->path, sizeof b->path, "%s/gradients.%lld.safetensors",
             b->job->folder, (long long)n_part);
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

static void record(void *self, const par_piece *piece)
{
    par_tape_record(self, piece);
}

static core_status run_forward(back *b)
{
    const core_spec *spec = b->job->spec;
    core_status status =
        par_layout_make(&b->layout, &b->arena, spec, b->plan, b->comm->rank);
    if (status == CORE_OK)
        status = par_tape_open(&b->tape, &b->layout, spec, b->n_token);
    const par_observer observer = {b->tape, record};
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
        har_grad_fault fault = {.grad = b->list.grad[i], .first_rank = -1};
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

/* Experts without a row have gradients of zeros, which is counted.           */
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
        out->n_expert += is_down;
        out->n_idle += is_down && is_quiet;
        if (is_expert || !is_quiet || out->verdict != HAR_PASS)
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
        snprintf(out->reason, sizeof out->reason, "%s %s",
                 core_grad_name(f->grad, name),
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

static core_status run(back *b, har_grad_result *out)
{
    CORE_TRY(make_reference(b));
    CORE_TRY(run_forward(b));
    CORE_TRY(run_backward(b));
    CORE_TRY(agree(b, out));
    add_figures(b, out);
    if (b->comm->rank == 0)
        qualify(b, out);
    par_broadcast(b->comm, &b->comm->world, out, (int64_t)sizeof *out, 0);
    core_status status = CORE_OK;
    if (out->verdict != HAR_FAIL && !b->stats.exact)
        status = core_fail(CORE_E_EXACT, "%s; verify fewer layers (--layers)",
                           b->stats.not_exact);
    return par_agree(b->comm, status);
}

core_status har_job_gradients(har_grad_result *out, har_job *job,
                              par_comm *comm, const par_plan *plan)
{
    const core_batch *batch = har_job_batch(job);
    back b = {.job = job,
              .comm = comm,
              .plan = plan,
              .batch = batch,
              .n_token = batch->n_b * batch->n_t,
              .arena = core_arena_measure()};
    *out = (har_grad_result){.is_there = true, .verdict = HAR_PASS};
    const core_status status = run(&b, out);
    har_gradwatch_close(&b.watch);
    par_model_close(b.model);
    par_tape_close(b.tape);
    core_st_close(b.file);
    har_gradlist_free(&b.list);
    core_arena_free(&b.arena);
    if (b.is_keeper && !job->keeps_files)
        unlink(b.path);
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
