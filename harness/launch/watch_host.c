/* harness/launch/watch_host.c -- see watch_host.h.
 *
 * Traps: an open end of mpiexec's pipes, or of a rank's connection to it, would
 * keep mpiexec waiting, so everything but stderr is closed; mpiexec kills the
 * group of a rank, so the watch leaves it; the signals that a cluster sends
 * before it kills a job end the run here, folder first.
 */
#include "harness/launch/watch_host.h"

#include "harness/launch/impl.h"
#include "parallel/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* --- starting it --- */

static core_status spawn(char *const argv[], int out_fd)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (out_fd >= 0)
        posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
    else
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    const int error =
        posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    CORE_FAIL_IF(error != 0, CORE_E_FILE, "no process to watch this host: %s",
                 strerror(error));
    return CORE_OK;
}

core_status har_watch_start(const char *folder, har_watch_role role,
                            bool speaks, char address[HAR_ADDRESS_BYTES])
{
    char name[] = "moeparity", command[] = HAR_WATCH_COMMAND, where[256],
         what[8];
    char *argv[] = {
        name, command, where, what, role == HAR_WATCH_CALLS ? address : NULL,
        NULL};
    int pipe_fd[2] = {-1, -1};
    snprintf(where, sizeof where, "%s", folder);
    snprintf(what, sizeof what, "%d%s", (int)role, speaks ? "s" : "");
    if (role != HAR_WATCH_MIDDLE)
        return spawn(argv, -1);
    CORE_FAIL_IF(pipe(pipe_fd) != 0, core_status_of_errno(errno),
                 "no pipe to the watch: %s", strerror(errno));
    fcntl(pipe_fd[0], F_SETFD, FD_CLOEXEC);
    fcntl(pipe_fd[1], F_SETFD, FD_CLOEXEC);
    core_status status = spawn(argv, pipe_fd[1]);
    close(pipe_fd[1]);
    memset(address, 0, HAR_ADDRESS_BYTES);
    if (status == CORE_OK &&
        read(pipe_fd[0], address, HAR_ADDRESS_BYTES) != HAR_ADDRESS_BYTES)
        status = core_fail(CORE_E_FILE, "the watch of this host says nothing");
    close(pipe_fd[0]);
    return status;
}

/* --- being it --- */

static volatile sig_atomic_t signal_seen;

static void on_signal(int number)
{
    signal_seen = number;
}

/* Hydra's process on this host, which started the ranks; and mpiexec, if it
 * started that.  0: not here.                                                */
typedef struct starter {
    int proxy, mpiexec;
} starter;

typedef struct host_watch {
    char folder[256];
    har_watch_role role;
    bool speaks;
    par_board *board;
    har__deaths *deaths;
    har_hosts *hosts; /* NULL: alone                                          */
    int lock_fd;
    starter starter;
} host_watch;

static void leave_the_rank(void)
{
    const struct sigaction caught = {.sa_handler = on_signal};
    setsid();
    if (syscall(SYS_close_range, 3, ~0U, 0) != 0)
        for (int fd = 3; fd < 1024; fd++)
            close(fd);
    for (int i = 0; i < HAR__N_ENDING; i++)
        sigaction(har__ending_signal[i], &caught, NULL);
}

/* The rank that made the folder holds the lock for as long as it lives. */
static void take_lock(host_watch *w)
{
    char path[300];
    snprintf(path, sizeof path, "%s/lock", w->folder);
    if (w->lock_fd < 0)
        w->lock_fd = open(path, O_RDWR | O_CLOEXEC);
    if (w->lock_fd >= 0)
        (void)flock(w->lock_fd, LOCK_EX | LOCK_NB);
}

static core_status open_watch(host_watch *w, const char *address)
{
    char path[300];
    snprintf(path, sizeof path, "%s/board", w->folder);
    CORE_TRY(par_board_map(&w->board, path));
    if (w->role == HAR_WATCH_MIDDLE) {
        char told[HAR_ADDRESS_BYTES] = "";
        CORE_TRY(har_hosts_open(&w->hosts, w->board, w->folder));
        strcpy(told, har_hosts_address(w->hosts));
        CORE_FAIL_IF(write(1, told, sizeof told) != sizeof told, CORE_E_FILE,
                     "nobody listens");
    } else if (w->role == HAR_WATCH_CALLS) {
        CORE_TRY(har_hosts_join(&w->hosts, w->board, address));
    }
    (void)freopen("/dev/null", "w", stdout);
    return har__deaths_open(&w->deaths, w->board);
}

static starter find_starter(const host_watch *w)
{
    for (int i = 0; i < w->board->n_rank; i++) {
        par_process rank, proxy, mpiexec;
        if (par_board_life(w->board, i, &rank) != PAR_LIFE_RUNS ||
            !par_process_read(&proxy, rank.parent) ||
            strcmp(proxy.name, "hydra_pmi_proxy") != 0)
            continue;
        const bool is_here = par_process_read(&mpiexec, proxy.parent) &&
                             strncmp(mpiexec.name, "mpiexec", 7) == 0;
        return (starter){rank.parent, is_here ? proxy.parent : 0};
    }
    return (starter){0, 0};
}

static bool somebody_is_here(const par_board *board)
{
    for (int i = 0; i < board->n_rank; i++)
        if (par_board_is_home(board, i))
            return true;
    return false;
}

