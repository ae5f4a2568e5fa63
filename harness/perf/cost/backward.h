/* harness/perf/cost/backward.h -- the way back, without a run.
 *
 * The same records as par_backward emits (parallel/backward.h), in the same
 * order up to the sums of weights' gradients, which come last, one a weight, in
 * an order of their own.  What par_backward does not know
 * is the other direction of what went forward: with sp a sum becomes scattered
 * and a scattered one gathered, with cp what was gathered is scattered, a ring
 * goes round twice, and dealt heads come back.
 */
#ifndef HAR_COST_BACKWARD_H
#define HAR_COST_BACKWARD_H

#include "harness/perf/cost/model.h"

/* Show the records of the rank of a layout.  Buffers live in *arena, which is
 * emptied; start it with core_arena_measure().  Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har_cost_backward(const har_cost_case *request,
                                             const par_layout *layout,
                                             core_arena *arena,
                                             const har_cost_reader *reader);

/* The products of the way back of one there, [m, n] over k: [m, k] over n, the
 * result's gradient times the weight, and [n, k] over m, the gradient of the
 * weight.  That of a group's n_expert weights has n rows for each, over its rows
 * in the mean.  Biases are left out.                                 [local] */
void har_cost_products_back(const core_cost *there, core_cost back[2]);

#endif
