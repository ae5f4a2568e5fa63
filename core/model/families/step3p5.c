/* core/model/families/step3p5.c -- Step-3.5 and 3.7: a gate on every head,
 * heads of another number where there are windows, norms that add 1.
 *
 * Trap: all routed experts are one tensor each of gates, ups and downs.
 */
#include "core/model/families/family.h"

/* The heads of layers with windows: attention_other_setting says how many. */
static core_status get_other_heads(core_spec *spec, core__reader r)
{
    core__reader other;
    int64_t n_h = spec->n_h;
    CORE_TRY(core__config_object(r, "attention_other_setting", &other));
    if (other.object != NULL) {
        CORE_TRY(
            core__config_expect(other, "attention_type", "sliding_attention"));
        CORE_TRY(core__config_count_or(other, "num_attention_heads", n_h, &n_h));
    }
    CORE_TRY(
        core__config_count_or(r, "num_sliding_attention_heads", n_h, &n_h));
    if (n_h == spec->n_h)
        return CORE_OK;
    spec->other.n_h = n_h;
    spec->other.n_g = spec->n_g;
    spec->other.n_dh = spec->n_dh;
    spec->other.n_rot = spec->n_rot;
    spec->other.rope = spec->rope;
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->head_kind[l] = spec->span[l] == CORE_SPAN_WINDOW;
    return CORE_OK;
}

static core_status add(core_spec *spec, core__reader r)
{
    bool found;
    spec->norm = CORE_NORM_RMS_PLUS_ONE;
    spec->qk_norm = CORE_QK_NORM_HEAD;
    spec->context_gate = spec->gate_per_head = true;
    spec->router = CORE_ROUTER_SIGMOID;
    spec->correction = spec->renormalise = true;
    CORE_TRY(core__config_expect(r, "scoring_func", "sigmoid"));
    CORE_TRY(core__config_expect_flag(r, "use_moe_router_bias", true));
    CORE_TRY(core__config_expect_flag(r, "use_head_wise_attn_gate", true));
    CORE_TRY(core__config_expect_flag(r, "gating", true));
    CORE_TRY(core__config_refuse(r, "query_pre_attn_scalar"));
    CORE_TRY(core__config_real_or(r, "moe_router_scaling_factor", 1.0,
                                  &spec->routed_scale));
    CORE_TRY(core__config_count(r, "share_expert_dim", &spec->n_f_shared));
    CORE_TRY(core__config_expect_count(r, "n_shared_experts", 1));
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, true));
    CORE_TRY(core__get_window(spec, r));
    CORE_TRY(core__get_spans(spec, r, &found));
    for (int l = 0; !found && l < (int)spec->n_l; l++)
        spec->span[l] = CORE_SPAN_FULL;
    CORE_TRY(get_other_heads(spec, r));
    return core__get_mlp_types(spec, r, 3);
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
    .defaults = CORE_JSON({
        "vocab_size": 128815, "hidden_size": 4096, "num_hidden_layers": 45,
        "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 128,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "max_position_embeddings": 128000, "n_routed_experts": 288,
        "moe_intermediate_size": 1280, "intermediate_size": 11264,
        "share_expert_dim": 1280
    }),
    .ignores = "intermediate_size",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .own = OWN,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.share_expert.",
    .looks_ahead = true,
};
