/* harness/verify/estimate.h -- how long and how big, before anything is
 * started.
 *
 * Memory is what the real layout functions measure, beside what a process takes
 * by itself; time is a rough product of counted operations and a rate that any
 * machine of this decade reaches.
 */
#ifndef HAR_ESTIMATE_H
#define HAR_ESTIMATE_H

#include "core/numbers/numerics.h"
#include "core/pass/batch.h"
#include "harness/launch/limits.h"
#include "parallel/forward.h"

#include <stddef.h>

typedef struct har_estimate {
    size_t reference_bytes; /* weights kept if they fit, and workspace      */
    size_t
        largest_rank_bytes; /* all shards of the largest rank, and its work */
    size_t all_ranks_bytes; /* that all ranks will hold together            */
    bool is_resident;       /* all shards, not experts a tile at a time     */
    bool ranks_keep, reference_keeps; /* weights: it saves time, if they fit  */
    bool joins; /* micro-batches of a stage worked on together save time      */
    size_t held_bytes;      /* by all ranks, beside weights that they keep  */
    size_t least_bytes;     /* of all processes, whatever is read anew rather
                             * than kept; without files in the run folder   */
    size_t address_bytes;   /* likewise, of the largest process, with these
                             * files mapped                                 */
    size_t tap_bytes;       /* the reference's files in the run folder      */
    double seconds;         /* reference and emulation, one numerics        */
    double reference_seconds, pass_seconds; /* of them; and of one pass     */
    double exercise_reference_seconds, exercise_pass_seconds; /* likewise    */
} har_estimate;

/* The processors of `limits` share the work of all ranks, and weights are kept
 * as its memory allows.  Errors: E_MEMORY.                           [local] */
CORE_NODISCARD core_status har_estimate_make(
    har_estimate *out, const core_spec *spec, const par_plan *plan, int64_t n_b,
    int64_t n_t, core_numerics numerics, par_order order,
    const har_limits *limits);

/* Add what the exercise of such a batch takes.  Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har_estimate_exercise(
    har_estimate *estimate, const core_spec *spec, const par_plan *plan,
    int64_t n_b, int64_t n_t, core_numerics numerics, par_order order,
    const har_limits *limits);

/* Bytes of a rank for weights that stay, when `available` are free and ranks
 * will hold `held` beside: [0] for all of them, 0 if every expert is needed only
 * once, so that it is read when it is; [1] for those that are no experts'.  None
 * where making them anew takes hardly longer (ranks_keep).  [2]: for those and
 * for micro-batches worked on together, none where that hardly helps (joins).
 *                                                                    [local] */
void har_rank_budget(size_t out[3], const har_estimate *e, const par_plan *plan,
                     size_t available, size_t held);

/* Bytes of the reference for weights that stay, when `available` are free and
 * `files` will be written in memory: all, or 0 if they do not fit, or are made
 * anew hardly slower.                                                 [local] */
size_t har_reference_budget(const core_spec *spec, core_numerics numerics,
                            int64_t n_b, int64_t n_t, int n_thread,
                            const har_limits *limits, size_t available,
                            size_t files);

/* Threads that make such a reference: a processor each, or fewer where addresses
 * for each and for `files` are not to be had.                        [local] */
int har_reference_threads(const core_spec *spec, core_numerics numerics,
                          int64_t n_b, int64_t n_t, const har_limits *limits,
                          size_t files);

/* Bytes of the files that a reference of such a batch makes.         [local] */
size_t har_tap_bytes(const core_spec *spec, int64_t n_token,
                     core_numerics numerics);

/* Seconds to start and end so many ranks, beside the work.           [local] */
double har_start_seconds(int n_rank, const har_limits *limits);

/* A batch that every part of the plans gets a row of: the largest rounds*dp*mb
 * (twice that if it is below 8) rows of 16 tokens, or of more until an expert
 * has two slots and an exercise reaches everything, as far as 4096 tokens in
 * all allow.  Errors: E_MEMORY. [local] */
CORE_NODISCARD core_status har_default_batch(const core_spec *spec,
                                             const par_plan *plans, int n_plan,
                                             int64_t *n_b, int64_t *n_t);

/* Multiply-adds times two of one forward pass over n_token tokens in rows of
 * n_t tokens, as a model without waste would need. [local] */
double har_forward_flops(const core_spec *spec, int64_t n_token, int64_t n_t);

#endif
