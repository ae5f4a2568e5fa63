/* core/model/families/kimi_linear.c -- Kimi Linear: a delta rule in which every
 * row of a head's matrix decays by itself (KDA), latent attention without
 * positions between, the router of DeepSeek-V3.
 *
 * Traps: layers of the two lists count from 1; the low ranks of gate and time
 * steps are the size of a head; rope_theta and head_dim say nothing; experts
 * are called as in Mixtral; the head is never tied.
 */
#include "core/model/families/family.h"
#include "core/model/families/kimi.h"

#include <string.h>

/* The layers of a list are `full`, or are not; a layer has to be in one of the
 * two lists. */
static core_status take_list(core__reader net, const char *key, int64_t n_l,
                             bool full, uint8_t *is_full, bool *seen)
{
    const json_t *list = core__config_value(net, key);
    CORE_FAIL_IF(!json_is_array(list), CORE_E_SPEC,
                 "%s: linear_attn_config.%s: expected a list of layers, from 1",
                 net.where, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_int_t l = json_integer_value(json_array_get(list, i));
        CORE_FAIL_IF(l < 1 || l > n_l, CORE_E_SPEC,
                     "%s: linear_attn_config.%s: entry %zu: expected a layer "
                     "from 1 to %lld",
                     net.where, key, i, (long long)n_l);
        CORE_FAIL_IF(seen[l - 1], CORE_E_SPEC,
                     "%s: linear_attn_config.%s: layer %lld is listed twice",
                     net.where, key, (long long)l);
        seen[l - 1] = true;
        is_full[l - 1] = full;
    }
    return CORE_OK;
}

/* Both lists, if there is one; each layer in one of them. */
static core_status get_lists(core__reader net, int64_t n_l, uint8_t *is_full,
                             bool *found)
{
    bool seen[CORE_MAX_LAYERS] = {false};
    *found = core__config_has(net, "full_attn_layers") ||
             core__config_has(net, "kda_layers");
    if (!*found)
        return CORE_OK;
    CORE_TRY(take_list(net, "full_attn_layers", n_l, true, is_full, seen));
    CORE_TRY(take_list(net, "kda_layers", n_l, false, is_full, seen));
    for (int l = 0; l < (int)n_l; l++)
        CORE_FAIL_IF(!seen[l], CORE_E_SPEC,
                     "%s: linear_attn_config: layer %d is in neither list",
                     net.where, l + 1);
    return CORE_OK;
}

/* The lists and layer_types may not contradict each other; neither: the class
 * has attention in layers 4, 8, ..., counted from 0. */
static core_status get_mixers(core_spec *spec, core__reader r, core__reader net)
{
    static const char *const WORDS[] = {"linear_attention", "full_attention",
                                        NULL};
    uint8_t listed[CORE_MAX_LAYERS], is_full[CORE_MAX_LAYERS];
    bool has_lists, has_types;
    CORE_TRY(get_lists(net, spec->n_l, listed, &has_lists));
    CORE_TRY(core__config_layers(r, "layer_types", WORDS, spec->n_l, is_full,
                                 &has_types));
    for (int l = 0; l < (int)spec->n_l; l++) {
        CORE_FAIL_IF(has_lists && has_types && listed[l] != is_full[l],
                     CORE_E_SPEC,
                     "%s: linear_attn_config and layer_types: layer %d is %s",
                     r.where, l, WORDS[is_full[l]]);
        const bool full = has_lists   ? listed[l] != 0
                          : has_types ? is_full[l] != 0
                                      : l > 0 && l % 4 == 0;
        spec->mixer[l] = full ? CORE_MIXER_ATTENTION : CORE_MIXER_DELTANET;
    }
    return CORE_OK;
}

/* A size of linear_attn_config, or of the key that transformers 5 writes. */
static core_status get_size(core__reader net, const char *key, core__reader r,
                            const char *newer, int64_t *out)
{
    return core__config_has(net, key) ? core__config_count(net, key, out)
                                      : core__config_count(r, newer, out);
}

