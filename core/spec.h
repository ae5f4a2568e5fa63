/* core/spec.h -- the description of a model: plain data, no behaviour.
 *
 * Axis letters used in names everywhere (see ref/MODEL.md):
 *   T tokens, D model width, H query heads, G kv heads, Dh head size,
 *   E experts, K experts per token, F expert inner size, V vocabulary, L layers.
 */
#ifndef CORE_SPEC_H
#define CORE_SPEC_H

#include "core/status.h"

#include <stdint.h>
#include <stdio.h>

enum { CORE_MAX_LAYERS = 256, CORE_NAME_BYTES = 64 };

typedef enum core_family {
    CORE_FAMILY_SEED,   /* our own spec files and presets                     */
    CORE_FAMILY_MIXTRAL,
    CORE_FAMILY_SWITCH, /* one Switch feed-forward sub-layer, from hidden_in  */
} core_family;

typedef enum core_rope_scaling {
    CORE_ROPE_PLAIN,
    CORE_ROPE_LINEAR,
    CORE_ROPE_YARN,
} core_rope_scaling;

typedef struct core_rope {
    double theta;
    core_rope_scaling scaling;
    double factor;             /* linear, yarn                                */
    double beta_fast, beta_slow;
    double original_positions; /* yarn: original_max_position_embeddings      */
    double attention_factor;   /* multiplies cos and sin; resolved at parsing */
    bool truncate;             /* yarn: floor/ceil the correction range       */
} core_rope;

typedef enum core_act {
    CORE_ACT_SILU,
    CORE_ACT_GELU,      /* erf form                                           */
    CORE_ACT_GELU_TANH, /* "gelu_new"                                         */
    CORE_ACT_RELU,
} core_act;

typedef enum core_capacity_rule {
    CORE_CAPACITY_NONE,     /* nothing is ever dropped                        */
    CORE_CAPACITY_FACTOR,   /* C = ceil((double)tokens*K/E*factor), left to right */
    CORE_CAPACITY_ABSOLUTE, /* C is a number of the spec                      */
} core_capacity_rule;

/* The tokens that compete for an expert's slots. */
typedef enum core_capacity_domain {
    CORE_DOMAIN_GROUP,    /* one token group (see core_groups)                */
    CORE_DOMAIN_SEQUENCE, /* one row of the batch                             */
    CORE_DOMAIN_BATCH,    /* all tokens                                       */
} core_capacity_domain;

typedef enum core_priority {
    CORE_PRIORITY_POSITION, /* lower token index first                        */
    CORE_PRIORITY_PROB,     /* larger topk_weight first, ties by token index  */
} core_priority;

/* What the sub-layer returns for a (token, choice) that found no slot. */
typedef enum core_dropped {
    CORE_DROPPED_ZERO,        /* nothing; the other weights stay as they are  */
    CORE_DROPPED_PASSTHROUGH, /* weight * normed input (Switch before 4.52)   */
} core_dropped;

typedef struct core_capacity {
    core_capacity_rule rule;
    core_capacity_domain domain;
    core_priority priority;
    core_dropped dropped;
    double factor;
    int64_t absolute;
} core_capacity;

typedef enum core_ffn { CORE_FFN_MOE, CORE_FFN_DENSE } core_ffn;

typedef struct core_spec {
    char name[CORE_NAME_BYTES];
    core_family family;

    int64_t n_l, n_d, n_h, n_g, n_dh; /* n_h == 0: no attention, embedding,
                                       * final norm or head (Switch layer)    */
    int64_t n_e, n_k, n_f, n_v;
    int64_t n_f_shared;               /* shared expert's inner size, 0: none  */
    int64_t n_f_dense;                /* dense layers' inner size, 0: none    */
    uint8_t ffn[CORE_MAX_LAYERS];     /* core_ffn of each layer               */

    double norm_eps;
    core_rope rope;
    int64_t sliding_window;           /* keys per query, itself included; 0 = all */

    bool gated;       /* experts: true down(act(gate x) * up x), false down(act(up x)) */
    core_act act;
    bool renormalise; /* the K chosen probabilities are divided by their sum  */
    bool tied;        /* the head is the embedding                            */
    bool bias_qkv, bias_o, bias_router, bias_ffn;
    core_capacity capacity;

    int twin_expert;  /* procedural weights: expert twin_expert+1 has the same
                       * router row as expert twin_expert, so every token ties
                       * between the two; -1: none                            */
    int switch_block; /* Switch: encoder block of the sub-layer, file names   */
} core_spec;

/* True if the layer's feed-forward part is a mixture of experts.     [local] */
bool core_spec_is_moe(const core_spec *spec, int layer);

/* True if the layer has a tensor-parallel MLP: a dense layer, or the shared
 * expert of an MoE layer; *n_f receives its inner size.              [local] */
bool core_spec_has_mlp(const core_spec *spec, int layer, int64_t *n_f);

/* Number of MoE layers in [first, end).                              [local] */
int core_spec_count_moe(const core_spec *spec, int first, int end);

/* Parameters in all / used by one token.                             [local] */
int64_t core_spec_parameters(const core_spec *spec);
int64_t core_spec_active_parameters(const core_spec *spec);

/* Slots per expert for a capacity domain of n_t tokens; INT64_MAX if nothing
 * can be dropped.                                                    [local] */
int64_t core_spec_capacity(const core_spec *spec, int64_t n_t);

/* Fill *out from MODEL: a preset's name ("seed-30b", "seed-mini", "shadow-a",
 * "shadow-b"), a spec file (*.yaml), or a checkpoint folder (its config.json).
 * *is_checkpoint (may be NULL) tells the last from the others.       [local]
 * Errors: E_SPEC, E_FILE, E_FORMAT naming file, line and field; *out unchanged. */
CORE_NODISCARD core_status core_spec_open(core_spec *out, const char *model,
                                          bool *is_checkpoint);

/* Our own YAML form; every field must be there.  `name` is used in messages. */
CORE_NODISCARD core_status core_spec_parse_yaml(core_spec *out,
                                                const char *text,
                                                const char *name);

/* A Hugging Face config.json, family by model_type.                          */
CORE_NODISCARD core_status core_spec_parse_config(core_spec *out,
                                                  const char *text,
                                                  const char *name);

/* Write the spec in our own YAML form: core_spec_parse_yaml reads it back.   */
void core_spec_write_yaml(const core_spec *spec, FILE *out);

/* Check sizes and combinations; every parser ends with it.                   */
CORE_NODISCARD core_status core_spec_validate(const core_spec *spec);

/* The name of preset i; NULL after the last.                         [local] */
const char *core_spec_preset_name(int i);

#endif
