/* core/model/families/nemotron_h.c -- Nemotron-H and Nemotron-3: layers of one
 * part each, a state space, attention without positions, an MLP or experts.
 *
 * Which part is said by a list of words or a string of letters; both may be
 * there, and then the list counts, however many layers the file says there are.
 * Traps: both projections of the state space have the bias that use_bias says,
 * whatever mamba_proj_bias is; mlp_bias is that of everything in a feed-forward
 * part but the experts; the least time step is time_step_min, and there is no
 * largest: time_step_limit has no effect (the publisher's code has it the other
 * way round).
 */
#include "core/model/families/family.h"

#include <string.h>

static const struct {
    char letter;
    const char *word, *older;
    uint8_t mixer, ffn;
} PARTS[] = {
    {'M', "linear_attention", "mamba", CORE_MIXER_SSD, CORE_FFN_NONE},
    {'*', "full_attention", "attention", CORE_MIXER_ATTENTION, CORE_FFN_NONE},
    {'-', "mlp", "mlp", CORE_N_MIXERS, CORE_FFN_DENSE},
    {'E', "moe", "moe", CORE_N_MIXERS, CORE_FFN_MOE},
};
enum { N_PARTS = sizeof PARTS / sizeof PARTS[0] };

/* A layer's part by its letter, or by its word where that is not NULL. */
static core_status add_layer(core_spec *spec, core__reader r, const char *key,
                             char letter, const char *word)
{
    const int l = (int)spec->n_l;
    int i = 0;
    while (i < N_PARTS && (word == NULL ? PARTS[i].letter != letter
                                        : strcmp(PARTS[i].word, word) != 0 &&
                                              strcmp(PARTS[i].older, word) != 0))
        i++;
    CORE_FAIL_IF(i == N_PARTS && word == NULL, CORE_E_SPEC,
                 "%s: %s: letter %d is '%c', expected M, *, - or E", r.where,
                 key, l + 1, letter);
    CORE_FAIL_IF(i == N_PARTS, CORE_E_SPEC,
                 "%s: %s: layer %d is '%s', expected mamba, attention, mlp or "
                 "moe",
                 r.where, key, l, word);
    CORE_FAIL_IF(l == CORE_MAX_LAYERS, CORE_E_SPEC,
                 "%s: %s: more than %d layers", r.where, key, CORE_MAX_LAYERS);
    spec->mixer[l] = PARTS[i].mixer;
    spec->ffn[l] = PARTS[i].ffn;
    spec->n_l++;
    return CORE_OK;
}

static core_status get_layers(core_spec *spec, core__reader r)
{
    static const char LETTERS[] = "hybrid_override_pattern";
    const char *key = core__config_value(r, "layer_types") != NULL
                          ? "layer_types"
                          : "layers_block_type";
    const json_t *list = core__config_value(r, key);
    const json_t *letters = core__config_value(r, LETTERS);
    const char *text = letters != NULL ? json_string_value(letters) : "";
    (void)core__config_value(r, "num_hidden_layers");
    CORE_FAIL_IF(text == NULL, CORE_E_SPEC, "%s: %s: expected a string",
                 r.where, LETTERS);
    CORE_FAIL_IF(list != NULL && !json_is_array(list), CORE_E_SPEC,
                 "%s: %s: expected a list", r.where, key);
    CORE_FAIL_IF(list == NULL && text[0] == '\0', CORE_E_SPEC,
                 "%s: layers_block_type: missing, and no %s", r.where, LETTERS);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        CORE_TRY(add_layer(spec, r, key, ' ', word != NULL ? word : ""));
    }
    for (; list == NULL && *text != '\0'; text++)
        CORE_TRY(add_layer(spec, r, LETTERS, *text, NULL));
    return CORE_OK;
}

static core_status get_state_space(core_spec *spec, core__reader r)
{
    core_ssd *s = &spec->ssd;
    CORE_TRY(core__config_count(r, "mamba_num_heads", &s->n_h));
    CORE_TRY(core__config_count(r, "mamba_head_dim", &s->n_p));
    CORE_TRY(core__config_count(r, "ssm_state_size", &s->n_s));
    CORE_TRY(core__config_count(r, "n_groups", &s->n_g));
    CORE_TRY(core__config_count(r, "conv_kernel", &s->n_conv));
    CORE_TRY(core__config_flag(r, "use_conv_bias", true, &s->bias_conv));
    CORE_TRY(core__config_flag(r, "use_bias", false, &s->bias_proj));
    CORE_TRY(core__config_expect(r, "mamba_hidden_act", "silu"));
    return core__config_real_or(r, "time_step_min", 0.001, &s->least);
}

static core_status add(core_spec *spec, core__reader r)
{
    int64_t n_shared;
    spec->gated = false;
    memset(spec->no_rope, 1, (size_t)spec->n_l);
    CORE_TRY(core__config_refuse(r, "sliding_window"));
    CORE_TRY(core__config_expect_flag(r, "attention_bias", false));
    CORE_TRY(core__config_expect_flag(r, "residual_in_fp32", false));
    CORE_TRY(get_state_space(spec, r));
    CORE_TRY(core__get_v3_router(spec, r, true));
    CORE_TRY(core__config_count_or(r, "n_shared_experts", 1, &n_shared));
    CORE_FAIL_IF(n_shared != 1, CORE_E_SPEC,
                 "%s: n_shared_experts: %lld, expected 1", r.where,
                 (long long)n_shared);
    CORE_TRY(core__config_count(r, "moe_shared_expert_intermediate_size",
                                &spec->n_f_shared));
    CORE_TRY(core__config_count_or(r, "moe_latent_size", 0, &spec->n_de));
    CORE_TRY(core__config_flag(r, "mlp_bias", false, &spec->bias_mlp));
    return core__get_dense_inner(spec, r, "intermediate_size");
}

