/* core/model/families/deepseek_v2.c -- DeepSeek-V2: latents, softmax router in
 * groups.
 *
 * Traps: head_dim of a DeepSeek file is the rotated part, not the head; the
 * classes ignore norm_topk_prob.
 */
#include "core/model/families/family.h"

#include <string.h>

static core_status add(core_spec *spec, core__reader r)
{
    const char *method;
    CORE_TRY(core__get_latent(spec, r));
    spec->rope.interleaved = true;
    CORE_TRY(core__config_expect(r, "scoring_func", "softmax"));
    CORE_TRY(core__config_text(r, "topk_method", "greedy", &method));
    if (strcmp(method, "group_limited_greedy") == 0)
        CORE_TRY(core__get_groups(spec, r));
    else
        CORE_TRY(core__config_expect(r, "topk_method", "greedy"));
    CORE_TRY(core__config_expect_flag(r, "norm_topk_prob", false));
    CORE_TRY(
        core__config_real(r, "routed_scaling_factor", &spec->routed_scale));
    return core__get_first_dense(spec, r);
}

const core__family core__family_deepseek_v2 = {
    .model_type = "deepseek_v2",
    .published = "DeepSeek-V2, DeepSeek-V2-Lite",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 102400, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0, "max_position_embeddings": 2048,
        "n_routed_experts": 64, "intermediate_size": 11008,
        "moe_intermediate_size": 1407, "first_k_dense_replace": 0,
        "n_shared_experts": 2, "kv_lora_rank": 512, "q_lora_rank": 1536,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "routed_scaling_factor": 1.0
    }),
    .ignores = "head_dim qk_head_dim intermediate_size n_group "
               "topk_group",
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_PARTS,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
};
