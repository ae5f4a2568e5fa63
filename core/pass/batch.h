/* core/pass/batch.h -- what goes into a forward pass.
 *
 * Batch-major: token t of row b is global token b*T + t.
 */
#ifndef CORE_BATCH_H
#define CORE_BATCH_H

#include "core/model/spec.h"
#include "core/pass/popular.h"

typedef struct core_batch {
    int64_t n_b, n_t;      /* rows, tokens per row                            */
    const int64_t *ids;    /* [B, T] token ids; NULL for a Switch layer       */
    const uint8_t *mask;   /* [B, T] 1 = real, 0 = padding; NULL: all real    */
    const double *hidden;  /* [B, T, D] hidden_in of a Switch layer, or NULL  */
} core_batch;              /* borrows all three                               */

/* Token groups as data: group i holds the rows [first_row[i], first_row[i+1]),
 * or, where tokens are listed, those from token[first[i]] to before
 * token[first[i+1]], which take their slots in that order: lists are the
 * domains of a capacity rule, whichever it is.  Whoever made them, the
 * reference only reads them.                                                */
typedef struct core_groups {
    int64_t n;
    const int64_t *first_row; /* [n+1], first_row[0] = 0, first_row[n] = n_b  */
    const int64_t *first;     /* [n+1], or NULL: rows                         */
    const int64_t *token;     /* [B*T] global tokens, each once               */
} core_groups;

/* Frees the lists of groups that own them.                           [local] */
void core_groups_free(core_groups *groups);

/* Deal n_row rows in order over n_part parts, the first parts one row longer:
 * writes first[0..n_part].  Also the rule for every uneven split (layers,
 * vocabulary, experts, inner columns).                               [local] */
void core_split(int64_t n_row, int64_t n_part, int64_t *first);

/* First index of part i of that split, without the array.            [local] */
int64_t core_split_first(int64_t n_row, int64_t n_part, int64_t i);

/* A batch made from (seed, global index): tokens, or hidden values on the
 * activation grid for a Switch layer.  Free with core_batch_free.    [local] */
CORE_NODISCARD core_status core_batch_make(core_batch *out,
                                           const core_spec *spec, int64_t n_b,
                                           int64_t n_t, uint64_t seed);

/* The same where tokens are asked for as `drift` says; its part 0, or a Switch
 * layer: as above.  Errors also: E_MEMORY.                           [local] */
CORE_NODISCARD core_status core_batch_draw(core_batch *out,
                                           const core_spec *spec, int64_t n_b,
                                           int64_t n_t, uint64_t seed,
                                           const core_drift *drift);

/* Give a batch of tokens a mask with left padding: row b loses the first
 * (2b + 1) mod T of its T tokens, so lengths differ and a token stays.  The ids
 * under the padding remain: whoever attends to them is wrong and is seen.
 *                                                                    [local] */
CORE_NODISCARD core_status core_batch_pad_left(core_batch *batch,
                                               const core_spec *spec);

/* Read PREFIXinput_ids (and PREFIXattention_mask, PREFIXhidden_in) from an open
 * safetensors file; the prefix is "" or "p0." ...  Free with core_batch_free.
 * Errors: E_INPUT naming file, tensor, row and column of an id outside [0, V). */
struct core_st;
CORE_NODISCARD core_status core_batch_read(core_batch *out,
                                           const core_spec *spec,
                                           const struct core_st *file,
                                           const char *prefix);

/* A batch of n copies of the rows of another, one after the other.  Free with
 * core_batch_free.  Errors: E_MEMORY.                                [local] */
CORE_NODISCARD core_status core_batch_repeat(core_batch *out,
                                             const core_spec *spec,
                                             const core_batch *batch,
                                             int64_t n);

void core_batch_free(core_batch *batch);

#endif
