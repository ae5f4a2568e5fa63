/* core/model/operators/attention.h -- queries, keys, values, scores, context.
 */
#ifndef CORE_OPERATORS_ATTENTION_H
#define CORE_OPERATORS_ATTENTION_H

#define CORE_ATTENTION_MODULE "self_attn"
#define CORE_ATTENTION_TAKES_PADDING true
/* per token, beyond products: scores are made of pairs of tokens             */
#define CORE_ATTENTION_FLOPS 0.0

#define CORE_ATTENTION_HERE (core_spec_mixer(s, l) == CORE_MIXER_ATTENTION)
/* Three projections of the stream.                                           */
#define CORE_QKV_CHOSEN (s->n_kv_rank == 0 && !s->one_kv)
#define CORE_QKV_HERE (CORE_ATTENTION_HERE && CORE_QKV_CHOSEN)
/* Keys that are a product with the stream.                                   */
#define CORE_KEY_HERE (CORE_ATTENTION_HERE && s->n_kv_rank == 0)
#define CORE_QK_NORM_HERE                                                      \
    (CORE_ATTENTION_HERE && (s->qk_norm == CORE_QK_NORM_HEAD ||                \
                             s->qk_norm == CORE_QK_NORM_ALL))
#define CORE_ROPED_NORM_HERE                                                   \
    (core_spec_has_rope(s, l) && (s->qk_norm == CORE_QK_NORM_ROPED ||          \
                                  s->qk_norm == CORE_QK_NORM_AFTER))
#define CORE_Q_NORM_HERE                                                       \
    (CORE_QK_NORM_HERE || (CORE_ATTENTION_HERE && s->one_kv))
#define CORE_QK_WEIGHT_HERE                                                    \
    (CORE_QK_NORM_HERE ||                                                      \
     (CORE_ATTENTION_HERE && s->qk_norm == CORE_QK_NORM_AFTER))
#define CORE_TEMPER_HERE                                                       \
    (CORE_ATTENTION_HERE && !core_spec_has_rope(s, l) && s->temper_scale > 0.0)

/* Keys are chosen for every query, here or in an earlier layer.              */
#define CORE_SEEN_HERE (core_spec_seen(s, l).n_set > 0)
#define CORE_SEEN_COLUMNS                                                      \
    (core_spec_seen(s, l).n_set * core_spec_seen(s, l).n_key)
#define CORE_EDGE_HERE                                                         \
    (CORE_SEEN_HERE && s->sight[l] == CORE_SIGHT_CHOSEN)

/* A query may be projected from a short vector instead of the stream.        */
#define CORE_QUERY_COLUMNS (s->n_q_rank > 0 ? s->n_q_rank : s->n_d)
#define CORE_QUERY_FILE                                                        \
    (s->n_q_rank > 0 ? "model.layers.%d.self_attn.q_b_proj.weight"             \
                     : "model.layers.%d.self_attn.q_proj.weight")
/* Values that are projected, not the keys before their norm.                 */
#define CORE_V_HERE (CORE_QKV_HERE && !core_spec_heads(s, l).v_is_k)
/* The layer's heads.                                                         */
#define CORE_H (core_spec_heads(s, l).n_h)
#define CORE_G (core_spec_heads(s, l).n_g)
#define CORE_DH (core_spec_heads(s, l).n_dh)
#define CORE_DV (core_spec_heads(s, l).n_dv)
#define CORE_ROT (core_spec_heads(s, l).n_rot)
/* Rotated keys: of every kv head, or one part that all heads share.          */
#define CORE_ROPED_KEYS (s->n_kv_rank == 0 ? CORE_G * CORE_DH : CORE_ROT)
#define CORE_ROPED_KEY_HEADS (s->n_kv_rank == 0 ? CORE_G : 0)
/* A norm's weights: one head's, or those of all n.                           */
#define CORE_QK_NORM_COLS(n)                                                   \
    (s->qk_norm != CORE_QK_NORM_ALL ? CORE_DH : (n) * CORE_DH)

#define CORE_QUERY_TAPS(X)                                                     \
    X(Q, "layers.%d.attn.q", TOKEN, ACT, false,                                \
      CORE_ATTENTION_HERE, CORE_H * CORE_DH, CORE_H, "query projection")

#define CORE_ATTENTION_TAPS(X)                                                 \
    X(K, "layers.%d.attn.k", TOKEN, ACT, false,                                \
      CORE_KEY_HERE, CORE_G * CORE_DH, CORE_G, "key projection")               \
    X(V, "layers.%d.attn.v", TOKEN, ACT, false,                                \
      CORE_V_HERE, CORE_G * CORE_DV, CORE_G, "value projection")               \
    X(V_NORM, "layers.%d.attn.v_norm", TOKEN, ACT, false,                      \
      CORE_QKV_HERE && s->value_norm, CORE_G * CORE_DV, CORE_G,                \
      "norm of the values")                                                    \
    X(Q_NORM, "layers.%d.attn.q_norm", TOKEN, ACT, false,                      \
      CORE_Q_NORM_HERE, CORE_H * CORE_DH, CORE_H, "norm of the queries")       \
    X(K_NORM, "layers.%d.attn.k_norm", TOKEN, ACT, false,                      \
      CORE_Q_NORM_HERE, CORE_G * CORE_DH, CORE_G, "norm of the keys")          \
    X(Q_ROPE, "layers.%d.attn.q_rope", TOKEN, ACT, false,                      \
      core_spec_has_rope(s, l), CORE_H * CORE_DH, CORE_H,                      \
      "rotation of the queries")                                               \
    X(K_ROPE, "layers.%d.attn.k_rope", TOKEN, ACT, false,                      \
      core_spec_has_rope(s, l), CORE_ROPED_KEYS, CORE_ROPED_KEY_HEADS,         \
      "rotation of the keys")                                                  \
    X(Q_ROPE_NORM, "layers.%d.attn.q_rope_norm", TOKEN, ACT, false,            \
      CORE_ROPED_NORM_HERE, CORE_H * CORE_DH, CORE_H,                          \
      "norm of the rotated queries")                                           \
    X(K_ROPE_NORM, "layers.%d.attn.k_rope_norm", TOKEN, ACT, false,            \
      CORE_ROPED_NORM_HERE, CORE_G * CORE_DH, CORE_G,                          \
      "norm of the rotated keys")                                              \
    X(Q_TEMPER, "layers.%d.attn.q_temper", TOKEN, ACT, false,                  \
      CORE_TEMPER_HERE, CORE_H * CORE_DH, CORE_H,                              \
      "temperature of the queries")

