/* core/model/operators/deltanet.h -- a gated delta rule instead of attention.
 *
 * Value heads each keep a matrix, which is read with a query and corrected with
 * a key; key head g serves the value heads [g r, (g + 1) r), r = Hv / Hk.  What
 * a head forgets is one factor for its whole matrix, or one for every row of it
 * (Kimi delta attention).
 */
#ifndef CORE_OPERATORS_DELTANET_H
#define CORE_OPERATORS_DELTANET_H

#include <stdbool.h>
#include <stdint.h>

typedef struct core_deltanet {
    int64_t n_kh, n_vh; /* key heads, value heads                             */
    int64_t n_dk, n_dv; /* their sizes                                        */
    int64_t n_conv;     /* positions that the causal convolutions see         */
    int64_t n_dt_rank;  /* columns between the stream and the time steps, 0: a
                         * single projection                                  */
    int64_t n_gate_rank; /* likewise of the gate                              */
    bool by_row;         /* a time step for every row of the matrix           */
    bool sigmoid_gate;   /* instead of silu                                   */
    double floor;        /* below 0: logarithms of decays lie between it and 0,
                          * and time steps between 0 and 1; 0: no bound       */
} core_deltanet;

/* Time steps of a value head.                                                */
static inline int64_t core_deltanet_n_dt(const core_deltanet *s)
{
    return s->by_row ? s->n_dk : 1;
}

#define CORE_DELTANET_MODULE "linear_attn"
/* The state carries what it saw of padding into the tokens behind it.        */
#define CORE_DELTANET_TAKES_PADDING false
#define CORE_DELTANET_FLOPS                                                    \
    (7.0 * (double)(s->deltanet.n_vh * s->deltanet.n_dk * s->deltanet.n_dv))

#define CORE_DELTANET_HERE (core_spec_mixer(s, l) == CORE_MIXER_DELTANET)
#define CORE_ANY_DELTANET (core__any_mixer(s, CORE_MIXER_DELTANET))
/* Columns of all key heads, of all value heads.                              */
#define CORE_DELTANET_K (s->deltanet.n_kh * s->deltanet.n_dk)
#define CORE_DELTANET_V (s->deltanet.n_vh * s->deltanet.n_dv)
/* Time steps of all value heads.                                             */
#define CORE_DELTANET_STEPS                                                    \
    (s->deltanet.n_vh * core_deltanet_n_dt(&s->deltanet))

#define CORE_DELTANET_DT_A_HERE (CORE_DELTANET_HERE && s->deltanet.n_dt_rank > 0)
#define CORE_DELTANET_GATE_A_HERE                                              \
    (CORE_DELTANET_HERE && s->deltanet.n_gate_rank > 0)
/* What a projection reads: the stream, or a short vector made of it.         */
#define CORE_DELTANET_FROM(rank) ((rank) > 0 ? (rank) : s->n_d)

