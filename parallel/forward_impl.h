/* parallel/forward_impl.h -- what the files of the distributed pass share.
 *
 * Read in this order: schedule.c (turns) -> order.c (the steps of a turn) ->
 * layer.c -> the layer's operators (operators.h), first of all attention.c (qkv.c,
 * qk_norm.c, rope.c, heads.c, key_parts.c) -> mlp.c, router.c (scores.c, choose.c), moe.c -> dispatch.c, experts.c; below
 * them linear.c and shard.c.
 *
 * Placements, in the words of the field: the residual stream x is Replicate over
 * tp, with sp Shard(token) (stream.c); q, k, v, context, gate, up are
 * Shard(columns); products with a weight that is split along K are Partial until
 * a reduction has made them whole.  A value is stored (snapped, rounded) only
 * when it is whole.
 */
#ifndef PAR_FORWARD_IMPL_H
#define PAR_FORWARD_IMPL_H

#include "core/model/elementary.h"
#include "parallel/decode.h"
#include "parallel/operators.h"
#include "parallel/steps.h"
#include "parallel/turns.h"

#include <math.h>

enum {
    PAR_TILE_ELEMENTS = 1 << 20, /* 8 MB of doubles: a tile of a weight       */
    PAR_WIDE_ELEMENTS = 1 << 22, /* 32 MB of doubles: logits, inner columns   */
    PAR_MOST_CHUNK = 512,        /* rows of x that one product takes          */
    PAR_MOST_TILE = 512,         /* and rows of a weight                      */
    PAR_WORTH_THREADS = 1 << 16, /* elements of a loop, or products           */
    PAR_QUERY_BLOCK = 64,        /* queries whose scores exist at a time      */
    PAR_END = -1,                /* the end of an axis, of rows or columns    */
    PAR_META = 3,                /* layer, expert, global choice id of a row  */
    PAR_MAX_KEPT = 64,           /* pointers to buffers of operators          */
    PAR_MAX_FRESH = 128,         /* buffers that start as poison              */
    PAR_MAX_LASTING = 24         /* buffers that every lane has               */
};

/* A rectangle of one weight tensor: rows r0.. (outputs), columns c0.. (K).   */
typedef struct par_shard {
    core_weight id;
    int64_t r0, c0;
    int64_t n_row, n_col;
    int n_part;        /* ranks that split K: the product is Partial over them */
    const double *w64; /* resident (exact, fp64), or NULL                     */
    const float *w32;  /* resident (floats) or NULL; neither: read by the tile */
    double norm;       /* exact and resident: its largest row norm            */
    const double *bias; /* of its rows; NULL: none                            */
} par_shard;

/* A shard that begins inside a block of values that share a scale.           */
typedef struct par_cut {
    core_weight id;
    const char *what; /* row or column                                        */
    int64_t at, block; /* block 0: there is none                              */
    bool of_operand;   /* of what is multiplied, not of the weight            */
} par_cut;

typedef struct par_mlp {
    bool exists;
    par_shard gate, up, down;
    const void *shared; /* of what multiplies a shared expert (par__shared)   */
} par_mlp;

/* A norm over whole rows: Replicate.  bias: NULL for an RMS norm.            */
typedef struct par_norm {
    const double *weight, *bias;
} par_norm;

/* Projections of groups of heads: my groups [first, first + n).              */
typedef struct par_groups {
    int64_t first, n;
    const par_shard *of; /* [n]                                               */
} par_groups;

/* Digests of earlier tokens, as keys or for what picks of them: Replicate. */
typedef struct par__digest_kinds {
    core_weight_kind w_kv, w_gate, w_bias, w_norm;
    core_tap_kind kv, gate, sum, norm, rope;
    double *(*state)(const struct par_model *m, int l,
                     int64_t b); /* of a row */
} par__digest_kinds;
typedef struct par_digests {
    par__digest_kinds kinds;
    par_shard kv, gate; /* [vectors * columns, D]                             */
    const double *bias; /* [tokens of a run, vectors * columns]               */
    const double *norm; /* [columns]                                          */
} par_digests;

/* A row's digests of complete runs: number e of n at first + e * ld.         */
typedef struct par_done {
    const double *first;
    int64_t ld, n;
} par_done;

/* Shard(head). */
typedef struct par_attention {
    const void *projection; /* of what makes q, k and v (par__projection)     */
    const void *chooser;    /* of what chooses keys (par__chooser)            */
    const double *sinks;
    par_shard gate; /* of the context, where the model has one                */
    par_groups groups; /* where the output is projected in two steps          */
    par_shard o;
} par_attention;

typedef struct par_layer {
    par_norm attn_norm, ffn_norm;
    par_norm attn_post, ffn_post; /* of what a part gives; or no weight       */
    par_norm moe_norm, moe_post, mlp_post; /* of branches; likewise           */
    const double *scale;    /* of the layer's output; NULL: none              */
    const void *mixer;      /* shards of par__mixer                           */
    const void *around[2];  /* of par__connection_of, by par__part            */
    par_shard router;
    const double *router_norm;               /* [D], or NULL                  */
    const double *correction, *expert_scale; /* [E], likewise                 */
    const double *table;                     /* [V, K] experts of a token     */
    par_shard narrow, wide; /* whole; of experts of a width of their own      */
    const double *wide_norm; /* [De], or NULL                                 */
    par_mlp mlp;
} par_layer;

typedef struct par_expert {
    par_shard gate, up, down;
} par_expert;

/* A buffer whose size depends on routing: grows, never shrinks.              */
typedef struct par_grow {
    void *at;
    size_t bytes;
} par_grow;

/* What identifies the rows of a buffer of choices.  lane: NULL where all are of
 * the lane at hand.                                                          */
