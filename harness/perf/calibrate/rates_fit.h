/* harness/perf/calibrate/rates_fit.h -- what one of a feature costs, from measurements. */
#ifndef HAR_PERF_RATES_FIT_H
#define HAR_PERF_RATES_FIT_H

#include "harness/perf/machine/rates.h"

typedef struct har_rate_sample {
    har_rate_class of;
    core_dtype dtype;
    core_cost cost;
    har_residency where;
    double seconds;               /* measured, positive                        */
    double amount[HAR_N_FEATURE]; /* filled by the fit                         */
} har_rate_sample;

/* Fit a rate for every class and dtype among the samples, in the order of their
 * first sample; a class with fewer than 6 samples gets none.  rates->rate,
 * rates->n and rates->far_from are replaced: how much a core's cache keeps is
 * tried by doublings from cache_values on.  Nothing costs less than nothing.
 * Deterministic.  Errors: E_MEMORY; E_INTERNAL for more classes than a machine
 * may have.                                                           [local] */
CORE_NODISCARD core_status har_rates_fit(har_rates *rates,
                                         har_rate_sample *sample, int64_t n,
                                         double cache_values);

#endif
