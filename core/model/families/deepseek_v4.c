/* core/model/families/deepseek_v4.c -- DeepSeek-V4: several streams of a token,
 * one key-value vector for all heads, digests of earlier tokens, the first
 * layers' experts by a table.
 *
 * Layers have a window alone, digests of long runs that are all seen, or of
 * short ones of which a scorer picks; those with digests rotate by another
 * theta, and by yarn.  Traps: the numbers of compress_ratios (0, 4, 128) are
 * names of the three kinds, whatever compress_rates says of lengths; there may
 * be more of them than layers; yarn does not scale cos and sin unless the file
 * says so; weights of experts are always divided by their sum, and the shared
 * expert is as wide as a routed one, whatever n_shared_experts says.
 */
#include "core/model/families/family.h"

#include <string.h>

/* compress_ratios, if the file has them. */
static core_status get_ratios(core_spec *spec, core__reader r)
{
    static const char KEY[] = "compress_ratios";
    const json_t *list = core__config_value(r, KEY);
    if (list == NULL)
        return CORE_OK;
    CORE_FAIL_IF(!json_is_array(list) ||
                     (int64_t)json_array_size(list) < spec->n_l,
                 CORE_E_SPEC, "%s: %s: expected a list of at least %lld",
                 r.where, KEY, (long long)spec->n_l);
    for (size_t l = 0; l < (size_t)spec->n_l; l++) {
        const json_t *entry = json_array_get(list, l);
        const json_int_t ratio =
            json_is_integer(entry) ? json_integer_value(entry) : -1;
        CORE_FAIL_IF(ratio != 0 && ratio != 4 && ratio != 128, CORE_E_SPEC,
                     "%s: %s: entry %zu: expected 0, 4 or 128", r.where, KEY,
                     l);
        spec->digest[l] = ratio == 0   ? CORE_DIGEST_NONE
                          : ratio == 4 ? CORE_DIGEST_BEST
                                       : CORE_DIGEST_ALL;
    }
    return CORE_OK;
}

/* Which layers have digests, by any of two lists, or every second one. */
static core_status get_digests(core_spec *spec, core__reader r)
{
    static const char *const WORDS[] = {
        [CORE_DIGEST_NONE] = "sliding_attention",
        [CORE_DIGEST_ALL] = "heavily_compressed_attention",
        [CORE_DIGEST_BEST] = "compressed_sparse_attention",
        NULL};
    core_digests *d = &spec->digests;
    core__reader rates;
    bool listed;
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->digest[l] =
            l < 2 || l % 2 == 0 ? CORE_DIGEST_ALL : CORE_DIGEST_BEST;
    CORE_TRY(get_ratios(spec, r));
    CORE_TRY(core__config_layers(r, "layer_types", WORDS, spec->n_l,
                                 spec->digest, &listed));
    CORE_TRY(core__config_object(r, "compress_rates", &rates));
    CORE_TRY(
        core__config_count_or(rates, WORDS[CORE_DIGEST_ALL], 128, &d->n_all));
    CORE_TRY(
        core__config_count_or(rates, WORDS[CORE_DIGEST_BEST], 4, &d->n_best));
    CORE_TRY(
        core__config_count_or(r, "compress_rate_hca", d->n_all, &d->n_all));
    CORE_TRY(
        core__config_count_or(r, "compress_rate_csa", d->n_best, &d->n_best));
    CORE_TRY(core__config_count(r, "index_n_heads", &d->n_ph));
    CORE_TRY(core__config_count(r, "index_head_dim", &d->n_pd));
    CORE_TRY(core__config_count(r, "index_topk", &spec->n_seen));
    bool picks = false;
    for (int l = 0; l < (int)spec->n_l; l++) {
        const bool best = spec->digest[l] == CORE_DIGEST_BEST;
        spec->sight[l] = best ? CORE_SIGHT_CHOSEN : CORE_SIGHT_SPAN;
        spec->head_kind[l] = spec->digest[l] == CORE_DIGEST_NONE;
        picks = picks || best;
    }
    spec->n_seen = picks ? spec->n_seen : 0;
    return CORE_OK;
}

/* Layers without digests, if there are any, have heads of the other kind: only
 * rope differs. */
