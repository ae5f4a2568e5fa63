/* harness/launch/mpiexec.c -- starting mpiexec, and reading what it left.
 *
 * No shell: arguments reach the ranks as they are.  mpiexec's output, with the
 * banners it prints when a rank dies, goes to FOLDER/log.
 *
 * The environment keeps many ranks on one host light, unless the user has set
 * these variables or names hosts (measured with MPICH 4.0.2 on two cores, 512
 * ranks that do nothing: docs/launcher.md).
 */
#include "harness/launch/impl.h"
#include "harness/launch/limits.h"

#include "parallel/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#ifndef HAR_MPIEXEC
#define HAR_MPIEXEC "mpiexec"
#endif

void har__path(char out[HAR_PATH], const har_run *run, const char *name)
{
    snprintf(out, HAR_PATH, "%s/%s", run->folder, name);
}

/* --- start --- */

bool har__one_host(void)
{
    const char *transport = getenv("MOEPARITY_TRANSPORT");
    const char *launcher = getenv("HYDRA_LAUNCHER");
    const char *mpiexec = getenv("MOEPARITY_MPIEXEC");
    return !getenv("HYDRA_HOST_FILE") && !(mpiexec && mpiexec[0]) &&
           !(launcher && strcmp(launcher, "fork") != 0) &&
           !(transport && strcmp(transport, "mpi") == 0);
}

/* Is there a processor for a second thread of each rank? */
static bool has_threads(const char *n_rank)
{
    const har_limits limits = har_limits_read("");
    return har_share_threads(&limits, atoi(n_rank)) > 1;
}

static void set_environment(const har_run *run, const char *watch,
                            const char *n_rank)
{
    static const char *const one_host[][2] = {
        /* no network: memory, threads; cma: long messages in one copy        */
        {"UCX_TLS", "posix,cma,self"},
        {"MPIR_CVAR_NOLOCAL", "1"}, /* MPICH's own shared memory spins    */
        {"HYDRA_LAUNCHER", "fork"}, /* no ssh or srun for this host       */
        {"HYDRA_RMK", "user"},
        {"HYDRA_BINDING", "none"},
    };
    static const char *const outer[] = {"PMI_RANK", "PMI_SIZE", "PMI_FD",
                                        "PMI_JOBID", "PMIX_RANK"};
    const char *launcher = getenv("HYDRA_LAUNCHER");
    if (!getenv("HYDRA_HOST_FILE") &&
        !(launcher && strcmp(launcher, "fork") != 0))
        for (size_t i = 0; i < sizeof one_host / sizeof one_host[0]; i++)
            setenv(one_host[i][0], one_host[i][1], 0);
    setenv("UCX_WARN_UNUSED_ENV_VARS", "n", 0);
    setenv("UCX_POSIX_DIR", run->folder,
           0); /* has room, and vanishes with it */
    setenv("OMP_NUM_THREADS", "1", 1);
    setenv("OMP_WAIT_POLICY", "passive", 0); /* the reference shares its cores
                                              * with ranks that poll          */
    if (has_threads(n_rank)) /* some 0.1 ms awake: to be woken takes longer */
        setenv("GOMP_SPINCOUNT", "100000", 0);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    setenv("MALLOC_ARENA_MAX", "1", 0); /* a thread's own reserves 128 MB of
                                         * addresses: ulimit -v               */
    /* what a rank gives back is everybody's again: glibc would keep it */
    setenv("MALLOC_MMAP_THRESHOLD_", "262144", 0);
    setenv("MOEPARITY_RUN_FOLDER", run->folder, 1);
    if (watch[0] != '\0')
        setenv("MOEPARITY_WATCH", watch, 1);
    for (size_t i = 0; i < sizeof outer / sizeof outer[0]; i++)
        unsetenv(outer[i]);
}

/* In the child: never returns; writes errno to report_fd if exec fails. */
static _Noreturn void become_mpiexec(const char *mpiexec, char **args,
                                     const har_run *run, const char *watch,
                                     int log_fd, int report_fd)
{
    const int null_fd = open("/dev/null", O_RDONLY);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* ^C reaches the launcher alone, which cleans up */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (null_fd >= 0 && dup2(null_fd, 0) >= 0 && dup2(log_fd, 1) >= 0 &&
        dup2(log_fd, 2) >= 0) {
        set_environment(run, watch, args[2]);
        execvp(mpiexec, args);
    }
    const int error = errno;
    (void)!write(report_fd, &error, sizeof error);
    _exit(127);
}

/* mpiexec -n N /path/of/this/program argv[1] ... ; caller frees. */
static char **make_args(const char *mpiexec, const char *self, const char *n,
                        char *const argv[])
{
    size_t n_arg = 0;
    while (argv[n_arg])
        n_arg++;
    const char **args = calloc(n_arg + 5, sizeof *args);
    if (!args)
        return NULL;
    args[0] = mpiexec;
    args[1] = "-n";
    args[2] = n;
    args[3] = self;
    for (size_t i = 1; i < n_arg; i++)
        args[3 + i] = argv[i];
    return (char **)(uintptr_t)args;
}

static const char *program_to_start(void)
{
    const char *chosen = getenv("MOEPARITY_MPIEXEC");
    return chosen && chosen[0] ? chosen : HAR_MPIEXEC;
}

