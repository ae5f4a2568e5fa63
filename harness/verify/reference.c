/* harness/verify/reference.c -- see reference.h.
 *
 * One model is opened for all that is made of it.  What rank 0 knows at the end
 * is told in one piece; other ranks draw their batches themselves.  The files are
 * read by name: the leader of every other host writes them there again.
 */
#include "harness/verify/reference.h"

#include "core/base/arena.h"
#include "harness/launch/launch.h"
#include "harness/verify/bring.h"
#include "harness/verify/checkpoint.h"
#include "harness/verify/estimate.h"
#include "harness/verify/overflow.h"
#include "harness/verify/routing.h"
#include "harness/verify/spread.h"
#include "parallel/deal.h"
#include "parallel/hosts.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of the step that makes both. */
static const double MAIN_SHARE = 0.8;

/* What rank 0 makes references of. */
typedef struct maker {
    har_job *job;
    par_comm *comm;
    const par_plan *plan;
    core_numerics numerics;
    ref_model *model;
    double part0, part; /* of the step, that the pass at hand begins with and
                         * is                                                 */
} maker;

static void show_progress(void *self, double fraction)
{
    const maker *m = self;
    par_at(m->comm, "reference", 0);
    har_steps_done(&m->job->steps, m->part0 + m->part * fraction);
}

/* Not before a reference is made: the weights may all be read here. */
static core_status open_model(maker *m)
{
    if (m->model != NULL)
        return CORE_OK;
    const core_batch *batch = m->job->batch;
    const size_t files =
        2 * har_tap_bytes(m->job->spec, batch->n_b * batch->n_t, m->numerics);
    const int n_thread =
        har_reference_threads(m->job->spec, m->numerics, batch->n_b, batch->n_t,
                              m->job->limits, files);
    const size_t budget = har_reference_budget(
        m->job->spec, m->numerics, batch->n_b, batch->n_t, n_thread,
        m->job->limits, har_memory_available(), files);
    const ref_options options = {.n_threads = n_thread,
                                 .weight_budget_bytes = budget,
                                 .bounds = core_has_bounds(m->numerics),
                                 .progress = show_progress,
                                 .progress_self = m};
    return ref_model_open(&m->model, m->job->spec, m->job->weights, m->numerics,
                          &options);
}

/* A pass into an open file; dealt NULL: the router chooses.  Says too whether a
 * value went beyond all numbers, and at which tap; and how much its operators
 * round (spread NULL: nobody asks).                                          */
static core_status run(const maker *m, const core_batch *batch,
                       const ref_dealt *dealt, core_tapfile *file,
                       ref_stats *stats, har_overflow *overflow,
                       har_precision *spread)
{
    core_groups groups = {0};
    *overflow = (har_overflow){.spec = m->job->spec,
                               .n_token = batch->n_b * batch->n_t};
    const core_tap_sink sink = har_overflow_sink(overflow);
    CORE_TRY(core_tapfile_sink(&overflow->to, file, ""));
    core_status status =
        m->job->decode == NULL || dealt != NULL
            ? par_layout_groups(&groups, m->plan, batch->n_b)
            : har_decode_groups(&groups, m->job->decode, m->plan,
                                m->job->spec->capacity.domain);
    if (status == CORE_OK)
        status = dealt == NULL
                     ? ref_forward(m->model, batch, &groups, &sink, stats)
                     : ref_forward_dealt(m->model, batch, &groups, dealt, &sink,
                                         stats);
    if (status == CORE_OK && !overflow->is_found && spread != NULL)
        status = har_spread_make(spread, m->model, m->job->spec, m->numerics,
                                 batch, &groups, file);
    core_groups_free(&groups);
    free(overflow->to.self);
    if (status == CORE_OK && !overflow->is_found && m->numerics == CORE_EXACT &&
        !isfinite(stats->bits)) {
        overflow->is_found = true; /* in a sum, though no tap shows it */
        overflow->tap = stats->not_exact_tap;
    }
    return status;
}

/* A file in the checkpoint's folder must not stay there half written. */
static core_status create(core_tapfile **out, const maker *m, const char *path,
                          const core_batch *batch)
{
    const core_tapfile_part part = {"", batch->n_b, batch->n_t, NULL};
    const char *checkpoint = m->job->checkpoint;
    CORE_FAIL_IF(checkpoint != NULL && mkdir(checkpoint, 0777) != 0 &&
                     errno != EEXIST,
                 CORE_E_FILE, "--checkpoint: %s: %s", checkpoint,
                 strerror(errno));
    CORE_TRY(core_tapfile_create(out, path, m->job->spec, m->numerics, false,
                                 core_has_bounds(m->numerics), &part, 1, NULL));
    if (checkpoint != NULL)
        har_run_partial(core_tapfile_path(*out));
    return CORE_OK;
}

