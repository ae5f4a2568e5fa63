/* core/model/weight_list.h -- which tensors of weights a model has.
 *
 * A model's weights are named by data, not by file: a kind, a layer and an
 * expert.  Every tensor is presented as a matrix [rows, cols] = [out, in],
 * vectors as [1, n].
 */
#ifndef CORE_WEIGHT_LIST_H
#define CORE_WEIGHT_LIST_H

#include "core/model/spec.h"

/* kind, our name (%d = layer, then expert).  Dr rotated elements of a head, Dv
 * value head size; mamba: C channels, S states, R rank, Kc convolution.      */
#define CORE_WEIGHT_LIST(X)                                                    \
    X(EMBED, "embed")                              /* [V, D] */                \
    X(ATTN_NORM, "layers.%d.attn.norm") /* [1, D]; mamba layers too */         \
    X(ATTN_NORM_BIAS, "layers.%d.attn.norm_bias")  /* [1, D] */                \
    X(Q_A, "layers.%d.attn.q_a") /* [Rq, D]   MLA with Rq > 0 */               \
    X(Q_A_BIAS, "layers.%d.attn.q_a_bias")         /* [1, Rq] */               \
    X(Q_A_NORM, "layers.%d.attn.q_a_norm")         /* [1, Rq] */               \
    X(Q, "layers.%d.attn.q") /* [H*Dh, D], or [H*Dh, Rq] */                    \
    X(KV_A, "layers.%d.attn.kv_a")                 /* [Rkv + Dr, D]   MLA */   \
    X(KV_A_BIAS, "layers.%d.attn.kv_a_bias")       /* [1, Rkv + Dr] */         \
    X(KV_A_NORM, "layers.%d.attn.kv_a_norm")       /* [1, Rkv] */              \
    X(KV_B, "layers.%d.attn.kv_b")                 /* [H*(Dh-Dr+Dv), Rkv] */   \
    X(K, "layers.%d.attn.k")                       /* [G*Dh, D]   not MLA */   \
    X(V, "layers.%d.attn.v")                       /* [G*Dh, D]   not MLA */   \
    X(O, "layers.%d.attn.o")                       /* [D, H*Dv] */             \
    X(Q_BIAS, "layers.%d.attn.q_bias")             /* [1, H*Dh] */             \
    X(K_BIAS, "layers.%d.attn.k_bias")             /* [1, G*Dh] */             \
    X(V_BIAS, "layers.%d.attn.v_bias")             /* [1, G*Dh] */             \
    X(O_BIAS, "layers.%d.attn.o_bias")             /* [1, D] */                \
    X(Q_NORM, "layers.%d.attn.q_norm")             /* [1, Dh] or [1, H*Dh] */  \
    X(K_NORM, "layers.%d.attn.k_norm")             /* [1, Dh] or [1, G*Dh] */  \
    X(SINKS, "layers.%d.attn.sinks")               /* [1, H] */                \
    X(MAMBA_U, "layers.%d.mamba.u")                /* [C, D] */                \
    X(MAMBA_GATE, "layers.%d.mamba.gate")          /* [C, D] */                \
    X(MAMBA_U_BIAS, "layers.%d.mamba.u_bias")      /* [1, C] */                \
    X(MAMBA_GATE_BIAS, "layers.%d.mamba.gate_bias") /* [1, C] */               \
    X(MAMBA_CONV, "layers.%d.mamba.conv")          /* [C, Kc] */               \
    X(MAMBA_CONV_BIAS, "layers.%d.mamba.conv_bias") /* [1, C] */               \
    X(MAMBA_X, "layers.%d.mamba.x")                /* [R + 2S, C] */           \
    X(MAMBA_DT_NORM, "layers.%d.mamba.dt_norm")    /* [1, R] */                \
    X(MAMBA_B_NORM, "layers.%d.mamba.b_norm")      /* [1, S] */                \
    X(MAMBA_C_NORM, "layers.%d.mamba.c_norm")      /* [1, S] */                \
    X(MAMBA_DT, "layers.%d.mamba.dt")              /* [C, R] */                \
    X(MAMBA_DT_BIAS, "layers.%d.mamba.dt_bias")    /* [1, C] */                \
    X(MAMBA_A_LOG, "layers.%d.mamba.a_log")        /* [C, S] */                \
    X(MAMBA_D, "layers.%d.mamba.d")                /* [1, C] */                \
    X(MAMBA_OUT, "layers.%d.mamba.out")            /* [D, C] */                \
    X(MAMBA_OUT_BIAS, "layers.%d.mamba.out_bias")  /* [1, D] */                \
    X(FFN_NORM, "layers.%d.ffn.norm")              /* [1, D] */                \
    X(FFN_NORM_BIAS, "layers.%d.ffn.norm_bias")    /* [1, D] */                \
    X(ROUTER, "layers.%d.router")                  /* [E, D] */                \
    X(ROUTER_BIAS, "layers.%d.router_bias")        /* [1, E] */                \
    X(CORRECTION, "layers.%d.router_correction")   /* [1, E] */                \
    X(EXPERT_GATE, "layers.%d.experts.%d.gate")    /* [F, D] if gated */       \
    X(EXPERT_UP, "layers.%d.experts.%d.up")        /* [F, D] */                \
    X(EXPERT_DOWN, "layers.%d.experts.%d.down")    /* [D, F] */                \
    X(EXPERT_GATE_BIAS, "layers.%d.experts.%d.gate_bias") /* [1, F] */         \
    X(EXPERT_UP_BIAS, "layers.%d.experts.%d.up_bias") /* [1, F] */             \
    X(EXPERT_DOWN_BIAS, "layers.%d.experts.%d.down_bias") /* [1, D] */         \
    X(MLP_GATE, "layers.%d.mlp.gate")              /* [Fm, D]: dense layer */  \
    X(MLP_UP, "layers.%d.mlp.up")                  /* [Fm, D]  or shared */    \
    X(MLP_DOWN, "layers.%d.mlp.down")              /* [D, Fm]  expert */       \
    X(MLP_GATE_BIAS, "layers.%d.mlp.gate_bias")    /* [1, Fm] */               \
    X(MLP_UP_BIAS, "layers.%d.mlp.up_bias")        /* [1, Fm] */               \
    X(MLP_DOWN_BIAS, "layers.%d.mlp.down_bias")    /* [1, D] */                \
    X(SHARED_GATE, "layers.%d.mlp.score") /* [1, D], a matrix of one row */    \
    X(FINAL_NORM, "final_norm")                    /* [1, D] */                \
    X(FINAL_NORM_BIAS, "final_norm_bias")          /* [1, D] */                \
    X(HEAD, "head")                                /* [V, D]; tied: = EMBED */ \
    X(HEAD_BIAS, "head_bias")                      /* [1, V] */

