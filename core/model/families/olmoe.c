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
    .published = "OLMoE-1B-7B",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 50304, "hidden_size": 2048, "num_hidden_layers": 16,
        "num_attention_heads": 16, "num_experts_per_tok": 8,
        "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "max_position_embeddings": 4096, "num_experts": 64,
        "intermediate_size": 2048
    }),
    .add = add,
    .experts = "num_experts",
    .inner = "intermediate_size",
    .head = CORE_HEAD_OF_WIDTH,
};
