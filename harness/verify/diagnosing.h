/* harness/verify/diagnosing.h -- what the first difference of a pass looks
 * like.
 */
#ifndef HAR_DIAGNOSING_H
#define HAR_DIAGNOSING_H

#include "harness/verify/verdict.h"

/* Fill pass->diagnosis: the rank with the first difference of a forced pass,
 * whose inputs are right, looks at what it kept, and tells the others.  The
 * weights are prepared for the numerics of the pass.       [collective, world]
 */
void har_pass_diagnose(har_pass *pass, par_comm *comm, const har_watch *watch,
                       const core_weights *weights, const par_plan *plan,
                       int64_t n_t);

#endif
