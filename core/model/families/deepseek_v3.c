/* core/model/families/deepseek_v3.c -- DeepSeek-V3: latents, sigmoid router
 * with a correction.
 *
 * Trap: head_dim of a DeepSeek file is the rotated part, not the head.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__get_latent(spec, r));
    CORE_TRY(
        core__config_flag(r, "rope_interleave", true, &spec->rope.interleaved));
    CORE_TRY(core__get_v3_router(spec, r, true));
    return core__get_first_dense(spec, r);
}

const core__family core__family_deepseek_v3 = {
    .model_type = "deepseek_v3",
    .also = "kimi_k2",
    .published = "DeepSeek-V3, DeepSeek-R1, DeepSeek-V3.1, Kimi-K2, Kimi-K2.5",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 129280, "hidden_size": 7168, "num_hidden_layers": 61,
        "num_attention_heads": 128, "num_key_value_heads": 128,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
        "max_position_embeddings": 4096, "n_routed_experts": 256,
        "intermediate_size": 18432, "moe_intermediate_size": 2048,
        "first_k_dense_replace": 3, "n_shared_experts": 1, "kv_lora_rank": 512,
        "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
        "v_head_dim": 128, "routed_scaling_factor": 2.5, "n_group": 8,
        "topk_group": 4
    }),
    .ignores = "head_dim qk_head_dim intermediate_size topk_group",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_PARTS,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
    .looks_ahead = true,
};
