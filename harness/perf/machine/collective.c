/* harness/perf/machine/collective.c -- piecewise alpha-beta, by algorithm.
 *
 * The library sends around a ring, 2 (n - 1) steps for a reduction that
 * everyone gets and n - 1 otherwise, in the faster of two protocols: small
 * messages carry flags in them, start at once and use a part of the link; large
 * ones use nearly all of it after a rendezvous.  All-to-all goes by pairs, all
 * at once.  What stays on the device is copied through its memory.  Peers that
 * read each other reduce in one shot (everybody reads everything) or two (a
 * part each, then the parts); beyond 8 MiB they leave it to the library.
 */
#include "harness/perf/machine/impl.h"

enum {
    N_START = 4,      /* launches before the first byte                       */
    N_START_SHOT = 2, /* the same, without a library                          */
    SHOT_BYTES = 8 << 20
};

/* Steps one after the other, and the share of the buffer on a device's link. */
static double steps_of(har_collective kind, double n)
{
    switch (kind) {
    case HAR_ALL_REDUCE:
        return 2 * (n - 1);
    case HAR_ALL_TO_ALL:
        return fmin(n - 1, 3);
    case HAR_SEND_RECV:
        return 1;
    default:
        return n - 1;
    }
}

static double wire_of(har_collective kind, double n)
{
    if (kind == HAR_SEND_RECV)
        return 1;
    return (kind == HAR_ALL_REDUCE ? 2 : 1) * (n - 1) / n;
}

static har_time link_time(const har_machine *machine, double overhead,
                          double moving)
{
    return (har_time){.seconds = overhead + moving,
                      .sigma = machine->sigma[HAR_COLLECTIVE].value,
                      .bound = moving > overhead ? HAR_BOUND_LINK
                                                 : HAR_BOUND_OVERHEAD};
}

static har_time by_library(const har_machine *machine, har_collective kind,
                           double bytes, double n, const har_link *link)
{
    const double steps = steps_of(kind, n);
    const double wire = bytes * wire_of(kind, n);
    const double hop = har__seconds(machine, HAR_COEF_HOP) + link->alpha;
    const double start =
        N_START * har__seconds(machine, HAR_COEF_LAUNCH) + steps * hop;
    const double stays = kind == HAR_SEND_RECV ? 0 : 2 * bytes / n;
    const double full = link->bw * har__coef(machine, HAR_COEF_LINK);
    const double small = 2 * wire * n / (2 * (n - 1)) /
                         (link->bw * har__coef(machine, HAR_COEF_SMALL));
    const double rendezvous =
        kind == HAR_SEND_RECV ? 0 : har__seconds(machine, HAR_COEF_RENDEZVOUS);
    const double large = wire / full + stays / har__memory_bw(machine);
    if (small < rendezvous + large)
        return link_time(machine, start, small);
    return link_time(machine, start + rendezvous, large);
}

static har_time by_shots(const har_machine *machine, double bytes, double n,
                         const har_link *link)
{
    const double hop = har__seconds(machine, HAR_COEF_HOP) + link->alpha;
    const double start = N_START_SHOT * har__seconds(machine, HAR_COEF_LAUNCH);
    const double bw = link->bw * har__coef(machine, HAR_COEF_LINK);
    const double one = hop + bytes * (n - 1) / bw;
    const double two = 2 * hop + 2 * bytes * (n - 1) / n / bw;
    return link_time(machine, start, fmin(one, two));
}

har_time har_time_collective(const har_machine *machine, har_collective kind,
                             har_algorithm algorithm, double bytes, int n,
                             int tier)
{
    const har_link *link = &machine->link[tier];
    if (n < 2 || bytes <= 0)
        return (har_time){.sigma = machine->sigma[HAR_COLLECTIVE].value};
    if (algorithm == HAR_SHOT && kind == HAR_ALL_REDUCE && bytes <= SHOT_BYTES)
        return by_shots(machine, bytes, n, link);
    return by_library(machine, kind, bytes, n, link);
}
