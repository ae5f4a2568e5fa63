/* harness/verify/rates.h -- what the processors reach now, beside whatever else
 * they do: some milliseconds of making the model's weights and of multiplying
 * with them, on all of them at once.
 */
#ifndef HAR_RATES_H
#define HAR_RATES_H

#include "core/numbers/numerics.h"
#include "core/model/spec.h"
#include "harness/launch/limits.h"

/* Fill limits->rates of these numerics with those of procedural weights of a
 * matrix of the model.  Leaves them as they are where there is no memory for
 * it. [local] */
void har_rates_measure(har_limits *limits, const core_spec *spec,
                       const core_numerics *numerics, int n_numerics);

#endif
