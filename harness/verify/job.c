/* harness/verify/job.c -- see job.h. */
#include "harness/verify/job.h"

#include <stdlib.h>
#include <unistd.h>

const core_batch *har_job_batch(const har_job *job)
{
    return job->n_redraw == 0 ? job->batch : &job->redrawn;
}

core_status har_job_draw(core_batch *out, const har_job *job, int64_t n_b,
                         int64_t n_t, uint64_t seed)
{
    CORE_TRY(core_batch_draw(out, job->spec, n_b, n_t, seed, &job->drift));
    const core_status status =
        job->is_padded ? core_batch_pad_left(out, job->spec) : CORE_OK;
    if (status != CORE_OK)
        core_batch_free(out);
    return status;
}

core_status har_job_redraw(har_job *job, int n_redraw)
{
    core_batch batch;
    CORE_TRY(har_job_draw(&batch, job, job->batch->n_b, job->batch->n_t,
                          job->seed + (uint64_t)n_redraw));
    core_batch_free(&job->redrawn);
    job->redrawn = batch;
    job->n_redraw = n_redraw;
    return CORE_OK;
}

void har_job_drop_references(har_job *job)
{
    for (int i = 0; i < job->n_reference; i++) {
        if (!job->keeps_files && job->checkpoint == NULL)
            unlink(job->reference[i].path);
        free(job->reference[i].spread);
    }
    job->n_reference = 0;
}

void har_job_close(har_job *job)
{
    har_job_drop_references(job);
    core_batch_free(&job->redrawn);
    har_reach_close(&job->reach);
    job->plan = NULL;
}
