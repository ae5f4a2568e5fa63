/* harness/perf/calibrate/memory.c -- how fast one core moves bytes.
 *
 * y = a x + y over arrays far beyond the caches, and over arrays that fit the
 * core's own: read x, read y, write y.
 */
#include "core/base/clock.h"
#include "harness/perf/calibrate/calibrate.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdlib.h>

enum {
    FAR_ELEMENTS = 8 << 20, /* of each array: 64 MB                           */
    NEAR_ELEMENTS = 24 << 10, /* of each array: 192 KB                        */
    N_REPEAT = 9,
    NEAR_ROUNDS = 200
};

static double bandwidth(double *x, int64_t n, int rounds)
{
    double seconds[N_REPEAT];
    double *y = x + n;
    for (int r = 0; r < N_REPEAT; r++) {
        const double start = core_seconds(CLOCK_THREAD_CPUTIME_ID);
        for (int k = 0; k < rounds; k++)
            for (int64_t i = 0; i < n; i++)
                y[i] += 0.5 * x[i];
        seconds[r] = (core_seconds(CLOCK_THREAD_CPUTIME_ID) - start) / rounds;
    }
    har_sort(seconds, N_REPEAT);
    return 3.0 * (double)n * sizeof *x / seconds[N_REPEAT / 2];
}

core_status har_calibrate_memory(har_calibration *out, const har_measuring *how)
{
    void *values = NULL;
    CORE_TRY(core_alloc(&values, 2 * (int64_t)FAR_ELEMENTS, sizeof(double),
                        "arrays beyond the caches"));
    double *x = values;
    for (int64_t i = 0; i < 2 * (int64_t)FAR_ELEMENTS; i++)
        x[i] = (double)(i % 7);
    out->copy_bw = bandwidth(x, FAR_ELEMENTS, 1);
    out->cache_bw = bandwidth(x, NEAR_ELEMENTS, NEAR_ROUNDS);
    free(values);
    CORE_FAIL_IF(!isfinite(out->copy_bw) || !isfinite(out->cache_bw),
                 CORE_E_PROGRAM, HAR_COARSE_CLOCK);
    fprintf(how->samples, "  - [bandwidth, memory, %.5g]\n", out->copy_bw);
    fprintf(how->samples, "  - [bandwidth, cache, %.5g]\n", out->cache_bw);
    return CORE_OK;
}
