/* harness/perf/cost/trace_run.c -- see trace_run.h.
 *
 * Ticks are drawn around their operators, from the first to the end of the
 * last: a tick in which a rank does nothing leaves a gap, which is the bubble.
 */
#include "harness/perf/cost/trace_run.h"

#include "core/base/arena.h"
#include "core/base/clock.h"

#include <stdlib.h>

enum { TAG = 17 };

core_status har_trace_open(har_trace_run *out, par_comm *comm, const char *path)
{
    core_status status = CORE_OK;
    *out = (har_trace_run){.comm = comm, .process = -1};
    if (path == NULL)
        return CORE_OK; /* on all ranks alike */
    if (comm->rank == 0)
        status = har_outfile_open(&out->file, path);
    out->piece = open_memstream(&out->text, &out->n_text);
    if (status == CORE_OK && out->piece == NULL)
        status = core_fail(CORE_E_MEMORY, "no memory for the trace");
    status = par_agree(comm, status);
    if (status != CORE_OK) {
        har_outfile_drop(&out->file);
        if (out->piece != NULL)
            fclose(out->piece);
        free(out->text);
        return status;
    }
    out->is_on = true;
    out->origin = core_seconds(CLOCK_MONOTONIC);
    par_broadcast(comm, &comm->world, &out->origin, sizeof out->origin, 0);
    return CORE_OK;
}

static void end_tick(har_trace_run *trace)
{
    if (trace->has_tick)
        har_trace_put_tick(trace->piece, trace->process, &trace->last,
                           trace->tick_start_us,
                           trace->tick_end_us - trace->tick_start_us);
    trace->has_tick = false;
}

void har_trace_pass(har_trace_run *trace, const char *name)
{
    char track[32];
    if (!trace->is_on)
        return;
    end_tick(trace);
    trace->process++;
    trace->named = 0;
    snprintf(track, sizeof track, "rank %d", trace->comm->rank);
    if (trace->comm->rank == 0 && trace->process == 0)
        har_trace_begin(trace->piece, name);
    else if (trace->comm->rank == 0)
        har_trace_process(trace->piece, trace->process, name);
    har_trace_track(trace->piece, trace->process, trace->comm->rank, track);
}

void har_trace_cost(void *self, const core_cost *cost,
                    const par_cost_time *took)
{
    har_trace_run *trace = self;
    const double start_us = 1e6 * (took->start - trace->origin);
    const double dur_us = 1e6 * took->seconds;
    if (trace->has_tick && trace->last.tick != cost->tick)
        end_tick(trace);
    if (!trace->has_tick)
        trace->tick_start_us = start_us;
    trace->has_tick = true;
    trace->last = *cost;
    trace->tick_end_us = start_us + dur_us;
    har_trace_put_cost(trace->piece, trace->process, cost, start_us, dur_us,
                       1e6 * took->wait_seconds);
}

/* The track of a place, named when something is first there. */
static int beside(har_trace_run *trace, const par_under_way *request)
{
    enum { KNOWN = 64 };
    char name[64];
    const int place = 2 * request->number + (request->is_stream ? 1 : 0);
    const int rank = trace->comm->rank;
    const int track = (1 + place) * trace->comm->size + rank;
    const uint64_t bit = place < KNOWN ? UINT64_C(1) << place : 0;
    if ((trace->named & bit) == 0) {
        snprintf(name, sizeof name, "rank %d, %s %d under way", rank,
                 request->is_stream ? "stream" : "lane", request->number);
        har_trace_track(trace->piece, trace->process, track, name);
    }
    trace->named |= bit;
    return track;
}

void har_trace_under_way(void *self, const par_under_way *request)
{
    har_trace_run *trace = self;
    har_trace_put_way(trace->piece, trace->process, beside(trace, request),
                      &request->cost, 1e6 * (request->start - trace->origin),
                      1e6 * (request->end - request->start));
}

/* --- all pieces into one file --- */

static core_status write_piece(FILE *out, const char *text, int64_t n)
{
    CORE_FAIL_IF(fwrite(text, 1, (size_t)n, out) != (size_t)n, CORE_E_FILE,
                 "the trace cannot be written");
    return CORE_OK;
}

/* Rank 0 takes the pieces of the others, one after the other: all of them, even
 * if it cannot write them, because they are waited for. */
static core_status collect(har_trace_run *trace, const int64_t *n_text)
{
    par_comm *comm = trace->comm;
    FILE *out = trace->file.file;
    core_status status = write_piece(out, trace->text, n_text[0]);
    for (int r = 1; r < comm->size; r++) {
        void *text = NULL;
        const core_status room =
            core_alloc(&text, n_text[r] + 1, 1, "a rank's trace");
        if (room != CORE_OK)
            par_abort(comm, room, "%s", core_message());
        par_wait(comm, par_post_recv(comm, r, TAG, text, n_text[r]));
        if (status == CORE_OK)
            status = write_piece(out, text, n_text[r]);
        free(text);
    }
    har_trace_end(out);
    return status;
}

static core_status join(har_trace_run *trace, int64_t *n_text,
                        int64_t *count_bytes)
{
    par_comm *comm = trace->comm;
    const int64_t n_mine = (int64_t)trace->n_text;
    for (int r = 0; r < comm->size; r++)
        count_bytes[r] = sizeof n_mine;
    par_all_gather(comm, &comm->world, &n_mine, n_text, count_bytes);
    if (comm->rank == 0)
        return collect(trace, n_text);
    par_wait(comm, par_post_send(comm, 0, TAG, trace->text, n_mine));
    return CORE_OK;
}

static core_status finish(har_trace_run *trace)
{
    par_comm *comm = trace->comm;
    void *sizes = NULL;
    core_status status = CORE_OK;
    end_tick(trace);
    const bool failed = ferror(trace->piece) != 0;
    if (fclose(trace->piece) != 0 || failed)
        status = core_fail(CORE_E_MEMORY, "no memory for the trace");
    trace->piece = NULL;
    if (status == CORE_OK)
        status = core_alloc(&sizes, 2 * comm->size, sizeof(int64_t),
                            "sizes of traces");
    status = par_agree(comm, status);
    if (status == CORE_OK) {
        int64_t *n_text = sizes;
        status = join(trace, n_text, n_text + comm->size);
        if (status == CORE_OK && comm->rank == 0)
            status = har_outfile_commit(&trace->file);
        status = par_agree(comm, status);
    }
    free(sizes);
    return status;
}

core_status har_trace_close(har_trace_run *trace, bool commit)
{
    core_status status = CORE_OK;
    if (!trace->is_on)
        return CORE_OK;
    if (commit)
        status = finish(trace);
    else
        fclose(trace->piece);
    if (trace->comm->rank == 0)
        har_outfile_drop(&trace->file);
    free(trace->text);
    trace->is_on = false;
    return status;
}
