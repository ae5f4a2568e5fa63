/* harness/perf/predict/hubs.h -- parts of ticks that take as long whenever they
 * are played.
 *
 * The hub of a lane is the largest group that it meets in.  After a meeting of
 * their hub all its lanes go on at one time.  If until its last meeting of the
 * tick they meet nobody else and no message comes or goes, the time between the
 * two is always the same.
 */
#ifndef HAR_PERF_HUBS_H
#define HAR_PERF_HUBS_H

#include "harness/perf/predict/schedule.h"

typedef struct har_hubs {
    int n;          /* 0: none                                           */
    int *of_group;  /* [n_group] below n, or -1                          */
    int64_t *first; /* [n_lane, n_tick] the event in which the hub meets  */
    int64_t *last;  /* first and last in a tick; -1: less than twice, or
                     * not as described                                  */
} har_hubs;

/* The hubs of a schedule; their arrays are taken from *arena.
 * Errors: E_MEMORY.    [local] */
CORE_NODISCARD core_status har_hubs_find(har_hubs *out,
                                         const har_schedule *schedule,
                                         core_arena *arena);

#endif
