/* parallel/comm_hosts.c -- see hosts.h.
 *
 * Every rank says by which number its host goes; of equal numbers the lowest
 * rank leads.  Groups' ids lie beyond those of layouts (parallel/layout.c).
 */
#include "parallel/hosts.h"

#include "parallel/board.h"
#include "parallel/process.h"

#include <stdlib.h>
#include <string.h>

enum { BEYOND = 8 }; /* more kinds of groups than a layout has               */

static int first_of(const uint64_t *host, int rank)
{
    int first = 0;
    while (host[first] != host[rank])
        first++;
    return first;
}

static void fill(par_hosts *out, const uint64_t *host, int rank, int size)
{
    const int mine = first_of(host, rank);
    int n_member = 0, me = 0, my_host = 0;
    for (int i = 0; i < size; i++) {
        const int leader = first_of(host, i);
        if (leader == i)
            out->leader[out->n++] = i;
        if (i == mine)
            my_host = out->n - 1;
        if (i == rank)
            me = n_member;
        if (leader == mine)
            out->member[n_member++] = i;
    }
    out->leaders = (par_group){.name = "hosts",
                               .id = 1 + BEYOND * size,
                               .n = out->n,
                               .me = my_host,
                               .rank = out->leader};
    out->members = (par_group){.name = "host",
                               .id = 2 + BEYOND * size,
                               .n = n_member,
                               .me = me,
                               .rank = out->member};
}

core_status par_hosts_make(par_hosts *out, par_comm *comm)
{
    const size_t n = (size_t)comm->size;
    uint64_t *host = calloc(n, sizeof *host);
    *out = (par_hosts){.leader = calloc(n, sizeof *out->leader),
                       .member = calloc(n, sizeof *out->member)};
    core_status status = CORE_OK;
    if (host == NULL || out->leader == NULL || out->member == NULL)
        status = core_fail(CORE_E_MEMORY, "no memory for %d hosts", comm->size);
    status = par_agree(comm, status);
    if (status == CORE_OK) {
        host[comm->rank] = par_process_host();
        par_all_reduce_u64(comm, &comm->world, host, comm->size);
        fill(out, host, comm->rank, comm->size);
    } else {
        par_hosts_free(out);
    }
    free(host);
    return status;
}

void par_hosts_free(par_hosts *hosts)
{
    free(hosts->leader);
    free(hosts->member);
    *hosts = (par_hosts){0};
}

bool par_hosts_leads(const par_hosts *hosts)
{
    return hosts->members.me == 0;
}
