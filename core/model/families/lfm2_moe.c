/* core/model/families/lfm2_moe.c -- LFM2-MoE: short convolutions in most
 * layers, a sigmoid router whose bias only chooses.
 *
 * Traps: the stream's last norm is called the embedding's; gate and up are w1
 * and w3; 1e-6 is added to the sum of the chosen scores; an older key ties the
 * head, and wins.
 */
#include "core/model/families/family.h"

static core_status get_mixers(core_spec *spec, core__reader r)
{
    static const char *const WORDS[] = {"conv", "full_attention", NULL};
    bool found;
    CORE_TRY(core__config_present(r, "layer_types"));
    CORE_TRY(core__config_layers(r, "layer_types", WORDS, spec->n_l,
                                 spec->mixer, &found));
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->mixer[l] =
            spec->mixer[l] == 0 ? CORE_MIXER_SHORTCONV : CORE_MIXER_ATTENTION;
    CORE_TRY(core__config_count(r, "conv_L_cache", &spec->shortconv.n_conv));
    return core__config_flag(r, "conv_bias", false, &spec->shortconv.bias);
}

/* tie_embedding, where a file has it, stands for tie_word_embeddings. */
static core_status get_tied(core_spec *spec, core__reader r)
{
    if (!core__config_has(r, "tie_embedding"))
        return CORE_OK;
    if (r.taken != NULL)
        json_object_del(r.taken, "tie_word_embeddings");
    return core__config_flag(r, "tie_embedding", true, &spec->tied);
}

static core_status add(core_spec *spec, core__reader r)
{
    int64_t n_dense;
    spec->qk_norm = CORE_QK_NORM_HEAD;
    spec->router = CORE_ROUTER_SIGMOID;
    spec->sum_eps = 1e-6;
    CORE_TRY(core__expect_silu(spec, r, "the class has"));
    CORE_TRY(get_mixers(spec, r));
    CORE_TRY(get_tied(spec, r));
    CORE_TRY(core__config_flag(r, "use_expert_bias", true, &spec->correction));
    CORE_TRY(core__config_flag(r, "norm_topk_prob", true, &spec->renormalise));
    CORE_TRY(core__config_real_or(r, "routed_scaling_factor", 1.0,
                                  &spec->routed_scale));
    CORE_TRY(core__config_count_or(r, "num_dense_layers", 2, &n_dense));
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->ffn[l] = l < n_dense ? CORE_FFN_DENSE : CORE_FFN_MOE;
    return core__get_dense_inner(spec, r, "intermediate_size");
}

/* B, C and x: thirds of one tensor. */
static core_blocks blocks(const core_spec *spec, core_weight_kind kind)
{
    const int64_t n_d = spec->n_d;
    switch (kind) {
    case CORE_W_SHORTCONV_B:
    case CORE_W_SHORTCONV_B_BIAS:
        return (core_blocks){1, 0, 3 * n_d};
    case CORE_W_SHORTCONV_C:
    case CORE_W_SHORTCONV_C_BIAS:
        return (core_blocks){1, n_d, 3 * n_d};
    case CORE_W_SHORTCONV_X:
    case CORE_W_SHORTCONV_X_BIAS:
        return (core_blocks){1, 2 * n_d, 3 * n_d};
    default:
        return (core_blocks){0, 0, 0};
    }
}

#define IN        "model.layers.%d.conv.in_proj."
#define ATTENTION "model.layers.%d.self_attn."
#define FEED      "model.layers.%d.feed_forward."

static const core__place OWN[] = {
    {CORE_W_SHORTCONV_B, CORE_LAYOUT_MATRIX, IN "weight"},
    {CORE_W_SHORTCONV_C, CORE_LAYOUT_MATRIX, IN "weight"},
    {CORE_W_SHORTCONV_X, CORE_LAYOUT_MATRIX, IN "weight"},
    {CORE_W_SHORTCONV_B_BIAS, CORE_LAYOUT_VECTOR, IN "bias"},
    {CORE_W_SHORTCONV_C_BIAS, CORE_LAYOUT_VECTOR, IN "bias"},
    {CORE_W_SHORTCONV_X_BIAS, CORE_LAYOUT_VECTOR, IN "bias"},
    {CORE_W_ATTN_NORM, CORE_LAYOUT_VECTOR,
     "model.layers.%d.operator_norm.weight"},
    {CORE_W_FFN_NORM, CORE_LAYOUT_VECTOR, "model.layers.%d.ffn_norm.weight"},
    {CORE_W_FINAL_NORM, CORE_LAYOUT_VECTOR, "model.embedding_norm.weight"},
    {CORE_W_O, CORE_LAYOUT_MATRIX, ATTENTION "out_proj.weight"},
    {CORE_W_Q_NORM, CORE_LAYOUT_VECTOR, ATTENTION "q_layernorm.weight"},
    {CORE_W_K_NORM, CORE_LAYOUT_VECTOR, ATTENTION "k_layernorm.weight"},
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX, FEED "gate.weight"},
    {CORE_W_CORRECTION, CORE_LAYOUT_VECTOR, FEED "expert_bias"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_MATRIX, FEED "experts.%d.w1.weight"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_MATRIX, FEED "experts.%d.w3.weight"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_MATRIX, FEED "experts.%d.w2.weight"},
    {CORE_W_MLP_GATE, CORE_LAYOUT_MATRIX, "w1.weight"},
    {CORE_W_MLP_UP, CORE_LAYOUT_MATRIX, "w3.weight"},
    {CORE_W_MLP_DOWN, CORE_LAYOUT_MATRIX, "w2.weight"},
    CORE_PLACES_END};

const core__family core__family_lfm2_moe = {
    .model_type = "lfm2_moe",
    .published = "LFM2-8B-A1B",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size" : 65536,
        "hidden_size" : 2048,
        "intermediate_size" : 7168,
        "moe_intermediate_size" : 1792,
        "num_hidden_layers" : 32,
        "num_attention_heads" : 32,
        "num_key_value_heads" : 8,
        "norm_eps" : 1e-05,
        "rope_theta" : 1000000.0,
        "conv_L_cache" : 3,
        "num_experts_per_tok" : 4,
        "num_experts" : 32,
        "max_position_embeddings" : 128000,
        "tie_word_embeddings" : true
    }),
    .ignores = "intermediate_size",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .norm_eps = "norm_eps",
    .head = CORE_HEAD_OF_KEY,
    .own = OWN,
    .blocks = blocks,
    .dense = FEED,
};
