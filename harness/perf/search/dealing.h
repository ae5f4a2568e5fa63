/* harness/perf/search/dealing.h -- what experts dealt to GPUs take on a machine:
 * their products, weights that move, and whether that pays.
 */
#ifndef HAR_PERF_DEALING_H
#define HAR_PERF_DEALING_H

#include "core/model/spec.h"
#include "harness/perf/machine/machine.h"
#include "parallel/balancer.h"

typedef struct har_dealing { /* borrows everything                            */
    const core_spec *spec;
    const har_machine *machine;
    core_dtype dtype; /* of weights and activations                           */
    par_balancer deal;
} har_dealing;

/* Products of a layer's experts on the slowest GPU:
 *   load [n_e] rows, logical [n_gpu * n_slot]                        [local] */
double har_dealing_seconds(const har_dealing *dealing, const double *load,
                           const int *logical);

/* The weights of an expert.                                          [local] */
int64_t har_dealing_expert_bytes(const har_dealing *dealing);

/* So many experts go into one GPU over the machine's links, beside nothing
 * else.                                                              [local] */
double har_dealing_move_seconds(const har_dealing *dealing, int64_t n_expert);

/* Passes until a move is earned back by what one saves whose products take
 * `dealt` seconds, and `kept` had nothing moved; infinite if that is nothing.
 *                                                                    [local] */
double har_dealing_pays(double move, double kept, double dealt);

#endif
