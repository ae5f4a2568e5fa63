/* core/weights.h -- weights as a function of (tensor, rectangle).
 *
 * A model's weights are named by data, not by file: a kind, a layer and an
 * expert.  Every tensor is presented as a matrix [rows, cols] = [out, in] of
 * doubles, vectors as [1, n].  A shard is a rectangle of it; whoever wants one
 * reads one, and nothing bigger is ever made.  Two sources answer: procedural
 * (a counter-based generator of seed, tensor name and global element index) and
 * a checkpoint folder (mmap).
 */
#ifndef CORE_WEIGHTS_H
#define CORE_WEIGHTS_H

#include "core/numerics.h"
#include "core/spec.h"

/* kind, our name (%d = layer, then expert) */
#define CORE_WEIGHT_LIST(X)                                                    \
    X(EMBED, "embed")                             /* [V, D]                */  \
    X(ATTN_NORM, "layers.%d.attn.norm")           /* [1, D]                */  \
    X(Q, "layers.%d.attn.q")                      /* [H*Dh, D]             */  \
    X(K, "layers.%d.attn.k")                      /* [G*Dh, D]             */  \
    X(V, "layers.%d.attn.v")                      /* [G*Dh, D]             */  \
    X(O, "layers.%d.attn.o")                      /* [D, H*Dh]             */  \
    X(Q_BIAS, "layers.%d.attn.q_bias")            /* [1, H*Dh]             */  \
    X(K_BIAS, "layers.%d.attn.k_bias")            /* [1, G*Dh]             */  \
    X(V_BIAS, "layers.%d.attn.v_bias")            /* [1, G*Dh]             */  \
    X(O_BIAS, "layers.%d.attn.o_bias")            /* [1, D]                */  \
    X(FFN_NORM, "layers.%d.ffn.norm")             /* [1, D]                */  \
    X(ROUTER, "layers.%d.router")                 /* [E, D]                */  \
    X(ROUTER_BIAS, "layers.%d.router_bias")       /* [1, E]                */  \
    X(EXPERT_GATE, "layers.%d.experts.%d.gate")   /* [F, D] if gated       */  \
    X(EXPERT_UP, "layers.%d.experts.%d.up")       /* [F, D]                */  \
    X(EXPERT_DOWN, "layers.%d.experts.%d.down")   /* [D, F]                */  \
    X(EXPERT_GATE_BIAS, "layers.%d.experts.%d.gate_bias") /* [1, F]        */  \
    X(EXPERT_UP_BIAS, "layers.%d.experts.%d.up_bias")     /* [1, F]        */  \
    X(EXPERT_DOWN_BIAS, "layers.%d.experts.%d.down_bias") /* [1, D]        */  \
    X(MLP_GATE, "layers.%d.mlp.gate")             /* [Fm, D]: dense layer  */  \
    X(MLP_UP, "layers.%d.mlp.up")                 /* [Fm, D]  or shared    */  \
    X(MLP_DOWN, "layers.%d.mlp.down")             /* [D, Fm]  expert       */  \
    X(MLP_GATE_BIAS, "layers.%d.mlp.gate_bias")   /* [1, Fm]               */  \
    X(MLP_UP_BIAS, "layers.%d.mlp.up_bias")       /* [1, Fm]               */  \
    X(MLP_DOWN_BIAS, "layers.%d.mlp.down_bias")   /* [1, D]                */  \
    X(FINAL_NORM, "final_norm")                   /* [1, D]                */  \
    X(HEAD, "head")                               /* [V, D]; tied: = EMBED */

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
const char *core_weight_name(core_weight id, char name[CORE_NAME_BYTES]);

/* Dense index of a tensor in [0, core_weight_count); layer by layer.  [local] */
int64_t core_weight_count(const core_spec *spec);
int64_t core_weight_index(const core_spec *spec, core_weight id);

typedef struct core_weights core_weights; /* opaque; read-only once prepared,
                                           * then safe to use from threads    */

CORE_NODISCARD core_status core_weights_open_procedural(core_weights **out,
                                                        const core_spec *spec,
                                                        uint64_t seed);

/* Map the safetensors files of a checkpoint folder and check that every tensor
 * the spec wants is there with its shape, and that nothing unknown is. [local]
 * Errors: E_FILE, E_FORMAT, E_WEIGHTS naming file and tensor.                */
CORE_NODISCARD core_status core_weights_open_checkpoint(core_weights **out,
                                                        const core_spec *spec,
                                                        const char *folder);
void core_weights_close(core_weights *weights); /* accepts NULL */

/* Choose the numerics of what core_weights_read returns.  For exact mode the
 * step of every tensor is needed, derived from the whole tensor:
 *   steps == NULL  derive them here (procedural: known; checkpoint: one scan)
 *   else           [core_weight_count] steps that another process derived.
 * May be called again with other numerics.  Not thread-safe.         [local] */
CORE_NODISCARD core_status core_weights_prepare(core_weights *weights,
                                                core_numerics numerics,
                                                const double *steps);

/* The steps in use, [core_weight_count]; NULL unless prepared for exact.     */
const double *core_weights_steps(const core_weights *weights);
double core_weights_step(const core_weights *weights, core_weight id);

/* out[(r-r0)*ld + (c-c0)] = W[r, c] for r in [r0, r1), c in [c0, c1).
 * Values are those of the numerics prepared for.  Cannot fail.       [local] */
void core_weights_read(const core_weights *weights, core_weight id, int64_t r0,
                       int64_t r1, int64_t c0, int64_t c1, double *out,
                       int64_t ld);

/* One line on where the weights come from, for reports.              [local] */
const char *core_weights_origin(const core_weights *weights);

#endif
