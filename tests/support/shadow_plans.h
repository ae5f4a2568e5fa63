/* tests/support/shadow_plans.h -- plans that do not hide bugs.
 *
 * Each row is one run: a model of core_spec_open, a plan, and a batch of n_b
 * rows of n_t tokens.  Together they are without coincidences: no degree,
 * extent or derived count equals another one in every row, which
 * tests/unit/test_no_coincidence.c proves.  At most 36 ranks, mostly 12 or less.
 */
#ifndef TESTS_SHADOW_PLANS_H
#define TESTS_SHADOW_PLANS_H

#include <stdint.h>

typedef struct shadow_plan {
    const char *model; /* "shadow-a" or "shadow-b"                             */
    const char *name;  /* what it is for                                       */
    const char *plan;
    int64_t n_b, n_t;
    const char *left; /* what it leaves undone, as PARTIAL says it; NULL: nothing */
} shadow_plan;

/* Row i; NULL after the last. */
const shadow_plan *shadow_plan_at(int i);

#endif
