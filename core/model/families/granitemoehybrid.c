/* core/model/families/granitemoehybrid.c -- Granite-4: Granite-MoE's scales, a
 * state space in most layers, a shared expert.
 *
 * Traps: no positions unless the file says rope; gate and up of the shared
 * expert are one tensor, as are those of all experts.
 */
#include "core/model/families/family.h"

#include <string.h>

static core_status get_layers(core_spec *spec, core__reader r)
{
    static const char *const WORDS[] = {"linear_attention", "full_attention",
                                        "mamba", "attention", NULL};
    bool found;
    CORE_TRY(core__config_layers(r, "layer_types", WORDS, spec->n_l,
                                 spec->mixer, &found));
    if (!found)
        CORE_TRY(core__config_layers(r, "layers_block_type", WORDS, spec->n_l,
                                     spec->mixer, &found));
    for (int l = 0; l < (int)spec->n_l; l++)
        spec->mixer[l] = found && spec->mixer[l] % 2 == 1 ? CORE_MIXER_ATTENTION
                                                          : CORE_MIXER_SSD;
    return CORE_OK;
}

/* A limit may be infinite: a text (JSON knows none), or a text in an object, as
 * transformers 5 writes it; 0 here.                                          */
static core_status get_limit(core__reader r, const json_t *limit, double *out)
{
    if (json_is_object(limit))
        limit = json_object_get(limit, "__float__");
    const char *text = json_string_value(limit);
    const bool is_infinite = text != NULL && strcmp(text, "Infinity") == 0;
    CORE_FAIL_IF(!json_is_number(limit) && !is_infinite, CORE_E_SPEC,
                 "%s: time_step_limit: expected two numbers", r.where);
    *out = is_infinite ? 0.0 : json_number_value(limit);
    return CORE_OK;
}

static core_status get_limits(core_spec *spec, core__reader r)
{
    const json_t *limits = core__config_value(r, "time_step_limit");
    if (limits == NULL)
        return CORE_OK;
    CORE_FAIL_IF(json_array_size(limits) != 2, CORE_E_SPEC,
                 "%s: time_step_limit: expected two numbers", r.where);
    CORE_TRY(get_limit(r, json_array_get(limits, 0), &spec->ssd.least));
    return get_limit(r, json_array_get(limits, 1), &spec->ssd.most);
}

static core_status get_state_space(core_spec *spec, core__reader r)
{
    core_ssd *s = &spec->ssd;
    int64_t expand;
    const json_t *size = core__config_value(r, "mamba_d_head");
    CORE_TRY(core__config_count(r, "mamba_expand", &expand));
    CORE_TRY(core__config_count(r, "mamba_n_heads", &s->n_h));
    if (json_is_string(size) && strcmp(json_string_value(size), "auto") == 0)
        s->n_p = expand * spec->n_d / s->n_h;
    else
        CORE_TRY(core__config_count(r, "mamba_d_head", &s->n_p));
    CORE_FAIL_IF(s->n_h * s->n_p != expand * spec->n_d, CORE_E_SPEC,
                 "%s: mamba_n_heads %lld times mamba_d_head %lld, expected "
                 "mamba_expand %lld times hidden_size %lld",
                 r.where, (long long)s->n_h, (long long)s->n_p,
                 (long long)expand, (long long)spec->n_d);
    CORE_TRY(core__config_count(r, "mamba_d_state", &s->n_s));
    CORE_TRY(core__config_count(r, "mamba_n_groups", &s->n_g));
    CORE_TRY(core__config_count(r, "mamba_d_conv", &s->n_conv));
    CORE_TRY(core__config_flag(r, "mamba_conv_bias", true, &s->bias_conv));
    CORE_TRY(core__config_flag(r, "mamba_proj_bias", false, &s->bias_proj));
    return get_limits(spec, r);
}

static core_status add(core_spec *spec, core__reader r)
{
    const char *positions;
    CORE_TRY(core__expect_silu(spec, r, "the state space has"));
    CORE_TRY(core__config_expect(r, "normalization_function", "rmsnorm"));
    CORE_TRY(core__config_text(r, "position_embedding_type", "", &positions));
    if (strcmp(positions, "rope") != 0)
        memset(spec->no_rope, 1, (size_t)spec->n_l);
    CORE_TRY(get_layers(spec, r));
    CORE_TRY(get_state_space(spec, r));
    CORE_TRY(core__config_count(r, "shared_intermediate_size",
                                &spec->n_f_shared));
    return core__get_granite(spec, r);
}

#define EXPERTS "model.layers.%d.block_sparse_moe."

static const core__place OWN[] = {
    {CORE_W_ROUTER, CORE_LAYOUT_MATRIX, EXPERTS "router.layer.weight"},
    {CORE_W_EXPERT_GATE, CORE_LAYOUT_E_TOP, EXPERTS "input_linear.weight"},
    {CORE_W_EXPERT_UP, CORE_LAYOUT_E_BOTTOM, EXPERTS "input_linear.weight"},
    {CORE_W_EXPERT_DOWN, CORE_LAYOUT_E_OUT_IN, EXPERTS "output_linear.weight"},
    {CORE_W_MLP_GATE, CORE_LAYOUT_FIRST_ROWS, "input_linear.weight"},
    {CORE_W_MLP_UP, CORE_LAYOUT_LAST_ROWS, "input_linear.weight"},
    {CORE_W_MLP_DOWN, CORE_LAYOUT_MATRIX, "output_linear.weight"},
    CORE_PLACES_END};

static const core__rename RENAMES[] = {{".router.layer.", ".router."},
                                       CORE_RENAMES_END};

const core__family core__family_granitemoehybrid = {
    .model_type = "granitemoehybrid",
    .published = "granite-4.0-h-tiny, granite-4.0-h-small",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008,
        "num_hidden_layers": 32, "num_attention_heads": 32,
        "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
        "max_position_embeddings": 2048, "num_local_experts": 8,
        "num_experts_per_tok": 2, "attention_multiplier": 1.0,
        "embedding_multiplier": 1.0, "residual_multiplier": 1.0,
        "logits_scaling": 1.0, "shared_intermediate_size": 1024,
        "mamba_n_heads": 128, "mamba_n_groups": 1, "mamba_d_state": 256,
        "mamba_d_head": "auto", "mamba_d_conv": 4, "mamba_expand": 2
    }),
    .ignores = "mamba_chunk_size init_method",
    .add = add,
    .experts = "num_local_experts",
    .inner = "intermediate_size",
    .head = CORE_HEAD_OF_WIDTH,
    .own = OWN,
    .blocks = core__blocks_of_ssd,
    .renames = RENAMES,
    .shared = "model.layers.%d.shared_mlp.",
};
