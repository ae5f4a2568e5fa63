/* core/model/config_families.c -- fourteen families: what each makes of its
 * config.json.
 *
 * A family is a row of FAMILIES (its model_type, the keys of its counts, how
 * its heads get their size) and one function for what else it has.  Rules and
 * defaults are those of the model classes of transformers 4.57; "absent" and
 * null are the same.  Traps: a default differs from family to family (whether
 * weights are renormalised, whether biases exist); head_dim of a DeepSeek file
 * is the rotated part, not the head; Llama-4's no_rope_layers has a 1 where
 * there IS rope; DeepSeek-V2's classes ignore norm_topk_prob.
 */
#include "core/model/config_impl.h"

#include <math.h>
#include <string.h>

typedef enum head_rule {
    HEAD_OF_KEY, /* head_dim, and hidden / heads where it is absent          */
    HEAD_REQUIRED, /* head_dim */
    HEAD_OF_WIDTH, /* hidden / heads, whatever head_dim says */
    HEAD_LATENT, /* qk_nope_head_dim + qk_rope_head_dim                      */
} head_rule;

typedef struct family {
    const char *model_type;
    core_family id;
    const char *experts, *inner; /* keys of the expert count and inner size   */
    head_rule head;
    core_status (*add)(core_spec *spec, core__reader r);
} family;

/* --- what several families share -------------------------------------------
 */

static core_status get_attention_bias(core_spec *spec, core__reader r,
                                      const char *key, bool fallback,
                                      bool output_too)
{
    CORE_TRY(core__config_flag(r, key, fallback, &spec->bias_qkv));
    spec->bias_o = output_too && spec->bias_qkv;
    return CORE_OK;
}

static core_status get_window(core_spec *spec, core__reader r)
{
    return core__config_value(r, "sliding_window") == NULL
               ? CORE_OK
               : core__config_count(r, "sliding_window", &spec->sliding_window);
}

/* layer_types, and whether the file has them. */
static core_status get_spans(core_spec *spec, core__reader r, bool *found)
{
    static const char *const WORDS[] = {[CORE_SPAN_WINDOW] =
                                            "sliding_attention",
                                        [CORE_SPAN_FULL] = "full_attention",
                                        [CORE_SPAN_CHUNK] = "chunked_attention",
                                        NULL};
    return core__config_layers(r, "layer_types", WORDS, spec->n_l, spec->span,
                               found);
}

static bool any_dense(const core_spec *spec)
{
    return core_spec_count_moe(spec, 0, (int)spec->n_l) < spec->n_l;
}

static core_status get_dense_inner(core_spec *spec, core__reader r,
                                   const char *key)
{
    return any_dense(spec) ? core__config_count(r, key, &spec->n_f_dense)
                           : CORE_OK;
}

/* Qwen: every step-th layer has experts, unless a list says it has none. */
static core_status get_sparse_step(core_spec *spec, core__reader r)
{
    uint8_t dense[CORE_MAX_LAYERS] = {0};
    int64_t step;
    bool found;
    CORE_TRY(core__config_count(r, "decoder_sparse_step", &step));
    CORE_TRY(
        core__config_layer_set(r, "mlp_only_layers", spec->n_l, dense, &found));
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->ffn[l] = dense[l] != 0 || (l + 1) % step != 0 ? CORE_FFN_DENSE
                                                            : CORE_FFN_MOE;
    return get_dense_inner(spec, r, "intermediate_size");
}

/* DeepSeek and those after it: the first layers dense, shared experts. */
static core_status get_first_dense(core_spec *spec, core__reader r)
{
    int64_t n_dense, n_shared, step;
    CORE_TRY(core__config_count_or(r, "first_k_dense_replace", 0, &n_dense));
    CORE_TRY(core__config_count_or(r, "n_shared_experts", 0, &n_shared));
    CORE_TRY(core__config_count_or(r, "moe_layer_freq", 1, &step));
    CORE_FAIL_IF(step != 1, CORE_E_SPEC,
                 "%s: moe_layer_freq: %lld is not supported, expected 1",
                 r.where, (long long)step);
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->ffn[l] = l < n_dense ? CORE_FFN_DENSE : CORE_FFN_MOE;
    spec->n_f_shared = spec->n_f * n_shared;
    return get_dense_inner(spec, r, "intermediate_size");
}

