/* harness/launch/events.c -- see events.h. */
#include "harness/launch/events.h"

#include "core/base/clock.h"
#include "harness/launch/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static core_status open_partial(har_events *out)
{
    out->fd = open(out->target.partial, O_WRONLY | O_APPEND | O_CLOEXEC);
    return out->fd >= 0 ? CORE_OK
                        : core_target_failed(out->target.path, errno);
}

core_status har_events_open(har_events *out, par_comm *comm, const char *path)
{
    core_status status = CORE_OK;
    memset(out, 0, sizeof *out);
    out->fd = -1;
    out->rank = comm->rank;
    if (path == NULL)
        return CORE_OK; /* on all ranks alike */
    if (comm->rank == 0) {
        status = core_target_open(&out->target, path);
        if (status == CORE_OK)
            status = open_partial(out);
        if (status == CORE_OK)
            har_run_partial(out->target.partial);
        else
            core_target_drop(&out->target);
    }
    status = par_agree(comm, status);
    if (status != CORE_OK)
        return status;
    par_broadcast(comm, &comm->world, &out->target,
                  (int64_t)sizeof out->target, 0);
    if (comm->rank != 0)
        status = open_partial(out);
    return par_agree(comm, status);
}

void har_events_label(har_events *events, const par_plan *plan,
                      core_numerics numerics)
{
    static par_plan degrees; /* large */
    par_plan_copy(&degrees, plan);
    degrees.n_mapped = degrees.n_physical = 0;
    par_plan_format(&degrees, events->plan);
    snprintf(events->numerics, sizeof events->numerics, "%s",
             core_numerics_name(numerics).text);
}

static void write_experts(FILE *out, const par_tick *tick)
{
    fputs("\"experts\":[", out);
    for (int i = 0; i < tick->n_my_expert; i++)
        fprintf(out, "%s%d", i > 0 ? "," : "",
                tick->my_expert != NULL ? tick->my_expert[i] : i);
    fputs("],\"expert_rows\":[", out);
    for (int64_t i = 0; i < tick->n_n_expert; i++)
        fprintf(out, "%s%" PRId64, i > 0 ? "," : "", tick->n_expert[i]);
    fputs("],", out);
}

static void write_bytes(FILE *out, const par_tick *tick)
{
    const char *comma = "";
    fputs("\"bytes\":{", out);
    for (int kind = 0; kind < (int)PAR_N_OP_KINDS; kind++) {
        if (tick->n_bytes[kind] == 0)
            continue;
        fprintf(out, "%s\"%s\":%" PRId64, comma,
                par_op_name((par_op_kind)kind), tick->n_bytes[kind]);
        comma = ",";
    }
    fputs("},", out);
}

static void write_line(FILE *out, const har_events *events,
                       const par_tick *tick)
{
    fprintf(out,
            "{\"plan\":\"%s\",\"numerics\":\"%s\",\"pass\":\"%s\","
            "\"rank\":%d,\"round\":%d,\"tick\":%" PRId64
            ",\"tokens\":%" PRId64 ",\"choices\":%" PRId64
            ",\"dropped\":%" PRId64 ",\"micro_batches\":[",
            events->plan, events->numerics, events->pass, events->rank,
            tick->round, tick->tick, tick->n_token, tick->n_choice,
            tick->n_dropped);
    for (int i = 0; i < tick->n_mb; i++)
        fprintf(out, "%s%d", i > 0 ? "," : "", tick->mb + i);
    fputs("],", out);
    write_experts(out, tick);
    write_bytes(out, tick);
    fprintf(out, "\"at\":%.6f,\"seconds\":%.6f,\"wait_seconds\":%.6f}\n",
            core_seconds(CLOCK_MONOTONIC) - events->start, tick->seconds,
            tick->wait_seconds);
}

void har_events_progress(void *self, const char *step, double done)
{
    har_events *events = self;
    char text[256];
    const double seconds = core_seconds(CLOCK_MONOTONIC) - events->start;
    if (events->fd < 0)
        return;
    const int n = snprintf(
        text, sizeof text,
        "{\"progress\":%.3f,\"step\":\"%s\",\"seconds\":%.3f,"
        "\"left_seconds\":%.3f}\n",
        done, step, seconds,
        har_seconds_left(events->expected_seconds, done, seconds));
    if (write(events->fd, text, (size_t)n) != n)
        events->why = ENOMEM;
}

void har_events_tick(void *self, const par_tick *tick)
{
    har_events *events = self;
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = events->fd < 0 ? NULL : open_memstream(&text, &bytes);
    if (out == NULL) {
        events->why |= events->fd >= 0 ? ENOMEM : 0;
        return;
    }
    write_line(out, events, tick);
    errno = ENOSPC; /* of a line that was cut */
    if (fclose(out) != 0 || write(events->fd, text, bytes) != (ssize_t)bytes)
        events->why = errno;
    free(text);
}

core_status har_events_close(har_events *events, bool commit)
{
    core_status status = CORE_OK;
    if (events->fd < 0)
        return CORE_OK;
    if (close(events->fd) != 0 && events->why == 0)
        events->why = errno;
    if (events->why != 0)
        status = core_fail_context(
            core_target_failed(events->target.path, events->why),
            "rank %d wrote its events", events->rank);
    events->fd = -1;
    if (events->rank != 0)
        return status;
    if (commit && status == CORE_OK)
        return core_target_commit(&events->target);
    core_target_drop(&events->target);
    return status;
}
