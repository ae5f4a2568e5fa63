/* tests/support/scaled_weights.h -- procedural weights, one kind of them of
 * another size, or on a finer grid than it needs.
 */
#ifndef SCALED_WEIGHTS_H
#define SCALED_WEIGHTS_H

#include "core/weights/weights.h"

typedef struct scaling {
    core_weight_kind kind;
    int exponent; /* its values, and their step, times 2^exponent             */
    int finer;    /* and the step over 2^finer                                */
    bool multiplies; /* no source around it: with its products                */
} scaling;

/* Prepared for exact mode.  Caller frees with core_weights_close.     [local]
 */
core_weights *scaled_weights_open(const core_spec *spec, scaling s);

#endif
