/* harness/launch/watch_host.h -- a process that watches over the ranks of its
 * host, where no launcher does: on the other hosts of a run, or on all hosts if
 * the user's own mpiexec or srun has started the ranks.
 *
 * It is the program again, with a command of its own; it outlives a rank that
 * is killed, ends those that are left when the run is over, and removes the run
 * folder of its host.
 */
#ifndef HAR_LAUNCH_WATCH_HOST_H
#define HAR_LAUNCH_WATCH_HOST_H

#include "harness/launch/hosts.h"

/* The command's name: moeparity NAME FOLDER ROLE [ADDRESS].  No user calls it.
 */
#define HAR_WATCH_COMMAND "watch-host"

typedef enum har_watch_role {
    HAR_WATCH_ALONE,  /* all ranks are on this host                           */
    HAR_WATCH_MIDDLE, /* rank 0 is; the other hosts call here                 */
    HAR_WATCH_CALLS   /* the middle is elsewhere, at an address               */
} har_watch_role;

/* Start one for the board in folder.  address: of the middle, where it is
 * elsewhere; set to it, where it is here.  speaks: it prints the line that ends
 * the run, as there is no launcher.  Errors: E_FILE.                 [local] */
CORE_NODISCARD core_status har_watch_start(const char *folder,
                                           har_watch_role role, bool speaks,
                                           char address[HAR_ADDRESS_BYTES]);

/* The command.                                                       [local] */
int har_watch_host(int argc, char **argv);

#endif
