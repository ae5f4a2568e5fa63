/* core/model/families/granitemoe.c -- Granite-MoE: scaled embedding, residual
 * and logits.
 *
 * Trap: gate and up of all experts are one tensor, one above the other.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__config_expect(r, "position_embedding_type", "rope"));
    return core__get_granite(spec, r);
}

static const core__place OWN[] = {
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX,
     "model.layers.%d.block_sparse_moe.router.layer.weight"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_E_TOP,
     "model.layers.%d.block_sparse_moe.input_linear.weight"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_E_BOTTOM,
     "model.layers.%d.block_sparse_moe.input_linear.weight"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_E_OUT_IN,
     "model.layers.%d.block_sparse_moe.output_linear.weight"},
    CORE_PLACES_END};

static const core__rename RENAMES[] = {{".router.layer.", ".router."},
                                       CORE_RENAMES_END};

const core__family core__family_granitemoe = {
    .model_type = "granitemoe",
    .published = "granite-3.0-3b-a800m",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_experts_per_tok": 2,
        "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
        "max_position_embeddings": 2048, "num_local_experts": 8,
        "intermediate_size": 11008, "attention_multiplier": 1.0,
        "embedding_multiplier": 1.0, "residual_multiplier": 1.0,
        "logits_scaling": 1.0
    }),
    .add = add,
    .experts = "num_local_experts",
    .inner = "intermediate_size",
    .head = CORE_HEAD_OF_WIDTH,
    .own = OWN,
    .renames = RENAMES,
};
