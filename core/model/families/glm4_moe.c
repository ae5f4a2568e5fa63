/* core/model/families/glm4_moe.c -- GLM-4-MoE: the router of DeepSeek-V3,
 * part of a head rotated.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    bool norm;
    CORE_TRY(core__config_flag(r, "use_qk_norm", false, &norm));
    spec->qk_norm = norm ? CORE_QK_NORM_HEAD : CORE_QK_NORM_NONE;
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, false));
    CORE_TRY(core__get_v3_router(spec, r, true));
    return core__get_first_dense(spec, r);
}

const core__family core__family_glm4_moe = {
    .model_type = "glm4_moe",
    .published = "GLM-4.5, GLM-4.6",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 151552, "hidden_size": 4096, "num_hidden_layers": 46,
        "num_attention_heads": 96, "num_key_value_heads": 8,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "max_position_embeddings": 131072, "n_routed_experts": 128,
        "intermediate_size": 10944, "moe_intermediate_size": 1408,
        "first_k_dense_replace": 1, "n_shared_experts": 1,
        "routed_scaling_factor": 1.0, "n_group": 1, "topk_group": 1,
        "partial_rotary_factor": 0.5
    }),
    .ignores = "intermediate_size topk_group",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .partial_rope = true,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
    .looks_ahead = true,
};