static core_status get_heads(core_spec *spec, core__reader r)
{
    core_heads *other = &spec->other;
    spec->one_kv = spec->sinks = other->sinks = true;
    CORE_TRY(core__config_count(r, "sliding_window", &spec->sliding_window));
    CORE_TRY(core__config_count(r, "q_lora_rank", &spec->n_q_rank));
    CORE_TRY(core__config_count(r, "o_groups", &spec->o_groups.n));
    CORE_TRY(core__config_count(r, "o_lora_rank", &spec->o_groups.n_r));
    CORE_TRY(core__config_count_or(r, "qk_rope_head_dim", spec->n_dh / 8,
                                   &spec->n_rot));
    other->n_h = spec->n_h;
    other->n_g = spec->n_g;
    other->n_dh = spec->n_dh;
    other->n_rot = spec->n_rot;
    CORE_TRY(core__config_two_ropes(r, "compress", "compress_rope_theta",
                                    "main", "rope_theta", spec));
    spec->rope.interleaved = true;
    return CORE_OK;
}

static core_status get_router(core_spec *spec, core__reader r)
{
    static const char *const WORDS[] = {"moe", "hash_moe", NULL};
    int64_t n_hash;
    bool listed;
    spec->router = CORE_ROUTER_SQRT_SOFTPLUS;
    spec->correction = spec->renormalise = true;
    spec->sum_eps = 1e-20;
    CORE_TRY(core__config_expect(r, "scoring_func", "sqrtsoftplus"));
    CORE_TRY(core__config_expect(r, "topk_method", "noaux_tc"));
    CORE_TRY(core__config_expect_flag(r, "norm_topk_prob", true));
    CORE_TRY(
        core__config_real(r, "routed_scaling_factor", &spec->routed_scale));
    CORE_TRY(core__config_count_or(r, "num_hash_layers", 3, &n_hash));
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->by_table[l] = l < n_hash;
    CORE_TRY(core__config_layers(r, "mlp_layer_types", WORDS, spec->n_l,
                                 spec->by_table, &listed));
    CORE_TRY(core__config_expect_count(r, "n_shared_experts", 1));
    spec->n_f_shared = spec->n_f;
    CORE_FAIL_IF(spec->act != CORE_ACT_SILU, CORE_E_SPEC,
                 "%s: hidden_act: expected silu", r.where);
    spec->act = CORE_ACT_CLAMPED_SILU;
    return core__config_real(r, "swiglu_limit", &spec->act_limit);
}

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__config_count(r, "hc_mult", &spec->hyper.n));
    CORE_TRY(core__config_count(r, "hc_sinkhorn_iters", &spec->hyper.n_round));
    CORE_TRY(core__config_real(r, "hc_eps", &spec->hyper.eps));
    CORE_TRY(core__config_expect_flag(r, "attention_bias", false));
    CORE_TRY(core__config_expect_flag(r, "mlp_bias", false));
    CORE_TRY(get_digests(spec, r));
    CORE_TRY(get_heads(spec, r));
    return get_router(spec, r);
}

#define ATTN(name)   "layers.%d.attn." name
#define MATRIX(name) CORE_LAYOUT_MATRIX, name
#define VECTOR(name) CORE_LAYOUT_VECTOR, name
#define PICK(name)   "layers.%d.attn.indexer." name

