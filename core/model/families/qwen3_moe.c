/* core/model/families/qwen3_moe.c -- Qwen3-MoE: norms of queries and keys per
 * head.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    bool window;
    spec->qk_norm = CORE_QK_NORM_HEAD;
    CORE_TRY(core__config_flag(r, "use_sliding_window", false, &window));
    if (window)
        CORE_TRY(core__get_window(spec, r));
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, true));
    CORE_TRY(core__config_flag(r, "norm_topk_prob", false, &spec->renormalise));
    return core__get_sparse_step(spec, r);
}

const core__family core__family_qwen3_moe = {
    .model_type = "qwen3_moe",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .dense = "model.layers.%d.mlp.",
};