/* One group of all experts is no choice of groups. */
static core_status get_groups(core_spec *spec, core__reader r)
{
    CORE_TRY(core__config_count_or(r, "n_group", 1, &spec->n_group));
    if (spec->n_group <= 1) {
        spec->n_group = 0;
        return CORE_OK;
    }
    return core__config_count(r, "topk_group", &spec->n_group_kept);
}

/* The router of DeepSeek-V3. */
static core_status get_v3_router(core_spec *spec, core__reader r,
                                 bool renormalise)
{
    spec->router = CORE_ROUTER_SIGMOID;
    spec->correction = true;
    CORE_TRY(core__config_expect(r, "scoring_func", "sigmoid"));
    CORE_TRY(core__config_expect(r, "topk_method", "noaux_tc"));
    CORE_TRY(get_groups(spec, r));
    if (spec->n_group > 0)
        spec->group_score = CORE_GROUP_SCORE_BEST_TWO;
    CORE_TRY(core__config_flag(r, "norm_topk_prob", renormalise,
                               &spec->renormalise));
    return core__config_real(r, "routed_scaling_factor", &spec->routed_scale);
}

/* Quantised files say so; which tensors are, the files themselves show. */
static core_status get_quantisation(core__reader r, const char *method)
{
    const core__reader q = {core__config_value(r, "quantization_config"),
                            r.where};
    const char *found;
    if (q.object == NULL)
        return CORE_OK;
    CORE_FAIL_IF(method == NULL, CORE_E_SPEC,
                 "%s: quantization_config: not supported", r.where);
    CORE_TRY(core__config_text(q, "quant_method", NULL, &found));
    CORE_FAIL_IF(strcmp(found, method) != 0, CORE_E_SPEC,
                 "%s: quantization_config: quant_method: '%s' is not "
                 "supported, expected %s",
                 r.where, found, method);
    const json_t *block = core__config_value(q, "weight_block_size");
    for (size_t i = 0; i < json_array_size(block); i++)
        CORE_FAIL_IF(json_integer_value(json_array_get(block, i)) != 128,
                     CORE_E_SPEC,
                     "%s: quantization_config: weight_block_size: expected "
                     "128, 128",
                     r.where);
    return CORE_OK;
}

/* --- one function per family ------------------------------------------------
 */

static core_status add_mixtral(core_spec *spec, core__reader r)
{
    spec->renormalise = true;
    return get_window(spec, r);
}

static core_status add_qwen2_moe(core_spec *spec, core__reader r)
{
    CORE_TRY(core__config_expect_flag(r, "use_sliding_window", false));
    CORE_TRY(get_attention_bias(spec, r, "qkv_bias", true, false));
    CORE_TRY(core__config_flag(r, "norm_topk_prob", false, &spec->renormalise));
    spec->shared_gate = true;
    CORE_TRY(core__config_count(r, "shared_expert_intermediate_size",
                                &spec->n_f_shared));
    return get_sparse_step(spec, r);
}

static core_status add_qwen3_moe(core_spec *spec, core__reader r)
{
    bool window;
    spec->qk_norm = CORE_QK_NORM_HEAD;
    CORE_TRY(core__config_flag(r, "use_sliding_window", false, &window));
    if (window)
        CORE_TRY(get_window(spec, r));
    CORE_TRY(get_attention_bias(spec, r, "attention_bias", false, true));
    CORE_TRY(core__config_flag(r, "norm_topk_prob", false, &spec->renormalise));
    return get_sparse_step(spec, r);
}

static core_status add_olmoe(core_spec *spec, core__reader r)
{
    spec->qk_norm = CORE_QK_NORM_ALL;
    CORE_TRY(core__config_real_or(r, "clip_qkv", 0.0, &spec->clip_qkv));
    CORE_TRY(get_attention_bias(spec, r, "attention_bias", false, true));
    return core__config_flag(r, "norm_topk_prob", false, &spec->renormalise);
}

