/* core/model/families/deepseek_v32.c -- DeepSeek-V3.2: DeepSeek-V3 whose heads
 * attend to the keys that an indexer chooses.
 *
 * Trap: the heads' rotation turns neighbours, the indexer's turns halves.
 */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    static const char *const TYPES[] = {"indexed_attention", NULL};
    return core__get_v32(spec, r, TYPES, false);
}

const core__family core__family_deepseek_v32 = {
    .model_type = "deepseek_v32",
    .published = "DeepSeek-V3.2",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 129280, "hidden_size": 7168, "num_hidden_layers": 61,
        "num_attention_heads": 128, "num_key_value_heads": 128,
        "num_experts_per_tok": 8, "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
        "max_position_embeddings": 163840, "n_routed_experts": 256,
        "intermediate_size": 18432, "moe_intermediate_size": 2048,
        "n_shared_experts": 1, "kv_lora_rank": 512, "q_lora_rank": 1536,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "routed_scaling_factor": 2.5, "n_group": 8, "topk_group": 4,
        "index_topk": 2048, "index_head_dim": 128, "index_n_heads": 64
    }),
    .ignores = "head_dim qk_head_dim intermediate_size topk_group",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_PARTS,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
    .looks_ahead = true,
};
