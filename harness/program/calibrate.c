/* harness/program/calibrate.c -- measure this machine, or check what was measured.
 *
 * The stages run as ranks of launches of their own; each is this same command
 * with a hidden option.  The machine file is written when all have ended, so a
 * run that is interrupted leaves the old one.
 */
#include "core/base/clock.h"
#include "harness/launch/outfile.h"
#include "harness/launch/ranks.h"
#include "harness/perf/calibrate/calibrate.h"
#include "harness/perf/calibrate/check.h"
#include "harness/perf/calibrate/file.h"
#include "harness/program/command.h"

#include <string.h>

enum { N_LINK_RANK = 8, N_START = 3 };
static const double STALL_SECONDS = 60;

typedef struct request {
    const char *out, *json, *check, *stage;
    bool quick;
} request;

static bool is_stage(const request *r)
{
    static const char *const names[2][3] = {{"start", "links", "kernels"},
                                            {"check-operators", "check-plans"}};
    for (int i = 0; i < 3; i++) {
        const char *name = names[r->check != NULL][i];
        if (name != NULL && strcmp(r->stage, name) == 0)
            return true;
    }
    return false;
}

static void check_request(const void *self, struct argp_state *state)
{
    const request *r = self;
    if (r->out != NULL && r->check != NULL)
        argp_error(state, "--out and --check: one of them");
    if (r->json != NULL && r->check == NULL)
        argp_error(state, "--json belongs to --check");
    if (r->out == NULL && r->check == NULL && r->stage == NULL)
        argp_error(state, "--out FILE is needed: where the measurements go");
    if (r->stage != NULL && !is_stage(r))
        argp_error(state, "--stage: found '%s'", r->stage);
}

static const har_command_line line = {
    "calibrate", "--out FILE\n--check FILE [--json FILE]",
    "Measures kernels, memory, collectives and start-up of this "
    "machine and fits a machine file (docs/calibrate.md), or scores "
    "such a file against new measurements.\vNeeds the machine for "
    "itself for about a minute.\n" HAR_EXIT_CODES,
    check_request};

static void read_command_line(request *r, int argc, char **argv)
{
    const har_option options[] = {
        {"out", .text = &r->out},
        {"check", .text = &r->check, .argument = "FILE",
         .help = "score a file that calibrate made, on shapes and plans it has "
                 "not seen"},
        {"json", .text = &r->json},
        {"quick", .flag = &r->quick,
         .help = "a small part of the measurements: to see that all works, not "
                 "to use"},
        {"stage", .text = &r->stage, .argument = "NAME",
         .flags = OPTION_HIDDEN},
        {0}};
    har_parse(&line, options, r, argc, argv);
}

/* --- on the ranks --- */

static core_status measure_kernels(har_calibration *out,
                                   const har_measuring *how)
{
    CORE_TRY(har_calibrate_memory(out, how));
    CORE_TRY(har_calibrate_products(out, how));
    return har_calibrate_operators(out, how);
}

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
        status = strcmp(r->stage, "links") == 0 ? har_calibrate_links(&c, &how)
                                                : measure_kernels(&c, &how);
    if (samples != NULL && fclose(samples) != 0 && status == CORE_OK)
        status = core_fail(CORE_E_MEMORY, "no memory for the samples");
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

/* A stage on n ranks, which leave what they found in the run folder. */
static int launch(const request *r, const har_run *run, char *program,
                  char *stage, int n_rank)
{
    char command[] = "calibrate", option[] = "--stage", what[40];
    char less[] = "--quick", file[] = "--check";
    char *argv[8] = {program, command, option, stage};
    int n = 4, exit_code = core_status_exit_code(CORE_E_INTERNAL);
    if (r->quick)
        argv[n++] = less;
    if (r->check != NULL) {
        argv[n++] = file;
        argv[n++] = (char *)r->check;
    }
    snprintf(what, sizeof what, "calibrate: %s", stage);
    const har_launch_options launch_options = {n_rank, STALL_SECONDS, what, 0.0};
    const core_status status =
        har_launch(run, &launch_options, argv, &exit_code);
    return status != CORE_OK ? har_end(status) : exit_code;
}