#define CORE_DELTANET_TAPS(X)                                                  \
    X(DELTANET_Q, "layers.%d.deltanet.q", TOKEN, ACT, false,                   \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->deltanet.n_kh,                   \
      "delta net query projection")                                            \
    X(DELTANET_K, "layers.%d.deltanet.k", TOKEN, ACT, false,                   \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->deltanet.n_kh,                   \
      "delta net key projection")                                              \
    X(DELTANET_V, "layers.%d.deltanet.v", TOKEN, ACT, false,                   \
      CORE_DELTANET_HERE, CORE_DELTANET_V, s->deltanet.n_vh,                   \
      "delta net value projection")                                            \
    X(DELTANET_GATE_A, "layers.%d.deltanet.gate_a", TOKEN, ACT, false,         \
      CORE_DELTANET_GATE_A_HERE, s->deltanet.n_gate_rank, 0,                   \
      "compression of the delta net's gate")                                   \
    X(DELTANET_GATE, "layers.%d.deltanet.gate", TOKEN, ACT, false,             \
      CORE_DELTANET_HERE, CORE_DELTANET_V, s->deltanet.n_vh,                   \
      "delta net gate projection")                                             \
    X(DELTANET_BETA_RAW, "layers.%d.deltanet.beta_raw", TOKEN, ACT, false,     \
      CORE_DELTANET_HERE, s->deltanet.n_vh, s->deltanet.n_vh,                  \
      "delta net strength projection")                                         \
    X(DELTANET_DT_A, "layers.%d.deltanet.dt_a", TOKEN, ACT, false,             \
      CORE_DELTANET_DT_A_HERE, s->deltanet.n_dt_rank, 0,                       \
      "compression of the delta net's time steps")                             \
    X(DELTANET_DT_RAW, "layers.%d.deltanet.dt_raw", TOKEN, ACT, false,         \
      CORE_DELTANET_HERE, CORE_DELTANET_STEPS, s->deltanet.n_vh,               \
      "delta net time step projection")                                        \
    X(DELTANET_Q_CONV, "layers.%d.deltanet.q_conv", TOKEN, ACT, false,         \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->deltanet.n_kh,                   \
      "convolution of the queries")                                            \
    X(DELTANET_Q_ACT, "layers.%d.deltanet.q_act", TOKEN, ACT, false,           \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->deltanet.n_kh,                   \
      "activation of the queries")                                             \
    X(DELTANET_K_CONV, "layers.%d.deltanet.k_conv", TOKEN, ACT, false,         \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->deltanet.n_kh,                   \
      "convolution of the keys")                                               \
    X(DELTANET_K_ACT, "layers.%d.deltanet.k_act", TOKEN, ACT, false,           \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->deltanet.n_kh,                   \
      "activation of the keys")                                                \
    X(DELTANET_V_CONV, "layers.%d.deltanet.v_conv", TOKEN, ACT, false,         \
      CORE_DELTANET_HERE, CORE_DELTANET_V, s->deltanet.n_vh,                   \
      "convolution of the values")                                             \
    X(DELTANET_V_ACT, "layers.%d.deltanet.v_act", TOKEN, ACT, false,           \
      CORE_DELTANET_HERE, CORE_DELTANET_V, s->deltanet.n_vh,                   \
      "activation of the values")                                              \
    X(DELTANET_Q_NORM, "layers.%d.deltanet.q_norm", TOKEN, PROB, false,        \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->deltanet.n_kh,                   \
      "length of the queries")                                                 \
    X(DELTANET_K_NORM, "layers.%d.deltanet.k_norm", TOKEN, PROB, false,        \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->deltanet.n_kh,                   \
      "length of the keys")                                                    \
    X(DELTANET_BETA, "layers.%d.deltanet.beta", TOKEN, PROB, false,            \
      CORE_DELTANET_HERE, s->deltanet.n_vh, s->deltanet.n_vh,                  \
      "delta net strength")                                                    \
    X(DELTANET_DT, "layers.%d.deltanet.dt", TOKEN, PROB, false,                \
      CORE_DELTANET_HERE, CORE_DELTANET_STEPS, s->deltanet.n_vh,               \
      "delta net time step")                                                   \
    X(DELTANET_Y, "layers.%d.deltanet.y", TOKEN, PROB, false,                  \
      CORE_DELTANET_HERE, CORE_DELTANET_V, s->deltanet.n_vh, "delta rule")     \
    X(DELTANET_NORM, "layers.%d.deltanet.norm", TOKEN, ACT, false,             \
      CORE_DELTANET_HERE, CORE_DELTANET_V, s->deltanet.n_vh,                   \
      "norm of the delta net's heads")                                         \
    X(DELTANET_GATED, "layers.%d.deltanet.gated", TOKEN, ACT, false,           \
      CORE_DELTANET_HERE, CORE_DELTANET_V, s->deltanet.n_vh,                   \
      "delta net gate")

