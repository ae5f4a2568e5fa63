/* harness/verify/decode.h -- rows that begin and end at different steps.
 *
 * What is verified in steps is a batch like any other: its rows are the
 * sequences, and their tokens are given.  The emulation takes them chunk by chunk
 * and token by token, with what it has kept of earlier steps; the reference makes
 * each row in one piece and knows no steps, only token groups.  So every tap of
 * every step is compared with a pass that has no cache, and the token that either
 * would choose behind each step is compared, too.
 */
#ifndef HAR_VERIFY_DECODE_H
#define HAR_VERIFY_DECODE_H

#include "core/pass/tapfile.h"
#include "parallel/decode.h"

typedef struct har_decode {
    int64_t n_slot, n_chunk; /* rows at a time; tokens of a prompt in a step  */
    int64_t n_seq, n_t;      /* sequences, tokens of each                     */
    int64_t least_prompt, most_prompt;
    int64_t n_alone;         /* steps that are one token of a sequence        */
    int64_t n_step;
    par_step *step;          /* [n_step] owned, and their rows                */
    par_step_row *row;
    int64_t *greedy;
} har_decode;

/* Prompts of up to n_t tokens in n_slot slots, taken n_chunk at a time, and
 * n_decode steps behind the first of them.  Sequences are equally long, prompts
 * are not; a slot takes another one as long as that can end in time.  n_chunk 0:
 * a quarter of a prompt.  Errors: E_MEMORY.                          [local] */
CORE_NODISCARD core_status har_decode_make(har_decode *out, int64_t n_slot,
                                           int64_t n_t, int64_t n_decode,
                                           int64_t n_chunk);
/* Rows that begin together: prompts of n_prompt tokens, all n_t long.       */
CORE_NODISCARD core_status har_decode_rows(har_decode *out, int64_t n_row,
                                           int64_t n_prompt, int64_t n_t,
                                           int64_t n_chunk);
void har_decode_free(har_decode *decode);

/* Which tokens compete for experts in each step, for the reference: those of a
 * part of the plan, or (NULL) all; of a row; or all, as the rule's domain is.
 * Free with core_groups_free.  Errors: E_MEMORY.                     [local] */
CORE_NODISCARD core_status har_decode_groups(core_groups *out,
                                             const har_decode *decode,
                                             const par_plan *plan,
                                             core_capacity_domain domain);

/* Tokens chosen behind the last one of a row in a step.                      */
typedef struct har_greedy {
    int64_t n, n_wrong;
    int64_t row, at, expected, found; /* of the first that is wrong           */
} har_greedy;

/* par_decode_step; choices that are not this rank's are -1, and what the step took
 * is added to the sum of those before it.                [collective, world] */
CORE_NODISCARD core_status har_decode_step(par_model *model,
                                           const core_batch *batch,
                                           const par_step *step, par_stats *sum);

/* The first of the largest of n logits.                              [local] */
int64_t har_best_token(const double *logits, int64_t n);

/* All steps as one pass: sums in *stats.  reference: finished.
 * Errors: those of par_decode_step.                      [collective, world] */
CORE_NODISCARD core_status har_decode_pass(par_model *model, par_comm *comm,
                                           const core_spec *spec,
                                           const core_batch *batch,
                                           const har_decode *decode,
                                           const core_tapfile *reference,
                                           har_greedy *greedy,
                                           par_stats *stats);

#endif
