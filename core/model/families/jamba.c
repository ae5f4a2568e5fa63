/* core/model/families/jamba.c -- Jamba: mamba layers between those of
 * attention.
 */
#include "core/model/families/family.h"

#include <string.h>

static core_status get_mamba(core_spec *spec, core__reader r)
{
    core_mamba *mamba = &spec->mamba;
    const json_t *rank = core__config_value(r, "mamba_dt_rank");
    int64_t expand;
    CORE_TRY(core__config_count(r, "mamba_expand", &expand));
    mamba->n_c = expand * spec->n_d;
    CORE_TRY(core__config_count(r, "mamba_d_state", &mamba->n_s));
    CORE_TRY(core__config_count(r, "mamba_d_conv", &mamba->n_conv));
    if (json_is_string(rank) && strcmp(json_string_value(rank), "auto") == 0)
        mamba->n_r = (spec->n_d + 15) / 16;
    else
        CORE_TRY(core__config_count(r, "mamba_dt_rank", &mamba->n_r));
    CORE_TRY(core__config_flag(r, "mamba_conv_bias", true, &mamba->bias_conv));
    return core__config_flag(r, "mamba_proj_bias", false, &mamba->bias_proj);
}

/* Layers l with l mod period == offset. */
static core_status get_period(core__reader r, const char *period_key,
                              const char *offset_key, int64_t n_l,
                              uint8_t *layer, uint8_t inside, uint8_t outside)
{
    int64_t period, offset;
    CORE_TRY(core__config_count(r, period_key, &period));
    CORE_TRY(core__config_count_or(r, offset_key, 0, &offset));
    CORE_FAIL_IF(offset >= period, CORE_E_SPEC,
                 "%s: %s: %lld, expected less than %s %lld", r.where,
                 offset_key, (long long)offset, period_key, (long long)period);
    for (int l = 0; l < (int)n_l; l++)
        layer[l] = l % period == offset ? inside : outside;
    return CORE_OK;
}

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__config_refuse(r, "sliding_window"));
    CORE_TRY(core__expect_silu(spec, r, "the mamba layers have"));
    CORE_TRY(get_mamba(spec, r));
    memset(spec->no_rope, 1, (size_t)spec->n_l);
    CORE_TRY(get_period(r, "attn_layer_period", "attn_layer_offset", spec->n_l,
                        spec->mixer, CORE_MIXER_ATTENTION, CORE_MIXER_MAMBA));
    CORE_TRY(get_period(r, "expert_layer_period", "expert_layer_offset",
                        spec->n_l, spec->ffn, CORE_FFN_MOE, CORE_FFN_DENSE));
    return core__get_dense_inner(spec, r, "intermediate_size");
}

static const core__place OWN[] = {
    {CORE_W_FFN_NORM, CORE_LAYOUT_VECTOR,
     "model.layers.%d.pre_ff_layernorm.weight"},
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX,
     "model.layers.%d.feed_forward.router.weight"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_MATRIX,
     "model.layers.%d.feed_forward.experts.%d.gate_proj.weight"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_MATRIX,
     "model.layers.%d.feed_forward.experts.%d.up_proj.weight"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_MATRIX,
     "model.layers.%d.feed_forward.experts.%d.down_proj.weight"},
    {CORE_W_FINAL_NORM, CORE_LAYOUT_VECTOR, "model.final_layernorm.weight"},
    CORE_PLACES_END};

const core__family core__family_jamba = {
    .model_type = "jamba",
    .published = "Jamba-v0.1, Jamba-1.5",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 65536, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8,
        "num_experts_per_tok": 2, "rms_norm_eps": 1e-06, "num_experts": 16,
        "intermediate_size": 14336, "mamba_d_state": 16, "mamba_d_conv": 4,
        "mamba_expand": 2, "mamba_dt_rank": "auto", "attn_layer_period": 8,
        "attn_layer_offset": 4, "expert_layer_period": 2,
        "expert_layer_offset": 1
    }),
    .ignores = "use_mamba* use_associative_scan",
    .add = add,
    .experts = "num_experts",
    .inner = "intermediate_size",
    .head = CORE_HEAD_OF_WIDTH,
    .no_rope = true,
    .own = OWN,
    .dense = "model.layers.%d.feed_forward.",
};
