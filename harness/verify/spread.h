/* harness/verify/spread.h -- how much honest roundings of an operator make.
 *
 * Measured on the reference: each operator is computed again on correct inputs,
 * in the arithmetic and with the stores that the numerics state, its sums in
 * drawn orders.  What the draws are off is summed as a run's errors are, so
 * that the grade of precision compares like with like.
 */
#ifndef HAR_SPREAD_H
#define HAR_SPREAD_H

#include "core/pass/tapfile.h"
#include "harness/verify/precision.h"
#include "ref/ref.h"

/* How many draws: 0 where the numerics have none.                    [local] */
int har_spread_draws(core_numerics numerics);

/* out [taps of the model, in order] = the sums of all draws.  file: the taps
 * and bounds that this model made of batch and groups in these numerics.
 * Errors: E_MEMORY.                                                  [local] */
CORE_NODISCARD core_status har_spread_make(har_precision *out, ref_model *model,
                                           const core_spec *spec,
                                           core_numerics numerics,
                                           const core_batch *batch,
                                           const core_groups *groups,
                                           const core_tapfile *file);

#endif
