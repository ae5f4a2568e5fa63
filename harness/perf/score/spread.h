/* harness/perf/score/spread.h -- sorted numbers, and how far they lie apart. */
#ifndef HAR_PERF_SPREAD_H
#define HAR_PERF_SPREAD_H

#include <stdint.h>

/* Ascending.  No NaN.                                                 [local] */
void har_sort(double *x, int64_t n);

/* Element of sorted[n], n > 0, that `share` of them lie below.        [local] */
double har_quantile(const double *sorted, int64_t n, double share);

/* How far repetitions of the same measurement lie apart: quantiles of
 * |one / middle - 1|, n of them; all 0 for none.                             */
typedef struct har_noise {
    double median, p90;
    int64_t n;
} har_noise;

/* Sorts apart[n].                                                     [local] */
har_noise har_noise_of(double *apart, int64_t n);

#endif