typedef struct par_choices {
    int64_t n;
    int64_t *id, *layer, *expert, *lane;
} par_choices;

/* Who has a residual stream's buffer beside this rank.                       */
typedef struct par_stream {
    par_request *arriving, *leaving;
    par_under_way arrives, leaves;
} par_stream;

/* The rows that a dispatch/combine pair brought here for a micro-batch: in
 * source order, and those of them that I complete and return.                */
typedef struct par_flow {
    par_choices received, mine;
    int64_t *place; /* [received.n] where a received row lies when sorted     */
} par_flow;

/* What a step of a lane left: y [n, D], Partial over tp (sums.c).            */
typedef struct par_partial {
    double *y;
    const double *bias; /* NULL: none                                         */
    core_tap tap;
    par_operator op;
    int64_t n;          /* my tokens of the lane                              */
} par_partial;

/* Micro-batches that are worked on layer by layer lie in lanes 0, 1, ...     */
typedef struct par_lane {
    par_flow flow;
    par_partial partial;
    par_grow meta, table;
    par_grow rows; /* that arrived; then what experts made of them, by part; then
                    * what goes back                                          */
    par_exchange *meta_coming, *rows_coming, *back_coming; /* under way       */
    par_under_way way; /* of rows, there or back                              */
    int own, pair; /* while steps are listed: its latest; of a pair, or -1    */
} par_lane;

/* A buffer that a lane has from step to step: *field, and where it lies.     */
typedef struct par_lasting {
    void *field;
    par_grow of_lane_0;
} par_lasting;

/* How the exchanges of a turn's lanes lie beside each other.                 */
typedef enum par__pairs {
    PAR_PAIRS_JOINED,  /* the experts of all lanes are multiplied together    */
    PAR_PAIRS_IN_TURN, /* one lane's is over when another's begins            */
    PAR_PAIRS_CROSSED  /* on its way while the next lane computes             */
} par__pairs;

typedef struct par_slot_key {
    double weight;
    int64_t choice;
} par_slot_key;

/* A key that a query may be given. */
typedef struct par_key {
    double score;
    int64_t at; /* its position in the row                                    */
} par_key;

/* Keys of a row that lie side by side: positions run.i0 on.  Those of row b
 * begin with token number first + b * step of the buffer.                     */
typedef struct par_keys {
    par_run run;
    int64_t first, step;
} par_keys;

/* What heads work on: tokens and heads that are mine, or for a layer's attention
 * some that are not (context.c).                                             */
typedef struct par_view {
    par_heads heads;
    int n_run;
    par_run run[2];    /* queries of a row                                    */
    int64_t n_q;       /* so many                                             */
    int64_t query0;    /* the first of the row at hand, among all             */
    const double *q;   /* [rows * n_q, heads * Dh]                            */
    double *context;   /* [rows * n_q, heads * Dv]                            */
    const double *k;   /* [tokens, ld_k] head g: from column g * Dh on        */
    const double *v;   /* [tokens, ld_v] from column v_first + g * v_step on  */
    int64_t ld_k, ld_v, v_first, v_step;
    int n_keys;        /* parts that are merged                               */
    par_keys *keys;    /* [2 cp]                                              */
} par_view;

/* What buffers have room for: my tokens of a micro-batch, all tokens of its rows,
 * and the tokens that a row may have.                                        */
typedef struct par_room {
    int64_t n, n_all, n_t;
    int64_t wide; /* elements of a buffer that has some rows at a time        */
    int n_thread;
} par_room;

/* What a thread has for itself: operands and result of a product of floats, and
 * the scores of a block of queries.                                          */
typedef struct par_thread_room {
    float *a32, *b32, *c32;
    double *score; /* [PAR_QUERY_BLOCK, T + digests]                          */
} par_thread_room;

/* Choices of tokens, their slots and weights.                                */
typedef struct par_routing {
    int64_t *idx, *slot;
    double *weight;
} par_routing;

/* The buffers of a turn: carved for the largest micro-batch, those that last
 * from step to step as often as there are lanes.                             */
