/* core/model/families/gemma4.c -- Gemma-4 with experts: an MLP and routed
 * experts side by side, norms around everything, global layers with heads of
 * their own, whose values are their keys.
 *
 * Traps: what other files call post_attention_layernorm stands before the MLP,
 * here it stands behind attention; version 5 writes the global layers' heads as
 * per_layer_config; a file without it has input embeddings for every layer.
 */
#include "core/model/families/family.h"

#include <math.h>
#include <stdio.h>

/* Others of the series have no experts, or keys of earlier layers. */
static core_status count_layers(core_spec *spec, core__reader r)
{
    CORE_TRY(core__config_expect_flag(r, "enable_moe_block", true));
    CORE_TRY(core__config_expect_count(r, "hidden_size_per_layer_input", 0));
    CORE_TRY(core__config_expect_count(r, "num_kv_shared_layers", 0));
    return core__config_count(r, "num_hidden_layers", &spec->n_l);
}

static core_status get_layers(core_spec *spec, core__reader r)
{
    static const char *const KINDS[] = {"full_attention", "sliding_attention",
                                        NULL};
    const int last = (int)spec->n_l - 1;
    bool listed;
    for (int l = 0; l < last; l++)
        spec->head_kind[l] = (l + 1) % 6 != 0;
    CORE_TRY(core__config_layers(r, "layer_types", KINDS, spec->n_l,
                                 spec->head_kind, &listed));
    CORE_FAIL_IF(spec->head_kind[last] != 0, CORE_E_SPEC,
                 "%s: layer_types: expected full_attention at the end",
                 r.where);
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->span[l] =
            spec->head_kind[l] != 0 ? CORE_SPAN_WINDOW : CORE_SPAN_FULL;
    return core__get_window(spec, r);
}

/* per_layer_config: the last layer's for all global ones, and for no other. */
static core_status find_global(const core_spec *spec, core__reader r,
                               core__reader *out)
{
    static const char KEY[] = "per_layer_config";
    core__reader all, last;
    char layer[16];
    snprintf(layer, sizeof layer, "%d", (int)spec->n_l - 1);
    CORE_TRY(core__config_object(r, KEY, &all));
    CORE_TRY(core__config_object(all, layer, &last));
    CORE_FAIL_IF(last.object == NULL, CORE_E_SPEC, "%s: %s: no layer %s",
                 r.where, KEY, layer);
    for (int l = 0; l < (int)spec->n_l - 1; l++) {
        snprintf(layer, sizeof layer, "%d", l);
        const json_t *own = core__config_value(all, layer);
        const json_t *wanted = spec->head_kind[l] == 0 ? last.object : NULL;
        CORE_FAIL_IF(own != wanted && !json_equal(own, wanted), CORE_E_SPEC,
                     "%s: %s: layer %s: expected what layer %lld has for full "
                     "attention, nothing for a window",
                     r.where, KEY, layer, (long long)spec->n_l - 1);
    }
    *out = last;
    return CORE_OK;
}

/* What the file says of heads is the layers' with a window. */
static core_status get_heads(core_spec *spec, core__reader r)
{
    const bool is_own = core__config_has(r, "per_layer_config");
    core__reader global = r;
    spec->other.n_h = spec->n_h;
    spec->other.n_g = spec->n_g;
    spec->other.n_dh = spec->n_dh;
    CORE_TRY(core__config_flag(r, "attention_k_eq_v", false, &spec->v_is_k));
    if (is_own)
        CORE_TRY(find_global(spec, r, &global));
    const char *n_g =
        is_own ? "num_key_value_heads" : "num_global_key_value_heads";
    if (is_own || spec->v_is_k)
        CORE_TRY(core__config_count_or(global, n_g, spec->n_g, &spec->n_g));
    CORE_TRY(core__config_count(global, is_own ? "head_dim" : "global_head_dim",
                                &spec->n_dh));
    spec->score_scale = spec->other.scale = 1.0;
    spec->qk_norm = CORE_QK_NORM_HEAD;
    spec->value_norm = true;
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, true));
    return core__config_ropes(r, "rope_theta", spec);
}

static core_status get_cap(core_spec *spec, core__reader r)
{
    static const char KEY[] = "final_logit_softcapping";
    if (core__config_value(r, KEY) == NULL)
        return CORE_OK;
    CORE_TRY(core__config_real(r, KEY, &spec->logits_cap));
    CORE_FAIL_IF(!(spec->logits_cap > 0.0), CORE_E_SPEC,
                 "%s: %s: %g, expected a positive number", r.where, KEY,
                 spec->logits_cap);
    return CORE_OK;
}

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__config_expect(r, "use_bidirectional_attention", "vision"));
    CORE_TRY(get_layers(spec, r));
    CORE_TRY(get_heads(spec, r));
    CORE_TRY(get_cap(spec, r));
    spec->embed_scale = sqrt((double)spec->n_d);
    spec->post_norm = spec->branch_norm = spec->layer_scale = true;
    spec->router_norm = spec->expert_scale = spec->renormalise = true;
    return core__config_count(r, "intermediate_size", &spec->n_f_shared);
}

#define LAYER "model.layers.%d."
static const core__place OWN[] = {
    {CORE_W_FFN_NORM, CORE_LAYOUT_VECTOR,
     LAYER "pre_feedforward_layernorm.weight"},
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX, LAYER "router.proj.weight"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_E_TOP, LAYER "experts.gate_up_proj"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_E_BOTTOM, LAYER "experts.gate_up_proj"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_E_OUT_IN, LAYER "experts.down_proj"},
    CORE_PLACES_END};

const core__family core__family_gemma4 = {
    .model_type = "gemma4_text",
    .published = "gemma-4-26B-A4B",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 262144, "hidden_size": 2304, "intermediate_size": 9216,
        "num_hidden_layers": 30, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 256, "global_head_dim": 512,
        "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-06,
        "max_position_embeddings": 131072, "tie_word_embeddings": true,
        "sliding_window": 512, "hidden_size_per_layer_input": 256,
        "enable_moe_block": false, "rope_parameters": {
            "sliding_attention": {"rope_type": "default",
                                  "rope_theta": 10000.0},
            "full_attention": {"rope_type": "proportional",
                               "partial_rotary_factor": 0.25,
                               "rope_theta": 1000000.0}}
    }),
    .ignores = "use_double_wide_mlp vocab_size_per_layer_input "
               "num_global_key_value_heads global_head_dim",
    .add = add,
    .layers = count_layers,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .act = "hidden_activation",
    .chosen = "top_k_experts",
    .head = CORE_HEAD_REQUIRED,
    .no_rope = true,
    .own = OWN,
    .shared = LAYER "mlp.",
};
