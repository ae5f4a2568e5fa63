/* parallel/comm_arrive.c -- ranks that nobody of ours watches yet.
 *
 * Under the user's own mpiexec MPI_Init comes before anything else, and waits for
 * ranks on a host that cannot be reached as long as mpiexec does: for ever.  A
 * timer gives up, wherever the rank is by then.  The first to give up says why,
 * and ends mpiexec, where that runs on its host, since mpiexec would wait on; so
 * ranks give up one after the other.
 */
#include "parallel/comm_impl.h"

#include "parallel/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const double RANK_SECONDS = 0.1; /* MPI_Init of one of many: docs/launcher.md */
static const double NEXT_SECONDS = 1.0; /* until the next rank gives up, too   */

static struct { /* for the signal handler */
    char line[160];
    int n;
    int mpiexec; /* its number; 0: not on this host                       */
} late;

static void on_late(int number)
{
    (void)number;
    const struct timespec brief = {.tv_nsec = 300000000};
    (void)!write(STDERR_FILENO, late.line, (size_t)late.n);
    nanosleep(&brief, NULL); /* mpiexec passes it on */
    if (late.mpiexec > 0)
        kill(late.mpiexec, SIGTERM);
    _exit(core_status_exit_code(CORE_E_PEER));
}

static int number_of(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? atoi(text) : otherwise;
}

/* Above the rank: Hydra's proxy, perhaps what stands for ssh, and mpiexec.    */
static int find_mpiexec(void)
{
    enum { MOST = 8 };
    par_process above;
    int pid = (int)getppid();
    for (int i = 0; i < MOST && pid > 1 && par_process_read(&above, pid); i++) {
        if (strncmp(above.name, "mpiexec", strlen("mpiexec")) == 0)
            return pid;
        pid = above.parent;
    }
    return 0;
}

static void set_timer(double seconds)
{
    const struct itimerval once = {
        .it_value = {(time_t)seconds,
                     (suseconds_t)(1e6 * (seconds - (double)(time_t)seconds))}};
    setitimer(ITIMER_REAL, &once, NULL);
}

void par__arrive_begin(double stall_seconds)
{
    const struct sigaction caught = {.sa_handler = on_late};
    const int n_rank = number_of("PMI_SIZE", 1);
    const double limit = stall_seconds + n_rank * RANK_SECONDS;
    late.n = snprintf(late.line, sizeof late.line,
                      "moeparity: not all of %d ranks have come within %.0f s: "
                      "is there a host that mpiexec cannot reach?\n",
                      n_rank, limit);
    late.mpiexec = find_mpiexec();
    sigaction(SIGALRM, &caught, NULL);
    set_timer(limit + number_of("PMI_RANK", 0) * NEXT_SECONDS);
}

void par__arrive_end(void)
{
    set_timer(0.0);
    signal(SIGALRM, SIG_DFL);
}
