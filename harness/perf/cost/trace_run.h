/* harness/perf/cost/trace_run.h -- the trace of an emulated pass.
 *
 * Every rank writes its operators as text into memory while it runs; at the end
 * rank 0 puts the pieces into one file.  A pass (a numerics, a prompt) is a
 * process of the trace, a rank a track, and what it has under way beside its
 * operators, from when it is begun to when it is seen to be over, further ones
 * behind all ranks'.  Operators show their own wall time:
 * what an observer takes to compare lies between them.
 */
#ifndef HAR_TRACE_RUN_H
#define HAR_TRACE_RUN_H

#include "harness/launch/outfile.h"
#include "harness/perf/cost/trace.h"
#include "parallel/forward.h"

typedef struct har_trace_run {
    par_comm *comm;
    bool is_on;
    har_outfile file;    /* on rank 0                                          */
    FILE *piece;         /* of this rank                                       */
    char *text;
    size_t n_text;
    double origin;       /* the clock at the start of the file                 */
    int process;         /* of the pass under way; -1: none yet                */
    core_cost last;      /* of the tick under way                              */
    uint64_t named;      /* tracks of what is under way, by place              */
    bool has_tick;
    double tick_start_us, tick_end_us;
} har_trace_run;

/* path NULL: nothing is traced, and the functions below do nothing.
 * Errors, agreed: E_FILE, E_MEMORY.                        [collective, world] */
CORE_NODISCARD core_status har_trace_open(har_trace_run *out, par_comm *comm,
                                          const char *path);

/* A new pass begins: the name of its process.                         [local] */
void har_trace_pass(har_trace_run *trace, const char *name);

/* The sink for par_options.cost; self is a har_trace_run.             [local] */
void har_trace_cost(void *self, const core_cost *cost,
                    const par_cost_time *took);

/* Likewise for par_options.under_way: a span on a track beside the rank's, one for
 * each lane and each buffer of a stream.                              [local] */
void har_trace_under_way(void *self, const par_under_way *request);

/* Make the file of all pieces, or (commit false, on all ranks alike) leave
 * nothing.  Errors, agreed: E_FILE, E_SPACE, E_MEMORY.     [collective, world] */
CORE_NODISCARD core_status har_trace_close(har_trace_run *trace, bool commit);

#endif
