/* core/model/taps.h -- the named observation points of a forward pass.
 *
 * A tap is a 2-D table: rows x columns.  Rows are tokens (row b*T+t of the
 * batch) or choices (token*K + k: the k-th expert of a token; dropped choices
 * have no row).  Taps are also the only places where a value is stored: snapped
 * in exact mode, rounded in fp32 and bf16, and only after the complete
 * reduction.  The order of the enumeration is the order of execution within a
 * layer.
 */
#ifndef CORE_TAPS_H
#define CORE_TAPS_H

#include "core/model/spec.h"
#include "core/numbers/numerics.h"

typedef enum core_tap_rows {
    CORE_ROWS_TOKEN,  /* one row per token                                    */
    CORE_ROWS_CHOICE, /* one row per (token, choice) that has a slot          */
} core_tap_rows;

typedef enum core_tap_kind {
#define CORE_TAP_ENUM(kind, ...) CORE_TAP_##kind,
    CORE_TAP_LIST(CORE_TAP_ENUM)
#undef CORE_TAP_ENUM
    CORE_N_TAP_KINDS
} core_tap_kind;

typedef struct core_tap {
    core_tap_kind kind;
    int layer; /* 0 for those that exist once */
} core_tap;

core_tap_rows core_tap_row_kind(core_tap_kind kind);
core_grid core_tap_grid(core_tap_kind kind);

/* The numerics with which the tap's operator stores: that of its slot.       */
core_slot core_tap_slot(core_tap_kind kind);
core_numerics core_tap_numerics(core_numerics numerics, core_tap_kind kind);

/* That of the coarsest store on the way from the taps before it: attention's
 * probabilities are stored as its products read them, or the sums that they go
 * into are.                                                                  */
core_numerics core_tap_coarsest(core_numerics numerics, core_tap_kind kind);

bool core_tap_is_coarse(core_tap_kind kind);

/* True for taps that exist once in a model (embed, final_norm, logits, ...). */
bool core_tap_is_global(core_tap_kind kind);

/* Does this model have the tap?  (A dense layer has no router, ...)  [local] */
bool core_tap_exists(const core_spec *spec, core_tap tap);

/* Columns of the tap: D, H*Dh, E, K, F, V, ...                       [local] */
int64_t core_tap_cols(const core_spec *spec, core_tap tap);

/* Heads whose columns lie side by side in the tap, alike wide; 0: none.      */
int64_t core_tap_heads(const core_spec *spec, core_tap tap);

/* What the operator does, for reports: "query projection".           [local] */
const char *core_tap_words(core_tap_kind kind);

/* Rows of the tap for n_t tokens: n_t or n_t*K (dropped ones included).      */
int64_t core_tap_n_rows(const core_spec *spec, core_tap tap, int64_t n_t);

/* The name with %d for the layer.                                    [local] */
const char *core_tap_pattern(core_tap_kind kind);
/* "layers.3.attn_out" into name[CORE_NAME_BYTES]; returns name.      [local] */
const char *core_tap_name(core_tap tap, char name[CORE_NAME_BYTES]);

/* Inverse of core_tap_name; false if the text names no tap.          [local] */
bool core_tap_parse(core_tap *out, const char *name);

/* All taps of the model in execution order.  Writes at most `capacity` entries
 * and returns how many there are; call with (NULL, 0) for the size.  [local] */
int64_t core_taps(const core_spec *spec, core_tap *out, int64_t capacity);

/* Where the reference delivers its taps: whole tensors, one call per tap, in
 * execution order.  Exactly one of values (ACT, PROB) and ints (INT) is given;
 * rows of dropped choices are zero.  bound is NULL unless the run computes
 * bounds: the largest error that a correct implementation in the run's
 * numerics, fed with the reference's inputs of this operator, may show per
 * element.  Of it core_store_error is what storing on two sides alone may do,
 * the rest is what computing may.  All borrowed.                             */
typedef struct core_tap_sink {
    void *self;
    void (*put)(void *self, core_tap tap, const double *values,
                const int64_t *ints, const float *bound);
    /* False: the tap need not be delivered, so that a run that keeps only the
     * coarse taps makes none of the large ones.  NULL: wants all.            */
    bool (*wants)(void *self, core_tap tap);
} core_tap_sink;

#endif