/* --- the batch's own --- */

static core_status look(har_reference_entry *entry, const maker *m,
                        const core_batch *batch, const core_tapfile *file)
{
    const int64_t n_token = batch->n_b * batch->n_t;
    uint8_t **live = NULL;
    CORE_TRY(har_live_make(&live, m->job->spec, file, n_token));
    const core_status status =
        har_taps_are_telling(&entry->is_telling, m->job->spec, file, n_token,
                             live, entry->vacuity);
    har_live_free(live, m->job->spec);
    return status;
}

static core_status make_entry(har_reference_entry *entry, maker *m)
{
    const core_batch *batch = har_job_batch(m->job);
    core_tapfile *file = NULL;
    har_overflow overflow;
    entry->n_redraw = m->job->n_redraw;
    entry->vacuity[0] = '\0';
    CORE_TRY(open_model(m));
    CORE_TRY(create(&file, m, entry->path, batch));
    core_status status =
        run(m, batch, NULL, file, &entry->stats, &overflow, entry->spread);
    if (status == CORE_OK && overflow.is_found)
        status = har_overflow_error(m->job->spec, m->job->weights, m->numerics,
                                    overflow.tap);
    if (status == CORE_OK && !entry->stats.exact &&
        entry->numerics == CORE_EXACT)
        status = core_fail(CORE_E_EXACT,
                           "reference: %s; verify fewer layers "
                           "(--layers) or with --numerics fp32",
                           entry->stats.not_exact);
    if (status == CORE_OK)
        status = look(entry, m, batch, file);
    if (status == CORE_OK)
        status = core_tapfile_commit(file);
    core_tapfile_close(file);
    return status;
}

static core_status take_spread(har_precision **spread, const maker *m)
{
    void *p = NULL;
    if (har_spread_draws(m->numerics) > 0)
        CORE_TRY(core_alloc(&p, core_taps(m->job->spec, NULL, 0),
                            sizeof **spread, "the spread of roundings"));
    *spread = p;
    return CORE_OK;
}

/* Taps with a spread: 0 where nobody draws. */
static int64_t n_spread(const maker *m)
{
    return har_spread_draws(m->numerics) > 0 ? core_taps(m->job->spec, NULL, 0)
                                             : 0;
}

/* Draw again until agreement would prove something; the last counts anyway. */
static core_status draw_main(har_reference_entry *entry, maker *m)
{
    har_job *job = m->job;
    CORE_TRY(take_spread(&entry->spread, m));
    core_status status = make_entry(entry, m);
    while (status == CORE_OK && !entry->is_telling &&
           job->n_redraw < HAR_MAX_REDRAWS) {
        unlink(entry->path);
        status = har_job_redraw(job, job->n_redraw + 1);
        if (status == CORE_OK)
            status = make_entry(entry, m);
    }
    if (status != CORE_OK)
        free(entry->spread);
    return status;
}

/* A reference of a batch that this run draws no more is made anew. */
static core_status make_main(har_reference *out, maker *m, int64_t n_part)
{
    har_job *job = m->job;
    har_reference_entry *entry = &out->main;
    har_mark mark;
    bool is_kept = false;
    CORE_FAIL_IF(job->n_reference == HAR_MAX_REFERENCES, CORE_E_USAGE,
                 "more than %d different token groups in one run",
                 HAR_MAX_REFERENCES);
    snprintf(entry->path, sizeof entry->path, "%s/reference-%ld-%d.taps",
             job->folder, (long)getpid(), job->n_reference);
    if (job->checkpoint != NULL) {
        CORE_TRY(har_mark_make(&mark, entry->path, job, m->numerics, n_part,
                               NULL));
        CORE_TRY(har_checkpoint_load(entry, &mark, n_spread(m), &is_kept));
    }
    entry->n_part = n_part;
    entry->numerics = m->numerics;
    out->was_made = !is_kept || entry->n_redraw < job->n_redraw;
    if (out->was_made) {
        free(entry->spread);
        CORE_TRY(draw_main(entry, m));
    } else if (entry->n_redraw != job->n_redraw) {
        CORE_TRY(har_job_redraw(job, entry->n_redraw));
    }
    job->reference[job->n_reference++] = *entry;
    if (out->was_made && job->checkpoint != NULL)
        CORE_TRY(har_checkpoint_store(entry, &mark, n_spread(m)));
    return CORE_OK;
}

