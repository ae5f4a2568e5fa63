/* core/model/families/gguf_archs.c -- the architectures of GGUF files that are
 * read, and what each means without saying it.
 *
 * `fixed` is what llama.cpp (0.5.0) computes where a file has no key; what it
 * computes for an architecture although the family's classes do otherwise, and
 * a config.json cannot say, is in `adjust`.  An engine's choice for one
 * operator (a norm, a router) is none of the file's: those stay the family's.
 */
#include "core/model/config_impl.h"
#include "core/model/gguf_impl.h"

#include <math.h>

static void put(json_t *config, const char *key, double value)
{
    json_object_set_new(config, key, json_real(value));
}

/* Of the first layer that has such a tensor; NULL: none has. */
static const core_gguf_tensor *first_tensor(const core_gguf *file,
                                            const char *name)
{
    const core_gguf_tensor *found = NULL;
    const int n_l = core__gguf_layers(file);
    for (int l = 0; l < n_l && found == NULL; l++)
        found = core__gguf_layer_tensor(file, l, name);
    return found;
}

/* A size that only the shape of a tensor says, in some layer. */
static void put_inner(const core_gguf *file, json_t *config, const char *key,
                      const char *tensor)
{
    const core_gguf_tensor *t = first_tensor(file, tensor);
    if (t != NULL && json_object_get(config, key) == NULL)
        put(config, key, (double)t->shape[t->n_dim - 1]);
}

/* Which layers are dense, where the family can say it. */
static core_status add_qwen(const core_gguf *file, json_t *config)
{
    const int n_l = core__gguf_layers(file);
    json_t *dense = json_array();
    for (int l = 0; l < n_l; l++)
        if (core__gguf_layer_tensor(file, l, "ffn_gate_inp.weight") == NULL)
            json_array_append_new(dense, json_integer(l));
    json_object_set_new(config, "mlp_only_layers", dense);
    put_inner(file, config, "moe_intermediate_size", "ffn_down_exps.weight");
    return CORE_OK;
}

/* Scales that are off are not written. */
static core_status add_granite(const core_gguf *file, json_t *config)
{
    double n_d = 0.0, n_h = 1.0;
    (void)core__gguf_value(file, "embedding_length", &n_d);
    (void)core__gguf_value(file, "attention.head_count", &n_h);
    if (json_object_get(config, "attention_multiplier") == NULL)
        put(config, "attention_multiplier", 1.0 / sqrt(floor(n_d / n_h)));
    return CORE_OK;
}

/* A word for each of n layers at most, as far as the list goes, by whether its
 * number is set. */
static json_t *words_of(const core_gguf_key *list, int64_t n, const char *set,
                        const char *unset)
{
    json_t *words = json_array();
    double x = 0.0;
    for (int64_t l = 0; l < n && list != NULL && core_gguf_number(list, l, &x);
         l++)
        json_array_append_new(words, json_string(x != 0.0 ? set : unset));
    return words;
}

static int64_t layers_of(const json_t *config)
{
    return json_integer_value(json_object_get(config, "num_hidden_layers"));
}

/* Sizes of a head: files before key_length_mla have them in key_length. */
static void put_latent(const core_gguf *file, json_t *config)
{
    double n_rot = 0.0, n_key = 0.0, n_value = 0.0;
    (void)core__gguf_value(file, "rope.dimension_count", &n_rot);
    if (!core__gguf_value(file, "attention.key_length_mla", &n_key))
        (void)core__gguf_value(file, "attention.key_length", &n_key);
    if (!core__gguf_value(file, "attention.value_length_mla", &n_value))
        (void)core__gguf_value(file, "attention.value_length", &n_value);
    put(config, "qk_nope_head_dim", n_key - n_rot);
    put(config, "qk_rope_head_dim", n_rot);
    put(config, "v_head_dim", n_value);
    json_object_set(config, "num_key_value_heads",
                    json_object_get(config, "num_attention_heads"));
    put_inner(file, config, "moe_intermediate_size", "ffn_down_exps.weight");
}

/* V3 is V2 with other scores; a file that does not say which has V2's, unless
 * it has V3's correction. */
