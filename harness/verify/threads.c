/* harness/verify/threads.c -- see threads.h. */
#include "harness/verify/threads.h"

#include "harness/launch/limits.h"
#include "parallel/hosts.h"

core_status har_rank_threads(int *out, par_comm *comm)
{
    const har_limits limits = har_limits_read("");
    par_hosts hosts;
    CORE_TRY(par_hosts_make(&hosts, comm));
    *out = har_share_threads(&limits, hosts.members.n);
    par_hosts_free(&hosts);
    return CORE_OK;
}
