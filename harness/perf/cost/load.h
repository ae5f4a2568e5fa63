/* harness/perf/cost/load.h -- how many tokens go to which expert: data.
 *
 * Routing decides what the experts of a plan have to do and what their ranks
 * exchange.  Here it is nothing but counts, wherever they come from: measured
 * in a run, or made from a popularity vector.
 */
#ifndef HAR_LOAD_H
#define HAR_LOAD_H

#include "parallel/forward.h"
#include "parallel/layout.h"

/* Choices that found a slot, of the tokens that each rank (c, t) dispatches,
 * by token group and replica of an expert.  Replica r of expert e is entry
 * replica_first[e] + r of the layer's par_experts; without replicas e itself. */
typedef struct har_load {
    int64_t n_layer;      /* of the model; rows of dense layers stay zero      */
    int64_t n_part;       /* token groups: rounds * dp * mb                    */
    int64_t n_slice;      /* cp * tp, number c * tp + t                        */
    int64_t n_entry;
    uint64_t *n_row;      /* [n_layer, n_part, n_slice, n_entry], owned        */
} har_load;

/* All zero.  Free with har_load_free.  Errors: E_MEMORY.              [local] */
CORE_NODISCARD core_status har_load_make(har_load *out, const core_spec *spec,
                                         const par_layout *layout);
void har_load_free(har_load *load);

/* Elements of n_row. */
int64_t har_load_size(const har_load *load);

/* The entries of one layer, group and slice. */
uint64_t *har_load_at(const har_load *load, int64_t layer, int64_t part,
                      int64_t slice);

/* Counts the choices of one rank's slices while it runs: to be shown every
 * piece.  The counts of all ranks together are the load of the run.           */
typedef struct har_load_watch {
    har_load *load;
    const core_spec *spec;
    const par_layout *layout;
    const int64_t *idx; /* the experts last shown; borrowed until the slots    */
    int64_t row;        /* the first token that they are of                   */
} har_load_watch;

void har_load_see(har_load_watch *watch, const par_piece *piece);

#endif
