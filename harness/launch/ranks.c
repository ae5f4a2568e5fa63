/* harness/launch/ranks.c -- see ranks.h. */
#include "harness/launch/ranks.h"

#include "harness/launch/ending.h"

#include <string.h>

static core_status agree_folder(par_comm *all, har_ranks *out,
                                size_t need_bytes)
{
    const char *folder = har_rank_folder();
    core_status status = CORE_OK;
    out->owns_folder = folder == NULL;
    if (folder != NULL) {
        snprintf(out->folder, sizeof out->folder, "%s", folder);
        return CORE_OK;
    }
    if (all->rank == 0) {
        status = har_run_open(&out->run, need_bytes);
        if (status == CORE_OK)
            memcpy(out->folder, out->run.folder, sizeof out->folder);
    }
    status = par_agree(all, status);
    if (status == CORE_OK)
        par_broadcast(all, &all->world, out->folder,
                      (int64_t)sizeof out->folder, 0);
    return status;
}

core_status har_ranks_start(har_ranks *out, int n_rank, double stall_seconds,
                            size_t need_bytes)
{
    const char *folder = har_rank_folder();
    char board[300];
    memset(out, 0, sizeof *out);
    snprintf(board, sizeof board, "%s/board", folder != NULL ? folder : "");
    const par_comm_options options = {stall_seconds,
                                      folder != NULL ? board : NULL};
    CORE_TRY(par_comm_start(&options));
    CORE_FAIL_IF(par_comm_n_started() < n_rank, CORE_E_USAGE,
                 "the plan needs %d ranks, %d were started", n_rank,
                 par_comm_n_started());
    par_comm *all = NULL;
    CORE_TRY(par_comm_open(&all, par_comm_n_started()));
    const core_status status = agree_folder(all, out, need_bytes);
    par_comm_close(all);
    return status;
}

core_status har_ranks_agree(core_status status)
{
    par_comm *all = NULL;
    CORE_TRY(par_comm_open(&all, par_comm_n_started()));
    status = par_agree(all, status);
    par_comm_close(all);
    return status;
}

core_status har_ranks_join(core_status status)
{
    par_comm *all = NULL;
    CORE_TRY(par_comm_open(&all, par_comm_n_started()));
    double worst = (double)status;
    par_all_reduce(all, &all->world, &worst, 1, PAR_MAX, CORE_FP64);
    par_comm_close(all);
    return (core_status)worst;
}

void har_ranks_stop(har_ranks *ranks, bool keep)
{
    const bool mine = ranks->owns_folder && ranks->folder[0] != '\0' &&
                      par_comm_my_start() == 0;
    if (mine && keep)
        har_run_keep(&ranks->run);
    else if (mine)
        har_run_close(&ranks->run);
    par_comm_stop();
}

int har_launch_again(char **argv, const char *what, int n_rank,
                     double stall_seconds, size_t need_bytes, bool keep,
                     double seconds)
{
    har_run run;
    int exit_code = core_status_exit_code(CORE_E_INTERNAL);
    core_status status =
        har_run_open(&run, need_bytes + (size_t)n_rank * HAR_MESSAGE_BYTES);
    if (status != CORE_OK)
        return har_end(status);
    const har_launch_options options = {n_rank, stall_seconds, what, seconds};
    status = har_launch(&run, &options, argv, &exit_code);
    if (keep) {
        fprintf(stderr, "moeparity: the run folder is kept: %s\n", run.folder);
        har_run_keep(&run);
    } else {
        har_run_close(&run);
    }
    return status != CORE_OK ? har_end(status) : exit_code;
}