typedef struct par_work {
    core_arena arena;
    int n_lane;                     /* micro-batches of a turn                */
    par__pairs pairs;
    int n_x;                        /* residual streams                       */
    int64_t n, n_t;                 /* my tokens of the largest; of a row     */
    int64_t n_all;                  /* all tokens of its rows                 */
    int64_t wide;                   /* elements, see par__rows_at_a_time      */
    int64_t n_in, n_out;            /* widest operand, widest buffer of rows  */
    par_grow fresh[PAR_MAX_FRESH];  /* of a step: poisoned for every lane     */
    int n_fresh;
    par_lasting lasting[PAR_MAX_LASTING];
    int n_lasting;
    par_turn_step *step;                /* [n_step] of the turn                   */
    int n_step, n_past;             /* those before n_past are done           */
    int *joined, n_joined;          /* lanes of the step that was taken       */
    double *summed;                 /* [lanes * n, D] their rows, summed at once */
    double *x;                      /* [n_x, ld_x] residual streams [n_s, Dx],
                                     * that of a turn's lane see schedule.c, and
                                     * the keys that travel with it           */
    int64_t ld_x;
    double *h;                      /* [n_s, D] what a part reads of it       */
    double *joint;                  /* [n_s, *] weights of a connection       */
    double *old_x;                  /* [Dx] of a token                        */
    int64_t *token_id;              /* [n] global tokens                      */
    struct {                        /* of each kind of heads                  */
        double *cos_tj, *sin_tj;    /* [T, Dr/2]                              */
    } rope[CORE_HEAD_KINDS];
    double *xn;                     /* [n, D] normed input                    */
    double *branch;                 /* [n, D] what experts read that have a
                                     * norm of their own                      */
    double *router_in;              /* [n, D] where the router has a norm     */
    void *mixer[CORE_N_MIXERS];     /* buffers of operators: what their carve */
    void *projection;               /* returned, which lies in kept           */
    void *shared[CORE_N_SHARED];
    void *kept[PAR_MAX_KEPT];
    int n_kept;
    void *chooser;
    double *q_a;                    /* [n, Rq] the short query, normed        */
    double *q, *k;                  /* [n, own heads * Dh]                    */
    double *v;                      /* [n, ld_v] head g: from column v_first  */
    int64_t ld_v, v_first, v_step;  /* + g * v_step on                        */
    double *context;                /* [n, own heads * Dv]                    */
    par_view view;                  /* of a layer's attention                 */
    par_keys *keys;                 /* [2 cp] its parts                       */
    double *row_k, *row_v;          /* [n_all, own heads *] keys, values      */
    double *row_q, *row_context;    /* likewise, where I have all tokens      */
    double *packed;                 /* [n, own kv heads * Dv]                 */
    void *parts;                    /* as they come from each rank            */
    double *leaving;                /* as they go to each                     */
    int64_t *context_at, *context_bytes; /* [2 cp]                            */
    double *context_gate;           /* [n, own heads * Dv]                    */
    double *o_a;                    /* [n, own groups * their columns]        */
    int64_t n_digest;               /* the most digests of a row              */
    double *digest;                 /* [n, Dh] that a token sees last         */
    double *digest_kv, *digest_gate; /* [n, vectors * Dh] that it is made of  */
    double *digest_room;            /* [tokens of a digest]                   */
    double *gathered;               /* [T + digests, Dh] keys of a block      */
    double *square;                 /* [n, 2] sums over all heads of q, of k  */
    uint8_t *sees;                  /* [T] query has a visible key            */
    double *out, *mlp_out;          /* [n, D]                                 */
    double *gate, *up;              /* [n, own MLP columns]                   */
    double *logits_e, *probs;       /* [n, E]                                 */
    double *choosing;               /* [E] what experts are chosen by         */
    double *group_score;            /* [groups]                               */
    double *weight;                 /* [n, K]                                 */
    int64_t *idx, *slot;            /* [n, K]                                 */
    par_routing every;              /* [n_all, K] of a layer                  */
    par_routing gathered_routing;   /* likewise, gathered                     */
    par_slot_key *key;              /* [n_all*K]                              */
    int64_t *expert_count;          /* [E]                                    */
    int64_t *position;              /* [slice*K] where a choice lies in send  */
    int64_t *send_meta;             /* [slice*K, PAR_META]                    */
    int64_t *send_id;               /* [slice*K]                              */
    double *narrow, *sum;           /* [n, De] rows to send, sums of rows that
                                     * came back, of my slice                 */
    double *send;                   /* [slice*K, De] rows out, then rows back */
    double *logits;                 /* [rows at a time, own vocabulary]       */
    int n_thread;
    par_thread_room thread_room;    /* of thread 0; of thread i it lies i times */
    int64_t n_a32, n_b32, n_c32, n_score; /* so many elements behind          */
    int64_t chunk;                  /* rows of x that one product takes       */
    /* exchange tables, over the members of ep_group or its ep indices        */
    int64_t *send_first;            /* [ep+1]                                 */
    int64_t *count_out, *count_in;  /* [member]                               */
    int64_t *recv_first;            /* [member+1]                             */
    int64_t *in_at, *in_bytes, *out_at, *out_bytes; /* [member]               */
    int64_t *part_count;            /* [etp]                                  */
    int64_t *slice;                 /* [tp] what each rank's tokens take      */
    int64_t *bucket;                /* [buckets + 1] (layer, expert) of mine  */
    int64_t *cursor;                /* [buckets]                              */
    int n_told;                     /* my experts; all, if mine are others in each
                                     * layer                                  */
    int64_t *n_expert;              /* [n_pair * n_told], this turn           */
} par_work;

/* The micro-batch that a step of this rank works on.                         */
typedef struct par_now {
    int round, mb;       /* mb = -1: idle                                     */
    int turn, lane;      /* turn of the round                                 */
    int part;            /* my virtual stage: my first where idle             */
    int layer0, layer1;  /* its layers                                        */
    int64_t tick;        /* of the pass, counted by lane                      */
    int64_t row0, n_row; /* rows of the batch, or of the step                 */
    int64_t n, n_all;    /* my tokens of them, and all                        */
    int64_t t0, t1;      /* my slice of them, to be dispatched                */
    int64_t s0, n_s;     /* those whose part of the stream I have             */
    int stream;          /* which of the residual streams                     */
    double *x;
    int64_t *seen;       /* [n, columns of sets] keys chosen last: behind x   */
} par_now;

/* A record of an operator that goes over some rows at a time, with others in
 * between: what it has come to so far.                                       */
typedef struct par_cost_part {
    core_cost record;
    par_cost_time took;
    bool is_begun;
} par_cost_part;

/* The operator under way, see cost.c.                                        */
typedef struct par_open_cost {
    core_cost record;
    par_cost_part *part;   /* that it is added to; NULL: it is whole          */
    bool is_open;
    bool is_counted;       /* what it sends is counted by the operation `op`  */
    par_op_kind op;
    int64_t bytes_before;  /* sent by such operations before it               */
    double away_seconds;   /* wall time spent in observers so far             */
    par_cost_time since;   /* the clocks when it began; seconds: of observers */
} par_open_cost;

typedef struct par_cache par_cache; /* cache.c */

struct par_model {
    par_comm *comm;             /* borrowed, as all of these                  */
    const par_layout *layout;
    const core_spec *spec;
    const core_weights *weights;
    core_numerics numerics;
    par_options options;

