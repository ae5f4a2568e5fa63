/* harness/verify/checkpoint.h -- references that outlive a run.
 *
 * A reference depends on the model, its weights, the batch, the numerics, the
 * token groups and the program, and on nothing else of a plan.  Kept in a
 * folder it serves other plans, and the same run again after it was
 * interrupted. DIR/reference-exact-0.taps    the taps, a safetensors file
 *     DIR/reference-exact-0.facts   what they are of, their fingerprint, and
 * what making them showed; written last A file of taps without its facts is
 * none: it is made anew.  Facts that say something else than this run asks for
 * are refused, and never replaced.
 */
#ifndef HAR_CHECKPOINT_H
#define HAR_CHECKPOINT_H

#include "harness/verify/job.h"
#include "parallel/deal.h"

enum { HAR_MARK_FIELDS = 6, HAR_MARK_BYTES = 160 };

/* What a reference is of: program, model, weights, batch, numerics, groups. */
typedef struct har_mark {
    char value[HAR_MARK_FIELDS][HAR_MARK_BYTES];
} har_mark;

/* The mark of the job's batch as it was first drawn, with token groups of
 * n_part parts (0: groups do not matter), and the name of its file in the job's
 * folder. deal: of an exercise, else NULL.  Errors: E_MEMORY, E_FILE. [local]
 */
CORE_NODISCARD core_status har_mark_make(har_mark *out,
                                         char path[HAR_PATH_BYTES],
                                         const har_job *job,
                                         core_numerics numerics, int64_t n_part,
                                         const par_deal *deal);

/* Fill an entry from its file, n_part and numerics apart; *found is false where
 * there are no facts.  n_spread: of the entry's spread, 0 for none.
 * Errors: E_INPUT where it is of something else, with the field; E_FORMAT where
 * it is damaged; E_FILE; E_MEMORY.                                   [local] */
CORE_NODISCARD core_status har_checkpoint_load(har_reference_entry *entry,
                                               const har_mark *mark,
                                               int64_t n_spread, bool *found);

/* Keep the entry, whose taps are complete, for later.  Errors: E_FILE, E_SPACE,
 * E_MEMORY.                                                          [local] */
CORE_NODISCARD core_status har_checkpoint_store(
    const har_reference_entry *entry, const har_mark *mark, int64_t n_spread);

/* The file system that the folder is on, or would be, is memory.     [local] */
bool har_checkpoint_in_memory(const char *folder);

#endif
