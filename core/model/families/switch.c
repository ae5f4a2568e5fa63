/* core/model/families/switch.c -- one Switch feed-forward sub-layer, from
 * hidden_in.
 */
#include "core/model/families/family.h"

/* The first sparse block of the encoder: block i is sparse if the step is 1 or
 * i mod step is 1. */
static core_status get_switch_block(core__reader r, core_spec *spec)
{
    int64_t step, n_l, n_sparse;
    if (core__config_has(r, "encoder_sparse_step")) {
        CORE_TRY(core__config_count(r, "encoder_sparse_step", &step));
    } else {
        CORE_TRY(core__config_count(r, "num_layers", &n_l));
        CORE_TRY(core__config_count(r, "num_sparse_encoder_layers", &n_sparse));
        step = n_l / n_sparse;
    }
    spec->switch_block = step == 1 ? 0 : 1;
    return CORE_OK;
}

static core_status parse(core_spec *spec, core__reader r)
{
    spec->family = CORE_FAMILY_SWITCH;
    spec->n_l = 1;
    spec->n_k = 1;
    CORE_TRY(core__config_count(r, "d_model", &spec->n_d));
    CORE_TRY(core__config_count(r, "d_ff", &spec->n_f));
    CORE_TRY(core__config_count(r, "num_experts", &spec->n_e));
    CORE_TRY(
        core__config_count(r, "expert_capacity", &spec->capacity.absolute));
    CORE_TRY(core__config_real(r, "layer_norm_epsilon", &spec->norm_eps));
    CORE_TRY(get_switch_block(r, spec));
    CORE_TRY(core__config_act(r, "dense_act_fn", "relu", &spec->act));
    CORE_TRY(core__config_flag(r, "router_bias", false, &spec->bias_router));
    CORE_TRY(core__config_expect(r, "router_dtype", "float32"));
    CORE_TRY(core__config_refuse(r, "quantization_config"));
    spec->capacity.rule = CORE_CAPACITY_ABSOLUTE;
    spec->capacity.domain = CORE_DOMAIN_SEQUENCE;
    return CORE_OK;
}

static const core__place OWN[] = {
    {CORE_W_FFN_NORM, CORE_LAYOUT_VECTOR,
     "encoder.block.%d.layer.1.layer_norm.weight"},
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX,
     "encoder.block.%d.layer.1.mlp.router.classifier.weight"},
    {CORE_W_ROUTER_BIAS, CORE_LAYOUT_VECTOR,
     "encoder.block.%d.layer.1.mlp.router.classifier.bias"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_MATRIX,
     "encoder.block.%d.layer.1.mlp.experts.expert_%d.wi.weight"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_MATRIX,
     "encoder.block.%d.layer.1.mlp.experts.expert_%d.wo.weight"},
    CORE_PLACES_END};

const core__family core__family_switch = {
    .model_type = "switch_transformers",
    .published = "switch-base-8 and larger: one layer",
    .witness = "transformers 4.57",
    .defaults = CORE_JSON({
        "d_model": 768, "d_ff": 2048, "num_experts": 8, "expert_capacity": 64,
        "layer_norm_epsilon": 1e-06, "num_layers": 12,
        "num_sparse_encoder_layers": 3
    }),
    .ignores = "d_kv num_* vocab_size relative_attention_* n_positions "
               "feed_forward_proj is_gated_act tie_word_embeddings "
               "decoder_sparse_step router_* add_router_probs",
    .parse = parse,
    .own = OWN,
};
