/* parallel/forward.h -- the distributed forward pass of one rank.
 *
 * A par_model holds the shards that this rank owns and nothing else.  There is
 * one layer text for every combination of degrees: a degree of 1 is a group of
 * one rank.  What is computed is shown to an observer at every tap.
 */
#ifndef PAR_FORWARD_H
#define PAR_FORWARD_H

#include "core/model/taps.h"
#include "core/pass/cost.h"
#include "core/weights/weights.h"
#include "parallel/layout.h"

/* A piece of a tap that this rank holds: rows row_ids[0..n_row) (global rows of
 * the tap) x columns [col0, col0+n_col), row stride ld.  Exactly one of values
 * and ints is set.  n_owners ranks hold this very piece (the same rows and
 * columns), this one is number i_owner among them.                           */
typedef struct par_piece {
    core_tap tap;
    double *values;
    int64_t *ints;
    int64_t ld;
    const int64_t *row_ids;
    int64_t n_row;
    int64_t col0, n_col;
    int n_owners, i_owner;
    int round, mb;
} par_piece;

/* Sees every piece right after it was computed and stored, transfers on the
 * receiving side; may overwrite the values (forced mode), keeping them in the
 * numerics of the run.  Pieces with no row or no column are shown too.       */
typedef struct par_observer {
    void *self;
    void (*observe)(void *self, const par_piece *piece);
} par_observer;

/* Whom processor time is charged to: kind, name. */
#define PAR_OPERATOR_LIST(X)                                                   \
    X(EMBED, embed) X(NORM, norm) CORE_CONNECTION_LIST(X)                      \
    CORE_PROJECTION_LIST(X) CORE_CHOOSER_LIST(X) CORE_MIXER_LIST(X)            \
    X(ATTN_OUT, attn_out) X(ROUTER, router) X(DISPATCH, dispatch)              \
    X(EXPERT, expert) X(COMBINE, combine) X(MLP, mlp) X(HEAD, head)            \
    X(CHECK, check)
typedef enum par_operator {
#define PAR_OPERATOR_ENUM(kind, name) PAR_OP_##kind,
    PAR_OPERATOR_LIST(PAR_OPERATOR_ENUM)
#undef PAR_OPERATOR_ENUM
    PAR_N_OPERATORS
} par_operator;
const char *par_operator_name(par_operator op);

/* True for operators that the plan repeats on every rank of a tensor group:
 * counted apart when work is compared with the reference.                    */
bool par_operator_is_replicated(const par_plan *plan, par_operator op);

/* How the model's operator number i is placed, a line of text ("word  pp
 * Shard(layer), ..."), of those that not every model has; NULL after the last.
 *                                                                    [local] */
const char *par_placement(const core_spec *spec, int i);

/* What one turn did on this rank, in the ticks of all its lanes; for --events. */
typedef struct par_tick {
    int round;
    int64_t tick;               /* the first of them                            */
    int mb, n_mb;               /* micro-batches worked on: so many from mb on  */
    int64_t n_token;            /* their tokens                                 */
    const int64_t *n_expert;    /* [n_pair * n_my_expert] rows that each expert
                                 * of mine received, by pair                    */
    int64_t n_n_expert;
    const int *my_expert;       /* [n_my_expert] their ids; NULL: they are others
                                 * in each layer, and all experts are told, in
                                 * order                                        */
    int n_my_expert;
    int64_t n_choice, n_dropped; /* (token, choice) pairs that this rank had to
                                  * dispatch; of them, without a slot           */
    int64_t n_bytes[PAR_N_OP_KINDS]; /* sent in this tick                       */
    double seconds, wait_seconds;
} par_tick;

/* What an operator took, beside what it computes (core/pass/cost.h).              */
typedef struct par_cost_time {
    double start;        /* on the host's monotonic clock                       */
    double seconds;      /* of wall time, without those of observers            */
    double wait_seconds; /* of them, waiting for other ranks                    */
    double cpu_seconds;  /* of the operator's own work: no transfers, checks or
                          * observers                                          */
} par_cost_time;

/* What was begun and is over: an exchange of rows of a lane, or the way of a stream
 * to or from a neighbour, in one of the buffers that streams have.           */
typedef struct par_under_way {
    core_cost cost;    /* as its record says, but for what is sent            */
    bool is_stream;
    int number;        /* of the lane, or of the buffer                       */
    double start, end; /* on that clock: when it was begun, and when it was seen
                        * to be over                                          */
} par_under_way;

/* In which order a rank works, see order.c: layer by layer over all
 * micro-batches where weights would be made anew for each of them (exact mode,
 * experts that do not stay, room in the budgets) and nobody asks for ticks or
 * costs; or as the plan says; or layer by layer in any case.                 */
