/* core/weights/checkpoint_names.c -- what the families call their tensors.
 *
 * Nearly all of them use the same names; a family's own table holds only what
 * differs.  Traps: Mixtral and PhiMoE call an expert's matrices w1 (gate), w3
 * (up) and w2 (down); GPT-OSS, Llama-4 and Granite keep all experts in one
 * tensor with gate and up together, each in its own order; a query of latent
 * attention without a rank is q_proj, with one q_b_proj; the dense MLP and the
 * shared expert are one kind of ours under two prefixes.
 */
#include "core/weights/checkpoint_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAYER        "model.layers.%d."
#define ATTN         LAYER "self_attn."
#define MAMBA        LAYER "mamba."
#define SPARSE       LAYER "block_sparse_moe."
#define FORWARD      LAYER "feed_forward."
#define SWITCH_LAYER "encoder.block.%d.layer.1."

/* A %d is the layer, the next one the expert. */
typedef struct place {
    core_weight_kind kind;
    core__layout layout;
    const char *format;
} place;

typedef struct place_of_kind {
    core__layout layout;
    const char *format;
} place_of_kind;

#define M CORE_LAYOUT_MATRIX
#define V CORE_LAYOUT_VECTOR

/* MLP_*: what follows the prefix. */
static const place_of_kind COMMON[CORE_N_WEIGHT_KINDS] = {
    [CORE_W_EMBED] = {M, "model.embed_tokens.weight"},
    [CORE_W_ATTN_NORM] = {V, LAYER "input_layernorm.weight"},
    [CORE_W_ATTN_NORM_BIAS] = {V, LAYER "input_layernorm.bias"},
    [CORE_W_Q_A] = {M, ATTN "q_a_proj.weight"},
    [CORE_W_Q_A_BIAS] = {V, ATTN "q_a_proj.bias"},
    [CORE_W_Q_A_NORM] = {V, ATTN "q_a_layernorm.weight"},
    [CORE_W_Q] = {M, ATTN "q_proj.weight"},
    [CORE_W_KV_A] = {M, ATTN "kv_a_proj_with_mqa.weight"},
    [CORE_W_KV_A_BIAS] = {V, ATTN "kv_a_proj_with_mqa.bias"},
    [CORE_W_KV_A_NORM] = {V, ATTN "kv_a_layernorm.weight"},
    [CORE_W_KV_B] = {M, ATTN "kv_b_proj.weight"},
    [CORE_W_K] = {M, ATTN "k_proj.weight"},
    [CORE_W_V] = {M, ATTN "v_proj.weight"},
    [CORE_W_O] = {M, ATTN "o_proj.weight"},
    [CORE_W_Q_BIAS] = {V, ATTN "q_proj.bias"},
    [CORE_W_K_BIAS] = {V, ATTN "k_proj.bias"},
    [CORE_W_V_BIAS] = {V, ATTN "v_proj.bias"},
    [CORE_W_O_BIAS] = {V, ATTN "o_proj.bias"},
    [CORE_W_Q_NORM] = {V, ATTN "q_norm.weight"},
    [CORE_W_K_NORM] = {V, ATTN "k_norm.weight"},
    [CORE_W_SINKS] = {V, ATTN "sinks"},
    [CORE_W_MAMBA_U] = {CORE_LAYOUT_FIRST_ROWS, MAMBA "in_proj.weight"},
    [CORE_W_MAMBA_GATE] = {CORE_LAYOUT_LAST_ROWS, MAMBA "in_proj.weight"},
    [CORE_W_MAMBA_U_BIAS] = {CORE_LAYOUT_FIRST_COLS, MAMBA "in_proj.bias"},
    [CORE_W_MAMBA_GATE_BIAS] = {CORE_LAYOUT_LAST_COLS, MAMBA "in_proj.bias"},
    [CORE_W_MAMBA_CONV] = {CORE_LAYOUT_CONV, MAMBA "conv1d.weight"},
    [CORE_W_MAMBA_CONV_BIAS] = {V, MAMBA "conv1d.bias"},
    [CORE_W_MAMBA_X] = {M, MAMBA "x_proj.weight"},
    [CORE_W_MAMBA_DT_NORM] = {V, MAMBA "dt_layernorm.weight"},
    [CORE_W_MAMBA_B_NORM] = {V, MAMBA "b_layernorm.weight"},
    [CORE_W_MAMBA_C_NORM] = {V, MAMBA "c_layernorm.weight"},
    [CORE_W_MAMBA_DT] = {M, MAMBA "dt_proj.weight"},
    [CORE_W_MAMBA_DT_BIAS] = {V, MAMBA "dt_proj.bias"},
    [CORE_W_MAMBA_A_LOG] = {M, MAMBA "A_log"},
    [CORE_W_MAMBA_D] = {V, MAMBA "D"},
    [CORE_W_MAMBA_OUT] = {M, MAMBA "out_proj.weight"},
    [CORE_W_MAMBA_OUT_BIAS] = {V, MAMBA "out_proj.bias"},
    [CORE_W_FFN_NORM] = {V, LAYER "post_attention_layernorm.weight"},
    [CORE_W_FFN_NORM_BIAS] = {V, LAYER "post_attention_layernorm.bias"},
    [CORE_W_ROUTER] = {M, LAYER "mlp.gate.weight"},
    [CORE_W_ROUTER_BIAS] = {V, LAYER "mlp.gate.bias"},
    [CORE_W_CORRECTION] = {V, LAYER "mlp.gate.e_score_correction_bias"},
    [CORE_W_EXPERT_GATE] = {M, LAYER "mlp.experts.%d.gate_proj.weight"},
    [CORE_W_EXPERT_UP] = {M, LAYER "mlp.experts.%d.up_proj.weight"},
    [CORE_W_EXPERT_DOWN] = {M, LAYER "mlp.experts.%d.down_proj.weight"},
    [CORE_W_EXPERT_GATE_BIAS] = {V, LAYER "mlp.experts.%d.gate_proj.bias"},
    [CORE_W_EXPERT_UP_BIAS] = {V, LAYER "mlp.experts.%d.up_proj.bias"},
    [CORE_W_EXPERT_DOWN_BIAS] = {V, LAYER "mlp.experts.%d.down_proj.bias"},
    [CORE_W_MLP_GATE] = {M, "gate_proj.weight"},
    [CORE_W_MLP_UP] = {M, "up_proj.weight"},
    [CORE_W_MLP_DOWN] = {M, "down_proj.weight"},
    [CORE_W_MLP_GATE_BIAS] = {V, "gate_proj.bias"},
    [CORE_W_MLP_UP_BIAS] = {V, "up_proj.bias"},
    [CORE_W_MLP_DOWN_BIAS] = {V, "down_proj.bias"},
    [CORE_W_SHARED_GATE] = {M, LAYER "mlp.shared_expert_gate.weight"},
    [CORE_W_FINAL_NORM] = {V, "model.norm.weight"},
    [CORE_W_FINAL_NORM_BIAS] = {V, "model.norm.bias"},
    [CORE_W_HEAD] = {M, "lm_head.weight"},
    [CORE_W_HEAD_BIAS] = {V, "lm_head.bias"},
};

