/* core/model/families/step3p5.c -- Step-3.5 and 3.7: a gate on every head,
 * heads of another number where there are windows, norms that add 1.
 *
 * Traps: all routed experts are one tensor each of gates, ups and downs; the
 * two kinds of layers turn other parts of a head by other waves; what files
 * call the scale of queries is the square of its inverse.
 */
#include "core/model/families/family.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The class writes the heads of every layer that has others than the usual. */
static core_status check_layers(core_spec *spec, core__reader r, int64_t n_h)
{
    core__reader layers, one;
    char key[16];
    CORE_TRY(core__config_object(r, "per_layer_config", &layers));
    for (int l = 0; l < (int)spec->n_l; l++) {
        const bool is_other = spec->span[l] == CORE_SPAN_WINDOW;
        int64_t found = is_other ? n_h : spec->n_h;
        snprintf(key, sizeof key, "%d", l);
        CORE_TRY(core__config_object(layers, key, &one));
        CORE_TRY(
            core__config_count_or(one, "num_attention_heads", found, &found));
        CORE_FAIL_IF(found != (is_other ? n_h : spec->n_h), CORE_E_SPEC,
                     "%s: per_layer_config: layer %d has %lld heads, others of "
                     "its kind %lld",
                     r.where, l, (long long)found,
                     (long long)(is_other ? n_h : spec->n_h));
    }
    return CORE_OK;
}

/* The heads of layers with windows: attention_other_setting says how many. */
static core_status get_other_heads(core_spec *spec, core__reader r)
{
    core__reader other;
    int64_t n_h = spec->n_h;
    spec->other.n_dh = spec->n_dh;
    CORE_TRY(core__config_ropes(r, "rope_theta", spec));
    CORE_TRY(core__config_object(r, "attention_other_setting", &other));
    if (other.object != NULL) {
        CORE_TRY(
            core__config_expect(other, "attention_type", "sliding_attention"));
        CORE_TRY(
            core__config_count_or(other, "num_attention_heads", n_h, &n_h));
        CORE_TRY(core__config_expect_count(other, "num_attention_groups",
                                           spec->n_g));
        CORE_TRY(core__config_expect_count(other, "head_dim", spec->n_dh));
        CORE_TRY(core__config_expect_count(other, "true_head_dim", spec->n_dh));
    }
    CORE_TRY(
        core__config_count_or(r, "num_sliding_attention_heads", n_h, &n_h));
    CORE_TRY(check_layers(spec, r, n_h));
    if (n_h == spec->n_h && spec->other.n_rot == spec->n_rot &&
        memcmp(&spec->other.rope, &spec->rope, sizeof spec->rope) == 0)
        return CORE_OK;
    spec->other.n_h = n_h;
    spec->other.n_g = spec->n_g;
    spec->other.scale = spec->score_scale;
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->head_kind[l] = spec->span[l] == CORE_SPAN_WINDOW;
    return CORE_OK;
}

/* query_pre_attn_scalar q: scores over sqrt(q), where that is no head's size.
 */
static core_status get_score_scale(core_spec *spec, core__reader r)
{
    static const char KEY[] = "query_pre_attn_scalar";
    double scalar;
    if (core__config_value(r, KEY) == NULL)
        return CORE_OK;
    CORE_TRY(core__config_real(r, KEY, &scalar));
    CORE_FAIL_IF(!(scalar > 0.0), CORE_E_SPEC,
                 "%s: %s: %g, expected a positive number", r.where, KEY,
                 scalar);
    if (scalar != (double)spec->n_dh)
        spec->score_scale = 1.0 / sqrt(scalar);
    return CORE_OK;
}

/* Limits of what is activated, by layer; null is 0, and none. */
static core_status get_limits(core__reader r, const char *key, int64_t n_l,
                              double *limit)
{
    const json_t *list = core__config_value(r, key);
    if (list == NULL)
        return CORE_OK;
    CORE_FAIL_IF(json_array_size(list) != (size_t)n_l, CORE_E_SPEC,
                 "%s: %s: expected a list of %lld", r.where, key,
                 (long long)n_l);
    for (size_t l = 0; l < (size_t)n_l; l++) {
        const json_t *one = json_array_get(list, l);
        CORE_FAIL_IF(!json_is_null(one) && !(json_number_value(one) >= 0.0 &&
                                             json_is_number(one)),
                     CORE_E_SPEC,
                     "%s: %s: layer %zu: expected a number from 0, or null",
                     r.where, key, l);
        limit[l] = json_number_value(one);
    }
    return CORE_OK;
}

