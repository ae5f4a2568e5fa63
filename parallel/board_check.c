/* parallel/board_check.c -- is the run still alive, and if not, whose fault?
 *
 * Two questions, ten times a second over all ranks together.
 *
 * Is somebody dead?  A rank is dead if its process is gone or a zombie.  When
 * one rank dies, mpiexec kills the others within a millisecond, and no look can
 * tell who was first: a launcher can (harness/launch/deaths.c) and then does
 * this alone.  Without one, a single death is named at once, several only if
 * somebody still lives a second later to name them.  Reading /proc of every
 * rank costs milliseconds at 512 ranks, so zombies are looked for in turn, and
 * everywhere once a death is seen.
 *
 * Does anything move?  Progress counters first, they cost nothing.  Only when
 * none has moved for half a second is the processor time of the ranks that
 * compute read: a slow expert must not be taken for a hang, and a rank that was
 * stopped must.  On a busy machine a rank may be ready all the time and get no
 * processor, and so may who looks: neither time counts.
 */
#include "parallel/board.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const int64_t ms = 1000000;

enum { LOOK_MS = 100, QUIET_MS = 500, SETTLE_MS = 1000, ZOMBIES_PER_LOOK = 16 };

/* --- deaths --- */

static bool can_die(const par_board_rank *r)
{
    return atomic_load(&r->pid) > 0 &&
           atomic_load(&r->state) != PAR_RANK_FINISHED;
}

static bool is_gone(const par_board *board, int rank)
{
    const par_board_rank *r = &board->rank[rank];
    return can_die(r) && par_board_is_home(board, rank) &&
           kill(atomic_load(&r->pid), 0) != 0 && errno == ESRCH;
}

static bool is_dead(const par_board *board, int rank)
{
    const par_board_rank *r = &board->rank[rank];
    par_process process;
    return can_die(r) &&
           par_board_life(board, rank, &process) == PAR_LIFE_DEAD &&
           can_die(r); /* it may have finished since */
}

static bool suspect_death(par_board *board)
{
    for (int i = 0; i < board->n_rank; i++)
        if (is_gone(board, i))
            return true;
    for (int k = 0; k < ZOMBIES_PER_LOOK && k < board->n_rank; k++) {
        const int i = atomic_fetch_add(&board->next_zombie, 1);
        const int rank = (int)((unsigned)i % (unsigned)board->n_rank);
        if (is_dead(board, rank))
            return true;
    }
    return false;
}

/* A rank that waits for `rank`; -1 if none does. */
static int who_waits_for(const par_board *board, int rank)
{
    for (int i = 0; i < board->n_rank; i++)
        if (i != rank && atomic_load(&board->rank[i].peer) == rank &&
            atomic_load(&board->rank[i].state) == PAR_RANK_WAITING)
            return i;
    return -1;
}

void par_board_say_died(const par_board *board, int rank,
                        char line[PAR_BOARD_LINE])
{
    char last[300], waiter[320] = "", process[64];
    par_board_describe(board, rank, last, sizeof last);
    const int w = who_waits_for(board, rank);
    if (w >= 0) {
        memcpy(waiter, "; ", 3);
        par_board_describe(board, w, waiter + 2, sizeof waiter - 2);
    }
    snprintf(line, PAR_BOARD_LINE, "rank %d (%s) died; last seen: %s%s", rank,
             par_board_process_name(board, rank, process, sizeof process), last,
             waiter);
}

static void say_many_died(const par_board *board, char line[PAR_BOARD_LINE])
{
    int n = 0;
    size_t used = 0;
    for (int i = 0; i < board->n_rank; i++)
        if (is_dead(board, i) && n++ < 8)
            used += (size_t)snprintf(line + used, PAR_BOARD_LINE - used,
                                     used ? ", %d" : "ranks %d", i);
    snprintf(line + used, PAR_BOARD_LINE - used, "%s died",
             n > 8 ? " and more" : "");
}

static bool find_death(par_board *board, char line[PAR_BOARD_LINE])
{
    if (!suspect_death(board))
        return false;
    int n = 0, who = 0;
    for (int i = 0; i < board->n_rank; i++)
        if (is_dead(board, i)) {
            n++;
            who = i;
        }
    if (n == 0)
        return false;
    if (n == 1) {
        par_board_say_died(board, who, line);
        return true;
    }
    int64_t none = 0;
    const int64_t now = par_now_ns();
    atomic_compare_exchange_strong(&board->death_ns, &none, now);
    if (now - atomic_load(&board->death_ns) < SETTLE_MS * ms)
        return false;
    say_many_died(board, line);
    return true;
}

/* --- standstill --- */

/* Sum of all counters, and how many ranks there are, and what others do to
 * come.                                                                      */
