/* core/model/families/bailing_moe.c -- Ling and Ring, versions 1 and 2, with
 * ordinary attention: queries, keys and values of a layer in one tensor.
 *
 * Written from the publisher's own code, which transformers does not have.  One
 * model_type stands for two models: version 2 (it scores with sigmoids, in
 * groups, and norms queries and keys) says so in score_function or in its
 * architecture; what is absent has the value of version 2's class.  Trap:
 * version 2 divides by the sum wherever there is more than one choice.
 */
#include "core/model/families/family.h"

#include <string.h>

static core_status is_second(core__reader r, bool *second)
{
    const json_t *classes = core__config_value(r, "architectures");
    const char *first = json_string_value(json_array_get(classes, 0));
    const char *scores, *type;
    *second = first != NULL && strcmp(first, "BailingMoeV2ForCausalLM") == 0;
    CORE_TRY(core__config_text(r, "model_type", "", &type));
    *second = *second || strcmp(type, "bailing_moe_v2") == 0;
    if (!core__config_has(r, "score_function"))
        return CORE_OK;
    CORE_TRY(core__config_text(r, "score_function", NULL, &scores));
    *second = strcmp(scores, "sigmoid") == 0;
    CORE_FAIL_IF(!*second && strcmp(scores, "softmax") != 0, CORE_E_SPEC,
                 "%s: score_function: '%s' is not supported, expected softmax "
                 "or sigmoid",
                 r.where, scores);
    return CORE_OK;
}

static core_status get_second_router(core_spec *spec, core__reader r)
{
    spec->router = CORE_ROUTER_SIGMOID;
    spec->renormalise = spec->n_k > 1;
    CORE_TRY(core__config_expect_flag(r, "norm_topk_prob", true));
    CORE_TRY(core__config_flag(r, "moe_router_enable_expert_bias", true,
                               &spec->correction));
    CORE_TRY(core__get_groups(spec, r));
    if (spec->n_group > 0)
        spec->group_score = CORE_GROUP_SCORE_BEST_TWO;
    return core__config_real_or(r, "routed_scaling_factor", 1.0,
                                &spec->routed_scale);
}

/* The shared expert is as many experts wide as it says. */
static core_status get_shared(core_spec *spec, core__reader r)
{
    static const char INNER[] = "moe_shared_expert_intermediate_size";
    int64_t inner;
    CORE_TRY(core__get_shared_count(spec, r, "num_shared_experts"));
    CORE_TRY(core__config_count_or(r, INNER, spec->n_f, &inner));
    CORE_FAIL_IF(
        spec->n_f_shared > 0 && inner != spec->n_f && inner != spec->n_f_shared,
        CORE_E_SPEC, "%s: %s: %lld, expected moe_intermediate_size %lld",
        r.where, INNER, (long long)inner, (long long)spec->n_f);
    return CORE_OK;
}

static core_status add(core_spec *spec, core__reader r)
{
    bool second, norms;
    CORE_TRY(is_second(r, &second));
    CORE_TRY(core__config_flag(r, "use_qkv_bias", false, &spec->bias_qkv));
    CORE_TRY(core__config_flag(r, "use_bias", false, &spec->bias_o));
    CORE_TRY(core__config_flag(r, "use_qk_norm", second, &norms));
    spec->qk_norm = norms ? CORE_QK_NORM_HEAD : CORE_QK_NORM_NONE;
    CORE_TRY(core__config_expect_flag(r, "use_rmsnorm", true));
    CORE_TRY(core__config_expect_flag(r, "norm_head", false));
    CORE_TRY(core__config_expect_flag(r, "norm_softmax", false));
    CORE_TRY(core__config_expect_flag(r, "use_sliding_window", false));
    CORE_TRY(core__get_rotary_dim(spec, r));
    if (second)
        CORE_TRY(get_second_router(spec, r));
    else
        CORE_TRY(
            core__config_flag(r, "norm_topk_prob", true, &spec->renormalise));
    CORE_TRY(get_shared(spec, r));
    return core__get_mlp_types(spec, r, second ? 1 : 0);
}

static core_blocks blocks(const core_spec *spec, core_weight_kind kind)
{
    const int64_t q = spec->n_h * spec->n_dh, kv = spec->n_g * spec->n_dh;
    switch (kind) {
    case CORE_W_Q:
    case CORE_W_Q_BIAS:
        return (core_blocks){1, 0, q + 2 * kv};
    case CORE_W_K:
    case CORE_W_K_BIAS:
        return (core_blocks){1, q, q + 2 * kv};
    case CORE_W_V:
    case CORE_W_V_BIAS:
        return (core_blocks){1, q + kv, q + 2 * kv};
    default:
        return (core_blocks){0, 0, 0};
    }
}

#define ATTENTION "model.layers.%d.attention."

static const core__place OWN[] = {
    {CORE_W_EMBED, CORE_LAYOUT_MATRIX, "model.word_embeddings.weight"},
    {CORE_W_Q, CORE_LAYOUT_MATRIX, ATTENTION "query_key_value.weight"},
    {CORE_W_K, CORE_LAYOUT_MATRIX, ATTENTION "query_key_value.weight"},
    {CORE_W_V, CORE_LAYOUT_MATRIX, ATTENTION "query_key_value.weight"},
    {CORE_W_Q_BIAS, CORE_LAYOUT_VECTOR, ATTENTION "query_key_value.bias"},
    {CORE_W_K_BIAS, CORE_LAYOUT_VECTOR, ATTENTION "query_key_value.bias"},
    {CORE_W_V_BIAS, CORE_LAYOUT_VECTOR, ATTENTION "query_key_value.bias"},
    {CORE_W_O, CORE_LAYOUT_MATRIX, ATTENTION "dense.weight"},
    {CORE_W_O_BIAS, CORE_LAYOUT_VECTOR, ATTENTION "dense.bias"},
    {CORE_W_Q_NORM, CORE_LAYOUT_VECTOR, ATTENTION "query_layernorm.weight"},
    {CORE_W_K_NORM, CORE_LAYOUT_VECTOR, ATTENTION "key_layernorm.weight"},
    {CORE_W_CORRECTION, CORE_LAYOUT_VECTOR,
     "model.layers.%d.mlp.gate.expert_bias"},
    CORE_PLACES_END};

const core__family core__family_bailing_moe = {
    .model_type = "bailing_moe_v2",
    .also = "bailing_moe",
    .published = "Ling-lite-1.5, Ring-lite, Ling-mini-2.0, Ling-flash-2.0, "
                 "Ling-1T, Ring-mini-2.0, Ring-flash-2.0, Ring-1T",
    .witness = "transformers 5.24 as GLM-4, version 1 as Granite-4",
    .defaults = CORE_JSON({
        "vocab_size" : 157184,
        "hidden_size" : 2048,
        "intermediate_size" : 5120,
        "num_hidden_layers" : 20,
        "num_attention_heads" : 16,
        "num_key_value_heads" : 4,
        "rms_norm_eps" : 1e-06,
        "rope_theta" : 600000.0,
        "max_position_embeddings" : 32768,
        "num_experts" : 256,
        "num_experts_per_tok" : 8,
        "n_group" : 8,
        "topk_group" : 4,
        "moe_intermediate_size" : 512,
        "num_shared_experts" : 1
    }),
    .ignores = "intermediate_size sliding_window max_window_layers "
               "router_dtype mtp_loss_scaling_factor topk_group",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .partial_rope = true,
    .own = OWN,
    .blocks = blocks,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
    .looks_ahead = true,
};
