/* core/model/families/deepseek_v2.c -- DeepSeek-V2: latents, softmax router in
 * groups.
 *
 * Traps: head_dim of a DeepSeek file is the rotated part, not the head; the
 * classes ignore norm_topk_prob.
 */
#include "core/model/families/family.h"

#include <string.h>

static core_status add(core_spec *spec, core__reader r)
{
    const char *method;
    CORE_TRY(core__get_latent(spec, r));
    spec->rope.interleaved = true;
    CORE_TRY(core__config_expect(r, "scoring_func", "softmax"));
    CORE_TRY(core__config_text(r, "topk_method", "greedy", &method));
    if (strcmp(method, "group_limited_greedy") == 0)
        CORE_TRY(core__get_groups(spec, r));
    else
        CORE_TRY(core__config_expect(r, "topk_method", "greedy"));
    CORE_TRY(core__config_expect_flag(r, "norm_topk_prob", false));
    CORE_TRY(
        core__config_real(r, "routed_scaling_factor", &spec->routed_scale));
    return core__get_first_dense(spec, r);
}

const core__family core__family_deepseek_v2 = {
    .model_type = "deepseek_v2",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_PARTS,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
};
