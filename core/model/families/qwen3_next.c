/* core/model/families/qwen3_next.c -- Qwen3-Next: a gated delta rule in most
 * layers, gated attention in the others, norms that add 1.
 *
 * Trap: its two input projections go key head by key head: query, key, the
 * values that this head serves, their gates; and strengths before steps.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__get_gated_mixers(spec, r));
    CORE_TRY(core__config_flag(r, "norm_topk_prob", true, &spec->renormalise));
    return core__get_sparse_step(spec, r);
}

static core_blocks blocks(const core_spec *spec, core_weight_kind kind)
{
    const core_deltanet *s = &spec->deltanet;
    if (s->n_kh == 0)
        return core__blocks_of_gated(spec, kind);
    const int64_t served = s->n_vh / s->n_kh, values = served * s->n_dv;
    const int64_t n_dk = s->n_dk, period = 2 * n_dk + 2 * values;
    switch (kind) {
    case CORE_W_DELTANET_Q:
        return (core_blocks){s->n_kh, 0, period};
    case CORE_W_DELTANET_K:
        return (core_blocks){s->n_kh, n_dk, period};
    case CORE_W_DELTANET_V:
        return (core_blocks){s->n_kh, 2 * n_dk, period};
    case CORE_W_DELTANET_GATE:
        return (core_blocks){s->n_kh, 2 * n_dk + values, period};
    case CORE_W_DELTANET_BETA:
        return (core_blocks){s->n_kh, 0, 2 * served};
    case CORE_W_DELTANET_DT:
        return (core_blocks){s->n_kh, served, 2 * served};
    default:
        return core__blocks_of_gated(spec, kind);
    }
}

#define IN_QKVZ "model.layers.%d.linear_attn.in_proj_qkvz.weight"
#define IN_BA "model.layers.%d.linear_attn.in_proj_ba.weight"
#define CONV "model.layers.%d.linear_attn.conv1d.weight"

static const core__place OWN[] = {
    {CORE_W_CONTEXT_GATE, CORE_LAYOUT_MATRIX,
     "model.layers.%d.self_attn.q_proj.weight"},
    {CORE_W_CONTEXT_GATE_BIAS, CORE_LAYOUT_VECTOR,
     "model.layers.%d.self_attn.q_proj.bias"},
    {CORE_W_DELTANET_Q, CORE_LAYOUT_MATRIX, IN_QKVZ},
    {CORE_W_DELTANET_K, CORE_LAYOUT_MATRIX, IN_QKVZ},
    {CORE_W_DELTANET_V, CORE_LAYOUT_MATRIX, IN_QKVZ},
    {CORE_W_DELTANET_GATE, CORE_LAYOUT_MATRIX, IN_QKVZ},
    {CORE_W_DELTANET_BETA, CORE_LAYOUT_MATRIX, IN_BA},
    {CORE_W_DELTANET_DT, CORE_LAYOUT_MATRIX, IN_BA},
    {CORE_W_DELTANET_Q_CONV, CORE_LAYOUT_CONV, CONV},
    {CORE_W_DELTANET_K_CONV, CORE_LAYOUT_CONV, CONV},
    {CORE_W_DELTANET_V_CONV, CORE_LAYOUT_CONV, CONV},
    CORE_PLACES_END};

const core__family core__family_qwen3_next = {
    .model_type = "qwen3_next",
    .published = "Qwen3-Next-80B-A3B",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 48,
        "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256,
        "num_experts_per_tok": 10, "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
        "partial_rotary_factor": 0.25, "max_position_embeddings": 32768,
        "num_experts": 512, "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512, "intermediate_size": 5632,
        "decoder_sparse_step": 1, "full_attention_interval": 4,
        "linear_num_key_heads": 16, "linear_num_value_heads": 32,
        "linear_key_head_dim": 128, "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4
    }),
    .ignores = "intermediate_size",
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
