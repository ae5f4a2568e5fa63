/* core/base/clock.h -- what things are timed with. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <time.h>

/* Seconds of a clock: CLOCK_MONOTONIC is the same for all processes of a host,
 * CLOCK_THREAD_CPUTIME_ID the processor time of this thread.         [local] */
double core_seconds(clockid_t clock);

#endif
