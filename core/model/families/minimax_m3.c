/* core/model/families/minimax_m3.c -- MiniMax-M3: norms that add 1, a clamped
 * activation in every network, and in most layers queries that see only the
 * best blocks of keys.
 *
 * The publisher's files describe the choice of blocks in an object of its own,
 * and layers by 0 and 1; the class of transformers writes flat keys and words,
 * of which the object wins, but the words.  Traps: hidden_act says nothing, the
 * activation is the clamped one; intermediate_size is that of routed experts.
 */
#include "core/model/families/family.h"

#include <string.h>

static const char SPARSE[] = "sparse_attention_config";

/* By mlp_layer_types, else by moe_layer_freq, else experts everywhere. */
static core_status get_ffns(core_spec *spec, core__reader r)
{
    static const char *const WORDS[] = {"dense", "sparse", NULL};
    static const char FREQ[] = "moe_layer_freq";
    static const char FIRST[] = "first_k_dense_replace";
    uint8_t sparse[CORE_MAX_LAYERS];
    int64_t n_dense;
    bool listed;
    memset(sparse, 1, sizeof sparse);
    if (core__config_has(r, FREQ))
        CORE_TRY(core__config_layer_bits(r, FREQ, spec->n_l, sparse));
    CORE_TRY(core__config_layers(r, "mlp_layer_types", WORDS, spec->n_l, sparse,
                                 &listed));
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->ffn[l] = sparse[l] != 0 ? CORE_FFN_MOE : CORE_FFN_DENSE;
    if (core__config_has(r, FIRST)) {
        CORE_TRY(core__config_count_or(r, FIRST, 0, &n_dense));
        for (int l = 0; l < (int)spec->n_l; l++)
            CORE_FAIL_IF((spec->ffn[l] == CORE_FFN_DENSE) != (l < n_dense),
                         CORE_E_SPEC, "%s: %s %lld and %s: layer %d is %s",
                         r.where, FIRST, (long long)n_dense,
                         listed ? "mlp_layer_types" : FREQ, l,
                         WORDS[sparse[l]]);
    }
    return core__get_dense_inner(spec, r, "dense_intermediate_size");
}

static core_status get_networks(core_spec *spec, core__reader r)
{
    int64_t inner;
    const char *word;
    CORE_TRY(core__config_text(r, "hidden_act", "silu", &word));
    CORE_FAIL_IF(strcmp(word, "silu") != 0 && strcmp(word, "swigluoai") != 0,
                 CORE_E_SPEC,
                 "%s: hidden_act: '%s' is not supported, expected swigluoai or "
                 "silu",
                 r.where, word);
    spec->act = CORE_ACT_CLAMPED_SWIGLU;
    CORE_TRY(core__config_real(r, "swiglu_alpha", &spec->act_alpha));
    CORE_TRY(core__config_real(r, "swiglu_limit", &spec->act_limit));
    CORE_FAIL_IF(!(spec->act_alpha > 0.0 && spec->act_limit > 0.0), CORE_E_SPEC,
                 "%s: swiglu_alpha %g and swiglu_limit %g, expected positive "
                 "numbers",
                 r.where, spec->act_alpha, spec->act_limit);
    CORE_TRY(
        core__config_count_or(r, "moe_intermediate_size", spec->n_f, &inner));
    CORE_FAIL_IF(inner != spec->n_f, CORE_E_SPEC,
                 "%s: moe_intermediate_size %lld and intermediate_size %lld: "
                 "two sizes of one expert",
                 r.where, (long long)inner, (long long)spec->n_f);
    CORE_TRY(
        core__config_count(r, "shared_intermediate_size", &spec->n_f_shared));
    CORE_TRY(core__config_expect_count(r, "n_shared_experts", 1));
    return get_ffns(spec, r);
}

/* A size that the object and the class call otherwise. */
static core_status get_size(core__reader r, core__reader sparse,
                            const char *published, const char *flat,
                            int64_t *out)
{
    CORE_TRY(core__config_count(r, flat, out));
    return core__config_has(sparse, published)
               ? core__config_count(sparse, published, out)
               : CORE_OK;
}

static core_status get_sizes(core_spec *spec, core__reader r,
                             core__reader sparse)
{
    core_block_index *index = &spec->block_index;
    int64_t n_h;
    CORE_TRY(
        get_size(r, sparse, "sparse_num_index_heads", "index_n_heads", &n_h));
    CORE_FAIL_IF(
        n_h != spec->n_g, CORE_E_SPEC,
        "%s: sparse_num_index_heads %lld, expected num_key_value_heads "
        "%lld",
        r.where, (long long)n_h, (long long)spec->n_g);
    CORE_TRY(get_size(r, sparse, "sparse_index_dim", "index_head_dim",
                      &index->n_dh));
    CORE_TRY(get_size(r, sparse, "sparse_block_size", "index_block_size",
                      &index->n_key));
    CORE_TRY(get_size(r, sparse, "sparse_topk_blocks", "index_topk_blocks",
                      &spec->n_seen));
    return get_size(r, sparse, "sparse_local_block", "index_local_blocks",
                    &index->n_local);
}

