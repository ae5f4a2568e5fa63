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
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_PARTS,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
    .looks_ahead = true,
};
