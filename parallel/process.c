/* parallel/process.c -- /proc/PID/stat and schedstat, and which host that is.
 *
 * The second field is the program's name in parentheses and may itself contain
 * spaces and parentheses: everything is counted from the last ')'.
 */
#include "parallel/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

/* A small file's text; its bytes, 0 if it cannot be read. */
static size_t read_text(const char *path, char *text, size_t room)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? 0 : read(fd, text, room - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

/* FOLDER is that of a process or of one of its threads. */
static bool read_stat(par_process *out, const char *folder)
{
    char path[320], text[1024];
    snprintf(path, sizeof path, "%s/stat", folder);
    if (read_text(path, text, sizeof text) == 0)
        return false;
    const char *after_name = strrchr(text, ')');
    unsigned long user, system;
    unsigned long long start;
    const char *name = strchr(text, '(');
    if (!after_name || !name ||
        sscanf(after_name + 1,
               " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d "
               "%*d %*d %d %*d %llu",
               &out->state, &out->parent, &user, &system, &out->n_thread,
               &start) != 6)
        return false;
    snprintf(out->name, sizeof out->name, "%.*s", (int)(after_name - name - 1),
             name + 1);
    out->cpu_ticks = (uint64_t)user + system;
    out->start_ticks = start;
    out->run_ns = out->wait_ns = 0;
    return true;
}

bool par_process_read(par_process *out, int pid)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/proc/%d", pid);
    return read_stat(out, folder);
}

/* Likewise. */
static void add_times(par_process *process, const char *folder)
{
    char path[320], text[128];
    unsigned long long run, wait;
    snprintf(path, sizeof path, "%s/schedstat", folder);
    if (read_text(path, text, sizeof text) == 0 ||
        sscanf(text, "%llu %llu", &run, &wait) != 2)
        return;
    process->run_ns += run;
    process->wait_ns += wait;
}

void par_process_read_threads(par_process *process, int pid)
{
    char folder[64], task[300];
    process->run_ns = process->wait_ns = 0;
    snprintf(folder, sizeof folder, "/proc/%d", pid);
    if (process->n_thread == 1) {
        add_times(process, folder);
        return;
    }
    snprintf(folder, sizeof folder, "/proc/%d/task", pid);
    DIR *tasks = opendir(folder);
    const struct dirent *entry;
    while (tasks && (entry = readdir(tasks)) != NULL) {
        par_process thread;
        snprintf(task, sizeof task, "%s/%.200s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || !read_stat(&thread, task))
            continue;
        add_times(process, task);
        if (thread.state == 'R')
            process->state = 'R';
    }
    if (tasks)
        closedir(tasks);
}

/* What cannot be read is left out. */
uint64_t par_process_host(void)
{
    char boot[64], numbers[64] = "", all[512];
    struct utsname system = {.nodename = ""};
    (void)read_text("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    (void)!readlink("/proc/self/ns/pid", numbers, sizeof numbers - 1);
    (void)uname(&system);
    const int n =
        snprintf(all, sizeof all, "%s %s %s", boot, numbers, system.nodename);
    return XXH3_64bits(all, (size_t)n);
}

void par_process_host_name(char *out, size_t room)
{
    struct utsname system = {.nodename = "?"};
    (void)uname(&system);
    snprintf(out, room, "%s", system.nodename);
}

int64_t par_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void par_nap_ms(int ms)
{
    const struct timespec t = {.tv_sec = ms / 1000,
                               .tv_nsec = ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}
