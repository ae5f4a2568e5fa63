/* core/model/families/mixtral.c -- Mixtral.
 *
 * Trap: an expert's matrices are w1 (gate), w3 (up) and w2 (down).
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    spec->renormalise = true;
    return core__get_window(spec, r);
}

const core__place core__mixtral_places[] = {
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX,
     "model.layers.%d.block_sparse_moe.gate.weight"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_MATRIX,
     "model.layers.%d.block_sparse_moe.experts.%d.w1.weight"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_MATRIX,
     "model.layers.%d.block_sparse_moe.experts.%d.w3.weight"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_MATRIX,
     "model.layers.%d.block_sparse_moe.experts.%d.w2.weight"},
    CORE_PLACES_END};

static const core__rename RENAMES[] = {{".block_sparse_moe.", ".mlp."},
                                       CORE_RENAMES_END};

const core__family core__family_mixtral = {
    .model_type = "mixtral",
    .published = "Mixtral-8x7B, Mixtral-8x22B",
    .witness = "transformers 4.57",
    .defaults = CORE_JSON({
        "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8,
        "num_experts_per_tok": 2, "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0, "max_position_embeddings": 131072,
        "num_local_experts": 8, "intermediate_size": 14336
    }),
    .ignores = "router_jitter_noise",
    .add = add,
    .experts = "num_local_experts",
    .inner = "intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .own = core__mixtral_places,
    .renames = RENAMES,
};
