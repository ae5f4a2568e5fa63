/* core/model/families/shared.c -- what several families have in common. */
#include "core/model/families/family.h"

#include <math.h>
#include <string.h>

core_status core__expect_silu(const core_spec *spec, core__reader r,
                              const char *whose)
{
    CORE_FAIL_IF(spec->act != CORE_ACT_SILU, CORE_E_SPEC,
                 "%s: hidden_act: expected silu, which %s", r.where, whose);
    return CORE_OK;
}

core_status core__get_attention_bias(core_spec *spec, core__reader r,
                                     const char *key, bool fallback,
                                     bool output_too)
{
    CORE_TRY(core__config_flag(r, key, fallback, &spec->bias_qkv));
    spec->bias_o = output_too && spec->bias_qkv;
    return CORE_OK;
}

core_status core__get_window(core_spec *spec, core__reader r)
{
    return core__config_value(r, "sliding_window") == NULL
               ? CORE_OK
               : core__config_count(r, "sliding_window", &spec->sliding_window);
}

/* Files say rotary_dim, which the class turns into a fraction. */
core_status core__get_rotary_dim(core_spec *spec, core__reader r)
{
    if (!core__config_has(r, "rotary_dim"))
        return CORE_OK;
    int64_t n_rot;
    CORE_TRY(core__config_count(r, "rotary_dim", &n_rot));
    const int64_t said = spec->n_rot;
    CORE_FAIL_IF(said > 0 && n_rot != said, CORE_E_SPEC,
                 "%s: rotary_dim %lld and a partial_rotary_factor of %lld "
                 "elements",
                 r.where, (long long)n_rot, (long long)said);
    spec->n_rot = n_rot == spec->n_dh ? 0 : n_rot;
    return CORE_OK;
}

/* layer_types, and whether the file has them. */
core_status core__get_spans(core_spec *spec, core__reader r, bool *found)
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
    for (int l = 0; l < (int)spec->n_l; l++)
        if (spec->ffn[l] == CORE_FFN_DENSE)
            return true;
    return false;
}

core_status core__get_dense_inner(core_spec *spec, core__reader r,
                                  const char *key)
{
    return any_dense(spec) ? core__config_count(r, key, &spec->n_f_dense)
                           : CORE_OK;
}

/* Qwen: every step-th layer has experts, unless a list says it has none. */
core_status core__get_sparse_step(core_spec *spec, core__reader r)
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
    return core__get_dense_inner(spec, r, "intermediate_size");
}

/* DeepSeek and those after it: the first layers dense, shared experts. */
core_status core__get_first_dense(core_spec *spec, core__reader r)
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
    return core__get_dense_inner(spec, r, "intermediate_size");
}

/* One group of all experts is no choice of groups. */
core_status core__get_groups(core_spec *spec, core__reader r)
{
    CORE_TRY(core__config_count_or(r, "n_group", 1, &spec->n_group));
    if (spec->n_group <= 1) {
        spec->n_group = 0;
        return CORE_OK;
    }
    return core__config_count(r, "topk_group", &spec->n_group_kept);
}

/* The router of DeepSeek-V3. */
core_status core__get_v3_router(core_spec *spec, core__reader r,
                                bool renormalise)
{
    spec->router = CORE_ROUTER_SIGMOID;
    spec->correction = true;
    CORE_TRY(core__config_expect(r, "scoring_func", "sigmoid"));
    CORE_TRY(core__config_expect(r, "topk_method", "noaux_tc"));
    CORE_TRY(core__get_groups(spec, r));
    if (spec->n_group > 0)
        spec->group_score = CORE_GROUP_SCORE_BEST_TWO;
    CORE_TRY(core__config_flag(r, "norm_topk_prob", renormalise,
                               &spec->renormalise));
    return core__config_real_or(r, "routed_scaling_factor", 1.0,
                                &spec->routed_scale);
}

