/* core/model/families/qwen3_vl_moe.c -- the text part of Qwen3-VL-MoE:
 * Qwen3-MoE that always divides by the sum, experts in one tensor.
 *
 * With text alone its three rotary positions of a token are the same.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    spec->renormalise = true;
    CORE_TRY(core__config_expect_flag(r, "norm_topk_prob", true));
    return core__get_qwen3(spec, r);
}

static const core__place OWN[] = {
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_E_LEFT,
     "model.layers.%d.mlp.experts.gate_up_proj"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_E_RIGHT,
     "model.layers.%d.mlp.experts.gate_up_proj"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_E_IN_OUT,
     "model.layers.%d.mlp.experts.down_proj"},
    CORE_PLACES_END};

const core__family core__family_qwen3_vl_moe = {
    .model_type = "qwen3_vl_moe_text",
    .published = "Qwen3-VL-30B-A3B, Qwen3-VL-235B-A22B",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 24,
        "num_attention_heads": 16, "num_key_value_heads": 16,
        "num_experts_per_tok": 4, "rms_norm_eps": 1e-06,
        "rope_theta": 500000.0, "max_position_embeddings": 128000,
        "num_experts": 60, "moe_intermediate_size": 1408,
        "intermediate_size": 5632, "decoder_sparse_step": 1
    }),
    .ignores = "intermediate_size *.mrope_section *.mrope_interleaved",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .own = OWN,
    .dense = "model.layers.%d.mlp.",
};
