/* core/model/weight_list.h -- which tensors of weights a model has.
 *
 * A model's weights are named by data, not by file: a kind, a layer and an
 * expert.  Every tensor is presented as a matrix [rows, cols] = [out, in],
 * vectors as [1, n].
 */
#ifndef CORE_WEIGHT_LIST_H
#define CORE_WEIGHT_LIST_H

#include "core/model/spec.h"
#include "core/numbers/numerics.h"

typedef enum core_weight_kind {
#define CORE_WEIGHT_ENUM(kind, ...) CORE_W_##kind,
    CORE_WEIGHT_LIST(CORE_WEIGHT_ENUM)
#undef CORE_WEIGHT_ENUM
    CORE_N_WEIGHT_KINDS,
    CORE_W_NONE = CORE_N_WEIGHT_KINDS
} core_weight_kind;

/* How often a model has a kind.                                              */
typedef enum core_weight_scope {
    CORE_SCOPE_ONCE,
    CORE_SCOPE_LAYER,
    CORE_SCOPE_EXPERT,
} core_weight_scope;

typedef struct core_weight {
    core_weight_kind kind;
    int layer;  /* 0 where the kind has none */
    int expert; /* 0 where the kind has none */
} core_weight;

/* Does the model have this tensor?  (A tied head does: it is EMBED.) [local] */
bool core_weight_exists(const core_spec *spec, core_weight id);
void core_weight_shape(const core_spec *spec, core_weight id, int64_t *n_row,
                       int64_t *n_col);
core_weight_scope core_weight_scope_of(core_weight_kind kind);
/* The bias of a matrix's outputs; CORE_W_NONE: the kind has none, ever.      */
core_weight_kind core_weight_bias(core_weight_kind kind);
/* Whose rounding it has when it is read: w, router or out.  A product with it
 * reads act beside it, with one of router's router.                  [local] */
core_slot core_weight_slot(core_weight_kind kind);
core_slot core_operand_slot(core_weight_kind kind);
/* Is it of whole numbers, which no numerics rounds?                  [local] */
bool core_weight_is_index(core_weight_kind kind);
const char *core_weight_name(core_weight id, char name[CORE_NAME_BYTES]);

/* May a model be computed with weights that were made for another?  Each of its
 * tensors is one of the other's, of the same shape.  Errors: E_SPEC naming the
 * first that is not.                                                 [local] */
CORE_NODISCARD core_status core_weight_check_within(const core_spec *spec,
                                                    const core_spec *other);

/* Dense index of a tensor in [0, core_weight_count); layer by layer. [local] */
int64_t core_weight_count(const core_spec *spec);
int64_t core_weight_index(const core_spec *spec, core_weight id);
/* All tensors by index: writes core_weight_count ids, a tied head is none.   */
void core_weight_list(const core_spec *spec, core_weight *out);

#endif
