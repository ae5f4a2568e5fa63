/* core/model/families/qwen3_omni_moe.c -- the text part of the thinker of
 * Qwen3-Omni: Qwen3-MoE.
 *
 * With text alone its three rotary positions of a token are the same.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__config_refuse(r, "sliding_window"));
    CORE_TRY(core__config_flag(r, "norm_topk_prob", true, &spec->renormalise));
    return core__get_qwen3(spec, r);
}

const core__family core__family_qwen3_omni_moe = {
    .model_type = "qwen3_omni_moe_text",
    .published = "Qwen3-Omni-30B-A3B: the thinker",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 3584, "hidden_size": 2048, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0, "max_position_embeddings": 32768,
        "num_experts": 128, "moe_intermediate_size": 768,
        "intermediate_size": 18944, "decoder_sparse_step": 1
    }),
    .ignores = "intermediate_size *.mrope_section *.mrope_interleaved "
               "*.interleaved",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .dense = "model.layers.%d.mlp.",
};
