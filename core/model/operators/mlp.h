/* core/model/operators/mlp.h -- the MLP: a dense layer, or the shared expert.
 */
#ifndef CORE_OPERATORS_MLP_H
#define CORE_OPERATORS_MLP_H

#define CORE_MLP_HERE (core_spec_n_mlp(s, l) > 0)
#define CORE_MLP_BIAS_HERE (CORE_MLP_HERE && (s->bias_ffn || s->bias_mlp))

#define CORE_MLP_TAPS(X)                                                       \
    X(MLP_GATE, "layers.%d.mlp.gate", TOKEN, ACT, false,                       \
      CORE_MLP_HERE && s->gated, core_spec_n_mlp(s, l), 0,                     \
      "mlp gate projection")                                                   \
    X(MLP_UP, "layers.%d.mlp.up", TOKEN, ACT, false,                           \
      CORE_MLP_HERE, core_spec_n_mlp(s, l), 0, "mlp up projection")            \
    X(MLP_ACT, "layers.%d.mlp.act", TOKEN, ACT, false,                         \
      CORE_MLP_HERE, core_spec_n_mlp(s, l), 0, "mlp activation")               \
    X(MLP_OUT, "layers.%d.mlp.out", TOKEN, ACT, false,                         \
      CORE_MLP_HERE, s->n_d, 0, "mlp down projection")

/* A shared expert's output as it is added, factors included.                 */
#define CORE_MLP_POST_TAPS(X)                                                  \
    X(MLP_POST, "layers.%d.mlp.post_norm", TOKEN, ACT, false,                  \
      CORE_BRANCHES_HERE, s->n_d, 0, "norm after the mlp")

/* Files: what follows the family's prefix of the two. */
#define CORE_MLP_WEIGHTS(X)                                                    \
    X(MLP_GATE, LAYER, "layers.%d.mlp.gate",                                   \
      CORE_MLP_HERE && s->gated, core_spec_n_mlp(s, l), s->n_d,                \
      MATRIX(1.0), MLP_GATE_BIAS, MATRIX, "gate_proj.weight")                  \
    X(MLP_UP, LAYER, "layers.%d.mlp.up",                                       \
      CORE_MLP_HERE, core_spec_n_mlp(s, l), s->n_d,                            \
      MATRIX(1.0), MLP_UP_BIAS, MATRIX, "up_proj.weight")                      \
    X(MLP_DOWN, LAYER, "layers.%d.mlp.down",                                   \
      CORE_MLP_HERE, s->n_d, core_spec_n_mlp(s, l),                            \
      MATRIX(2.0), MLP_DOWN_BIAS, MATRIX, "down_proj.weight")                  \
    X(MLP_GATE_BIAS, LAYER, "layers.%d.mlp.gate_bias",                         \
      CORE_MLP_BIAS_HERE && s->gated, 1, core_spec_n_mlp(s, l),                \
      BIAS, NONE, VECTOR, "gate_proj.bias")                                    \
    X(MLP_UP_BIAS, LAYER, "layers.%d.mlp.up_bias",                             \
      CORE_MLP_BIAS_HERE, 1, core_spec_n_mlp(s, l),                            \
      BIAS, NONE, VECTOR, "up_proj.bias")                                      \
    X(MLP_DOWN_BIAS, LAYER, "layers.%d.mlp.down_bias",                         \
      CORE_MLP_BIAS_HERE, 1, s->n_d, BIAS, NONE, VECTOR,                       \
      "down_proj.bias")

#define CORE_MLP_POST_WEIGHTS(X)                                               \
    X(MLP_POST, LAYER, "layers.%d.mlp.post_norm",                              \
      CORE_BRANCHES_HERE, 1, s->n_d, STREAM_NORM, NONE, VECTOR,                \
      "model.layers.%d.post_feedforward_layernorm_1.weight")

#endif
