/* core/files/mapped.h -- files that are mapped, and what may happen to them
 * meanwhile.
 *
 * Whoever cuts a file takes mapped bytes away: the next touch is a SIGBUS.  One
 * that is in a file mapped here ends the process with a line that names the
 * file, after everything half written is gone (core/files/target.h).  A file
 * that was written to, or replaced under its name, is found when its reader
 * asks.
 */
#ifndef CORE_MAPPED_H
#define CORE_MAPPED_H

#include "core/base/status.h"

#include <stddef.h>

typedef struct core_mapped core_mapped;

typedef enum core_mapping {
    CORE_MAP_INPUT, /* to be read; nobody should write to it meanwhile        */
    CORE_MAP_OURS,  /* to be read while others of this run write              */
    CORE_MAP_WRITE  /* by them                                                */
} core_mapping;

/* Map all bytes of the regular file at `path`.                       [local]
 * Errors: E_FILE; E_FORMAT if there are less than `least`; E_MEMORY.         */
CORE_NODISCARD core_status core_map(core_mapped **out, const char *path,
                                    core_mapping kind, size_t least);
void core_unmap(core_mapped *file); /* accepts NULL */

unsigned char *core_mapped_at(const core_mapped *file);
size_t core_mapped_bytes(const core_mapped *file);

/* Is each input that is mapped now still the file at its path, of that length
 * and last change?  Before a result is given out.  Errors: E_FILE naming the
 * file and what changed. [local] */
CORE_NODISCARD core_status core_mapped_check(void);

/* Who is told the line of a SIGBUS before it is printed and the process ends,
 * and may end it in another way: called from the signal handler, so nothing
 * that takes a lock or memory.  NULL: nobody.                                */
void core_mapped_tell(void (*tell)(const char *line));

#endif
