/* core/model/operators.h -- what layers are made of.
 *
 * An operator has one home: its file in core/model/operators/ says what it
 * stores (taps), which weights it has, its settings, and when it is there.  The
 * lists below put the rows of all of them together, in the order of execution;
 * lists of taps and weights, sizes, names in files, parameter counts and what a
 * golden holds follow from them.  Adding one: docs/adding-an-operator.md.
 *
 * A row is an X(...) of these columns, expressions of the spec `s` and the
 * layer `l` (heads, names of files and fields know no layer):
 *   tap     kind, name (%d = layer), rows (TOKEN | CHOICE), grid (ACT | PROB |
 *           INT), coarse (one of the oracle's names), when it is there,
 *           columns, heads side by side in them (0: none), words for a report
 *   weight  kind, scope (ONCE | LAYER | EXPERT), name (%d = layer, expert),
 *           when it is there, rows, columns, procedural values (core/weights/),
 *           its bias, how it lies in a file tensor (file_tensor.h), and the name
 *           of that; families that call it otherwise say so (families/)
 *   field   of a spec file: id, path, type, member of the spec, when it applies,
 *           may it be left out
 */
#ifndef CORE_OPERATORS_H
#define CORE_OPERATORS_H

#include "core/model/operators/attention.h"
#include "core/model/operators/attn_res.h"
#include "core/model/operators/block_index.h"
#include "core/model/operators/context_gate.h"
#include "core/model/operators/deltanet.h"
#include "core/model/operators/digest.h"
#include "core/model/operators/ends.h"
#include "core/model/operators/hyper.h"
#include "core/model/operators/indexer.h"
#include "core/model/operators/latent.h"
#include "core/model/operators/mamba.h"
#include "core/model/operators/mlp.h"
#include "core/model/operators/moe.h"
#include "core/model/operators/o_groups.h"
#include "core/model/operators/onekv.h"
#include "core/model/operators/shared_gate.h"
#include "core/model/operators/shortconv.h"
#include "core/model/operators/ssd.h"
#include "core/model/operators/stream.h"

/* --- operators that stand in each other's place ----------------------------
 *
 * X(ENUMERATOR, name), a list for each place.  Both passes and the records of
 * cost make their tables from these lists, so that nothing else names an
 * operator but its own files.  The row of a mixer says also CORE_NAME_MODULE,
 * _TAKES_PADDING and _FLOPS (spec.h), that of a projection CORE_NAME_CHOSEN, of
 * a chooser _CHOSEN, _TAKES_PADDING, _PAIR_FLOPS and of core_seen _SETS and
 * _WIDE, of a shared one CORE_NAME_HERE, of a connection _CHOSEN and _STREAMS, of
 * D columns each; the first that is chosen, or here, is taken.
 */

/* The first half of a layer: from the normed input to what is added to the
 * stream.  The words of `mixer` in a spec file.                              */
#define CORE_MIXER_LIST(X)                                                     \
    X(ATTENTION, attention) X(MAMBA, mamba) X(DELTANET, deltanet) X(SSD, ssd)  \
    X(SHORTCONV, shortconv)

/* How attention gets its queries, keys and values.                           */
#define CORE_PROJECTION_LIST(X) X(QKV, qkv) X(LATENT, latent) X(ONEKV, onekv)

/* What chooses the keys that queries attend to, in layers that choose.       */
#define CORE_CHOOSER_LIST(X)                                                   \
    X(INDEXER, indexer) X(BLOCK_INDEX, block_index) X(PICKER, picker)

/* What the output of a shared expert is multiplied by.                       */
#define CORE_SHARED_LIST(X) X(SHARED_GATE, shared_gate)

/* What stands between the residual stream and the parts of a layer; none: a
 * part reads the stream, and is added to it.                                 */
#define CORE_CONNECTION_LIST(X) X(HYPER, hyper) X(ATTN_RES, attn_res)

typedef enum core_mixer {
#define CORE_MIXER_ENUM(kind, name) CORE_MIXER_##kind,
    CORE_MIXER_LIST(CORE_MIXER_ENUM)
#undef CORE_MIXER_ENUM
    CORE_N_MIXERS
} core_mixer;

typedef enum core_projection {
#define CORE_PROJECTION_ENUM(kind, name) CORE_PROJECTION_##kind,
    CORE_PROJECTION_LIST(CORE_PROJECTION_ENUM)
#undef CORE_PROJECTION_ENUM
    CORE_N_PROJECTIONS
} core_projection;

