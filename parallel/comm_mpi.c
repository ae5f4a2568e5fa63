/* parallel/comm_mpi.c -- messages over MPI: the only file that includes mpi.h;
 * and how a rank starts and ends, with MPI or, where a launcher knows that all
 * ranks are on its host, without.
 *
 * Of MPI it uses Isend, Irecv and Test on one communicator, and nothing that
 * blocks: MPICH spins in blocking calls, which with more ranks than cores keeps
 * those off the processor who could make progress.
 *
 * Traps: lengths are int in MPI, so long messages travel in parts; MPI_TAG_UB
 * may be as low as 32767, so tags are cut to it (they only help to find faults,
 * the order of messages between two ranks is right without them).
 */
#include "parallel/comm_impl.h"

#include "core/files/mapped.h"
#include "parallel/process.h"

#include <mpi.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

/* MPI exists once per process, and so does this. */
static struct {
    bool started;
    int tag_mask;
    const par__transport *transport;
    par_comm *all;
} process;

const par__transport *par__transport_used(void)
{
    return process.transport;
}

par_comm *par__comm_all(void)
{
    return process.all;
}
int par_comm_n_started(void)
{
    return process.all ? process.all->size : 0;
}
int par_comm_my_start(void)
{
    return process.all ? process.all->rank : 0;
}

/* --- failure --- */

