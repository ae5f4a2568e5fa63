/* harness/launch/progress.c -- "verify seed-mini: 32 ranks, 43 %, 12 s". */
#include "harness/launch/impl.h"

static int n_in_state(const par_board *board, par_rank_state least)
{
    int n = 0;
    for (int i = 0; i < board->n_rank; i++)
        n += atomic_load(&board->rank[i].state) >= (int)least;
    return n;
}

void har__say_progress(har_waiting *waiting, const par_board *board,
                       const har_launch_options *options, double seconds)
{
    const int n_started = n_in_state(board, PAR_RANK_COMPUTING);
    char doing[128], line[sizeof waiting->said];
    if (n_started < board->n_rank)
        snprintf(doing, sizeof doing, "%d of %d ranks started", n_started,
                 board->n_rank);
    else
        snprintf(doing, sizeof doing, "%d rank%s, %d %%, %.40s", board->n_rank,
                 board->n_rank == 1 ? "" : "s", atomic_load(&board->fraction) / 10, board->rank[0].what);
    snprintf(line, sizeof line, "%.40s: %.100s, %.0f s", options->what, doing,
             seconds);
    har_waiting_say(waiting, line);
}
