/* parallel/board_look.c -- what the kernel says of the ranks of this host, and
 * what of the time it is to blame for.
 *
 * A rank with a thread that is ready (R) at two looks, none of whose threads
 * has run between them, has waited for a processor all the while: whatever
 * leaves that queue has run.  So has one that was stopped, went on and was
 * stopped again.
 */
#include "parallel/board.h"

#include <math.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t par_board_passed(int64_t from_ns, int64_t to_ns)
{
    static const int64_t most_ns = 500000000;
    return least(to_ns - from_ns, most_ns);
}

static bool is_stopped(int letter)
{
    return letter == 'T' || letter == 't';
}

/* Which share of the time between two looks it was kept from running. */
static double share_kept(int was, int is, bool has_run, double waited_ns,
                         double passed_ns)
{
    if (!has_run)
        return was == 'R' && is == 'R' ? 1.0 : 0.0;
    if (is_stopped(was) || is_stopped(is))
        return 1.0;
    return fmin(1.0, waited_ns / passed_ns);
}

void par_board_saw(par_board_rank *record, const par_process *process,
                   int64_t now_ns)
{
    const int was = atomic_exchange(&record->letter, process->state);
    const uint64_t ticks =
        atomic_exchange(&record->cpu_ticks, process->cpu_ticks);
    const uint64_t ran = atomic_exchange(&record->run_ns, process->run_ns);
    const uint64_t waited = atomic_exchange(&record->wait_ns, process->wait_ns);
    const int64_t from = atomic_exchange(&record->seen_ns, now_ns);
    const bool has_run = ran != process->run_ns || ticks != process->cpu_ticks;
    const double share = share_kept(was, process->state, has_run,
                                    (double)(process->wait_ns - waited),
                                    (double)(now_ns - from));
    atomic_store(&record->has_run, has_run);
    if (from > 0 && now_ns > from)
        atomic_fetch_add(
            &record->kept_ns,
            (int64_t)(share * (double)par_board_passed(from, now_ns)));
}

void par_board_look(par_board *board)
{
    const int64_t now = par_now_ns();
    for (int i = 0; i < board->n_rank; i++) {
        par_board_rank *r = &board->rank[i];
        par_process process = {0};
        if (!par_board_is_home(board, i))
            continue;
        if (par_board_life(board, i, &process) != PAR_LIFE_RUNS) {
            atomic_store(&r->letter, 0);
            continue;
        }
        par_process_read_threads(&process, atomic_load(&r->pid));
        par_board_saw(r, &process, now);
    }
}

bool par_board_is_held(const par_board_rank *record)
{
    return is_stopped(atomic_load(&record->letter)) &&
           !atomic_load(&record->has_run);
}
