/* core/model/operators/stream.h -- what a layer's residual stream goes through:
 * it comes in, is normed, and added to.
 */
#ifndef CORE_OPERATORS_STREAM_H
#define CORE_OPERATORS_STREAM_H

#define CORE_CENTRED (s->norm == CORE_NORM_LAYER)
/* The two parts of a layer.  Of one alone, the sum is the layer's output.     */
#define CORE_MIXES (core_spec_mixer(s, l) != CORE_N_MIXERS)
#define CORE_FEEDS (core_spec_has_ffn(s, l))

#define CORE_LAYER_IN_TAPS(X)                                                  \
    X(IN, "layers.%d.in", TOKEN, ACT, false, true, core_spec_n_x(s), 0,        \
      "arrival of the layer's input")

#define CORE_MIXER_NORM_TAPS(X)                                                \
    X(ATTN_NORM, "layers.%d.attn.norm", TOKEN, ACT, false,                     \
      CORE_MIXES, s->n_d, 0, "norm before attention")

#define CORE_LAYER_MID_TAPS(X)                                                 \
    X(ATTN_OUT, "layers.%d.attn_out", TOKEN, ACT, true,                        \
      CORE_MIXES, s->n_d, 0, "output projection")                          \
    X(ATTN_POST, "layers.%d.attn.post_norm", TOKEN, ACT, false,                \
      CORE_MIXES && s->post_norm, s->n_d, 0, "norm after attention")           \
    X(MID, "layers.%d.mid", TOKEN, ACT, false,                                 \
      CORE_MIXES && CORE_FEEDS, core_spec_n_x(s), 0,                           \
      "residual of the layer's first half")

#define CORE_FFN_NORM_TAPS(X)                                                  \
    X(FFN_NORM, "layers.%d.ffn.norm", TOKEN, ACT, false,                       \
      CORE_FEEDS, s->n_d, 0,                                                   \
      "norm before the feed-forward part")

#define CORE_LAYER_OUT_TAPS(X)                                                 \
    X(FFN_OUT, "layers.%d.ffn_out", TOKEN, ACT, true,                          \
      CORE_FEEDS, s->n_d, 0,                                                   \
      "feed-forward result")                                                   \
    X(FFN_POST, "layers.%d.ffn.post_norm", TOKEN, ACT, false,                  \
      CORE_FEEDS && s->post_norm, s->n_d, 0,                                   \
      "norm after the feed-forward part")                                      \
    X(OUT, "layers.%d.out", TOKEN, ACT, true, true, core_spec_n_x(s), 0,       \
      "residual after the layer")

#define CORE_MIXER_NORM_WEIGHTS(X)                                             \
    X(ATTN_NORM, LAYER, "layers.%d.attn.norm", CORE_MIXES, 1, s->n_d,          \
      STREAM_NORM, NONE, VECTOR,                                               \
      "model.layers.%d.input_layernorm.weight")                                \
    X(ATTN_NORM_BIAS, LAYER, "layers.%d.attn.norm_bias",                       \
      CORE_MIXES && CORE_CENTRED, 1, s->n_d, BIAS, NONE, VECTOR,               \
      "model.layers.%d.input_layernorm.bias")                                  \
    X(ATTN_POST, LAYER, "layers.%d.attn.post_norm",                            \
      CORE_MIXES && s->post_norm, 1, s->n_d, STREAM_NORM, NONE, VECTOR,        \
      "model.layers.%d.post_attention_layernorm.weight")

#define CORE_FFN_NORM_WEIGHTS(X)                                               \
    X(FFN_NORM, LAYER, "layers.%d.ffn.norm", CORE_FEEDS, 1, s->n_d,            \
      STREAM_NORM, NONE, VECTOR,                                               \
      "model.layers.%d.post_attention_layernorm.weight")                       \
    X(FFN_NORM_BIAS, LAYER, "layers.%d.ffn.norm_bias",                         \
      CORE_FEEDS && CORE_CENTRED, 1, s->n_d, BIAS, NONE, VECTOR,               \
      "model.layers.%d.post_attention_layernorm.bias")                         \
    X(FFN_POST, LAYER, "layers.%d.ffn.post_norm",                              \
      CORE_FEEDS && s->post_norm, 1, s->n_d, STREAM_NORM, NONE, VECTOR,        \
      "model.layers.%d.post_feedforward_layernorm.weight")                     \
    X(LAYER_SCALE, LAYER, "layers.%d.scale", s->layer_scale, 1, 1,             \
      NORM, NONE, VECTOR, "model.layers.%d.layer_scalar")

#endif
