/* harness/verify/threads.h -- how many threads a rank has. */
#ifndef HAR_THREADS_H
#define HAR_THREADS_H

#include "parallel/comm.h"

/* Of this rank, whose host's ranks share the processors that it may use.  A rank that
 * is bound to some of them shares those: it never has more threads than they are.
 * Errors, agreed: E_MEMORY.                               [collective, world] */
CORE_NODISCARD core_status har_rank_threads(int *out, par_comm *comm);

#endif
