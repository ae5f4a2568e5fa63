/* harness/verify/estimate.h -- how long and how big, before anything is started.
 *
 * Memory is what the real layout functions measure; time is a rough product of
 * counted operations and a rate that any machine of this decade reaches.
 */
#ifndef HAR_ESTIMATE_H
#define HAR_ESTIMATE_H

#include "core/numbers/numerics.h"
#include "core/pass/batch.h"
#include "parallel/plan.h"

#include <stddef.h>

typedef struct har_estimate {
    size_t reference_bytes; /* weights kept if they fit, and workspace      */
    size_t
        largest_rank_bytes; /* all shards of the largest rank, and its work */
    size_t all_ranks_bytes; /* that all ranks will hold together            */
    bool is_resident;       /* all shards, not experts a tile at a time     */
    size_t least_bytes;     /* that cannot be avoided: work, and the largest
                             * of a rank's resident shards read in tiles    */
    size_t tap_bytes;       /* the reference's files in the run folder      */
    double seconds;         /* reference and emulation, one numerics        */
} har_estimate;

/* n_core processors share the work of all ranks.  Errors: E_MEMORY.  [local] */
CORE_NODISCARD core_status har_estimate_make(
    har_estimate *out, const core_spec *spec, const par_plan *plan, int64_t n_b,
    int64_t n_t, core_numerics numerics, int n_core);

/* Add what the exercise of such a batch takes.  Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har_estimate_exercise(
    har_estimate *estimate, const core_spec *spec, const par_plan *plan,
    int64_t n_b, int64_t n_t, core_numerics numerics, int n_core);

/* Bytes of a rank for weights that stay, when `available` are free: 0 if every
 * expert is needed only once, so that it is read when it is.         [local] */
size_t har_weight_budget(const par_plan *plan, size_t available);
/* For those that are no experts'. */
size_t har_dense_budget(const par_plan *plan, size_t available);

/* Seconds to start and end so many ranks, beside the work.           [local] */
double har_start_seconds(int n_rank, int n_core);

/* Refuse what cannot fit into `available` bytes: E_MEMORY with the figures. */
CORE_NODISCARD core_status har_estimate_check(const har_estimate *estimate,
                                              const core_spec *spec,
                                              const par_plan *plan,
                                              size_t available);

/* A batch that every part of the plans gets a row of: the largest rounds*dp*mb
 * (twice that if it is below 8) rows of 16 tokens, or of more until an expert
 * has two slots and an exercise reaches everything, as far as 4096 tokens in all
 * allow.  Errors: E_MEMORY.                                          [local] */
CORE_NODISCARD core_status har_default_batch(const core_spec *spec,
                                             const par_plan *plans, int n_plan,
                                             int64_t *n_b, int64_t *n_t);

/* Multiply-adds times two of one forward pass over n_token tokens in rows of
 * n_t tokens, as a model without waste would need. [local] */
double har_forward_flops(const core_spec *spec, int64_t n_token, int64_t n_t);

/* What the machine has: bytes that can be used without swapping (the smaller of
 * the kernel's and the control group's figure), processors.          [local] */
size_t har_memory_available(void);
int har_n_cores(void);

#endif
