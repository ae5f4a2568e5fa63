/* harness/program/top.c -- what a run does, from its events. */
#include "harness/launch/outfile.h"
#include "harness/live/follow.h"
#include "harness/live/screen.h"
#include "harness/program/command.h"

#include <time.h>
#include <unistd.h>

typedef struct request {
    const char *path, *openmetrics;
    bool follows;
} request;

static void check_request(const void *self, struct argp_state *state)
{
    const request *r = self;
    if (r->path == NULL)
        argp_error(state, "expected the file that verify --events names");
}

static const har_command_line line = {
    "top", "EVENTS",
    "Tokens per second, waiting, balance, drops and bytes of every pass of a "
    "run, the load of experts and the waiting of ranks of the last one, from "
    "the file of verify --events; with --follow while it is written.  Exit 6 "
    "if the run that is followed ends without it.\v" HAR_EXIT_CODES,
    check_request};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {.text = &r->path},
        {"follow", .flag = &r->follows,
         .help = "until the run has ended; shown anew on a terminal"},
        {"openmetrics", .text = &r->openmetrics, .argument = "FILE",
         .help = "the same as OpenMetrics text, for a file exporter; with "
                 "--follow written anew each time"},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

static core_status write_openmetrics(const char *path, const har_tally *live)
{
    har_outfile out;
    CORE_TRY(har_outfile_open(&out, path));
    har_openmetrics_write(out.file, live);
    return har_outfile_commit(&out);
}

static core_status show(const request *r, const har_tally *live, bool is_last)
{
    const bool is_terminal = isatty(STDOUT_FILENO) != 0;
    if (r->follows && is_terminal)
        fputs("\033[H\033[J", stdout);
    if (is_last || is_terminal)
        har_screen_write(stdout, live);
    fflush(stdout);
    return r->openmetrics != NULL ? write_openmetrics(r->openmetrics, live)
                                  : CORE_OK;
}

static core_status watch(const request *r, har_follow *follow, har_tally *live)
{
    const struct timespec pause = {.tv_nsec = 500000000};
    har_follow_state state;
    for (;;) {
        CORE_TRY(har_follow_read(follow, live, &state));
        CORE_TRY(show(r, live, state != HAR_FOLLOW_GROWS));
        if (state != HAR_FOLLOW_GROWS)
            break;
        nanosleep(&pause, NULL);
    }
    CORE_FAIL_IF(state == HAR_FOLLOW_REMOVED, CORE_E_UNPROVEN,
                 "%s: the run ended without it", r->path);
    return CORE_OK;
}

int har_cmd_top(int argc, char **argv)
{
    request r = {.path = NULL};
    har_follow follow;
    har_tally live = {.n_pass = 0};
    read_command_line(&r, argc, argv);
    core_status status = har_follow_open(&follow, r.path, r.follows);
    if (status == CORE_OK)
        status = watch(&r, &follow, &live);
    har_follow_close(&follow);
    har_tally_free(&live);
    return har_end(status);
}
