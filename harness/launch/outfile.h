/* harness/launch/outfile.h -- a text file that exists only when it is complete.
 *
 * Written as PATH.partial-PID and renamed at the end; an error or an aborted run
 * leaves nothing that could be taken for a result.
 */
#ifndef HAR_OUTFILE_H
#define HAR_OUTFILE_H

#include "core/base/status.h"

#include <stdio.h>

typedef struct har_outfile {
    FILE *file;
    char path[512], partial[544];
} har_outfile;

/* Errors: E_FILE.                                                     [local] */
CORE_NODISCARD core_status har_outfile_open(har_outfile *out, const char *path);

/* Could PATH be written now?  Nothing is left of the attempt.  For commands
 * that work long before they write.  Errors: E_FILE.                 [local] */
CORE_NODISCARD core_status har_outfile_try(const char *path);

/* Flush, check and rename; on an error the partial file is removed.  Errors:
 * E_FILE, E_SPACE.                                                    [local] */
CORE_NODISCARD core_status har_outfile_commit(har_outfile *out);

/* Remove an uncommitted file; harmless after a commit.                        */
void har_outfile_drop(har_outfile *out);

#endif
