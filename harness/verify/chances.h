/* harness/verify/chances.h -- how likely a token chooses which expert, before any
 * token is known.
 *
 * A correction bias that was drawn may outweigh the scores, and then a batch
 * reaches few experts: what it costs follows from these chances.
 */
#ifndef HAR_CHANCES_H
#define HAR_CHANCES_H

#include "core/base/status.h"
#include "core/model/spec.h"

/* *out [E]: with procedural weights, the chances of a layer's experts to be among
 * a token's K, the likeliest first, a mean over some layers, from some drawn
 * tokens; NULL where the router has no correction, and all are alike.  Caller
 * frees with free().  Errors: E_MEMORY.                              [local] */
CORE_NODISCARD core_status har_chances_make(double **out, const core_spec *spec,
                                            uint64_t seed);

/* Experts of a layer that n tokens choose together, of n_e.  chance [n_e], or NULL:
 * each K / n_e.                                                       [local] */
double har_chosen_experts(const double *chance, int64_t n_e, int64_t n_k,
                          double n);

#endif