core_status har__start_mpiexec(pid_t *pid, const har_run *run, int n_rank,
                               const char *watch, char *const argv[])
{
    const char *mpiexec = program_to_start();
    char self[4096], n[16], log[HAR_PATH];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CORE_FAIL_IF(length < 0, CORE_E_FILE, "/proc/self/exe: %s",
                 strerror(errno));
    self[length] = '\0';
    snprintf(n, sizeof n, "%d", n_rank);
    har__path(log, run, "log");
    const int log_fd =
        open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    CORE_FAIL_IF(log_fd < 0, core_status_of_errno(errno), "%s: %s", log,
                 strerror(errno));
    int pipe_fd[2] = {-1, -1}, error = 0;
    char **args = make_args(mpiexec, self, n, argv);
    if (!args || pipe(pipe_fd) != 0) {
        free(args);
        close(log_fd);
        CORE_FAIL(CORE_E_MEMORY, "no memory to start mpiexec");
    }
    fcntl(pipe_fd[0], F_SETFD, FD_CLOEXEC);
    fcntl(pipe_fd[1], F_SETFD, FD_CLOEXEC);
    fflush(NULL);
    *pid = fork();
    if (*pid == 0)
        become_mpiexec(mpiexec, args, run, watch, log_fd, pipe_fd[1]);
    error = *pid < 0 ? errno : 0;
    close(pipe_fd[1]);
    close(log_fd);
    free(args);
    if (*pid > 0 && read(pipe_fd[0], &error, sizeof error) > 0)
        waitpid(*pid, NULL, 0);
    close(pipe_fd[0]);
    CORE_FAIL_IF(error != 0, core_status_of_errno(error),
                 "mpiexec '%s' cannot be started: %s", mpiexec,
                 strerror(error));
    return CORE_OK;
}

/* --- which one it is --- */

/* It has a second to answer: one that hangs is not asked for ever. */
static bool ends_soon(pid_t pid)
{
    enum { NAP_MS = 10, NAPS = 100 };
    for (int i = 0; i < NAPS; i++) {
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return true;
        par_nap_ms(NAP_MS);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return false;
}

/* What a program says to --version, in a file. */
static bool ask_version(const char *program, const char *path)
{
    char name[HAR_PATH], version[] = "--version";
    char *const args[] = {name, version, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    snprintf(name, sizeof name, "%s", program);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return false;
    const bool is_started =
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY,
                                         0) == 0 &&
        posix_spawn_file_actions_addopen(
            &actions, 1, path, O_WRONLY | O_CREAT | O_TRUNC, 0600) == 0 &&
        posix_spawn_file_actions_adddup2(&actions, 1, 2) == 0 &&
        posix_spawnp(&pid, name, &actions, NULL, args, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    return is_started && ends_soon(pid);
}

bool har__mpiexec_is_other(char out[HAR_PATH], const har_run *run)
{
    char path[HAR_PATH];
    har__path(path, run, "version");
    out[0] = '\0';
    FILE *said =
        ask_version(program_to_start(), path) ? fopen(path, "r") : NULL;
    if (said != NULL && fgets(out, HAR_PATH, said) != NULL)
        out[strcspn(out, "\n")] = '\0';
    if (said != NULL)
        fclose(said);
    unlink(path);
    return strstr(out, "Open MPI") != NULL || strstr(out, "OpenRTE") != NULL;
}

/* --- what it left --- */

static bool starts(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

static bool is_banner(const char *line)
{
    return starts(line, "=") || starts(line, "\n") ||
           starts(line, "YOUR APPLICATION TERMINATED") ||
           starts(line, "This typically refers") ||
           starts(line, "Please see the FAQ") || starts(line, "Abort(");
}

static bool is_talk_of_mpiexec(const char *line)
{
    return is_banner(line) || starts(line, "[mpiexec@") ||
           starts(line, "[proxy:");
}

/* Hydra says how an error came through its own functions, too. */
static bool is_echo(const char *line)
{
    static const char *const part[] = {
        "assert (",          "callback returned error",
        "error waiting for", "returned error",
        "Sent signal",       "Press Ctrl-C"};
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++)
        if (strstr(line, part[i]) != NULL)
            return true;
    return false;
}

void har__complaint(char out[HAR_PATH], const har_run *run)
{
    char path[HAR_PATH], line[HAR_PATH];
    har__path(path, run, "log");
    FILE *log = fopen(path, "r");
    out[0] = '\0';
    while (log && out[0] == '\0' && fgets(line, sizeof line, log))
        if (!is_banner(line) && !is_echo(line)) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, HAR_PATH, "%s", line);
        }
    if (log)
        fclose(log);
}

void har__copy_log(const har_run *run, FILE *to)
{
    enum { MOST = 12, WIDTH = 256 };
    static const char indent[] = "    ";
    char path[HAR_PATH], line[MOST][WIDTH];
    har__path(path, run, "log");
    FILE *log = fopen(path, "r");
    int n = 0;
    while (log && fgets(line[n % MOST], WIDTH, log))
        n += !is_talk_of_mpiexec(line[n % MOST]);
    if (log)
        fclose(log);
    for (int i = n > MOST ? n - MOST : 0; i < n; i++) {
        line[i % MOST][strcspn(line[i % MOST], "\n")] = '\0';
        fprintf(to, "%s%s\n", indent, line[i % MOST]);
    }
}
