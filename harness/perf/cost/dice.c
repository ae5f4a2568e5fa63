/* harness/perf/cost/dice.c -- see dice.h. */
#include "harness/perf/cost/dice.h"

#include "core/numbers/rng.h"

#include <math.h>

static double share(har_dice *d)
{
    const uint64_t n = (uint64_t)1 << 32;
    return (double)core_rng_below(d->seed, 0x9120be, d->n_thrown++, n) /
           (double)n;
}

int64_t har_dice_between(har_dice *d, double low, double high)
{
    return (int64_t)rint(low * pow(high / low, share(d)));
}

bool har_dice_one_in(har_dice *d, double n)
{
    return share(d) * n < 1;
}
