/* core/files/target.h -- where a file goes that is written first and named then.
 *
 * A result is written under another name, and gets its own when it is complete.
 * What stands at that name decides how:
 *     nothing, or a file       it is replaced
 *     a link to a file         that file is replaced, the link stays
 *     a device, a pipe, ...    what was written is copied into it; it stays
 * A folder, a link to nothing and the file that this process prints to are
 * refused.
 */
#ifndef CORE_TARGET_H
#define CORE_TARGET_H

#include "core/base/status.h"

#include <stdbool.h>

enum { CORE_TARGET_BYTES = 4096 };

typedef struct core_target {
    char path[CORE_TARGET_BYTES]; /* as given, for messages                   */
    char place[CORE_TARGET_BYTES];        /* behind links                     */
    char partial[CORE_TARGET_BYTES + 32]; /* write here: PLACE.partial-RANDOM,
                                           * or a file of $TMPDIR or /tmp     */
    bool is_copied; /* into what is no file                                   */
} core_target;

/* Choose the names and make the partial file, new, empty, with the mode that
 * the umask leaves.  Errors: E_FILE, E_SPACE.                        [local] */
CORE_NODISCARD core_status core_target_open(core_target *out, const char *path);

/* The partial file, complete and closed, becomes PATH.  It is gone afterwards,
 * error or not.  Errors: E_FILE, E_SPACE.                            [local] */
CORE_NODISCARD core_status core_target_commit(const core_target *target);

/* The partial file of whoever writes PATH now, the newest of several; "" if
 * nobody does.  Errors: E_FILE for a folder that cannot be read.     [local] */
CORE_NODISCARD core_status core_target_find(char partial[CORE_TARGET_BYTES + 32],
                                            const char *path);

/* Remove the partial file, if there is one.                          [local] */
void core_target_drop(const core_target *target);

/* Remove all partial files of this process: for a signal handler.    [local] */
void core_target_drop_all(void);

/* "PATH: cannot be written: reason of errno": E_SPACE for a full disk, a quota
 * or a limit of size, else E_FILE.                                   [local] */
core_status core_target_failed(const char *path, int why);

#endif
