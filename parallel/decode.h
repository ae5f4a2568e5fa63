/* parallel/decode.h -- a batch in steps, with keys and values kept between them.
 *
 * A step is a forward pass over some tokens of some rows: part of a prompt, or
 * one token.  Its queries attend to keys that earlier steps of the row left in
 * the cache of the rank that owns the kv head.  A row has one of the slots while
 * its steps last, then another row takes it; slots are dealt over the plan's
 * parts as the rows of a batch are, so a slot's cache never moves.  The tokens of
 * a part in a step, by slot and position, are its token group.
 */
#ifndef PAR_DECODE_H
#define PAR_DECODE_H

#include "parallel/forward.h"

typedef struct par_step_row {
    int64_t slot;
    int64_t row;   /* of the batch                                            */
    int64_t i0, n; /* its tokens [i0, i0 + n); 0: the slot is taken over      */
} par_step_row;

typedef struct par_step {
    int64_t n_slot;          /* of all steps                                  */
    int64_t n_row;
    const par_step_row *row; /* [n_row] by ascending slots                    */
    int64_t *greedy; /* [n_row] out, on ranks of the last stage: the best token
                      * behind the row's last one, by its logits; ties to the
                      * lowest id                                             */
} par_step;

/* Can the model be run in steps on such a plan?  Errors: E_USAGE with what is
 * not known to be kept.                                              [local] */
CORE_NODISCARD core_status par_decode_check(const core_spec *spec,
                                            const par_plan *plan);

/* Caches for n_slot rows of n_t tokens at most, of which a step has n_most of a
 * row; poisoned.  They are closed with the model.  Follow with par_agree.
 * Errors: E_MEMORY.                                                  [local] */
CORE_NODISCARD core_status par_decode_open(par_model *model, int64_t n_slot,
                                           int64_t n_t, int64_t n_most);

/* Bytes of them on a rank.                                           [local] */
size_t par_decode_bytes(const core_spec *spec, const par_layout *layout,
                        int64_t n_slot, int64_t n_t, int64_t n_most);

/* One step.  Every row's steps follow each other without a gap, from its token 0
 * on; otherwise as par_forward.                                 [collective] */
CORE_NODISCARD core_status par_decode_step(par_model *model,
                                           const core_batch *batch,
                                           const par_step *step,
                                           par_stats *stats);

#endif
