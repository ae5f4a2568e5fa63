/* harness/launch/processes.h -- how many processes may be started. */
#ifndef HAR_LAUNCH_PROCESSES_H
#define HAR_LAUNCH_PROCESSES_H

#include <stdbool.h>

/* May n processes be there beside this one?  Tried, where the limit of
 * processes (ulimit -u) is not far away.  Uses no allocator.         [local] */
bool har_may_start(int n);

#endif
