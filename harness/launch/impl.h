/* harness/launch/impl.h -- shared by the files of the launcher. */
#ifndef HAR_LAUNCH_IMPL_H
#define HAR_LAUNCH_IMPL_H

#include "harness/launch/launch.h"
#include "harness/launch/waiting.h"
#include "parallel/board.h"

#include <stdio.h>
#include <sys/types.h>

enum { HAR_PATH = 320 };

/* What ends a job: a terminal, a person, the managers of clusters, and whoever reads
 * what it says no more. */
enum { HAR__N_ENDING = 7 };
extern const int har__ending_signal[HAR__N_ENDING];

/* FOLDER/name. */
void har__path(char out[HAR_PATH], const har_run *run, const char *name);

/* Start mpiexec; watch: where ranks of other hosts call, "" if there are none;
 * *pid is its process.  Errors: E_FILE.                              [local] */
CORE_NODISCARD core_status har__start_mpiexec(pid_t *pid, const har_run *run,
                                              int n_rank, const char *watch,
                                              char *const argv[]);

/* Is that program of Open MPI, whose ranks MPICH's library does not know as
 * such?  out: the first line of what it says to --version; "": nothing. [local]
 */
bool har__mpiexec_is_other(char out[HAR_PATH], const har_run *run);

/* Bytes free where a folder lies; negative, and errno, if that cannot be told.
 *                                                                    [local] */
double har__free_bytes(const char *folder);

/* Will all ranks be on this host?  Not if others are named, or another way to
 * start ranks.  MOEPARITY_TRANSPORT=mpi says no, too.                [local] */
bool har__one_host(void);

/* --- deaths (deaths.c) --- */

typedef struct har__deaths har__deaths;

/* Borrows board.  Errors: E_MEMORY.                                  [local] */
CORE_NODISCARD core_status har__deaths_open(har__deaths **out,
                                            par_board *board);
void har__deaths_close(har__deaths *deaths); /* accepts NULL */

/* Nap for so long, or until a rank dies: true.                       [local] */
bool har__deaths_wait(har__deaths *deaths, int timeout_ms);

/* The rank that died first; -1 if none is known to have died.        [local] */
int har__deaths_first(const har__deaths *deaths);

/* --- newcomers (newcomers.c) --- */

/* Has mpiexec, or what it started and is no rank on the board yet, used the
 * processor since *ticks was noted, or does it wait for one?  A process that has
 * used `most` ticks does not move any more.                          [local] */
bool har__newcomers_move(const par_board *board, pid_t mpiexec, uint64_t most,
                         uint64_t *ticks);

/* --- the log and the terminal --- */

/* What the ranks left in the log, without mpiexec's own talk: the last lines.
 */
void har__copy_log(const har_run *run, FILE *to);

/* Why ranks did not come, in the words of mpiexec or of what it starts them
 * with: the first line that says it; "" if there is none.            [local] */
void har__complaint(char out[HAR_PATH], const har_run *run);

/* What the ranks are doing, for a terminal. */
void har__say_progress(har_waiting *waiting, const par_board *board,
                       const har_launch_options *options, double seconds);

#endif