#define MIXER(name) "backbone.layers.%d.mixer." name
#define MATRIX(name) CORE_LAYOUT_MATRIX, MIXER(name)
#define VECTOR(name) CORE_LAYOUT_VECTOR, MIXER(name)

static const core__place OWN[] = {
    {CORE_W_EMBED, CORE_LAYOUT_MATRIX, "backbone.embeddings.weight"},
    {CORE_W_ATTN_NORM, CORE_LAYOUT_VECTOR, "backbone.layers.%d.norm.weight"},
    {CORE_W_FFN_NORM, CORE_LAYOUT_VECTOR, "backbone.layers.%d.norm.weight"},
    {CORE_W_Q, MATRIX("q_proj.weight")},
    {CORE_W_K, MATRIX("k_proj.weight")},
    {CORE_W_V, MATRIX("v_proj.weight")},
    {CORE_W_O, MATRIX("o_proj.weight")},
    {CORE_W_SSD_GATE, MATRIX("in_proj.weight")},
    {CORE_W_SSD_XBC, MATRIX("in_proj.weight")},
    {CORE_W_SSD_DT, MATRIX("in_proj.weight")},
    {CORE_W_SSD_GATE_BIAS, VECTOR("in_proj.bias")},
    {CORE_W_SSD_XBC_BIAS, VECTOR("in_proj.bias")},
    {CORE_W_SSD_DT_BIAS, VECTOR("in_proj.bias")},
    {CORE_W_SSD_CONV, CORE_LAYOUT_CONV, MIXER("conv1d.weight")},
    {CORE_W_SSD_CONV_BIAS, VECTOR("conv1d.bias")},
    {CORE_W_SSD_STEP, VECTOR("dt_bias")},
    {CORE_W_SSD_A_LOG, VECTOR("A_log")},
    {CORE_W_SSD_D, VECTOR("D")},
    {CORE_W_SSD_NORM, VECTOR("norm.weight")},
    {CORE_W_SSD_OUT, MATRIX("out_proj.weight")},
    {CORE_W_SSD_OUT_BIAS, VECTOR("out_proj.bias")},
    {CORE_W_ROUTER, MATRIX("gate.weight")},
    {CORE_W_CORRECTION, VECTOR("gate.e_score_correction_bias")},
    {CORE_W_NARROW, MATRIX("fc1_latent_proj.weight")},
    {CORE_W_NARROW_BIAS, VECTOR("fc1_latent_proj.bias")},
    {CORE_W_WIDE, MATRIX("fc2_latent_proj.weight")},
    {CORE_W_WIDE_BIAS, VECTOR("fc2_latent_proj.bias")},
    {CORE_W_EXPERT_UP, MATRIX("experts.%d.up_proj.weight")},
    {CORE_W_EXPERT_DOWN, MATRIX("experts.%d.down_proj.weight")},
    {CORE_W_FINAL_NORM, CORE_LAYOUT_VECTOR, "backbone.norm_f.weight"},
    CORE_PLACES_END};

static const core__rename RENAMES[] = {{"backbone.", "model."},
                                       CORE_RENAMES_END};

const core__family core__family_nemotron_h = {
    .model_type = "nemotron_h",
    .published = "Nemotron-3-Nano-30B-A3B, Nemotron-3-Super-120B-A12B, "
                 "Nemotron-3-Ultra-550B-A55B",
    .witness = "transformers 5.24",
    .defaults = CORE_JSON({
        "vocab_size": 131072, "hidden_size": 4096, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 21504,
        "mlp_hidden_act": "relu2", "ssm_state_size": 128,
        "mamba_num_heads": 128, "mamba_head_dim": 64, "n_groups": 8,
        "conv_kernel": 4, "n_routed_experts": 8, "moe_intermediate_size": 7688,
        "moe_shared_expert_intermediate_size": 7688,
        "num_experts_per_tok": 2, "routed_scaling_factor": 1.0,
        "layer_norm_epsilon": 1e-05
    }),
    .ignores = "chunk_size expand intermediate_size mamba_proj_bias "
               "mamba_ssm_cache_dtype moe_shared_expert_overlap mtp_* norm_eps "
               "rescale_prenorm_residual rope_theta partial_rotary_factor "
               "time_step_floor time_step_limit time_step_max "
               "use_mamba_kernels",
    .layers = get_layers,
    .add = add,
    .experts = "n_routed_experts",
    .inner = "moe_intermediate_size",
    .norm_eps = "layer_norm_epsilon",
    .act = "mlp_hidden_act",
    .head = CORE_HEAD_REQUIRED,
    .no_rope = true,
    .own = OWN,
    .blocks = core__blocks_of_ssd,
    .renames = RENAMES,
    .dense = "backbone.layers.%d.mixer.",
    .shared = "backbone.layers.%d.mixer.shared_experts.",
    .looks_ahead = true,
};
