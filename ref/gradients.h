/* ref/gradients.h -- the serial reference, backwards (ref/MODEL.md,
 * "Backward").
 */
#ifndef REF_GRADIENTS_H
#define REF_GRADIENTS_H

#include "core/model/gradients.h"
#include "ref/ref.h"

/* Where gradients go: room for a whole one, doubles, which stays what it is;
 * rows of dropped choices are zero in the end. */
typedef struct ref_grad_room {
    void *self;
    double *(*at)(void *self, core_grad grad);
    /* Is told the slots [N*K] of every layer that has some; NULL: is not.    */
    void (*slots)(void *self, int layer, const double *slot);
} ref_grad_room;

/* A forward pass in exact or fp64 numerics, and the gradients of the loss that
 * core_grad_loss of `seed` says.  Tokens are all real.  dealt: in place of what
 * the router would choose, or NULL.  stats: of both passes; not_exact names a
 * gradient as core_grad_name does.                                   [local]
 * Errors: E_USAGE of core_grad_check; E_MEMORY.                              */
CORE_NODISCARD core_status ref_gradients(ref_model *model,
                                         const core_batch *batch,
                                         const core_groups *groups,
                                         const ref_dealt *dealt, uint64_t seed,
                                         const ref_grad_room *room,
                                         ref_stats *stats);

/* Bytes that it needs beside the model and the room.                 [local] */
size_t ref_gradients_bytes(const core_spec *spec, int64_t n_b, int64_t n_t);

#endif
