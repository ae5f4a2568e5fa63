/* harness/perf/calibrate/probe.h -- small models whose operators are measured.
 *
 * A probe is a function of a number alone.  Even numbers are for `calibrate`,
 * odd ones for checking what it made: no shape of one is looked at by the other.
 */
#ifndef HAR_PERF_PROBE_H
#define HAR_PERF_PROBE_H

#include "harness/perf/calibrate/passes.h"

typedef struct har_probe {
    core_spec spec;
    int64_t n_b, n_t;
} har_probe;

/* Errors: E_SPEC if the throw is no model: a bug.                    [local] */
CORE_NODISCARD core_status har_probe_make(har_probe *out, int number);

/* Time the operators of a probe on one rank, from a cold cache.  comm has one
 * rank; passes as of har_passes_run.  Errors: E_MEMORY.          [collective] */
CORE_NODISCARD core_status har_probe_run(har_passes *passes, par_comm *comm,
                                         const har_probe *probe,
                                         core_numerics numerics, int n_pass);

#endif
