/* tests/cli/jumping_clock.c -- LD_PRELOAD: the clock of the day jumps two days
 * forth or back with every look at it; the clocks that only count go on.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { DAY = 86400 };

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static atomic_int n_look;
    const int code = (int)syscall(SYS_clock_gettime, clock, out);
    if (code == 0 &&
        (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        out->tv_sec += atomic_fetch_add(&n_look, 1) % 2 == 0 ? DAY : -DAY;
    return code;
}

time_t time(time_t *out)
{
    struct timespec t = {.tv_sec = -1};
    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (out != NULL)
        *out = t.tv_sec;
    return t.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec t;
    (void)zone;
    const int code = clock_gettime(CLOCK_REALTIME, &t);
    *out = (struct timeval){.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
    return code;
}
