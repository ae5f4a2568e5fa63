/* core/model/operators/ends.h -- embedding, final norm and head.
 *
 * A Switch layer has none of them, and no mixer.
 */
#ifndef CORE_OPERATORS_ENDS_H
#define CORE_OPERATORS_ENDS_H

#define CORE_ENDS_HERE (s->n_h > 0)

#define CORE_EMBED_TAPS(X)                                                     \
    X(EMBED, "embed", TOKEN, ACT, true, CORE_ENDS_HERE, s->n_d, 0,             \
      "embedding")

#define CORE_HEAD_TAPS(X)                                                      \
    X(FINAL_NORM, "final_norm", TOKEN, ACT, true, CORE_ENDS_HERE, s->n_d, 0,   \
      "final norm")                                                            \
    X(LOGITS, "logits", TOKEN, ACT, true, CORE_ENDS_HERE, s->n_v, 0, "head")

#define CORE_EMBED_WEIGHTS(X)                                                  \
    X(EMBED, ONCE, "embed", CORE_ENDS_HERE, s->n_v, s->n_d,                    \
      TABLE, NONE, MATRIX, "model.embed_tokens.weight")

#define CORE_HEAD_WEIGHTS(X)                                                   \
    X(FINAL_NORM, ONCE, "final_norm", CORE_ENDS_HERE, 1, s->n_d,               \
      STREAM_NORM, NONE, VECTOR, "model.norm.weight")                          \
    X(FINAL_NORM_BIAS, ONCE, "final_norm_bias",                                \
      CORE_ENDS_HERE && CORE_CENTRED, 1, s->n_d, BIAS, NONE, VECTOR,           \
      "model.norm.bias")                                                       \
    X(HEAD, ONCE, "head", CORE_ENDS_HERE, s->n_v, s->n_d,                      \
      MATRIX(1.0), HEAD_BIAS, MATRIX, "lm_head.weight")                        \
    X(HEAD_BIAS, ONCE, "head_bias",                                            \
      CORE_ENDS_HERE && s->bias_head, 1, s->n_v, BIAS, NONE, VECTOR,           \
      "lm_head.bias")

#endif
