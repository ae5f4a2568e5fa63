/* harness/live/screen.h -- a run's events for eyes, and for a collector. */
#ifndef HAR_SCREEN_H
#define HAR_SCREEN_H

#include "harness/live/tally.h"

#include <stdio.h>

/* How far the run is, a row for each pass, and of the last pass bytes by kind,
 * and in bars the rows of experts and the waiting of ranks.           [local] */
void har_screen_write(FILE *out, const har_tally *live);

/* The same figures, of all passes, as OpenMetrics text.               [local] */
void har_openmetrics_write(FILE *out, const har_tally *live);

#endif
