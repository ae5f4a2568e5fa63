/* tests/support/random_case.h -- a random model, and a plan legal for it.
 *
 * A function of the seed alone: every rank makes the same case, and a failure
 * is repeated from the number it prints.  A case that fails is made smaller as
 * long as it still fails (random_case_simpler), by ranks that agree on it.
 */
#ifndef TESTS_RANDOM_CASE_H
#define TESTS_RANDOM_CASE_H

#include "parallel/plan.h"

typedef struct random_case {
    uint64_t seed;
    core_spec spec;
    par_plan plan;
    int64_t n_b, n_t;
    bool pads; /* rows are padded on the left                                 */
} random_case;

/* A case whose plan needs at most max_rank ranks. */
void random_case_make(random_case *out, uint64_t seed, int max_rank);

/* *out = *c with its i-th simplification: a degree, a layer, a feature less.
 * Returns 1 if there is one and it leaves a legal case that differs from *c, 0
 * if this one does not apply, -1 after the last.                             */
int random_case_simpler(random_case *out, const random_case *c, int i);

#endif