static core_status add_gpt_oss(core_spec *spec, core__reader r)
{
    bool found;
    double limit;
    spec->sinks = spec->bias_router = spec->bias_ffn = true;
    spec->router = CORE_ROUTER_SOFTMAX_TOP;
    spec->act = CORE_ACT_CLAMPED_SWIGLU;
    CORE_TRY(get_attention_bias(spec, r, "attention_bias", true, true));
    CORE_TRY(core__config_real_or(r, "swiglu_limit", 7.0, &limit));
    CORE_FAIL_IF(limit != 7.0, CORE_E_SPEC,
                 "%s: swiglu_limit: %g is not supported, expected 7", r.where,
                 limit);
    CORE_TRY(core__config_count(r, "sliding_window", &spec->sliding_window));
    CORE_TRY(get_spans(spec, r, &found));
    for (int l = 0; !found && l < (int)spec->n_l; l++)
        spec->span[l] = l % 2 == 0 ? CORE_SPAN_WINDOW : CORE_SPAN_FULL;
    return CORE_OK;
}

/* Sizes of latent attention, and the scale that yarn puts on whole scores. */
static core_status add_latent(core_spec *spec, core__reader r)
{
    double mscale;
    CORE_TRY(core__config_count_or(r, "q_lora_rank", 0, &spec->n_q_rank));
    CORE_TRY(core__config_count(r, "kv_lora_rank", &spec->n_kv_rank));
    CORE_TRY(core__config_count(r, "qk_rope_head_dim", &spec->n_rot));
    CORE_TRY(core__config_count(r, "v_head_dim", &spec->n_dv));
    CORE_TRY(core__config_mscale_all_dim(r, &mscale));
    if (mscale != 0.0 && spec->rope.scaling == CORE_ROPE_YARN) {
        const double m = core__mscale(spec->rope.factor, mscale);
        spec->score_scale = 1.0 / sqrt((double)spec->n_dh) * m * m;
    }
    CORE_TRY(core__config_expect_flag(r, "mlp_bias", false));
    return get_attention_bias(spec, r, "attention_bias", false, true);
}

static core_status add_deepseek_v2(core_spec *spec, core__reader r)
{
    const char *method;
    CORE_TRY(add_latent(spec, r));
    spec->rope.interleaved = true;
    CORE_TRY(core__config_expect(r, "scoring_func", "softmax"));
    CORE_TRY(core__config_text(r, "topk_method", "greedy", &method));
    if (strcmp(method, "group_limited_greedy") == 0)
        CORE_TRY(get_groups(spec, r));
    else
        CORE_TRY(core__config_expect(r, "topk_method", "greedy"));
    CORE_TRY(core__config_expect_flag(r, "norm_topk_prob", false));
    CORE_TRY(
        core__config_real(r, "routed_scaling_factor", &spec->routed_scale));
    return get_first_dense(spec, r);
}

static core_status add_deepseek_v3(core_spec *spec, core__reader r)
{
    CORE_TRY(add_latent(spec, r));
    CORE_TRY(
        core__config_flag(r, "rope_interleave", true, &spec->rope.interleaved));
    CORE_TRY(get_v3_router(spec, r, true));
    return get_first_dense(spec, r);
}

static core_status add_glm4_moe(core_spec *spec, core__reader r)
{
    bool norm;
    CORE_TRY(core__config_fraction_present(r));
    CORE_TRY(core__config_flag(r, "use_qk_norm", false, &norm));
    spec->qk_norm = norm ? CORE_QK_NORM_HEAD : CORE_QK_NORM_NONE;
    CORE_TRY(get_attention_bias(spec, r, "attention_bias", false, false));
    CORE_TRY(get_v3_router(spec, r, true));
    return get_first_dense(spec, r);
}

