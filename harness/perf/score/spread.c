/* harness/perf/score/spread.c -- see spread.h. */
#include "harness/perf/score/spread.h"

#include "core/base/status.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void har_sort(double *x, int64_t n)
{
    if (n > 1)
        qsort(x, (size_t)n, sizeof *x, by_size);
}

double har_quantile(const double *sorted, int64_t n, double share)
{
    core_assert(n > 0);
    return sorted[(int64_t)(share * (double)(n - 1))];
}

har_noise har_noise_of(double *apart, int64_t n)
{
    if (n == 0)
        return (har_noise){.n = 0};
    har_sort(apart, n);
    return (har_noise){har_quantile(apart, n, 0.5), har_quantile(apart, n, 0.9),
                       n};
}
