/* parallel/board.c -- the board's file and the records in it.
 *
 * The file is filled with posix_fallocate before it is mapped: writing to a
 * page of a sparse file on a full file system would be a SIGBUS.  A board is
 * recognised by its magic number, and gets its name when it is complete.
 */
#include "parallel/board.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t magic = 0x6d6f65626f617264; /* "moeboard" */

static size_t board_bytes(int n_rank)
{
    return sizeof(par_board) + (size_t)n_rank * sizeof(par_board_rank);
}

core_status par_board_create(par_board **out, const char *path, int n_rank,
                             double stall_seconds, bool has_launcher)
{
    const size_t bytes = board_bytes(n_rank);
    char unnamed[400];
    snprintf(unnamed, sizeof unnamed, "%s.%d", path, (int)getpid());
    const int fd = open(unnamed, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CORE_FAIL_IF(fd < 0, core_status_of_errno(errno),
                 "%s: cannot make the board: %s", unnamed, strerror(errno));
    const int full = posix_fallocate(fd, 0, (off_t)bytes);
    void *map = MAP_FAILED;
    if (full == 0)
        map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const int error = full ? full : errno;
    close(fd);
    if (map == MAP_FAILED) {
        unlink(unnamed);
        CORE_FAIL(CORE_E_SPACE, "%s: no %zu bytes for the board: %s", path,
                  bytes, strerror(error));
    }
    par_board *board = map; /* new pages are zero */
    board->nonce = (uint64_t)par_now_ns() ^ ((uint64_t)getpid() << 40);
    board->host = par_process_host();
    board->n_rank = n_rank;
    board->has_launcher = has_launcher;
    board->stall_seconds = stall_seconds > 0 ? stall_seconds : 30;
    atomic_store(&board->looked_ns, par_now_ns());
    board->magic = magic;
    const int named = link(unnamed, path);
    const int why = errno;
    unlink(unnamed);
    if (named != 0) {
        par_board_unmap(board);
        CORE_FAIL(CORE_E_FILE, "%s: cannot make the board: %s", path,
                  strerror(why));
    }
    *out = board;
    return CORE_OK;
}

core_status par_board_map(par_board **out, const char *path)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    CORE_FAIL_IF(fd < 0, core_status_of_errno(errno),
                 "%s: cannot open the board: %s", path, strerror(errno));
    struct stat st;
    void *map = MAP_FAILED;
    if (fstat(fd, &st) == 0 && (size_t)st.st_size >= board_bytes(1))
        map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                   fd, 0);
    close(fd);
    CORE_FAIL_IF(map == MAP_FAILED, CORE_E_FILE, "%s: cannot map the board",
                 path);
    par_board *board = map;
    if (board->magic != magic || board->n_rank < 1 ||
        board_bytes(board->n_rank) != (size_t)st.st_size) {
        munmap(map, (size_t)st.st_size);
        CORE_FAIL(CORE_E_FILE, "%s: not a board", path);
    }
    *out = board;
    return CORE_OK;
}

void par_board_unmap(par_board *board)
{
    if (board)
        munmap(board, board_bytes(board->n_rank));
}

void par_board_join(par_board_rank *record, par_rank_state state)
{
    const par_board_op none = {.kind = PAR_N_OP_KINDS,
                               .group_id = PAR_NO_GROUP};
    par_process me = {.start_ticks = 0}; /* no process's: not to be judged */
    (void)par_process_read(&me, (int)getpid());
    par_process_host_name(record->where, sizeof record->where);
    atomic_store(&record->host, par_process_host());
    atomic_store(&record->start_ticks, me.start_ticks);
    atomic_store(&record->op, par_board_op_pack(none));
    atomic_store(&record->peer, -1);
    atomic_store(&record->tick, -1);
    atomic_store(&record->state, state);
    atomic_store(&record->pid, (int)getpid());
}

/* --- processes --- */

bool par_board_is_home(const par_board *board, int rank)
{
    const par_board_rank *r = &board->rank[rank];
    return atomic_load(&r->pid) > 0 && atomic_load(&r->host) == board->host;
}

par_life par_board_life(const par_board *board, int rank, par_process *out)
{
    const par_board_rank *r = &board->rank[rank];
    const int pid = atomic_load(&r->pid);
    par_process process;
    if (!par_board_is_home(board, rank))
        return PAR_LIFE_UNKNOWN;
    if (kill(pid, 0) != 0 && errno == ESRCH)
        return PAR_LIFE_DEAD;
    if (!par_process_read(&process, pid) ||
        process.start_ticks != atomic_load(&r->start_ticks))
        return PAR_LIFE_UNKNOWN;
    *out = process;
    return process.state == 'Z' || process.state == 'X' ? PAR_LIFE_DEAD
                                                        : PAR_LIFE_RUNS;
}

