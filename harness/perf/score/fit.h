/* harness/perf/score/fit.h -- the coefficients of a machine, from measured times. */
#ifndef HAR_PERF_FIT_H
#define HAR_PERF_FIT_H

#include "harness/perf/score/table.h"

/* Fit the coefficients of the table's kind, and its sigma, on the shapes that
 * har_is_for_fitting chooses; the others are not looked at.
 *   machine   the other kinds' coefficients stay; those of this kind start from
 *             HAR_COEF_LIST and end as measured
 *   used      rows that the fit saw
 *   progress  called now and then with the mean error so far; may be NULL
 * Deterministic.  Errors: E_INPUT with fewer than 8 rows to fit on.   [local] */
CORE_NODISCARD core_status har_fit(har_machine *machine, const har_table *table,
                                   int64_t *used,
                                   void (*progress)(int round, double error));

#endif