    struct {                    /* which matrices stay in memory              */
        bool dense, experts;
    } keeps;
    core_arena shards;          /* owns everything below                      */
    par_layer *layer;           /* [layers of mine], see par__layer           */
    par_expert *expert;         /* [n_moe * n_my_expert]                      */
    int64_t *n_row;             /* likewise: that each got, see moves.h       */
    par_cut cut;                /* the first of my shards                     */
    int n_moe;                  /* MoE layers whose experts I hold            */
    int *moe_index;             /* [L] among them, or -1                      */
    int *pair_layer;            /* [virtual stages, n_pair] layer served, -1  */
    par_shard embed, head;
    par_norm final_norm;
    const void *around_head;    /* of par__connection_of                      */
    double *tile64;             /* one tile of a weight                       */
    float *tile32;

    const core_batch *batch;    /* of the forward pass under way              */
    const par_step *step;       /* and, of a pass of decoding, what it is of  */
    par_cache *cache;           /* of decoding; NULL: none                    */
    par_now now;
    par_work work;
    par_lane *lane;             /* [mb]                                       */
    par_choices sorted;         /* rows of all lanes, by (layer, expert)      */
    par_grow sorted_rows;       /* their inputs, then their outputs           */
    par_grow inner_gate, inner_up, table, operand, largest;
    par_stream *stream;         /* [2 * mb]                                   */
    par_stats *stats;
    par_operator op;            /* charged for processor time                 */
    double cpu_mark;
    par_open_cost cost;
};

/* The shards of layer l, which is mine. */
static inline const par_layer *par__layer(const par_model *m, int l)
{
    return &m->layer[m->layout->local_layer[l]];
}

/* --- observe.c: taps, exactness, time ------------------------------------ */

/* From here on processor time belongs to op, and messages name the tap.      */
void par__enter(par_model *m, par_operator op, core_tap tap);
/* Charge what was used so far / start counting again: around everything that is
 * not the operator's own work (transfers, observers, checks).                */
void par__pause(par_model *m);
void par__resume(par_model *m);

/* Go on with another operator; the one before, to come back to.  No message: of
 * what is kept apart, as checks are.                                         */
par_operator par__charge(par_model *m, par_operator op);

core_tap par__tap(core_tap_kind kind, int layer);
void par__store(par_model *m, core_tap_kind kind, double *values, int64_t n);
void par__observe(par_model *m, const par_piece *piece);

/* Store and show values of all tokens of the micro-batch: whole rows that every
 * rank of the tensor group holds, or my columns of them.                     */
void par__tap_replicated(par_model *m, core_tap tap, double *values);
void par__tap_columns(par_model *m, core_tap tap, double *values, int64_t col0,
                      int64_t n_col);
/* Likewise of my tokens [i0, i0 + n), the first of them at values[0].        */
void par__tap_some(par_model *m, core_tap tap, double *values, int64_t i0,
                   int64_t n, int64_t col0, int64_t n_col);
void par__tap_ints(par_model *m, core_tap tap, int64_t *values);
/* Whole rows of the tokens whose part of the stream I have: values [n_s, *].  */
void par__tap_stream(par_model *m, core_tap tap, double *values);
void par__tap_stream_ints(par_model *m, core_tap tap, int64_t *values);

/* Show rows of choices, layer by layer, for every layer that a pair serves.  */
void par__observe_choices(par_model *m, core_tap_kind kind, int pair,
                          double *values, const par_choices *rows, int64_t col0,
                          int64_t n_col, int n_owners, int i_owner);

/* Exact mode: record the first sum that needs more than 53 bits, and the first
 * over what is no number.                                                    */
void par__check(par_model *m, core_tap tap, double norm_x, double norm_w,
                double step_x, double step_w);
/* The larger one; a NaN stays, whatever it is held against next.             */
static inline double par__worse(double a, double b)
{
    return a >= b || isnan(a) ? a : b;
}
/* The largest magnitude of n_row rows, ld apart; NaN counts as larger.       */
double par__largest(const double *x, int64_t ld, int64_t n_row, int64_t n_col);
void par__poison(const par_model *m, void *at, size_t bytes);
/* Likewise, as no work of the operator under way.                            */
void par__poison_aside(par_model *m, void *at, size_t bytes);
/* Threads for a loop over n elements, or so many products: few are not worth
 * handing out.                                                               */
static inline int par__threads(const par_model *m, int64_t n)
{
    return n < PAR_WORTH_THREADS ? 1 : m->options.n_threads;
}
bool par__is_poison(int64_t word); /* as nobody has written it */

/* --- cost.c: records of what is computed --------------------------------- */

/* Begin a record, which ends the one before; fill in what is computed.  Not
 * while paused.                                                              */
core_cost *par__cost(par_model *m, core_cost_kind kind, core_tap tap);
/* Rows of columns are read, worked on with so many flops per element, written. */
core_cost *par__cost_rows(par_model *m, core_tap tap, int64_t n_row,
                          int64_t n_col, int64_t flops);
/* More rows of the open record. */
void par__cost_add_rows(par_model *m, int64_t n_row, int64_t n_col,
                        int64_t flops);
/* What the operator writes is keys or values, and so is what it changes.     */
void par__cost_is_kv(par_model *m);
/* A collective that follows at once: what it sends is counted there.         */
core_cost *par__cost_collective(par_model *m, par_op_kind op,
                                const par_group *group, core_tap tap,
                                int64_t in, int64_t out);
/* n elements from or to a neighbour stage.                                   */
void par__cost_stage(par_model *m, core_collective collective, core_tap tap,
                     int64_t n);
