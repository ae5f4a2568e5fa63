/* harness/perf/cost/trace.h -- timelines in Chrome's trace format, for Perfetto.
 *
 * A trace is a list of (process, track, name, category, start, duration, args).
 * A measured pass and a predicted one are written by the same functions, so
 * that they can be laid side by side: one process per pass, one track per rank,
 * the same names.  Open the file in ui.perfetto.dev or chrome://tracing.
 *
 *     har_trace_begin(out, "predicted");
 *     har_trace_track(out, 0, rank, "rank 0");
 *     har_trace_put_cost(out, 0, &cost, start_us, dur_us, wait_us);
 *     har_trace_end(out);
 *
 * Write errors show in ferror(out): har_outfile_commit finds them.
 */
#ifndef HAR_TRACE_H
#define HAR_TRACE_H

#include "core/pass/cost.h"

#include <stdio.h>

typedef struct har_trace_arg { /* borrows                                      */
    const char *name;
    const char *text;          /* NULL: a number                               */
    double number;
} har_trace_arg;

typedef struct har_trace_event { /* borrows                                    */
    int process, track;
    const char *name, *category;
    double start_us, dur_us;
    int n_arg;
    const har_trace_arg *arg;
} har_trace_event;

/* The head of the file, and the name of process 0; its end.                   */
void har_trace_begin(FILE *out, const char *process_name);
void har_trace_end(FILE *out);

/* Between the two, in any order. */
void har_trace_process(FILE *out, int process, const char *name);
void har_trace_track(FILE *out, int process, int track, const char *name);
void har_trace_put(FILE *out, const har_trace_event *event);

/* An operator of rank cost->rank: named after what it is and its tap, its kind
 * is the category, its shape and place are args.  wait_us: of dur_us.         */
void har_trace_put_cost(FILE *out, int process, const core_cost *cost,
                        double start_us, double dur_us, double wait_us);

/* A transfer that went on beside operators, on a track of its own. */
void har_trace_put_way(FILE *out, int process, int track, const core_cost *cost,
                       double start_us, double dur_us);

/* The tick around operators of one rank. */
void har_trace_put_tick(FILE *out, int process, const core_cost *any,
                        double start_us, double dur_us);

#endif
