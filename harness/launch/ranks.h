/* harness/launch/ranks.h -- starting and ending the ranks of a command.
 *
 * A rank may have been started by our launcher (there is a run folder with a
 * board in it) or by somebody else's mpiexec (rank 0 makes a folder).
 */
#ifndef HAR_LAUNCH_RANKS_H
#define HAR_LAUNCH_RANKS_H

#include "harness/launch/launch.h"
#include "parallel/comm.h"

typedef struct har_ranks {
    char folder[256]; /* shared by all ranks of this host                 */
    bool owns_folder; /* made by this rank: nobody launched us            */
    har_run run;      /* then                                             */
    struct par_board *board; /* likewise                                  */
} har_ranks;

/* Start MPI and agree on the run folders, one on each host.  need_bytes: room in it.
 * Errors: E_SPACE, E_USAGE if fewer than n_rank were started.  [collective] */
CORE_NODISCARD core_status har_ranks_start(har_ranks *out, int n_rank,
                                           double stall_seconds,
                                           size_t need_bytes);

/* All started ranks learn the worst status and its message.     [collective] */
CORE_NODISCARD core_status har_ranks_agree(core_status status);

/* All started ranks learn the worst status; who has a message keeps it.  For
 * what a plan's ranks, rank 0 among them, have agreed on.        [collective]
 */
CORE_NODISCARD core_status har_ranks_join(core_status status);

void har_ranks_stop(har_ranks *ranks, bool keep);

/* Start this command again under mpiexec and wait: the exit code.  seconds: that
 * it is expected to take, 0 if nobody knows.                         [local] */
int har_launch_again(char **argv, const char *what, int n_rank,
                     double stall_seconds, size_t need_bytes, bool keep,
                     double seconds);

#endif
