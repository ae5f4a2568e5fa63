/* harness/live/line.h -- one line of --events (harness/launch/events.h), read. */
#ifndef HAR_LIVE_LINE_H
#define HAR_LIVE_LINE_H

#include "core/numbers/numerics.h"
#include "parallel/comm.h"
#include "parallel/plan.h"

#include <jansson.h>

typedef struct har_tick_line {
    const char *plan, *numerics, *pass; /* in the JSON                        */
    int rank;
    int64_t n_token, n_choice, n_dropped;
    const json_t *experts, *expert_rows; /* whole numbers; rows are experts'
                                          * numbers, a number of times        */
    int64_t n_bytes[PAR_N_OP_KINDS];
    double at, seconds, wait_seconds;
} har_tick_line;

typedef struct har_progress_line {
    double progress, seconds, left_seconds;
    const char *step;
} har_progress_line;

/* Is it a line of progress, and not of a tick?                        [local] */
bool har_line_is_progress(const json_t *line);

/* What it says; `name` is used in messages.  Errors: E_FORMAT "NAME: tokens:
 * expected a number from 0, found -1".                                [local] */
CORE_NODISCARD core_status har_line_tick(har_tick_line *out, const json_t *line,
                                         const char *name);
CORE_NODISCARD core_status har_line_progress(har_progress_line *out,
                                             const json_t *line,
                                             const char *name);

#endif
