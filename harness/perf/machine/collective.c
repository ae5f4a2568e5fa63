/* harness/perf/machine/collective.c -- piecewise alpha-beta, by algorithm.
 *
 * The library sends around a ring, 2 (n - 1) steps for a reduction that
 * everyone gets and n - 1 otherwise: small messages carry flags in them and
 * start at once, large ones after a rendezvous; it changes over by degrees.  A
 * switch that adds up takes each device's buffer once and hands every part of
 * the sum to all at once, instead of two turns of the ring.  All-to-all goes by
 * pairs, all at once. What stays on the device is copied through its memory.
 * Peers that read each other reduce in one shot (everybody reads everything) or
 * two (a part each, then the parts); below 8 MiB, beyond they leave it to the
 * library.
 */
#include "harness/perf/machine/impl.h"

enum {
    N_START = 4,      /* launches before the first byte                       */
    N_START_SHOT = 2, /* the same, without a library                          */
    SHOT_BYTES = 8 << 20,       /* less than these */
    ONE_SHOT_BYTES = 256 << 10, /* of up to eight devices; of four twice it   */
    SWITCH_BYTES = 64 << 10, /* from here on a switch adds up                */
    PCIE_HOPS = 2            /* to the host's memory, and from it            */
};

/* Of a link without peers, whose every byte crosses the host's memory. */
static const double PCIE_SHARE = 0.75;
/* Of a link, what a switch that adds up gets out of it. */
static const double SWITCH_SHARE = 0.85;

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

/* Trap: a search asks for millions of transfers, most of them on machines with
 * coefficients of their own. */
static double sigma_of(const har_machine *machine, double overhead,
                       double moving)
{
    const double sigma = machine->sigma[HAR_COLLECTIVE].value;
    if (!machine->is_carried)
        return sigma;
    const double seconds = overhead + moving;
    const double starts = har_prior(machine, HAR_COEF_HOP) * overhead / seconds;
    const double moves = har_prior(machine, HAR_COEF_LINK) * moving / seconds;
    return sqrt(sigma * sigma + starts * starts + moves * moves);
}

har_time har__link_time(const har_machine *machine, double overhead,
                        double moving)
{
    return (har_time){.seconds = overhead + moving,
                      .sigma = sigma_of(machine, overhead, moving),
                      .bound = moving > overhead ? HAR_BOUND_LINK
                                                 : HAR_BOUND_OVERHEAD};
}

double har__link_bw(const har_machine *machine, const har_link *link)
{
    return link->bw * har__coef(machine, HAR_COEF_LINK) *
           (link->kind == HAR_LINK_PCIE ? PCIE_SHARE : 1);
}

double har__link_hop(const har_machine *machine, const har_link *link)
{
    return har__seconds(machine, HAR_COEF_HOP) *
               (link->kind == HAR_LINK_PCIE ? PCIE_HOPS : 1) +
           link->alpha;
}

double har__link_start(const har_machine *machine)
{
    return N_START * har__seconds(machine, HAR_COEF_LAUNCH) *
           har_generation_of(machine->arch)->small;
}

/* Each device's buffer once through the switch, and a part of the sum from it
 * to all. */
static double by_switch(const har_machine *machine, double bytes, double n,
                        const har_link *link)
{
    return bytes * (1 + 1 / n) / (SWITCH_SHARE * har__link_bw(machine, link));
}

/* A message of few bytes carries flags in them, one of many waits for a
 * rendezvous: the less of the two, and between them less than either. */
static double waiting(const har_machine *machine, double flagged)
{
    const double rendezvous = har__seconds(machine, HAR_COEF_RENDEZVOUS);
    return flagged * rendezvous / (flagged + rendezvous);
}

static har_time by_library(const har_machine *machine, har_collective kind,
                           double bytes, double n, const har_link *link)
{
    const double wire = bytes * wire_of(kind, n);
    const double start = har__link_start(machine) +
                         steps_of(kind, n) * har__link_hop(machine, link);
    const double stays = kind == HAR_SEND_RECV ? 0 : 2 * bytes / n;
    const double waits =
        kind == HAR_SEND_RECV
            ? 0
            : waiting(machine,
                      bytes / (link->bw * har__coef(machine, HAR_COEF_SMALL)));
    double large =
        wire / har__link_bw(machine, link) + stays / har__memory_bw(machine);
    if (kind == HAR_ALL_REDUCE && link->kind == HAR_LINK_SWITCH && n > 2 &&
        bytes >= SWITCH_BYTES)
        large = fmin(large, by_switch(machine, bytes, n, link));
    return har__link_time(machine, start, waits + large);
}

static har_time by_shots(const har_machine *machine, double bytes, double n,
                         const har_link *link)
{
    const double hop = har__link_hop(machine, link);
    const double start = N_START_SHOT * har__seconds(machine, HAR_COEF_LAUNCH) /
                         har_carry(machine, HAR_COEF_LAUNCH);
    const double bw = har__link_bw(machine, link);
    const double most = n <= 4 ? 2 * ONE_SHOT_BYTES : ONE_SHOT_BYTES;
    if (n <= 2 || bytes < most)
        return har__link_time(machine, start, hop + bytes * (n - 1) / bw);
    /* every peer is waited for once more */
    return har__link_time(machine, start,
                          (n + 1) * hop + 2 * bytes * (n - 1) / n / bw);
}

har_time har_time_collective(const har_machine *machine, har_collective kind,
                             har_algorithm algorithm, double bytes, int n,
                             int tier)
{
    const har_link *link = &machine->link[tier];
    if (n < 2 || bytes <= 0)
        return (har_time){.sigma = machine->sigma[HAR_COLLECTIVE].value};
    if (algorithm == HAR_SHOT && kind == HAR_ALL_REDUCE && bytes < SHOT_BYTES)
        return by_shots(machine, bytes, n, link);
    return by_library(machine, kind, bytes, n, link);
}
