/* harness/perf/predict/balance.h -- how evenly a load lies on experts and ranks.     */
#ifndef HAR_PERF_BALANCE_H
#define HAR_PERF_BALANCE_H

#include "harness/perf/cost/load.h"

typedef struct har_balance {
    double ranks;         /* sum of mean / sum of most, over layers and ticks:
                           * rows per member of an expert group               */
    double experts;       /* the same per expert                              */
    double distinct_mean; /* experts with rows, per member, layer and tick    */
    double distinct_most;
    int slowest;          /* number in its scope of the member with most rows */
    int slowest_scope;
    double slowest_share; /* its rows / the mean over members                 */
} har_balance;

/* Arrays live in *arena, which is emptied.  Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har_balance_of(har_balance *out, core_arena *arena,
                                          const core_spec *spec,
                                          const par_layout *layout,
                                          const har_load *load);

#endif