static core_status add_dots1(core_spec *spec, core__reader r)
{
    bool found;
    int64_t n_full;
    spec->qk_norm = CORE_QK_NORM_HEAD;
    CORE_TRY(get_window(spec, r));
    CORE_TRY(get_spans(spec, r, &found));
    if (!found && spec->sliding_window > 0) {
        CORE_TRY(core__config_present(r, "max_window_layers"));
        CORE_TRY(core__config_count_or(r, "max_window_layers", 0, &n_full));
        for (int l = 0; l < (int)spec->n_l; l++)
            spec->span[l] = l < n_full ? CORE_SPAN_FULL : CORE_SPAN_WINDOW;
    }
    CORE_TRY(get_attention_bias(spec, r, "attention_bias", false, true));
    CORE_TRY(get_v3_router(spec, r, false));
    return get_first_dense(spec, r);
}

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
        CORE_FAIL_IF((n != 0 && !json_is_number(entry)) ||
                         !(rope == 0.0 || rope == 1.0),
                     CORE_E_SPEC,
                     "%s: no_rope_layers: entry %d: expected 1 or 0", r.where,
                     l);
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
    return get_dense_inner(spec, r, "intermediate_size_mlp");
}

static core_status add_llama4(core_spec *spec, core__reader r)
{
    bool found, norm, temper;
    CORE_TRY(get_no_rope_layers(spec, r));
    CORE_TRY(get_spans(spec, r, &found));
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
    CORE_TRY(get_attention_bias(spec, r, "attention_bias", false, true));
    spec->rope.interleaved = true;
    spec->router = CORE_ROUTER_SIGMOID;
    spec->weigh_input = true;
    spec->n_f_shared = spec->n_f;
    return get_llama4_layers(spec, r);
}

static core_status add_granitemoe(core_spec *spec, core__reader r)
{
    spec->router = CORE_ROUTER_SOFTMAX_TOP;
    CORE_TRY(core__config_expect(r, "position_embedding_type", "rope"));
    CORE_TRY(core__config_real(r, "attention_multiplier", &spec->score_scale));
    CORE_TRY(core__config_real(r, "embedding_multiplier", &spec->embed_scale));
    CORE_TRY(
        core__config_real(r, "residual_multiplier", &spec->residual_scale));
    CORE_TRY(core__config_real(r, "logits_scaling", &spec->logits_divisor));
    return get_attention_bias(spec, r, "attention_bias", false, true);
}

static core_status add_phimoe(core_spec *spec, core__reader r)
{
    spec->norm = CORE_NORM_LAYER;
    spec->router = CORE_ROUTER_SPARSEMIXER;
    CORE_TRY(core__config_real(r, "router_jitter_noise", &spec->jitter));
    CORE_TRY(core__config_flag(r, "lm_head_bias", false, &spec->bias_head));
    CORE_TRY(get_attention_bias(spec, r, "attention_bias", false, true));
    return get_window(spec, r);
}

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

static core_status add_jamba(core_spec *spec, core__reader r)
{
    CORE_TRY(core__config_refuse(r, "sliding_window"));
    CORE_FAIL_IF(spec->act != CORE_ACT_SILU, CORE_E_SPEC,
                 "%s: hidden_act: expected silu, which the mamba layers have",
                 r.where);
    CORE_TRY(get_mamba(spec, r));
    memset(spec->no_rope, 1, (size_t)spec->n_l);
    CORE_TRY(get_period(r, "attn_layer_period", "attn_layer_offset", spec->n_l,
                        spec->mixer, CORE_MIXER_ATTENTION, CORE_MIXER_MAMBA));
    CORE_TRY(get_period(r, "expert_layer_period", "expert_layer_offset",
                        spec->n_l, spec->ffn, CORE_FFN_MOE, CORE_FFN_DENSE));
    return get_dense_inner(spec, r, "intermediate_size");
}

/* --- the families ------------------------------------------------------------
 */

static const char LOCAL[] = "num_local_experts", ROUTED[] = "n_routed_experts";
static const char COUNT[] = "num_experts";
static const char INNER[] = "intermediate_size";
static const char MOE_INNER[] = "moe_intermediate_size";

