/* core/model/families/kimi_k3.c -- Kimi-K3, text: Kimi Linear with attention
 * residuals, experts of a width of their own, a bounded decay, gates on latent
 * attention and an activation of its own.
 *
 * No release of transformers has its class: this follows the publisher's own
 * modelling file as engines describe it, no second witness has computed it, and
 * a key that is absent has no class to ask.  Traps: the text part calls itself
 * kimi_linear; the gate of a delta net has one matrix, its time steps two; A_log
 * is as long as a head is, with zeros behind its entries; experts read and write
 * less than the router, the shared expert and the stream.
 */
#include "core/model/families/family.h"
#include "core/model/families/kimi.h"

static core_status get_delta_net(core_spec *spec, core__reader r)
{
    static const char BOUND[] = "gate_lower_bound";
    core_deltanet *s = &spec->deltanet;
    core__reader net;
    bool full_rank;
    CORE_TRY(core__config_object(r, "linear_attn_config", &net));
    CORE_TRY(
        core__config_flag(net, "use_full_rank_gate", false, &full_rank));
    if (full_rank)
        s->n_gate_rank = 0;
    return core__config_real(core__config_has(net, BOUND) ? net : r, BOUND,
                             &s->floor);
}

static core_status add(core_spec *spec, core__reader r)
{
    CORE_FAIL_IF(spec->act != CORE_ACT_SITU, CORE_E_SPEC,
                 "%s: hidden_act: expected situ", r.where);
    CORE_TRY(core__config_real(r, "activation_situ_beta", &spec->act_alpha));
    CORE_TRY(core__config_real(r, "activation_situ_linear_beta",
                               &spec->act_limit));
    CORE_TRY(core__get_kimi(spec, r));
    CORE_TRY(get_delta_net(spec, r));
    CORE_TRY(core__config_flag(r, "mla_use_output_gate", false,
                               &spec->context_gate));
    CORE_TRY(
        core__config_count(r, "routed_expert_hidden_size", &spec->n_de));
    CORE_TRY(
        core__config_flag(r, "latent_moe_use_norm", false, &spec->norm_de));
    return core__config_count(r, "attn_res_block_size",
                              &spec->attn_res.n_block);
}

static core_blocks blocks(const core_spec *spec, core_weight_kind kind)
{
    const core_deltanet *s = &spec->deltanet;
    if (kind == CORE_W_DELTANET_A_LOG && s->n_dk > s->n_vh)
        return (core_blocks){1, 0, s->n_dk};
    return (core_blocks){0, 0, 0};
}

static const core__place OWN[] = {
    CORE_KIMI_PLACES
    {CORE_W_DELTANET_GATE, CORE_LAYOUT_MATRIX, CORE_KIMI_ATTN "g_proj.weight"},
    {CORE_W_DELTANET_A_LOG, CORE_LAYOUT_VECTOR, CORE_KIMI_ATTN "A_log"},
    {CORE_W_NARROW, CORE_LAYOUT_MATRIX,
     CORE_KIMI_MOE "routed_expert_down_proj.weight"},
    {CORE_W_WIDE_NORM, CORE_LAYOUT_VECTOR,
     CORE_KIMI_MOE "routed_expert_norm.weight"},
    {CORE_W_WIDE, CORE_LAYOUT_MATRIX,
     CORE_KIMI_MOE "routed_expert_up_proj.weight"},
    CORE_PLACES_END};

const core__family core__family_kimi_k3 = {
    .model_type = "kimi_k3_text",
    .published = "Kimi-K3",
    .defaults = CORE_JSON({
        "vocab_size": 163840, "hidden_size": 7168, "num_hidden_layers": 93,
        "num_attention_heads": 96, "num_key_value_heads": 96,
        "num_experts_per_token": 16, "rms_norm_eps": 1e-05, "num_experts": 896,
        "intermediate_size": 33792, "moe_intermediate_size": 3072,
        "num_shared_experts": 2, "kv_lora_rank": 512, "q_lora_rank": 1536,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
        "routed_scaling_factor": 1.0, "num_expert_group": 1, "topk_group": 1,
        "linear_num_heads": 96, "linear_head_dim": 128,
        "linear_conv_kernel_dim": 4, "hidden_act": "situ",
        "activation_situ_beta": 4.0, "activation_situ_linear_beta": 25.0,
        "gate_lower_bound": -5.0, "routed_expert_hidden_size": 3584,
        "attn_res_block_size": 12
    }),
    .ignores = "head_dim qk_head_dim intermediate_size model_max_length "
               "rope_theta linear_conv_kernel_dim linear_head_dim "
               "linear_num_heads",
    .add = add,
    .experts = "num_experts",
    .inner = "moe_intermediate_size",
    .chosen = "num_experts_per_token",
    .act = "hidden_act",
    .head = CORE_HEAD_OF_PARTS,
    .no_rope = true,
    .own = OWN,
    .blocks = blocks,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.block_sparse_moe.shared_experts.",
    .looks_ahead = true,
};
