/* core/model/families/olmoe.c -- OLMoE: one norm over all heads. */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    spec->qk_norm = CORE_QK_NORM_ALL;
    CORE_TRY(core__config_real_or(r, "clip_qkv", 0.0, &spec->clip_qkv));
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, true));
    return core__config_flag(r, "norm_topk_prob", false, &spec->renormalise);
}

const core__family core__family_olmoe = {
    .model_type = "olmoe",
    .add = add,
    .experts = "num_experts",
    .inner = "intermediate_size",
    .head = CORE_HEAD_OF_WIDTH,
};
