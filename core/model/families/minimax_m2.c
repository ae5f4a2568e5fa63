/* core/model/families/minimax_m2.c -- MiniMax-M2: one norm over all heads, part
 * of a head rotated, a sigmoid router with a correction.
 *
 * Trap: files say the rotated part in elements, rotary_dim.
 */
#include "core/model/families/family.h"

core_status core__get_minimax(core_spec *spec, core__reader r)
{
    spec->router = CORE_ROUTER_SIGMOID;
    spec->correction = spec->renormalise = true;
    CORE_TRY(core__config_expect_flag(r, "use_qk_norm", true));
    CORE_TRY(core__config_expect(r, "scoring_func", "sigmoid"));
    CORE_TRY(core__config_expect_flag(r, "use_routing_bias", true));
    return core__get_rotary_dim(spec, r);
}

static core_status add(core_spec *spec, core__reader r)
{
    int64_t further;
    spec->qk_norm = CORE_QK_NORM_ALL;
    CORE_TRY(core__config_expect(r, "qk_norm_type", "per_layer"));
    CORE_TRY(core__config_count_or(r, "shared_intermediate_size", 0, &further));
    CORE_FAIL_IF(further != 0, CORE_E_SPEC,
                 "%s: shared_intermediate_size: %lld is not supported, "
                 "expected 0",
                 r.where, (long long)further);
    CORE_TRY(core__config_expect_ones(r, "attn_type_list"));
    return core__get_minimax(spec, r);
}

const core__place core__minimax_places[] = {
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX,
     "model.layers.%d.block_sparse_moe.gate.weight"},
    {CORE_W_CORRECTION, CORE_LAYOUT_VECTOR,
     "model.layers.%d.block_sparse_moe.e_score_correction_bias"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_MATRIX,
     "model.layers.%d.block_sparse_moe.experts.%d.w1.weight"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_MATRIX,
     "model.layers.%d.block_sparse_moe.experts.%d.w3.weight"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_MATRIX,
     "model.layers.%d.block_sparse_moe.experts.%d.w2.weight"},
    CORE_PLACES_END};
static const core__rename RENAMES[] = {{".block_sparse_moe.", ".mlp."},
                                       CORE_RENAMES_END};

const core__family core__family_minimax_m2 = {
    .model_type = "minimax_m2",
    .published = "MiniMax-M2, MiniMax-M2.5, MiniMax-M2.7",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 200064, "hidden_size": 3072, "num_hidden_layers": 62,
        "num_attention_heads": 48, "num_key_value_heads": 8,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-06,
        "rope_theta": 5000000.0, "max_position_embeddings": 196608,
        "num_local_experts": 256, "intermediate_size": 1536, "head_dim": 128
    }),
    .ignores = "mtp_transformer_layers use_mtp router_jitter_noise",
    .add = add,
    .experts = "num_local_experts",
    .inner = "intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .partial_rope = true,
    .own = core__minimax_places,
    .renames = RENAMES,
    .looks_ahead = true,
};