static uint64_t sum_progress(const par_board *board)
{
    uint64_t sum = (uint64_t)par_board_n_come(board);
    sum += atomic_load(&board->n_coming);
    for (int i = 0; i < board->n_rank; i++)
        sum += atomic_load(&board->rank[i].progress);
    return sum;
}

static void note_movement(par_board *board)
{
    atomic_store(&board->quiet_ns, 0);
    for (int i = 0; i < board->n_rank; i++)
        atomic_store(&board->rank[i].kept_ns, 0);
}

/* Of the rank that was kept from running longest: it may be the one that
 * the others wait for.                                                       */
static int64_t longest_kept(const par_board *board)
{
    int64_t longest = 0;
    for (int i = 0; i < board->n_rank; i++) {
        const int64_t kept = atomic_load(&board->rank[i].kept_ns);
        longest = kept > longest ? kept : longest;
    }
    return longest;
}

/* True if a rank that computes has used processor time since the last look, or
 * may have, where that cannot be seen; and while none is held, for whom the
 * others may be spinning.                                                    */
static bool somebody_computes(par_board *board)
{
    uint64_t sum = 0;
    bool is_hidden = false;
    par_board_look(board);
    for (int i = 0; i < board->n_rank; i++) {
        const par_board_rank *r = &board->rank[i];
        const int state = atomic_load(&r->state);
        const int letter = atomic_load(&r->letter);
        if (par_board_is_held(r) && state != PAR_RANK_FINISHED)
            return false;
        if (state != PAR_RANK_COMPUTING && state != PAR_RANK_STARTING)
            continue;
        par_process process;
        sum += atomic_load(&r->cpu_ticks);
        is_hidden |= letter == 0 && par_board_is_home(board, i) &&
                     par_board_life(board, i, &process) == PAR_LIFE_UNKNOWN;
    }
    return atomic_exchange(&board->cpu_sum, sum) != sum || is_hidden;
}

/* Lowest rank that is held, or else one that computes without using the
 * processor; -1 if all wait.                                                 */
static int find_idle_rank(const par_board *board, bool *stopped)
{
    int idle = -1;
    *stopped = false;
    for (int i = 0; i < board->n_rank; i++) {
        const par_board_rank *r = &board->rank[i];
        const int state = atomic_load(&r->state);
        const int letter = atomic_load(&r->letter);
        if (state == PAR_RANK_FINISHED || letter == 0)
            continue;
        if (par_board_is_held(r)) {
            *stopped = true;
            return i;
        }
        if (state != PAR_RANK_WAITING && idle < 0)
            idle = i;
    }
    return idle;
}

/* "ranks 3, 4, 5 and 7 more" of those that `is` says so of, and who waits for
 * the first.                                                                 */
static void list_ranks(const par_board *board, char *out, size_t out_bytes,
                       bool (*is)(const par_board *board, int rank, int as),
                       int as)
{
    enum { MOST = 8 };
    int n = 0, first = -1;
    size_t used = 0;
    for (int i = 0; i < board->n_rank; i++) {
        if (!is(board, i, as))
            continue;
        first = first < 0 ? i : first;
        if (n++ < MOST && used + 16 < out_bytes)
            used += (size_t)snprintf(out + used, out_bytes - used,
                                     n == 1 ? "%d" : ", %d", i);
    }
    if (n > MOST)
        used += (size_t)snprintf(out + used, out_bytes - used, " and %d more",
                                 n - MOST);
    const int waiter = first < 0 ? -1 : who_waits_for(board, first);
    if (waiter >= 0 && used + 4 < out_bytes) {
        memcpy(out + used, "; ", 3);
        par_board_describe(board, waiter, out + used + 2, out_bytes - used - 2);
    }
}

static bool is_absent(const par_board *board, int rank, int as)
{
    (void)as;
    return atomic_load(&board->rank[rank].pid) == 0;
}

static bool is_of_host(const par_board *board, int rank, int as)
{
    return atomic_load(&board->rank[rank].host) ==
           atomic_load(&board->rank[as].host);
}

static void say_absent(const par_board *board, char line[PAR_BOARD_LINE])
{
    char list[400] = "";
    list_ranks(board, list, sizeof list, is_absent, 0);
    snprintf(line, PAR_BOARD_LINE,
             "%d of %d ranks did not come within %g s: %s",
             board->n_rank - par_board_n_come(board), board->n_rank,
             board->stall_seconds, list);
}

void par_board_say_lost(const par_board *board, int rank,
                        char line[PAR_BOARD_LINE])
{
    char list[400] = "";
    list_ranks(board, list, sizeof list, is_of_host, rank);
    snprintf(line, PAR_BOARD_LINE, "host %.31s is not to be heard: ranks %s",
             board->rank[rank].where, list);
}

