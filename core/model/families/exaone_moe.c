/* core/model/families/exaone_moe.c -- K-EXAONE: the router of DeepSeek-V3,
 * windows; full layers have no rope where others have windows.
 */
#include "core/model/families/family.h"

/* Where the file lists no kinds: every pattern-th layer sees all keys. */
static core_status get_pattern(core_spec *spec, core__reader r)
{
    int64_t pattern;
    CORE_TRY(core__config_count(r, "sliding_window_pattern", &pattern));
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->span[l] =
            (l + 1) % pattern == 0 ? CORE_SPAN_FULL : CORE_SPAN_WINDOW;
    return CORE_OK;
}

static core_status add(core_spec *spec, core__reader r)
{
    bool found;
    spec->qk_norm = CORE_QK_NORM_HEAD;
    CORE_TRY(core__get_window(spec, r));
    CORE_TRY(core__get_spans(spec, r, &found));
    if (!found && spec->sliding_window > 0)
        CORE_TRY(get_pattern(spec, r));
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->no_rope[l] =
            spec->sliding_window > 0 && spec->span[l] == CORE_SPAN_FULL;
    CORE_TRY(core__get_v3_router(spec, r, true));
    CORE_TRY(core__get_shared_count(spec, r, "num_shared_experts"));
    return core__get_mlp_types(spec, r, 1);
}

static const core__place OWN[] = {
    {CORE_W_CORRECTION, CORE_LAYOUT_VECTOR,
     "model.layers.%d.mlp.e_score_correction_bias"},
    CORE_PLACES_END};
static const core__rename RENAMES[] = {
    {".mlp.e_score_correction_bias", ".mlp.gate.e_score_correction_bias"},
    CORE_RENAMES_END};

const core__family core__family_exaone_moe = {
    .model_type = "exaone_moe",
    .published = "K-EXAONE-236B-A23B",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 102400, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 32,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "max_position_embeddings": 2048, "num_experts": 64,
        "moe_intermediate_size": 1024, "intermediate_size": 16384,
        "num_shared_experts": 1, "sliding_window": 4096,
        "sliding_window_pattern": 4, "routed_scaling_factor": 2.5,
        "n_group": 1, "topk_group": 1
    }),
    .ignores = "intermediate_size topk_group sliding_window_pattern",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .own = OWN,
    .renames = RENAMES,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
    .looks_ahead = true,
};
