/* harness/verify/job.h -- what the cases of a run share. */
#ifndef HAR_JOB_H
#define HAR_JOB_H

#include "harness/verify/dealer.h"
#include "harness/verify/decode.h"
#include "harness/verify/precision.h"
#include "harness/verify/reach.h"
#include "harness/launch/limits.h"
#include "harness/verify/steps.h"
#include "ref/ref.h"

enum { HAR_PATH_BYTES = 512, HAR_MAX_REFERENCES = 32, HAR_MAX_REDRAWS = 4 };

/* A reference made so far; a plan with the same token groups uses it again.
 * Rank 0 looks for it here, the leaders of other hosts remove their copies.  */
typedef struct har_reference_entry {
    int64_t n_part;
    core_numerics numerics;
    int n_redraw; /* of the batch that it is of                    */
    char path[HAR_PATH_BYTES];
    ref_stats stats;
    bool is_telling;   /* would agreement prove anything?               */
    char vacuity[160]; /* why not, else ""                              */
    har_precision *spread; /* [taps] spread.h, owned; NULL: none              */
} har_reference_entry;

/* Zeros, but for what the caller sets; borrows everything that it points to. */
typedef struct har_job {
    const core_spec *spec;
    const core_spec
        *weight_spec; /* of the weights: has all layers; NULL: spec */
    core_weights *weights;
    const core_batch *batch; /* har_job_draw of `seed`                        */
    uint64_t seed;
    const har_price *price; /* of moves between passes; NULL: nobody asks     */
    core_drift drift;   /* of what prompts ask for; zeros: none               */
    bool is_padded;     /* core_batch_pad_left                           */
    const har_decode *decode; /* its steps; NULL: it is one pass              */
    const char *folder; /* for the reference's files, on this host       */
    bool keeps_files;
    const char *checkpoint;   /* the folder that references outlive the run in;
                               * NULL: none                                   */
    const char *weights_mark; /* then: where weights come from, and of which
                               * state                                        */
    void (*tick)(void *self, const par_tick *tick); /* NULL: none             */
    void *tick_self;
    void (*cost)(void *self, const core_cost *cost,
                 const par_cost_time *took); /* NULL: none; of the first pass */
    void (*under_way)(void *self, const par_under_way *request); /* likewise  */
    void *cost_self;
    par_order order;
    uint64_t schedule_seed;

    const har_limits *limits; /* rank 0's, with rates                         */
    har_steps steps; /* its total, and who is told                             */
    char pass[48];   /* that runs now: "free pass of the exercise"             */

    int n_redraw; /* times that the batch was drawn anew, because
                   * it proved nothing: by seed + n_redraw         */
    core_batch redrawn;
    int n_reference, n_exercise;
    har_reference_entry reference[HAR_MAX_REFERENCES];
    const par_plan *plan; /* the one that `reach` is of                    */
    har_reach reach;      /* in all cases of that plan                     */
} har_job;

/* The batch at hand.                                                 [local] */
const core_batch *har_job_batch(const har_job *job);

/* A batch of n_b rows of n_t tokens as this job has them.  Free with
 * core_batch_free.  Errors: E_MEMORY, E_INPUT.                       [local] */
CORE_NODISCARD core_status har_job_draw(core_batch *out, const har_job *job,
                                        int64_t n_b, int64_t n_t,
                                        uint64_t seed);

/* Draw the batch with seed + n_redraw.  Errors: E_MEMORY, E_INPUT.   [local] */
CORE_NODISCARD core_status har_job_redraw(har_job *job, int n_redraw);

/* Remove this host's reference files, unless files are kept.        [local] */
void har_job_drop_references(har_job *job);

/* That, and give memory back.                                        [local] */
void har_job_close(har_job *job);

#endif
