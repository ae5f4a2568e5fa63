/* core/files/open.h -- opening what is to be read: regular files, at once.
 *
 * A pipe, a device or a socket where a file is wanted would be waited for, or
 * read for ever.
 */
#ifndef CORE_OPEN_H
#define CORE_OPEN_H

#include "core/base/status.h"

#include <stdbool.h>
#include <stdio.h>

/* A descriptor of the regular file at `path`, closed when another program
 * starts, for reading or for both.  Never waits.  Errors: E_FILE "PATH:
 * expected a regular file, found a pipe". [local] */
CORE_NODISCARD core_status core_open(int *out, const char *path,
                                     bool for_writing);

/* The same for stdio.                                                [local] */
CORE_NODISCARD core_status core_open_stream(FILE **out, const char *path);

/* The same for a text, which may also come from what the caller of the program
 * has opened: "-" and /dev/stdin, and /dev/fd/N, as a shell names the pipe of
 * <(command).                                                        [local] */
CORE_NODISCARD core_status core_open_text(FILE **out, const char *path);

#endif
