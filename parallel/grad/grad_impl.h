/* parallel/grad/grad_impl.h -- what the files of the way back share.
 *
 * Read in this order: backward.c (rounds, layers) -> back_ends.c, back_ffn.c,
 * back_attention.c, back_norm.c -> back_moe.c, back_pair.c (rows to experts and
 * home), back_experts.c, back_router.c -> reduce.c; below them tape.c,
 * params.c, groups.c, sums.c and cost.c.
 *
 * Placements: the gradient of what is Replicate over tp is Partial until it has
 * been summed over tp, that of what is Shard is whole.  Whatever is stored is
 * whole.
 */
#ifndef PAR_GRAD_IMPL_H
#define PAR_GRAD_IMPL_H

#include "core/base/arena.h"
#include "core/model/elementary.h"
#include "parallel/backward.h"

/* --- tape.c --------------------------------------------------------------- */

/* Is it read on the way back? */
bool par__tape_keeps(core_tap_kind kind);
/* My columns of a tap: what my pieces of it have together.                   */
void par__grad_columns(const par_layout *layout, const core_spec *spec,
                       core_tap tap, int64_t *c0, int64_t *n_col);
/* The row of a choice; NULL: it was not here.                                */
const double *par__tape_choice(const par_tape *tape, core_tap_kind kind,
                               int layer, int64_t choice);
core_status par__tape_status(const par_tape *tape);

/* --- groups.c ------------------------------------------------------------- */

/* Who adds up the gradients of one weight. */
typedef struct par__grad_groups {
    par_group dp;      /* replicas: the same stage and t                      */
    par_group ends;    /* the first and the last stage: the same d and t      */
    par_group *expert; /* [n_my_expert] who has its columns, everywhere       */
} par__grad_groups;
void par__grad_groups_make(par__grad_groups *out, core_arena *arena,
                           const par_layout *layout, const core_spec *spec);

/* --- params.c ------------------------------------------------------------- */

/* What is known of a sum before it is stored.                                */
typedef struct par__terms {
    double magnitude; /* at most that of my terms of an element together      */
    double step;      /* of which they are multiples; 0: none yet             */
} par__terms;

/* A rectangle of a weight that I have, with its gradient. */
typedef struct par__param {
    core_weight id;
    int64_t r0, n_row, c0, n_col;
    double *w;        /* [n_row, n_col]                                       */
    double *g;        /* likewise: the sum over my tokens so far              */
    double norm;      /* the largest of a column of w                         */
    double step;      /* of w                                                 */
    bool is_partial;  /* over tp: each of its ranks has its slice's tokens    */
    bool is_vector;   /* Replicate over tp, and over etp                      */
    par__terms terms; /* of g                                                 */
} par__param;

typedef struct par__params {
    par__param *all;
    int64_t n;
    int *at; /* [core_weight_count] into all, or -1                           */
} par__params;

void par__params_make(par__params *out, core_arena *arena,
                      const par_layout *layout, const core_spec *spec,
                      const core_weights *weights);

/* --- the pass ------------------------------------------------------------- */

enum par__grad_buffer {
    PAR__G_OUT,
    PAR__G_FFN_NORM,
    PAR__G_MID,
    PAR__G_ATTN_NORM,
    PAR__G_U,
    PAR__G_XHAT,
    PAR__G_LOGITS,
    PAR__G_ACT,
    PAR__G_GATE,
    PAR__G_UP,
    PAR__G_CONTEXT,
    PAR__G_Q,
    PAR__G_K,
    PAR__G_V,
    PAR__G_OWN,
    PAR__G_P,
    PAR__G_DS,
    PAR__G_SHARED,
    PAR__G_SEND,
    PAR__G_RECV,
    PAR__G_META_OUT,
    PAR__G_META_IN,
    PAR__G_TABLES,
    PAR__G_EXPERT_DY,
    PAR__G_EXPERT_X,
    PAR__G_EXPERT_DA,
    PAR__G_EXPERT_A,
    PAR__G_EXPERT_DX,
    PAR__G_ALL_ACT,
    PAR__G_ALL_GATE,
    PAR__G_ALL_UP,
    PAR__G_ROWS_BACK,
    PAR__G_PLACE,
    PAR__G_WEIGHT,
    PAR__G_DZ,
    PAR__G_DP,
    PAR__G_TOKENS,
    PAR__N_GRAD_BUFFERS
};

typedef struct par__back {
    par_comm *comm;
    const par_layout *layout;
    const core_spec *spec;
    const core_weights *weights;
    const core_batch *batch;
    const par_tape *tape;
    uint64_t seed;
    const par_grad_observer *observer;
    par_grad_stats *stats;

    core_arena arena;
    par__grad_groups groups;
    par__params params;
    struct {
        void *at;
        size_t bytes;
    } buffer[PAR__N_GRAD_BUFFERS]; /* grow, never shrink                      */

    int round, mb; /* the micro-batch at hand; mb -1: weights          */
    int at;        /* the layer at hand                                */
    int64_t tick;  /* counts layers of micro-batches, for messages     */
    int64_t row0, n_row;
    int64_t n, first; /* tokens, the first of them                        */
    int64_t t0, t1;   /* my slice of them                                 */
    double *cos_tj, *sin_tj;
} par__back;

