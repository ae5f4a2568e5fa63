/* harness/cmd_calibrate.c -- measure this machine, or check what was measured.
 *
 * The stages run as ranks of launches of their own; each is this same command
 * with a hidden option.  The machine file is written when all have ended, so a
 * run that is interrupted leaves the old one.
 */
#include "harness/clock.h"
#include "harness/cmd.h"
#include "harness/perf/calibrate.h"
#include "harness/perf/calibrate_check.h"
#include "harness/perf/calibrate_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_OUT = 256, OPT_CHECK, OPT_JSON, OPT_QUICK, OPT_STAGE };
enum { N_LINK_RANK = 8, N_START = 3 };
static const double STALL_SECONDS = 60;

typedef struct request {
    const char *out, *check, *json, *stage;
    bool quick;
} request;

static const struct argp_option options[] = {
    {"out", OPT_OUT, "FILE", 0, "the machine file to write", 0},
    {"check", OPT_CHECK, "FILE", 0,
     "score a file that calibrate made, on shapes and plans it has not seen", 0},
    {"json", OPT_JSON, "FILE", 0, "check: the scores for machines", 0},
    {"quick", OPT_QUICK, NULL, 0,
     "a small part of the measurements: to see that all works, not to use", 0},
    {"stage", OPT_STAGE, "NAME", OPTION_HIDDEN, NULL, 0},
    {0}};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    request *r = state->input;
    switch (key) {
    case OPT_OUT:
        r->out = arg;
        return 0;
    case OPT_CHECK:
        r->check = arg;
        return 0;
    case OPT_JSON:
        r->json = arg;
        return 0;
    case OPT_QUICK:
        r->quick = true;
        return 0;
    case OPT_STAGE:
        r->stage = arg;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected '%s'", arg);
        return 0;
    case ARGP_KEY_END:
        if (r->out != NULL && r->check != NULL)
            argp_error(state, "--out and --check: one of them");
        if (r->json != NULL && r->check == NULL)
            argp_error(state, "--json belongs to --check");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options,
    parse_option,
    "[--out FILE]\n--check FILE [--json FILE]",
    "Measures kernels, memory, collectives and start-up of this machine and "
    "fits a machine file (docs/calibrate.md), or scores such a file against "
    "new measurements.\vNeeds the machine for itself for two or three "
    "minutes.\n" HAR_EXIT_CODES,
    NULL,
    NULL,
    NULL};

/* --- on the ranks --- */

static core_status measure(const request *r, par_comm *comm, const char *path)
{
    har_calibration c = {.samples = NULL};
    core_status status = CORE_OK;
    FILE *samples = open_memstream(&c.samples, &c.n_samples);
    if (samples == NULL)
        status = core_fail(CORE_E_MEMORY, "no memory for the samples");
    status = par_agree(comm, status);
    const har_measuring how = {comm, samples, r->quick};
    if (status == CORE_OK)
        status = strcmp(r->stage, "links") == 0
                     ? har_calibrate_links(&c, &how)
                     : har_calibrate_kernels(&c, &how);
    if (samples != NULL)
        fclose(samples);
    if (status == CORE_OK && comm->rank == 0)
        status = har_calibration_save(&c, path);
    har_calibration_free(&c);
    return par_agree(comm, status);
}

static core_status score(const request *r, par_comm *comm, const char *path)
{
    static har_machine machine;
    static har_check scores;
    CORE_TRY(par_agree(comm, har_check_open(&machine, r->check)));
    CORE_TRY(strcmp(r->stage, "check-plans") == 0
                 ? har_check_plans(&scores, &machine, r->quick)
                 : har_check_operators(&scores, &machine, comm, r->quick));
    return par_agree(comm, comm->rank == 0 ? har_check_save(&scores, path)
                                           : CORE_OK);
}

static core_status stage_on_rank(const request *r, par_comm *comm,
                                 const char *folder)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, r->stage);
    if (strcmp(r->stage, "start") == 0)
        return par_agree(comm, CORE_OK);
    return r->check != NULL ? score(r, comm, path) : measure(r, comm, path);
}

static int run_rank(const request *r)
{
    har_ranks ranks;
    par_comm *comm = NULL;
    memset(&ranks, 0, sizeof ranks);
    core_status status = har_ranks_start(&ranks, 1, STALL_SECONDS, 1 << 20);
    if (status == CORE_OK)
        status = par_comm_open(&comm, par_comm_n_started());
    if (status == CORE_OK)
        status = stage_on_rank(r, comm, ranks.folder);
    par_comm_close(comm);
    const int exit_code = har_end(status);
    har_ranks_stop(&ranks, false);
    return exit_code;
}

/* --- on the launcher --- */

static int launch(const har_run *run, char *const argv[], const char *what,
                  int n_rank)
{
    const har_launch_options launch_options = {n_rank, STALL_SECONDS, what,
                                               isatty(STDERR_FILENO) == 1};
    int exit_code = core_status_exit_code(CORE_E_INTERNAL);
    const core_status status =
        har_launch(run, &launch_options, argv, &exit_code);
    return status != CORE_OK ? har_end(status) : exit_code;
}

static int launch_stage(const har_run *run, char *program, char *stage,
                        int n_rank, bool quick)
{
    char command[] = "calibrate", option[] = "--stage", less[] = "--quick";
    char *const argv[] = {program, command, option, stage,
                          quick ? less : NULL, NULL};
    return launch(run, argv, "calibrate", n_rank);
}