void par_abort(par_comm *comm, core_status status, const char *fmt, ...)
{
    char line[PAR_BOARD_LINE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (!comm)
        comm = process.all;
    par_board *board = comm ? comm->impl->board : NULL;
    if (board && !par_board_claim(board, status, line)) {
        const int theirs = atomic_load(&board->aborted);
        sleep(board->has_launcher ? 0 : 2); /* let his line come out */
        status = theirs != 0 ? (core_status)theirs : status;
    } else if (!board || !board->has_launcher)
        fprintf(stderr, "[%d/%d] %s\n", comm ? comm->rank : 0,
                comm ? comm->size : 1, line);
    fflush(NULL);
    par__await_told(board);
    if (process.started && getenv("SLURM_STEP_ID") == NULL)
        MPI_Abort(MPI_COMM_WORLD, core_status_exit_code(status));
    _exit(core_status_exit_code(status)); /* srun makes 137 of an abort */
}

/* A file was cut while this rank read it.  This is in a signal handler, which
 * may use neither stdio nor MPI_Abort: mpiexec sees the rank go.  It returns
 * where nobody else prints the line.                                         */
static void end_for_cut_file(const char *line)
{
    par_board *board = process.all ? process.all->impl->board : NULL;
    if (!board ||
        (par_board_claim(board, CORE_E_FILE, line) && !board->has_launcher))
        return;
    par__await_told(board);
    const int told = atomic_load(&board->aborted);
    _exit(core_status_exit_code(told != 0 ? (core_status)told : CORE_E_FILE));
}

static void must(par_comm *comm, int code, const char *call, int peer)
{
    if (code == MPI_SUCCESS)
        return;
    char line[PAR_BOARD_LINE];
    const par_board *board = comm->impl->board;
    const bool is_far = board && !par_board_is_home(board, peer);
    if (par__has_died(comm, peer, line))
        par_abort(comm, CORE_E_PEER, "%s", line);
    if (is_far && par__await_claim(board)) /* its host's watch says more */
        par_abort(comm, CORE_E_PEER, "rank %d cannot be reached", peer);
    char text[MPI_MAX_ERROR_STRING] = "";
    int n = 0;
    MPI_Error_string(code, text, &n);
    par_abort(comm, CORE_E_INTERNAL, "%s with rank %d failed in %s: %.500s",
              call, peer, comm->impl->mine->what, text);
}

/* --- messages --- */

_Static_assert(sizeof(MPI_Request) <= sizeof(uint64_t), "a handle holds one");

static MPI_Request *request_of(par_request *r)
{
    return (MPI_Request *)(void *)&r->handle;
}

static void start_over_mpi(par_comm *comm, par_request *r)
{
    const int n = (int)r->bytes, tag = r->tag & process.tag_mask;
    if (r->kind == PAR_SEND)
        must(comm,
             MPI_Isend(r->buf, n, MPI_BYTE, r->peer, tag, MPI_COMM_WORLD,
                       request_of(r)),
             "MPI_Isend", r->peer);
    else
        must(comm,
             MPI_Irecv(r->buf, n, MPI_BYTE, r->peer, tag, MPI_COMM_WORLD,
                       request_of(r)),
             "MPI_Irecv", r->peer);
}

static bool test_over_mpi(par_comm *comm, par_request *r)
{
    int flag = 0, n = 0;
    MPI_Status status;
    must(comm, MPI_Test(request_of(r), &flag, &status), "MPI_Test", r->peer);
    if (!flag || r->kind != PAR_RECV)
        return flag;
    must(comm, MPI_Get_count(&status, MPI_BYTE, &n), "MPI_Get_count", r->peer);
    par__check_length(comm, r, n);
    return true;
}

/* MPI has to be asked: gives up its time slice a few times, then naps, longer
 * and longer.                                                                */
static void rest_from_mpi(par_comm *comm, const par_request *r, int n)
{
    enum { N_YIELD = 8, FIRST_NAP_NS = 20000 };
    (void)r;
    if (n < N_YIELD) {
        sched_yield();
        return;
    }
    int64_t nap_ns = FIRST_NAP_NS;
    for (; n > N_YIELD && nap_ns < comm->impl->longest_pause_ns; n--)
        nap_ns += nap_ns / 2;
    if (nap_ns > comm->impl->longest_pause_ns)
        nap_ns = comm->impl->longest_pause_ns;
    const struct timespec t = {.tv_nsec = (long)nap_ns};
    nanosleep(&t, NULL);
}

/* --- start and end --- */

/* Rank 0 makes a board in memory; who can open it and finds the same number in
 * it is on the same host.  Ranks elsewhere do without. */
static void share_own_board(par_comm *all, const par_comm_options *options)
{
    const char *tmp = getenv("TMPDIR");
    const char *folder[] = {"/dev/shm", tmp ? tmp : "/tmp", "/tmp"};
    struct {
        uint64_t nonce;
        char path[256];
    } where = {0};
    par_board *board = NULL;
    for (int i = 0; i < 3 && all->rank == 0 && !board; i++) {
        snprintf(where.path, sizeof where.path, "%s/moeparity-board-%d-%llx",
                 folder[i], (int)getpid(), (unsigned long long)par_now_ns());
        if (par_board_create(&board, where.path, all->size,
                             options->stall_seconds, false) == CORE_OK)
            where.nonce = board->nonce;
    }
    par_broadcast(all, &all->world, &where, sizeof where, 0);
    if (all->rank != 0 && where.nonce != 0 &&
        par_board_map(&board, where.path) == CORE_OK &&
        (board->nonce != where.nonce || board->n_rank != all->size)) {
        par_board_unmap(board);
        board = NULL;
    }
    core_message_clear(); /* a run without a board is a run */
    par_barrier(all, &all->world);
    if (all->rank == 0 && where.nonce != 0)
        unlink(where.path);
    if (board) {
        all->impl->board = board;
        all->impl->mine = &board->rank[all->rank];
        par_board_join(all->impl->mine, PAR_RANK_COMPUTING);
    }
}

/* The connection that mpiexec watches: see harness/launch/deaths.c. */
static void note_manager(par_board_rank *record)
{
    const char *fd = getenv("PMI_FD");
    atomic_store(&record->manager_fd, fd ? atoi(fd) : 0);
}

/* Which rank this is, as mpiexec says; -1: it does not. */
static int manager_rank(const par_board *board)
{
    const char *text = getenv("PMI_RANK");
    const int rank = text ? atoi(text) : -1;
    return rank < board->n_rank ? rank : -1;
}

/* The launcher's board, if this host has it.  Hydra says in PMI_RANK who we
 * are, so that a rank is on the board before MPI_Init, which takes long.     */
static core_status join_launcher(par_board **out, const char *path)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* mpiexec's proxy gone: so are we */
    CORE_TRY(par_board_map(out, path));
    const int rank = manager_rank(*out);
    if (rank < 0)
        return CORE_OK;
    note_manager(&(*out)->rank[rank]);
    par_board_join(&(*out)->rank[rank], PAR_RANK_STARTING);
    return CORE_OK;
}

static core_status init_mpi(void)
{
    int provided;
    CORE_FAIL_IF(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) !=
                     MPI_SUCCESS,
                 CORE_E_INTERNAL, "MPI does not start");
    process.started = true;
    return CORE_OK;
}

/* stall_seconds > 0: nobody watches.  */
static core_status start_mpi(int *rank, int *size, double stall_seconds)
{
    static const par__transport over_mpi = {start_over_mpi, test_over_mpi,
                                            rest_from_mpi};
    int found = 0, *tag_ub = NULL;
    if (stall_seconds > 0.0)
        par__arrive_begin(stall_seconds);
    const core_status status = init_mpi();
    par__arrive_end();
    CORE_TRY(status);
    process.transport = &over_mpi;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, size);
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &tag_ub, &found);
    const int highest = found && tag_ub ? *tag_ub : 32767;
    process.tag_mask = 0x7fff;
    while (process.tag_mask < 0xfffffff && process.tag_mask * 2 + 1 <= highest)
        process.tag_mask = process.tag_mask * 2 + 1;
    return CORE_OK;
}