core_status core__get_granite(core_spec *spec, core__reader r)
{
    spec->router = CORE_ROUTER_SOFTMAX_TOP;
    CORE_TRY(core__config_real(r, "attention_multiplier", &spec->score_scale));
    CORE_TRY(core__config_real(r, "embedding_multiplier", &spec->embed_scale));
    CORE_TRY(
        core__config_real(r, "residual_multiplier", &spec->residual_scale));
    CORE_TRY(core__config_real(r, "logits_scaling", &spec->logits_divisor));
    return core__get_attention_bias(spec, r, "attention_bias", false, true);
}

/* Sizes of latent attention, and the scale that yarn puts on whole scores. */
core_status core__get_latent(core_spec *spec, core__reader r)
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
    return core__get_attention_bias(spec, r, "attention_bias", false, true);
}

/* Every layer chooses by an indexer. */
static core_status get_indexer(core_spec *spec, core__reader r,
                               const char *const *types)
{
    uint8_t type[CORE_MAX_LAYERS];
    bool found;
    CORE_TRY(
        core__config_layers(r, "layer_types", types, spec->n_l, type, &found));
    CORE_TRY(core__config_count(r, "index_n_heads", &spec->indexer.n_h));
    CORE_TRY(core__config_count(r, "index_head_dim", &spec->indexer.n_dh));
    CORE_TRY(core__config_count(r, "index_topk", &spec->n_seen));
    memset(spec->sight, CORE_SIGHT_CHOSEN, (size_t)spec->n_l);
    return CORE_OK;
}

core_status core__get_v32(core_spec *spec, core__reader r,
                          const char *const *types, bool interleaved)
{
    CORE_TRY(core__get_latent(spec, r));
    CORE_TRY(core__config_expect_flag(r, "rope_interleave", true));
    spec->rope.interleaved = true;
    CORE_TRY(get_indexer(spec, r, types));
    spec->indexer.interleaved = interleaved;
    CORE_TRY(core__get_v3_router(spec, r, true));
    CORE_TRY(core__config_expect_count(r, "moe_layer_freq", 1));
    CORE_TRY(core__get_shared_count(spec, r, "n_shared_experts"));
    return core__get_mlp_types(spec, r, 3);
}

core_status core__get_mixers_by_period(core_spec *spec, core__reader r,
                                       const char *period)
{
    static const char *const WORDS[] = {"linear_attention", "full_attention",
                                        NULL};
    uint8_t is_full[CORE_MAX_LAYERS];
    int64_t n;
    bool found;
    CORE_TRY(core__config_count(r, period, &n));
    for (int l = 0; l < (int)spec->n_l; l++)
        is_full[l] = (l + 1) % n == 0;
    CORE_TRY(core__config_layers(r, "layer_types", WORDS, spec->n_l, is_full,
                                 &found));
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->mixer[l] =
            is_full[l] != 0 ? CORE_MIXER_ATTENTION : CORE_MIXER_DELTANET;
    return CORE_OK;
}

core_status core__get_gated_mixers(core_spec *spec, core__reader r)
{
    core_deltanet *net = &spec->deltanet;
    CORE_TRY(core__expect_silu(spec, r, "the convolutions have"));
    spec->norm = CORE_NORM_RMS_PLUS_ONE;
    spec->qk_norm = CORE_QK_NORM_HEAD;
    spec->context_gate = spec->shared_gate = true;
    CORE_TRY(core__config_count(r, "linear_num_key_heads", &net->n_kh));
    CORE_TRY(core__config_count(r, "linear_num_value_heads", &net->n_vh));
    CORE_TRY(core__config_count(r, "linear_key_head_dim", &net->n_dk));
    CORE_TRY(core__config_count(r, "linear_value_head_dim", &net->n_dv));
    CORE_TRY(core__config_count(r, "linear_conv_kernel_dim", &net->n_conv));
    CORE_TRY(core__config_count(r, "shared_expert_intermediate_size",
                                &spec->n_f_shared));
    CORE_TRY(core__config_expect_flag(r, "attn_output_gate", true));
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, true));
    return core__get_mixers_by_period(spec, r, "full_attention_interval");
}