/* The token groups matter only where something is counted within them. */
static int64_t group_key(const core_spec *spec, const par_plan *plan)
{
    const int64_t n_part = (int64_t)plan->rounds * plan->dp * plan->mb;
    return spec->capacity.domain == CORE_DOMAIN_GROUP ? n_part : 0;
}

static const har_reference_entry *find(const har_job *job, int64_t n_part,
                                       core_numerics numerics)
{
    for (int i = 0; i < job->n_reference; i++)
        if (job->reference[i].n_part == n_part &&
            job->reference[i].numerics == numerics &&
            job->reference[i].n_redraw == job->n_redraw)
            return &job->reference[i];
    return NULL;
}

/* --- the exercise's --- */

/* A short batch; ids [B, T] are dealt, where the model has a vocabulary. */
static core_status make_batch(core_batch *out, const har_job *job, int64_t n_t)
{
    return core_batch_make(out, job->spec, job->batch->n_b, n_t, job->seed);
}

static int64_t *ids_of(const core_batch *batch)
{
    return (int64_t *)(uintptr_t)batch->ids; /* ours: made just now */
}

static core_status deal_batch(har_reference *out, const maker *m,
                              const par_deal *deal)
{
    CORE_TRY(make_batch(&out->batch, m->job, deal->n_t));
    if (out->batch.ids != NULL)
        memcpy(ids_of(&out->batch), deal->id,
               (size_t)(deal->n_b * deal->n_t) * sizeof *deal->id);
    return CORE_OK;
}

static core_status run_exercise(har_reference *out, maker *m,
                                const par_deal *deal)
{
    const ref_dealt dealt = {deal->expert, deal->weight};
    core_tapfile *file = NULL;
    char name[CORE_NAME_BYTES];
    har_overflow overflow;
    ref_stats stats;
    m->part0 = MAIN_SHARE;
    m->part = 1.0 - MAIN_SHARE;
    CORE_TRY(open_model(m));
    CORE_TRY(take_spread(&out->spread, m));
    CORE_TRY(create(&file, m, out->path, &out->batch));
    core_status status =
        run(m, &out->batch, &dealt, file, &stats, &overflow, out->spread);
    if (status == CORE_OK && overflow.is_found)
        snprintf(out->no_exercise, sizeof out->no_exercise, "%s overflows",
                 core_tap_name(overflow.tap, name));
    else if (status == CORE_OK && m->numerics == CORE_EXACT && !stats.exact)
        snprintf(out->no_exercise, sizeof out->no_exercise, "%s",
                 stats.not_exact);
    else if (status == CORE_OK)
        status = core_tapfile_commit(file);
    out->has_exercise = status == CORE_OK && out->no_exercise[0] == '\0';
    core_tapfile_close(file);
    return status;
}

/* Take it from the checkpoint's folder, or make it and keep it there. */
static core_status keep_exercise(har_reference *out, maker *m,
                                 const par_deal *deal, int64_t n_part)
{
    har_reference_entry entry = {0};
    har_mark mark;
    CORE_TRY(har_mark_make(&mark, entry.path, m->job, m->numerics, n_part,
                           deal));
    CORE_TRY(har_checkpoint_load(&entry, &mark, n_spread(m),
                                 &out->has_exercise));
    memcpy(out->path, entry.path, sizeof out->path);
    out->spread = entry.spread;
    if (out->has_exercise)
        return CORE_OK;
    CORE_TRY(run_exercise(out, m, deal));
    entry.spread = out->spread;
    return out->has_exercise
               ? har_checkpoint_store(&entry, &mark, n_spread(m))
               : CORE_OK;
}

static core_status make_exercise(har_reference *out, maker *m, int64_t n_part)
{
    const core_batch *batch = m->job->batch;
    par_deal deal;
    snprintf(out->path, sizeof out->path, "%s/exercise-%ld-%d.taps",
             m->job->folder, (long)getpid(), m->job->n_exercise++);
    CORE_TRY(par_deal_make(&deal, m->job->spec, m->plan, batch->n_b, batch->n_t,
                           m->job->seed));
    core_status status = deal_batch(out, m, &deal);
    if (status == CORE_OK)
        status = m->job->checkpoint != NULL
                     ? keep_exercise(out, m, &deal, n_part)
                     : run_exercise(out, m, &deal);
    par_deal_free(&deal);
    return status;
}

