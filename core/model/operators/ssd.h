/* core/model/operators/ssd.h -- Mamba-2's state space (SSD) instead of
 * attention: heads of one decay, B and C by group.
 *
 * Files hold gate, (x | B | C) and time step in one tensor.
 */
#ifndef CORE_OPERATORS_SSD_H
#define CORE_OPERATORS_SSD_H

#include <stdbool.h>
#include <stdint.h>

typedef struct core_ssd {
    int64_t n_h, n_p;   /* heads, channels of a head                          */
    int64_t n_s;        /* states of a channel                                */
    int64_t n_g;        /* groups of heads that share B, C and a norm         */
    int64_t n_conv;     /* positions that the causal convolution sees         */
    double least, most; /* the time step lies between them; most 0: anywhere
                         * above                                              */
    bool bias_conv, bias_proj; /* bias_proj: of in_proj and out_proj          */
} core_ssd;

#define CORE_SSD_MODULE "mamba"
/* The state carries what it saw of padding into the tokens behind it.        */
#define CORE_SSD_TAKES_PADDING false
#define CORE_SSD_FLOPS (5.0 * (double)(CORE_SSD_N_C * s->ssd.n_s))

#define CORE_SSD_HERE (core_spec_mixer(s, l) == CORE_MIXER_SSD)
#define CORE_ANY_SSD (core__any_mixer(s, CORE_MIXER_SSD))
#define CORE_SSD_N_C (s->ssd.n_h * s->ssd.n_p)
/* x of all heads, B of all groups, C of all groups.                          */
#define CORE_SSD_N_XBC (CORE_SSD_N_C + 2 * s->ssd.n_g * s->ssd.n_s)

#define CORE_SSD_TAPS(X)                                                       \
    X(SSD_GATE, "layers.%d.ssd.gate", TOKEN, ACT, false,                       \
      CORE_SSD_HERE, CORE_SSD_N_C, s->ssd.n_h, "state space gate projection")  \
    X(SSD_XBC, "layers.%d.ssd.xbc", TOKEN, ACT, false,                         \
      CORE_SSD_HERE, CORE_SSD_N_XBC, 0, "state space input projection")        \
    X(SSD_DT_RAW, "layers.%d.ssd.dt_raw", TOKEN, ACT, false,                   \
      CORE_SSD_HERE, s->ssd.n_h, s->ssd.n_h, "time step projection")           \
    X(SSD_CONV, "layers.%d.ssd.conv", TOKEN, ACT, false,                       \
      CORE_SSD_HERE, CORE_SSD_N_XBC, 0, "state space convolution")             \
    X(SSD_ACT, "layers.%d.ssd.act", TOKEN, ACT, false,                         \
      CORE_SSD_HERE, CORE_SSD_N_XBC, 0, "state space activation")              \
    X(SSD_DT, "layers.%d.ssd.dt", TOKEN, PROB, false,                          \
      CORE_SSD_HERE, s->ssd.n_h, s->ssd.n_h, "time step")                      \
    X(SSD_Y, "layers.%d.ssd.y", TOKEN, ACT, false,                             \
      CORE_SSD_HERE, CORE_SSD_N_C, s->ssd.n_h, "state space scan")             \
    X(SSD_GATED, "layers.%d.ssd.gated", TOKEN, ACT, false,                     \
      CORE_SSD_HERE, CORE_SSD_N_C, s->ssd.n_h, "state space gate")             \
    X(SSD_NORM, "layers.%d.ssd.norm", TOKEN, ACT, false,                       \
      CORE_SSD_HERE, CORE_SSD_N_C, s->ssd.n_h, "state space norm")