core_blocks core__blocks_of_ssd(const core_spec *spec, core_weight_kind kind)
{
    const core_ssd *s = &spec->ssd;
    const int64_t n_c = s->n_h * s->n_p, n_xbc = n_c + 2 * s->n_g * s->n_s;
    const int64_t all = n_c + n_xbc + s->n_h;
    switch (kind) {
    case CORE_W_SSD_GATE:
    case CORE_W_SSD_GATE_BIAS:
        return (core_blocks){1, 0, all};
    case CORE_W_SSD_XBC:
    case CORE_W_SSD_XBC_BIAS:
        return (core_blocks){1, n_c, all};
    case CORE_W_SSD_DT:
    case CORE_W_SSD_DT_BIAS:
        return (core_blocks){1, n_c + n_xbc, all};
    default:
        return (core_blocks){0, 0, 0};
    }
}

core_blocks core__blocks_of_gated(const core_spec *spec, core_weight_kind kind)
{
    const core_deltanet *s = &spec->deltanet;
    const int64_t keys = s->n_kh * s->n_dk;
    const int64_t channels = 2 * keys + s->n_vh * s->n_dv;
    switch (kind) {
    case CORE_W_Q:
    case CORE_W_Q_BIAS:
        return (core_blocks){spec->n_h, 0, 2 * spec->n_dh};
    case CORE_W_CONTEXT_GATE:
    case CORE_W_CONTEXT_GATE_BIAS:
        return (core_blocks){spec->n_h, spec->n_dh, 2 * spec->n_dh};
    case CORE_W_DELTANET_Q_CONV:
        return (core_blocks){1, 0, channels};
    case CORE_W_DELTANET_K_CONV:
        return (core_blocks){1, keys, channels};
    case CORE_W_DELTANET_V_CONV:
        return (core_blocks){1, 2 * keys, channels};
    default:
        return (core_blocks){0, 0, 0};
    }
}

core_status core__get_shared_count(core_spec *spec, core__reader r,
                                   const char *key)
{
    int64_t n;
    CORE_TRY(core__config_count_or(r, key, 0, &n));
    spec->n_f_shared = spec->n_f * n;
    return CORE_OK;
}

core_status core__get_mlp_types(core_spec *spec, core__reader r,
                                int64_t n_dense)
{
    static const char FIRST[] = "first_k_dense_replace";
    static const char TYPES[] = "mlp_layer_types";
    static const char *const WORDS[] = {
        [CORE_FFN_MOE] = "sparse", [CORE_FFN_DENSE] = "dense", NULL};
    bool listed;
    CORE_TRY(
        core__config_layers(r, TYPES, WORDS, spec->n_l, spec->ffn, &listed));
    if (core__config_has(r, FIRST) || !listed)
        CORE_TRY(core__config_count_or(r, FIRST, n_dense, &n_dense));
    for (int l = 0; l < (int)spec->n_l; l++) {
        const uint8_t kind = l < n_dense ? CORE_FFN_DENSE : CORE_FFN_MOE;
        CORE_FAIL_IF(listed && core__config_has(r, FIRST) &&
                         spec->ffn[l] != kind,
                     CORE_E_SPEC, "%s: %s %lld and %s: layer %d is %s", r.where,
                     FIRST, (long long)n_dense, TYPES, l, WORDS[spec->ffn[l]]);
        spec->ffn[l] = listed ? spec->ffn[l] : kind;
    }
    return core__get_dense_inner(spec, r, "intermediate_size");
}

core_status core__get_qwen3(core_spec *spec, core__reader r)
{
    spec->qk_norm = CORE_QK_NORM_HEAD;
    CORE_TRY(core__config_expect_flag(r, "use_qk_norm", true));
    CORE_TRY(core__config_expect_flag(r, "qkv_bias", false));
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, true));
    return core__get_sparse_step(spec, r);
}
