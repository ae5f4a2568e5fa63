/* harness/perf/cost/trace.c -- see trace.h.
 *
 * The head ends with an event of its own and every other event begins with a
 * comma: so pieces that several ranks have written can simply be put one after
 * the other.
 */
#include "harness/perf/cost/trace.h"

#include <math.h>

enum { NAME_BYTES = 2 * CORE_NAME_BYTES };

static void write_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* JSON has no infinities: what is no number is null. */
static void write_number(FILE *out, double number)
{
    if (isfinite(number))
        fprintf(out, "%.15g", number);
    else
        fputs("null", out);
}

/* Names of processes and tracks. */
static void write_name(FILE *out, const char *what, int process, int track,
                       const char *name)
{
    fprintf(out,
            "{\"ph\":\"M\",\"name\":\"%s\",\"pid\":%d,\"tid\":%d,\"args\":"
            "{\"name\":",
            what, process, track);
    write_text(out, name);
    fputs("}}", out);
}

void har_trace_begin(FILE *out, const char *process_name)
{
    fputs("{\"displayTimeUnit\":\"ms\",\"otherData\":{\"generator\":"
          "\"moeparity " HAR_VERSION "\"},\"traceEvents\":[\n",
          out);
    write_name(out, "process_name", 0, 0, process_name);
}

void har_trace_end(FILE *out)
{
    fputs("\n]}\n", out);
}

void har_trace_process(FILE *out, int process, const char *name)
{
    fputs(",\n", out);
    write_name(out, "process_name", process, 0, name);
}

void har_trace_track(FILE *out, int process, int track, const char *name)
{
    fputs(",\n", out);
    write_name(out, "thread_name", process, track, name);
    fprintf(out,
            ",\n{\"ph\":\"M\",\"name\":\"thread_sort_index\",\"pid\":%d,"
            "\"tid\":%d,\"args\":{\"sort_index\":%d}}",
            process, track, track);
}

void har_trace_put(FILE *out, const har_trace_event *event)
{
    fputs(",\n{\"ph\":\"X\",\"name\":", out);
    write_text(out, event->name);
    fputs(",\"cat\":", out);
    write_text(out, event->category);
    fprintf(out, ",\"pid\":%d,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"args\":{",
            event->process, event->track, event->start_us, event->dur_us);
    for (int i = 0; i < event->n_arg; i++) {
        const har_trace_arg *arg = &event->arg[i];
        fputs(i > 0 ? "," : "", out);
        write_text(out, arg->name);
        fputc(':', out);
        if (arg->text != NULL)
            write_text(out, arg->text);
        else
            write_number(out, arg->number);
    }
    fputs("}}", out);
}

static har_trace_arg number(const char *name, int64_t n)
{
    return (har_trace_arg){.name = name, .number = (double)n};
}

/* After what an operator is, and its tap. */
static const char *name_of(const core_cost *cost, char name[NAME_BYTES])
{
    char tap[CORE_NAME_BYTES];
    snprintf(name, NAME_BYTES, "%s %s",
             cost->kind == CORE_COST_COLLECTIVE
                 ? core_collective_name(cost->collective)
                 : cost->op,
             core_tap_name(cost->tap, tap));
    return name;
}

void har_trace_put_cost(FILE *out, int process, const core_cost *cost,
                        double start_us, double dur_us, double wait_us)
{
    const bool moves = cost->kind == CORE_COST_COLLECTIVE;
    char name[NAME_BYTES], shape[80];
    snprintf(shape, sizeof shape, "%lld x %lld x %lld", (long long)cost->m,
             (long long)cost->n, (long long)cost->k);
    const har_trace_arg place[] = {number("tick", cost->tick),
                                   number("micro_batch", cost->mb),
                                   number("round", cost->round),
                                   number("tokens", cost->n_token),
                                   {.name = "wait_us", .number = wait_us}};
    enum { N_PLACE = sizeof place / sizeof *place, N_OWN = 5 };
    const har_trace_arg compute[N_OWN] = {
        {.name = "shape", .text = shape},
        number("flops", cost->flops),
        number("elements", cost->weights + cost->read + cost->written +
                               cost->kv_read + cost->kv_written),
        number("weights", cost->weights),
        number("experts", cost->n_expert)};
    const har_trace_arg transfer[N_OWN] = {
        {.name = "axis", .text = core_axis_name(cost->axis)},
        number("group", cost->group),
        number("gives", cost->in),
        number("gets", cost->out),
        number("sent", cost->sent)};
    har_trace_arg arg[N_PLACE + N_OWN];
    for (int i = 0; i < (int)N_PLACE; i++)
        arg[i] = place[i];
    for (int i = 0; i < (int)N_OWN; i++)
        arg[(int)N_PLACE + i] = moves ? transfer[i] : compute[i];
    const har_trace_event event = {.process = process,
                                   .track = cost->rank,
                                   .name = name_of(cost, name),
                                   .category = core_cost_kind_name(cost->kind),
                                   .start_us = start_us,
                                   .dur_us = dur_us,
                                   .n_arg = N_PLACE + N_OWN,
                                   .arg = arg};
    har_trace_put(out, &event);
}

void har_trace_put_way(FILE *out, int process, int track, const core_cost *cost,
                       double start_us, double dur_us)
{
    char name[NAME_BYTES];
    const har_trace_arg arg[] = {
        number("tick", cost->tick),
        number("micro_batch", cost->mb),
        number("round", cost->round),
        {.name = "axis", .text = core_axis_name(cost->axis)},
        number("gives", cost->in),
        number("gets", cost->out)};
    const har_trace_event event = {.process = process,
                                   .track = track,
                                   .name = name_of(cost, name),
                                   .category = "under way",
                                   .start_us = start_us,
                                   .dur_us = dur_us,
                                   .n_arg = sizeof arg / sizeof *arg,
                                   .arg = arg};
    har_trace_put(out, &event);
}

void har_trace_put_tick(FILE *out, int process, const core_cost *any,
                        double start_us, double dur_us)
{
    char name[48];
    if (any->tick < 0)
        snprintf(name, sizeof name, "between passes");
    else
        snprintf(name, sizeof name, "tick %lld", (long long)any->tick);
    const har_trace_arg arg[] = {number("micro_batch", any->mb),
                                 number("round", any->round),
                                 number("tokens", any->n_token)};
    const har_trace_event event = {.process = process,
                                   .track = any->rank,
                                   .name = name,
                                   .category = "tick",
                                   .start_us = start_us,
                                   .dur_us = dur_us,
                                   .n_arg = sizeof arg / sizeof *arg,
                                   .arg = arg};
    har_trace_put(out, &event);
}