typedef enum core_chooser {
#define CORE_CHOOSER_ENUM(kind, name) CORE_CHOOSER_##kind,
    CORE_CHOOSER_LIST(CORE_CHOOSER_ENUM)
#undef CORE_CHOOSER_ENUM
    CORE_N_CHOOSERS
} core_chooser;

typedef enum core_shared {
#define CORE_SHARED_ENUM(kind, name) CORE_SHARED_##kind,
    CORE_SHARED_LIST(CORE_SHARED_ENUM)
#undef CORE_SHARED_ENUM
    CORE_N_SHARED
} core_shared;

typedef enum core_connection {
#define CORE_CONNECTION_ENUM(kind, name) CORE_CONNECTION_##kind,
    CORE_CONNECTION_LIST(CORE_CONNECTION_ENUM)
#undef CORE_CONNECTION_ENUM
    CORE_N_CONNECTIONS
} core_connection;

/* Operators whose settings have rules of their own (operators/NAME.c).       */
#define CORE_CHECK_LIST(X)                                                     \
    X(latent) X(indexer) X(block_index) X(mamba) X(deltanet) X(ssd)            \
    X(shortconv) X(hyper) X(onekv) X(o_groups) X(digest)                       \
    X(attn_res)

/* Their fields in a spec file, by place.                                     */
#define CORE_PROJECTION_FIELDS(X)                                              \
    CORE_LATENT_FIELDS(X) CORE_ONEKV_FIELDS(X) CORE_O_GROUPS_FIELDS(X)         \
    CORE_DIGEST_FIELDS(X)
#define CORE_CHOOSER_FIELDS(X)                                                 \
    CORE_INDEXER_FIELDS(X) CORE_BLOCK_INDEX_FIELDS(X)
#define CORE_MIXER_FIELDS(X)                                                   \
    CORE_CONTEXT_GATE_FIELDS(X) CORE_MAMBA_FIELDS(X) CORE_DELTANET_FIELDS(X)   \
    CORE_SSD_FIELDS(X) CORE_SHORTCONV_FIELDS(X)
#define CORE_SHARED_FIELDS(X) CORE_SHARED_GATE_FIELDS(X)
#define CORE_CONNECTION_FIELDS(X) CORE_HYPER_FIELDS(X) CORE_ATTN_RES_FIELDS(X)

/* --- all rows --------------------------------------------------------------
 *
 * Traps: rows of layers stand between IN and OUT, ATTN_NORM and FINAL_NORM; taps
 * of mixers before ATTN_OUT; weights of experts together, and those of the MLP.
 * Whether a layer has a weight may rest on its mixer, its FFN, its kind of heads
 * and whether it chooses keys alone: weight_list.c counts layers alike once.
 */

#define CORE_TAP_LIST(X)                                                       \
    CORE_EMBED_TAPS(X)                                                         \
    CORE_LAYER_IN_TAPS(X)                                                      \
    CORE_HYPER_MIXER_TAPS(X)                                                   \
    CORE_ATTN_RES_MIXER_TAPS(X)                                                \
    CORE_MIXER_NORM_TAPS(X)                                                    \
    CORE_LATENT_QUERY_TAPS(X)                                                  \
    CORE_QUERY_TAPS(X)                                                         \
    CORE_LATENT_KEY_TAPS(X)                                                    \
    CORE_ATTENTION_TAPS(X)                                                     \
    CORE_DIGEST_TAPS(X)                                                        \
    CORE_INDEXER_TAPS(X)                                                       \
    CORE_BLOCK_INDEX_TAPS(X)                                                   \
    CORE_CONTEXT_TAPS(X)                                                       \
    CORE_ONEKV_TAPS(X)                                                         \
    CORE_CONTEXT_GATE_TAPS(X)                                                  \
    CORE_O_GROUPS_TAPS(X)                                                      \
    CORE_MAMBA_TAPS(X)                                                         \
    CORE_DELTANET_TAPS(X)                                                      \
    CORE_SSD_TAPS(X)                                                           \
    CORE_SHORTCONV_TAPS(X)                                                     \
    CORE_LAYER_MID_TAPS(X)                                                     \
    CORE_HYPER_FFN_TAPS(X)                                                     \
    CORE_ATTN_RES_FFN_TAPS(X)                                                  \
    CORE_FFN_NORM_TAPS(X)                                                      \
    CORE_MOE_TAPS(X)                                                           \
    CORE_MLP_TAPS(X)                                                           \
    CORE_SHARED_GATE_TAPS(X)                                                   \
    CORE_MLP_POST_TAPS(X)                                                      \
    CORE_LAYER_OUT_TAPS(X)                                                     \
    CORE_HYPER_HEAD_TAPS(X)                                                    \
    CORE_ATTN_RES_HEAD_TAPS(X)                                                 \
    CORE_HEAD_TAPS(X)

