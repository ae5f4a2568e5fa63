/* core/base/clock.c -- see clock.h. */
#include "core/base/clock.h"

double core_seconds(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
