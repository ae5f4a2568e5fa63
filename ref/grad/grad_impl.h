/* ref/grad/grad_impl.h -- what the files of the backward pass share.
 *
 * Read backward.c first.  Every value of the forward pass is on the tape as it
 * was stored at its tap; nothing is computed again but the probabilities of
 * attention, from stored queries and keys.
 */
#ifndef REF_GRAD_IMPL_H
#define REF_GRAD_IMPL_H

#include "ref/gradients.h"
#include "ref/ref_impl.h"

enum { REF__BACK_ROWS = 6 };

typedef struct ref__back {
    const core_spec *spec;
    const core_weights *weights;
    const core_batch *batch;
    core_numerics numerics;
    bool exact;
    int64_t n; /* tokens                                                      */
    uint64_t seed;
    const ref_grad_room *room;
    ref_stats *stats;
    double **tape;    /* [kinds * layers] of taps, as doubles; NULL: not read */
    core_arena arena; /* of the tape, and of what a pass works on             */
    double *w;        /* one weight, whole                                    */
    double *rows[REF__BACK_ROWS]; /* [N*K, widest] of operators               */
    int64_t *choice; /* [N*K] of an expert                                   */
    double *logits;  /* [N, V] their gradients: the loss's weights           */
    double *cos_tj, *sin_tj; /* [T, Dh/2]                                     */
} ref__back;

/* What is known of a sum before it is stored.                                */
typedef struct ref__sum {
    double magnitude; /* at most that of all terms of an element together     */
    double step;      /* of which all terms are multiples                     */
} ref__sum;

/* ---- tape.c -------------------------------------------------------------- */

/* Does the backward pass read taps of this kind?                             */
bool ref__is_taped(core_tap_kind kind);
/* Room for them, and what fills it.                                          */
void ref__tape_take(ref__back *b);
core_tap_sink ref__tape_sink(ref__back *b);
/* A tap of the forward pass; where gradients go.                             */
const double *ref__taped(const ref__back *b, core_tap_kind kind, int layer);
double *ref__grad_room(const ref__back *b, core_tap_kind kind, int layer);
double *ref__weight_room(const ref__back *b, core_weight id);

/* ---- sums.c -------------------------------------------------------------- */

ref__sum ref__no_sum(void);
void ref__more(const ref__back *b, ref__sum *sum, double magnitude,
               double step);
/* Exact mode: does the sum fit?  Then it is stored, n elements.              */
void ref__finish(const ref__back *b, const ref__sum *sum, core_grad of,
                 double *x, int64_t n);
/* Largest norm of a column of x [n_row, n_col].                              */
double ref__column_norm(const double *x, int64_t n_row, int64_t n_col);
/* dx [n, n_in] += dy [n, n_out] W, of weight `id` [n_out, n_in].             */
void ref__back_input(ref__back *b, ref__sum *sum, core_weight id,
                     const double *dy, int64_t n, double *dx);
/* The gradients of the weight, dy^T x, and of its bias, sum of dy: added to
 * what their room holds.  Not stored: more may come. */
void ref__back_weight(ref__back *b, ref__sum *sum, core_weight id,
                      const double *dy, const double *x, int64_t n);
/* That, complete and stored.                                                 */
void ref__back_whole_weight(ref__back *b, core_weight id, const double *dy,
                            const double *x, int64_t n);

/* ---- a file an operator -------------------------------------------------- */

/* dx = stored: carry + the gradient through the norm of x, of which dy is the
 * gradient; that of the weight beside it.                                    */
void ref__back_norm(ref__back *b, core_weight weight, core_grad of,
                    const double *x, const double *dy, const double *carry,
                    double *dx);
/* From the gradient of the mixer's result to that of its normed input.       */
void ref__back_attention(ref__back *b, int layer, const double *dy);
/* dxn, zero before: += what goes through the experts and the router, or through
 * the MLP.                                                                   */
void ref__back_moe(ref__back *b, int layer, const double *dy, ref__sum *sum,
                   double *dxn);
void ref__back_mlp(ref__back *b, int layer, const double *dy, ref__sum *sum,
                   double *dxn);
/* From the gradient of the weights to that of the logits.                    */
void ref__back_router(ref__back *b, int layer);
/* da [n]: that of act; gate NULL: up is activated alone, dgate not touched.  */
void ref__back_activation(const ref__back *b, const double *gate,
                          const double *up, const double *da, int64_t n,
                          double *dgate, double *dup);

#endif