static core_status add_deepseek(const core_gguf *file, json_t *config)
{
    double n_group = 1.0, func = 0.0;
    const int n_l = core__gguf_layers(file);
    put_latent(file, config);
    (void)core__gguf_value(file, "expert_group_count", &n_group);
    bool is_v3 = core__gguf_value(file, "expert_gating_func", &func)
                     ? func == 2.0
                     : false;
    for (int l = 0; func == 0.0 && l < n_l; l++)
        is_v3 |= core__gguf_layer_tensor(file, l, "exp_probs_b.bias") != NULL;
    json_object_set_new(config, "model_type",
                        json_string(is_v3 ? "deepseek_v3" : "deepseek_v2"));
    json_object_set_new(config, "topk_method",
                        json_string(is_v3           ? "noaux_tc"
                                    : n_group > 1.0 ? "group_limited_greedy"
                                                    : "greedy"));
    return CORE_OK;
}

static core_status add_deepseek32(const core_gguf *file, json_t *config)
{
    put_latent(file, config);
    return CORE_OK;
}

/* Of each layer whether it chooses keys; files of GLM-5 before this key have an
 * indexer where one does. */
static core_status add_glm_dsa(const core_gguf *file, json_t *config)
{
    const core_gguf_key *types =
        core__gguf_get(file, "attention.indexer.types");
    const int64_t all = layers_of(config);
    const int64_t n_l = all < CORE_MAX_LAYERS ? all : CORE_MAX_LAYERS;
    json_t *words = words_of(types, n_l, "full", "shared");
    put_latent(file, config);
    for (int64_t l = 0; l < n_l && types == NULL; l++)
        json_array_append_new(
            words, json_string(core__gguf_layer_tensor(
                                   file, l, "indexer.attn_k.weight") != NULL
                                   ? "full"
                                   : "shared"));
    json_object_set_new(config, "indexer_types", words);
    return CORE_OK;
}

/* Groups are ranked by their best two, in V2 as well. */
static void adjust_deepseek(core_spec *spec)
{
    if (spec->n_group > 0)
        spec->group_score = CORE_GROUP_SCORE_BEST_TWO;
}

/* The norm of queries and keys is off in the model of 128 experts. */
static core_status add_llama4(const core_gguf *file, json_t *config)
{
    double n_expert = 0.0;
    (void)core__gguf_value(file, "expert_count", &n_expert);
    json_object_set_new(config, "use_qk_norm", json_boolean(n_expert != 128.0));
    return CORE_OK;
}

/* Of each layer whether it has a window. */
static core_status add_exaone(const core_gguf *file, json_t *config)
{
    const core_gguf_key *windows =
        core__gguf_get(file, "attention.sliding_window_pattern");
    json_object_set_new(
        config, "layer_types",
        words_of(windows, INT64_MAX, "sliding_attention", "full_attention"));
    return CORE_OK;
}

/* Of each layer whether it has a delta net; a file without the list has
 * attention in every so-manyth. */
static core_status add_qwen35(const core_gguf *file, json_t *config)
{
    const core_gguf_key *has_net =
        core__gguf_get(file, "attention.recurrent_layers");
    double n_inner = 0.0, n_vh = 1.0;
    (void)core__gguf_value(file, "ssm.inner_size", &n_inner);
    (void)core__gguf_value(file, "ssm.time_step_rank", &n_vh);
    put(config, "linear_value_head_dim", n_inner / n_vh);
    if (has_net != NULL)
        json_object_set_new(config, "layer_types",
                            words_of(has_net, layers_of(config),
                                     "linear_attention", "full_attention"));
    return CORE_OK;
}

/* A layer without kv heads has a delta net, whose heads only tensors count. */
static core_status add_kimi(const core_gguf *file, json_t *config)
{
    const core_gguf_key *kv = core__gguf_get(file, "attention.head_count_kv");
    const core_gguf_tensor *decays = first_tensor(file, "ssm_a");
    const int64_t n_l = layers_of(config);
    json_t *types = words_of(kv, n_l, "full_attention", "linear_attention");
    for (int64_t l = (int64_t)json_array_size(types);
         l > 0 && l < n_l && !kv->is_list; l++)
        json_array_append(types, json_array_get(types, 0));
    json_object_set_new(config, "layer_types", types);
    if (decays != NULL)
        put(config, "linear_num_heads", (double)decays->n);
    put_latent(file, config);
    json_object_set(config, "moe_router_activation_func",
                    json_object_get(config, "scoring_func"));
    json_object_del(config, "scoring_func");
    return CORE_OK;
}

