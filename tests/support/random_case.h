/* tests/support/random_case.h -- a random model and a plan that is legal for it.
 *
 * A function of the seed alone: every rank makes the same case, and a failure
 * is repeated from the number it prints.
 */
#ifndef TESTS_RANDOM_CASE_H
#define TESTS_RANDOM_CASE_H

#include "parallel/plan.h"

typedef struct random_case {
    uint64_t seed;
    core_spec spec;
    par_plan plan;
    int64_t n_b, n_t;
} random_case;

/* A case whose plan needs at most max_rank ranks. */
void random_case_make(random_case *out, uint64_t seed, int max_rank);

#endif
