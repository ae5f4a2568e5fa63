/* core/model/families/glm4_moe.c -- GLM-4-MoE: the router of DeepSeek-V3,
 * part of a head rotated.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    bool norm;
    CORE_TRY(core__config_fraction_present(r));
    CORE_TRY(core__config_flag(r, "use_qk_norm", false, &norm));
    spec->qk_norm = norm ? CORE_QK_NORM_HEAD : CORE_QK_NORM_NONE;
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, false));
    CORE_TRY(core__get_v3_router(spec, r, true));
    return core__get_first_dense(spec, r);
}

const core__family core__family_glm4_moe = {
    .model_type = "glm4_moe",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .partial_rope = true,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
    .looks_ahead = true,
};