#define CORE_SSD_WEIGHTS(X)                                                    \
    X(SSD_GATE, LAYER, "layers.%d.ssd.gate",                                   \
      CORE_SSD_HERE, CORE_SSD_N_C, s->n_d,                                     \
      MATRIX(1.0), SSD_GATE_BIAS, MATRIX,                                \
      "model.layers.%d.mamba.in_proj.weight")                                  \
    X(SSD_XBC, LAYER, "layers.%d.ssd.xbc",                                     \
      CORE_SSD_HERE, CORE_SSD_N_XBC, s->n_d,                                   \
      MATRIX(1.0), SSD_XBC_BIAS, MATRIX,                                 \
      "model.layers.%d.mamba.in_proj.weight")                                  \
    X(SSD_DT, LAYER, "layers.%d.ssd.dt",                                       \
      CORE_SSD_HERE, s->ssd.n_h, s->n_d,                                       \
      MATRIX(1.0), SSD_DT_BIAS, MATRIX,                                  \
      "model.layers.%d.mamba.in_proj.weight")                                  \
    X(SSD_GATE_BIAS, LAYER, "layers.%d.ssd.gate_bias",                         \
      CORE_SSD_HERE && s->ssd.bias_proj, 1, CORE_SSD_N_C,                      \
      BIAS, NONE, VECTOR, "model.layers.%d.mamba.in_proj.bias")          \
    X(SSD_XBC_BIAS, LAYER, "layers.%d.ssd.xbc_bias",                           \
      CORE_SSD_HERE && s->ssd.bias_proj, 1, CORE_SSD_N_XBC,                    \
      BIAS, NONE, VECTOR, "model.layers.%d.mamba.in_proj.bias")          \
    X(SSD_DT_BIAS, LAYER, "layers.%d.ssd.dt_bias",                             \
      CORE_SSD_HERE && s->ssd.bias_proj, 1, s->ssd.n_h,                        \
      BIAS, NONE, VECTOR, "model.layers.%d.mamba.in_proj.bias")          \
    X(SSD_CONV, LAYER, "layers.%d.ssd.conv",                                   \
      CORE_SSD_HERE, CORE_SSD_N_XBC, s->ssd.n_conv,                            \
      MATRIX(1.0), SSD_CONV_BIAS, CONV,                                        \
      "model.layers.%d.mamba.conv1d.weight")                                   \
    X(SSD_CONV_BIAS, LAYER, "layers.%d.ssd.conv_bias",                         \
      CORE_SSD_HERE && s->ssd.bias_conv, 1, CORE_SSD_N_XBC,                    \
      BIAS, NONE, VECTOR, "model.layers.%d.mamba.conv1d.bias")                 \
    X(SSD_STEP, LAYER, "layers.%d.ssd.step", CORE_SSD_HERE, 1, s->ssd.n_h,     \
      BIAS, NONE, VECTOR, "model.layers.%d.mamba.dt_bias")                     \
    X(SSD_A_LOG, LAYER, "layers.%d.ssd.a_log", CORE_SSD_HERE, 1, s->ssd.n_h,   \
      DECAY, NONE, VECTOR, "model.layers.%d.mamba.A_log")                      \
    X(SSD_D, LAYER, "layers.%d.ssd.d", CORE_SSD_HERE, 1, s->ssd.n_h,           \
      BIAS, NONE, VECTOR, "model.layers.%d.mamba.D")                           \
    X(SSD_NORM, LAYER, "layers.%d.ssd.norm", CORE_SSD_HERE, 1, CORE_SSD_N_C,   \
      NORM, NONE, VECTOR, "model.layers.%d.mamba.norm.weight")                 \
    X(SSD_OUT, LAYER, "layers.%d.ssd.out",                                     \
      CORE_SSD_HERE, s->n_d, CORE_SSD_N_C,                                     \
      MATRIX(1.5), SSD_OUT_BIAS, MATRIX,                                       \
      "model.layers.%d.mamba.out_proj.weight")                                 \
    X(SSD_OUT_BIAS, LAYER, "layers.%d.ssd.out_bias",                           \
      CORE_SSD_HERE && s->ssd.bias_proj, 1, s->n_d, BIAS, NONE, VECTOR,        \
      "model.layers.%d.mamba.out_proj.bias")

#define CORE_SSD_FIELDS(X)                                                     \
    X(SSD_HEADS, "ssd.heads", I64, ssd.n_h, CORE_ANY_SSD, false,               \
      "heads")                                                                 \
    X(SSD_HEAD_SIZE, "ssd.head_size", I64, ssd.n_p, CORE_ANY_SSD, false,       \
      "channels of a head")                                                    \
    X(SSD_STATE, "ssd.state", I64, ssd.n_s, CORE_ANY_SSD, false,               \
      "states of a channel")                                                   \
    X(SSD_GROUPS, "ssd.groups", I64, ssd.n_g, CORE_ANY_SSD, false,             \
      "groups of heads that share B, C and a norm")                            \
    X(SSD_CONV, "ssd.conv", I64, ssd.n_conv, CORE_ANY_SSD, false,              \
      "positions that the convolution sees")                                   \
    X(SSD_LEAST, "ssd.least_step", REAL, ssd.least, CORE_ANY_SSD, false,       \
      "least time step")                                                       \
    X(SSD_MOST, "ssd.most_step", REAL, ssd.most, CORE_ANY_SSD, false,          \
      "largest time step; 0: any")                                             \
    X(SSD_BIAS_CONV, "ssd.bias_conv", FLAG, ssd.bias_conv, CORE_ANY_SSD,       \
      false,                                                                   \
      "bias of the convolution")                                               \
    X(SSD_BIAS_PROJ, "ssd.bias_proj", FLAG, ssd.bias_proj, CORE_ANY_SSD,       \
      false,                                                                   \
      "bias of both projections")

#endif
