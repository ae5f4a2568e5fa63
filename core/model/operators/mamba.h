/* core/model/operators/mamba.h -- a selective state space instead of
 * attention.
 */
#ifndef CORE_OPERATORS_MAMBA_H
#define CORE_OPERATORS_MAMBA_H

#include <stdbool.h>
#include <stdint.h>

typedef struct core_mamba {
    int64_t n_c;    /* channels                                               */
    int64_t n_s;    /* states of a channel                                    */
    int64_t n_conv; /* positions that the causal convolution sees             */
    int64_t n_r;    /* columns of the compressed time step                    */
    bool bias_conv, bias_proj; /* bias_proj: of in_proj and out_proj          */
} core_mamba;

#define CORE_MAMBA_MODULE "mamba"
/* The state carries what it saw of padding into the tokens behind it.        */
#define CORE_MAMBA_TAKES_PADDING false
#define CORE_MAMBA_FLOPS (6.0 * (double)(s->mamba.n_c * s->mamba.n_s))

#define CORE_MAMBA_HERE (core_spec_mixer(s, l) == CORE_MIXER_MAMBA)
#define CORE_ANY_MAMBA (core__any_mixer(s, CORE_MIXER_MAMBA))
/* Time step, B and C come from one projection.                               */
#define CORE_MAMBA_N_X (s->mamba.n_r + 2 * s->mamba.n_s)

#define CORE_MAMBA_TAPS(X)                                                     \
    X(MAMBA_U, "layers.%d.mamba.u", TOKEN, ACT, false,                         \
      CORE_MAMBA_HERE, s->mamba.n_c, 0, "mamba input projection")              \
    X(MAMBA_GATE, "layers.%d.mamba.gate", TOKEN, ACT, false,                   \
      CORE_MAMBA_HERE, s->mamba.n_c, 0, "mamba gate projection")               \
    X(MAMBA_CONV, "layers.%d.mamba.conv", TOKEN, ACT, false,                   \
      CORE_MAMBA_HERE, s->mamba.n_c, 0, "mamba convolution")                   \
    X(MAMBA_ACT, "layers.%d.mamba.act", TOKEN, ACT, false,                     \
      CORE_MAMBA_HERE, s->mamba.n_c, 0, "mamba activation")                    \
    X(MAMBA_X, "layers.%d.mamba.x", TOKEN, ACT, false,                         \
      CORE_MAMBA_HERE, CORE_MAMBA_N_X, 0,                                      \
      "mamba projection to step, B and C")                                     \
    X(MAMBA_DT_NORM, "layers.%d.mamba.dt_norm", TOKEN, ACT, false,             \
      CORE_MAMBA_HERE, s->mamba.n_r, 0, "norm of the compressed time step")    \
    X(MAMBA_B, "layers.%d.mamba.b", TOKEN, ACT, false,                         \
      CORE_MAMBA_HERE, s->mamba.n_s, 0, "norm of B")                           \
    X(MAMBA_C, "layers.%d.mamba.c", TOKEN, ACT, false,                         \
      CORE_MAMBA_HERE, s->mamba.n_s, 0, "norm of C")                           \
    X(MAMBA_DT_RAW, "layers.%d.mamba.dt_raw", TOKEN, ACT, false,               \
      CORE_MAMBA_HERE, s->mamba.n_c, 0, "time step projection")                \
    X(MAMBA_DT, "layers.%d.mamba.dt", TOKEN, PROB, false,                      \
      CORE_MAMBA_HERE, s->mamba.n_c, 0, "time step")                           \
    X(MAMBA_Y, "layers.%d.mamba.y", TOKEN, ACT, false,                         \
      CORE_MAMBA_HERE, s->mamba.n_c, 0, "mamba scan")                          \
    X(MAMBA_GATED, "layers.%d.mamba.gated", TOKEN, ACT, false,                 \
      CORE_MAMBA_HERE, s->mamba.n_c, 0, "mamba gate")

