/* harness/launch/clock.h -- the two clocks that things are timed with. */
#ifndef HAR_CLOCK_H
#define HAR_CLOCK_H

/* Seconds since some moment, the same for all processes of a host.   [local] */
double har_wall_seconds(void);

/* Processor time of this thread.                                     [local] */
double har_cpu_seconds(void);

#endif
