/* core/model/operators/indexer.h -- the lightning indexer of sparse attention.
 *
 * A small attention without values scores every key of a query; the best are
 * what the heads of the layer attend to.
 */
#ifndef CORE_OPERATORS_INDEXER_H
#define CORE_OPERATORS_INDEXER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct core_indexer {
    int64_t n_h, n_dh; /* its heads, elements of one; one key for all         */
    bool interleaved;  /* its rotation turns neighbours, not halves           */
} core_indexer;

#define CORE_INDEXER_TAKES_PADDING true
#define CORE_INDEXER_CHOSEN (s->indexer.n_h > 0)
#define CORE_INDEXER_SETS 1
#define CORE_INDEXER_WIDE 1
#define CORE_INDEXER_HERE (CORE_EDGE_HERE && CORE_INDEXER_CHOSEN)
#define CORE_INDEXER_Q (s->indexer.n_h * s->indexer.n_dh)

/* per pair of query and key                                                  */
#define CORE_INDEXER_PAIR_FLOPS (2.0 * (double)CORE_INDEXER_Q)

#define CORE_INDEXER_TAPS(X)                                                   \
    X(INDEX_Q, "layers.%d.index.q", TOKEN, ACT, false, CORE_INDEXER_HERE,      \
      CORE_INDEXER_Q, s->indexer.n_h, "queries of the indexer")                \
    X(INDEX_K, "layers.%d.index.k", TOKEN, ACT, false, CORE_INDEXER_HERE,      \
      s->indexer.n_dh, 0, "key of the indexer")                                \
    X(INDEX_K_NORM, "layers.%d.index.k_norm", TOKEN, ACT, false,               \
      CORE_INDEXER_HERE, s->indexer.n_dh, 0, "norm of the indexer's key")      \
    X(INDEX_Q_ROPE, "layers.%d.index.q_rope", TOKEN, ACT, false,               \
      CORE_INDEXER_HERE, CORE_INDEXER_Q, s->indexer.n_h,                       \
      "rotation of the indexer's queries")                                     \
    X(INDEX_K_ROPE, "layers.%d.index.k_rope", TOKEN, ACT, false,               \
      CORE_INDEXER_HERE, s->indexer.n_dh, 0,                                   \
      "rotation of the indexer's key")                                         \
    X(INDEX_WEIGHT, "layers.%d.index.weight", TOKEN, ACT, false,               \
      CORE_INDEXER_HERE, s->indexer.n_h, s->indexer.n_h,                       \
      "weights of the indexer's heads")

#define CORE_INDEXER_WEIGHTS(X)                                                \
    X(INDEX_Q, LAYER, "layers.%d.index.q",                                     \
      CORE_INDEXER_HERE, CORE_INDEXER_Q, s->n_q_rank,                          \
      MATRIX(1.5), NONE, MATRIX,                                               \
      "model.layers.%d.self_attn.indexer.wq_b.weight")                         \
    X(INDEX_K, LAYER, "layers.%d.index.k",                                     \
      CORE_INDEXER_HERE, s->indexer.n_dh, s->n_d,                              \
      MATRIX(1.0), NONE, MATRIX,                                               \
      "model.layers.%d.self_attn.indexer.wk.weight")                           \
    X(INDEX_K_NORM, LAYER, "layers.%d.index.k_norm",                           \
      CORE_INDEXER_HERE, 1, s->indexer.n_dh, NORM, NONE, VECTOR,               \
      "model.layers.%d.self_attn.indexer.k_norm.weight")                       \
    X(INDEX_K_NORM_BIAS, LAYER, "layers.%d.index.k_norm_bias",                 \
      CORE_INDEXER_HERE, 1, s->indexer.n_dh, BIAS, NONE, VECTOR,               \
      "model.layers.%d.self_attn.indexer.k_norm.bias")                         \
    X(INDEX_WEIGHT, LAYER, "layers.%d.index.weight",                           \
      CORE_INDEXER_HERE, s->indexer.n_h, s->n_d,                               \
      MATRIX(1.0), NONE, MATRIX,                                               \
      "model.layers.%d.self_attn.indexer.weights_proj.weight")

#define CORE_INDEXER_FIELDS(X)                                                 \
    X(INDEXER_HEADS, "indexer.heads", I64, indexer.n_h,                        \
      core__any_chosen(s), true,                                               \
      "heads that score keys to be chosen (0: none)")                          \
    X(INDEXER_SIZE, "indexer.size", I64, indexer.n_dh, CORE_INDEXER_CHOSEN,    \
      false,                                                                   \
      "elements of such a head")                                               \
    X(INDEXER_INTERLEAVED, "indexer.interleaved", FLAG,                        \
      indexer.interleaved, CORE_INDEXER_CHOSEN, true,                          \
      "it turns neighbours, not halves (false)")

#endif