/* Least of some launches of n ranks that do nothing. */
static int time_start(const har_run *run, char *program, int n, double *seconds)
{
    char stage[] = "start";
    *seconds = 1e9;
    for (int i = 0; i < N_START; i++) {
        const double start = har_wall_seconds();
        const int exit_code = launch_stage(run, program, stage, n, false);
        if (exit_code != 0)
            return exit_code;
        const double took = har_wall_seconds() - start;
        *seconds = took < *seconds ? took : *seconds;
    }
    return 0;
}

static core_status load(har_calibration *out, const har_run *run,
                        const char *stage)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", run->folder, stage);
    const core_status status = har_calibration_load(out, path);
    unlink(path);
    return status;
}

static core_status load_scores(har_check *out, const har_run *run,
                               const char *stage)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", run->folder, stage);
    const core_status status = har_check_load(out, path);
    unlink(path);
    return status;
}

static core_status conclude(const request *r, const har_run *run,
                            const har_start_up *start, double seconds)
{
    har_calibration kernels = {.samples = NULL}, links = {.samples = NULL};
    static har_machine machine;
    core_status status = load(&kernels, run, "kernels");
    if (status == CORE_OK)
        status = load(&links, run, "links");
    if (status == CORE_OK)
        status = har_calibration_machine(&machine, &kernels, &links);
    if (status == CORE_OK && r->out != NULL)
        status = har_calibration_write(r->out, &machine, &kernels, &links,
                                       start);
    if (status == CORE_OK)
        har_calibration_report(stdout, &machine, &kernels, &links, start,
                               seconds);
    har_calibration_free(&kernels);
    har_calibration_free(&links);
    return status;
}

static int calibrate(const request *r, char *program)
{
    har_run run;
    har_start_up start = {.n = {1, N_LINK_RANK}};
    char kernels[] = "kernels", links[] = "links";
    const double began = har_wall_seconds();
    core_status status =
        har_run_open(&run, (64 << 20) + N_LINK_RANK * HAR_MESSAGE_BYTES);
    if (status != CORE_OK)
        return har_end(status);
    int exit_code = time_start(&run, program, start.n[0], &start.seconds[0]);
    if (exit_code == 0)
        exit_code = time_start(&run, program, start.n[1], &start.seconds[1]);
    if (exit_code == 0)
        exit_code = launch_stage(&run, program, links, N_LINK_RANK, r->quick);
    if (exit_code == 0)
        exit_code = launch_stage(&run, program, kernels, 1, r->quick);
    if (exit_code == 0)
        exit_code = har_end(
            conclude(r, &run, &start, har_wall_seconds() - began));
    har_run_close(&run);
    return exit_code;
}

/* One half of a check: a launch that leaves its scores in the run folder. */
static core_status check_stage(har_check *out, const har_run *run,
                               const request *r, char *program,
                               const char *name, int n_rank, int *exit_code)
{
    char command[] = "calibrate", option[] = "--stage", file[] = "--check";
    char less[] = "--quick", *stage = strdup(name), *path = strdup(r->check);
    char *const argv[] = {program, command, option, stage, file, path,
                          r->quick ? less : NULL, NULL};
    core_status status = CORE_OK;
    if (stage == NULL || path == NULL)
        status = core_fail(CORE_E_MEMORY, "no memory for a launch");
    if (status == CORE_OK) {
        *exit_code = launch(run, argv, "calibrate --check", n_rank);
        if (*exit_code == 0)
            status = load_scores(out, run, name);
    }
    free(stage);
    free(path);
    return status;
}

static bool is_exact(const har_check *plans)
{
    for (int i = 0; i < plans->n_plan; i++)
        if (plans->plan[i].sent != plans->plan[i].counted)
            return false;
    return true;
}

static core_status check_in(const har_run *run, const request *r, char *program,
                            int *exit_code)
{
    static har_check operators, plans;
    CORE_TRY(check_stage(&operators, run, r, program, "check-operators", 1,
                         exit_code));
    if (*exit_code != 0)
        return CORE_OK;
    CORE_TRY(check_stage(&plans, run, r, program, "check-plans",
                         HAR_CHECK_RANKS, exit_code));
    if (*exit_code != 0)
        return CORE_OK;
    if (r->json != NULL)
        CORE_TRY(har_check_json(r->json, &operators, &plans, r->check));
    har_check_report(stdout, &operators, &plans, r->check);
    *exit_code = is_exact(&plans) ? 0 : 1;
    return CORE_OK;
}

static int check(const request *r, char *program)
{
    har_run run;
    int exit_code = 0;
    har_machine machine;
    core_status status = har_check_open(&machine, r->check);
    if (status == CORE_OK)
        status = har_run_open(&run, (64 << 20) +
                                        HAR_CHECK_RANKS * HAR_MESSAGE_BYTES);
    if (status != CORE_OK)
        return har_end(status);
    status = check_in(&run, r, program, &exit_code);
    har_run_close(&run);
    return status != CORE_OK ? har_end(status) : exit_code;
}

int har_cmd_calibrate(int argc, char **argv)
{
    request r = {.out = NULL};
    har_parse(&argp, argc, argv, "calibrate", &r);
    core_message_clear();
    if (r.stage != NULL)
        return run_rank(&r);
    return r.check != NULL ? check(&r, argv[0]) : calibrate(&r, argv[0]);
}
