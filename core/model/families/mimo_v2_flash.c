/* core/model/families/mimo_v2_flash.c -- MiMo-V2-Flash: layers with a window
 * have heads of their own, and sinks; the router of DeepSeek-V3.
 *
 * Traps: the publisher's files say which layers have a window by 0 and 1, and
 * its length without the query itself; the class of transformers writes words,
 * and one more.  Values are narrower than keys, and scaled.
 */
#include "core/model/families/family.h"

/* Words of the class, or the publisher's 0 and 1; neither: the fallback's. */
static core_status get_kinds(core__reader r, const char *words_key,
                             const char *const *words, const char *bits_key,
                             int64_t n_l, uint8_t *kind)
{
    bool listed;
    CORE_TRY(core__config_layers(r, words_key, words, n_l, kind, &listed));
    if (core__config_has(r, bits_key))
        CORE_TRY(core__config_layer_bits(r, bits_key, n_l, kind));
    return CORE_OK;
}

static core_status get_layers(core_spec *spec, core__reader r)
{
    static const char *const SPANS[] = {"full_attention", "sliding_attention",
                                        NULL};
    static const char *const FFNS[] = {"dense", "sparse", NULL};
    uint8_t sparse[CORE_MAX_LAYERS];
    for (int l = 0; l < (int)spec->n_l; l++) {
        spec->head_kind[l] = l != 0 && (l + 1) % 6 != 0;
        sparse[l] = l != 0;
    }
    CORE_TRY(get_kinds(r, "layer_types", SPANS, "hybrid_layer_pattern",
                       spec->n_l, spec->head_kind));
    CORE_TRY(get_kinds(r, "mlp_layer_types", FFNS, "moe_layer_freq", spec->n_l,
                       sparse));
    for (int l = 0; l < (int)spec->n_l; l++) {
        spec->span[l] =
            spec->head_kind[l] != 0 ? CORE_SPAN_WINDOW : CORE_SPAN_FULL;
        spec->ffn[l] = sparse[l] != 0 ? CORE_FFN_MOE : CORE_FFN_DENSE;
    }
    return core__get_dense_inner(spec, r, "intermediate_size");
}

static core_status get_window(core_spec *spec, core__reader r)
{
    int64_t before;
    CORE_TRY(core__config_count(r, "sliding_window", &spec->sliding_window));
    if (!core__config_has(r, "sliding_window_size"))
        return CORE_OK;
    CORE_TRY(core__config_count(r, "sliding_window_size", &before));
    spec->sliding_window = before + 1;
    return CORE_OK;
}

/* Layers with a window: twice the kv heads, unless the file says how many. */
static core_status get_heads(core_spec *spec, core__reader r)
{
    core_heads *other = &spec->other;
    CORE_TRY(core__config_count(r, "v_head_dim", &spec->n_dv));
    CORE_TRY(core__config_count_or(r, "swa_num_attention_heads", spec->n_h,
                                   &other->n_h));
    CORE_TRY(core__config_count_or(r, "swa_num_key_value_heads", 2 * spec->n_g,
                                   &other->n_g));
    CORE_TRY(
        core__config_count_or(r, "swa_head_dim", spec->n_dh, &other->n_dh));
    CORE_TRY(
        core__config_count_or(r, "swa_v_head_dim", spec->n_dv, &other->n_dv));
    CORE_TRY(core__config_flag(r, "add_swa_attention_sink_bias", true,
                               &other->sinks));
    CORE_TRY(core__config_flag(r, "add_full_attention_sink_bias", false,
                               &spec->sinks));
    if (core__config_value(r, "attention_value_scale") != NULL)
        CORE_TRY(core__config_real(r, "attention_value_scale",
                                   &spec->value_scale));
    return core__config_ropes(r, "swa_rope_theta", spec);
}

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(get_layers(spec, r));
    CORE_TRY(get_window(spec, r));
    CORE_TRY(get_heads(spec, r));
    CORE_TRY(core__config_real_or(r, "layernorm_epsilon", spec->norm_eps,
                                  &spec->norm_eps));
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, false));
    return core__get_v3_router(spec, r, true);
}

static const core__place OWN[] = {
    {CORE_W_SINKS, CORE_LAYOUT_VECTOR,
     "model.layers.%d.self_attn.attention_sink_bias"},
    CORE_PLACES_END};
static const core__rename RENAMES[] = {{".attention_sink_bias", ".sinks"},
                                       CORE_RENAMES_END};

const core__family core__family_mimo_v2_flash = {
    .model_type = "mimo_v2_flash",
    .published = "MiMo-V2-Flash",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 152576, "hidden_size": 4096, "num_hidden_layers": 48,
        "num_attention_heads": 64, "num_key_value_heads": 4,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-05,
        "rope_theta": 5000000.0, "swa_rope_theta": 10000.0,
        "partial_rotary_factor": 0.334, "max_position_embeddings": 131072,
        "n_routed_experts": 256, "moe_intermediate_size": 2048,
        "intermediate_size": 16384, "head_dim": 192, "v_head_dim": 128,
        "sliding_window": 129, "routed_scaling_factor": 1.0,
        "attention_value_scale": 0.707, "n_group": 1, "topk_group": 1
    }),
    .ignores = "topk_group attention_chunk_size",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .no_rope = true,
    .partial_rope = true,
    .own = OWN,
    .renames = RENAMES,
    .dense = "model.layers.%d.mlp.",
    .looks_ahead = true,
};