void par__cost_close(par_model *m);
/* What is begun and goes on: of the open record, and from when; then, with the
 * rest filled in, that it is over.                                           */
void par__way_begin(par_model *m, par_under_way *way);
void par__way_end(par_model *m, par_under_way *way);
/* A record likewise, but go on with what `part` has come to; zeros: it begins.  Of
 * n parts that are complete records are made, one behind another.            */
core_cost *par__cost_part(par_model *m, par_cost_part *part,
                          core_cost_kind kind, core_tap tap);
void par__cost_parts_close(par_model *m, const par_cost_part *part, int n);

/* --- shard.c, linear.c --------------------------------------------------- */

/* The rectangle rows [r0, r1) x columns [c0, c1), and the bias of the rows; in
 * measure mode only their bytes are counted.  An end may be PAR_END.         */
par_shard par__shard_make(par_model *m, core_weight id, int64_t r0, int64_t r1,
                          int64_t c0, int64_t c1, int n_part);
/* Of layer l: a matrix split by its outputs; one whose product is Partial over
 * tp; a vector, NULL if the model does not have it; rows as doubles, for what is
 * no product.                                                                */
par_shard par__rows(par_model *m, core_weight_kind kind, int l, int64_t r0,
                    int64_t r1);
par_shard par__columns(par_model *m, core_weight_kind kind, int l, int64_t c0,
                       int64_t c1);
const double *par__vector(par_model *m, core_weight_kind kind, int l,
                          int64_t c0, int64_t c1);
const double *par__doubles(par_model *m, core_weight_kind kind, int l,
                           int64_t r0, int64_t r1);
/* The weight of a norm of the stream, of queries or keys: a vector, plus 1 in
 * models whose norms say so.                                                 */
const double *par__norm_weight(par_model *m, core_weight_kind kind, int l,
                               int64_t c0, int64_t c1);
/* A copy of an operator's shards; NULL in measure mode.                      */
void *par__keep(core_arena *arena, const void *from, size_t bytes);

/* y [n, n_row] = x [n, n_col] W^T of a shard; row strides ldy, ldx.  The tap is
 * named if the sums are not exact.  par__product adds to the open record of
 * cost, par__linear begins one.                                              */
void par__product(par_model *m, double *y, int64_t ldy, const double *x,
                  int64_t ldx, int64_t n, const par_shard *w, core_tap tap);
void par__linear(par_model *m, double *y, int64_t ldy, const double *x,
                 int64_t ldx, int64_t n, const par_shard *w, core_tap tap);

/* quantised.c: x [n, n_col] as the product with this shard reads it, where it
 * lies.  [collective] over the ranks that have the other columns, if a scale is
 * that of a row.                                                             */
void par__quantise(par_model *m, const par_shard *w, double *x, int64_t n);
/* y [tokens, n_row] = x W^T + bias; column-parallel: stored and shown, too.   */
void par__affine(par_model *m, double *y, const double *x, int64_t ldx,
                 const par_shard *w, core_tap tap);
void par__affine_columns(par_model *m, double *y, const double *x, int64_t ldx,
                         const par_shard *w, core_tap tap);
/* Part of the operator whose record is open, but for a collective.           */
void par__add_bias(par_model *m, double *y, int64_t n, int64_t n_col,
                   const double *bias);

/* Sum over my tensor group: makes what the open record computes whole.       */
void par__reduce_tp(par_model *m, double *values, int64_t n);

/* --- stream.c ------------------------------------------------------------ */

/* Of n tokens of a micro-batch, how many of the stream I have.               */
int64_t par__stream_tokens(const par_layout *lay, int64_t n);
/* Of x [tokens, D], the first row of those.                                  */
double *par__mine(const par_model *m, double *x);
/* x [tokens, n_col] of which I have the rows of the stream, of which I have the
 * slice, is made whole.                                        [collective] */
void par__gather_stream(par_model *m, double *x, int64_t n_col, core_tap tap);
void par__gather_stream_ints(par_model *m, int64_t *x, int64_t n_col,
                             core_tap tap);
void par__gather_slices(par_model *m, double *x, core_tap tap);

/* --- sums.c --------------------------------------------------------------- */

/* y [tokens, D] is Partial over tp, until the step that follows; a bias is added
 * once, when it is whole.                                                    */
void par__leave_partial(par_model *m, double *y, const double *bias,
                        core_tap tap);
/* What the lanes that work.joined names left is made whole where I have the
 * stream: one collective.  Then, of one lane, it is stored and shown.
 *                                                               [collective] */
void par__sum_lanes(par_model *m);
void par__complete(par_model *m);

/* --- context.c ----------------------------------------------------------- */

/* x [my tokens, n_col], of elements of 8 bytes, with those of the ranks that
 * have the same rows: out [all their tokens, n_col].           [collective] */
void par__gather_context(par_model *m, void *out, const void *x, int64_t n_col,
                         core_cost_type type, core_tap tap);
/* w->view from w->q, w->k and w->v; and w->context from the view's.
 *                                                               [collective] */
void par__view_open(par_model *m, int l);
void par__view_close(par_model *m, int l);
/* context_gather.c, context_ring.c, context_heads.c: the same for each kind of cp,
 * and room for it; the elements that w->parts needs.                          */
void par__gather_open(par_model *m, int l);
int64_t par__gather_carve(par_work *work, const par_layout *layout);
void par__ring_open(par_model *m, int l);
void par__ring_carve(par_work *work, const core_spec *spec,
                     const par_layout *layout);
void par__ulysses_open(par_model *m, int l);
void par__ulysses_close(par_model *m, int l);
int64_t par__ulysses_carve(par_work *work, const par_layout *layout);
/* Tokens of all ranks of cp, one rank's behind another's, `bytes` each: put into
 * the order of tokens.                                                       */
