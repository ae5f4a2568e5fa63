/* core/model/families/gpt_oss.c -- GPT-OSS: sinks, clamped swiglu, experts in
 * one tensor.
 *
 * Trap: gate and up of an expert are every second column of one tensor.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    bool found;
    double limit, alpha;
    spec->sinks = spec->bias_router = spec->bias_ffn = true;
    spec->router = CORE_ROUTER_SOFTMAX_TOP;
    spec->act = CORE_ACT_CLAMPED_SWIGLU;
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", true, true));
    CORE_TRY(core__config_real_or(r, "swiglu_alpha", 1.702, &alpha));
    CORE_FAIL_IF(alpha != 1.702, CORE_E_SPEC,
                 "%s: swiglu_alpha: %g is not supported, expected 1.702",
                 r.where, alpha);
    CORE_TRY(core__config_real_or(r, "swiglu_limit", 7.0, &limit));
    CORE_FAIL_IF(limit != 7.0, CORE_E_SPEC,
                 "%s: swiglu_limit: %g is not supported, expected 7", r.where,
                 limit);
    CORE_TRY(core__get_window(spec, r));
    CORE_TRY(core__get_spans(spec, r, &found));
    for (int l = 0; !found && l < (int)spec->n_l; l++)
        spec->span[l] = l % 2 == 0 ? CORE_SPAN_WINDOW : CORE_SPAN_FULL;
    return CORE_OK;
}

static const core__place OWN[] = {
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX, "model.layers.%d.mlp.router.weight"},
    {CORE_W_ROUTER_BIAS, CORE_LAYOUT_VECTOR, "model.layers.%d.mlp.router.bias"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_E_EVEN,
     "model.layers.%d.mlp.experts.gate_up_proj"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_E_ODD,
     "model.layers.%d.mlp.experts.gate_up_proj"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_E_IN_OUT,
     "model.layers.%d.mlp.experts.down_proj"},
    {CORE_W_EXPERT_GATE_BIAS, CORE_LAYOUT_E_VECTOR_EVEN,
     "model.layers.%d.mlp.experts.gate_up_proj_bias"},
    {CORE_W_EXPERT_UP_BIAS, CORE_LAYOUT_E_VECTOR_ODD,
     "model.layers.%d.mlp.experts.gate_up_proj_bias"},
    {CORE_W_EXPERT_DOWN_BIAS, CORE_LAYOUT_E_VECTOR,
     "model.layers.%d.mlp.experts.down_proj_bias"},
    CORE_PLACES_END};

const core__family core__family_gpt_oss = {
    .model_type = "gpt_oss",
    .published = "gpt-oss-20b, gpt-oss-120b",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 201088, "hidden_size": 2880, "num_hidden_layers": 36,
        "num_attention_heads": 64, "num_key_value_heads": 8,
        "num_experts_per_tok": 4, "rms_norm_eps": 1e-05,
        "rope_theta": 150000.0, "max_position_embeddings": 131072,
        "num_local_experts": 128, "intermediate_size": 2880, "head_dim": 64,
        "sliding_window": 128,
        "rope_parameters": {
            "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0,
            "beta_slow": 1.0, "truncate": false,
            "original_max_position_embeddings": 4096
        }
    }),
    .ignores = "initial_context_length",
    .add = add,
    .experts = "num_local_experts",
    .inner = "intermediate_size",
    .head = CORE_HEAD_REQUIRED,
    .own = OWN,
};
