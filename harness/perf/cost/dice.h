/* harness/perf/cost/dice.h -- sizes of a small model, thrown from a number. */
#ifndef HAR_COST_DICE_H
#define HAR_COST_DICE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct har_dice {
    uint64_t seed, n_thrown;
} har_dice;

/* Low to high, evenly in logarithms; true once in n.                  [local]
 */
int64_t har_dice_between(har_dice *dice, double low, double high);
bool har_dice_one_in(har_dice *dice, double n);

#endif
