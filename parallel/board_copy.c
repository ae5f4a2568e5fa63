/* parallel/board_copy.c -- the same board on every host.
 *
 * A copy goes as it lies in memory: all processes are the same program.  Texts
 * and numbers of one copy may be of two moments, as on the board itself.
 */
#include "parallel/board.h"

#include <string.h>

int par_board_copies(const par_board *board, uint64_t not_of,
                     par_board_copy out[])
{
    int n = 0;
    for (int i = 0; i < board->n_rank; i++) {
        const bool wanted = not_of != 0
                                ? atomic_load(&board->rank[i].host) != not_of
                                : par_board_is_home(board, i);
        if (!wanted || atomic_load(&board->rank[i].pid) == 0)
            continue;
        const int64_t heard = atomic_load(&board->rank[i].heard_ns);
        out[n].rank = i;
        memcpy(&out[n].record, &board->rank[i], sizeof board->rank[i]);
        atomic_store(&out[n++].record.heard_ns, /* as an age: clocks differ */
                     par_board_is_home(board, i) ? 0 : par_now_ns() - heard);
    }
    return n;
}

void par_board_take(par_board *board, const par_board_copy in[], int n)
{
    const int64_t now = par_now_ns();
    for (int i = 0; i < n; i++) {
        const int rank = in[i].rank;
        if (rank < 0 || rank >= board->n_rank ||
            atomic_load(&in[i].record.host) == board->host)
            continue;
        par_board_rank *record = &board->rank[rank];
        const int64_t age = atomic_load(&in[i].record.heard_ns);
        memcpy(record, &in[i].record, sizeof *record);
        record->group[sizeof record->group - 1] = '\0';
        record->what[sizeof record->what - 1] = '\0';
        record->where[sizeof record->where - 1] = '\0';
        atomic_store(&record->heard_ns, now - age);
    }
}
