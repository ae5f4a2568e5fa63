/* harness/verify/gradients.h -- verify --grad: the pass back, bit for bit.
 *
 * In exact mode only.  The reference's gradients are a file that all ranks of a
 * host map, as its taps are; the emulation runs forward once more, keeps what
 * it needs, goes back, and every rank compares what it has.
 */
#ifndef HAR_GRADIENTS_H
#define HAR_GRADIENTS_H

#include "harness/verify/job.h"
#include "harness/verify/verdict.h"
#include "parallel/backward.h"

enum { HAR_MAX_GRAD_FAULTS = 8 };

/* A gradient that differs, of all ranks together. */
typedef struct har_grad_fault {
    core_grad grad;
    bool in_exercise;
    unsigned fault; /* HAR_FAULT_VALUE, _POISON, _COVERAGE, _REPLICA          */
    int64_t n_element, n_different; /* of the whole; of all pieces            */
    int n_rank, first_rank;         /* with such; the first, or -1            */
    int64_t row, col;
    double expected, found; /* the first different element                    */
    double ratio; /* found over expected, alike everywhere; 0: it is not      */
} har_grad_fault;

typedef struct har_grad_result {
    bool is_there; /* --grad                                                  */
    har_verdict verdict; /* PASS, UNPROVEN or FAIL                            */
    char reason[256];
    int64_t n_grad, n_element, n_bad;
    int n_named;
    har_grad_fault bad[HAR_MAX_GRAD_FAULTS]; /* the first, in order           */
    int64_t n_expert,
        n_idle;  /* experts; without a row: their gradients are 0 */
    bool is_exact; /* every sum fits 53 bits, on both sides                   */
    bool was_exercised; /* with routing dealt, because some are idle          */
    int64_t n_left;     /* idle then, too                                     */
    double exercise_seconds;
    double bits; /* most that a sum of the reference needed      */
    double reference_seconds, wall_seconds, wait_seconds;
    int64_t n_sent[PAR_N_GRAD_AXES]; /* of all ranks                          */
} har_grad_result;

/* After a case of exact numerics, for whose weights the job is prepared.  The
 * same result on every rank.  Errors, agreed: E_MEMORY, E_FILE, E_SPACE;
 * E_USAGE of core_grad_check; E_EXACT with the gradient.           [collective,
 * world] */
CORE_NODISCARD core_status har_job_gradients(har_grad_result *out, har_job *job,
                                             par_comm *comm,
                                             const par_plan *plan);

/* Bytes of the file, and of the memory that reference and ranks need for it,
 * all together, beside what verify needs otherwise: about. [local] */
CORE_NODISCARD core_status har_gradients_need(size_t *file_bytes,
                                              size_t *memory_bytes,
                                              const core_spec *spec,
                                              const par_plan *plan, int64_t n_b,
                                              int64_t n_t);

#endif