#define CORE_DELTANET_WEIGHTS(X)                                               \
    X(DELTANET_Q, LAYER, "layers.%d.deltanet.q",                               \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->n_d,                             \
      MATRIX(1.0), NONE, MATRIX, "model.layers.%d.linear_attn.q_proj.weight")  \
    X(DELTANET_K, LAYER, "layers.%d.deltanet.k",                               \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->n_d,                             \
      MATRIX(1.0), NONE, MATRIX, "model.layers.%d.linear_attn.k_proj.weight")  \
    X(DELTANET_V, LAYER, "layers.%d.deltanet.v",                               \
      CORE_DELTANET_HERE, CORE_DELTANET_V, s->n_d,                             \
      MATRIX(1.5), NONE, MATRIX, "model.layers.%d.linear_attn.v_proj.weight")  \
    X(DELTANET_GATE_A, LAYER, "layers.%d.deltanet.gate_a",                     \
      CORE_DELTANET_GATE_A_HERE, s->deltanet.n_gate_rank, s->n_d,              \
      MATRIX(1.0), NONE, MATRIX,                                               \
      "model.layers.%d.linear_attn.g_a_proj.weight")                           \
    X(DELTANET_GATE, LAYER, "layers.%d.deltanet.gate",                         \
      CORE_DELTANET_HERE, CORE_DELTANET_V,                                     \
      CORE_DELTANET_FROM(s->deltanet.n_gate_rank),                             \
      MATRIX(1.0), NONE, MATRIX,                                               \
      "model.layers.%d.linear_attn.in_proj_z.weight")                          \
    X(DELTANET_BETA, LAYER, "layers.%d.deltanet.beta",                         \
      CORE_DELTANET_HERE, s->deltanet.n_vh, s->n_d,                            \
      MATRIX(1.0), NONE, MATRIX,                                               \
      "model.layers.%d.linear_attn.in_proj_b.weight")                          \
    X(DELTANET_DT_A, LAYER, "layers.%d.deltanet.dt_a",                         \
      CORE_DELTANET_DT_A_HERE, s->deltanet.n_dt_rank, s->n_d,                  \
      MATRIX(1.0), NONE, MATRIX,                                               \
      "model.layers.%d.linear_attn.f_a_proj.weight")                           \
    X(DELTANET_DT, LAYER, "layers.%d.deltanet.dt",                             \
      CORE_DELTANET_HERE, CORE_DELTANET_STEPS,                                 \
      CORE_DELTANET_FROM(s->deltanet.n_dt_rank),                               \
      MATRIX(1.0), DELTANET_DT_BIAS, MATRIX,                                   \
      "model.layers.%d.linear_attn.in_proj_a.weight")                          \
    X(DELTANET_DT_BIAS, LAYER, "layers.%d.deltanet.dt_bias",                   \
      CORE_DELTANET_HERE, 1, CORE_DELTANET_STEPS, BIAS, NONE, VECTOR,          \
      "model.layers.%d.linear_attn.dt_bias")                                   \
    X(DELTANET_A_LOG, LAYER, "layers.%d.deltanet.a_log",                       \
      CORE_DELTANET_HERE, 1, s->deltanet.n_vh, DECAY, NONE, VECTOR,            \
      "model.layers.%d.linear_attn.A_log")                                     \
    X(DELTANET_Q_CONV, LAYER, "layers.%d.deltanet.q_conv",                     \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->deltanet.n_conv,                 \
      MATRIX(1.0), NONE, CONV, "model.layers.%d.linear_attn.q_conv1d.weight")  \
    X(DELTANET_K_CONV, LAYER, "layers.%d.deltanet.k_conv",                     \
      CORE_DELTANET_HERE, CORE_DELTANET_K, s->deltanet.n_conv,                 \
      MATRIX(1.0), NONE, CONV, "model.layers.%d.linear_attn.k_conv1d.weight")  \
    X(DELTANET_V_CONV, LAYER, "layers.%d.deltanet.v_conv",                     \
      CORE_DELTANET_HERE, CORE_DELTANET_V, s->deltanet.n_conv,                 \
      MATRIX(1.0), NONE, CONV, "model.layers.%d.linear_attn.v_conv1d.weight")  \
    X(DELTANET_NORM, LAYER, "layers.%d.deltanet.norm",                         \
      CORE_DELTANET_HERE, 1, s->deltanet.n_dv, NORM, NONE, VECTOR,             \
      "model.layers.%d.linear_attn.norm.weight")                               \
    X(DELTANET_OUT, LAYER, "layers.%d.deltanet.out",                           \
      CORE_DELTANET_HERE, s->n_d, CORE_DELTANET_V,                             \
      MATRIX(1.5), NONE, MATRIX,                                               \
      "model.layers.%d.linear_attn.out_proj.weight")

#define CORE_DELTANET_FIELDS(X)                                                \
    X(DELTANET_KEY_HEADS, "deltanet.key_heads", I64, deltanet.n_kh,            \
      CORE_ANY_DELTANET, false,                                                \
      "heads of queries and keys")                                             \
    X(DELTANET_VALUE_HEADS, "deltanet.value_heads", I64, deltanet.n_vh,        \
      CORE_ANY_DELTANET, false,                                                \
      "heads of values; a multiple of key_heads")                              \
    X(DELTANET_KEY_SIZE, "deltanet.key_size", I64, deltanet.n_dk,              \
      CORE_ANY_DELTANET, false,                                                \
      "elements of a key")                                                     \
    X(DELTANET_VALUE_SIZE, "deltanet.value_size", I64, deltanet.n_dv,          \
      CORE_ANY_DELTANET, false,                                                \
      "elements of a value")                                                   \
    X(DELTANET_CONV, "deltanet.conv", I64, deltanet.n_conv,                    \
      CORE_ANY_DELTANET, false,                                                \
      "positions that the convolutions see")                                   \
    X(DELTANET_DT_RANK, "deltanet.dt_rank", I64, deltanet.n_dt_rank,           \
      CORE_ANY_DELTANET, true,                                                 \
      "columns between the stream and the time steps (0: none)")               \
    X(DELTANET_GATE_RANK, "deltanet.gate_rank", I64, deltanet.n_gate_rank,     \
      CORE_ANY_DELTANET, true,                                                 \
      "likewise of the gate (0: none)")                                        \
    X(DELTANET_BY_ROW, "deltanet.by_row", FLAG, deltanet.by_row,               \
      CORE_ANY_DELTANET, true,                                                 \
      "a time step for every row of the state (false)")                        \
    X(DELTANET_SIGMOID_GATE, "deltanet.sigmoid_gate", FLAG,                    \
      deltanet.sigmoid_gate, CORE_ANY_DELTANET, true,                          \
      "the gate is a sigmoid, not silu (false)")                               \
    X(DELTANET_FLOOR, "deltanet.floor", REAL, deltanet.floor,                  \
      CORE_ANY_DELTANET, true,                                                 \
      "least logarithm of a decay, below 0 (any)")

#endif
