/* parallel/comm_watch.c -- what a waiting rank does besides waiting.
 *
 * Ten times a second it looks whether the run is still alive; where a launcher
 * watches, only whether that has ended it, or a peer is somewhere else.  Whoever
 * finds out first ends the run; the others leave with its code.
 */
#include "parallel/comm_impl.h"

#include "parallel/process.h"

void par__watch(par_comm *comm, int peer)
{
    struct par_comm_impl *impl = comm->impl;
    enum { LOOK_NS = 100000000 };
    const int64_t now = par_now_ns();
    if (!impl->board || now - impl->watched_ns < LOOK_NS)
        return;
    impl->watched_ns = now;
    char line[PAR_BOARD_LINE] = "";
    if (atomic_load(&impl->board->aborted) != 0 ||
        par_board_mismatch(impl->board, comm->rank, peer, line) ||
        (!impl->board->has_launcher &&
         par_board_is_home(impl->board, comm->rank) &&
         par_board_check(impl->board, line)))
        par_abort(comm, CORE_E_PEER, "%s", line);
}

bool par__has_died(par_comm *comm, int peer, char line[PAR_BOARD_LINE])
{
    enum { NAPS = 500 };
    const par_board *board = comm->impl->board;
    if (!board || !board->has_launcher || !par_board_is_home(board, comm->rank))
        return false;
    for (int k = 0; k < NAPS; k++) {
        par_process process;
        if (par_board_life(board, peer, &process) == PAR_LIFE_DEAD) {
            par_board_say_died(board, peer, line);
            return true;
        }
        par_nap_ms(10);
    }
    return false;
}
