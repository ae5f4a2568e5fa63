/* harness/launch/run_folder.c -- where the ranks of a run meet: a folder in memory.
 *
 * A launcher that was killed cannot clean up, so every launcher holds a lock on
 * a file of its folder for as long as it lives, and removes the folders whose
 * lock nobody holds.  A process id in the name would not do: it means something
 * else in another container.  A folder younger than a minute is left alone, it
 * may not be locked yet.
 */
#include "harness/launch/impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static const char prefix[] = "moeparity-run-";

/* What the link points at: a partial file of a rank that did not live to rename
 * it.  A file that was completed has another name by now.                    */
static void remove_target(int folder, const char *link)
{
    char target[4096];
    const ssize_t n = readlinkat(folder, link, target, sizeof target - 1);
    if (n > 0) {
        target[n] = '\0';
        unlink(target);
    }
}

static void remove_entry(int folder, const char *name)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return;
    remove_target(folder, name);
    unlinkat(folder, name, 0);
}

/* Remove a folder of plain files and of links to partial files elsewhere,
 * without opendir, which wants memory: there may be none.                    */
static void remove_folder(const char *path)
{
    _Alignas(struct dirent) char entries[8192];
    const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n;
    while (folder >= 0 && (n = syscall(SYS_getdents64, folder, entries,
                                       sizeof entries)) > 0)
        for (long at = 0; at < n;) {
            const struct dirent *e = (const void *)(entries + at);
            remove_entry(folder, e->d_name);
            at += e->d_reclen;
        }
    if (folder >= 0)
        close(folder);
    rmdir(path);
}

static void remove_if_stale(const char *path)
{
    char lock[600];
    struct stat st;
    snprintf(lock, sizeof lock, "%s/lock", path);
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode) ||
        st.st_uid != getuid() || time(NULL) - st.st_mtime < 60)
        return;
    const int fd = open(lock, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        remove_folder(path);
    close(fd);
}

#define MIB 1048576.0

static void sweep(const char *parent)
{
    DIR *dir = opendir(parent);
    if (!dir)
        return;
    for (const struct dirent *e; (e = readdir(dir));)
        if (strncmp(e->d_name, prefix, sizeof prefix - 1) == 0) {
            char path[512];
            snprintf(path, sizeof path, "%s/%.200s", parent, e->d_name);
            remove_if_stale(path);
        }
    closedir(dir);
}

static bool make_folder(har_run *run, const char *parent)
{
    if ((size_t)snprintf(run->folder, sizeof run->folder, "%s/%sXXXXXX", parent,
                         prefix) >= sizeof run->folder ||
        !mkdtemp(run->folder))
        return false;
    char lock[300];
    snprintf(lock, sizeof lock, "%s/lock", run->folder);
    run->lock_fd = open(lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (run->lock_fd < 0 || flock(run->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (run->lock_fd >= 0)
            close(run->lock_fd);
        remove_folder(run->folder);
        return false;
    }
    return true;
}

/* Where a run folder may be made, in this order; NULL: nowhere else.  Some are
 * "". */
static const char *candidate(int i)
{
    const char *const all[] = {getenv("MOEPARITY_RUN_DIR"), "/dev/shm",
                               getenv("TMPDIR"), "/tmp"};
    const int n = sizeof all / sizeof all[0];
    if (i == n)
        return NULL;
    const bool is_again = i == n - 1 && all[2] && strcmp(all[i], all[2]) == 0;
    return all[i] && !is_again ? all[i] : "";
}

double har__free_bytes(const char *folder)
{
    struct statvfs fs;
    return statvfs(folder, &fs) == 0
               ? (double)fs.f_bavail * (double)fs.f_frsize
               : -1.0;
}

bool har_folder_in_memory(const char *folder)
{
    const long in_memory = 0x01021994; /* TMPFS_MAGIC */
    struct statfs fs;
    return statfs(folder, &fs) == 0 && (long)fs.f_type == in_memory;
}

bool har_run_in_memory(size_t need_bytes)
{
    const char *parent;
    for (int i = 0; (parent = candidate(i)); i++)
        if (parent[0] && access(parent, W_OK) == 0 &&
            har__free_bytes(parent) >= (double)need_bytes)
            return har_folder_in_memory(parent);
    return false;
}

core_status har_run_open(har_run *out, size_t need_bytes)
{
    char tried[500] = "";
    const char *parent;
    for (int i = 0; (parent = candidate(i)); i++) {
        if (!parent[0])
            continue;
        sweep(parent);
        const size_t used = strlen(tried);
        const double free_bytes = har__free_bytes(parent);
        if (free_bytes < 0.0) {
            snprintf(tried + used, sizeof tried - used, "%s%.80s: %s",
                     used ? ", " : "", parent, strerror(errno));
            continue;
        }
        har_run run;
        const bool room = free_bytes >= (double)need_bytes;
        if (room && make_folder(&run, parent)) {
            *out = run;
            return CORE_OK;
        }
        snprintf(tried + used, sizeof tried - used,
                 "%s%.80s: %.1f MiB free%s", used ? ", " : "", parent,
                 free_bytes / MIB, room ? " but no folder can be made" : "");
    }
    CORE_FAIL(CORE_E_SPACE,
              "no room for the run's files: %.1f MiB needed; %s "
              "(set MOEPARITY_RUN_DIR)",
              (double)need_bytes / MIB, tried);
}

void har_run_close(har_run *run)
{
    if (!run || !run->folder[0])
        return;
    remove_folder(run->folder);
    close(run->lock_fd);
    run->folder[0] = '\0';
}

/* Without a lock file no later launcher takes the folder for an orphan. */
void har_run_keep(har_run *run)
{
    char lock[300];
    snprintf(lock, sizeof lock, "%s/lock", run->folder);
    unlink(lock);
    close(run->lock_fd);
    run->folder[0] = '\0';
}

void har_run_partial(const char *path)
{
    const char *folder = har_rank_folder();
    char link[400], real[PATH_MAX];
    const char *target = folder ? realpath(path, real) : NULL;
    for (int i = 0; target && i < 1000; i++) {
        snprintf(link, sizeof link, "%s/partial-%d", folder, i);
        if (symlink(target, link) == 0 || errno != EEXIST)
            break;
    }
}
