/* harness/launch/ranks.c -- see ranks.h. */
#include "harness/launch/ranks.h"

#include "harness/launch/ending.h"
#include "harness/launch/host_file.h"
#include "harness/launch/host_folder.h"
#include "harness/launch/watch_host.h"
#include "parallel/hosts.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Blocks from here on are memory of their own all along: given back when they
 * are freed, and untouched where nothing is written.  By itself glibc takes the
 * size of what was freed for a reason to keep such blocks.                   */
enum { LARGE_BYTES = 64 << 10 };

/* Nobody launched us: the leader of every host makes a folder with a board, and
 * starts a watch.  Rank 0's host comes first, the others must know where it is.
 */
static core_status make_here(har_ranks *out, const par_hosts *hosts, int n_rank,
                             double stall_seconds, size_t need_bytes,
                             char address[HAR_ADDRESS_BYTES])
{
    char path[300];
    par_board *board = NULL;
    const har_watch_role role = hosts->n == 1        ? HAR_WATCH_ALONE
                                : address[0] == '\0' ? HAR_WATCH_MIDDLE
                                                     : HAR_WATCH_CALLS;
    CORE_TRY(har_run_open(&out->run, need_bytes));
    memcpy(out->folder, out->run.folder, sizeof out->folder);
    snprintf(path, sizeof path, "%s/board", out->folder);
    CORE_TRY(par_board_create(
        &board, path, n_rank,
        role == HAR_WATCH_CALLS ? har_host_stall(stall_seconds) : stall_seconds,
        true));
    board->has_others = hosts->n > 1;
    par_board_unmap(board);
    return har_watch_start(out->folder, role, true, address);
}

static core_status share_folders(har_ranks *out, par_comm *all,
                                 const par_hosts *hosts, double stall_seconds,
                                 size_t need_bytes)
{
    char address[HAR_ADDRESS_BYTES] = "", path[300];
    par_board *board = NULL;
    core_status status = CORE_OK;
    out->owns_folder = par_hosts_leads(hosts);
    if (all->rank == 0)
        status = make_here(out, hosts, all->size, stall_seconds, need_bytes,
                           address);
    CORE_TRY(par_agree(all, status));
    par_broadcast(all, &all->world, address, sizeof address, 0);
    if (all->rank != 0 && out->owns_folder)
        status = make_here(out, hosts, all->size, stall_seconds, need_bytes,
                           address);
    CORE_TRY(par_agree(all, status));
    par_broadcast(all, &hosts->members, out->folder,
                  (int64_t)sizeof out->folder, 0);
    snprintf(path, sizeof path, "%s/board", out->folder);
    status = par_board_map(&board, path);
    if (status == CORE_OK && board->host != par_process_host())
        status = core_fail(CORE_E_FILE, "%s: of another host", path);
    out->board = board;
    return par_agree(all, status);
}

static core_status agree_folders(har_ranks *out, double stall_seconds,
                                 size_t need_bytes)
{
    par_comm *all = NULL;
    par_hosts hosts;
    CORE_TRY(par_comm_open(&all, par_comm_n_started()));
    core_status status = par_hosts_make(&hosts, all);
    if (status == CORE_OK) {
        status = share_folders(out, all, &hosts, stall_seconds, need_bytes);
        par_hosts_free(&hosts);
    }
    par_comm_close(all);
    if (status == CORE_OK)
        par_comm_use_board(out->board);
    return status;
}

static int number_in(const char *variable)
{
    const char *text = getenv(variable);
    return text != NULL ? atoi(text) : 0;
}

/* Slurm's srun starts tasks that know nothing of each other, if it is not told
 * which interface they use to meet; so does another MPI's mpiexec.           */
static core_status check_started(int n_rank)
{
    const int n_task = number_in("SLURM_STEP_NUM_TASKS");
    const int n_ompi = number_in("OMPI_COMM_WORLD_SIZE");
    const int n_started = par_comm_n_started();
    CORE_FAIL_IF(n_started == 1 && n_rank > 1 && n_task > 1, CORE_E_USAGE,
                 "srun started %d tasks that do not know each other: it needs "
                 "--mpi=pmi2",
                 n_task);
    CORE_FAIL_IF(n_started == 1 && n_rank > 1 && n_ompi > 1, CORE_E_USAGE,
                 "Open MPI's mpiexec started %d processes that do not know each "
                 "other: it needs that of MPICH",
                 n_ompi);
    CORE_FAIL_IF(n_started < n_rank, CORE_E_USAGE,
                 "the plan needs %d ranks, %d were started", n_rank, n_started);
    return CORE_OK;
}

/* A rank ends with Hydra's process that started it: mpiexec does not notice
 * when that is gone.  (A step of Slurm has threads, whose ends would count.) */
static void end_with_proxy(void)
{
    par_process parent;
    if (par_process_read(&parent, (int)getppid()) &&
        strcmp(parent.name, "hydra_pmi_proxy") == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
}

core_status har_ranks_start(har_ranks *out, int n_rank, double stall_seconds,
                            size_t need_bytes)
{
    char board[300] = "";
    const bool is_launched = har_rank_folder() != NULL;
    memset(out, 0, sizeof *out);
    end_with_proxy();
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
    if (is_launched) {
        CORE_TRY(har_host_folder(n_rank, stall_seconds, need_bytes));
        snprintf(out->folder, sizeof out->folder, "%s", har_rank_folder());
        snprintf(board, sizeof board, "%s/board", out->folder);
    }
    const par_comm_options options = {stall_seconds, board};
    CORE_TRY(par_comm_start(&options));
    CORE_TRY(check_started(n_rank));
    return is_launched ? CORE_OK
                       : agree_folders(out, stall_seconds, need_bytes);
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
    par_comm_stop();
    if (ranks->owns_folder && keep)
        har_run_keep(&ranks->run);
    else if (ranks->owns_folder)
        har_run_close(&ranks->run);
}

int har_launch_again(char **argv, const char *what, int n_rank,
                     double stall_seconds, size_t need_bytes, bool keep,
                     double seconds)
{
    har_run run;
    int exit_code = core_status_exit_code(CORE_E_INTERNAL);
    const char *hosts = getenv("HYDRA_HOST_FILE");
    core_status status =
        hosts != NULL ? har_host_file_check(hosts, n_rank) : CORE_OK;
    if (status == CORE_OK)
        status =
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
