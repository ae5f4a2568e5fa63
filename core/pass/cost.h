/* core/pass/cost.h -- what one operator of a forward pass computes and moves.
 *
 * Plain data.  The distributed pass emits a record for every operator of every
 * rank, counted where the product or the transfer happens; a generator (in
 * harness/perf) makes the same records without running.  docs/cost-records.md
 * says what becomes a record.
 *
 * Volumes are numbers of elements, so that bytes = elements * size of an
 * element agrees on both sides whatever the size; times are not here.  An
 * operator reads each of its operands once and writes its result once.
 * "flops" counts every addition, multiplication, division and function value
 * (exp, activation) as one; comparisons and copies are none, but for the search
 * of the K best, which is nothing else.
 */
#ifndef CORE_COST_H
#define CORE_COST_H

#include "core/model/taps.h"

typedef enum core_cost_kind {
    CORE_COST_GEMM,         /* y [m, n] = x [m, k] W^T                        */
    CORE_COST_GROUPED_GEMM, /* one such product per expert; m: rows of all    */
    CORE_COST_ATTENTION,    /* softmax(q k^T) v: m queries of n_head heads on
                             * rows of n keys, heads of k columns             */
    CORE_COST_ELEMENTWISE,  /* everything else: norms, rope, router, copies,
                             * a recurrence; m rows of n columns              */
    CORE_COST_COLLECTIVE,   /* a transfer                                     */
    CORE_N_COST_KINDS
} core_cost_kind;

typedef enum core_collective {
    CORE_COLLECTIVE_NONE,
    CORE_ALL_REDUCE,     /* in = out = the buffer                             */
    CORE_ALL_GATHER,     /* in: my block, out: all blocks                     */
    CORE_REDUCE_SCATTER, /* in: all blocks, out: mine                         */
    CORE_ALL_TO_ALL,     /* in: what I give, out: what I get, both with what
                          * stays here                                        */
    CORE_RING,           /* blocks go round: in: mine, out: all               */
    CORE_SEND,           /* to the next stage: in                             */
    CORE_RECEIVE,        /* from the previous one: out                        */
    CORE_N_COLLECTIVES
} core_collective;

/* Along which axis of the plan a transfer goes. */
typedef enum core_axis {
    CORE_AXIS_NONE,
    CORE_AXIS_TP,
    CORE_AXIS_EP, /* ep * etp ranks                                           */
    CORE_AXIS_ETP,
    CORE_AXIS_PP,
    CORE_AXIS_CP,
    CORE_AXIS_DP,   /* replicas of a weight, over dp and cp                   */
    CORE_AXIS_EDP,  /* all who have the same columns of an expert             */
    CORE_AXIS_ENDS, /* the two owners of a tied table                         */
    CORE_N_AXES
} core_axis;

/* What an element is. */
typedef enum core_cost_type {
    CORE_COST_VALUES, /* of the model's type: activations, weights, keys      */
    CORE_COST_WORDS,  /* integers of 8 bytes: counts and metadata             */
} core_cost_type;

typedef struct core_cost {
    core_cost_kind kind;
    const char *op;        /* whom it is charged to (par_operator_name, or
                            * "pipeline"); borrowed, static                   */
    core_tap tap;          /* where its result can be observed                */

    int stage, rank;
    int round, mb;         /* mb -1: no micro-batch of mine (scope=replica)   */
    int64_t tick;          /* of the pass, counted over rounds; -1: between two
                            * passes                                          */
    int64_t n_token;       /* of the micro-batch                              */

    int64_t m, n, k;       /* by kind, see there                              */
    int64_t n_head;        /* attention: query heads of this rank; rotation:
                            * heads that it rotates                           */
    int64_t n_pair;        /* attention: (query, key) pairs that are neither
                            * in the future nor out of the window, all heads  */
    int64_t n_expert;      /* grouped: (layer, expert) with at least one row  */
    int64_t m_max;         /* grouped: rows of the fullest of them            */

    int64_t flops;
    int64_t weights;              /* elements of weights and biases read      */
    int64_t read, written;        /* of activations                           */
    int64_t kv_read, kv_written;  /* of keys and values: what attention reads
                                   * beside the queries                       */

    core_collective collective;
    core_axis axis;
    int group;             /* ranks that take part                            */
    core_cost_type type;
    int64_t in, out;       /* elements given and got, by collective           */
    int64_t sent;          /* elements that left this rank for another one, as
                            * the algorithms of parallel/comm.h send them     */
} core_cost;

/* Operations per element that both sides count with; rows of ref/MODEL.md.   */
enum {
    CORE_FLOPS_SQUARES = 2,   /* of a norm: x * x, added up                   */
    CORE_FLOPS_SCALE = 1,     /* x / r, or a product with a weight or scalar  */
    CORE_FLOPS_LAYERNORM = 7, /* S1: 1, S2: 2; x - mean, / r, * w, + b        */
    CORE_FLOPS_ROTATE = 3,    /* a cos - b sin, per rotated element           */
    CORE_FLOPS_SOFTMAX = 5,   /* scale, - largest, exp, sum, divide           */
    CORE_FLOPS_FUNCTION = 1,  /* activation, sigmoid, softplus                */
    CORE_FLOPS_ADD = 1,
    CORE_FLOPS_INDEX = 3, /* of a pair and a head of an indexer: relu, w *, + */
    CORE_FLOPS_MULTIPLY_ADD = 2,
    CORE_FLOPS_STATE = 7,     /* of a state: decay, * h, dt b, * a, +; h c, + */
    CORE_FLOPS_MATRIX_STATE = 7, /* of one in a matrix: decay *; S k, +; k d, +;
                                  * S q, +                                    */
};

const char *core_cost_kind_name(core_cost_kind kind);
const char *core_collective_name(core_collective collective);
const char *core_axis_name(core_axis axis);

/* No work: such a record is not made.  A collective always is one, because the
 * ranks meet in it.                                                  [local] */
bool core_cost_is_empty(const core_cost *cost);

#endif