void par__order_tokens(const par_model *m, void *out, const void *parts,
                       size_t bytes);
/* The view's values are v, of its kv heads side by side.                     */
void par__view_values(par_view *view, const double *v);
/* w->every from the choices of my tokens, and back the slots that they got.
 *                                                               [collective] */
void par__whole_group(par_model *m, core_tap tap);
void par__own_slots(par_model *m);
void par__context_carve(par_work *work, const core_spec *spec,
                        const par_layout *layout);
/* Values of my kv heads side by side, tokens ld apart.                        */
void par__pack_values(const par_model *m, const par_heads *mine, double *to,
                      int64_t ld);
static inline int64_t par__min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}
static inline int64_t par__max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}
/* The position of my token i in its row.                                     */
static inline int64_t par__place(const par_model *m, int64_t i)
{
    return m->work.token_id[i] % m->batch->n_t;
}

/* --- operators ----------------------------------------------------------- */

/* norm.c: y, x: the tokens whose stream I have.  The second one: what parts
 * that read all tokens are given, w->xn.                                     */
void par__norm(par_model *m, double *y, const double *x, const par_norm *norm,
               core_tap tap);
void par__norm_all(par_model *m, const double *x, const par_norm *norm,
                   core_tap tap);
/* n_row rows of n_col columns, row strides ldy, ldx; weight NULL: without one.
 * y may be x.  The rows are not stored.                                      */
void par__rms_rows(par_model *m, double *y, int64_t ldy, const double *x,
                   int64_t ldx, int64_t n_row, int64_t n_col,
                   const double *weight, double eps, core_tap tap);
/* Whole rows: (x - mean) / deviation, weighed; y may not be x.               */
void par__layer_rows(par_model *m, double *y, const double *x, int64_t n_row,
                     int64_t n_d, const par_norm *norm, double eps,
                     core_tap tap);
double par__sum_of_squares(const double *x, int64_t n);
/* Exact mode: `largest`, a sum of squares, must fit.                         */
void par__check_squares(par_model *m, core_tap tap, double largest);
/* One row, once the sum of its squares is known.                             */
void par__rms_apply(double *y, const double *x, const double *weight,
                    int64_t n_col, double sum, double n_sum, double eps);

/* vocab.c: up to what is Partial over tp, and from there to the stream.      */
void par__embed(par_model *m);
void par__embedded(par_model *m);
void par__head(par_model *m);

/* attention.c: x [n, n_col], stored at taps, as attention reads it: in the type
 * of the cache (KV) or of what meets it (QP).                                */
void par__read_in(const par_model *m, core_slot slot, double *x, int64_t n_col);
/* my_heads.c, qk_norm.c, rope.c; l: the layer                                */
const par_heads *par__heads_of(const par_model *m, int l);
/* Store and show values of my heads, or keys or values of my kv heads, `width`
 * columns each; of kv heads the open record is told.                         */
void par__tap_heads(par_model *m, core_tap tap, double *values, int64_t width);
void par__tap_kv(par_model *m, core_tap tap, double *values, int64_t width);
/* Likewise what each of my kv heads has, but is not kept for later queries; the
 * sets of keys of the layer's queries.                                       */
void par__tap_groups(par_model *m, core_tap tap, double *values,
                     int64_t width);
void par__tap_sets(par_model *m, core_tap tap, int64_t *sets);
/* What several ranks may have, as they have kv heads: `width` columns each, from
 * column col0 of a tap on.  values: mine of them, side by side.              */
typedef struct par__repeated {
    par_heads heads;
    int64_t col0, width;
} par__repeated;
void par__tap_repeated(par_model *m, core_tap tap, double *values,
                       const par__repeated *repeated);
/* Clamp n values, if the model does.                                         */
void par__clip(const par_model *m, double *values, int64_t n);
void par__qk_norm(par_model *m, const double *q_norm, const double *k_norm,
                  int l);
void par__qk_norm_roped(par_model *m, const double *q_norm,
                        const double *k_norm, int l);
/* latent.c: what is kept of a token, so many columns, of token i; and keys k and
 * w->v of my heads, of n tokens that were kept.                              */
int64_t par__latent_columns(const core_spec *spec);
void par__latent_keep(const par_model *m, int64_t i, double *to);
void par__latent_expand(par_model *m, int l, const double *kept, int64_t n,
                        double *k, double *v);
/* Rotate Dr elements in place, of n_head heads that lie `stride` apart; x: the
 * first of them, ld from token to token.                                     */
void par__rope(par_model *m, double *x, int64_t ld, int64_t n_head,
               int64_t stride, core_tap tap);
/* The same the other way round.                                              */
void par__rope_back(par_model *m, double *x, int64_t ld, int64_t n_head,
                    int64_t stride, core_tap tap);
/* Of digests, x: [n, ld] at what is rotated.                                 */
void par__rope_digests(par_model *m, double *x, int64_t ld, core_tap tap);
/* The same with pairs of its own: neighbours, or halves.                     */
void par__rope_pairs(par_model *m, double *x, int64_t ld, int64_t n_head,
                     int64_t stride, bool paired, core_tap tap);
void par__temper(par_model *m, int l);
/* digest.c: digests out [n, columns / vectors] of xn.                         */
par_digests *par__digests_make(par_model *m, int l,
                               const par__digest_kinds *kinds);
void par__digests_carve(par_work *work, const core_spec *spec);
void par__digests(par_model *m, const par_digests *s, double *out, int l);
/* Those out of `out` that are complete are kept; those of row b, from the state
 * where they are kept (NULL without steps) or from `out`.                    */
void par__digests_keep(const par_model *m, const par_digests *s,
                       const double *out, int l);