#define CORE_WEIGHT_LIST(X)                                                    \
    CORE_EMBED_WEIGHTS(X)                                                      \
    CORE_MIXER_NORM_WEIGHTS(X)                                                 \
    CORE_HYPER_MIXER_WEIGHTS(X)                                                \
    CORE_ATTN_RES_MIXER_WEIGHTS(X)                                             \
    CORE_LATENT_QUERY_WEIGHTS(X)                                               \
    CORE_QUERY_WEIGHTS(X)                                                      \
    CORE_LATENT_KEY_WEIGHTS(X)                                                 \
    CORE_ATTENTION_WEIGHTS(X)                                                  \
    CORE_INDEXER_WEIGHTS(X)                                                    \
    CORE_BLOCK_INDEX_WEIGHTS(X)                                                \
    CORE_CONTEXT_GATE_WEIGHTS(X)                                               \
    CORE_O_GROUPS_WEIGHTS(X)                                                   \
    CORE_DIGEST_WEIGHTS(X)                                                     \
    CORE_MAMBA_WEIGHTS(X)                                                      \
    CORE_DELTANET_WEIGHTS(X)                                                   \
    CORE_SSD_WEIGHTS(X)                                                        \
    CORE_SHORTCONV_WEIGHTS(X)                                                  \
    CORE_HYPER_FFN_WEIGHTS(X)                                                  \
    CORE_ATTN_RES_FFN_WEIGHTS(X)                                               \
    CORE_FFN_NORM_WEIGHTS(X)                                                   \
    CORE_MOE_WEIGHTS(X)                                                        \
    CORE_MLP_WEIGHTS(X)                                                        \
    CORE_SHARED_GATE_WEIGHTS(X)                                                \
    CORE_MLP_POST_WEIGHTS(X)                                                   \
    CORE_HEAD_WEIGHTS(X)                                                       \
    CORE_HYPER_HEAD_WEIGHTS(X)                                                 \
    CORE_ATTN_RES_HEAD_WEIGHTS(X)

/* Weights of products over what a tensor-parallel group splits: their parts are
 * added up.                                                                  */
#define CORE_ROW_PARALLEL_LIST(X)                                              \
    X(O) X(MAMBA_X) X(MAMBA_OUT) X(DELTANET_OUT) X(SSD_OUT) X(SHORTCONV_OUT)   \
    X(EXPERT_DOWN) X(MLP_DOWN)

/* --- slots of a numerics (core/numbers/numerics.h) -------------------------
 *
 * Taps of the residual stream, of the router (and of what else weighs streams),
 * and of probabilities; all others are `out`.  Weights of the router, likewise;
 * of the others, matrices are `w`.
 */
#define CORE_RESIDUAL_TAP_LIST(X) X(EMBED) X(IN) X(MID) X(OUT)
#define CORE_ROUTER_TAP_LIST(X)                                                \
    X(ROUTER_LOGITS) X(SHARED_LOGIT) X(ATTN_MIX) X(FFN_MIX) X(HEAD_MIX)       \
    X(ATTN_LOOK) X(FFN_LOOK) X(HEAD_LOOK)
#define CORE_PROB_TAP_LIST(X)                                                  \
    X(ROUTER_PROBS) X(TOPK_WEIGHT) X(SHARED_SCORE) X(ATTN_STREAMS)             \
    X(FFN_STREAMS) X(HEAD_STREAMS) X(ATTN_BACK) X(FFN_BACK) X(HEAD_BACK)
#define CORE_ROUTER_WEIGHT_LIST(X)                                             \
    X(ROUTER) X(ROUTER_BIAS) X(CORRECTION) X(EXPERT_SCALE) X(SHARED_GATE)      \
    X(ATTN_MIX) X(ATTN_MIX_BASE) X(ATTN_MIX_SCALE) X(FFN_MIX) X(FFN_MIX_BASE)  \
    X(FFN_MIX_SCALE) X(HEAD_MIX) X(HEAD_MIX_BASE) X(HEAD_MIX_SCALE)            \
    X(ATTN_LOOK) X(FFN_LOOK) X(HEAD_LOOK)
/* Weights that are whole numbers, in every numerics as they are.             */
#define CORE_INDEX_WEIGHT_LIST(X) X(EXPERT_TABLE)

#endif
