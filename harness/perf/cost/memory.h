/* harness/perf/cost/memory.h -- what a rank holds. */
#ifndef HAR_COST_MEMORY_H
#define HAR_COST_MEMORY_H

#include "core/numbers/deployed.h"
#include "core/weights/weights.h"
#include "harness/perf/cost/model.h"

/* What a rank holds.  Elements are the model's business, bytes those that the
 * emulation measures of itself.                                               */
typedef struct har_cost_memory {
    int64_t weights;     /* elements of its shards                             */
    int64_t kv;          /* elements to be kept for one token                  */
    size_t weight_bytes; /* par_weight_bytes: with alignment, tables, a tile   */
    size_t work_bytes;   /* activations of the largest micro-batch             */
    size_t pair_bytes;   /* buffers for the rows of the largest pair           */
} har_cost_memory;

/* Bytes of its shards as deployed; without types (NULL) elements.      [local] */
double har_cost_weight_size(const core_spec *spec, const par_layout *layout,
                            const core_types *types);
/* Elements of my part of one weight of a layer, of one expert's in each; 0: the
 * model has none.                                                      [local] */
int64_t har_cost_weight_elements(const core_spec *spec,
                                 const par_layout *layout,
                                 core_weight_kind kind, int layer);
/* The second of them.                                                  [local] */
int64_t har_cost_kv(const core_spec *spec, const par_layout *layout);
/* Elements of states, kept for a row however long it is.               [local] */
int64_t har_cost_state(const core_spec *spec, const par_layout *layout);

/* n_row rows of n_t tokens: the largest micro-batch; most_rows: of experts in
 * one pair.                                                            [local] */
har_cost_memory har_cost_memory_of(const core_spec *spec,
                                   const par_layout *layout,
                                   core_numerics numerics, int64_t n_row,
                                   int64_t n_t, int64_t most_rows);

/* Parts of har_cost_weight_size: a layer without its experts, the experts of mine
 * in a layer, what the first and last stage have beside layers.        [local] */
double har_cost_layer_size(const core_spec *spec, const par_layout *layout,
                           const core_types *types, int layer);
double har_cost_expert_size(const core_spec *spec, const par_layout *layout,
                            const core_types *types, int layer);
double har_cost_end_size(const core_spec *spec, const par_layout *layout,
                         const core_types *types);

/* Elements that a token leaves behind in a layer with so many kv heads, and a
 * row.                                                                 [local] */
int64_t har_cost_kv_elements(const core_spec *spec, int layer,
                             int64_t n_kv_head);
int64_t har_cost_state_elements(const core_spec *spec,
                                const par_layout *layout, int layer);

#endif