/* Least of some launches of n ranks that do nothing. */
static int time_start(const request *r, const har_run *run, char *program,
                      int n, double *seconds)
{
    char stage[] = "start";
    *seconds = 1e9;
    for (int i = 0; i < N_START; i++) {
        const double start = core_seconds(CLOCK_MONOTONIC);
        const int exit_code = launch(r, run, program, stage, n);
        if (exit_code != 0)
            return exit_code;
        const double took = core_seconds(CLOCK_MONOTONIC) - start;
        *seconds = took < *seconds ? took : *seconds;
    }
    return 0;
}

/* Measure everything; how the last launch ended. */
static int measure_all(const request *r, const har_run *run, char *program,
                       har_start_up *start)
{
    char kernels[] = "kernels", links[] = "links";
    int exit_code =
        time_start(r, run, program, start->n[0], &start->seconds[0]);
    if (exit_code == 0)
        exit_code =
            time_start(r, run, program, start->n[1], &start->seconds[1]);
    if (exit_code == 0)
        exit_code = launch(r, run, program, links, N_LINK_RANK);
    return exit_code != 0 ? exit_code : launch(r, run, program, kernels, 1);
}

static core_status load(har_calibration *out, const har_run *run,
                        const char *stage)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", run->folder, stage);
    return har_calibration_load(out, path);
}

static core_status load_scores(har_check *out, const har_run *run,
                               const char *stage)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", run->folder, stage);
    return har_check_load(out, path);
}

static core_status conclude(const request *r, har_calibration *kernels,
                            har_calibration *links, const har_start_up *start,
                            double seconds)
{
    static har_machine machine;
    CORE_TRY(har_calibration_machine(&machine, kernels, links));
    CORE_TRY(har_calibration_write(r->out, &machine, kernels, links, start));
    har_calibration_report(stdout, &machine, kernels, links, start, seconds);
    printf("\ncalibrated %s\n", r->out);
    return CORE_OK;
}

static int calibrate(const request *r, char *program)
{
    har_run run;
    har_start_up start = {.n = {1, N_LINK_RANK}};
    har_calibration kernels = {.samples = NULL}, links = {.samples = NULL};
    const double began = core_seconds(CLOCK_MONOTONIC);
    core_status status = har_outfile_try(r->out);
    if (status == CORE_OK)
        status =
            har_run_open(&run, (64 << 20) + N_LINK_RANK * HAR_MESSAGE_BYTES);
    if (status != CORE_OK)
        return har_end(status);
    const int exit_code = measure_all(r, &run, program, &start);
    if (exit_code == 0) {
        status = load(&kernels, &run, "kernels");
        if (status == CORE_OK)
            status = load(&links, &run, "links");
    }
    har_run_close(&run); /* whoever interrupts the fit leaves nothing behind */
    if (exit_code == 0 && status == CORE_OK)
        status =
            conclude(r, &kernels, &links, &start, core_seconds(CLOCK_MONOTONIC) - began);
    har_calibration_free(&kernels);
    har_calibration_free(&links);
    return status != CORE_OK ? har_end(status) : exit_code;
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
    char one[] = "check-operators", many[] = "check-plans";
    *exit_code = launch(r, run, program, one, 1);
    if (*exit_code == 0)
        *exit_code = launch(r, run, program, many, HAR_CHECK_RANKS);
    if (*exit_code != 0)
        return CORE_OK;
    CORE_TRY(load_scores(&operators, run, one));
    CORE_TRY(load_scores(&plans, run, many));
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
        status = har_outfile_try(r->json);
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
    read_command_line(&r, argc, argv);
    if (r.stage != NULL)
        return run_rank(&r);
    if (har_is_rank())
        return har_end(core_fail(CORE_E_USAGE, "calibrate starts its ranks "
                                               "itself: expected no mpiexec"));
    return r.check != NULL ? check(&r, argv[0]) : calibrate(&r, argv[0]);
}
