/* core/files/target.c -- see target.h.
 *
 * Traps: a link's file may lie on another disk, so the partial file lies beside
 * that file; in a folder of devices nobody but root can make one, and renaming
 * over a device as root takes it away from everybody; a partial file of a name
 * that can be guessed is a link that somebody else has put there.
 */
#include "core/files/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

core_status core_target_failed(const char *path, int why)
{
    return core_fail(core_status_of_errno(why),
                     "%s: cannot be written: %s", path, strerror(why));
}

/* --- what is half written --- */

enum { MOST = 64 };

/* Of this process, for whoever ends it from a signal handler. */
static struct {
    _Atomic int is_used;
    char name[CORE_TARGET_BYTES + 32];
} partials[MOST];

static void note(const char *partial)
{
    for (int i = 0; i < MOST; i++)
        if (atomic_load(&partials[i].is_used) == 0) {
            strcpy(partials[i].name, partial);
            atomic_store(&partials[i].is_used, 1);
            return;
        }
}

static void forget(const char *partial)
{
    for (int i = 0; i < MOST; i++)
        if (atomic_load(&partials[i].is_used) != 0 &&
            strcmp(partials[i].name, partial) == 0)
            atomic_store(&partials[i].is_used, 0);
}

void core_target_drop_all(void)
{
    for (int i = 0; i < MOST; i++)
        if (atomic_load(&partials[i].is_used) != 0)
            unlink(partials[i].name);
}

/* --- names --- */

/* Under a rank's standard output lies the launcher's log, for instance. */
static bool is_printed_to(const struct stat *file)
{
    struct stat st;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &st) == 0 && st.st_dev == file->st_dev &&
            st.st_ino == file->st_ino)
            return true;
    return false;
}

static core_status copy_later(core_target *out)
{
    const char *tmp = getenv("TMPDIR");
    out->is_copied = true;
    if (access(out->path, W_OK) != 0)
        return core_target_failed(out->path, errno);
    snprintf(out->partial, sizeof out->partial, "%.4000s/moeparity-XXXXXX",
             tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    const int fd = mkstemp(out->partial);
    CORE_FAIL_IF(fd < 0, CORE_E_FILE, "%s: cannot be written: %s: %s",
                 out->path, out->partial, strerror(errno));
    close(fd);
    note(out->partial);
    return CORE_OK;
}

static const char PARTIAL[] = ".partial-";

/* An empty file beside the place, of a name that nobody could know. */
static core_status make_partial(core_target *out)
{
    uint64_t word = 0;
    if (getrandom(&word, sizeof word, 0) != (ssize_t)sizeof word)
        return core_target_failed(out->path, errno);
    snprintf(out->partial, sizeof out->partial, "%s%s%016" PRIx64,
             out->place, PARTIAL, word);
    const int fd = open(out->partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                        (mode_t)0666);
    if (fd < 0)
        return core_target_failed(out->path, errno);
    close(fd);
    note(out->partial);
    return CORE_OK;
}

/* *place: behind links, if there are any. */
static core_status follow(const struct stat *file, const char *path,
                          char place[CORE_TARGET_BYTES])
{
    struct stat link;
    char real[PATH_MAX];
    CORE_FAIL_IF(is_printed_to(file), CORE_E_FILE,
                 "%s: cannot be written: this process prints to it", path);
    if (lstat(path, &link) != 0 || !S_ISLNK(link.st_mode))
        return CORE_OK;
    if (realpath(path, real) == NULL || strlen(real) >= CORE_TARGET_BYTES)
        return core_target_failed(path, errno);
    strcpy(place, real);
    return CORE_OK;
}

core_status core_target_open(core_target *out, const char *path)
{
    struct stat st;
    *out = (core_target){.is_copied = false};
    CORE_FAIL_IF(path[0] == '\0', CORE_E_FILE, "'': no name of a file");
    CORE_FAIL_IF(strlen(path) >= sizeof out->path, CORE_E_FILE,
                 "%.64s...: path is longer than %zu bytes", path,
                 sizeof out->path - 1);
    strcpy(out->path, path);
    strcpy(out->place, path);
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return core_target_failed(path, EISDIR);
        if (!S_ISREG(st.st_mode))
            return copy_later(out);
        CORE_TRY(follow(&st, path, out->place));
    } else {
        CORE_FAIL_IF(lstat(path, &st) == 0, CORE_E_FILE,
                     "%s: cannot be written: a link to nothing", path);
    }
    return make_partial(out);
}