/* Scores, which are sigmoids, and groups are version 2's. */
static core_status add_bailing(const core_gguf *file, json_t *config)
{
    double func = 2.0;
    (void)core__gguf_value(file, "expert_gating_func", &func);
    CORE_FAIL_IF(func != 2.0, CORE_E_SPEC,
                 "%s: expert_gating_func: %g, expected 2 (sigmoid)",
                 core_gguf_path(file), func);
    json_object_del(config, "scoring_func");
    return CORE_OK;
}

/* --- Jamba: which layers have what, as a period and an offset --- */

static core_status put_period(const core_gguf *file, json_t *config,
                              const char *period_key, const char *offset_key,
                              const char *tensor)
{
    const int n_l = core__gguf_layers(file);
    int first = -1, period = 0, n = 0;
    for (int l = 0; l < n_l; l++) {
        if (core__gguf_layer_tensor(file, l, tensor) == NULL)
            continue;
        if (n++ == 0)
            first = l;
        else if (period == 0)
            period = l - first;
    }
    if (period == 0) /* one layer, or none */
        period = n_l + 1;
    for (int l = 0; l < n_l; l++)
        CORE_FAIL_IF((core__gguf_layer_tensor(file, l, tensor) != NULL) !=
                         (l % period == (n > 0 ? first : n_l)),
                     CORE_E_SPEC,
                     "%s: blk.%d: with or without %s, which is no pattern of "
                     "every %dth layer",
                     core_gguf_path(file), l, tensor, period);
    json_object_set_new(config, period_key, json_integer(period));
    json_object_set_new(config, offset_key, json_integer(n > 0 ? first : n_l));
    return CORE_OK;
}

/* kv heads are a list, 0 where there is no attention. */
static core_status add_jamba(const core_gguf *file, json_t *config)
{
    const core_gguf_key *kv = core__gguf_get(file, "attention.head_count_kv");
    double n_g = 0.0, most = 0.0, n_inner = 0.0, n_d = 0.0;
    for (int64_t i = 0; kv != NULL && core_gguf_number(kv, i, &n_g); i++)
        most = fmax(most, n_g);
    put(config, "num_key_value_heads", most);
    if (core__gguf_value(file, "ssm.inner_size", &n_inner) &&
        core__gguf_value(file, "embedding_length", &n_d))
        put(config, "mamba_expand", n_inner / n_d);
    CORE_TRY(put_period(file, config, "attn_layer_period", "attn_layer_offset",
                        "attn_q.weight"));
    return put_period(file, config, "expert_layer_period",
                      "expert_layer_offset", "ffn_gate_inp.weight");
}

#define BIAS(key)                                                              \
    {                                                                          \
        key, "blk.%d.attn_q.bias"                                              \
    }

/* Routers and heads as DeepSeek-V3's, where no key says otherwise. */
static const char ROUTED[] = CORE_JSON({
    "n_group" : 1,
    "topk_group" : 1,
    "n_shared_experts" : 0,
    "first_k_dense_replace" : 0,
    "norm_topk_prob" : false,
    "routed_scaling_factor" : 1.0,
    "partial_rotary_factor" : 1.0,
    "q_lora_rank" : null,
    "sliding_window" : null
});

