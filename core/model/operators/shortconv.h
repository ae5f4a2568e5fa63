/* core/model/operators/shortconv.h -- a gated convolution over a few positions
 * instead of attention.
 *
 * As many channels as the stream has columns; all that a row remembers is the
 * last positions.
 */
#ifndef CORE_OPERATORS_SHORTCONV_H
#define CORE_OPERATORS_SHORTCONV_H

#include <stdbool.h>
#include <stdint.h>

typedef struct core_shortconv {
    int64_t n_conv; /* positions that the causal convolution sees             */
    bool bias;      /* of both projections and of the convolution             */
} core_shortconv;

#define CORE_SHORTCONV_MODULE "conv"
/* What padding gave stands among the positions that it sees.                 */
#define CORE_SHORTCONV_TAKES_PADDING false
#define CORE_SHORTCONV_FLOPS                                                   \
    (2.0 * (double)((s->shortconv.n_conv + 1) * s->n_d))

#define CORE_SHORTCONV_HERE (core_spec_mixer(s, l) == CORE_MIXER_SHORTCONV)
#define CORE_SHORTCONV_BIAS_HERE (CORE_SHORTCONV_HERE && s->shortconv.bias)
#define CORE_ANY_SHORTCONV (core__any_mixer(s, CORE_MIXER_SHORTCONV))

#define CORE_SHORTCONV_TAPS(X)                                                 \
    X(SHORTCONV_B, "layers.%d.shortconv.b", TOKEN, ACT, false,                 \
      CORE_SHORTCONV_HERE, s->n_d, 0, "projection to B")                       \
    X(SHORTCONV_C, "layers.%d.shortconv.c", TOKEN, ACT, false,                 \
      CORE_SHORTCONV_HERE, s->n_d, 0, "projection to C")                       \
    X(SHORTCONV_X, "layers.%d.shortconv.x", TOKEN, ACT, false,                 \
      CORE_SHORTCONV_HERE, s->n_d, 0, "projection to x")                       \
    X(SHORTCONV_BX, "layers.%d.shortconv.bx", TOKEN, ACT, false,               \
      CORE_SHORTCONV_HERE, s->n_d, 0, "gate before the short convolution")     \
    X(SHORTCONV_CONV, "layers.%d.shortconv.conv", TOKEN, ACT, false,           \
      CORE_SHORTCONV_HERE, s->n_d, 0, "short convolution")                     \
    X(SHORTCONV_GATED, "layers.%d.shortconv.gated", TOKEN, ACT, false,         \
      CORE_SHORTCONV_HERE, s->n_d, 0, "gate behind the short convolution")

#define CORE_SHORTCONV_WEIGHTS(X)                                              \
    X(SHORTCONV_B, LAYER, "layers.%d.shortconv.b",                             \
      CORE_SHORTCONV_HERE, s->n_d, s->n_d,                                     \
      MATRIX(1.0), SHORTCONV_B_BIAS, MATRIX,                                   \
      "model.layers.%d.conv.b_proj.weight")                                    \
    X(SHORTCONV_C, LAYER, "layers.%d.shortconv.c",                             \
      CORE_SHORTCONV_HERE, s->n_d, s->n_d,                                     \
      MATRIX(1.0), SHORTCONV_C_BIAS, MATRIX,                                   \
      "model.layers.%d.conv.c_proj.weight")                                    \
    X(SHORTCONV_X, LAYER, "layers.%d.shortconv.x",                             \
      CORE_SHORTCONV_HERE, s->n_d, s->n_d,                                     \
      MATRIX(1.0), SHORTCONV_X_BIAS, MATRIX,                                   \
      "model.layers.%d.conv.x_proj.weight")                                    \
    X(SHORTCONV_B_BIAS, LAYER, "layers.%d.shortconv.b_bias",                   \
      CORE_SHORTCONV_BIAS_HERE, 1, s->n_d, BIAS, NONE, VECTOR,                 \
      "model.layers.%d.conv.b_proj.bias")                                      \
    X(SHORTCONV_C_BIAS, LAYER, "layers.%d.shortconv.c_bias",                   \
      CORE_SHORTCONV_BIAS_HERE, 1, s->n_d, BIAS, NONE, VECTOR,                 \
      "model.layers.%d.conv.c_proj.bias")                                      \
    X(SHORTCONV_X_BIAS, LAYER, "layers.%d.shortconv.x_bias",                   \
      CORE_SHORTCONV_BIAS_HERE, 1, s->n_d, BIAS, NONE, VECTOR,                 \
      "model.layers.%d.conv.x_proj.bias")                                      \
    X(SHORTCONV_CONV, LAYER, "layers.%d.shortconv.conv",                       \
      CORE_SHORTCONV_HERE, s->n_d, s->shortconv.n_conv,                        \
      MATRIX(1.0), SHORTCONV_CONV_BIAS, CONV,                                  \
      "model.layers.%d.conv.conv.weight")                                      \
    X(SHORTCONV_CONV_BIAS, LAYER, "layers.%d.shortconv.conv_bias",             \
      CORE_SHORTCONV_BIAS_HERE, 1, s->n_d, BIAS, NONE, VECTOR,                 \
      "model.layers.%d.conv.conv.bias")                                        \
    X(SHORTCONV_OUT, LAYER, "layers.%d.shortconv.out",                         \
      CORE_SHORTCONV_HERE, s->n_d, s->n_d,                                     \
      MATRIX(1.5), SHORTCONV_OUT_BIAS, MATRIX,                                 \
      "model.layers.%d.conv.out_proj.weight")                                  \
    X(SHORTCONV_OUT_BIAS, LAYER, "layers.%d.shortconv.out_bias",               \
      CORE_SHORTCONV_BIAS_HERE, 1, s->n_d, BIAS, NONE, VECTOR,                 \
      "model.layers.%d.conv.out_proj.bias")

#define CORE_SHORTCONV_FIELDS(X)                                               \
    X(SHORTCONV_CONV, "shortconv.conv", I64, shortconv.n_conv,                 \
      CORE_ANY_SHORTCONV, false,                                               \
      "positions that the convolution sees")                                   \
    X(SHORTCONV_BIAS, "shortconv.bias", FLAG, shortconv.bias,                  \
      CORE_ANY_SHORTCONV, false,                                               \
      "of both projections and of the convolution")

#endif
