/* harness/launch/clock.c -- see clock.h. */
#include "harness/launch/clock.h"

#include <time.h>

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double har_wall_seconds(void)
{
    return seconds(CLOCK_MONOTONIC);
}

double har_cpu_seconds(void)
{
    return seconds(CLOCK_THREAD_CPUTIME_ID);
}
