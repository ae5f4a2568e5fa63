/* harness/launch/outfile.h -- a text file that exists only when it is complete.
 *
 * Written under another name until then (core/files/target.h); an error or an aborted
 * run leaves nothing that could be taken for a result.
 */
#ifndef HAR_OUTFILE_H
#define HAR_OUTFILE_H

#include "core/files/target.h"

#include <stdio.h>

typedef struct har_outfile {
    FILE *file;
    core_target target;
} har_outfile;

/* Errors: E_FILE.                                                     [local] */
CORE_NODISCARD core_status har_outfile_open(har_outfile *out, const char *path);

/* Could PATH (NULL: no file) be written now?  Nothing is left of the attempt.
 * For commands that work long before they write.  Errors: E_FILE.    [local] */
CORE_NODISCARD core_status har_outfile_try(const char *path);

/* Flush, check and put in its place; on an error nothing is left.  Errors:
 * E_FILE, E_SPACE.                                                    [local] */
CORE_NODISCARD core_status har_outfile_commit(har_outfile *out);

/* Remove an uncommitted file; harmless after a commit.                        */
void har_outfile_drop(har_outfile *out);

#endif
