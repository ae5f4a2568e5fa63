/* core/model/families/hunyuan_v1_moe.c -- Hunyuan-A13B: norms of queries and
 * keys after rope, one shared expert as large as a routed one.
 *
 * Trap: its dynamic rope has an alpha and knows no length: it is another theta.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    spec->qk_norm = CORE_QK_NORM_AFTER;
    spec->renormalise = true;
    spec->n_f_shared = spec->n_f;
    CORE_TRY(core__config_expect_flag(r, "use_qk_norm", true));
    CORE_TRY(core__config_expect_flag(r, "use_mixed_mlp_moe", true));
    CORE_TRY(core__config_expect_flag(r, "use_cla", false));
    CORE_TRY(core__config_expect_flag(r, "mlp_bias", false));
    return core__get_attention_bias(spec, r, "attention_bias", false, true);
}

static const core__place OWN[] = {
    {CORE_W_Q_NORM, CORE_LAYOUT_VECTOR,
     "model.layers.%d.self_attn.query_layernorm.weight"},
    {CORE_W_K_NORM, CORE_LAYOUT_VECTOR,
     "model.layers.%d.self_attn.key_layernorm.weight"},
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX, "model.layers.%d.mlp.gate.wg.weight"},
    CORE_PLACES_END};

const core__family core__family_hunyuan_v1_moe = {
    .model_type = "hunyuan_v1_moe",
    .published = "Hunyuan-A13B",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 290943, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_experts": 1, "moe_topk": 1,
        "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
        "max_position_embeddings": 2048, "intermediate_size": 11008
    }),
    .ignores = "eod_token_id moe_drop_tokens moe_random_routing_dropped_token",
    .add = add,
    .experts = "num_experts",
    .chosen = "moe_topk",
    .inner = "intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .alpha_rope = true,
    .own = OWN,
    .shared = "model.layers.%d.mlp.shared_mlp.",
};
