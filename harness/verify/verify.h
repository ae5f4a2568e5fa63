/* harness/verify/verify.h -- one model, one plan, one way to compute: does it agree?
 *
 * Runs inside ranks that are already started.  Rank 0 makes the reference into
 * a file of a shared folder; all ranks map it, run the plan and compare.
 */
#ifndef HAR_VERIFY_H
#define HAR_VERIFY_H

#include "harness/verify/distinct.h"
#include "harness/verify/routing.h"
#include "harness/verify/verdict.h"
#include "parallel/plan.h"
#include "ref/ref.h"

enum { HAR_PATH_BYTES = 512, HAR_MAX_REFERENCES = 32, HAR_MAX_PASSES = 2 };

/* References made so far; a plan with the same token groups uses one again.
 * Only rank 0's entries count.                                               */
typedef struct har_reference_entry {
    int64_t n_part;
    core_numerics numerics;
    char path[HAR_PATH_BYTES];
    ref_stats stats;
} har_reference_entry;

/* What several cases share.  Borrows everything it points to.                */
typedef struct har_job {
    const core_spec *spec;
    const core_spec *weight_spec; /* of the weights: has all layers; NULL: spec */
    core_weights *weights;
    const core_batch *batch;
    const char *folder;      /* for the reference's files, seen by all ranks  */
    void (*tick)(void *self, const par_tick *tick); /* NULL: none; first pass */
    void *tick_self;
    void (*cost)(void *self, const core_cost *cost,
                 const par_cost_time *took); /* likewise                       */
    void *cost_self;
    int n_reference;
    har_reference_entry reference[HAR_MAX_REFERENCES];
} har_job;

/* Sums over ranks, from par_stats.                                           */
typedef struct har_totals {
    int64_t n_choice, n_dropped, n_sent, n_received, n_returned;
    double cpu_seconds[PAR_N_OPERATORS];
    double wall_seconds;     /* of the slowest rank                           */
    double wait_seconds;     /* of all ranks                                  */
    size_t weight_bytes, work_bytes; /* of the rank where their sum is largest */
    int64_t n_bytes[PAR_N_OP_KINDS];
} har_totals;

typedef enum har_passes {
    HAR_PASSES_USUAL,  /* exact: free, and forced if it differs; fp32: forced,
                        * then free with the reference's routing              */
    HAR_PASSES_FORCED, /* forced only                                         */
} har_passes;

typedef struct har_case_result {
    core_numerics numerics;
    har_verdict verdict;
    char reason[256];        /* why, unless PASS                              */
    bool is_telling;         /* vacuity guard                                 */
    char vacuity[160];       /* why not, else ""                              */
    har_distinct distinct;   /* weights whose owners could not be seen        */
    bool is_conserved;       /* dispatched = received = returned, and what
                              * was dropped is what the reference drops       */
    bool reference_was_made; /* false: taken from an earlier case             */
    int64_t n_token;
    int n_pass;
    har_pass pass[HAR_MAX_PASSES]; /* pass[0] decides, pass[1] explains       */
    har_routing routing;
    ref_stats reference;
    size_t reference_bytes;  /* weights and workspace of the reference        */
    har_totals totals;       /* of pass[0]                                    */
    double startup_seconds;  /* reading shards                                */
} har_case_result;

/* Verify one plan.  The same result on every rank.  A difference is a result,
 * not an error.  Errors, agreed: E_MEMORY, E_FILE, E_SPACE, E_EXACT with operator
 * and remedy.                                               [collective, world] */
CORE_NODISCARD core_status har_job_verify(har_case_result *out, har_job *job,
                                          par_comm *comm, const par_plan *plan,
                                          core_numerics numerics,
                                          har_passes passes);
void har_case_result_free(har_case_result *result);

/* Remove the reference files that rank 0 made.                       [local] */
void har_job_close(har_job *job);

#endif