int par_board_kill(const par_board *board, int signal_number)
{
    int n = 0;
    for (int i = 0; i < board->n_rank; i++) {
        par_process process;
        if (par_board_life(board, i, &process) == PAR_LIFE_RUNS) {
            kill(atomic_load(&board->rank[i].pid), signal_number);
            n++;
        }
    }
    return n;
}

int par_board_n_come(const par_board *board)
{
    int n = 0;
    for (int i = 0; i < board->n_rank; i++)
        n += atomic_load(&board->rank[i].pid) > 0;
    return n;
}

bool par_board_home_finished(const par_board *board)
{
    for (int i = 0; i < board->n_rank; i++)
        if (par_board_is_home(board, i) &&
            atomic_load(&board->rank[i].state) != PAR_RANK_FINISHED)
            return false;
    return true;
}

bool par_board_all_finished(const par_board *board)
{
    for (int i = 0; i < board->n_rank; i++)
        if (atomic_load(&board->rank[i].state) != PAR_RANK_FINISHED)
            return false;
    return true;
}

int par_board_unheard(const par_board *board, double seconds)
{
    const int64_t now = par_now_ns();
    for (int i = 0; i < board->n_rank; i++) {
        const par_board_rank *r = &board->rank[i];
        if (atomic_load(&r->pid) > 0 && !par_board_is_home(board, i) &&
            atomic_load(&r->state) != PAR_RANK_FINISHED &&
            (double)(now - atomic_load(&r->heard_ns)) > seconds * 1e9)
            return i;
    }
    return -1;
}

/* --- texts --- */

uint64_t par_board_op_pack(par_board_op op)
{
    return (uint64_t)(op.epoch & 0xff) << 56 | (uint64_t)(op.kind & 0xf) << 52 |
           (uint64_t)(op.group_id & 0xfffff) << 32 | op.call;
}

par_board_op par_board_op_unpack(uint64_t word)
{
    return (par_board_op){.epoch = (int)(word >> 56),
                          .kind = (int)(word >> 52 & 0xf),
                          .group_id = (int)(word >> 32 & 0xfffff),
                          .call = (uint32_t)word};
}

const char *par_board_process_name(const par_board *board, int rank, char *out,
                                   size_t out_bytes)
{
    const par_board_rank *r = &board->rank[rank];
    const int pid = atomic_load(&r->pid);
    if (board->has_others)
        snprintf(out, out_bytes, "pid %d on %.31s", pid, r->where);
    else
        snprintf(out, out_bytes, "pid %d", pid);
    return out;
}

void par_board_describe(const par_board *board, int rank, char *out,
                        size_t out_bytes)
{
    const par_board_rank *r = &board->rank[rank];
    const par_board_op op = par_board_op_unpack(atomic_load(&r->op));
    const int state = atomic_load(&r->state), peer = atomic_load(&r->peer);
    const long long tick = (long long)atomic_load(&r->tick);
    char doing[128] = "computes", where[128] = "";
    if (state == PAR_RANK_STARTING)
        snprintf(doing, sizeof doing, "starts");
    if (state == PAR_RANK_WAITING && op.kind < PAR_N_OP_KINDS) {
        const bool named = op.group_id != PAR_NO_GROUP;
        snprintf(doing, sizeof doing, "waits in %s%s%.23s for rank %d",
                 par_op_name((par_op_kind)op.kind), named ? " over " : "",
                 named ? r->group : "", peer);
    }
    if (r->what[0] && tick >= 0)
        snprintf(where, sizeof where, " (%.63s, tick %lld)", r->what, tick);
    else if (r->what[0])
        snprintf(where, sizeof where, " (%.63s)", r->what);
    snprintf(out, out_bytes, "rank %d %s%s", rank, doing, where);
}

bool par_board_claim(par_board *board, core_status status, const char *line)
{
    int expected = 0;
    if (!atomic_compare_exchange_strong(&board->claimed, &expected, 1))
        return false;
    memcpy(board->line, line, strnlen(line, sizeof board->line - 1));
    atomic_store(&board->aborted, (int)status);
    return true;
}
