/* harness/verify/job.c -- see job.h. */
#include "harness/verify/job.h"

#include <stdlib.h>
#include <unistd.h>

const core_batch *har_job_batch(const har_job *job)
{
    return job->n_redraw == 0 ? job->batch : &job->redrawn;
}

core_status har_job_redraw(har_job *job, int n_redraw)
{
    core_batch batch;
    CORE_TRY(core_batch_make(&batch, job->spec, job->batch->n_b,
                             job->batch->n_t, job->seed + (uint64_t)n_redraw));
    const core_status status =
        job->is_padded ? core_batch_pad_left(&batch, job->spec) : CORE_OK;
    if (status != CORE_OK) {
        core_batch_free(&batch);
        return status;
    }
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
