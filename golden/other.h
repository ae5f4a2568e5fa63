/* golden/other.h -- what another model gives on a bundle's batch.
 *
 * For the question which model it is that a dump is of:
 * harness/judge/explain.h.
 */
#ifndef GOLD_OTHER_H
#define GOLD_OTHER_H

#include "core/model/taps.h"
#include "golden/golden.h"
#include "ref/ref.h"

typedef struct gold_other gold_other; /* opaque                               */

/* A pass of `spec` on the batch and token groups of the bundle: honest, free,
 * of the taps that a bundle has.
 *   weights    prepared for `numerics`; do they serve: core_weight_check_within
 *   otherwise  what one operator does that MODEL.md does not say
 * Free with gold_other_free.  Errors: E_MEMORY; E_INPUT for values that are not
 * finite.                                                            [local] */
CORE_NODISCARD core_status gold_other_make(gold_other **out,
                                           const gold_case *gold,
                                           const core_spec *spec,
                                           const core_weights *weights,
                                           core_numerics numerics,
                                           ref_otherwise otherwise);
void gold_other_free(gold_other *other); /* accepts NULL */

/* A tap of it, [n_row, n_col] values or ints; borrowed.                      */
typedef struct gold_other_tap {
    int64_t n_row, n_col;
    double *values; /* NULL: it has ints                                      */
    int64_t *ints;
    double *margin; /* [n_row] of topk_idx; NULL: of another                  */
} gold_other_tap;

/* False: the pass has no such tap.                                   [local] */
bool gold_other_find(gold_other_tap *out, const gold_other *other,
                     core_tap tap);

#endif
