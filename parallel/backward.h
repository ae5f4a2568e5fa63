/* parallel/backward.h -- the distributed pass of one rank, backwards.
 *
 * A tape keeps the pieces that a forward pass shows and the way back reads.
 * par_backward then goes through the same rounds and micro-batches, layers from
 * the last to the first, and ends with the sums of weights' gradients over
 * everybody who has the weight.  Mathematics: ref/MODEL.md, "Backward"; who
 * adds what to whom: parallel/LAYOUTS.md, "Backward".
 */
#ifndef PAR_BACKWARD_H
#define PAR_BACKWARD_H

#include "core/model/gradients.h"
#include "core/weights/weights.h"
#include "parallel/forward.h"

typedef struct par_tape par_tape;

/* For a batch of n_token tokens.  Borrows layout and spec.  Errors: E_MEMORY.
 *                                                                    [local] */
CORE_NODISCARD core_status par_tape_open(par_tape **out,
                                         const par_layout *layout,
                                         const core_spec *spec,
                                         int64_t n_token);
void par_tape_close(par_tape *tape); /* accepts NULL */

/* Keep a piece, if it is read: call it of every piece of one forward pass.  A
 * lack of memory is told by par_backward.                            [local] */
void par_tape_record(par_tape *tape, const par_piece *piece);

/* A piece of a gradient as it was stored: rows row_ids[0..n_row) (NULL: row0,
 * row0 + 1 ..) x columns [col0, col0 + n_col), row stride ld.  n_owners ranks
 * show this very piece, this one is number i_owner among them.               */
typedef struct par_grad_piece {
    core_grad grad;
    const double *values;
    int64_t ld;
    const int64_t *row_ids;
    int64_t row0, n_row, col0, n_col;
    int n_owners, i_owner;
} par_grad_piece;

typedef struct par_grad_observer {
    void *self;
    void (*observe)(void *self, const par_grad_piece *piece);
    /* A record of each transfer, once it is over; NULL: nobody looks.        */
    void (*cost)(void *self, const core_cost *cost);
} par_grad_observer;

/* What is sent for what, in elements that left this rank: what the collective
 * of that axis sent.  Words of metadata count as elements. */
typedef enum par_grad_axis {
    PAR_GRAD_TP,      /* sums over tensor ranks, of activations               */
    PAR_GRAD_EP,      /* rows to the experts and back                         */
    PAR_GRAD_ETP,     /* sums over column parts                               */
    PAR_GRAD_PP,      /* between stages                                       */
    PAR_GRAD_WEIGHTS, /* sums of weights' gradients                           */
    PAR_N_GRAD_AXES
} par_grad_axis;
const char *par_grad_axis_name(par_grad_axis axis);

typedef struct par_grad_stats {
    double wall_seconds, wait_seconds;
    bool exact;          /* every sum fits 53 bits                            */
    char not_exact[160]; /* else the first gradient and the bits it needs     */
    int64_t n_sent[PAR_N_GRAD_AXES];
} par_grad_stats;

/* Does the plan split the model by nothing but tp, ep, etp, dp and pp?  Errors:
 * E_USAGE with the plan that is left without the rest.               [local] */
CORE_NODISCARD core_status par_backward_check(const par_plan *plan);

/* Everything that this rank has gradients of.  Exact numerics; the batch has no
 * mask; the plan is legal for the spec, and has passed par_backward_check.
 * Borrows all.  Errors, agreed: E_MEMORY, E_USAGE of core_grad_check.
 * [collective, world] */
CORE_NODISCARD core_status par_backward(
    par_comm *comm, const par_layout *layout, const core_spec *spec,
    const core_weights *weights, const core_batch *batch, const par_tape *tape,
    uint64_t seed, const par_grad_observer *observer, par_grad_stats *stats);

/* Bytes that tape, weights and gradients of this rank take.          [local] */
size_t par_backward_bytes(const core_spec *spec, const par_layout *layout,
                          int64_t n_b, int64_t n_t);

#endif
