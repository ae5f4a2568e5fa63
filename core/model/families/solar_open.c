/* core/model/families/solar_open.c -- Solar Open: the router of DeepSeek-V3
 * over plain attention.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, false));
    CORE_TRY(core__get_v3_router(spec, r, true));
    return core__get_shared_count(spec, r, "n_shared_experts");
}

const core__family core__family_solar_open = {
    .model_type = "solar_open",
    .published = "Solar-Open-100B",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 196608, "hidden_size": 4096, "num_hidden_layers": 48,
        "num_attention_heads": 64, "num_key_value_heads": 8,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0, "max_position_embeddings": 131072,
        "n_routed_experts": 128, "moe_intermediate_size": 1280,
        "head_dim": 128, "n_shared_experts": 1, "routed_scaling_factor": 1.0,
        "n_group": 1, "topk_group": 1
    }),
    .ignores = "intermediate_size topk_group",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .shared = "model.layers.%d.mlp.shared_experts.",
};
