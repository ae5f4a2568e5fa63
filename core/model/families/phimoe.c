/* core/model/families/phimoe.c -- PhiMoE: LayerNorm, sparsemixer. */
#include "core/model/families/family.h"

static core_status add(core_spec *spec, core__reader r)
{
    spec->norm = CORE_NORM_LAYER;
    spec->router = CORE_ROUTER_SPARSEMIXER;
    CORE_TRY(core__config_real(r, "router_jitter_noise", &spec->jitter));
    CORE_TRY(core__config_flag(r, "lm_head_bias", false, &spec->bias_head));
    CORE_TRY(core__get_attention_bias(spec, r, "attention_bias", false, true));
    return core__get_window(spec, r);
}

static const core__rename RENAMES[] = {
    {".block_sparse_moe.gate.", ".mlp.router."},
    {".block_sparse_moe.", ".mlp."},
    CORE_RENAMES_END};

const core__family core__family_phimoe = {
    .model_type = "phimoe",
    .published = "Phi-3.5-MoE",
    .witness = "transformers 4.57, 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 32064, "hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8,
        "num_experts_per_tok": 2, "rms_norm_eps": 1e-05,
        "rope_theta": 1000000.0, "max_position_embeddings": 131072,
        "num_local_experts": 16, "intermediate_size": 6400,
        "router_jitter_noise": 0.01
    }),
    .ignores = "input_jitter_noise original_max_position_embeddings",
    .add = add,
    .experts = "num_local_experts",
    .inner = "intermediate_size",
    .head = CORE_HEAD_OF_WIDTH,
    .own = core__mixtral_places,
    .renames = RENAMES,
};