static core_status get_delta_net(core_spec *spec, core__reader r)
{
    core_deltanet *s = &spec->deltanet;
    core__reader net;
    CORE_TRY(core__config_object(r, "linear_attn_config", &net));
    CORE_TRY(get_size(net, "num_heads", r, "linear_num_heads", &s->n_kh));
    CORE_TRY(get_size(net, "head_dim", r, "linear_head_dim", &s->n_dk));
    CORE_TRY(get_size(net, "short_conv_kernel_size", r,
                      "linear_conv_kernel_dim", &s->n_conv));
    s->n_vh = s->n_kh;
    s->n_dv = s->n_dt_rank = s->n_gate_rank = s->n_dk;
    s->by_row = s->sigmoid_gate = true;
    return get_mixers(spec, r, net);
}

core_status core__get_kimi_router(core_spec *spec, core__reader r)
{
    spec->router = CORE_ROUTER_SIGMOID;
    spec->correction = true;
    CORE_TRY(core__config_expect(r, "moe_router_activation_func", "sigmoid"));
    CORE_TRY(core__config_expect(r, "topk_method", "noaux_tc"));
    CORE_TRY(core__config_expect_flag(r, "use_grouped_topk", true));
    CORE_TRY(core__config_count(r, "num_expert_group", &spec->n_group));
    CORE_TRY(core__config_count(r, "topk_group", &spec->n_group_kept));
    if (spec->n_group == 1)
        spec->n_group = spec->n_group_kept = 0;
    else
        spec->group_score = CORE_GROUP_SCORE_BEST_TWO;
    CORE_TRY(
        core__config_flag(r, "moe_renormalize", true, &spec->renormalise));
    CORE_TRY(core__get_shared_count(spec, r, "num_shared_experts"));
    return core__config_real(r, "routed_scaling_factor", &spec->routed_scale);
}

core_status core__get_kimi(core_spec *spec, core__reader r)
{
    spec->tied = false;
    memset(spec->no_rope, 1, (size_t)spec->n_l);
    CORE_TRY(core__config_expect_flag(r, "mla_use_nope", true));
    CORE_TRY(core__get_latent(spec, r));
    CORE_TRY(get_delta_net(spec, r));
    CORE_TRY(core__get_kimi_router(spec, r));
    CORE_TRY(core__config_expect_count(r, "moe_layer_freq", 1));
    return core__get_mlp_types(spec, r, 1);
}

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__expect_silu(spec, r, "the convolutions have"));
    return core__get_kimi(spec, r);
}

static const core__place OWN[] = {
    CORE_KIMI_PLACES
    {CORE_W_DELTANET_GATE, CORE_LAYOUT_MATRIX,
     CORE_KIMI_ATTN "g_b_proj.weight"},
    {CORE_W_DELTANET_A_LOG, CORE_LAYOUT_PER_HEAD, CORE_KIMI_ATTN "A_log"},
    CORE_PLACES_END};

const core__family core__family_kimi_linear = {
    .model_type = "kimi_linear",
    .published = "Kimi-Linear-48B-A3B",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 163840, "hidden_size": 2304, "num_hidden_layers": 27,
        "num_attention_heads": 32, "num_key_value_heads": 32,
        "num_experts_per_token": 8, "rms_norm_eps": 1e-05, "num_experts": 256,
        "intermediate_size": 9216, "moe_intermediate_size": 1024,
        "num_shared_experts": 1, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "v_head_dim": 128,
        "routed_scaling_factor": 2.446, "num_expert_group": 1, "topk_group": 1,
        "linear_num_heads": 32, "linear_head_dim": 128,
        "linear_conv_kernel_dim": 4
    }),
    .ignores = "head_dim qk_head_dim intermediate_size model_max_length "
               "rope_theta linear_conv_kernel_dim linear_head_dim "
               "linear_num_heads",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .chosen = "num_experts_per_token",
    .head = CORE_HEAD_OF_PARTS,
    .no_rope = true,
    .own = OWN,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.block_sparse_moe.shared_experts.",
    .looks_ahead = true,
};
