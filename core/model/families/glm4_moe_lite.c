/* core/model/families/glm4_moe_lite.c -- GLM-4.7-Flash: latents, the router of
 * DeepSeek-V3.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__get_latent(spec, r));
    CORE_TRY(
        core__config_flag(r, "rope_interleave", true, &spec->rope.interleaved));
    CORE_TRY(core__get_v3_router(spec, r, true));
    CORE_TRY(core__get_shared_count(spec, r, "n_shared_experts"));
    return core__get_mlp_types(spec, r, 1);
}

const core__family core__family_glm4_moe_lite = {
    .model_type = "glm4_moe_lite",
    .published = "GLM-4.7-Flash",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 154880, "hidden_size": 2048, "num_hidden_layers": 47,
        "num_attention_heads": 20, "num_key_value_heads": 20,
        "num_experts_per_tok": 4, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "max_position_embeddings": 202752, "n_routed_experts": 64,
        "moe_intermediate_size": 1536, "intermediate_size": 10240,
        "n_shared_experts": 1, "kv_lora_rank": 512, "q_lora_rank": 768,
        "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256,
        "routed_scaling_factor": 1.8, "n_group": 1, "topk_group": 1
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