/* A rank that dies before the launcher watches it takes others along, and one
 * of them may be blamed: waits a little until it does.                       */
static void await_watch(const par_board_rank *mine)
{
    enum { NAPS = 300 };
    for (int k = 0; k < NAPS && atomic_load(&mine->is_watched) == 0; k++)
        par_nap_ms(1);
}

/* All ranks are on the board's host, which has mailboxes.  MPI, which takes
 * long to start for many ranks, never is.                                    */
static core_status start_shared(const par_board *board, const char *board_path,
                                int *rank, int *size)
{
    *rank = manager_rank(board);
    *size = board->n_rank;
    CORE_FAIL_IF(*rank < 0, CORE_E_INTERNAL,
                 "mpiexec does not say which rank this is (PMI_RANK)");
    CORE_FAIL_IF(par_process_host() != board->host, CORE_E_USAGE,
                 "rank %d was started on another host, and no hosts were named",
                 *rank);
    await_watch(&board->rank[*rank]);
    return par__shared_open(&process.transport, board_path, *size, *rank);
}

core_status par_comm_start(const par_comm_options *options)
{
    core_assert(!process.all);
    par_board *board = NULL;
    if (options->board_path && options->board_path[0] != '\0')
        CORE_TRY(join_launcher(&board, options->board_path));
    const bool is_watched = board != NULL || options->board_path == NULL;
    int rank = 0, size = 1;
    core_status status =
        board && board->is_one_host
            ? start_shared(board, options->board_path, &rank, &size)
            : start_mpi(&rank, &size, is_watched ? 0.0 : options->stall_seconds);
    if (status == CORE_OK && board && board->n_rank != size)
        status = core_fail(CORE_E_INTERNAL, "%d ranks started, %d expected",
                           size, board->n_rank);
    if (status == CORE_OK)
        status = par__comm_make(&process.all, rank, size, 0, board);
    if (status != CORE_OK) {
        par_board_unmap(board);
        return status;
    }
    if (board)
        par_board_join(&board->rank[rank], PAR_RANK_COMPUTING);
    else if (options->board_path == NULL)
        share_own_board(process.all, options);
    par__leave_on_term(process.all->impl->board);
    core_mapped_tell(end_for_cut_file);
    par_at(process.all, "start", -1);
    return CORE_OK;
}

void par_comm_use_board(par_board *board)
{
    struct par_comm_impl *impl = process.all->impl;
    core_assert(impl->board == NULL);
    impl->board = board;
    impl->mine = &board->rank[process.all->rank];
    note_manager(impl->mine);
    par_board_join(impl->mine, PAR_RANK_COMPUTING);
    par__leave_on_term(board);
}

/* Messages of others may still need this process to pass them on: until all
 * have finished, or for a while where that cannot be seen.                   */
static void progress_until_all_finish(const par_board *board)
{
    enum { NAPS = 500, BLIND_NAPS = 20 };
    for (int k = 0; k < (board ? NAPS : BLIND_NAPS); k++) {
        int flag;
        MPI_Iprobe(MPI_ANY_SOURCE, 0, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
        if (board && par_board_all_finished(board))
            return;
        par_nap_ms(5);
    }
}

static void leave_mpi(const par_board *board)
{
    progress_until_all_finish(board);
    if (!par__say_done())
        MPI_Finalize();
}

void par_comm_stop(void)
{
    par_comm *all = process.all;
    if (!all)
        return;
    par_at(all, "stop", -1);
    par_barrier(all, &all->world);
    atomic_store(&all->impl->mine->state, PAR_RANK_FINISHED);
    if (process.started)
        leave_mpi(all->impl->board);
    par__shared_close();
    process.started = false;
    process.all = NULL;
    par_board_unmap(all->impl->board);
    par__comm_free(all);
}

/* MPICH says "MPICH Version:\t4.0.2" in the first of many lines. */
const char *par_library(char text[PAR_LIBRARY_TEXT])
{
    char all[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    char name[24] = "", release[40] = "";
    int n = 0;
    if (MPI_Get_library_version(all, &n) == MPI_SUCCESS &&
        sscanf(all, "%23s Version: %39s", name, release) == 2)
        snprintf(text, PAR_LIBRARY_TEXT, "%s %s", name, release);
    else
        snprintf(text, PAR_LIBRARY_TEXT, "%.*s", (int)strcspn(all, "\n"), all);
    return text;
}
