/* core/model/families/glm_moe_dsa.c -- GLM-5: latents and an indexer as in
 * DeepSeek-V3.2, but layers may take over the choice of a layer before.
 *
 * Traps: the indexer's rotation turns neighbours, as the heads' does; which
 * layers choose stands in a list, else in a string of letters, else it follows
 * from a period and its beginning.
 */
#include "core/model/families/family.h"

#include <string.h>

/* "F" and "S", a letter for each layer. */
static core_status read_pattern(core_spec *spec, core__reader r)
{
    static const char KEY[] = "index_topk_pattern";
    const char *letters;
    CORE_TRY(core__config_text(r, KEY, NULL, &letters));
    CORE_FAIL_IF((int64_t)strlen(letters) != spec->n_l ||
                     strspn(letters, "FS") != strlen(letters),
                 CORE_E_SPEC,
                 "%s: %s: '%s', expected F or S for each of %lld layers",
                 r.where, KEY, letters, (long long)spec->n_l);
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->sight[l] =
            letters[l] == 'F' ? CORE_SIGHT_CHOSEN : CORE_SIGHT_KEPT;
    return CORE_OK;
}

static core_status read_period(core_spec *spec, core__reader r)
{
    int64_t period, begin;
    CORE_TRY(core__config_count_or(r, "index_topk_freq", 1, &period));
    CORE_TRY(core__config_count_or(r, "index_skip_topk_offset", 2, &begin));
    period = period > 0 ? period : 1;
    for (int l = 0; l < (int)spec->n_l; l++) {
        const int64_t i = l + 1 > begin ? l + 1 - begin : 0;
        spec->sight[l] =
            i % period == 0 ? CORE_SIGHT_CHOSEN : CORE_SIGHT_KEPT;
    }
    return CORE_OK;
}

/* Which layers choose, and which keep a choice. */
static core_status get_sights(core_spec *spec, core__reader r)
{
    static const char *const WORDS[] = {"full", "shared", NULL};
    uint8_t keeps[CORE_MAX_LAYERS];
    bool listed;
    CORE_TRY(core__config_layers(r, "indexer_types", WORDS, spec->n_l, keeps,
                                 &listed));
    for (int l = 0; listed && l < (int)spec->n_l; l++)
        spec->sight[l] = keeps[l] != 0 ? CORE_SIGHT_KEPT : CORE_SIGHT_CHOSEN;
    if (listed)
        return CORE_OK;
    return core__config_has(r, "index_topk_pattern") ? read_pattern(spec, r)
                                                     : read_period(spec, r);
}

static core_status add(core_spec *spec, core__reader r)
{
    static const char *const TYPES[] = {"deepseek_sparse_attention",
                                        "indexed_attention", NULL};
    CORE_TRY(core__config_expect_flag(r, "indexer_rope_interleave", true));
    CORE_TRY(core__get_v32(spec, r, TYPES, true));
    return get_sights(spec, r);
}

const core__family core__family_glm_moe_dsa = {
    .model_type = "glm_moe_dsa",
    .published = "GLM-5, GLM-5.1, GLM-5.2",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 154880, "hidden_size": 6144, "num_hidden_layers": 78,
        "num_attention_heads": 64, "num_key_value_heads": 64,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "max_position_embeddings": 202752, "n_routed_experts": 256,
        "intermediate_size": 12288, "moe_intermediate_size": 2048,
        "n_shared_experts": 1, "kv_lora_rank": 512, "q_lora_rank": 2048,
        "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "v_head_dim": 256,
        "routed_scaling_factor": 2.5, "n_group": 1, "topk_group": 1,
        "index_topk": 2048, "index_head_dim": 128, "index_n_heads": 32
    }),
    .ignores = "head_dim qk_head_dim intermediate_size topk_group "
               "index_topk_freq index_skip_topk_offset index_topk_pattern "
               "index_share_for_mtp_iteration moe_router_dtype",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_PARTS,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
    .looks_ahead = true,
};
