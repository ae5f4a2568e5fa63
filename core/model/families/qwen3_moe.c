/* core/model/families/qwen3_moe.c -- Qwen3-MoE: norms of queries and keys per
 * head.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    bool window;
    CORE_TRY(core__config_flag(r, "use_sliding_window", false, &window));
    if (window)
        CORE_TRY(core__get_window(spec, r));
    CORE_TRY(core__config_flag(r, "norm_topk_prob", false, &spec->renormalise));
    return core__get_qwen3(spec, r);
}

const core__family core__family_qwen3_moe = {
    .model_type = "qwen3_moe",
    .published = "Qwen3-30B-A3B, Qwen3-235B-A22B, Qwen3-Coder-480B-A35B",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 151936, "hidden_size": 2048, "num_hidden_layers": 24,
        "num_attention_heads": 32, "num_key_value_heads": 4,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
        "max_position_embeddings": 32768, "num_experts": 128,
        "moe_intermediate_size": 768, "intermediate_size": 6144,
        "decoder_sparse_step": 1, "sliding_window": 4096
    }),
    .ignores = "sliding_window max_window_layers intermediate_size",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .dense = "model.layers.%d.mlp.",
};
