/* core/model/families/dots1.c -- dots1: the router of DeepSeek-V3, windows. */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    bool found;
    int64_t n_full;
    spec->qk_norm = CORE_QK_NORM_HEAD;
    CORE_TRY(core__get_window(spec, r));
    CORE_TRY(core__get_spans(spec, r, &found));
    if (!found && spec->sliding_window > 0) {
        CORE_TRY(core__config_count_or(r, "max_window_layers", 0, &n_full));
        for (int l = 0; l < (int)spec->n_l; l++)
            spec->span[l] = l < n_full ? CORE_SPAN_FULL : CORE_SPAN_WINDOW;
    }
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, true));
    CORE_TRY(core__get_v3_router(spec, r, false));
    return core__get_first_dense(spec, r);
}

const core__family core__family_dots1 = {
    .model_type = "dots1",
    .published = "dots.llm1",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 152064, "hidden_size": 4608, "num_hidden_layers": 62,
        "num_attention_heads": 32, "num_key_value_heads": 32,
        "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
        "max_position_embeddings": 2048, "intermediate_size": 10944,
        "moe_intermediate_size": 1408, "first_k_dense_replace": 0,
        "routed_scaling_factor": 1.0, "n_group": 1, "topk_group": 1,
        "sliding_window": 4096, "max_window_layers": 62
    }),
    .ignores = "intermediate_size topk_group max_window_layers",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
};
