/* harness/launch/newcomers.c -- do the ranks that have not come still start?
 *
 * A rank is on the board once it has been started, loaded and has read its
 * arguments.  On a busy machine that takes as long as the machine likes, and
 * nothing of it moves on the board: the launcher, below whom it happens, looks
 * at the processor time that it takes, and whether it waits for a processor.
 */
#include "core/base/arena.h"
#include "harness/launch/impl.h"
#include "parallel/process.h"

#include <dirent.h>
#include <stdlib.h>

typedef struct found {
    int pid, parent;
    uint64_t ticks;
    bool is_ready, is_below;
} found;

/* Every process there is to see; what has no room is not counted. */
static int read_all(found **all, pid_t top)
{
    int n = 0;
    int64_t room = 0;
    const struct dirent *entry;
    DIR *folder = opendir("/proc");
    while (folder && (entry = readdir(folder)) != NULL) {
        const int pid = atoi(entry->d_name);
        par_process process;
        if (pid <= 0 || !par_process_read(&process, pid))
            continue;
        found *more = core_grow(*all, &room, n + 1, sizeof *more, "processes");
        if (more == NULL)
            break;
        *all = more;
        more[n++] = (found){pid, process.parent, process.cpu_ticks,
                            process.state == 'R', pid == top};
    }
    if (folder)
        closedir(folder);
    return n;
}

static bool is_child_of_one(const found *all, int n, int parent)
{
    for (int i = 0; i < n; i++)
        if (all[i].is_below && all[i].pid == parent)
            return true;
    return false;
}

static bool has_come(const par_board *board, int pid)
{
    for (int i = 0; i < board->n_rank; i++)
        if (atomic_load(&board->rank[i].pid) == pid)
            return true;
    return false;
}

bool har__newcomers_move(const par_board *board, pid_t mpiexec, uint64_t most,
                         uint64_t *ticks)
{
    found *all = NULL;
    uint64_t sum = 0;
    bool is_one_ready = false;
    const int n = read_all(&all, mpiexec);
    for (bool is_more = true; is_more;) {
        is_more = false;
        for (int i = 0; i < n; i++)
            if (!all[i].is_below && is_child_of_one(all, n, all[i].parent))
                all[i].is_below = is_more = true;
    }
    for (int i = 0; i < n; i++)
        if (all[i].is_below && !has_come(board, all[i].pid)) {
            sum += all[i].ticks < most ? all[i].ticks : most;
            is_one_ready |= all[i].is_ready && all[i].ticks < most;
        }
    free(all);
    const bool has_used = sum != *ticks;
    *ticks = sum;
    return has_used || is_one_ready;
}