/* Settings of which published files have one value. */
static core_status expect_usual(core__reader r)
{
    CORE_TRY(core__config_expect(r, "scoring_func", "sigmoid"));
    CORE_TRY(core__config_expect(r, "moe_router_activation", "sigmoid"));
    CORE_TRY(core__config_expect(r, "att_impl_type", "GQA"));
    CORE_TRY(core__config_expect_flag(r, "use_moe_router_bias", true));
    CORE_TRY(core__config_expect_flag(r, "use_head_wise_attn_gate", true));
    CORE_TRY(core__config_expect_flag(r, "gating", true));
    CORE_TRY(core__config_expect_flag(r, "use_moe", true));
    CORE_TRY(core__config_expect_flag(r, "use_qk_norm", true));
    CORE_TRY(core__config_expect_flag(r, "norm_expert_weight", true));
    CORE_TRY(core__config_expect_flag(r, "zero_centered", true));
    CORE_TRY(core__config_expect_flag(r, "sink", false));
    CORE_TRY(core__config_expect_count(r, "n_shared_experts", 1));
    return core__config_expect_count(r, "moe_every_n_layer", 1);
}

/* Layers without rope, and other layers whose positions are scaled: none. */
static core_status refuse_kinds(core__reader r)
{
    const json_t *scaled = core__config_value(r, "yarn_only_types");
    const char *kind = json_string_value(json_array_get(scaled, 0));
    CORE_FAIL_IF(scaled != NULL &&
                     (json_array_size(scaled) != 1 || kind == NULL ||
                      strcmp(kind, "full_attention") != 0),
                 CORE_E_SPEC,
                 "%s: yarn_only_types: expected a list of full_attention alone",
                 r.where);
    CORE_FAIL_IF(
        json_array_size(core__config_value(r, "use_rope_layers")) > 0,
        CORE_E_SPEC, "%s: use_rope_layers: not supported, expected none",
        r.where);
    return CORE_OK;
}

static core_status add_own(core_spec *spec, core__reader r)
{
    bool found;
    spec->norm = CORE_NORM_RMS_PLUS_ONE;
    spec->qk_norm = CORE_QK_NORM_HEAD;
    spec->context_gate = spec->gate_per_head = true;
    spec->router = CORE_ROUTER_SIGMOID;
    spec->correction = spec->renormalise = true;
    CORE_TRY(expect_usual(r));
    CORE_TRY(refuse_kinds(r));
    CORE_TRY(get_score_scale(spec, r));
    CORE_TRY(get_limits(r, "swiglu_limits", spec->n_l, spec->expert_most));
    CORE_TRY(
        get_limits(r, "swiglu_limits_shared", spec->n_l, spec->mlp_most));
    CORE_TRY(core__config_real_or(r, "moe_router_scaling_factor", 1.0,
                                  &spec->routed_scale));
    CORE_TRY(core__config_count(r, "share_expert_dim", &spec->n_f_shared));
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, true));
    CORE_TRY(core__get_window(spec, r));
    CORE_TRY(core__get_spans(spec, r, &found));
    for (int l = 0; !found && l < (int)spec->n_l; l++)
        spec->span[l] = CORE_SPAN_FULL;
    CORE_TRY(get_other_heads(spec, r));
    return core__get_mlp_types(spec, r, 3);
}

static core_status add(core_spec *spec, core__reader r)
{
    json_t *own;
    CORE_TRY(core__step_keys(r, spec->n_l, &own));
    r.object = own;
    const core_status status = add_own(spec, r);
    json_decref(own);
    return status;
}

static const core__place OWN[] = {
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX, "model.layers.%d.moe.gate.weight"},
    {CORE_W_CORRECTION, CORE_LAYOUT_VECTOR, "model.layers.%d.moe.router_bias"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_E_OUT_IN,
     "model.layers.%d.moe.gate_proj.weight"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_E_OUT_IN,
     "model.layers.%d.moe.up_proj.weight"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_E_OUT_IN,
     "model.layers.%d.moe.down_proj.weight"},
    CORE_PLACES_END};

const core__family core__family_step3p5 = {
    .model_type = "step3p5",
    .also = "step3p7",
    .published = "Step-3.5-Flash, Step-3.7-Flash",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size" : 128815,
        "hidden_size" : 4096,
        "num_hidden_layers" : 45,
        "num_attention_heads" : 64,
        "num_key_value_heads" : 8,
        "head_dim" : 128,
        "num_experts_per_tok" : 8,
        "rms_norm_eps" : 1e-05,
        "rope_theta" : 10000.0,
        "max_position_embeddings" : 128000,
        "n_routed_experts" : 288,
        "moe_intermediate_size" : 1280,
        "intermediate_size" : 11264,
        "share_expert_dim" : 1280
    }),
    .ignores = "intermediate_size mtp_layer_types mtp_mlp_layer_types "
               "need_fp32_gate moe_layer_offset max_seq_len",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .no_rope = true,
    .own = OWN,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.share_expert.",
    .looks_ahead = true,
};
