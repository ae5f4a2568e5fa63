/* harness/launch/ending.h -- how a process of the program reports and ends.
 *
 * Alone it writes to its own streams; a rank that our launcher started leaves
 * its report and its error in the run folder, once for all ranks.
 */
#ifndef HAR_LAUNCH_ENDING_H
#define HAR_LAUNCH_ENDING_H

#include "core/base/status.h"

#include <stdio.h>

/* Number of this process in its job, before MPI is started; 0 alone. [local] */
int har_started_as(void);

/* Print the recorded message as "moeparity: ..." (once among ranks) and return
 * the exit code of the status.                                       [local] */
int har_end(core_status status);

/* Where the report goes: stdout, or the file that the launcher shows at the
 * end.  Errors: E_FILE.                                              [local] */
CORE_NODISCARD core_status har_report_open(FILE **out);

/* Flush and check; a full disk or closed pipe is an error.  Errors: E_FILE. */
CORE_NODISCARD core_status har_report_close(FILE *out);

#endif