/* The object's keys that have one value we know. */
static core_status expect_usual(const core_spec *spec, core__reader sparse)
{
    static const char WITHOUT[] = "sparse_disable_index_value";
    uint8_t bits[CORE_MAX_LAYERS];
    CORE_TRY(core__config_expect_flag(sparse, "use_sparse_attention", true));
    CORE_TRY(core__config_expect_count(sparse, "sparse_init_block", 0));
    CORE_TRY(core__config_expect(sparse, "sparse_score_type", "max"));
    if (!core__config_has(sparse, WITHOUT))
        return CORE_OK;
    CORE_TRY(core__config_layer_bits(sparse, WITHOUT, spec->n_l, bits));
    for (int l = 0; l < (int)spec->n_l; l++)
        CORE_FAIL_IF(spec->sight[l] != CORE_SIGHT_SPAN && bits[l] == 0,
                     CORE_E_SPEC, "%s: %s: layer %d: 0 is not supported",
                     sparse.where, WITHOUT, l);
    return CORE_OK;
}

/* By layer_types, else by sparse_attention_freq, else all keys everywhere. */
static core_status get_sights(core_spec *spec, core__reader r)
{
    static const char *const WORDS[] = {[CORE_SIGHT_SPAN] = "full_attention",
                                        [CORE_SIGHT_CHOSEN] =
                                            "minimax_m3_sparse",
                                        NULL};
    static const char FREQ[] = "sparse_attention_freq";
    core__reader sparse;
    bool listed, any = false;
    CORE_TRY(core__config_object(r, SPARSE, &sparse));
    if (core__config_has(sparse, FREQ))
        CORE_TRY(core__config_layer_bits(sparse, FREQ, spec->n_l, spec->sight));
    CORE_TRY(core__config_layers(r, "layer_types", WORDS, spec->n_l,
                                 spec->sight, &listed));
    CORE_TRY(get_sizes(spec, r, sparse));
    CORE_TRY(expect_usual(spec, sparse));
    for (int l = 0; l < (int)spec->n_l; l++)
        any = any || spec->sight[l] != CORE_SIGHT_SPAN;
    if (!any) {
        spec->block_index = (core_block_index){0, 0, 0};
        spec->n_seen = 0;
    }
    return CORE_OK;
}

static core_status add(core_spec *spec, core__reader r)
{
    spec->norm = CORE_NORM_RMS_PLUS_ONE;
    spec->qk_norm = CORE_QK_NORM_HEAD;
    CORE_TRY(core__config_expect_flag(r, "use_gemma_norm", true));
    CORE_TRY(core__config_expect(r, "qk_norm_type", "per_head"));
    CORE_TRY(core__config_expect_flag(r, "attention_output_gate", false));
    CORE_TRY(
        core__config_real(r, "routed_scaling_factor", &spec->routed_scale));
    CORE_TRY(core__get_minimax(spec, r));
    CORE_TRY(get_networks(spec, r));
    return get_sights(spec, r);
}

static const core__rename RENAMES[] = {
    {".block_sparse_moe.e_score", ".mlp.gate.e_score"},
    {".block_sparse_moe.", ".mlp."},
    {".self_attn.index_", ".self_attn.indexer."},
    CORE_RENAMES_END};

const core__family core__family_minimax_m3 = {
    .model_type = "minimax_m3",
    .also = "minimax_m3_vl_text",
    .published = "MiniMax-M3",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size" : 200064,
        "hidden_size" : 6144,
        "num_hidden_layers" : 60,
        "num_attention_heads" : 64,
        "num_key_value_heads" : 4,
        "num_experts_per_tok" : 4,
        "rms_norm_eps" : 1e-06,
        "rope_theta" : 5000000.0,
        "max_position_embeddings" : 524288,
        "num_local_experts" : 128,
        "intermediate_size" : 3072,
        "head_dim" : 128,
        "dense_intermediate_size" : 12288,
        "shared_intermediate_size" : 3072,
        "routed_scaling_factor" : 2.0,
        "swiglu_alpha" : 1.702,
        "swiglu_limit" : 7.0,
        "index_n_heads" : 4,
        "index_head_dim" : 128,
        "index_block_size" : 128,
        "index_topk_blocks" : 16,
        "index_local_blocks" : 1
    }),
    .ignores = "router_jitter_noise dense_intermediate_size",
    .add = add,
    .experts = "num_local_experts",
    .inner = "intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .partial_rope = true,
    .own_act = true,
    .own = core__minimax_places,
    .renames = RENAMES,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.block_sparse_moe.shared_experts.",
    .looks_ahead = true,
};