/* Of every set the keys' positions in the row, ascending, then -1; the scores of
 * the last one chosen and of the best one left, 0 and 0 where none is left.  */
#define CORE_CONTEXT_TAPS(X)                                                   \
    X(EDGE, "layers.%d.attn.edge", TOKEN, ACT, false, CORE_EDGE_HERE,          \
      2 * core_spec_seen(s, l).n_set, 0, "scores of the keys")                 \
    X(SEEN, "layers.%d.attn.seen", TOKEN, INT, false, CORE_SEEN_HERE,          \
      CORE_SEEN_COLUMNS, 0, "choice of the keys")                              \
    X(CONTEXT, "layers.%d.attn.context", TOKEN, ACT, false,                    \
      CORE_ATTENTION_HERE, CORE_H * CORE_DV, CORE_H, "attention")

#define CORE_QUERY_WEIGHTS(X)                                                  \
    X(Q, LAYER, "layers.%d.attn.q",                                            \
      CORE_ATTENTION_HERE, CORE_H * CORE_DH, CORE_QUERY_COLUMNS,               \
      MATRIX(1.5), Q_BIAS, MATRIX, CORE_QUERY_FILE)

#define CORE_ATTENTION_WEIGHTS(X)                                              \
    X(K, LAYER, "layers.%d.attn.k", CORE_KEY_HERE, CORE_G * CORE_DH, s->n_d,   \
      MATRIX(1.5), K_BIAS, MATRIX, "model.layers.%d.self_attn.k_proj.weight")  \
    X(V, LAYER, "layers.%d.attn.v", CORE_V_HERE, CORE_G * CORE_DV, s->n_d,     \
      MATRIX(1.0), V_BIAS, MATRIX, "model.layers.%d.self_attn.v_proj.weight")  \
    X(O, LAYER, "layers.%d.attn.o",                                            \
      CORE_ATTENTION_HERE, s->n_d, CORE_O_COLUMNS,                             \
      MATRIX(1.5), O_BIAS, MATRIX, "model.layers.%d.self_attn.o_proj.weight")  \
    X(Q_BIAS, LAYER, "layers.%d.attn.q_bias",                                  \
      CORE_QKV_HERE && s->bias_qkv, 1, CORE_H * CORE_DH, BIAS, NONE, VECTOR,   \
      "model.layers.%d.self_attn.q_proj.bias")                                 \
    X(K_BIAS, LAYER, "layers.%d.attn.k_bias",                                  \
      CORE_QKV_HERE && s->bias_qkv, 1, CORE_G * CORE_DH, BIAS, NONE, VECTOR,   \
      "model.layers.%d.self_attn.k_proj.bias")                                 \
    X(V_BIAS, LAYER, "layers.%d.attn.v_bias",                                  \
      CORE_V_HERE && s->bias_qkv, 1, CORE_G * CORE_DV, BIAS, NONE, VECTOR,     \
      "model.layers.%d.self_attn.v_proj.bias")                                 \
    X(O_BIAS, LAYER, "layers.%d.attn.o_bias",                                  \
      CORE_ATTENTION_HERE && s->bias_o, 1, s->n_d, BIAS, NONE, VECTOR,         \
      "model.layers.%d.self_attn.o_proj.bias")                                 \
    X(Q_NORM, LAYER, "layers.%d.attn.q_norm",                                  \
      CORE_QK_WEIGHT_HERE, 1, CORE_QK_NORM_COLS(CORE_H),                         \
      STREAM_NORM, NONE, VECTOR,                                               \
      "model.layers.%d.self_attn.q_norm.weight")                               \
    X(K_NORM, LAYER, "layers.%d.attn.k_norm",                                  \
      CORE_QK_WEIGHT_HERE || (CORE_ATTENTION_HERE && s->one_kv), 1,            \
      CORE_QK_NORM_COLS(CORE_G),                                               \
      STREAM_NORM, NONE, VECTOR,                                               \
      "model.layers.%d.self_attn.k_norm.weight")                               \
    X(SINKS, LAYER, "layers.%d.attn.sinks",                                    \
      CORE_ATTENTION_HERE && core_spec_heads(s, l).sinks, 1, CORE_H,           \
      BIAS, NONE, VECTOR,                                                      \
      "model.layers.%d.self_attn.sinks")

#endif
