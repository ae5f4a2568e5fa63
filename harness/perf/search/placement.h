/* harness/perf/search/placement.h -- which EP rank holds which expert, from what they
 * are asked for.
 */
#ifndef HAR_PERF_PLACEMENT_H
#define HAR_PERF_PLACEMENT_H

#include "parallel/plan.h"

typedef struct har_ep_balance {
    double balance;   /* mean load of a rank / that of the fullest: 1 is even */
    int n_copy;       /* experts held, replicas counted                       */
    int most_experts; /* of one rank                                          */
} har_ep_balance;

/* Load by rank under a plan's placement (contiguous if it has none); tokens are
 * dealt evenly over the replicas of an expert.
 *   share [n_e] of the choices, adding up to 1                       [local] */
har_ep_balance har_ep_balance_of(const par_plan *plan, const double *share, int n_e);

/* Give plan a placement: copies of experts, largest load first, each to the
 * least loaded rank that has room and does not hold it.  Of 0 .. ep * n_spare
 * extra copies, each made of the expert whose copies carry most, the number
 * that gives the best balance; more copies must be better by 0.2 %.  No rank holds more than
 * ceil(n_e / ep) + n_spare.  The contiguous placement is kept if nothing beats
 * it.  n_e <= PAR_MAX_EXPERTS.                                       [local] */
void har_place_experts(par_plan *plan, const double *share, int n_e, int n_spare);

#endif
