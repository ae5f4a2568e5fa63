/* parallel/heads.h -- what heads.c and key_parts.c share: a head of a row, and
 * a block of its queries.
 *
 * Scores of a block: [i1 - i0, j1 - j0], key j in column j - j0.
 */
#ifndef PAR_HEADS_H
#define PAR_HEADS_H

#include "parallel/forward_impl.h"

/* What one (row, head) works on; strides ld_* in elements. */
typedef struct par__query_head {
    const par_view *view;
    int64_t row;         /* of the micro-batch                                */
    const double *q;     /* [queries of the row, Dh]                          */
    const double *k, *v; /* of the first token of the view                    */
    double *context;     /* [queries of the row, Dv]                          */
    int64_t ld_q, ld_o;
    const uint8_t *mask; /* [T] of the row, or NULL                           */
    const int64_t *seen; /* [queries, sets, keys] of the row's tokens from    */
    int64_t seen0;       /* this one on; NULL: no choice                      */
    core_seen sets;
    int64_t set;         /* the head's                                        */
    par_done digests;    /* of complete runs of                               */
    int64_t run;         /* so many tokens; 0: there are none                 */
    double sink;         /* its logit; -infinity: none                        */
    const core_heads *of; /* the layer's                                      */
    int layer;
    par_thread_room room; /* of the thread that works on it                   */
    int64_t n_pair, flops; /* counted                                         */
} par__query_head;

typedef struct par__query_block {
    int64_t i0, i1; /* queries                                                */
    int64_t at;     /* where the first of them lies among the row's           */
    int64_t j0, j1; /* keys that any of them may need; digests stand before   */
    int64_t first;  /* this one                                               */
} par__query_block;

/* Key j of the row, by the mask. */
static inline bool par__is_unmasked(const par__query_head *h, int64_t j)
{
    return h->mask == NULL || h->mask[j] != 0;
}

/* Where key j of the row, of part `keys`, lies in the view. */
static inline int64_t par__token_of(const par__query_head *h,
                                    const par_keys *keys, int64_t j)
{
    return keys->first + h->row * keys->step + j - keys->run.i0;
}

/* key_parts.c: digests and keys of the window side by side, in work.gathered;
 * the block's keys begin with the digests. */
void par__gather_keys(const par_model *m, const par__query_head *h,
                      par__query_block *b);
/* Scores s = q k^T of the block.                                             */
void par__part_scores(const par_model *m, const par__query_head *h,
                      const par__query_block *b, double *s);
/* Of a query's scores s, [lo, hi) of which are not in the future nor out of the
 * window: scaled, and the largest visible one, `largest` if none is larger;
 * then exponentials, stored, 0 of what is not visible, and their sum and `sum`.
 */
double par__part_largest(const par_model *m, const par__query_head *h,
                         const par__query_block *b, int64_t lo, int64_t hi,
                         double *s, double largest);
double par__part_sum(const par_model *m, const par__query_head *h,
                     const par__query_block *b, int64_t lo, int64_t hi,
                     double *s, double largest, double sum);
/* h->context of the block from probabilities s.                              */
void par__part_values(const par_model *m, const par__query_head *h,
                      const par__query_block *b, const double *s);

#endif
