/* harness/launch/hosts.h -- the watches of a run's hosts tell each other what
 * is on their boards.
 *
 * A star of TCP connections: in the middle the launcher, or the watch on rank
 * 0's host.  Twice a second everybody sends the records of its ranks to the
 * middle, which sends them on; how the run was ended (par_board.aborted) goes
 * the same way, at once.  So every host's board shows all ranks, and shows too
 * whom nothing has been heard of.
 *
 * Nothing here blocks longer than a second, and nothing is needed for a run
 * whose ranks are all on one host.
 */
#ifndef HAR_LAUNCH_HOSTS_H
#define HAR_LAUNCH_HOSTS_H

#include "parallel/board.h"

enum { HAR_ADDRESS_BYTES = 1024 };

typedef struct har_hosts har_hosts;

/* The middle: listens.  Ports are those of MPIEXEC_PORT_RANGE, "LOW:HIGH", if
 * it is set.  Borrows board; files that are sent here land in folder, borrowed.
 * Errors: E_FILE, E_MEMORY.                                          [local] */
CORE_NODISCARD core_status har_hosts_open(har_hosts **out, par_board *board,
                                          const char *folder);

/* Where others find it: "PORT TOKEN ADDRESS..."                      [local] */
const char *har_hosts_address(const har_hosts *hosts);

/* Not the middle: it is found at an address.  Errors: E_MEMORY.      [local] */
CORE_NODISCARD core_status har_hosts_join(har_hosts **out, par_board *board,
                                          const char *address);

/* Send and receive what there is.                                    [local] */
void har_hosts_step(har_hosts *hosts);

/* Not the middle: is the connection up?  Was it, and is no more?     [local] */
bool har_hosts_is_joined(const har_hosts *hosts);
bool har_hosts_is_alone(const har_hosts *hosts);

/* The middle: a rank of a host that closed its connection before its ranks had
 * finished; -1 if none has.                                          [local] */
int har_hosts_left(const har_hosts *hosts);

/* Step until the others know how the run was ended, or have left, or some
 * seconds are over; accepts NULL.                                    [local] */
void har_hosts_tell(har_hosts *hosts);

/* Step until another host says how the run has ended, most of a second at most;
 * accepts NULL.                                                      [local] */
void har_hosts_listen(har_hosts *hosts);

/* Not the middle: send FOLDER/name there, where that exists.         [local] */
void har_hosts_send_file(har_hosts *hosts, const char *folder,
                         const char *name);

/* The middle: step until all others have left, some seconds at most; accepts
 * NULL.                                                              [local] */
void har_hosts_wait(har_hosts *hosts);

void har_hosts_close(har_hosts *hosts); /* accepts NULL */

#endif
