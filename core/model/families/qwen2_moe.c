/* core/model/families/qwen2_moe.c -- Qwen2-MoE: a shared expert that is
 * weighted, sparse steps.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__config_expect_flag(r, "use_sliding_window", false));
    CORE_TRY(core__get_attention_bias(spec, r, "qkv_bias", true, false));
    CORE_TRY(core__config_flag(r, "norm_topk_prob", false, &spec->renormalise));
    spec->shared_gate = true;
    CORE_TRY(core__config_count(r, "shared_expert_intermediate_size",
                                &spec->n_f_shared));
    return core__get_sparse_step(spec, r);
}

const core__family core__family_qwen2_moe = {
    .model_type = "qwen2_moe",
    .published = "Qwen1.5-MoE-A2.7B, Qwen2-57B-A14B",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 24,
        "num_attention_heads": 16, "num_key_value_heads": 16,
        "num_experts_per_tok": 4, "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
        "max_position_embeddings": 32768, "num_experts": 60,
        "moe_intermediate_size": 1408, "intermediate_size": 5632,
        "shared_expert_intermediate_size": 5632, "decoder_sparse_step": 1
    }),
    .ignores = "sliding_window max_window_layers intermediate_size",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_WIDTH,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_expert.",
};
