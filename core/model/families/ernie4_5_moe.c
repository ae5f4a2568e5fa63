/* core/model/families/ernie4_5_moe.c -- ERNIE 4.5: interleaved rope, a softmax
 * router with a correction.
 */
#include "core/model/families/family.h"

static core_status get_layers(core_spec *spec, core__reader r)
{
    int64_t first, step, last = spec->n_l - 1;
    double end;
    CORE_TRY(core__config_count_or(r, "moe_layer_start_index", 1, &first));
    CORE_TRY(core__config_count(r, "moe_layer_interval", &step));
    CORE_TRY(core__config_real_or(r, "moe_layer_end_index", -1.0, &end));
    if (end != -1.0) /* as the class writes the last layer */
        CORE_TRY(core__config_count_or(r, "moe_layer_end_index", 0, &last));
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->ffn[l] = (l + 1) % step == 0 && l >= first && l <= last
                           ? CORE_FFN_MOE
                           : CORE_FFN_DENSE;
    return core__get_dense_inner(spec, r, "intermediate_size");
}

static core_status add(core_spec *spec, core__reader r)
{
    spec->rope.interleaved = true;
    spec->correction = spec->renormalise = true;
    CORE_TRY(core__config_flag(r, "use_bias", false, &spec->bias_mlp));
    spec->bias_qkv = spec->bias_o = spec->bias_head = spec->bias_mlp;
    CORE_TRY(core__config_real_or(r, "moe_norm_min", 1e-12, &spec->sum_floor));
    CORE_TRY(core__config_expect_flag(r, "moe_use_aux_free", true));
    CORE_TRY(core__get_shared_count(spec, r, "moe_num_shared_experts"));
    return get_layers(spec, r);
}

static const core__place OWN[] = {
    {CORE_W_CORRECTION, CORE_LAYOUT_MATRIX,
     "model.layers.%d.mlp.moe_statics.e_score_correction_bias"},
    CORE_PLACES_END};

const core__family core__family_ernie4_5_moe = {
    .model_type = "ernie4_5_moe",
    .published = "ERNIE-4.5-21B-A3B, ERNIE-4.5-300B-A47B",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 103424, "hidden_size": 2560, "num_hidden_layers": 28,
        "num_attention_heads": 20, "num_key_value_heads": 4,
        "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
        "max_position_embeddings": 131072, "moe_num_experts": 64,
        "moe_intermediate_size": 1536, "intermediate_size": 12288, "moe_k": 6,
        "moe_num_shared_experts": 2, "moe_layer_interval": 1
    }),
    .ignores = "intermediate_size moe_capacity moe_gate "
               "moe_*_loss* compression_ratio",
    .add = add,
    .experts = "moe_num_experts",
    .chosen = "moe_k",
    .inner = "moe_intermediate_size",
    .head = CORE_HEAD_OF_KEY,
    .own = OWN,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
    .looks_ahead = true,
};
