/* harness/verify/overflow.h -- a reference that leaves the numbers is bad
 * input.
 *
 * Nothing can be held against an infinity or a NaN.  Where one comes from is a
 * weight or a setting, and whoever wrote it wants to know which.
 */
#ifndef HAR_OVERFLOW_H
#define HAR_OVERFLOW_H

#include "core/model/taps.h"
#include "core/weights/weights.h"

/* Stands before another sink and remembers the first tap that is not finite, in
 * its values or in what they may be off by.                                  */
typedef struct har_overflow {
    core_tap_sink to;
    const core_spec *spec;
    int64_t n_token;
    bool is_found;
    core_tap tap;
} har_overflow;

core_tap_sink har_overflow_sink(har_overflow *self);

/* The error for an overflow at a tap.  A setting 10^15 times too large or too
 * small is named (E_SPEC), or else the weight that is not finite or the largest
 * beyond 10^15 (E_WEIGHTS), of the layers up to there; else the tap alone
 * (E_INPUT).                                                         [local] */
CORE_NODISCARD core_status har_overflow_error(const core_spec *spec,
                                              const core_weights *weights,
                                              core_numerics numerics,
                                              core_tap tap);

#endif
