/* core/model/operators/block_index.h -- which blocks of keys a query sees: for
 * every kv head those whose best key a small head of its own finds.
 */
#ifndef CORE_OPERATORS_BLOCK_INDEX_H
#define CORE_OPERATORS_BLOCK_INDEX_H

#include <stdint.h>

typedef struct core_block_index {
    int64_t n_dh;    /* elements of a head, of which there are as many as kv
                      * heads; 0: no layer has it                             */
    int64_t n_key;   /* keys of a block                                       */
    int64_t n_local; /* blocks that a query always sees: its own, and those
                      * before it; fewer than it sees                         */
} core_block_index;

/* The class finds other blocks where padding stands before a row.            */
#define CORE_BLOCK_INDEX_TAKES_PADDING false
#define CORE_BLOCK_INDEX_CHOSEN (s->block_index.n_dh > 0)
#define CORE_BLOCK_INDEX_SETS CORE_G
#define CORE_BLOCK_INDEX_WIDE (s->block_index.n_key)
/* of scores, per query and key                                               */
#define CORE_BLOCK_INDEX_PAIR_FLOPS                                            \
    (2.0 * (double)(CORE_G * CORE_BLOCK_INDEX_DH))
#define CORE_BLOCK_INDEX_HERE (CORE_EDGE_HERE && CORE_BLOCK_INDEX_CHOSEN)
#define CORE_BLOCK_INDEX_ROPE_HERE                                             \
    (CORE_BLOCK_INDEX_HERE && core_spec_has_rope(s, l))
#define CORE_BLOCK_INDEX_DH (s->block_index.n_dh)

#define CORE_BLOCK_INDEX_TAPS(X)                                               \
    X(BLOCK_Q, "layers.%d.attn.index_q", TOKEN, ACT, false,                    \
      CORE_BLOCK_INDEX_HERE, CORE_G * CORE_BLOCK_INDEX_DH, CORE_G,             \
      "index query projection")                                                \
    X(BLOCK_K, "layers.%d.attn.index_k", TOKEN, ACT, false,                    \
      CORE_BLOCK_INDEX_HERE, CORE_BLOCK_INDEX_DH, 0, "index key projection")   \
    X(BLOCK_Q_NORM, "layers.%d.attn.index_q_norm", TOKEN, ACT, false,          \
      CORE_BLOCK_INDEX_HERE, CORE_G * CORE_BLOCK_INDEX_DH, CORE_G,             \
      "norm of the index queries")                                             \
    X(BLOCK_K_NORM, "layers.%d.attn.index_k_norm", TOKEN, ACT, false,          \
      CORE_BLOCK_INDEX_HERE, CORE_BLOCK_INDEX_DH, 0, "norm of the index keys") \
    X(BLOCK_Q_ROPE, "layers.%d.attn.index_q_rope", TOKEN, ACT, false,          \
      CORE_BLOCK_INDEX_ROPE_HERE, CORE_G * CORE_BLOCK_INDEX_DH, CORE_G,        \
      "rotation of the index queries")                                         \
    X(BLOCK_K_ROPE, "layers.%d.attn.index_k_rope", TOKEN, ACT, false,          \
      CORE_BLOCK_INDEX_ROPE_HERE, CORE_BLOCK_INDEX_DH, 0,                      \
      "rotation of the index keys")

#define CORE_BLOCK_INDEX_WEIGHTS(X)                                            \
    X(BLOCK_Q, LAYER, "layers.%d.attn.index_q",                                \
      CORE_BLOCK_INDEX_HERE, CORE_G * CORE_BLOCK_INDEX_DH, s->n_d,             \
      MATRIX(1.5), NONE, MATRIX,                                               \
      "model.layers.%d.self_attn.index_q_proj.weight")                         \
    X(BLOCK_K, LAYER, "layers.%d.attn.index_k",                                \
      CORE_BLOCK_INDEX_HERE, CORE_BLOCK_INDEX_DH, s->n_d,                      \
      MATRIX(1.5), NONE, MATRIX,                                               \
      "model.layers.%d.self_attn.index_k_proj.weight")                         \
    X(BLOCK_Q_NORM, LAYER, "layers.%d.attn.index_q_norm",                      \
      CORE_BLOCK_INDEX_HERE, 1, CORE_BLOCK_INDEX_DH, STREAM_NORM, NONE,        \
      VECTOR, "model.layers.%d.self_attn.index_q_norm.weight")                 \
    X(BLOCK_K_NORM, LAYER, "layers.%d.attn.index_k_norm",                      \
      CORE_BLOCK_INDEX_HERE, 1, CORE_BLOCK_INDEX_DH, STREAM_NORM, NONE,        \
      VECTOR, "model.layers.%d.self_attn.index_k_norm.weight")

#define CORE_BLOCK_INDEX_FIELDS(X)                                             \
    X(BLOCK_DH, "block_index.head_size", I64, block_index.n_dh, true, true,    \
      "elements of a head that finds blocks of keys (0: no such head)")        \
    X(BLOCK_KEYS, "block_index.keys", I64, block_index.n_key,                  \
      CORE_BLOCK_INDEX_CHOSEN, false,                                          \
      "keys of a block")                                                       \
    X(BLOCK_LOCAL, "block_index.local", I64, block_index.n_local,              \
      CORE_BLOCK_INDEX_CHOSEN, false,                                          \
      "blocks that a query always sees, its own among them")

#endif