static const place MIXTRAL[] = {
    {CORE_W_ROUTER, M, SPARSE "gate.weight"},
    {CORE_W_EXPERT_GATE, M, SPARSE "experts.%d.w1.weight"},
    {CORE_W_EXPERT_UP, M, SPARSE "experts.%d.w3.weight"},
    {CORE_W_EXPERT_DOWN, M, SPARSE "experts.%d.w2.weight"},
    {CORE_N_WEIGHT_KINDS, CORE_LAYOUT_NONE, NULL}};

static const place GPT_OSS[] = {
    {CORE_W_ROUTER, M, LAYER "mlp.router.weight"},
    {CORE_W_ROUTER_BIAS, V, LAYER "mlp.router.bias"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_E_EVEN, LAYER "mlp.experts.gate_up_proj"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_E_ODD, LAYER "mlp.experts.gate_up_proj"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_E_IN_OUT, LAYER "mlp.experts.down_proj"},
    {CORE_W_EXPERT_GATE_BIAS, CORE_LAYOUT_E_VECTOR_EVEN,
     LAYER "mlp.experts.gate_up_proj_bias"},
    {CORE_W_EXPERT_UP_BIAS, CORE_LAYOUT_E_VECTOR_ODD,
     LAYER "mlp.experts.gate_up_proj_bias"},
    {CORE_W_EXPERT_DOWN_BIAS, CORE_LAYOUT_E_VECTOR,
     LAYER "mlp.experts.down_proj_bias"},
    {CORE_N_WEIGHT_KINDS, CORE_LAYOUT_NONE, NULL}};

