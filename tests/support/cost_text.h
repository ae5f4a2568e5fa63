/* tests/support/cost_text.h -- records of cost in words, and how two differ. */
#ifndef COST_TEXT_H
#define COST_TEXT_H

#include "core/pass/cost.h"

/* The name of the first field that differs, NULL if none does; its values into
 * *x and *y (no numbers for op and layers).                         [local] */
const char *cost_difference(const core_cost *a, const core_cost *b, int64_t *x,
                            int64_t *y);

enum { COST_TEXT = 320 };

/* "gemm qkv layers.3.attn.q, rank 5, tick 2: 64 x 60 x 36, ..." into text.   */
const char *cost_format(const core_cost *cost, char text[COST_TEXT]);

#endif