/* Why the run must end now; false: it goes on. */
static bool must_end(host_watch *w, char line[PAR_BOARD_LINE])
{
    const int dead = har__deaths_first(w->deaths);
    const int left = har_hosts_left(w->hosts);
    if (signal_seen)
        snprintf(line, PAR_BOARD_LINE, "interrupted by signal %d",
                 (int)signal_seen);
    else if (dead >= 0)
        par_board_say_died(w->board, dead, line);
    else if (left >= 0)
        par_board_say_lost(w->board, left, line);
    else if (har_hosts_is_alone(w->hosts))
        snprintf(line, PAR_BOARD_LINE, "the launcher's host has left");
    else
        return par_board_check(w->board, line);
    return true;
}

/* All ranks have, or those of this host have a while ago; they leave when they
 * see that the others have, so the boards must still go to and fro.          */
static bool is_finished(const host_watch *w, int64_t *since)
{
    enum { PATIENCE_S = 3 };
    if (par_board_all_finished(w->board))
        return true;
    if (!par_board_home_finished(w->board))
        return false;
    if (*since == 0)
        *since = par_now_ns();
    return par_now_ns() - *since > PATIENCE_S * (int64_t)1000000000;
}

/* True if the ranks of this host have finished, false if the run was ended. */
static bool watch(host_watch *w)
{
    enum { NAP_MS = 50 };
    const pid_t parent = getppid();
    int64_t finished_since = 0;
    char line[PAR_BOARD_LINE];
    for (;;) {
        take_lock(w);
        (void)har__deaths_wait(w->deaths, NAP_MS);
        har_hosts_step(w->hosts);
        if (w->starter.proxy == 0)
            w->starter = find_starter(w);
        const bool here = somebody_is_here(w->board);
        if (here && is_finished(w, &finished_since)) {
            har_hosts_step(w->hosts);
            return true;
        }
        if (atomic_load(&w->board->aborted) != 0)
            return false;
        if (!here && getppid() == parent)
            continue;
        if (!here || must_end(w, line)) {
            if (w->role == HAR_WATCH_MIDDLE)
                har_hosts_listen(w->hosts);
            (void)par_board_claim(w->board, CORE_E_PEER, here ? line : "");
            return false;
        }
    }
}

/* --- the end --- */

/* Ranks that wait leave by themselves, others when told to, stopped ones when
 * they go on.                                                                */
static void end_ranks(host_watch *w)
{
    for (int k = 0; k < 25 && par_board_kill(w->board, 0) > 0; k++)
        par_nap_ms(20);
    har__deaths_close(w->deaths); /* only now may mpiexec see a rank's end: */
    w->deaths = NULL;             /* what the others say makes its code     */
    (void)par_board_kill(w->board, SIGTERM);
    (void)par_board_kill(w->board, SIGCONT);
    for (int k = 0; k < 25 && par_board_kill(w->board, 0) > 0; k++)
        par_nap_ms(20);
    for (int k = 0; k < 100 && par_board_kill(w->board, SIGKILL) > 0; k++)
        par_nap_ms(20);
}

/* Hydra waits for ever for a host that it cannot reach, on both sides. */
static void end_starter(const starter *s)
{
    const int pid[] = {s->proxy, s->mpiexec};
    par_process process;
    for (int k = 0; k < 150 && s->proxy > 0; k++) {
        if (!par_process_read(&process, s->proxy) &&
            !par_process_read(&process, s->mpiexec))
            return;
        par_nap_ms(20);
    }
    for (int i = 0; i < 2; i++)
        if (pid[i] > 0 && par_process_read(&process, pid[i]) &&
            (strcmp(process.name, "hydra_pmi_proxy") == 0 ||
             strncmp(process.name, "mpiexec", 7) == 0))
            kill(pid[i], SIGTERM);
}

static void end_run(host_watch *w)
{
    const bool is_first = w->role != HAR_WATCH_CALLS;
    har_hosts_tell(w->hosts);
    const bool is_cut = !is_first && !har_hosts_is_joined(w->hosts);
    if (w->speaks && (is_first || is_cut) && w->board->line[0] != '\0')
        fprintf(stderr, "moeparity: %s\n", w->board->line);
    atomic_store(&w->board->is_told, 1);
    end_ranks(w);
    end_starter(&w->starter);
}

static void send_files(const host_watch *w)
{
    if (w->role != HAR_WATCH_CALLS || w->speaks ||
        !par_board_is_home(w->board, 0))
        return;
    har_hosts_send_file(w->hosts, w->folder, "report");
    har_hosts_send_file(w->hosts, w->folder, "errors");
}

/* Without a lock file the folder is kept. */
static void remove_folder(host_watch *w)
{
    har_run run = {.lock_fd = w->lock_fd};
    char path[300];
    snprintf(path, sizeof path, "%s/lock", w->folder);
    if (access(path, F_OK) != 0)
        return;
    strcpy(run.folder, w->folder);
    har_run_close(&run);
}

int har_watch_host(int argc, char **argv)
{
    host_watch w = {.lock_fd = -1};
    if (argc < 4)
        return core_status_exit_code(CORE_E_USAGE);
    leave_the_rank();
    snprintf(w.folder, sizeof w.folder, "%s", argv[2]);
    w.role = (har_watch_role)atoi(argv[3]);
    w.speaks = strchr(argv[3], 's') != NULL;
    const core_status status = open_watch(&w, argc > 4 ? argv[4] : "");
    if (status == CORE_OK && watch(&w))
        send_files(&w);
    else if (status == CORE_OK)
        end_run(&w);
    if (status == CORE_OK && w.role == HAR_WATCH_MIDDLE)
        har_hosts_wait(w.hosts);
    har__deaths_close(w.deaths);
    har_hosts_close(w.hosts);
    if (w.board != NULL)
        par_board_unmap(w.board);
    if (status == CORE_OK)
        remove_folder(&w);
    return core_status_exit_code(status);
}