static const place LLAMA4[] = {
    {CORE_W_ROUTER, M, FORWARD "router.weight"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_E_LEFT, FORWARD "experts.gate_up_proj"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_E_RIGHT, FORWARD "experts.gate_up_proj"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_E_IN_OUT, FORWARD "experts.down_proj"},
    {CORE_N_WEIGHT_KINDS, CORE_LAYOUT_NONE, NULL}};

static const place GRANITE[] = {
    {CORE_W_ROUTER, M, SPARSE "router.layer.weight"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_E_TOP, SPARSE "input_linear.weight"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_E_BOTTOM, SPARSE "input_linear.weight"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_E_OUT_IN, SPARSE "output_linear.weight"},
    {CORE_N_WEIGHT_KINDS, CORE_LAYOUT_NONE, NULL}};

static const place JAMBA[] = {
    {CORE_W_FFN_NORM, V, LAYER "pre_ff_layernorm.weight"},
    {CORE_W_ROUTER, M, FORWARD "router.weight"},
    {CORE_W_EXPERT_GATE, M, FORWARD "experts.%d.gate_proj.weight"},
    {CORE_W_EXPERT_UP, M, FORWARD "experts.%d.up_proj.weight"},
    {CORE_W_EXPERT_DOWN, M, FORWARD "experts.%d.down_proj.weight"},
    {CORE_W_FINAL_NORM, V, "model.final_layernorm.weight"},
    {CORE_N_WEIGHT_KINDS, CORE_LAYOUT_NONE, NULL}};

static const place SWITCH[] = {
    {CORE_W_FFN_NORM, V, SWITCH_LAYER "layer_norm.weight"},
    {CORE_W_ROUTER, M, SWITCH_LAYER "mlp.router.classifier.weight"},
    {CORE_W_ROUTER_BIAS, V, SWITCH_LAYER "mlp.router.classifier.bias"},
    {CORE_W_EXPERT_UP, M, SWITCH_LAYER "mlp.experts.expert_%d.wi.weight"},
    {CORE_W_EXPERT_DOWN, M, SWITCH_LAYER "mlp.experts.expert_%d.wo.weight"},
    {CORE_N_WEIGHT_KINDS, CORE_LAYOUT_NONE, NULL}};