/* The publisher's own names. */
static const core__place OWN[] = {
    {CORE_W_EMBED, MATRIX("embed.weight")},
    {CORE_W_ATTN_NORM, VECTOR("layers.%d.attn_norm.weight")},
    {CORE_W_FFN_NORM, VECTOR("layers.%d.ffn_norm.weight")},
    {CORE_W_ATTN_MIX, MATRIX("layers.%d.hc_attn_fn")},
    {CORE_W_ATTN_MIX_BASE, VECTOR("layers.%d.hc_attn_base")},
    {CORE_W_ATTN_MIX_SCALE, VECTOR("layers.%d.hc_attn_scale")},
    {CORE_W_FFN_MIX, MATRIX("layers.%d.hc_ffn_fn")},
    {CORE_W_FFN_MIX_BASE, VECTOR("layers.%d.hc_ffn_base")},
    {CORE_W_FFN_MIX_SCALE, VECTOR("layers.%d.hc_ffn_scale")},
    {CORE_W_HEAD_MIX, MATRIX("hc_head_fn")},
    {CORE_W_HEAD_MIX_BASE, VECTOR("hc_head_base")},
    {CORE_W_HEAD_MIX_SCALE, VECTOR("hc_head_scale")},
    {CORE_W_Q_A, MATRIX(ATTN("wq_a.weight"))},
    {CORE_W_Q_A_NORM, VECTOR(ATTN("q_norm.weight"))},
    {CORE_W_Q, MATRIX(ATTN("wq_b.weight"))},
    {CORE_W_K, MATRIX(ATTN("wkv.weight"))},
    {CORE_W_K_NORM, VECTOR(ATTN("norm.weight"))},
    {CORE_W_SINKS, VECTOR(ATTN("attn_sink"))},
    {CORE_W_O_A, MATRIX(ATTN("wo_a.weight"))},
    {CORE_W_O, MATRIX(ATTN("wo_b.weight"))},
    {CORE_W_DIGEST_KV, MATRIX(ATTN("compressor.wkv.weight"))},
    {CORE_W_DIGEST_GATE, MATRIX(ATTN("compressor.wgate.weight"))},
    {CORE_W_DIGEST_BIAS, MATRIX(ATTN("compressor.ape"))},
    {CORE_W_DIGEST_NORM, VECTOR(ATTN("compressor.norm.weight"))},
    {CORE_W_PICK_Q, MATRIX(PICK("wq_b.weight"))},
    {CORE_W_PICK_KV, MATRIX(PICK("compressor.wkv.weight"))},
    {CORE_W_PICK_GATE, MATRIX(PICK("compressor.wgate.weight"))},
    {CORE_W_PICK_BIAS, MATRIX(PICK("compressor.ape"))},
    {CORE_W_PICK_NORM, VECTOR(PICK("compressor.norm.weight"))},
    {CORE_W_PICK_WEIGHT, MATRIX(PICK("weights_proj.weight"))},
    {CORE_W_ROUTER, MATRIX("layers.%d.ffn.gate.weight")},
    {CORE_W_CORRECTION, VECTOR("layers.%d.ffn.gate.bias")},
    {CORE_W_EXPERT_TABLE, MATRIX("layers.%d.ffn.gate.tid2eid")},
    {CORE_W_EXPERT_GATE, MATRIX("layers.%d.ffn.experts.%d.w1.weight")},
    {CORE_W_EXPERT_UP, MATRIX("layers.%d.ffn.experts.%d.w3.weight")},
    {CORE_W_EXPERT_DOWN, MATRIX("layers.%d.ffn.experts.%d.w2.weight")},
    {CORE_W_MLP_GATE, MATRIX("w1.weight")},
    {CORE_W_MLP_UP, MATRIX("w3.weight")},
    {CORE_W_MLP_DOWN, MATRIX("w2.weight")},
    {CORE_W_FINAL_NORM, VECTOR("norm.weight")},
    {CORE_W_HEAD, MATRIX("head.weight")},
    CORE_PLACES_END};

const core__family core__family_deepseek_v4 = {
    .model_type = "deepseek_v4",
    .also = "deepseek_ref",
    .published = "DeepSeek-V4-Flash, DeepSeek-V4-Pro",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size" : 129280,
        "hidden_size" : 4096,
        "moe_intermediate_size" : 2048,
        "num_hidden_layers" : 43,
        "num_attention_heads" : 64,
        "num_key_value_heads" : 1,
        "head_dim" : 512,
        "q_lora_rank" : 1024,
        "num_experts_per_tok" : 6,
        "n_routed_experts" : 256,
        "routed_scaling_factor" : 1.5,
        "max_position_embeddings" : 1048576,
        "rope_theta" : 10000.0,
        "compress_rope_theta" : 160000.0,
        "hc_mult" : 4,
        "hc_sinkhorn_iters" : 20,
        "hc_eps" : 1e-06,
        "swiglu_limit" : 10.0,
        "sliding_window" : 128,
        "o_groups" : 8,
        "o_lora_rank" : 1024,
        "index_n_heads" : 64,
        "index_head_dim" : 128,
        "index_topk" : 512,
        "rms_norm_eps" : 1e-06
    }),
    .ignores = "expert_dtype router_jitter_noise",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_REQUIRED,
    .no_rope = true,
    .partial_rope = true,
    .own = OWN,
    .shared = "layers.%d.ffn.shared_experts.",
    .looks_ahead = true,
};
