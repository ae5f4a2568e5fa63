/* harness/perf/cost/moves.h -- experts that move between two passes, without a run.
 *
 * The same records as par_move_experts emits (parallel/moves.h), in the same
 * order: one for each layer whose experts a rank serves.
 */
#ifndef HAR_COST_MOVES_H
#define HAR_COST_MOVES_H

#include "harness/perf/cost/model.h"

/* Show the records of the rank of a layout, whose plan has the experts as they
 * are, and `after` [n_mapped, n_physical] as they will be.           [local] */
void har_cost_moves(const core_spec *spec, const par_layout *layout,
                    const uint16_t *after, const har_cost_reader *reader);

#endif