static const core__gguf_arch ARCHS[] = {
    {.name = "llama", .model_type = "mixtral", .fixed = "{}", .pairs = true},
    {.name = "qwen2moe",
     .model_type = "qwen2_moe",
     .fixed = CORE_JSON({"norm_topk_prob" : false}),
     .flags = {BIAS("qkv_bias")},
     .add = add_qwen},
    {.name = "qwen3moe",
     .model_type = "qwen3_moe",
     .fixed = CORE_JSON({"norm_topk_prob" : true}),
     .flags = {BIAS("attention_bias")},
     .add = add_qwen},
    {.name = "olmoe",
     .model_type = "olmoe",
     .fixed = CORE_JSON({"norm_topk_prob" : false}),
     .own = {{"attention.clamp_kqv", "clip_qkv"}},
     .flags = {BIAS("attention_bias")}},
    {.name = "deepseek2",
     .model_type = "deepseek_v2",
     .fixed = ROUTED,
     .own = {{"attention.key_length", ""}, {"attention.value_length", ""}},
     .flags = {{"attention_bias", "blk.%d.attn_kv_a_mqa.bias"}},
     .add = add_deepseek,
     .adjust = adjust_deepseek},
    {.name = "deepseek32",
     .model_type = "deepseek_v32",
     .fixed = ROUTED,
     .own = {{"attention.key_length", ""}, {"attention.value_length", ""}},
     .flags = {{"attention_bias", "blk.%d.attn_kv_a_mqa.bias"}},
     .add = add_deepseek32},
    {.name = "glm-dsa",
     .model_type = "glm_moe_dsa",
     .fixed = ROUTED,
     .own = {{"attention.key_length", ""},
             {"attention.value_length", ""},
             {"attention.indexer.types", ""}},
     .flags = {{"attention_bias", "blk.%d.attn_kv_a_mqa.bias"}},
     .add = add_glm_dsa},
    {.name = "glm4moe",
     .model_type = "glm4_moe",
     .fixed = ROUTED,
     .own = {{"rope.dimension_sections", ""}},
     .flags = {BIAS("attention_bias"),
               {"use_qk_norm", "blk.%d.attn_q_norm.weight"}}},
    {.name = "dots1",
     .model_type = "dots1",
     .fixed = ROUTED,
     .flags = {BIAS("attention_bias")}},
    {.name = "granitemoe",
     .model_type = "granitemoe",
     .fixed = CORE_JSON({
         "embedding_multiplier" : 1.0,
         "residual_multiplier" : 1.0,
         "logits_scaling" : 1.0
     }),
     .own = {{"attention.scale", "attention_multiplier"},
             {"embedding_scale", "embedding_multiplier"},
             {"residual_scale", "residual_multiplier"},
             {"logit_scale", "logits_scaling"},
             {"expert_shared_feed_forward_length", "shared_intermediate_size"}},
     .flags = {BIAS("attention_bias")},
     .pairs = true,
     .add = add_granite},
    {.name = "phimoe",
     .model_type = "phimoe",
     .fixed =
         CORE_JSON({"router_jitter_noise" : 0.01, "sliding_window" : null}),
     .flags = {BIAS("attention_bias"), {"lm_head_bias", "output.bias"}}},
    {.name = "llama4",
     .model_type = "llama4_text",
     .fixed = CORE_JSON({
         "no_rope_layer_interval" : 4,
         "attention_chunk_size" : 8192,
         "floor_scale" : 8192,
         "attn_scale" : 0.1
     }),
     .own = {{"feed_forward_length", "intermediate_size_mlp"},
             {"expert_feed_forward_length", "intermediate_size"},
             {"interleave_moe_layer_step", "interleave_moe_layer_step"}},
     .flags = {BIAS("attention_bias")},
     .add = add_llama4},
    {.name = "gpt-oss",
     .model_type = "gpt_oss",
     .fixed = "{}",
     .own = {{"feed_forward_length", ""},
             {"expert_feed_forward_length", "intermediate_size"}},
     .flags = {BIAS("attention_bias")}},
    {.name = "jamba",
     .model_type = "jamba",
     .fixed = "{}",
     .own = {{"attention.head_count_kv", ""},
             {"ssm.conv_kernel", "mamba_d_conv"},
             {"ssm.state_size", "mamba_d_state"},
             {"ssm.time_step_rank", "mamba_dt_rank"},
             {"ssm.inner_size", ""}},
     .flags = {{"mamba_conv_bias", "blk.%d.ssm_conv1d.bias"},
               {"mamba_proj_bias", "blk.%d.ssm_in.bias"}},
     .no_rope = true,
     .add = add_jamba},
    {.name = "minimax-m2",
     .model_type = "minimax_m2",
     .fixed = CORE_JSON({"use_routing_bias" : true}),
     .own = {{"feed_forward_length", ""},
             {"expert_feed_forward_length", "intermediate_size"}},
     .flags = {{"use_qk_norm", "blk.%d.attn_q_norm.weight"}}},
    {.name = "qwen3vlmoe",
     .model_type = "qwen3_vl_moe_text",
     .fixed = CORE_JSON({"norm_topk_prob" : true}),
     .own = {{"rope.dimension_sections", ""}, {"n_deepstack_layers", ""}},
     .flags = {BIAS("attention_bias")},
     .add = add_qwen},
    {.name = "qwen35moe",
     .model_type = "qwen3_5_moe_text",
     .fixed = CORE_JSON(
         {"full_attention_interval" : 4, "partial_rotary_factor" : 1.0}),
     .own = {{"rope.dimension_sections", ""},
             {"attention.recurrent_layers", ""},
             {"full_attention_interval", "full_attention_interval"},
             {"ssm.conv_kernel", "linear_conv_kernel_dim"},
             {"ssm.state_size", "linear_key_head_dim"},
             {"ssm.group_count", "linear_num_key_heads"},
             {"ssm.time_step_rank", "linear_num_value_heads"},
             {"ssm.inner_size", ""},
             {"feed_forward_length", ""}},
     .flags = {BIAS("attention_bias")},
     .tiled = true,
     .plus_one = true,
     .add = add_qwen35},
    {.name = "kimi-linear",
     .model_type = "kimi_linear",
     .fixed = CORE_JSON({
         "moe_renormalize" : true,
         "num_expert_group" : 1,
         "topk_group" : 1,
         "num_shared_experts" : 0,
         "first_k_dense_replace" : 0,
         "routed_scaling_factor" : 1.0,
         "q_lora_rank" : null
     }),
     .own = {{"attention.head_count_kv", ""},
             {"attention.key_length", ""},
             {"attention.value_length", ""},
             {"ssm.conv_kernel", "linear_conv_kernel_dim"},
             {"kda.head_dim", "linear_head_dim"},
             {"expert_used_count", "num_experts_per_token"},
             {"expert_shared_count", "num_shared_experts"},
             {"expert_group_count", "num_expert_group"},
             {"expert_weights_norm", "moe_renormalize"},
             {"context_length", "model_max_length"}},
     .no_rope = true,
     .add = add_kimi},
    {.name = "ernie4_5-moe",
     .model_type = "ernie4_5_moe",
     .fixed =
         CORE_JSON({"moe_num_shared_experts" : 0, "moe_layer_end_index" : -1}),
     .own = {{"interleave_moe_layer_step", "moe_layer_interval"},
             {"leading_dense_block_count", "moe_layer_start_index"},
             {"expert_shared_count", "moe_num_shared_experts"},
             {"expert_shared_feed_forward_length", ""}},
     .flags = {BIAS("use_bias")}},
    {.name = "exaone-moe",
     .model_type = "exaone_moe",
     .fixed = ROUTED,
     .own = {{"attention.sliding_window_pattern", ""},
             {"expert_shared_count", "num_shared_experts"},
             {"expert_shared_feed_forward_length", ""}},
     .add = add_exaone},
    {.name = "bailingmoe2",
     .model_type = "bailing_moe_v2",
     .fixed = CORE_JSON({
         "n_group" : 1,
         "topk_group" : 1,
         "num_shared_experts" : 0,
         "first_k_dense_replace" : 0,
         "norm_topk_prob" : false
     }),
     .own = {{"expert_shared_count", "num_shared_experts"},
             {"expert_shared_feed_forward_length",
              "moe_shared_expert_intermediate_size"}},
     .flags = {{"use_qkv_bias", "blk.%d.attn_qkv.bias"},
               {"use_bias", "blk.%d.attn_output.bias"},
               {"use_qk_norm", "blk.%d.attn_q_norm.weight"},
               {"moe_router_enable_expert_bias", "blk.%d.exp_probs_b.bias"}},
     .add = add_bailing},
};

const core__gguf_arch *core__gguf_arch_at(int i)
{
    return i < (int)(sizeof ARCHS / sizeof ARCHS[0]) ? &ARCHS[i] : NULL;
}