par_done par__digests_done(const par_model *m, double *state, const double *out,
                           int64_t n_col, int l, int64_t b);
/* What a row leaves of digests of n_col columns. */
int64_t par__digests_kept(const core_spec *spec, int l, int64_t n_t,
                          int64_t n_col);
/* context_gate.c: w->context times the scores of my heads.                   */
par_shard par__context_gate_make(par_model *m, int l);
void par__context_gate(par_model *m, const par_shard *gate, int l);
/* o_groups.c: my groups, and my columns of what reads them all; w->o_a from
 * w->context.                                                                */
par_shard par__o_groups_make(par_model *m, int l, par_groups *groups);
void par__o_groups(par_model *m, const par_groups *groups, int l);
/* heads.c: every (row, head) of mine: w->context.                            */
void par__heads(par_model *m, const par_attention *attention, int l);

/* softmax.c: p [n] of x [n]; they may be the same.                           */
void par__softmax(const par_model *m, const double *x, double *p, int64_t n);
/* best_keys.c: key[0..n_key) = the positions of the best of all[0..n), which is
 * sorted on the way, ascending, then -1; ties to the lowest.  edge: the scores of
 * the last one taken and of the best one left, 0 and 0 if none is left.      */
void par__best_keys(par_key *all, int64_t n, int64_t *key, int64_t n_key,
                    double edge[2]);

/* convolution.c: channels [c0, c0 + n_c) of a weight [C, Kc]                 */
typedef struct par__conv {
    core_weight id;
    int64_t c0, n_c, n_conv;
    int64_t kept0;          /* where its inputs lie in what a row keeps       */
    const double *w, *bias; /* [n_c, Kc], [n_c] or NULL                       */
    const par__repeated *repeated; /* NULL: the channels are mine alone       */
} par__conv;
par__conv par__conv_make(par_model *m, core_weight_kind kind, int l, int64_t c0,
                         int64_t c1);
/* Likewise one whose inputs are kept behind those of another of the mixer.   */
par__conv par__conv_behind(par_model *m, const par__conv *before,
                           core_weight_kind kind, int l, int64_t c0,
                           int64_t c1);
/* What a row keeps of a mixer's convolutions, the last of which is this one. */
int64_t par__conv_kept(const par__conv *last);
/* act [n, n_c] = silu of u [n, n_c] convolved along its rows; two taps, one
 * record.                                                                    */
void par__convolve(par_model *m, const par__conv *c, const double *u,
                   double *act, core_tap tap, core_tap act_tap);
/* Without an activation: one tap.                                            */
void par__convolve_only(par_model *m, const par__conv *c, const double *u,
                        double *y, core_tap tap);

/* gate.c: y [n, n_row] := y * act(gate), whose columns are the rows of the
 * shard that made the gate; delivered as `tap`.                              */
void par__gate(par_model *m, double *y, core_act act, const double *gate,
               const par_shard *made_by, core_tap tap);

/* up := the activation of n_row rows, of the layers in `layer`, or all of the
 * tap's where that is NULL; part of the operator whose record is open.       */
void par__activate(par_model *m, double *gate, double *up, int64_t n_row,
                   int64_t n_col, const int64_t *layer, core_tap tap);
void par__mlp(par_model *m, const par_mlp *mlp, int l, double *out);
/* layer.c: the steps of layer l that are not of a pair.  par__gather: the sum
 * of what a pair gave.  par__mixed, par__fed: behind the sum over tp.        */
void par__mix(par_model *m, int l);
void par__mixed(par_model *m, int l);
void par__enter_ffn(par_model *m, int l);
void par__gather(par_model *m, int l);
void par__feed(par_model *m, int l);
void par__fed(par_model *m, int l);
void par__leave_ffn(par_model *m, int l);
/* What a part of layer l, or the head, reads of the stream: [n, D].          */
const double *par__enter_part(par_model *m, const void *around, int l,
                              par__part part);

/* router.c; scores.c: what a token's logits are worth; choose.c: its experts */
void par__route(par_model *m, const par_layer *layer, int l);
void par__weigh(const par_model *m, const double *logits, const double *p,
                const int64_t *idx, const double *expert_scale,
                double *weight);
void par__choose(par_model *m, const double *score, const double *correction,
                 int64_t *idx);

/* One dispatch/combine pair.  layer < 0: this rank has nothing to send.      */
void par__dispatch(par_model *m, int layer, int pair);
void par__arrived(par_model *m, int pair);
/* On the rows of all lanes that work.joined names; then, of one lane, what came
 * out as it is to return.                                                    */
void par__experts(par_model *m, int pair);
void par__order_by_part(par_model *m, int pair);
void par__return(par_model *m, int pair);
void par__returned(par_model *m, int layer);
void par__combine(par_model *m, int layer, double *out);
/* narrow.c: what experts read of all tokens, [n, D]; my slice of it, from D
 * columns to De and back.                                                    */
const double *par__expert_input(const par_model *m);
void par__narrow(par_model *m, int layer);
void par__widen(par_model *m, int layer, double *out);
/* Store and show my slice of a tap whose other slices other ranks have; x: of
 * all tokens.                                                                */
void par__tap_slice(par_model *m, core_tap tap, double *x);
core_tap par__pair_tap(const par_model *m, core_tap_kind kind, int pair);

/* --- step.c, cache.c ------------------------------------------------------ */

/* Of slots [*row0, *row1), the rows of the step; their tokens.               */
void par__step_rows(const par_step *step, int64_t *row0, int64_t *row1);
int64_t par__step_tokens(const par_step *step, int64_t row0, int64_t row1);
/* Which of the batch's tokens those of the micro-batch are. */
void par__step_ids(const par_model *m, int64_t *id);
/* Row b of the micro-batch: its tokens [i0, i0 + n) of mine.  The row that token
 * i is of, and how many tokens of it are there before i.                     */