static const family FAMILIES[] = {
    {"mixtral", CORE_FAMILY_MIXTRAL, LOCAL, INNER, HEAD_OF_KEY, add_mixtral},
    {"qwen2_moe", CORE_FAMILY_QWEN2_MOE, COUNT, MOE_INNER, HEAD_OF_WIDTH,
     add_qwen2_moe},
    {"qwen3_moe", CORE_FAMILY_QWEN3_MOE, COUNT, MOE_INNER, HEAD_OF_KEY,
     add_qwen3_moe},
    {"olmoe", CORE_FAMILY_OLMOE, COUNT, INNER, HEAD_OF_WIDTH, add_olmoe},
    {"gpt_oss", CORE_FAMILY_GPT_OSS, LOCAL, INNER, HEAD_REQUIRED, add_gpt_oss},
    {"deepseek_v2", CORE_FAMILY_DEEPSEEK_V2, ROUTED, MOE_INNER, HEAD_LATENT,
     add_deepseek_v2},
    {"deepseek_v3", CORE_FAMILY_DEEPSEEK_V3, ROUTED, MOE_INNER, HEAD_LATENT,
     add_deepseek_v3},
    {"glm4_moe", CORE_FAMILY_GLM4_MOE, ROUTED, MOE_INNER, HEAD_OF_KEY,
     add_glm4_moe},
    {"dots1", CORE_FAMILY_DOTS1, ROUTED, MOE_INNER, HEAD_OF_KEY, add_dots1},
    {"llama4_text", CORE_FAMILY_LLAMA4, LOCAL, INNER, HEAD_OF_KEY, add_llama4},
    {"granitemoe", CORE_FAMILY_GRANITEMOE, LOCAL, INNER, HEAD_OF_WIDTH,
     add_granitemoe},
    {"phimoe", CORE_FAMILY_PHIMOE, LOCAL, INNER, HEAD_OF_WIDTH, add_phimoe},
    {"jamba", CORE_FAMILY_JAMBA, COUNT, INNER, HEAD_OF_WIDTH, add_jamba},
};

enum { N_FAMILIES = sizeof FAMILIES / sizeof FAMILIES[0] };

/* null means as many as there are query heads; absent is not null here,
 * because the class defaults fit no particular model. */
static core_status get_kv_heads(core__reader r, core_spec *spec)
{
    const char *key = "num_key_value_heads";
    if (json_is_null(json_object_get(r.object, key))) {
        spec->n_g = spec->n_h;
        return CORE_OK;
    }
    return core__config_count(r, key, &spec->n_g);
}

static core_status get_head_size(core__reader r, head_rule rule,
                                 core_spec *spec)
{
    if (rule == HEAD_LATENT) {
        int64_t nope, rope;
        CORE_TRY(core__config_count(r, "qk_nope_head_dim", &nope));
        CORE_TRY(core__config_count(r, "qk_rope_head_dim", &rope));
        spec->n_dh = nope + rope;
        return CORE_OK;
    }
    if (rule == HEAD_REQUIRED ||
        (rule == HEAD_OF_KEY && core__config_value(r, "head_dim") != NULL))
        return core__config_count(r, "head_dim", &spec->n_dh);
    CORE_FAIL_IF(spec->n_d % spec->n_h != 0, CORE_E_SPEC,
                 "%s: hidden_size %lld, not a multiple of num_attention_heads "
                 "%lld, and no head_dim",
                 r.where, (long long)spec->n_d, (long long)spec->n_h);
    spec->n_dh = spec->n_d / spec->n_h;
    return CORE_OK;
}

