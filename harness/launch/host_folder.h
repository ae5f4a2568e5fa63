/* harness/launch/host_folder.h -- the run folder of a rank's host.
 *
 * The launcher's folder is on its own host.  Where it is not to be seen, or is
 * another host's (a file system may be shared, memory is not), the first rank
 * of a host makes one there, with a board in it, and starts the host's watch.
 */
#ifndef HAR_LAUNCH_HOST_FOLDER_H
#define HAR_LAUNCH_HOST_FOLDER_H

#include "core/base/status.h"

#include <stddef.h>

/* On a rank that har_launch started, before MPI: har_rank_folder() is this
 * host's from now on, and has a board.  Errors: E_SPACE, E_FILE.     [local] */
CORE_NODISCARD core_status har_host_folder(int n_rank, double stall_seconds,
                                           size_t need_bytes);

/* What a watch that is not the launcher allows a standstill: the launcher, who
 * knows more, shall speak first.                                             */
double har_host_stall(double stall_seconds);

#endif
