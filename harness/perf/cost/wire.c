/* harness/perf/cost/wire.c -- what the collectives of parallel/ send.
 *
 * They are made of messages between two ranks, and which ones depends on the
 * group and the size: up to 16 members everybody writes to everybody, beyond
 * that the first member collects and a binomial tree spreads; a sum of more
 * than 16 KiB is made in chunks, each member one (parallel/comm_reduce.c,
 * comm_ops.c).  Another machine's collectives are its own business: `in`,
 * `out` and `group` of a record say what has to be done.
 */
#include "harness/perf/cost/record.h"

enum { PAIRWISE = 16, DIRECT = 16384 / 8 };

/* To how many members does this one pass a broadcast on from the first? */
static int64_t n_children(int n_member, int me)
{
    int64_t bit = 1, n = 0;
    while (bit < n_member && (me & bit) == 0)
        bit *= 2;
    for (bit /= 2; bit > 0; bit /= 2)
        n += me + bit < n_member;
    return n;
}

int64_t har__all_reduce_sends(int n_member, int me, int64_t n)
{
    if (n_member > PAIRWISE)
        return ((me > 0 ? 1 : 0) + n_children(n_member, me)) * n;
    if (n_member <= 2 || n <= DIRECT)
        return (n_member - 1) * n;
    const int64_t chunk = n / n_member + (me < n % n_member ? 1 : 0);
    return n - chunk + (n_member - 1) * chunk;
}

int64_t har__all_gather_sends(int n_member, int me, int64_t mine, int64_t total)
{
    if (n_member <= PAIRWISE)
        return (n_member - 1) * mine;
    return (me > 0 ? mine : 0) + n_children(n_member, me) * total;
}
