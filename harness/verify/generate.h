/* harness/verify/generate.h -- rows that grow by the token with the largest logit.
 *
 * A batch of rows that begin with a prompt; every further token is what the pass
 * over those before it chooses.  The plan goes on from what it has kept; the
 * reference makes every token by a pass over all tokens before it.
 */
#ifndef HAR_VERIFY_GENERATE_H
#define HAR_VERIFY_GENERATE_H

#include "harness/verify/decode.h"
#include "ref/ref.h"

/* The prompts with n tokens more, 0 as yet.  Free with core_batch_free.
 * Errors: E_MEMORY, E_USAGE for prompts that are padded.             [local] */
CORE_NODISCARD core_status har_generate_batch(core_batch *out,
                                              const core_batch *prompt,
                                              int64_t n);

/* Fill in the tokens behind the first n_prompt of each row, by the reference: a
 * pass for each, with the token groups of the steps of one part.
 * Errors: E_MEMORY.                                                  [local] */
CORE_NODISCARD core_status har_generate_serial(ref_model *model,
                                               const core_spec *spec,
                                               core_batch *batch,
                                               const har_decode *steps);

/* The same by the plan, step by step; on all ranks.
 * Errors: those of par_decode_step.                      [collective, world] */
CORE_NODISCARD core_status har_generate_steps(par_model *model, par_comm *comm,
                                              core_batch *batch,
                                              const har_decode *steps,
                                              par_stats *stats);

#endif