/* The newest file of the folder whose name begins so; "" if there is none. */
static void newest(char found[CORE_TARGET_BYTES + 32], DIR *folder,
                   const char *folder_path, const char *start)
{
    struct timespec best = {.tv_sec = 0};
    found[0] = '\0';
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[CORE_TARGET_BYTES + 32];
        struct stat st;
        const int n = snprintf(path, sizeof path, "%s/%s", folder_path,
                               entry->d_name);
        if (strncmp(entry->d_name, start, strlen(start)) != 0 ||
            n >= (int)sizeof path || stat(path, &st) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (found[0] == '\0' || st.st_mtim.tv_sec > best.tv_sec ||
            (st.st_mtim.tv_sec == best.tv_sec &&
             st.st_mtim.tv_nsec > best.tv_nsec)) {
            strcpy(found, path);
            best = st.st_mtim;
        }
    }
}

core_status core_target_find(char partial[CORE_TARGET_BYTES + 32],
                             const char *path)
{
    char place[PATH_MAX], start[CORE_TARGET_BYTES + sizeof PARTIAL];
    if (realpath(path, place) == NULL)
        snprintf(place, sizeof place, "%s", path);
    char *slash = strrchr(place, '/');
    const char *name = slash == NULL ? place : slash + 1;
    snprintf(start, sizeof start, "%.*s%s", CORE_TARGET_BYTES - 1, name,
             PARTIAL);
    if (slash != NULL)
        *slash = '\0';
    const char *folder_path = slash == NULL ? "." : slash == place ? "/" : place;
    DIR *folder = opendir(folder_path);
    CORE_FAIL_IF(folder == NULL, CORE_E_FILE, "%s: %s: %s", path, folder_path,
                 strerror(errno));
    newest(partial, folder, folder_path, start);
    closedir(folder);
    return CORE_OK;
}

/* --- the end --- */

/* 0, or errno. */
static int copy_bytes(int from, int to)
{
    char block[1 << 16];
    for (;;) {
        const ssize_t n = read(from, block, sizeof block);
        if (n == 0)
            return 0;
        if (n < 0)
            return errno;
        for (ssize_t done = 0, k; done < n; done += k) {
            k = write(to, block + done, (size_t)(n - done));
            if (k < 0)
                return errno;
        }
    }
}

/* Opening a pipe waits for its reader, and one that leaves ends this process:
 * the partial file has lost its name by then.                                */
static core_status copy(const core_target *target)
{
    const int from = open(target->partial, O_RDONLY | O_CLOEXEC);
    int why = from < 0 ? errno : 0;
    core_target_drop(target);
    const int to = why != 0 ? -1 : open(target->place, O_WRONLY | O_CLOEXEC);
    if (why == 0)
        why = to < 0 ? errno : copy_bytes(from, to);
    if (to >= 0 && close(to) != 0 && why == 0)
        why = errno;
    if (from >= 0)
        close(from);
    return why == 0 ? CORE_OK : core_target_failed(target->path, why);
}

core_status core_target_commit(const core_target *target)
{
    if (target->is_copied)
        return copy(target);
    if (rename(target->partial, target->place) == 0) {
        forget(target->partial);
        return CORE_OK;
    }
    const int why = errno;
    core_target_drop(target);
    return core_target_failed(target->path, why);
}

void core_target_drop(const core_target *target)
{
    unlink(target->partial);
    forget(target->partial);
}