typedef enum core_weight_kind {
#define CORE_WEIGHT_ENUM(kind, name) CORE_W_##kind,
    CORE_WEIGHT_LIST(CORE_WEIGHT_ENUM)
#undef CORE_WEIGHT_ENUM
    CORE_N_WEIGHT_KINDS
} core_weight_kind;

typedef struct core_weight {
    core_weight_kind kind;
    int layer;  /* 0 where the kind has none */
    int expert; /* 0 where the kind has none */
} core_weight;

/* Does the model have this tensor?  (A tied head does: it is EMBED.) [local] */
bool core_weight_exists(const core_spec *spec, core_weight id);
void core_weight_shape(const core_spec *spec, core_weight id, int64_t *n_row,
                       int64_t *n_col);
/* The bias that is added to the rows of a matrix; CORE_N_WEIGHT_KINDS: none
 * ever.  Whether this model has it is core_weight_exists' answer.    [local] */
core_weight_kind core_weight_bias(core_weight_kind kind);
const char *core_weight_name(core_weight id, char name[CORE_NAME_BYTES]);

/* Dense index of a tensor in [0, core_weight_count); layer by layer. [local] */
int64_t core_weight_count(const core_spec *spec);
int64_t core_weight_index(const core_spec *spec, core_weight id);
/* All tensors by index: writes core_weight_count ids, a tied head is none.   */
void core_weight_list(const core_spec *spec, core_weight *out);

#endif
