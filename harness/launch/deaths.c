/* harness/launch/deaths.c -- which rank died first?
 *
 * When a rank dies, mpiexec sees its connection to the rank close and kills all
 * others within a millisecond; its banner names any of them.  So for every rank
 * that appears on the board the launcher
 *   - opens a process descriptor (pidfd), which becomes readable when the
 *     process dies, and which epoll hands out in the order of the deaths;
 *   - takes a copy of the rank's end of that connection (pidfd_getfd), so that
 *     mpiexec sees nothing and kills nobody before the launcher has looked.
 * Either alone is not enough: a dying process closes its files a little before
 * it counts as dead (measured: without the copy one death in eight was blamed
 * on another rank), and a kernel or container may forbid the copy.
 *
 * A rank that has agreed to stop may end.  Of a rank on another host nothing is
 * known here: mpiexec ends the run.
 */
#include "harness/launch/impl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct har__deaths {
    par_board *board;
    int epoll_fd;
    int n_watched;
    int first;    /* rank that died first; -1: none so far                  */
    int *pid_fd;  /* [n_rank] -1: not watched yet                           */
    int *copy_fd; /* [n_rank] of the connection to mpiexec; -1: none        */
};

static void allow_descriptors(int n)
{
    struct rlimit limit;
    const rlim_t need = 2 * (rlim_t)n + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need)
        return;
    limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

core_status har__deaths_open(har__deaths **out, par_board *board)
{
    har__deaths *d = calloc(1, sizeof *d);
    int *fds = malloc(2 * (size_t)board->n_rank * sizeof *fds);
    const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!d || !fds || epoll_fd < 0) {
        free(d);
        free(fds);
        if (epoll_fd >= 0)
            close(epoll_fd);
        CORE_FAIL(CORE_E_MEMORY, "no memory to watch %d ranks", board->n_rank);
    }
    for (int i = 0; i < 2 * board->n_rank; i++)
        fds[i] = -1;
    allow_descriptors(board->n_rank);
    *d = (har__deaths){.board = board,
                       .epoll_fd = epoll_fd,
                       .first = -1,
                       .pid_fd = fds,
                       .copy_fd = fds + board->n_rank};
    *out = d;
    return CORE_OK;
}

void har__deaths_close(har__deaths *d)
{
    if (!d)
        return;
    for (int i = 0; i < 2 * d->board->n_rank; i++)
        if (d->pid_fd[i] >= 0) /* the copies follow in the same array */
            close(d->pid_fd[i]);
    close(d->epoll_fd);
    free(d->pid_fd);
    free(d);
}

static bool has_finished(const har__deaths *d, int rank)
{
    return atomic_load(&d->board->rank[rank].state) == PAR_RANK_FINISHED;
}

static void watch_newcomers(har__deaths *d)
{
    for (int i = 0; i < d->board->n_rank; i++) {
        const int pid = atomic_load(&d->board->rank[i].pid);
        if (!par_board_is_home(d->board, i) || d->pid_fd[i] >= 0)
            continue;
        par_process process;
        const int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        if (fd < 0 && errno == ESRCH && d->first < 0 && !has_finished(d, i))
            d->first = i;
        if (fd < 0)
            continue;
        if (par_board_life(d->board, i, &process) == PAR_LIFE_UNKNOWN) {
            close(fd); /* of another process */
            continue;
        }
        d->pid_fd[i] = fd;
        d->n_watched++;
        const int manager_fd = atomic_load(&d->board->rank[i].manager_fd);
        if (manager_fd > 0)
            d->copy_fd[i] = (int)syscall(SYS_pidfd_getfd, fd, manager_fd, 0);
        epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &event);
        atomic_store(&d->board->rank[i].is_watched, 1);
    }
}

bool har__deaths_wait(har__deaths *d, int timeout_ms)
{
    enum { SOON_MS = 5 }; /* who starts waits to be watched */
    if (d->n_watched < d->board->n_rank) {
        watch_newcomers(d);
        timeout_ms = timeout_ms < SOON_MS ? timeout_ms : SOON_MS;
    }
    struct epoll_event event;
    while (d->first < 0 &&
           epoll_wait(d->epoll_fd, &event, 1, timeout_ms) == 1) {
        const int rank = (int)event.data.u32;
        if (!has_finished(d, rank))
            d->first = rank;
        epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, d->pid_fd[rank], NULL);
        timeout_ms = 0;
    }
    return d->first >= 0;
}

int har__deaths_first(const har__deaths *d)
{
    return d->first;
}
