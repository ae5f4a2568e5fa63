/* harness/launch/events.h -- one JSON line per turn and rank, while the run goes on.
 *
 * All ranks append to one partial file, each line in a single write, so lines
 * never mix; rank 0 puts it in its place when the run has ended.
 *     {"plan":"tp=2","numerics":"exact","pass":"free pass","rank":3,"round":0,
 *      "tick":5,"tokens":16,"choices":32,"dropped":1,"micro_batches":[2],
 *      "experts":[6,7],"expert_rows":[4,0],"bytes":{"send":8192},
 *      "at":1.27,"seconds":0.01,"wait_seconds":0.002}
 * Micro-batches that the plan works on together (overlap=dispatch, batch_reduce)
 * share a line, with the first one's tick.  "at" is when the tick was over, in seconds of the run.  A rank's experts are
 * in expert_rows once for every stage that dispatches to it in the tick; with
 * physical experts, others in each layer, it lists all experts, and the plan is
 * without them.
 * and, whenever a thousandth more of the run is done, one of rank 0:
 *     {"progress":0.431,"step":"exact: free pass","seconds":12.1,
 *      "left_seconds":16.0}
 */
#ifndef HAR_EVENTS_H
#define HAR_EVENTS_H

#include "core/files/target.h"
#include "parallel/forward.h"
#include "parallel/plan.h"

typedef struct har_events {
    int fd;             /* -1: no events wanted                                */
    int rank;
    int why;            /* errno of a write that did not succeed, else 0       */
    char plan[PAR_PLAN_TEXT];
    char numerics[CORE_NUMERICS_BYTES];
    const char *pass;   /* words of the pass that runs: set by the caller, who
                         * lets them live as long                              */
    core_target target; /* rank 0's, on all                                    */
    double start, expected_seconds; /* of the run, on the monotonic clock: set
                                     * by the caller                           */
} har_events;

/* Open the partial file that rank 0 names; path NULL: no events.
 * Errors, agreed: E_FILE.                                  [collective, world] */
CORE_NODISCARD core_status har_events_open(har_events *out, par_comm *comm,
                                           const char *path);

/* Set plan and numerics of the lines that follow.                     [local] */
void har_events_label(har_events *events, const par_plan *plan,
                      core_numerics numerics);

/* The tick callback; self is a har_events.                            [local] */
void har_events_tick(void *self, const par_tick *tick);

/* How much of the run is done; self is a har_events.                  [local] */
void har_events_progress(void *self, const char *step, double done);

/* Close; rank 0 puts the file in its place (commit) or removes it.    [local]
 * Errors: E_FILE, E_SPACE.                                                    */
CORE_NODISCARD core_status har_events_close(har_events *events, bool commit);

#endif
