/* harness/launch/processes.c -- see processes.h.
 *
 * A chain: each process starts the next and waits for it, so all are there when
 * the last one comes, and none is left when the first one knows.
 */
#include "harness/launch/processes.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static bool can_chain(int n)
{
    if (n == 0)
        return true;
    const pid_t next = fork();
    if (next < 0)
        return false;
    if (next == 0)
        _exit(can_chain(n - 1) ? 0 : 1);
    int code = 0;
    while (waitpid(next, &code, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(code) && WEXITSTATUS(code) == 0;
}

bool har_may_start(int n)
{
    enum { FAR = 4096 };
    struct rlimit limit;
    return n <= 0 || getrlimit(RLIMIT_NPROC, &limit) != 0 ||
           limit.rlim_cur >= FAR || can_chain(n);
}
