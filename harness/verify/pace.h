/* harness/verify/pace.h -- what a process and a message cost on this machine.
 *
 * With hundreds of ranks a run is starts and messages, and how long those take
 * is up to processor, kernel and whatever guards the machine has against
 * others.  In processor time: what else runs is not in it.
 */
#ifndef HAR_PACE_H
#define HAR_PACE_H

#include "harness/launch/limits.h"

/* Fill limits->pace: start_seconds is the processor time that this process had
 * used when it began; messages go to and fro between it and a child.  Leaves it
 * as it is where no child can be made.                               [local] */
void har_pace_measure(har_limits *limits, double start_seconds);

#endif
