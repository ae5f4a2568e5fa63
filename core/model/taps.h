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

/* kind, name (%d = layer), rows, grid, coarse (one of the oracle's names) */
#define CORE_TAP_LIST(X)                                                       \
    X(EMBED, "embed", TOKEN, ACT, true)                                        \
    X(IN, "layers.%d.in", TOKEN, ACT, false)                                   \
    X(ATTN_NORM, "layers.%d.attn.norm", TOKEN, ACT, false)                     \
    X(Q_A, "layers.%d.attn.q_a", TOKEN, ACT, false)                            \
    X(Q_A_NORM, "layers.%d.attn.q_a_norm", TOKEN, ACT, false)                  \
    X(Q, "layers.%d.attn.q", TOKEN, ACT, false)                                \
    X(KV_A, "layers.%d.attn.kv_a", TOKEN, ACT, false)                          \
    X(KV_A_NORM, "layers.%d.attn.kv_a_norm", TOKEN, ACT, false)                \
    X(KV_B, "layers.%d.attn.kv_b", TOKEN, ACT, false)                          \
    X(K, "layers.%d.attn.k", TOKEN, ACT, false)                                \
    X(V, "layers.%d.attn.v", TOKEN, ACT, false)                                \
    X(Q_NORM, "layers.%d.attn.q_norm", TOKEN, ACT, false)                      \
    X(K_NORM, "layers.%d.attn.k_norm", TOKEN, ACT, false)                      \
    X(Q_ROPE, "layers.%d.attn.q_rope", TOKEN, ACT, false)                      \
    X(K_ROPE, "layers.%d.attn.k_rope", TOKEN, ACT, false)                      \
    X(Q_ROPE_NORM, "layers.%d.attn.q_rope_norm", TOKEN, ACT, false)            \
    X(K_ROPE_NORM, "layers.%d.attn.k_rope_norm", TOKEN, ACT, false)            \
    X(Q_TEMPER, "layers.%d.attn.q_temper", TOKEN, ACT, false)                  \
    X(CONTEXT, "layers.%d.attn.context", TOKEN, ACT, false)                    \
    X(MAMBA_U, "layers.%d.mamba.u", TOKEN, ACT, false)                         \
    X(MAMBA_GATE, "layers.%d.mamba.gate", TOKEN, ACT, false)                   \
    X(MAMBA_CONV, "layers.%d.mamba.conv", TOKEN, ACT, false)                   \
    X(MAMBA_ACT, "layers.%d.mamba.act", TOKEN, ACT, false)                     \
    X(MAMBA_X, "layers.%d.mamba.x", TOKEN, ACT, false)                         \
    X(MAMBA_DT_NORM, "layers.%d.mamba.dt_norm", TOKEN, ACT, false)             \
    X(MAMBA_B, "layers.%d.mamba.b", TOKEN, ACT, false)                         \
    X(MAMBA_C, "layers.%d.mamba.c", TOKEN, ACT, false)                         \
    X(MAMBA_DT_RAW, "layers.%d.mamba.dt_raw", TOKEN, ACT, false)               \
    X(MAMBA_DT, "layers.%d.mamba.dt", TOKEN, PROB, false)                      \
    X(MAMBA_Y, "layers.%d.mamba.y", TOKEN, ACT, false)                         \
    X(MAMBA_GATED, "layers.%d.mamba.gated", TOKEN, ACT, false)                 \
    X(ATTN_OUT, "layers.%d.attn_out", TOKEN, ACT, true)                        \
    X(MID, "layers.%d.mid", TOKEN, ACT, false)                                 \
    X(FFN_NORM, "layers.%d.ffn.norm", TOKEN, ACT, false)                       \
    X(ROUTER_LOGITS, "layers.%d.router_logits", TOKEN, ACT, true)              \
    X(ROUTER_PROBS, "layers.%d.moe.probs", TOKEN, PROB, false)                 \
    X(TOPK_IDX, "layers.%d.topk_idx", TOKEN, INT, true)                        \
    X(TOPK_WEIGHT, "layers.%d.topk_weight", TOKEN, PROB, true)                 \
    X(SLOT, "layers.%d.moe.slot", TOKEN, INT, false)                           \
    X(RECV, "layers.%d.moe.recv", CHOICE, ACT, false)                          \
    X(EXPERT_GATE, "layers.%d.moe.gate", CHOICE, ACT, false)                   \
    X(EXPERT_UP, "layers.%d.moe.up", CHOICE, ACT, false)                       \
    X(EXPERT_ACT, "layers.%d.moe.act", CHOICE, ACT, false)                     \
    X(EXPERT_OUT, "layers.%d.moe.expert_out", CHOICE, ACT, false)              \
    X(BACK, "layers.%d.moe.back", CHOICE, ACT, false)                          \
    X(COMBINE, "layers.%d.moe.combine", TOKEN, ACT, false)                     \
    X(MLP_GATE, "layers.%d.mlp.gate", TOKEN, ACT, false)                       \
    X(MLP_UP, "layers.%d.mlp.up", TOKEN, ACT, false)                           \
    X(MLP_ACT, "layers.%d.mlp.act", TOKEN, ACT, false)                         \
    X(MLP_OUT, "layers.%d.mlp.out", TOKEN, ACT, false)                         \
    X(SHARED_LOGIT, "layers.%d.mlp.score_logit", TOKEN, ACT, false)            \
    X(SHARED_SCORE, "layers.%d.mlp.score", TOKEN, PROB, false)                 \
    X(SHARED_WEIGHTED, "layers.%d.mlp.weighted", TOKEN, ACT, false)            \
    X(FFN_OUT, "layers.%d.ffn_out", TOKEN, ACT, true)                          \
    X(OUT, "layers.%d.out", TOKEN, ACT, true)                                  \
    X(FINAL_NORM, "final_norm", TOKEN, ACT, true)                              \
    X(LOGITS, "logits", TOKEN, ACT, true)

typedef enum core_tap_kind {
#define CORE_TAP_ENUM(kind, name, rows, grid, coarse) CORE_TAP_##kind,
    CORE_TAP_LIST(CORE_TAP_ENUM)
#undef CORE_TAP_ENUM
    CORE_N_TAP_KINDS
} core_tap_kind;

typedef struct core_tap {
    core_tap_kind kind;
    int layer; /* 0 for embed, final_norm, logits */
} core_tap;

core_tap_rows core_tap_row_kind(core_tap_kind kind);
core_grid core_tap_grid(core_tap_kind kind);
bool core_tap_is_coarse(core_tap_kind kind);

/* True for taps that exist once in a model (embed, final_norm, logits).      */
bool core_tap_is_global(core_tap_kind kind);

/* Does this model have the tap?  (A dense layer has no router, ...)  [local] */
bool core_tap_exists(const core_spec *spec, core_tap tap);

/* Columns of the tap: D, H*Dh, E, K, F, V, ...                       [local] */
int64_t core_tap_cols(const core_spec *spec, core_tap tap);

/* Rows of the tap for n_t tokens: n_t or n_t*K (dropped ones included).      */
int64_t core_tap_n_rows(const core_spec *spec, core_tap tap, int64_t n_t);

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
 * element.  Of it core_store_error is what storing on two sides alone may do, the rest is
 * what computing may.  All borrowed.                                         */
typedef struct core_tap_sink {
    void *self;
    void (*put)(void *self, core_tap tap, const double *values,
                const int64_t *ints, const float *bound);
    /* False: the tap need not be delivered, so that a run that keeps only the
     * coarse taps makes none of the large ones.  NULL: wants all.            */
    bool (*wants)(void *self, core_tap tap);
} core_tap_sink;

#endif