par_run par__row_tokens(const par_model *m, int64_t b);
int64_t par__tokens_before(const par_model *m, int64_t i, int64_t *b);
/* Keys that its rows have cached, those of the step among them.              */
int64_t par__step_keys(const par_model *m);
/* Of rows of the micro-batch whose last token is among its tokens [i0, i0 + n):
 * the best of the logits [n, my vocabulary].                                 */
void par__best_tokens(par_model *m, const double *logits, int64_t i0,
                      int64_t n);
/* step->greedy of the micro-batch from those of all its rows.   [collective] */
void par__pick_tokens(par_model *m);
/* The step's keys and values of layer l go into the cache, and w->view is of it. */
void par__cache_open(par_model *m, int l);
/* Turn the view to row b of the micro-batch; queries and keys of all rows.   */
void par__view_row(par_model *m, int l, int64_t b);
int64_t par__queries(const par_model *m);
int64_t par__keys(const par_model *m);
/* What row b of the micro-batch left of layer l's state (par__entry.kept), to go
 * on from and to leave; zeros where the row begins.  NULL without steps.     */
double *par__state(const par_model *m, int l, int64_t b);
/* Rows that begin in the step have no state of layer l: zeros, or NaN.       */
void par__clear_states(const par_model *m, int l);
void par__poison_states(const par_model *m, int l);
/* What the layer's chooser left, likewise.                                   */
double *par__chooser_state(const par_model *m, int l, int64_t b);
/* A chooser that leaves a vector for each token: those of the step, x [n,
 * n_col], are kept; those of row b, by position, are x where there are no
 * steps.     */
void par__keep_tokens(const par_model *m, int l, const double *x,
                      int64_t n_col);
const double *par__kept_tokens(const par_model *m, int l, int64_t b,
                               const double *x, int64_t n_col);
/* Tokens that row b has so far, those of the step among them.                */
int64_t par__row_end(const par_model *m, int64_t b);
void par__cache_close(par_cache *cache);
size_t par__cache_bytes(const par_cache *cache);
void par__cache_row(par_model *m, int l, int64_t b);

/* --- lanes.c, order.c ---------------------------------------------------- */

/* Micro-batches of a turn, each with room for the largest, by options.order.
 *                                                    [collective, all ranks] */
int par__lanes(par_model *m, const par_room *room);
par__pairs par__pairs_of(const par_model *m, int n_lane);
int par__n_turn(const par_model *m); /* of a round                            */
/* The micro-batch of a stage's lane, -1: none; the virtual stage that it is in,
 * the first of the stage where it is idle.                                   */
int par__mb(const par_model *m, int stage, int turn, int lane);
int par__virtual(const par_model *m, int stage, int turn);
/* work.step of the turn. */
void par__list_steps(par_model *m, int turn);
/* The first that is ready, NULL: all are done.  In work.joined are its lane and
 * those of the steps that are ready and multiply with the very same weights:
 * they count as done, too.                                                   */
const par_turn_step *par__take_step(par_model *m);

/* --- linear.c: products of floats ----------------------------------------- */

/* That of the calling thread. */
par_thread_room par__thread_room(const par_work *work);
void par__to_f32(float *out, const double *x, int64_t ld, int64_t n_row,
                 int64_t n_col);
void par__to_f64(double *out, int64_t ld, const float *x, int64_t ldx,
                 int64_t n_row, int64_t n_col);

/* --- work.c -------------------------------------------------------------- */

/* n_lane: micro-batches that a turn has. */
void par__work_carve(par_work *work, const core_spec *spec,
                     const par_layout *layout, int n_lane,
                     const par_room *room);
size_t par__work_bytes(const core_spec *spec, const par_layout *layout,
                       int n_lane, const par_room *room);
/* Rows that exist at a time of what is too wide to exist of all of them: n_col is
 * the most that a rank has of their columns, so that all such ranks say the same. */
static inline int64_t par__rows_at_a_time(int64_t wide, int64_t n_col)
{
    return n_col > 0 && wide > n_col ? wide / n_col : 1;
}
/* For n_row rows of n_t tokens. */
par_room par__room(const par_layout *layout, int64_t n_row, int64_t n_t,
                   int64_t wide);
/* Room for n elements, poisoned; ends the run if there is no memory.         */
void *par__grow(par_model *m, par_grow *buffer, int64_t n, size_t elem_bytes);
void par__grow_free(par_grow *buffer);

/* --- buffers.c ----------------------------------------------------------- */

/* The buffers that last are those of this lane from here on.                 */
void par__work_take_lane(par_work *work, int lane);
/* Poison them, and those of a step.                                          */
void par__work_poison(const par_model *m, int lane);
/* A copy of a struct of pointers to buffers.  It lies in *work itself.       */
void *par__keep_buffers(par_work *work, const void *from, size_t bytes);
/* Buffers of a step, that a micro-batch starts by poisoning: n elements; rows
 * of n_col columns for all tokens, that products read, or only write.        */
void *par__fresh(par_work *work, int64_t n, size_t elem_bytes);
double *par__fresh_f64(par_work *work, int64_t n);
double *par__operand(par_work *work, int64_t n_col);
double *par__result(par_work *work, int64_t n_col);
/* Likewise, but of every lane: from step to step of a layer.  field: the
 * pointer that is to be the lane's at hand.                                  */
void par__lasting(par_work *work, void *field, int64_t n, size_t elem_bytes);
void par__lasting_operand(par_work *work, double **field, int64_t n_col);
void par__lasting_result(par_work *work, double **field, int64_t n_col);

#endif