typedef enum par_order {
    PAR_ORDER_AUTO,
    PAR_ORDER_PLAN,
    PAR_ORDER_LAYERS
} par_order;

typedef struct par_options {
    size_t weight_budget_bytes; /* of this rank: its shards stay resident if they
                                 * fit, else experts are read a tile at a time  */
    size_t dense_budget_bytes;  /* then the others stay if they fit, else they are
                                 * read so, too, but for vectors and tables     */
    size_t lane_budget_bytes;   /* what weights leave of it is for micro-batches
                                 * worked on together                           */
    const par_observer *observer;                     /* NULL: none           */
    void (*tick)(void *self, const par_tick *tick);   /* NULL: none           */
    void *tick_self;
    /* Sees every operator when it is over.  NULL: none; costs nothing then.  */
    void (*cost)(void *self, const core_cost *cost, const par_cost_time *took);
    /* Sees what goes on beside operators when it is over; likewise.           */
    void (*under_way)(void *self, const par_under_way *request);
    void *cost_self;
    par_order order; /* the same on all ranks, as is who asks for what        */
    int64_t wide_elements; /* of logits, and of the inner columns of experts' rows,
                            * that exist at a time: so many rows are worked on.
                            * 0: as par_work_bytes counts                     */
    int n_threads; /* of loops and products of this rank; 0 is 1.  No bit of what
                    * is computed hangs on it                                 */
    uint64_t schedule_seed; /* not 0: about half of what is begun is sent when it
                             * is completed, by dice                          */
} par_options;

typedef struct par_stats {
    int64_t n_choice;    /* (token, choice) pairs that this rank had to dispatch */
    int64_t n_dropped;   /* of them, without a slot                             */
    int64_t n_sent;      /* choices sent to experts, self included              */
    int64_t n_received;  /* choices that arrived here (etp copies not counted:
                          * etp_i = 0 counts)                                   */
    int64_t n_returned;  /* choices whose output this rank completed and sent
                          * back; counted here, where nobody knows how many
                          * were sent, so that the sums can disagree            */
    double cpu_seconds[PAR_N_OPERATORS];
    double wall_seconds, wait_seconds;
    bool exact;          /* exact mode: every product fits 53 bits              */
    char not_exact[160]; /* else the first operator and the bits it needs       */
    bool is_written;     /* exact mode: no product takes in a NaN or infinity   */
    core_tap unwritten;  /* else the first that does: of what nobody wrote      */
    int n_lane;          /* micro-batches that were worked on together        */
    size_t weight_bytes; /* resident shards                                     */
    size_t work_bytes;   /* peak of the work arena and routing buffers          */
} par_stats;

typedef struct par_model par_model;

/* Read this rank's shards.  Borrows comm, layout, spec and weights (prepared for
 * numerics).  Errors: E_PLAN if a shard begins inside a block (core_weights_block),
 * with tensor and equation; E_MEMORY.  Follow with par_agree.        [local] */
CORE_NODISCARD core_status par_model_open(par_model **out, par_comm *comm,
                                          const par_layout *layout,
                                          const core_spec *spec,
                                          const core_weights *weights,
                                          core_numerics numerics,
                                          const par_options *options);
void par_model_close(par_model *model); /* accepts NULL */

/* One forward pass over all rounds and micro-batches.  The same batch on every
 * rank (each reads only its rows).  Buffers are poisoned with NaN before use.
 * Errors: E_MEMORY, agreed.                                     [collective] */
CORE_NODISCARD core_status par_forward(par_model *model, const core_batch *batch,
                                       par_stats *stats);

/* Bytes that rank `layout->rank` needs: all shards, those beside experts that
 * are read a tile at a time, what is left if all matrices are, and work for
 * micro-batches of n_row rows of n_t tokens.  The measure run of the real layout.                       [local] */
size_t par_weight_bytes(const core_spec *spec, const par_layout *layout,
                        core_numerics numerics);
size_t par_tiled_weight_bytes(const core_spec *spec, const par_layout *layout,
                              core_numerics numerics);
size_t par_least_weight_bytes(const core_spec *spec, const par_layout *layout,
                              core_numerics numerics);
size_t par_work_bytes(const core_spec *spec, const par_layout *layout,
                      int64_t n_row, int64_t n_t, int n_threads);
/* Of one thread, where wide results exist of all rows at once, as systems have them:
 * what of that work does not depend on routing; buffers for a dispatch/combine pair
 * that brings n rows (par_work_bytes: as many as if the load were even).     */
size_t par_arena_bytes(const core_spec *spec, const par_layout *layout,
                       int64_t n_row, int64_t n_t);
size_t par_pair_bytes(const core_spec *spec, const par_layout *layout,
                      int64_t n);

#endif
