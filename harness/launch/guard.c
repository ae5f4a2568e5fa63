/* harness/launch/guard.c -- see guard.h.
 *
 * The signals are blocked and waited for like the child's end, so there is no
 * handler and nothing it could interrupt.  Traps: the child must get the old
 * mask back, or Ctrl-C would not end it; a shell that started us in the
 * background ignores SIGINT, which a blocked signal does not notice; SIGCHLD
 * inherited as ignored would take the child's status away.
 */
#include "harness/launch/guard.h"

#include "golden/golden.h"
#include "harness/launch/ending.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Wait for the child; a signal to us ends it.  Returns its wait status. */
static int wait_for(pid_t child, const sigset_t *waited, int *seen)
{
    int status = 0;
    *seen = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        const int number = sigwaitinfo(waited, NULL);
        if (number <= 0 || number == SIGCHLD)
            continue;
        *seen = number;
        kill(child, SIGKILL);
        (void)waitpid(child, &status, 0);
        break;
    }
    return status;
}

static int exit_code_of(int status, int seen)
{
    if (WIFEXITED(status) && seen == 0)
        return WEXITSTATUS(status);
    const int number = seen != 0 ? seen : WTERMSIG(status);
    if (number == SIGINT || number == SIGTERM || number == SIGHUP) {
        fprintf(stderr, "moeparity: interrupted by signal %d\n", number);
        return 128 + number;
    }
    return har_end(core_fail(
        number == SIGKILL ? CORE_E_MEMORY : CORE_E_INTERNAL,
        "the process that computes was ended by signal %d (%s)%s", number,
        strsignal(number),
        number == SIGKILL ? ", as happens when memory runs out" : ""));
}

int har_guard(const char *folder, core_status (*work)(void *self), void *self)
{
    sigset_t waited, old;
    sigemptyset(&waited);
    sigaddset(&waited, SIGINT);
    sigaddset(&waited, SIGTERM);
    sigaddset(&waited, SIGHUP);
    sigaddset(&waited, SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &waited, &old);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        exit(har_end(work(self)));
    }
    int seen = 0, status = 0;
    if (child > 0)
        status = wait_for(child, &waited, &seen);
    gold_remove(folder);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (child < 0)
        return har_end(core_fail(CORE_E_MEMORY, "no process to compute in: %s",
                                 strerror(errno)));
    return exit_code_of(status, seen);
}