static core_status parse_decoder(core_spec *spec, core__reader r,
                                 const family *f)
{
    const char *quantised = f->id == CORE_FAMILY_GPT_OSS       ? "mxfp4"
                            : f->id == CORE_FAMILY_DEEPSEEK_V3 ? "fp8"
                                                               : NULL;
    /* version 5 calls the experts of Qwen3 as Mixtral does */
    const bool renamed = core__config_value(r, f->experts) == NULL &&
                         core__config_value(r, LOCAL) != NULL;
    const char *experts = renamed ? LOCAL : f->experts;
    spec->family = f->id;
    spec->gated = true;
    spec->capacity.rule = CORE_CAPACITY_NONE;
    CORE_TRY(core__config_count(r, "num_hidden_layers", &spec->n_l));
    CORE_FAIL_IF(spec->n_l > CORE_MAX_LAYERS, CORE_E_SPEC,
                 "%s: num_hidden_layers: %lld, expected at most %d", r.where,
                 (long long)spec->n_l, CORE_MAX_LAYERS);
    CORE_TRY(core__config_count(r, "hidden_size", &spec->n_d));
    CORE_TRY(core__config_count(r, "num_attention_heads", &spec->n_h));
    CORE_TRY(get_kv_heads(r, spec));
    CORE_TRY(get_head_size(r, f->head, spec));
    CORE_TRY(core__config_count(r, experts, &spec->n_e));
    CORE_TRY(core__config_count(r, "num_experts_per_tok", &spec->n_k));
    CORE_TRY(core__config_count(r, f->inner, &spec->n_f));
    CORE_TRY(core__config_count(r, "vocab_size", &spec->n_v));
    CORE_TRY(core__config_real(r, "rms_norm_eps", &spec->norm_eps));
    if (f->id != CORE_FAMILY_JAMBA)
        CORE_TRY(core__config_rope(r, spec));
    CORE_FAIL_IF(spec->n_rot > 0 && f->id != CORE_FAMILY_GLM4_MOE, CORE_E_SPEC,
                 "%s: partial_rotary_factor: not supported for %s, expected 1",
                 r.where, f->model_type);
    CORE_TRY(core__config_act(r, "hidden_act", "silu", &spec->act));
    CORE_TRY(core__config_flag(r, "tie_word_embeddings", false, &spec->tied));
    CORE_TRY(get_quantisation(r, quantised));
    return f->add(spec, r);
}

/* The first sparse block of the encoder: block i is sparse if the step is 1 or
 * i mod step is 1. */
static core_status get_switch_block(core__reader r, core_spec *spec)
{
    int64_t step;
    CORE_TRY(core__config_count(r, "encoder_sparse_step", &step));
    spec->switch_block = step == 1 ? 0 : 1;
    return CORE_OK;
}

static core_status parse_switch(core_spec *spec, core__reader r)
{
    spec->family = CORE_FAMILY_SWITCH;
    spec->n_l = 1;
    spec->n_k = 1;
    CORE_TRY(core__config_count(r, "d_model", &spec->n_d));
    CORE_TRY(core__config_count(r, "d_ff", &spec->n_f));
    CORE_TRY(core__config_count(r, "num_experts", &spec->n_e));
    CORE_TRY(
        core__config_count(r, "expert_capacity", &spec->capacity.absolute));
    CORE_TRY(core__config_real(r, "layer_norm_epsilon", &spec->norm_eps));
    CORE_TRY(get_switch_block(r, spec));
    CORE_TRY(core__config_act(r, "dense_act_fn", "relu", &spec->act));
    CORE_TRY(core__config_flag(r, "router_bias", false, &spec->bias_router));
    CORE_TRY(core__config_expect(r, "router_dtype", "float32"));
    CORE_TRY(get_quantisation(r, NULL));
    spec->capacity.rule = CORE_CAPACITY_ABSOLUTE;
    spec->capacity.domain = CORE_DOMAIN_SEQUENCE;
    return CORE_OK;
}

/* A file of our own export: the spec as text. */
static core_status parse_own(core_spec *spec, core__reader r)
{
    const char *text;
    CORE_TRY(core__config_text(r, "spec", NULL, &text));
    return core_spec_parse_yaml(spec, text, r.where);
}

core_status core__config_family(core_spec *spec, core__reader r,
                                const char *model_type)
{
    for (int i = 0; i < N_FAMILIES; i++)
        if (strcmp(FAMILIES[i].model_type, model_type) == 0)
            return parse_decoder(spec, r, &FAMILIES[i]);
    if (strcmp(model_type, "switch_transformers") == 0)
        return parse_switch(spec, r);
    if (strcmp(model_type, "moeparity") == 0)
        return parse_own(spec, r);
    char names[256] = "";
    for (int i = 0; i < N_FAMILIES; i++) {
        strncat(names, FAMILIES[i].model_type,
                sizeof names - strlen(names) - 1);
        strncat(names, ", ", sizeof names - strlen(names) - 1);
    }
    CORE_FAIL(CORE_E_SPEC,
              "%s: model_type: '%s' is not supported, expected %s"
              "switch_transformers or moeparity",
              r.where, model_type, names);
}