/* own: what differs from COMMON; then the prefixes of the two MLPs. */
static const struct {
    const place *own;
    const char *dense, *shared;
} FAMILY[] = {
    [CORE_FAMILY_SEED] = {NULL, LAYER "mlp.", LAYER "mlp.shared_expert."},
    [CORE_FAMILY_MIXTRAL] = {MIXTRAL, NULL, NULL},
    [CORE_FAMILY_SWITCH] = {SWITCH, NULL, NULL},
    [CORE_FAMILY_QWEN2_MOE] = {NULL, LAYER "mlp.", LAYER "mlp.shared_expert."},
    [CORE_FAMILY_QWEN3_MOE] = {NULL, LAYER "mlp.", NULL},
    [CORE_FAMILY_OLMOE] = {NULL, NULL, NULL},
    [CORE_FAMILY_GPT_OSS] = {GPT_OSS, NULL, NULL},
    [CORE_FAMILY_DEEPSEEK_V2] = {NULL, LAYER "mlp.",
                                 LAYER "mlp.shared_experts."},
    [CORE_FAMILY_DEEPSEEK_V3] = {NULL, LAYER "mlp.",
                                 LAYER "mlp.shared_experts."},
    [CORE_FAMILY_GLM4_MOE] = {NULL, LAYER "mlp.", LAYER "mlp.shared_experts."},
    [CORE_FAMILY_DOTS1] = {NULL, LAYER "mlp.", LAYER "mlp.shared_experts."},
    [CORE_FAMILY_LLAMA4] = {LLAMA4, FORWARD, FORWARD "shared_expert."},
    [CORE_FAMILY_GRANITEMOE] = {GRANITE, NULL, NULL},
    [CORE_FAMILY_PHIMOE] = {MIXTRAL, NULL, NULL},
    [CORE_FAMILY_JAMBA] = {JAMBA, FORWARD, NULL},
};

static place_of_kind find(const core_spec *spec, core_weight_kind kind)
{
    const place *own = FAMILY[spec->family].own;
    for (; own != NULL && own->kind != CORE_N_WEIGHT_KINDS; own++)
        if (own->kind == kind)
            return (place_of_kind){own->layout, own->format};
    return COMMON[kind];
}

core__layout core__file_tensor(const core_spec *spec, core_weight id,
                               char name[CORE_FILE_TENSOR_BYTES])
{
    place_of_kind at = find(spec, id.kind);
    int n = 0;
    if (id.kind >= CORE_W_MLP_GATE && id.kind <= CORE_W_MLP_DOWN_BIAS) {
        const char *prefix = core_spec_is_moe(spec, id.layer)
                                 ? FAMILY[spec->family].shared
                                 : FAMILY[spec->family].dense;
        if (prefix == NULL)
            return CORE_LAYOUT_NONE;
        n = snprintf(name, CORE_FILE_TENSOR_BYTES, prefix, id.layer);
    }
    if (id.kind == CORE_W_Q && core_spec_is_mla(spec) && spec->n_q_rank > 0)
        at.format = ATTN "q_b_proj.weight";
    const int layer =
        spec->family == CORE_FAMILY_SWITCH ? spec->switch_block : id.layer;
    snprintf(name + n, CORE_FILE_TENSOR_BYTES - (size_t)n, at.format, layer,
             id.expert);
    return at.layout;
}

/* DeepSeek-V3 and GLM-4 files hold, beyond the last layer, one that predicts
 * further tokens. */
static bool is_beyond_last_layer(const core_spec *spec, const char *name)
{
    static const char LAYERS[] = "model.layers.";
    const size_t n = sizeof LAYERS - 1;
    return (spec->family == CORE_FAMILY_DEEPSEEK_V3 ||
            spec->family == CORE_FAMILY_GLM4_MOE) &&
           strncmp(name, LAYERS, n) == 0 && name[n] >= '0' && name[n] <= '9' &&
           strtol(name + n, NULL, 10) >= spec->n_l;
}

bool core__is_tolerated(const core_spec *spec, const char *name)
{
    static const char ROTARY[] = ".rotary_emb.inv_freq";
    const size_t n = strlen(name), n_rotary = sizeof ROTARY - 1;
    if (n > n_rotary && strcmp(name + n - n_rotary, ROTARY) == 0)
        return true;
    return is_beyond_last_layer(spec, name) ||
           (spec->tied && strcmp(name, COMMON[CORE_W_HEAD].format) == 0);
}
