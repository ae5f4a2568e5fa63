/* core/model/families/llama4.c -- Llama-4 text: chunks, layers without rope,
 * weighed inputs.
 *
 * Traps: no_rope_layers has a 1 where there IS rope; experts are one tensor
 * with gate and up side by side.
 */
#include "core/model/families/family.h"

/* A list of 1 (rope) and 0 (none); absent or empty: every 4th has none. */
static core_status get_no_rope_layers(core_spec *spec, core__reader r)
{
    const json_t *list = core__config_value(r, "no_rope_layers");
    const size_t n = json_array_size(list);
    int64_t interval;
    CORE_FAIL_IF(list != NULL && !json_is_array(list), CORE_E_SPEC,
                 "%s: no_rope_layers: expected a list of 1 and 0", r.where);
    CORE_TRY(core__config_count_or(r, "no_rope_layer_interval", 4, &interval));
    CORE_FAIL_IF(n != 0 && (int64_t)n != spec->n_l, CORE_E_SPEC,
                 "%s: no_rope_layers: a list of %zu, expected one entry for "
                 "each of %lld layers",
                 r.where, n, (long long)spec->n_l);
    for (int l = 0; l < (int)spec->n_l; l++) {
        const json_t *entry = json_array_get(list, (size_t)l);
        const double rope =
            n != 0 ? json_number_value(entry)
                   : (double)(interval == 0 || (l + 1) % interval != 0);
        CORE_FAIL_IF(
            (n != 0 && !json_is_number(entry)) || !(rope == 0.0 || rope == 1.0),
            CORE_E_SPEC, "%s: no_rope_layers: entry %d: expected 1 or 0",
            r.where, l);
        spec->no_rope[l] = rope == 0.0 ? 1 : 0;
    }
    return CORE_OK;
}

static core_status get_llama4_layers(core_spec *spec, core__reader r)
{
    uint8_t moe[CORE_MAX_LAYERS] = {0};
    int64_t step;
    bool found;
    CORE_TRY(core__config_layer_set(r, "moe_layers", spec->n_l, moe, &found));
    CORE_TRY(core__config_count_or(r, "interleave_moe_layer_step", 1, &step));
    CORE_FAIL_IF(!found && step == 0, CORE_E_SPEC,
                 "%s: interleave_moe_layer_step: 0 leaves no layer with "
                 "experts",
                 r.where);
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->ffn[l] = (found ? moe[l] != 0 : (l + 1) % step == 0)
                           ? CORE_FFN_MOE
                           : CORE_FFN_DENSE;
    return core__get_dense_inner(spec, r, "intermediate_size_mlp");
}

static core_status add(core_spec *spec, core__reader r)
{
    bool found, norm, temper;
    CORE_TRY(get_no_rope_layers(spec, r));
    CORE_TRY(core__get_spans(spec, r, &found));
    for (int l = 0; !found && l < (int)spec->n_l; l++)
        spec->span[l] =
            spec->no_rope[l] != 0 ? CORE_SPAN_FULL : CORE_SPAN_CHUNK;
    CORE_TRY(core__config_count(r, "attention_chunk_size", &spec->chunk));
    CORE_TRY(core__config_flag(r, "use_qk_norm", true, &norm));
    spec->qk_norm = norm ? CORE_QK_NORM_ROPED : CORE_QK_NORM_NONE;
    CORE_TRY(core__config_flag(r, "attn_temperature_tuning", true, &temper));
    if (temper) {
        CORE_TRY(core__config_real(r, "attn_scale", &spec->temper_scale));
        CORE_TRY(core__config_real(r, "floor_scale", &spec->temper_floor));
    }
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, true));
    spec->rope.interleaved = true;
    spec->router = CORE_ROUTER_SIGMOID;
    spec->weigh_input = true;
    spec->n_f_shared = spec->n_f;
    return get_llama4_layers(spec, r);
}

static const core__place OWN[] = {
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX,
     "model.layers.%d.feed_forward.router.weight"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_E_LEFT,
     "model.layers.%d.feed_forward.experts.gate_up_proj"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_E_RIGHT,
     "model.layers.%d.feed_forward.experts.gate_up_proj"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_E_IN_OUT,
     "model.layers.%d.feed_forward.experts.down_proj"},
    CORE_PLACES_END};

const core__family core__family_llama4 = {
    .model_type = "llama4_text",
    .published = "Llama-4-Scout, Llama-4-Maverick",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 202048, "hidden_size": 5120, "num_hidden_layers": 48,
        "num_attention_heads": 40, "num_key_value_heads": 8,
        "num_experts_per_tok": 1, "rms_norm_eps": 1e-05,
        "rope_theta": 500000.0, "max_position_embeddings": 131072,
        "num_local_experts": 16, "intermediate_size": 8192,
        "intermediate_size_mlp": 16384, "head_dim": 128,
        "interleave_moe_layer_step": 1, "no_rope_layer_interval": 4,
        "attention_chunk_size": 8192, "attn_scale": 0.1, "floor_scale": 8192
    }),
    .ignores = "attn_scale floor_scale intermediate_size_mlp "
               "router_jitter_noise for_llm_compressor",
    .add = add,
    .experts = "num_local_experts",
    .inner = "intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .own = OWN,
    .dense = "model.layers.%d.feed_forward.",
    .shared = "model.layers.%d.feed_forward.shared_expert.",
};
