/* core/files/open.c -- see open.h.
 *
 * Trap: opening a pipe waits for somebody who writes, opening a terminal may
 * make it ours: both are opened without, looked at, and closed.
 */
#include "core/files/open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode)    ? "a directory"
           : S_ISFIFO(mode) ? "a pipe"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

static core_status check_regular(int fd, const char *path)
{
    struct stat info;
    CORE_FAIL_IF(fstat(fd, &info) != 0, CORE_E_FILE, "%s: %s", path,
                 strerror(errno));
    CORE_FAIL_IF(!S_ISREG(info.st_mode), CORE_E_FILE,
                 "%s: expected a regular file, found %s", path,
                 kind_of(info.st_mode));
    return CORE_OK;
}

core_status core_open(int *out, const char *path, bool for_writing)
{
    const int fd = open(path, (for_writing ? O_RDWR : O_RDONLY) | O_NONBLOCK |
                                  O_NOCTTY | O_CLOEXEC);
    CORE_FAIL_IF(fd < 0 && errno == ENXIO, CORE_E_FILE,
                 "%s: expected a regular file, found a socket or a device",
                 path);
    CORE_FAIL_IF(fd < 0, core_status_of_errno(errno), "%s: %s", path,
                 strerror(errno));
    const core_status status = check_regular(fd, path);
    if (status == CORE_OK)
        *out = fd;
    else
        close(fd);
    return status;
}

static core_status stream(FILE **out, int fd, const char *path)
{
    *out = fdopen(fd, "rb");
    if (*out != NULL)
        return CORE_OK;
    close(fd);
    return core_fail(CORE_E_MEMORY, "%s: no memory to read it", path);
}

core_status core_open_stream(FILE **out, const char *path)
{
    int fd;
    CORE_TRY(core_open(&fd, path, false));
    return stream(out, fd, path);
}

core_status core_open_text(FILE **out, const char *path)
{
    const bool is_stdin =
        strcmp(path, "-") == 0 || strcmp(path, "/dev/stdin") == 0;
    if (!is_stdin && strncmp(path, "/dev/fd/", strlen("/dev/fd/")) != 0)
        return core_open_stream(out, path);
    const int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                            : open(path, O_RDONLY | O_CLOEXEC);
    CORE_FAIL_IF(fd < 0, core_status_of_errno(errno), "%s: %s", path,
                 strerror(errno));
    return stream(out, fd, path);
}