/* The first rank whose peer waits in something else; its peer; the peer's. */
static void say_crossed(const par_board *board, char *out, size_t out_bytes)
{
    int first = 0;
    for (int i = board->n_rank - 1; i >= 0; i--) {
        const int peer = atomic_load(&board->rank[i].peer);
        if (peer >= 0 && peer < board->n_rank &&
            atomic_load(&board->rank[i].op) !=
                atomic_load(&board->rank[peer].op))
            first = i;
    }
    size_t used = 0;
    int rank = first;
    for (int hop = 0; hop < 3 && rank >= 0 && rank < board->n_rank; hop++) {
        char text[300];
        par_board_describe(board, rank, text, sizeof text);
        if (used + strlen(text) + 3 > out_bytes)
            return;
        used += (size_t)snprintf(out + used, out_bytes - used, "%s%s",
                                 hop ? ", " : "", text);
        rank = atomic_load(&board->rank[rank].peer);
        if (rank == first)
            return;
    }
}

static void say_stalled(const par_board *board, char line[PAR_BOARD_LINE])
{
    bool stopped;
    const int idle = find_idle_rank(board, &stopped);
    const int unheard = par_board_unheard(board, board->stall_seconds / 2);
    char detail[800] = "", waiter[320] = "", process[64];
    if (!stopped && unheard >= 0) {
        par_board_say_lost(board, unheard, line);
        return;
    }
    if (!stopped && par_board_n_come(board) < board->n_rank) {
        say_absent(board, line);
        return;
    }
    if (idle < 0) {
        say_crossed(board, detail, sizeof detail);
        snprintf(line, PAR_BOARD_LINE, "nothing has moved for %g s: %s",
                 board->stall_seconds, detail);
        return;
    }
    par_board_describe(board, idle, detail, sizeof detail);
    const int w = who_waits_for(board, idle);
    if (w >= 0) {
        memcpy(waiter, "; ", 3);
        par_board_describe(board, w, waiter + 2, sizeof waiter - 2);
    }
    snprintf(line, PAR_BOARD_LINE,
             "nothing has moved for %g s: rank %d (%s) %s; last seen: %.500s%s",
             board->stall_seconds, idle,
             par_board_process_name(board, idle, process, sizeof process),
             stopped ? "is stopped" : "uses no processor time", detail, waiter);
}

static bool find_stall(par_board *board, int64_t passed,
                       char line[PAR_BOARD_LINE])
{
    const uint64_t sum = sum_progress(board);
    if (atomic_exchange(&board->progress_sum, sum) != sum) {
        note_movement(board);
        return false;
    }
    const int64_t quiet = atomic_fetch_add(&board->quiet_ns, passed) + passed;
    if (quiet < QUIET_MS * ms)
        return false;
    if (somebody_computes(board) || par_board_all_finished(board)) {
        note_movement(board);
        return false;
    }
    if ((double)(quiet - longest_kept(board)) <= board->stall_seconds * 1e9)
        return false;
    say_stalled(board, line);
    return true;
}

/* A host that is not heard of, though the others move. */
static bool find_lost(par_board *board, char line[PAR_BOARD_LINE])
{
    const int rank = par_board_unheard(board, board->stall_seconds);
    if (rank >= 0)
        par_board_say_lost(board, rank, line);
    return rank >= 0;
}

/* --- both, and mismatches --- */

bool par_board_check(par_board *board, char line[PAR_BOARD_LINE])
{
    const int64_t now = par_now_ns();
    int64_t last = atomic_load(&board->looked_ns);
    if (now - last < LOOK_MS * ms ||
        !atomic_compare_exchange_strong(&board->looked_ns, &last, now) ||
        atomic_load(&board->claimed))
        return false;
    return (!board->has_launcher && find_death(board, line)) ||
           find_lost(board, line) ||
           find_stall(board, par_board_passed(last, now), line);
}

bool par_board_mismatch(const par_board *board, int me, int peer,
                        char line[PAR_BOARD_LINE])
{
    const par_board_rank *other = &board->rank[peer];
    const par_board_op a =
        par_board_op_unpack(atomic_load(&board->rank[me].op));
    const par_board_op b = par_board_op_unpack(atomic_load(&other->op));
    if (atomic_load(&other->pid) == 0 || a.group_id == PAR_NO_GROUP ||
        a.epoch != b.epoch || a.group_id != b.group_id || a.call != b.call ||
        a.kind == b.kind || b.kind >= PAR_N_OP_KINDS)
        return false;
    char mine[300];
    par_board_describe(board, me, mine, sizeof mine);
    snprintf(line, PAR_BOARD_LINE,
             "members of %.23s are in different operations (call %u): %s, but "
             "rank %d is in %s (%.63s, tick %lld)",
             board->rank[me].group, a.call, mine, peer,
             par_op_name((par_op_kind)b.kind), other->what,
             (long long)atomic_load(&other->tick));
    return true;
}
