/* harness/verify/pace.c -- see pace.h. */
#include "harness/verify/pace.h"

#include "core/base/clock.h"

#include <math.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TURNS = 50, PLAYS = 4 };

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
    bool is_there = true;
    for (int i = 0; i < PLAYS && is_there; i++) {
        const double theirs = play(fd, false);
        is_there = give(fd, &theirs, sizeof theirs);
    }
    _exit(is_there ? 0 : 1);
}

/* Processor time of a play, both sides; infinite if the other is gone.       */
static double play_once(int fd)
{
    double theirs = -1.0;
    const double ours = play(fd, true);
    return ours >= 0.0 && take(fd, &theirs, sizeof theirs) && theirs >= 0.0
               ? ours + theirs
               : HUGE_VAL;
}

void har_pace_measure(har_limits *limits, double start_seconds)
{
    int end[2];
    double best = HUGE_VAL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, end) != 0)
        return;
    const pid_t child = fork();
    if (child == 0) {
        close(end[0]);
        play_back(end[1]);
    }
    close(end[1]);
    for (int i = 0; i < PLAYS && child > 0; i++)
        best = fmin(best, play_once(end[0]));
    if (isfinite(best))
        limits->pace = (har_pace){start_seconds, best / (2.0 * TURNS)};
    close(end[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
}
