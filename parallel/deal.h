/* parallel/deal.h -- routing dealt by hand, so that everything has a row to do.
 *
 * A router goes by its scores: experts stay idle, and so do copies of experts.
 * A deal gives every choice of a batch an expert and a weight, the same in
 * every layer, and every token an id, such that each expert gets a row of its
 * own on every rank that holds it, and each tensor rank looks a token up.  Who
 * serves which token is the plan's business, so the deal is made here; it is
 * plain data for whoever takes it in place of choosing.
 */
#ifndef PAR_DEAL_H
#define PAR_DEAL_H

#include "parallel/layout.h"

typedef struct par_deal {
    int64_t n_b, n_t; /* the batch that it is for                            */
    int64_t *expert;  /* [B*T, K] distinct within a token                    */
    double *weight;   /* [B*T, K] in (0, 1), on the grid of probabilities    */
    int64_t *id;      /* [B*T] token ids                                     */
    int64_t n_missed; /* experts' copies and vocabulary parts that this many
                       * rows cannot reach                                   */
} par_deal;

/* The deal for n_b rows of the fewest tokens, at most `most`, that reaches all;
 * where none does, of those that miss least.  Where a rank's bias is added only
 * to the rows that it completes, each of the etp ranks is to complete one.  A
 * choice that is dealt to reach something keeps its slot.  Free with
 * par_deal_free.  Errors: E_MEMORY.                                  [local] */
CORE_NODISCARD core_status par_deal_make(par_deal *out, const core_spec *spec,
                                         const par_plan *plan, int64_t n_b,
                                         int64_t most, uint64_t seed);
void par_deal_free(par_deal *deal);

#endif
