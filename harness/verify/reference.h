/* harness/verify/reference.h -- the files that cases are held against.
 *
 * Rank 0 makes the reference, and of the same weights a second one for the
 * exercise: a short batch whose routing is dealt (parallel/deal.h).  A batch
 * that would prove nothing is drawn anew first.
 */
#ifndef HAR_REFERENCE_H
#define HAR_REFERENCE_H

#include "harness/verify/job.h"

typedef struct har_reference {
    har_reference_entry main;
    bool was_made; /* false: taken from an earlier case             */
    bool has_exercise;
    char path[HAR_PATH_BYTES]; /* of the exercise                             */
    core_batch batch;      /* of the exercise, owned                        */
    bool is_keeper; /* of the files on this host: its leader              */
    har_precision *spread; /* of the exercise, owned by rank 0; NULL: none    */
    char no_exercise[160]; /* why there is none though it was wanted        */
} har_reference;

/* Make it or find it on rank 0, bring it to every host and tell everybody.  The
 * weights must be prepared.  Errors, agreed: E_MEMORY, E_FILE, E_SPACE, E_USAGE; E_SPEC,
 * E_WEIGHTS, E_INPUT for a reference that overflows; E_EXACT with operator and
 * remedy.                                                  [collective, world] */
CORE_NODISCARD core_status har_reference_get(har_reference *out, har_job *job,
                                             par_comm *comm,
                                             const par_plan *plan,
                                             core_numerics numerics,
                                             bool wants_exercise);

/* The exercise's files go, unless files are kept.                    [local] */
void har_reference_close(har_reference *reference, const har_job *job,
                         const par_comm *comm);

#endif
