/* harness/perf/cost/dice.h -- sizes of a small model, thrown from a number. */
#ifndef HAR_COST_DICE_H
#define HAR_COST_DICE_H

#include "core/numbers/rng.h"

#include <math.h>
#include <stdbool.h>

typedef struct har_dice {
    uint64_t seed, n_thrown;
} har_dice;

static inline double har_dice_share(har_dice *d)
{
    const uint64_t n = (uint64_t)1 << 32;
    return (double)core_rng_below(d->seed, 0x9120be, d->n_thrown++, n) /
           (double)n;
}

/* Evenly in logarithms.                                                      */
static inline int64_t har_dice_between(har_dice *d, double low, double high)
{
    return (int64_t)rint(low * pow(high / low, har_dice_share(d)));
}

static inline bool har_dice_one_in(har_dice *d, double n)
{
    return har_dice_share(d) * n < 1;
}

#endif