/* tape.c: my columns of a tap, of the micro-batch at hand; ends the run if the
 * forward pass did not show it.                                              */
const double *par__g_tap(const par__back *b, core_tap_kind kind, int layer);

/* --- sums.c --------------------------------------------------------------- */

/* n doubles that nobody has written yet; ends the run without memory.        */
double *par__g_room(par__back *b, enum par__grad_buffer buffer, int64_t n);
double *par__g_zeros(par__back *b, enum par__grad_buffer buffer, int64_t n);
int64_t *par__g_words(par__back *b, enum par__grad_buffer buffer, int64_t n);

/* My rectangle of a weight.                                                  */
par__param *par__param_of(const par__back *b, core_weight_kind kind, int layer,
                          int expert);

void par__terms_add(par__terms *terms, double magnitude, double step);
/* Exact mode's condition, for a sum of which n_part ranks have such terms; then
 * it is stored.                                                              */
void par__g_store(par__back *b, const par__terms *terms, int n_part,
                  core_grad of, double *x, int64_t n);
/* dx [n, n_col] += dy [n, n_row] w.                                          */
void par__g_input(par__terms *terms, const par__param *p, const double *dy,
                  int64_t n, double *dx);
/* g += dy^T x, and the bias's g += sum of dy.                                */
void par__g_weight(par__back *b, par__param *p, const double *dy,
                   const double *x, int64_t n);
double par__g_column_norm(const double *x, int64_t n_row, int64_t n_col);

/* Sums over a group, counted.                                                */
void par__g_all_reduce(par__back *b, const par_group *group, par_grad_axis axis,
                       double *x, int64_t n);

/* --- cost.c --------------------------------------------------------------- */

/* A record of what is to be sent over a group; NULL: to another stage.       */
core_cost par__g_transfer(const par__back *b, core_collective collective,
                          const par_group *group, int64_t in, int64_t out);
/* It was sent, so many bytes: counted, and shown to who wants records.       */
void par__g_count(par__back *b, par_grad_axis axis, core_cost transfer,
                  int64_t bytes);

/* --- show.c --------------------------------------------------------------- */

/* Values of all tokens of the micro-batch: whole rows that the tensor group
 * has, or my columns.                                                        */
void par__g_show_whole(par__back *b, core_tap_kind kind, int layer,
                       const double *x);
void par__g_show_columns(par__back *b, core_tap_kind kind, int layer,
                         const double *x);
/* Kv heads, some of which others have, too. */
void par__g_show_kv(par__back *b, core_tap_kind kind, int layer,
                    const double *x);
/* Rows of my slice of the tokens.                                            */
void par__g_show_slice(par__back *b, core_tap_kind kind, int layer,
                       const double *x);
void par__g_show_choices(par__back *b, core_tap_kind kind, int layer,
                         const double *x, const int64_t *choice, int64_t n,
                         int64_t c0, int64_t n_col, int n_owners, int i_owner);
void par__g_show_weight(par__back *b, const par__param *p, int n_copy,
                        int i_copy);

/* --- a file an operator --------------------------------------------------- */

/* y = stored(carry + dy through the norm of x); carry may be NULL, y may be it.
 */
void par__g_norm(par__back *b, core_weight_kind weight, core_grad of,
                 const double *x, const double *dy, const double *carry,
                 double *y);
void par__g_head(par__back *b, double *dx);
void par__g_embed(par__back *b, const double *dx);
void par__g_attention(par__back *b, int layer, const double *dmid, double *dxn);
/* dxn += my part. */
void par__g_mlp(par__back *b, int layer, const double *dout, double *dxn,
                par__terms *terms);
void par__g_moe(par__back *b, int layer, const double *dout, double *dxn,
                par__terms *terms);
void par__g_activation(const core_spec *spec, const double *gate,
                       const double *up, const double *da, int64_t n,
                       double *dgate, double *dup);
/* dz [slice, E] from dw [slice, K]. */
void par__g_router(par__back *b, int layer, const double *dw, double *dz);

/* One pair of exchanges: my kept choices' dy goes to their experts, dx comes
 * home.  is_mine: the layer is of my stage; else I only serve.               */
typedef struct par__g_pair {
    int64_t n;       /* rows of mine                                          */
    int64_t *choice; /* [n] global                                            */
    double *dx;      /* [n, D] stored, in that order                          */
} par__g_pair;
par__g_pair par__g_exchange(par__back *b, int layer, bool is_mine,
                            const double *dout);
/* dx [n, D], my part of it, of the rows dy [n, D] that arrived.              */
void par__g_experts(par__back *b, int layer, const int64_t *expert,
                    const int64_t *choice, const double *dy, int64_t n,
                    double *dx);

/* reduce.c: sums of all weights' gradients, stored and shown.                */
void par__g_reduce(par__back *b);

#endif