/* --- all ranks --- */

static core_status make_all(har_reference *out, maker *m, bool wants_exercise)
{
    const int64_t n_part = group_key(m->job->spec, m->plan);
    const har_reference_entry *known = find(m->job, n_part, m->numerics);
    if (known != NULL)
        out->main = *known;
    if (known == NULL)
        CORE_TRY(make_main(out, m, n_part));
    if (wants_exercise && out->main.is_telling)
        CORE_TRY(make_exercise(out, m, n_part));
    return CORE_OK;
}

/* What rank 0 has drawn, everybody draws. */
static core_status draw_along(har_reference *out, har_job *job, int64_t n_t)
{
    if (job->n_redraw != out->main.n_redraw)
        CORE_TRY(har_job_redraw(job, out->main.n_redraw));
    if (out->has_exercise)
        CORE_TRY(make_batch(&out->batch, job, n_t));
    return CORE_OK;
}

/* --- all hosts --- */

/* The same file in this host's folder. */
static void move_here(char path[HAR_PATH_BYTES], const har_job *job)
{
    const char *slash = strrchr(path, '/');
    char name[HAR_PATH_BYTES];
    if (slash == NULL)
        return;
    strcpy(name, slash + 1);
    snprintf(path, HAR_PATH_BYTES, "%s/%.100s", job->folder, name);
}

/* Rank 0's file is here on its host; bring it to the others, and its name.   */
static core_status spread(char path[HAR_PATH_BYTES], const har_job *job,
                          par_comm *comm, const par_hosts *hosts)
{
    core_status status = CORE_OK;
    if (path[0] == '\0')
        return CORE_OK;
    move_here(path, job);
    if (hosts->n > 1 && par_hosts_leads(hosts))
        status = har_bring_file(comm, &hosts->leaders, path);
    return par_agree(comm, status);
}

static core_status spread_all(har_reference *out, har_job *job, par_comm *comm)
{
    par_hosts hosts;
    if (job->checkpoint != NULL)
        return CORE_OK; /* all ranks see its folder */
    CORE_TRY(par_hosts_make(&hosts, comm));
    core_status status = CORE_OK;
    if (out->was_made)
        status = spread(out->main.path, job, comm, &hosts);
    else
        move_here(out->main.path, job);
    if (status == CORE_OK && out->has_exercise)
        status = spread(out->path, job, comm, &hosts);
    out->is_keeper = par_hosts_leads(&hosts);
    if (out->is_keeper && out->was_made && comm->rank != 0) {
        har_reference_entry *mine = &job->reference[job->n_reference++];
        *mine = out->main; /* to be removed in time */
        mine->spread = NULL;
    }
    par_hosts_free(&hosts);
    return status;
}

core_status har_reference_get(har_reference *out, har_job *job, par_comm *comm,
                              const par_plan *plan, core_numerics numerics,
                              bool wants_exercise)
{
    const double main = wants_exercise ? MAIN_SHARE : 1.0;
    maker m = {job, comm, plan, numerics, NULL, 0.0, main};
    core_status status = CORE_OK;
    *out = (har_reference){0};
    if (comm->rank == 0) {
        status = make_all(out, &m, wants_exercise);
        ref_model_close(m.model);
    }
    CORE_TRY(par_agree(comm, status));
    const core_batch batch = out->batch;
    par_broadcast(comm, &comm->world, out, (int64_t)sizeof *out, 0);
    const int64_t n_t = out->batch.n_t;
    out->batch = batch;
    CORE_TRY(spread_all(out, job, comm));
    if (comm->rank != 0)
        status = draw_along(out, job, n_t);
    CORE_TRY(par_agree(comm, status));
    if (out->has_exercise && out->batch.ids != NULL)
        par_broadcast(comm, &comm->world, ids_of(&out->batch),
                      out->batch.n_b * n_t * (int64_t)sizeof(int64_t), 0);
    return CORE_OK;
}

void har_reference_close(har_reference *reference, const har_job *job,
                         const par_comm *comm)
{
    if (reference->is_keeper && reference->path[0] != '\0' &&
        !job->keeps_files && job->checkpoint == NULL)
        unlink(reference->path);
    if (comm->rank == 0)
        free(reference->spread);
    core_batch_free(&reference->batch);
}
