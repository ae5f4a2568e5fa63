/* core/model/families/bailing_hybrid.c -- Ling 3: a delta rule in which every
 * row of a head's matrix decays by itself (KDA), latent attention with a gate on
 * every head between.
 *
 * Traps: gates and time steps of the delta rule have one matrix each; head_dim
 * is a head of the delta rule, but transformers 5 writes another number there,
 * and this one as linear_head_dim; decays are bounded below unless
 * kda_safe_gate says not; the head is never tied.
 */
#include "core/model/families/family.h"
#include "core/model/families/kimi.h"

static core_status get_delta_net(core_spec *spec, core__reader r)
{
    static const char OWN_SIZE[] = "linear_head_dim";
    core_deltanet *s = &spec->deltanet;
    bool bounded;
    const char *size = core__config_has(r, OWN_SIZE) ? OWN_SIZE : "head_dim";
    CORE_TRY(core__config_count(r, size, &s->n_dk));
    CORE_TRY(core__config_count(r, "short_conv_kernel_size", &s->n_conv));
    CORE_TRY(core__config_flag(r, "kda_safe_gate", true, &bounded));
    if (bounded)
        CORE_TRY(core__config_real(r, "kda_lower_bound", &s->floor));
    s->n_kh = s->n_vh = spec->n_h;
    s->n_dv = s->n_dk;
    s->by_row = s->sigmoid_gate = true;
    return core__get_mixers_by_period(spec, r, "layer_group_size");
}

static core_status add(core_spec *spec, core__reader r)
{
    CORE_TRY(core__expect_silu(spec, r, "the convolutions have"));
    spec->tied = false;
    spec->context_gate = spec->gate_per_head = true;
    spec->rope.interleaved = true;
    CORE_TRY(core__get_latent(spec, r));
    CORE_TRY(get_delta_net(spec, r));
    CORE_TRY(core__get_kimi_router(spec, r));
    return core__get_mlp_types(spec, r, 2);
}

#define ATTENTION "model.layers.%d.attention."

static const core__place OWN[] = {
    CORE_KDA_PLACES(ATTENTION)
    {CORE_W_DELTANET_GATE, CORE_LAYOUT_MATRIX, ATTENTION "g_proj.weight"},
    {CORE_W_DELTANET_DT, CORE_LAYOUT_MATRIX, ATTENTION "f_proj.weight"},
    {CORE_W_DELTANET_A_LOG, CORE_LAYOUT_VECTOR, ATTENTION "A_log"},
    {CORE_W_DELTANET_OUT, CORE_LAYOUT_MATRIX, ATTENTION "dense.weight"},
    {CORE_W_O, CORE_LAYOUT_MATRIX, ATTENTION "dense.weight"},
    {CORE_W_O_BIAS, CORE_LAYOUT_VECTOR, ATTENTION "dense.bias"},
    {CORE_W_EMBED, CORE_LAYOUT_MATRIX, "model.word_embeddings.weight"},
    {CORE_W_CORRECTION, CORE_LAYOUT_VECTOR,
     "model.layers.%d.mlp.gate.expert_bias"},
    CORE_PLACES_END};

const core__family core__family_bailing_hybrid = {
    .model_type = "bailing_hybrid",
    .published = "Ling-3.0-Flash",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 157184, "hidden_size": 2560, "num_hidden_layers": 42,
        "num_attention_heads": 32, "num_key_value_heads": 32,
        "num_experts_per_token": 8, "rms_norm_eps": 1e-06, "num_experts": 512,
        "intermediate_size": 6144, "moe_intermediate_size": 768,
        "num_shared_experts": 1, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "v_head_dim": 128, "head_dim": 128,
        "routed_scaling_factor": 2.5, "num_expert_group": 8, "topk_group": 4,
        "short_conv_kernel_size": 4, "layer_group_size": 6,
        "kda_lower_bound": -5.0, "rope_theta": 6000000.0,
        "max_position_embeddings": 262144
    }),
    .ignores = "head_dim qk_head_dim intermediate_size model_max_length "
               "linear_conv_kernel_dim linear_num_heads kda_lower_bound "
               "mtp_loss_scaling_factor",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .chosen = "num_experts_per_token",
    .head = CORE_HEAD_OF_PARTS,
    .own = OWN,
    .attention = ATTENTION,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_experts.",
    .looks_ahead = true,
};
