/* harness/launch/host_file.h -- the file that names hosts, before it is used.
 *
 * Hydra takes a host that is named twice for two, and goes round again when
 * there are fewer slots than ranks.
 */
#ifndef HAR_LAUNCH_HOST_FILE_H
#define HAR_LAUNCH_HOST_FILE_H

#include "core/base/status.h"

/* The file's lines are "HOST", "HOST:SLOTS", both perhaps with more words, and
 * comments (#).  If every host says its slots, they must be enough.  Errors:
 * E_FILE with file and line.                                         [local] */
CORE_NODISCARD core_status har_host_file_check(const char *path, int n_rank);

#endif
