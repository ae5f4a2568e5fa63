/* harness/verify/verify.h -- one model, one plan, one way to compute: does it agree?
 *
 * Runs inside ranks that are already started.  Rank 0 makes the reference into
 * a file of a shared folder; all ranks map it, run the plan and compare.
 */
#ifndef HAR_VERIFY_H
#define HAR_VERIFY_H

#include "harness/verify/distinct.h"
#include "harness/verify/gradients.h"
#include "harness/verify/job.h"
#include "harness/verify/routing.h"
#include "harness/verify/verdict.h"

enum { HAR_MAX_PASSES = 3 };

/* Sums over ranks, from par_stats.                                           */
typedef struct har_totals {
    int64_t n_choice, n_dropped, n_sent, n_received, n_returned;
    double cpu_seconds[PAR_N_OPERATORS];
    double wall_seconds;     /* of the slowest rank                           */
    double wait_seconds;     /* of all ranks                                  */
    size_t weight_bytes, work_bytes; /* of the rank where their sum is largest */
    int n_lane;                      /* of every rank                         */
    int64_t n_bytes[PAR_N_OP_KINDS];
} har_totals;

typedef enum har_passes {
    HAR_PASSES_USUAL,  /* exact: free; fp32: forced, and in the end free with
                        * the reference's routing.  Where that leaves something
                        * idle, the exercise.  A free one that differs is
                        * repeated, forced, to explain it                     */
    HAR_PASSES_FORCED, /* forced only, the exercise too                       */
} har_passes;

typedef struct har_case_result {
    core_numerics numerics;
    har_verdict verdict;
    char reason[256];        /* why, unless PASS                              */
    bool is_telling;         /* vacuity guard                                 */
    uint64_t first_seed;     /* that the batch was to be drawn by             */
    uint64_t batch_seed;     /* that it was drawn by                          */
    har_reached reached;     /* by this case and those of the plan before it  */
    char no_exercise[160];   /* why it could not, else ""                     */
    har_distinct distinct;   /* weights whose owners could not be seen        */
    bool is_conserved;       /* dispatched = received = returned, and what
                              * was dropped is what the reference drops       */
    bool reference_was_made; /* false: taken from an earlier case             */
    int64_t n_token;
    int n_pass;
    har_pass pass[HAR_MAX_PASSES]; /* the first that is bad decides           */
    har_routing routing;
    ref_stats reference;
    size_t reference_bytes;  /* weights and workspace of the reference        */
    har_totals totals;       /* of pass[0]                                    */
    double startup_seconds;  /* reading shards                                */
    har_grad_result grad;    /* --grad; zeros: not asked for                  */
    har_greedy greedy;       /* --decode, of the first pass; likewise         */
    har_dealt dealt;         /* --passes; likewise                            */
} har_case_result;

/* Verify one plan.  The same result on every rank.  A difference is a result,
 * not an error.  Errors, agreed: E_MEMORY, E_FILE, E_SPACE, those of
 * har_reference_get.  Cases of one plan come one after the other, and what took
 * part counts over all of them: the exercise runs in the first.
 *                                                          [collective, world] */
CORE_NODISCARD core_status har_job_verify(har_case_result *out, har_job *job,
                                          par_comm *comm, const par_plan *plan,
                                          core_numerics numerics,
                                          har_passes passes);
void har_case_result_free(har_case_result *result);

/* Verify a plan that har_dealer_plan has made n_pass times in exact numerics, with
 * other prompts each: out [n_pass], zeros.  Between two of them experts are dealt
 * anew by what was counted, and move: the model stays as it is otherwise.  Behind
 * one that counted or moved wrongly there is no other.  Errors: those of
 * har_job_verify; E_MEMORY too if experts' weights are not kept.
 *                                                          [collective, world] */
CORE_NODISCARD core_status har_job_verify_passes(har_case_result *out,
                                                 har_job *job, par_comm *comm,
                                                 const par_plan *plan,
                                                 int n_pass, int n_node);

/* After a clean case of exact numerics, the pass back: har_job_gradients, whose
 * verdict becomes the case's if it is worse.              [collective, world] */
CORE_NODISCARD core_status har_case_gradients(har_case_result *out,
                                              har_job *job, par_comm *comm,
                                              const par_plan *plan);

#endif
