/* core/model/families/qwen3_5_moe.c -- Qwen3.5-MoE, text: the layers of
 * Qwen3-Next under other names, experts in every layer.
 *
 * Queries, keys and values of all heads lie one after the other in one
 * projection; gates, strengths and steps have projections of their own.
 */
#include "core/model/families/family.h"

#include <string.h>

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__get_gated_mixers(spec, r));
    spec->renormalise = true;
    memset(spec->ffn, CORE_FFN_MOE, sizeof spec->ffn);
    return CORE_OK;
}

static core_blocks blocks(const core_spec *spec, core_weight_kind kind)
{
    switch (kind) {
    case CORE_W_DELTANET_Q:
        return core__blocks_of_gated(spec, CORE_W_DELTANET_Q_CONV);
    case CORE_W_DELTANET_K:
        return core__blocks_of_gated(spec, CORE_W_DELTANET_K_CONV);
    case CORE_W_DELTANET_V:
        return core__blocks_of_gated(spec, CORE_W_DELTANET_V_CONV);
    default:
        return core__blocks_of_gated(spec, kind);
    }
}

#define IN_QKV "model.layers.%d.linear_attn.in_proj_qkv.weight"
#define CONV "model.layers.%d.linear_attn.conv1d.weight"

static const core__place OWN[] = {
    {CORE_W_CONTEXT_GATE, CORE_LAYOUT_MATRIX,
     "model.layers.%d.self_attn.q_proj.weight"},
    {CORE_W_CONTEXT_GATE_BIAS, CORE_LAYOUT_VECTOR,
     "model.layers.%d.self_attn.q_proj.bias"},
    {CORE_W_DELTANET_Q, CORE_LAYOUT_MATRIX, IN_QKV},
    {CORE_W_DELTANET_K, CORE_LAYOUT_MATRIX, IN_QKV},
    {CORE_W_DELTANET_V, CORE_LAYOUT_MATRIX, IN_QKV},
    {CORE_W_DELTANET_Q_CONV, CORE_LAYOUT_CONV, CONV},
    {CORE_W_DELTANET_K_CONV, CORE_LAYOUT_CONV, CONV},
    {CORE_W_DELTANET_V_CONV, CORE_LAYOUT_CONV, CONV},
    CORE_PLACES_END};

const core__family core__family_qwen3_5_moe = {
    .model_type = "qwen3_5_moe_text",
    .published = "Qwen3.5-35B-A3B, Qwen3.5-122B-A10B, Qwen3.5-397B-A17B, "
                 "Qwen3.6-35B-A3B",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 248320, "hidden_size": 2048, "num_hidden_layers": 40,
        "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
        "partial_rotary_factor": 0.25, "max_position_embeddings": 32768,
        "num_experts": 256, "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512, "full_attention_interval": 4,
        "linear_num_key_heads": 16, "linear_num_value_heads": 32,
        "linear_key_head_dim": 128, "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4
    }),
    .ignores = "mamba_ssm_dtype mlp_only_layers mtp_use_dedicated_embeddings "
               "rope_parameters.mrope_*",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .partial_rope = true,
    .own = OWN,
    .blocks = blocks,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_expert.",
};
