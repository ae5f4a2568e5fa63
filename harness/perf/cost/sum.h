/* harness/perf/cost/sum.h -- records of cost added up, and the memory beside.
 *
 * Sums are in elements, like the records; bytes come last, with the size of a
 * value as a parameter: 8 in the emulation, 2 on a GPU that computes in fp16.
 */
#ifndef HAR_COST_SUM_H
#define HAR_COST_SUM_H

#include "core/weights/weights.h"
#include "harness/perf/cost/model.h"

typedef struct har_cost_total {
    int64_t n_record[CORE_N_COST_KINDS];
    int64_t flops[CORE_N_COST_KINDS];
    int64_t weights, read, written, kv_read, kv_written;
    int64_t n_call[CORE_N_COLLECTIVES];
    int64_t sent[CORE_N_COLLECTIVES];       /* values                         */
    int64_t sent_words[CORE_N_COLLECTIVES]; /* integers                       */
    int64_t most_rows;                      /* of experts in one pair         */
} har_cost_total;

void har_cost_add(har_cost_total *total, const core_cost *cost);

/* One rank's pass, in all and by tick. */
typedef struct har_cost_sum {
    har_cost_total all;
    har_cost_total *tick; /* [har_cost_n_ticks], caller's, zeroed; NULL: none  */
} har_cost_sum;

int64_t har_cost_n_ticks(const par_plan *plan); /* of a pass                   */

/* The `put` of har_cost_rank; self is a har_cost_sum.                 [local] */
void har_cost_sum_put(void *self, const core_cost *cost);

/* Bytes that an operator moves from and to memory; that a rank sends.  [local] */
int64_t har_cost_bytes(const core_cost *cost, int64_t value_bytes);
int64_t har_cost_sent_bytes(const core_cost *cost, int64_t value_bytes);

/* What a rank holds.  Elements are the model's business, bytes those that the
 * emulation measures of itself.                                               */
typedef struct har_cost_memory {
    int64_t weights;     /* elements of its shards                             */
    int64_t kv;          /* elements to be kept for one token                  */
    size_t weight_bytes; /* par_weight_bytes: with alignment, tables, a tile   */
    size_t work_bytes;   /* activations of the largest micro-batch             */
    size_t pair_bytes;   /* buffers for the rows of the largest pair           */
} har_cost_memory;

/* The first two of them.                                               [local] */
int64_t har_cost_weights(const core_spec *spec, const par_layout *layout);
int64_t har_cost_kv(const core_spec *spec, const par_layout *layout);
/* Elements of states, kept for a row however long it is.               [local] */
int64_t har_cost_state(const core_spec *spec, const par_layout *layout);

/* n_row rows of n_t tokens: the largest micro-batch; most_rows: of a har_cost_
 * total.                                                               [local] */
har_cost_memory har_cost_memory_of(const core_spec *spec,
                                   const par_layout *layout,
                                   core_numerics numerics, int64_t n_row,
                                   int64_t n_t, int64_t most_rows);

/* Its parts: elements of a layer without its experts, of the experts of mine in
 * a layer, of what the first and last stage have beside layers; elements that a
 * token leaves behind in a layer with so many kv heads, and a row.     [local] */
int64_t har_cost_layer_elements(const core_spec *spec, const par_layout *layout,
                                int layer);
int64_t har_cost_expert_elements(const core_spec *spec,
                                 const par_layout *layout, int layer);
int64_t har_cost_end_elements(const core_spec *spec, const par_layout *layout);
int64_t har_cost_kv_elements(const core_spec *spec, int layer,
                             int64_t n_kv_head);
int64_t har_cost_state_elements(const core_spec *spec,
                                const par_layout *layout, int layer);

#endif
