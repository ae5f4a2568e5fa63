/* harness/verify/pace.c -- see pace.h. */
#include "harness/verify/pace.h"

#include "core/base/clock.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TURNS = 50 };

static bool give(int fd, const void *bytes, size_t n)
{
    return send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool take(int fd, void *bytes, size_t n)
{
    return recv(fd, bytes, n, MSG_WAITALL) == (ssize_t)n;
}

/* A ball goes to and fro: processor time of this side, negative if the other is
 * gone.                                                                      */
static double play(int fd, bool begins)
{
    const double start = core_seconds(CLOCK_PROCESS_CPUTIME_ID);
    char ball = 0;
    for (int i = 0; i < TURNS; i++) {
        if (begins && !give(fd, &ball, 1))
            return -1.0;
        if (!take(fd, &ball, 1) || (!begins && !give(fd, &ball, 1)))
            return -1.0;
    }
    return core_seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
}

/* In the child, which ends when the other end is closed, too. */
static _Noreturn void play_back(int fd)
{
    const double theirs = play(fd, false);
    _exit(give(fd, &theirs, sizeof theirs) ? 0 : 1);
}

void har_pace_measure(har_limits *limits, double start_seconds)
{
    int end[2];
    double theirs = -1.0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, end) != 0)
        return;
    const pid_t child = fork();
    if (child == 0) {
        close(end[0]);
        play_back(end[1]);
    }
    close(end[1]);
    const double ours = child > 0 ? play(end[0], true) : -1.0;
    if (ours >= 0.0 && take(end[0], &theirs, sizeof theirs) && theirs >= 0.0)
        limits->pace =
            (har_pace){start_seconds, (ours + theirs) / (2.0 * TURNS)};
    close(end[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
}
