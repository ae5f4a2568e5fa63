/* core/model/operators/attn_res.h -- attention residuals: layers look back at
 * the sums of earlier blocks of layers.
 *
 * The stream is a sum that begins anew with every block of layers, and what it
 * was before each block: the embedding, the sum of the first block, and so on.
 * Each part of a layer, and the head, reads these with weights, a softmax of
 * one score for each, and what a part gives is added to the last of them.
 */
#ifndef CORE_OPERATORS_ATTN_RES_H
#define CORE_OPERATORS_ATTN_RES_H

#include <stdint.h>

typedef struct core_attn_res {
    int64_t n_block; /* layers of a block, 0: the stream is one plain sum     */
} core_attn_res;

/* Blocks that began before layer l does.                                     */
static inline int64_t core_attn_res_begun(const core_attn_res *r, int64_t l)
{
    return (l + r->n_block - 1) / r->n_block;
}

#define CORE_ATTN_RES_CHOSEN (s->attn_res.n_block > 0)
/* Sums that a part of layer l can read: the last one, and those before blocks;
 * before the very first attention there is the embedding alone.              */
#define CORE_ATTN_RES_SUMS(l) (1 + core_attn_res_begun(&s->attn_res, l))
/* What the stream holds at the end.                                          */
#define CORE_ATTN_RES_STREAMS CORE_ATTN_RES_SUMS(s->n_l)
#define CORE_ATTN_RES_MIXER_HERE (CORE_ATTN_RES_CHOSEN && l > 0)
#define CORE_ATTN_RES_HEAD_HERE (CORE_ATTN_RES_CHOSEN && CORE_ENDS_HERE)

#define CORE_ATTN_RES_MIXER_TAPS(X)                                            \
    X(ATTN_LOOK, "layers.%d.attn.look", TOKEN, ACT, false,                     \
      CORE_ATTN_RES_MIXER_HERE, CORE_ATTN_RES_SUMS(l), 0,                      \
      "scores of earlier sums before attention")                               \
    X(ATTN_BACK, "layers.%d.attn.back", TOKEN, PROB, false,                    \
      CORE_ATTN_RES_MIXER_HERE, CORE_ATTN_RES_SUMS(l), 0,                      \
      "weights of earlier sums before attention")                              \
    X(ATTN_READ, "layers.%d.attn.read", TOKEN, ACT, false,                     \
      CORE_ATTN_RES_MIXER_HERE, s->n_d, 0,                                     \
      "what attention reads of earlier sums")

#define CORE_ATTN_RES_FFN_TAPS(X)                                              \
    X(FFN_LOOK, "layers.%d.ffn.look", TOKEN, ACT, false,                       \
      CORE_ATTN_RES_CHOSEN, CORE_ATTN_RES_SUMS(l + 1), 0,                      \
      "scores of earlier sums before the feed-forward part")                   \
    X(FFN_BACK, "layers.%d.ffn.back", TOKEN, PROB, false,                      \
      CORE_ATTN_RES_CHOSEN, CORE_ATTN_RES_SUMS(l + 1), 0,                      \
      "weights of earlier sums before the feed-forward part")                  \
    X(FFN_READ, "layers.%d.ffn.read", TOKEN, ACT, false,                       \
      CORE_ATTN_RES_CHOSEN, s->n_d, 0,                                         \
      "what the feed-forward part reads of earlier sums")

#define CORE_ATTN_RES_HEAD_TAPS(X)                                             \
    X(HEAD_LOOK, "head.look", TOKEN, ACT, false,                               \
      CORE_ATTN_RES_HEAD_HERE, CORE_ATTN_RES_SUMS(s->n_l), 0,                  \
      "scores of earlier sums before the head")                                \
    X(HEAD_BACK, "head.back", TOKEN, PROB, false,                              \
      CORE_ATTN_RES_HEAD_HERE, CORE_ATTN_RES_SUMS(s->n_l), 0,                  \
      "weights of earlier sums before the head")                               \
    X(HEAD_READ, "head.read", TOKEN, ACT, false,                               \
      CORE_ATTN_RES_HEAD_HERE, s->n_d, 0,                                      \
      "what the head reads of earlier sums")

/* A score is norm(sum) . look, the norm with a weight of its own.            */
#define CORE_ATTN_RES_MIXER_WEIGHTS(X)                                         \
    X(ATTN_LOOK_NORM, LAYER, "layers.%d.attn.look_norm",                       \
      CORE_ATTN_RES_CHOSEN, 1, s->n_d, NORM, NONE, VECTOR,                     \
      "model.layers.%d.self_attention_res_norm.weight")                        \
    X(ATTN_LOOK, LAYER, "layers.%d.attn.look",                                 \
      CORE_ATTN_RES_CHOSEN, 1, s->n_d, MATRIX(1.5), NONE, MATRIX,              \
      "model.layers.%d.self_attention_res_proj.weight")

#define CORE_ATTN_RES_FFN_WEIGHTS(X)                                           \
    X(FFN_LOOK_NORM, LAYER, "layers.%d.ffn.look_norm",                         \
      CORE_ATTN_RES_CHOSEN, 1, s->n_d, NORM, NONE, VECTOR,                     \
      "model.layers.%d.mlp_res_norm.weight")                                   \
    X(FFN_LOOK, LAYER, "layers.%d.ffn.look",                                   \
      CORE_ATTN_RES_CHOSEN, 1, s->n_d, MATRIX(1.5), NONE, MATRIX,              \
      "model.layers.%d.mlp_res_proj.weight")

#define CORE_ATTN_RES_HEAD_WEIGHTS(X)                                          \
    X(HEAD_LOOK_NORM, ONCE, "head.look_norm",                                  \
      CORE_ATTN_RES_HEAD_HERE, 1, s->n_d, NORM, NONE, VECTOR,                  \
      "model.output_attn_res_norm.weight")                                     \
    X(HEAD_LOOK, ONCE, "head.look",                                            \
      CORE_ATTN_RES_HEAD_HERE, 1, s->n_d, MATRIX(1.5), NONE, MATRIX,           \
      "model.output_attn_res_proj.weight")

#define CORE_ATTN_RES_FIELDS(X)                                                \
    X(ATTN_RES_BLOCK, "attention_residual.block", I64, attn_res.n_block,       \
      true, true,                                                              \
      "layers of a block, whose sums later layers read again (0: none)")

#endif
