/* harness/launch/launch.h -- start the program again as ranks, and watch over them.
 *
 * The launcher makes a run folder (board, report, tap files), starts mpiexec on
 * this same executable, shows progress, and ends everything if a rank dies,
 * hangs or the launcher itself is interrupted.  Nothing is left behind.
 */
#ifndef HAR_LAUNCH_H
#define HAR_LAUNCH_H

#include "core/base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* True if mpiexec (or Slurm) started this process with others.       [local] */
bool har_is_rank(void);

/* On a rank that har_launch started: its run folder; else NULL.  par_comm_start
 * wants FOLDER/board; rank 0 writes what stdout shall get to FOLDER/report and
 * what stderr shall get to FOLDER/errors.                            [local] */
const char *har_rank_folder(void);

/* What a rank's message buffers take in the run folder (MPICH over UCX: 4.3 MB
 * measured).                                                                 */
#define HAR_MESSAGE_BYTES ((size_t)5 << 20)

typedef struct har_run {
    char folder[256];     /* the run folder; files made in it vanish at the end */
    int lock_fd;          /* held while the launcher lives                      */
} har_run;

/* Make the run folder in $MOEPARITY_RUN_DIR, /dev/shm or $TMPDIR or /tmp: the
 * first with room for need_bytes.  Errors: E_SPACE says what was tried, what is
 * needed and what is free.                                           [local] */
CORE_NODISCARD core_status har_run_open(har_run *out, size_t need_bytes);

/* Would the files of such a folder lie in memory?  Then they count as memory of
 * the run.                                                           [local] */
bool har_run_in_memory(size_t need_bytes);
bool har_folder_in_memory(const char *folder); /* would those of this one? */

void har_run_close(har_run *run);
void har_run_keep(har_run *run); /* instead: the folder stays, for good */

/* On a rank that har_launch started: the file at path, which exists, shall not
 * outlive the run folder under this name, whatever happens to the rank. [local]
 */
void har_run_partial(const char *path);

typedef struct har_launch_options {
    int n_rank;
    double stall_seconds;
    const char *what;     /* for the progress line: "verify seed-mini"          */
    double seconds;       /* that the run is expected to take; 0: not known     */
} har_launch_options;

/* Of a run expected to take so long, when a share of it is done after so many
 * seconds.                                                           [local] */
double har_seconds_left(double expected, double done, double seconds);

/* Run `argv` again under mpiexec with n_rank ranks and wait.  The ranks see
 * MOEPARITY_RUN_FOLDER.  What rank 0 printed to its report stream goes to this
 * process's stdout once the run has ended; *exit_code is the program's agreed
 * exit code, 5 (with a line on stderr naming the rank) if a rank died or hung,
 * 128 + signal if SIGINT or SIGTERM came.
 * Errors: E_FILE if mpiexec cannot be started.                       [local] */
CORE_NODISCARD core_status har_launch(const har_run *run,
                                      const har_launch_options *options,
                                      char *const argv[], int *exit_code);

#endif
