/* parallel/hosts.h -- which ranks are on which host, and who leads there.
 *
 * What every host needs once (the board, the reference's taps) its leader, the
 * lowest of its ranks, gets and makes for all.
 */
#ifndef PAR_HOSTS_H
#define PAR_HOSTS_H

#include "parallel/comm.h"

typedef struct par_hosts {
    int n;             /* hosts                                               */
    int *leader;       /* [n] in order of ranks                               */
    int *member;       /* [members.n] the ranks of this host                  */
    par_group leaders; /* me: this host's index, on other ranks than its leader
                        * too                                                 */
    par_group members; /* me: 0 on the leader                                 */
} par_hosts;

/* Errors, agreed: E_MEMORY.                                [collective, world]
 */
CORE_NODISCARD core_status par_hosts_make(par_hosts *out, par_comm *comm);
void par_hosts_free(par_hosts *hosts);

bool par_hosts_leads(const par_hosts *hosts); /* is this rank a leader? */

#endif
