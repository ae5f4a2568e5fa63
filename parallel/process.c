/* parallel/process.c -- /proc/PID/stat.
 *
 * The second field is the program's name in parentheses and may itself contain
 * spaces and parentheses: everything is counted from the last ')'.
 */
#include "parallel/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

bool par_process_read(par_process *out, int pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    const char *after_name = strrchr(text, ')');
    unsigned long user, system;
    if (!after_name ||
        sscanf(after_name + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
               &out->state, &user, &system) != 3)
        return false;
    out->cpu_ticks = (uint64_t)user + system;
    return true;
}

bool par_process_is_alive(int pid)
{
    if (kill(pid, 0) != 0 && errno == ESRCH)
        return false;
    par_process process;
    return par_process_read(&process, pid) && process.state != 'Z' &&
           process.state != 'X';
}

int64_t par_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