#define CORE_MAMBA_WEIGHTS(X)                                                  \
    X(MAMBA_U, LAYER, "layers.%d.mamba.u",                                     \
      CORE_MAMBA_HERE, s->mamba.n_c, s->n_d,                                   \
      MATRIX(1.0), MAMBA_U_BIAS, FIRST_ROWS,                                   \
      "model.layers.%d.mamba.in_proj.weight")                                  \
    X(MAMBA_GATE, LAYER, "layers.%d.mamba.gate",                               \
      CORE_MAMBA_HERE, s->mamba.n_c, s->n_d,                                   \
      MATRIX(1.0), MAMBA_GATE_BIAS, LAST_ROWS,                                 \
      "model.layers.%d.mamba.in_proj.weight")                                  \
    X(MAMBA_U_BIAS, LAYER, "layers.%d.mamba.u_bias",                           \
      CORE_MAMBA_HERE && s->mamba.bias_proj, 1, s->mamba.n_c,                  \
      BIAS, NONE, FIRST_COLS, "model.layers.%d.mamba.in_proj.bias")            \
    X(MAMBA_GATE_BIAS, LAYER, "layers.%d.mamba.gate_bias",                     \
      CORE_MAMBA_HERE && s->mamba.bias_proj, 1, s->mamba.n_c,                  \
      BIAS, NONE, LAST_COLS, "model.layers.%d.mamba.in_proj.bias")             \
    X(MAMBA_CONV, LAYER, "layers.%d.mamba.conv",                               \
      CORE_MAMBA_HERE, s->mamba.n_c, s->mamba.n_conv,                          \
      MATRIX(1.0), MAMBA_CONV_BIAS, CONV,                                      \
      "model.layers.%d.mamba.conv1d.weight")                                   \
    X(MAMBA_CONV_BIAS, LAYER, "layers.%d.mamba.conv_bias",                     \
      CORE_MAMBA_HERE && s->mamba.bias_conv, 1, s->mamba.n_c,                  \
      BIAS, NONE, VECTOR, "model.layers.%d.mamba.conv1d.bias")                 \
    X(MAMBA_X, LAYER, "layers.%d.mamba.x",                                     \
      CORE_MAMBA_HERE, CORE_MAMBA_N_X, s->mamba.n_c,                           \
      MATRIX(1.0), NONE, MATRIX, "model.layers.%d.mamba.x_proj.weight")        \
    X(MAMBA_DT_NORM, LAYER, "layers.%d.mamba.dt_norm",                         \
      CORE_MAMBA_HERE, 1, s->mamba.n_r, NORM, NONE, VECTOR,                    \
      "model.layers.%d.mamba.dt_layernorm.weight")                             \
    X(MAMBA_B_NORM, LAYER, "layers.%d.mamba.b_norm",                           \
      CORE_MAMBA_HERE, 1, s->mamba.n_s, NORM, NONE, VECTOR,                    \
      "model.layers.%d.mamba.b_layernorm.weight")                              \
    X(MAMBA_C_NORM, LAYER, "layers.%d.mamba.c_norm",                           \
      CORE_MAMBA_HERE, 1, s->mamba.n_s, NORM, NONE, VECTOR,                    \
      "model.layers.%d.mamba.c_layernorm.weight")                              \
    X(MAMBA_DT, LAYER, "layers.%d.mamba.dt",                                   \
      CORE_MAMBA_HERE, s->mamba.n_c, s->mamba.n_r,                             \
      MATRIX(1.0), MAMBA_DT_BIAS, MATRIX,                                      \
      "model.layers.%d.mamba.dt_proj.weight")                                  \
    X(MAMBA_DT_BIAS, LAYER, "layers.%d.mamba.dt_bias",                         \
      CORE_MAMBA_HERE, 1, s->mamba.n_c, BIAS, NONE, VECTOR,                    \
      "model.layers.%d.mamba.dt_proj.bias")                                    \
    X(MAMBA_A_LOG, LAYER, "layers.%d.mamba.a_log",                             \
      CORE_MAMBA_HERE, s->mamba.n_c, s->mamba.n_s, DECAY, NONE, MATRIX,        \
      "model.layers.%d.mamba.A_log")                                           \
    X(MAMBA_D, LAYER, "layers.%d.mamba.d", CORE_MAMBA_HERE, 1, s->mamba.n_c,   \
      BIAS, NONE, VECTOR, "model.layers.%d.mamba.D")                           \
    X(MAMBA_OUT, LAYER, "layers.%d.mamba.out",                                 \
      CORE_MAMBA_HERE, s->n_d, s->mamba.n_c,                                   \
      MATRIX(1.5), MAMBA_OUT_BIAS, MATRIX,                                     \
      "model.layers.%d.mamba.out_proj.weight")                                 \
    X(MAMBA_OUT_BIAS, LAYER, "layers.%d.mamba.out_bias",                       \
      CORE_MAMBA_HERE && s->mamba.bias_proj, 1, s->n_d, BIAS, NONE, VECTOR,    \
      "model.layers.%d.mamba.out_proj.bias")

#define CORE_MAMBA_FIELDS(X)                                                   \
    X(MAMBA_CHANNELS, "mamba.channels", I64, mamba.n_c, CORE_ANY_MAMBA, false, \
      "channels")                                                              \
    X(MAMBA_STATE, "mamba.state", I64, mamba.n_s, CORE_ANY_MAMBA, false,       \
      "states of a channel")                                                   \
    X(MAMBA_CONV, "mamba.conv", I64, mamba.n_conv, CORE_ANY_MAMBA, false,      \
      "positions that the convolution sees")                                   \
    X(MAMBA_DT_RANK, "mamba.dt_rank", I64, mamba.n_r, CORE_ANY_MAMBA, false,   \
      "columns of the compressed time step")                                   \
    X(MAMBA_BIAS_CONV, "mamba.bias_conv", FLAG, mamba.bias_conv,               \
      CORE_ANY_MAMBA, false,                                                   \
      "bias of the convolution")                                               \
    X(MAMBA_BIAS_PROJ, "mamba.bias_proj", FLAG, mamba.bias_proj,               \
      CORE_ANY_MAMBA, false,                                                   \
      "bias of both projections")

#endif
