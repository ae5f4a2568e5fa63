/* harness/perf/machine/exchange.c -- bytes that go to peers of different
 * nearness, and kernels made for experts.
 *
 * An all-to-all sends to peers in the node and to those in others at once: each
 * sort of link carries its own share of the bytes.
 *
 * Kernels of dispatch and combine move rows by units of their own.  A
 * throughput kernel sends a token once to each rank that has one of its
 * experts, after a kernel that exchanges counts; a latency kernel sends it once
 * for every choice, at once, through a buffer that the receiver reads again.
 */
#include "harness/perf/machine/impl.h"

enum {
    COPY_BYTES = 10,  /* of a unit in a clock, read here and written there    */
    SEND_TURNS = 2,   /* of the peers: counts, then rows                      */
    SUM_TURNS = 3,    /* the same, and waiting for the last row of a sum      */
    BUFFER_PASSES = 3 /* written, read, written where it belongs              */
};

har_time har_time_all_to_all(const har_machine *machine, double bytes, int n,
                             int n_near, int tier)
{
    const har_link *far = &machine->link[tier];
    if (tier == 0 || n_near < 2 || n_near >= n)
        return har_time_collective(machine, HAR_ALL_TO_ALL, HAR_LIBRARY, bytes,
                                   n, tier);
    /* n - n_near + 1 in the place of n: the near ones are another message */
    const double each = bytes / n;
    const har_time away =
        har_time_collective(machine, HAR_ALL_TO_ALL, HAR_LIBRARY,
                            each * (n - n_near + 1), n - n_near + 1, tier);
    const double here =
        each * (n_near - 1) / har__link_bw(machine, &machine->link[0]);
    const double start = har__link_start(machine) + har__link_hop(machine, far);
    return har__link_time(machine, start,
                          har__overlap(fmax(0, away.seconds - start), here));
}

/* Ranks that a token reaches, of its choices at random. */
static double ranks_reached(const har_exchange *x)
{
    return x->n_gpu * (1 - pow(1 - 1.0 / x->n_gpu, x->n_k));
}

har_time har_time_exchange(const har_machine *machine, const har_exchange *x)
{
    const har_link *link = &machine->link[har_tier(machine, x->n_gpu)];
    const double token = x->n_token * x->n_d * x->value_bytes;
    const double copies = x->is_quick ? x->n_k : ranks_reached(x);
    const double units = x->n_unit > 0 ? x->n_unit : machine->n_unit;
    const double away = token * copies * (x->n_gpu - 1) / x->n_gpu /
                        har__link_bw(machine, link);
    const double copied =
        token * (1 + copies) / (units * COPY_BYTES * machine->clock_hz);
    const double hops = (x->n_gpu - 1) * har__link_hop(machine, link);
    const double start = har__link_start(machine) + hops;
    if (x->is_quick)
        return har__link_time(machine, start,
                              away + BUFFER_PASSES * token * copies /
                                         har__memory_bw(machine));
    return har__link_time(machine,
                          (x->is_combine ? SUM_TURNS : SEND_TURNS) * start,
                          har__overlap(away, copied));
}
