/* core/model/operators/latent.h -- keys and values of latent attention (MLA).
 */
#ifndef CORE_OPERATORS_LATENT_H
#define CORE_OPERATORS_LATENT_H

/* Keys and values of all heads come from one short vector per token; queries
 * may, from one of their own.                                                */
#define CORE_LATENT_CHOSEN (s->n_kv_rank > 0)
#define CORE_LATENT_HERE (CORE_ATTENTION_HERE && CORE_LATENT_CHOSEN)
#define CORE_LATENT_QUERY_HERE (CORE_ATTENTION_HERE && s->n_q_rank > 0)
/* Of each head the part of the key that is not rotated, then the value.      */
#define CORE_LATENT_KV_B                                                       \
    (CORE_H * (CORE_DH - CORE_ROT + CORE_DV))

#define CORE_LATENT_QUERY_TAPS(X)                                              \
    X(Q_A, "layers.%d.attn.q_a", TOKEN, ACT, false,                            \
      CORE_LATENT_QUERY_HERE, s->n_q_rank, 0, "compression of the queries")    \
    X(Q_A_NORM, "layers.%d.attn.q_a_norm", TOKEN, ACT, false,                  \
      CORE_LATENT_QUERY_HERE, s->n_q_rank, 0,                                  \
      "norm of the compressed queries")

#define CORE_LATENT_KEY_TAPS(X)                                                \
    X(KV_A, "layers.%d.attn.kv_a", TOKEN, ACT, false,                          \
      CORE_LATENT_HERE, s->n_kv_rank + CORE_ROT, 0,                            \
      "compression of keys and values")                                        \
    X(KV_A_NORM, "layers.%d.attn.kv_a_norm", TOKEN, ACT, false,                \
      CORE_LATENT_HERE, s->n_kv_rank, 0,                                       \
      "norm of the compressed keys and values")                                \
    X(KV_B, "layers.%d.attn.kv_b", TOKEN, ACT, false,                          \
      CORE_LATENT_HERE, CORE_LATENT_KV_B, CORE_H,                              \
      "expansion to keys and values")

#define CORE_LATENT_QUERY_WEIGHTS(X)                                           \
    X(Q_A, LAYER, "layers.%d.attn.q_a",                                        \
      CORE_LATENT_QUERY_HERE, s->n_q_rank, s->n_d,                             \
      MATRIX(1.0), Q_A_BIAS, MATRIX,                                           \
      "model.layers.%d.self_attn.q_a_proj.weight")                             \
    X(Q_A_BIAS, LAYER, "layers.%d.attn.q_a_bias",                              \
      CORE_LATENT_QUERY_HERE && s->bias_qkv, 1, s->n_q_rank,                   \
      BIAS, NONE, VECTOR, "model.layers.%d.self_attn.q_a_proj.bias")           \
    X(Q_A_NORM, LAYER, "layers.%d.attn.q_a_norm",                              \
      CORE_LATENT_QUERY_HERE, 1, s->n_q_rank, NORM, NONE, VECTOR,              \
      "model.layers.%d.self_attn.q_a_layernorm.weight")

#define CORE_LATENT_KEY_WEIGHTS(X)                                             \
    X(KV_A, LAYER, "layers.%d.attn.kv_a",                                      \
      CORE_LATENT_HERE, s->n_kv_rank + CORE_ROT, s->n_d,                       \
      MATRIX(1.0), KV_A_BIAS, MATRIX,                                          \
      "model.layers.%d.self_attn.kv_a_proj_with_mqa.weight")                   \
    X(KV_A_BIAS, LAYER, "layers.%d.attn.kv_a_bias",                            \
      CORE_LATENT_HERE && s->bias_qkv, 1, s->n_kv_rank + CORE_ROT,             \
      BIAS, NONE, VECTOR,                                                      \
      "model.layers.%d.self_attn.kv_a_proj_with_mqa.bias")                     \
    X(KV_A_NORM, LAYER, "layers.%d.attn.kv_a_norm",                            \
      CORE_LATENT_HERE, 1, s->n_kv_rank, NORM, NONE, VECTOR,                   \
      "model.layers.%d.self_attn.kv_a_layernorm.weight")                       \
    X(KV_B, LAYER, "layers.%d.attn.kv_b",                                      \
      CORE_LATENT_HERE, CORE_LATENT_KV_B, s->n_kv_rank,                        \
      MATRIX(1.5), NONE, MATRIX,                                               \
      "model.layers.%d.self_attn.kv_b_proj.weight")

#define CORE_LATENT_FIELDS(X)                                                  \
    X(LATENT_KV_RANK, "latent.kv_rank", I64, n_kv_rank, true, true,            \
      "columns of compressed keys and values (0: not compressed)")             \
    X(LATENT_QUERY_RANK, "latent.query_rank", I64, n_q_rank,                   \
      CORE_LATENT_CHOSEN, true,                                                \
      "columns of the compressed query (0: not compressed)")

#endif
