/* parallel/hold.c -- a rank that is held at a named point, for tests.
 *
 * A test of what happens when a rank dies must find the rank before the run is
 * over.  MOEPARITY_HOLD="RANK POINT FILE" holds the rank when it first comes to
 * the point (a text given to par_at): it writes its process id to FILE, which
 * must exist and may be a fifo, and waits for its end, counting as one that
 * moves.  It never goes on, so a run that holds a rank has no result.
 */
#include "parallel/comm_impl.h"

#include "parallel/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void par__hold(par_comm *comm, const char *what)
{
    enum { NAP_MS = 10, HELD_S = 60 };
    static const char *wish = "";
    char point[64], path[256];
    int rank;
    if (wish != NULL && wish[0] == '\0') /* asked once */
        wish = getenv("MOEPARITY_HOLD");
    if (wish == NULL || sscanf(wish, "%d %63s %255s", &rank, point, path) < 3 ||
        rank != comm->rank || strcmp(point, what) != 0)
        return;
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        par_abort(comm, CORE_E_FILE, "MOEPARITY_HOLD: %s: %s", path,
                  strerror(errno));
    close(fd);
    for (int ms = 0; ms < HELD_S * 1000; ms += NAP_MS) {
        par_nap_ms(NAP_MS);
        atomic_fetch_add(&comm->impl->mine->progress, 1);
    }
    par_abort(comm, CORE_E_INTERNAL,
              "rank %d was held at %s for %d s, and nobody ended it", rank,
              point, HELD_S);
}
