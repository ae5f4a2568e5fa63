/* core/model/gradients.h -- which gradients a backward pass gives, and of what.
 *
 * The loss is the sum of all logits, each times a fixed weight on the grid of
 * activations.  A gradient is that of a value of the forward pass, named as its
 * tap, or that of a tensor of weights.  Each is stored once, when its sum is
 * whole: ref/MODEL.md, "Backward".  Models of the seed's family have them, with
 * every setting that seed-30b, shadow-a and shadow-b differ in.
 */
#ifndef CORE_GRADIENTS_H
#define CORE_GRADIENTS_H

#include "core/model/taps.h"
#include "core/model/weight_list.h"

#define CORE_STEP_GRAD 0x1p-16 /* exact mode: of every gradient */

enum { CORE_GRAD_NAME_BYTES = CORE_NAME_BYTES + 16 };

typedef struct core_grad {
    bool is_weight;
    core_tap tap; /* else: the gradient of what this tap holds          */
    core_weight weight;
} core_grad;

core_grad core_grad_of_tap(core_tap_kind kind, int layer);
core_grad core_grad_of_weight(core_weight id);

/* Has the backward pass the gradient of this tap?                    [local] */
bool core_grad_exists(const core_spec *spec, core_tap tap);

/* Those taps, in the order in which their gradients are made.  Writes at most
 * `capacity` and returns how many there are.  Weights: core_weight_list.
 *                                                                    [local] */
int64_t core_grad_taps(const core_spec *spec, core_tap *out, int64_t capacity);

/* Rows and columns for n_token tokens.                               [local] */
void core_grad_shape(const core_spec *spec, core_grad grad, int64_t n_token,
                     int64_t *n_row, int64_t *n_col);

/* "grad.layers.3.mid", "grad.weight.layers.3.attn.q"; returns name.  [local] */
const char *core_grad_name(core_grad grad, char name[CORE_GRAD_NAME_BYTES]);

/* The loss's weight of logit v of a token: an odd multiple of CORE_STEP_ACT in
 * (-2, 2).                                                           [local] */
double core_grad_loss(const core_spec *spec, uint64_t seed, int64_t token,
                      int64_t v);

/* What storing does to gradients: exact snaps, fp64 nothing.         [local] */
void core_grad_store(core_numerics numerics, double *x, int64_t n);

/* Errors: E_USAGE naming the first setting that no gradient is known for.
 *                                                                    [local] */
CORE_NODISCARD core_status core_grad_check(const core_spec *spec);

#endif
