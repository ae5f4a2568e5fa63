/* tests/unit/test_core_families.c -- config.json of the fourteen families.
 *
 * The committed oracle cases are the good texts: both versions of each say the
 * same spec, which our own form holds; a refusal or another setting is a good
 * text with one string replaced.  What the settings do is for the passes'
 * tests.
 */
#include "core/model/spec.h"

#include "core/files/st_folder.h"
#include "core/model/quant.h"
#include "core/weights/weights.h"
#include "tests/support/check_main.h"
#include "tests/support/oracle_cases.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 16384 };

static void read_config(char text[TEXT_BYTES], const char *name,
                        const char *file)
{
    char path[512];
    snprintf(path, sizeof path, GOLDEN_DIR "/oracle/%s/%s", name, file);
    FILE *in = fopen(path, "rb");
    ck_assert_msg(in != NULL, "%s", path);
    const size_t n = fread(text, 1, TEXT_BYTES - 1, in);
    ck_assert(n < TEXT_BYTES - 1);
    text[n] = '\0';
    fclose(in);
}

/* A Switch layer has one form of config.json, and so has a case that version 5
 * wrote.                                                                     */
static bool has_file(const char *name, const char *file)
{
    char path[512];
    snprintf(path, sizeof path, GOLDEN_DIR "/oracle/%s/%s", name, file);
    return access(path, F_OK) == 0;
}

static core_spec parse(const char *text)
{
    core_spec spec;
    core_message_clear();
    ck_assert_msg(core_spec_parse_config(&spec, text, "config.json") == CORE_OK,
                  "%s", core_message());
    return spec;
}

/* Replace the only occurrence of `from`. */
static void substitute(char text[TEXT_BYTES], const char *from, const char *to)
{
    char rest[TEXT_BYTES];
    char *place = strstr(text, from);
    ck_assert_msg(place != NULL, "'%s' is not in the good text", from);
    snprintf(rest, sizeof rest, "%s", place + strlen(from));
    ck_assert_msg(strstr(rest, from) == NULL, "'%s' is there twice", from);
    snprintf(place, TEXT_BYTES - (size_t)(place - text), "%s%s", to, rest);
}

/* Written in our own form and read again it is the same. */
static void check_own_form(const core_spec *spec)
{
    char text[TEXT_BYTES] = "";
    FILE *file = fmemopen(text, TEXT_BYTES - 1, "w");
    ck_assert_ptr_nonnull(file);
    core_spec_write_yaml(spec, file);
    fclose(file);
    core_spec again;
    ck_assert_msg(core_spec_parse_yaml(&again, text, "own.yaml") == CORE_OK,
                  "%s", core_message());
    ck_assert_mem_eq(spec, &again, sizeof again);
}

START_TEST(both_versions_and_our_own_form_say_the_same)
{
    char text[TEXT_BYTES];
    read_config(text, ORACLE_CASES[_i], "config.json");
    const core_spec spec = parse(text);
    if (has_file(ORACLE_CASES[_i], "config_v5.json")) { /* says the same */
        read_config(text, ORACLE_CASES[_i], "config_v5.json");
        const core_spec v5 = parse(text);
        ck_assert_mem_eq(&spec, &v5, sizeof spec);
    }
    check_own_form(&spec);
}
END_TEST

/* Every weight of a committed case is found, and its step is. */
START_TEST(checkpoints_open_and_have_steps)
{
    char folder[512];
    core_spec spec;
    core_weights *w = NULL;
    snprintf(folder, sizeof folder, GOLDEN_DIR "/oracle/%s", ORACLE_CASES[_i]);
    ck_assert_int_eq(core_spec_open(&spec, folder, NULL), CORE_OK);
    ck_assert_msg(core_weights_open_checkpoint(&w, &spec, folder, false) == CORE_OK,
                  "%s", core_message());
    ck_assert_msg(core_weights_prepare(w, CORE_EXACT, NULL) == CORE_OK, "%s",
                  core_message());
    core_weights_close(w);
}
END_TEST

/* Written in the names of its family and read back: the same values, whatever
 * shares a tensor. */
START_TEST(an_export_reads_back)
{
    char folder[] = "/tmp/test_core_families-XXXXXX", path[64], from[512];
    core_spec spec, again;
    core_weights *w = NULL, *back = NULL;
    bool is_checkpoint;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(from, sizeof from, GOLDEN_DIR "/oracle/%s", ORACLE_CASES[_i]);
    ck_assert_int_eq(core_spec_open(&spec, from, NULL), CORE_OK);
    ck_assert_int_eq(core_weights_open_procedural(&w, &spec, 5), CORE_OK);
    ck_assert_msg(core_weights_export(w, folder) == CORE_OK, "%s",
                  core_message());
    ck_assert_msg(core_spec_open(&again, folder, &is_checkpoint) == CORE_OK,
                  "%s", core_message());
    ck_assert(is_checkpoint);
    ck_assert_mem_eq(&spec, &again, sizeof spec);
    ck_assert_msg(core_weights_open_checkpoint(&back, &again, folder, false) ==
                      CORE_OK,
                  "%s", core_message());
    const int64_t n = core_weight_count(&spec);
    core_weight *id = malloc((size_t)n * sizeof *id);
    ck_assert_ptr_nonnull(id);
    core_weight_list(&spec, id);
    for (int64_t i = 0; i < n; i++) {
        int64_t n_row, n_col;
        core_weight_shape(&spec, id[i], &n_row, &n_col);
        const size_t size = (size_t)(n_row * n_col);
        double *a = malloc(size * sizeof *a), *b = malloc(size * sizeof *b);
        ck_assert(a != NULL && b != NULL);
        core_weights_read(w, id[i], 0, n_row, 0, n_col, a, n_col);
        core_weights_read(back, id[i], 0, n_row, 0, n_col, b, n_col);
        ck_assert_mem_eq(a, b, size * sizeof *a);
        free(a);
        free(b);
    }
    free(id);
    core_weights_close(w);
    core_weights_close(back);
    snprintf(path, sizeof path, "%s/config.json", folder);
    ck_assert_int_eq(unlink(path), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

/* What the files of a case hold is what the model is said to consist of: small
 * stand-ins for the published models of test_core_published.               */
START_TEST(parameters_are_those_of_the_files)
{
    char path[512];
    core_spec spec;
    core_quant *quant = NULL;
    core_st_folder *folder = NULL;
    int64_t n = 0;
    snprintf(path, sizeof path, GOLDEN_DIR "/oracle/%s", ORACLE_CASES[_i]);
    ck_assert_int_eq(core_spec_open(&spec, path, NULL), CORE_OK);
    ck_assert_int_eq(core_quant_open(&quant, path), CORE_OK);
    const bool is_quantised = quant != NULL;
    core_quant_close(quant);
    if (is_quantised)
        return;
    ck_assert_int_eq(core_st_folder_open(&folder, path), CORE_OK);
    for (int64_t i = 0; i < core_st_folder_count(folder); i++) {
        const core_st_tensor *t = core_st_folder_at(folder, i).tensor;
        if (!core_file_is_other_part(t->name))
            n += t->n;
    }
    core_st_folder_close(folder);
    ck_assert_int_eq(core_spec_parameters(&spec), n);
}
END_TEST

/* --- refusals ----------------------------------------------------------------
 */

typedef struct change {
    const char *name; /* the good case                                        */
    const char *from, *to;
    const char *message;
} change;

static const change BAD[] = {
    {"qwen2_moe/sparse_step_tied_mqa", "\"use_sliding_window\": false",
     "\"use_sliding_window\": true",
     "use_sliding_window: true is not supported, expected false"},
    {"qwen2_moe/sparse_step_tied_mqa", "\"decoder_sparse_step\": 2",
     "\"decoder_sparse_step\": 0",
     "decoder_sparse_step: 0, expected an integer"},
    {"qwen3_moe/dense_mix_llama3", "\"high_freq_factor\": 4.0",
     "\"high_freq_factor\": 0.5",
     "rope.high_freq 0.5, expected at least rope.low_freq 1"},
    {"olmoe/clip_gqa_top8", "\"clip_qkv\": 1.0", "\"clip_qkv\": -1.0",
     "attention.clip -1, expected 0 or a positive number"},
    {"gpt_oss/mxfp4", "\"quant_method\": \"mxfp4\"",
     "\"quant_method\": \"awq\"",
     "quant_method: 'awq' is not supported, expected fp8, mxfp4"},
    {"gpt_oss/mxfp4", "\"hidden_act\": \"silu\"",
     "\"hidden_act\": \"silu\", \"swiglu_limit\": 6.0",
     "swiglu_limit: 6 is not supported, expected 7"},
    {"deepseek_v2/grouped_yarn", "\"num_key_value_heads\": 4",
     "\"num_key_value_heads\": 2", "kv_heads 2, latent attention expects 4"},
    {"deepseek_v2/grouped_yarn", "\"group_limited_greedy\"", "\"noaux_tc\"",
     "topk_method: 'noaux_tc' is not supported, expected greedy"},
    {"deepseek_v2/grouped_yarn", "\"norm_topk_prob\": false",
     "\"norm_topk_prob\": true", "norm_topk_prob: true is not supported"},
    {"deepseek_v2/grouped_yarn", "\"n_group\": 4", "\"n_group\": 5",
     "experts 12, not a multiple of router.groups 5"},
    {"deepseek_v2/grouped_yarn", "\"topk_group\": 2", "\"topk_group\": 1",
     "experts_per_token of the kept groups 4, expected 1 to 3"},
    {"deepseek_v3/yarn_bf16", "\"n_group\": 3",
     "\"scoring_func\": \"softmax\", \"n_group\": 3",
     "scoring_func: 'softmax' is not supported, expected sigmoid"},
    {"deepseek_v3/yarn_bf16", "\"n_group\": 3",
     "\"moe_layer_freq\": 2, \"n_group\": 3", "moe_layer_freq: 2 is not"},
    {"deepseek_v3/yarn_bf16", "\"n_group\": 3",
     "\"quantization_config\": {\"quant_method\": \"fp8\", "
     "\"weight_block_size\": [64]}, \"n_group\": 3",
     "weight_block_size: expected two numbers from 1"},
    {"glm4_moe/tiny", "\"partial_rotary_factor\": 0.5",
     "\"partial_rotary_factor\": 1.5", "partial_rotary_factor: 1.5, expected"},
    {"glm4_moe/tiny", "\"routed_scaling_factor\": 1.0",
     "\"routed_scaling_factor\": 0.0", "router.scale 0, expected a positive"},
    {"dots1/tiny", "\"sliding_attention\",\n    \"sliding_attention\"",
     "\"sliding_attention\"", "layer_types: expected a list of 4"},
    {"glm4_moe/tiny", "\"partial_rotary_factor\": 0.5",
     "\"partial_rotary_factor\": 0.01",
     "partial_rotary_factor: 0.01 of a head of 16 leaves nothing to rotate"},
    {"llama4/tiny", "\"no_rope_layers\": [\n    1,",
     "\"no_rope_layers\": [\n    true,",
     "no_rope_layers: entry 0: expected 1 or 0"},
    {"llama4/tiny", "\"no_rope_layers\": [\n    1,",
     "\"no_rope_layers\": [\n    2,",
     "no_rope_layers: entry 0: expected 1 or 0"},
    {"llama4/tiny",
     "\"no_rope_layers\": [\n    1,\n    1,\n    0,\n    1\n  ]",
     "\"no_rope_layers\": 4", "no_rope_layers: expected a list of 1 and 0"},
    {"llama4/tiny", "\"model_type\": \"llama4_text\"",
     "\"model_type\": \"llama4\"",
     "text_config: expected an object, the text model of llama4"},
    {"llama4/tiny", "\"floor_scale\": 8", "\"floor_scale\": 0",
     "attention.temper_floor 0, expected a positive"},
    {"granitemoe/tiny", "\"rope\"", "\"nope\"",
     "position_embedding_type: 'nope' is not supported, expected rope"},
    {"phimoe/tiny", "\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 1",
     "experts_per_token of sparsemixer 1, expected 2 to 2"},
    {"phimoe/tiny", "\"rope_scaling\": null",
     "\"rope_scaling\": {\"type\": \"longrope\"}",
     "type: 'longrope' is not supported"},
    {"jamba/tiny", "\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"",
     "hidden_act: expected silu, which the mamba layers have"},
    {"jamba/tiny", "\"attn_layer_offset\": 1", "\"attn_layer_offset\": 2",
     "attn_layer_offset: 2, expected less than attn_layer_period 2"},
    {"jamba/tiny", "\"expert_layer_offset\": 1",
     "\"expert_layer_offset\": 7",
     "expert_layer_offset: 7, expected less than expert_layer_period 2"},
    {"jamba/tiny", "\"sliding_window\": null", "\"sliding_window\": 4",
     "sliding_window: not supported"},
    {"qwen3_next/mixed", "\"hidden_act\": \"silu\"",
     "\"hidden_act\": \"gelu\"",
     "hidden_act: expected silu, which the convolutions have"},
    {"qwen3_next/mixed", "\"linear_num_value_heads\": 8",
     "\"linear_num_value_heads\": 9",
     "deltanet.value_heads 9, not a multiple of deltanet.key_heads 4"},
    {"qwen3_5_moe_text/text", "\"attn_output_gate\": true",
     "\"attn_output_gate\": false",
     "attn_output_gate: false is not supported, expected true"},
    {"nemotron_h/latent_groups", "\"ME*-ME\"", "\"MEX-ME\"",
     "hybrid_override_pattern: letter 3 is 'X', expected M, *, - or E"},
    {"nemotron_h/latent_groups", "\"ME*-ME\"", "6",
     "hybrid_override_pattern: expected a string"},
    {"nemotron_h/latent_groups", "\"hybrid_override_pattern\": \"ME*-ME\",",
     "", "layers_block_type: missing, and no hybrid_override_pattern"},
    {"nemotron_h/slow_steps", "\"moe\",\n    \"linear_attention\"\n  ],",
     "\"moe\",\n    \"convolution\"\n  ],",
     "layers_block_type: layer 3 is 'convolution', expected mamba"},
    {"nemotron_h/latent_groups", "\"mamba_hidden_act\": \"silu\"",
     "\"mamba_hidden_act\": \"relu\"", "mamba_hidden_act: 'relu'"},
    {"nemotron_h/latent_groups", "\"attention_bias\": false",
     "\"attention_bias\": true", "attention_bias: true is not supported"},
    {"nemotron_h/latent_groups", "\"n_shared_experts\": 1",
     "\"n_shared_experts\": 2", "n_shared_experts: 2, expected 1"},
    {"nemotron_h/latent_groups", "\"n_groups\": 2", "\"n_groups\": 4",
     "ssd.heads 6, not a multiple of ssd.groups 4"},
    {"nemotron_h/latent_groups", "\"time_step_min\": 0.001",
     "\"time_step_min\": -1", "ssd.least_step -1, expected 0 or a positive"},
    {"granitemoehybrid/rope", "\"mamba_d_head\": 8", "\"mamba_d_head\": 7",
     "mamba_n_heads 9 times mamba_d_head 7, expected mamba_expand 2"},
    {"granitemoehybrid/rope", "\"hidden_act\": \"silu\"",
     "\"hidden_act\": \"gelu\"",
     "hidden_act: expected silu, which the state space has"},
    {"granitemoehybrid/rope", "\"num_local_experts\": 7",
     "\"num_local_experts\": 0", "num_local_experts: 0, expected an integer"},
    {"granitemoehybrid/nope", "\"Infinity\"", "\"much\"",
     "time_step_limit: expected two numbers"},
    {"granitemoehybrid/nope", "0.0,\n    {\n      \"__float__\": \"Infinity\"\n    }",
     "0.5, 0.25", "ssd.most_step 0.25, expected 0, or at least"},
    {"lfm2_moe/no_bias", "\"conv\",\n    \"conv\"", "\"conv\",\n    \"mamba\"",
     "layer_types: entry 1: 'mamba' is not supported"},
    {"bailing_moe/as_glm4", "\"score_function\": \"sigmoid\"",
     "\"score_function\": \"tanh\"", "score_function: 'tanh' is not supported"},
    {"bailing_moe/as_glm4", "\"use_rmsnorm\": true", "\"norm_head\": true",
     "norm_head: true is not supported, expected false"},
    {"bailing_moe/as_glm4", "\"norm_topk_prob\": true",
     "\"norm_topk_prob\": false", "norm_topk_prob: false is not supported"},
    {"bailing_moe/as_glm4", "\"moe_shared_expert_intermediate_size\": 9",
     "\"moe_shared_expert_intermediate_size\": 10",
     "moe_shared_expert_intermediate_size: 10, expected moe_intermediate_size"},
    {"bailing_moe/as_glm4", "\"partial_rotary_factor\": 0.5",
     "\"partial_rotary_factor\": 0.5, \"rotary_dim\": 10",
     "rotary_dim 10 and a partial_rotary_factor of 8 elements"},
    {"step3p7/no_limits", "\"swiglu_limits\": null",
     "\"swiglu_limits\": [0.0, null, -7.0]",
     "swiglu_limits: layer 2: expected a number from 0, or null"},
    {"step3p7/no_limits", "\"swiglu_limits_shared\": null",
     "\"swiglu_limits_shared\": 16.0",
     "swiglu_limits_shared: expected a list of 3"},
    {"step3p7/no_limits", "\"query_pre_attn_scalar\": 10",
     "\"query_pre_attn_scalar\": -10",
     "query_pre_attn_scalar: -10, expected a positive number"},
    {"step3p7/no_limits", "\"2\": {\n        \"num_attention_heads\": 6",
     "\"2\": {\n        \"num_attention_heads\": 4",
     "per_layer_config: layer 2 has 4 heads, others of its kind 6"},
    {"lfm2_moe/no_bias", "\"layer_types\"", "\"output_attentions\"",
     "layer_types: missing"},
    {"lfm2_moe/no_bias", "\"norm_eps\"", "\"hidden_act\": \"gelu\", \"norm_eps\"",
     "hidden_act: expected silu, which the class has"},
    {"lfm2_moe/no_bias", "\"conv_L_cache\": 4", "\"conv_L_cache\": 0",
     "conv_L_cache: 0, expected an integer"},
    {"bailing_hybrid/bounded", "\"kda_lower_bound\": -2.5",
     "\"kda_lower_bound\": 2.5",
     "deltanet.floor 2.5, expected 0 or a negative number"},
    {"bailing_hybrid/bounded", "\"hidden_act\": \"silu\"",
     "\"hidden_act\": \"gelu\"",
     "hidden_act: expected silu, which the convolutions have"},
    {"kimi_linear/mixed", "\"mla_use_nope\": true", "\"mla_use_nope\": false",
     "mla_use_nope: false is not supported, expected true"},
    {"kimi_linear/mixed", "\"hidden_act\": \"silu\"",
     "\"hidden_act\": \"gelu\"",
     "hidden_act: expected silu, which the convolutions have"},
    {"kimi_linear/mixed", "\"use_grouped_topk\": true",
     "\"use_grouped_topk\": false",
     "use_grouped_topk: false is not supported, expected true"},
    {"kimi_linear/mixed", "\"kda_layers\": [\n      1,",
     "\"kda_layers\": [\n      0,",
     "linear_attn_config.kda_layers: entry 0: expected a layer from 1 to 4"},
    {"kimi_linear/mixed", "\"kda_layers\": [\n      1,",
     "\"kda_layers\": [\n      2,",
     "linear_attn_config.kda_layers: layer 2 is listed twice"},
    {"kimi_linear/mixed", "\"kda_layers\": [\n      1,",
     "\"kda_layers\": [", "linear_attn_config: layer 1 is in neither list"},
    {"kimi_linear/mixed", "\"kda_layers\": [", "\"other_layers\": [",
     "linear_attn_config.kda_layers: expected a list of layers, from 1"},
    {"kimi_linear/query_lora",
     "\"layer_types\": [\n    \"linear_attention\"",
     "\"layer_types\": [\n    \"full_attention\"",
     "linear_attn_config and layer_types: layer 0 is full_attention"},
    {"kimi_linear/mixed", "\"num_heads\": 3,",
     "\"num_heads\": 3, \"gate_lower_bound\": -5.0,",
     "linear_attn_config.gate_lower_bound"},
    {"mimo_v2_flash/sinks", "\"head_dim\": 12", "\"head_dim\": 10",
     "rotated 3, expected an even number"},
    {"mimo_v2_flash/sinks", "\"sliding_window\": 5",
     "\"sliding_window\": 5, \"hybrid_layer_pattern\": [0, 1, 1, 1, 2]",
     "hybrid_layer_pattern: entry 4: expected 0 or 1"},
    {"mimo_v2_flash/sinks", "\"sliding_window\": 5",
     "\"sliding_window\": 5, \"moe_layer_freq\": [0, 1, 1, 1]",
     "moe_layer_freq: expected a list of 5, 0 or 1"},
    {"mimo_v2_flash/sinks", "\"sliding_window\": 5",
     "\"sliding_window\": 5, \"swa_num_key_value_heads\": 4",
     "heads 6, not a multiple of kv_heads 4"},
    {"deepseek_v4/all_layers", "\"n_shared_experts\": 1",
     "\"n_shared_experts\": 2",
     "n_shared_experts: 2 is not supported, expected 1"},
    {"deepseek_v4/all_layers", "\"scoring_func\": \"sqrtsoftplus\"",
     "\"scoring_func\": \"softmax\"",
     "scoring_func: 'softmax' is not supported"},
    {"deepseek_v4/all_layers", "\"norm_topk_prob\": true",
     "\"norm_topk_prob\": false",
     "norm_topk_prob: false is not supported"},
    {"deepseek_v4/all_layers", "\"hidden_act\": \"silu\"",
     "\"hidden_act\": \"gelu\"",
     "hidden_act: expected silu"},
    {"deepseek_v4/all_layers", "\"compress_ratios\": [\n    4",
     "\"compress_ratios\": [\n    8",
     "compress_ratios: entry 0: expected 0, 4 or 128"},
    {"deepseek_v4/all_layers", "\"num_hidden_layers\": 4",
     "\"num_hidden_layers\": 5",
     "compress_ratios: expected a list of at least 5"},
    {"deepseek_v4/all_layers", "\"num_key_value_heads\": 1",
     "\"num_key_value_heads\": 2",
     "kv_heads 2, onekv expects 1"},
    {"deepseek_v4/all_layers", "\"o_groups\": 2",
     "\"o_groups\": 4",
     "heads 6, not a multiple of o_groups.groups 4"},
    {"deepseek_v4/all_layers", "\"index_head_dim\": 12",
     "\"index_head_dim\": 6",
     "digests.scorer_size 6, expected 8 to"},
    {"deepseek_v4/all_layers", "\"hc_sinkhorn_iters\": 5",
     "\"hc_sinkhorn_iters\": 0",
     "hc_sinkhorn_iters: 0, expected"},
    {"deepseek_v4/all_layers", "\"hc_eps\": 1e-06",
     "\"hc_eps\": 0.0",
     "hyper.eps 0, expected more than 0"},
    {"glm_moe_dsa/shared_index", "\"indexer_types\": [\n    \"full\"",
     "\"indexer_types\": [\n    \"shared\"",
     "layer 0 keeps a choice of keys that no layer before it makes"},
    {"glm_moe_dsa/shared_index", "\"indexer_types\": [\n    \"full\"",
     "\"indexer_types\": [\n    \"sparse\"",
     "indexer_types: entry 0: 'sparse' is not supported"},
    {"glm_moe_dsa/shared_index", "\"indexer_rope_interleave\": true",
     "\"indexer_rope_interleave\": false",
     "indexer_rope_interleave: false is not supported, expected true"},
    {"glm_moe_dsa/shared_index", "\"index_head_dim\": 10",
     "\"index_head_dim\": 5", "indexer.size 5, expected 6 to"},
    {"glm_moe_dsa/shared_index",
     "null,\n  \"indexer_rope_interleave\": true,\n  \"indexer_types\": [\n"
     "    \"full\",\n    \"shared\",\n    \"full\",\n    \"shared\"\n  ]",
     "\"FSX\"", "index_topk_pattern: 'FSX', expected F or S for each of 4"},
    {"deepseek_v32/yarn_groups", "\"index_topk\": 6", "\"index_topk\": 0",
     "index_topk: 0, expected"},
    {"deepseek_v32/yarn_groups", "\"q_lora_rank\": 15",
     "\"q_lora_rank\": 0", "the indexer expects latent.query_rank"},
    {"deepseek_v32/yarn_groups", "\"moe_layer_freq\": 1",
     "\"moe_layer_freq\": 2",
     "moe_layer_freq: 2 is not supported, expected 1"},
    {"gemma4/wrapped", "\"enable_moe_block\": true",
     "\"enable_moe_block\": false",
     "enable_moe_block: false is not supported, expected true"},
    {"gemma4_text/text", "\"hidden_size_per_layer_input\": 0",
     "\"use_cache\": true",
     "hidden_size_per_layer_input: 256 is not supported, expected 0"},
    {"gemma4_text/text", "\"num_kv_shared_layers\": 0",
     "\"num_kv_shared_layers\": 1",
     "num_kv_shared_layers: 1 is not supported, expected 0"},
    {"gemma4_text/text", "\"vision\"", "\"all\"",
     "use_bidirectional_attention: 'all' is not supported, expected vision"},
    {"gemma4_text/text", "\"full_attention\"\n  ],",
     "\"sliding_attention\"\n  ],",
     "layer_types: expected full_attention at the end"},
    {"gemma4_text/text", "\"final_logit_softcapping\": 5.0",
     "\"final_logit_softcapping\": -5.0",
     "final_logit_softcapping: -5, expected a positive number"},
    {"gemma4_text/text", "\"partial_rotary_factor\": 0.25",
     "\"partial_rotary_factor\": 0.1",
     "partial_rotary_factor: leaves no pair to turn"},
    {"gemma4_text/text", "\"partial_rotary_factor\": 0.25",
     "\"partial_rotary_factor\": 0.25, \"factor\": 2",
     "factor: 2, expected 1 in proportional rope"},
    {"gemma4_text/text", "\"global_head_dim\": 16",
     "\"per_layer_config\": {\"1\": {\"head_dim\": 16}}",
     "per_layer_config: no layer 3"},
    {"gemma4_text/text", "\"global_head_dim\": 16",
     "\"per_layer_config\": {\"3\": {\"head_dim\": 16}}",
     "per_layer_config: layer 1: expected what layer 3 has"},
    {"gemma4_text/text", "\"global_head_dim\": 16",
     "\"per_layer_config\": {\"1\": {\"head_dim\": 16, \"a_new_key\": 1}, "
     "\"3\": {\"head_dim\": 16, \"a_new_key\": 1}}",
     "per_layer_config.3.a_new_key: not read"},
    {"minimax_m3_vl/blocks", "\"hidden_act\": \"swigluoai\"",
     "\"hidden_act\": \"gelu\"",
     "hidden_act: 'gelu' is not supported, expected swigluoai or silu"},
    {"minimax_m3_vl/blocks", "\"swiglu_limit\": 0.9", "\"swiglu_limit\": 0",
     "swiglu_alpha 1.702 and swiglu_limit 0, expected positive numbers"},
    {"minimax_m3_vl/blocks", "\"intermediate_size\": 9,",
     "\"intermediate_size\": 9, \"moe_intermediate_size\": 8,",
     "moe_intermediate_size 8 and intermediate_size 9: two sizes of one"},
    {"minimax_m3_vl/blocks", "\"rotary_dim\": 8", "\"rotary_dim\": 6",
     "rotary_dim 6 and a partial_rotary_factor of 8 elements"},
    {"minimax_m3_vl/blocks", "\"n_shared_experts\": 1",
     "\"n_shared_experts\": 1, \"first_k_dense_replace\": 2",
     "first_k_dense_replace 2 and moe_layer_freq: layer 1 is sparse"},
    {"minimax_m3_vl/blocks", "\"sparse_num_index_heads\": 3",
     "\"sparse_num_index_heads\": 2",
     "sparse_num_index_heads 2, expected num_key_value_heads 3"},
    {"minimax_m3_vl/blocks", "\"sparse_score_type\": \"max\"",
     "\"sparse_score_type\": \"mean\"",
     "sparse_score_type: 'mean' is not supported, expected max"},
    {"minimax_m3_vl/blocks", "\"sparse_init_block\": 0",
     "\"sparse_init_block\": 1", "sparse_init_block: 1 is not supported"},
    {"minimax_m3_vl/blocks",
     "\"sparse_disable_index_value\": [\n        0,\n        1",
     "\"sparse_disable_index_value\": [\n        0,\n        0",
     "sparse_disable_index_value: layer 1: 0 is not supported"},
    {"minimax_m3_vl/blocks", "\"sparse_index_dim\": 11",
     "\"sparse_index_dim\": 7",
     "block_index.head_size 7, expected 8 to 28"},
    {"minimax_m3_vl/blocks", "\"sparse_local_block\": 1",
     "\"sparse_local_block\": 2", "block_index.local 2, expected 1 to 1"},
    {"minimax_m3_vl/two_local", "\"minimax_m3_sparse\",",
     "\"sliding_attention\",",
     "layer_types: entry 0: 'sliding_attention' is not supported"},
};

START_TEST(what_would_change_the_result_is_refused_by_name)
{
    char text[TEXT_BYTES];
    core_spec spec;
    read_config(text, BAD[_i].name, "config.json");
    parse(text);
    substitute(text, BAD[_i].from, BAD[_i].to);
    spec.n_l = 77;
    core_message_clear();
    ck_assert_msg(core_spec_parse_config(&spec, text, "config.json") ==
                      CORE_E_SPEC,
                  "'%s' is taken", BAD[_i].to);
    ck_assert_msg(strstr(core_message(), BAD[_i].message) != NULL,
                  "'%s' lacks '%s'", core_message(), BAD[_i].message);
    ck_assert_msg(strstr(core_message(), "config.json") != NULL, "%s",
                  core_message());
    ck_assert_int_eq(spec.n_l, 77);
}
END_TEST

/* --- defaults
 * ----------------------------------------------------------------- */

static core_spec with(const char *name, const char *from, const char *to)
{
    char text[TEXT_BYTES];
    read_config(text, name, "config.json");
    substitute(text, from, to);
    return parse(text);
}

/* Which layers choose keys: a list, else letters, else a period. */
START_TEST(indexers_are_listed_spelt_or_periodic)
{
    static const char name[] = "glm_moe_dsa/shared_index";
    static const char list[] =
        "null,\n  \"indexer_rope_interleave\": true,\n  \"indexer_types\": [\n"
        "    \"full\",\n    \"shared\",\n    \"full\",\n    \"shared\"\n  ]";
    static const struct {
        const char *to;
        uint8_t sight[4];
    } way[] = {{list,
                {CORE_SIGHT_CHOSEN, CORE_SIGHT_KEPT, CORE_SIGHT_CHOSEN,
                 CORE_SIGHT_KEPT}},
               {"\"FFSS\"",
                {CORE_SIGHT_CHOSEN, CORE_SIGHT_CHOSEN, CORE_SIGHT_KEPT,
                 CORE_SIGHT_KEPT}},
               {"null", /* 2, from the second layer on */
                {CORE_SIGHT_CHOSEN, CORE_SIGHT_CHOSEN, CORE_SIGHT_KEPT,
                 CORE_SIGHT_CHOSEN}}};
    const core_spec s = with(name, list, way[_i].to);
    for (int l = 0; l < 4; l++)
        ck_assert_int_eq(s.sight[l], way[_i].sight[l]);
    ck_assert(s.indexer.interleaved && s.rope.interleaved);
    ck_assert_int_eq(s.n_seen, 5);
}
END_TEST

START_TEST(absent_flags_are_those_of_the_class)
{
    core_spec s =
        with("qwen2_moe/sparse_step_tied_mqa", "\"qkv_bias\": true,", "");
    ck_assert(s.bias_qkv && !s.bias_o && s.shared_gate);
    s = with("deepseek_v3/yarn_bf16", "\"norm_topk_prob\": true,", "");
    ck_assert(s.renormalise);
    s = with("dots1/tiny", "\"norm_topk_prob\": true,", "");
    ck_assert(!s.renormalise);
    s = with("glm4_moe/tiny", "\"norm_topk_prob\": true,", "");
    ck_assert(s.renormalise && s.n_group == 0 && s.n_rot == 8);
    s = with("deepseek_v3/yarn_bf16", "\"rope_interleave\": true,", "");
    ck_assert(s.rope.interleaved);
    s = with("glm4_moe/tiny", "\"use_qk_norm\": true,", "");
    ck_assert_int_eq(s.qk_norm, CORE_QK_NORM_NONE);
    s = with("llama4/tiny",
             "\"no_rope_layers\": [\n    1,\n    1,\n    0,\n    1\n  ],", "");
    for (int l = 0; l < 4; l++)
        ck_assert_int_eq(s.no_rope[l], l == 3);
    s = with("jamba/tiny", "\"mamba_dt_rank\": 4",
             "\"mamba_dt_rank\": \"auto\"");
    ck_assert_int_eq(s.mamba.n_r, 4);
    s = with("qwen3_next/mixed", "\"norm_topk_prob\": true,", "");
    ck_assert(s.renormalise);
    s = with("qwen3_next/mixed", "\"linear_conv_kernel_dim\": 3,", "");
    ck_assert_int_eq(s.deltanet.n_conv, 4);
    s = with("qwen3_next/beyond_a_chunk", "\"partial_rotary_factor\": 0.25,",
             "");
    ck_assert_int_eq(s.n_rot, 4);
}
END_TEST

/* A list of parts, a string of them, and the list where both are there. */
START_TEST(layers_may_be_of_one_part)
{
    char text[TEXT_BYTES];
    static const int MIXERS[6] = {CORE_MIXER_SSD,       CORE_N_MIXERS,
                                  CORE_MIXER_ATTENTION, CORE_N_MIXERS,
                                  CORE_MIXER_SSD,       CORE_N_MIXERS};
    static const int FFNS[6] = {CORE_FFN_NONE,  CORE_FFN_MOE,  CORE_FFN_NONE,
                                CORE_FFN_DENSE, CORE_FFN_NONE, CORE_FFN_MOE};
    read_config(text, "nemotron_h/latent_groups", "config.json");
    core_spec s = parse(text);
    ck_assert_int_eq(s.n_l, 6);
    for (int l = 0; l < 6; l++)
        ck_assert(s.mixer[l] == MIXERS[l] && s.ffn[l] == FFNS[l]);
    s = with("nemotron_h/latent_groups", "\"hybrid_override_pattern\"",
             "\"layers_block_type\": [\"moe\", \"mamba\"], "
             "\"hybrid_override_pattern\"");
    ck_assert_int_eq(s.n_l, 2);
    ck_assert(s.ffn[0] == CORE_FFN_MOE && s.mixer[1] == CORE_MIXER_SSD);
}
END_TEST

START_TEST(steps_have_the_limits_of_the_class)
{
    char text[TEXT_BYTES];
    read_config(text, "nemotron_h/slow_steps", "config.json");
    core_spec s = parse(text); /* time_step_limit has no effect */
    ck_assert(s.ssd.least == 0.7 && s.ssd.most == 0.0);
    s = with("nemotron_h/slow_steps", "\"time_step_min\": 0.7,", "");
    ck_assert(s.ssd.least == 0.001);
    s = with("granitemoehybrid/nope",
             "0.0,\n    {\n      \"__float__\": \"Infinity\"\n    }",
             "0.25, Infinity");
    ck_assert(s.ssd.least == 0.25 && s.ssd.most == 0.0);
    s = with("granitemoehybrid/nope",
             "0.0,\n    {\n      \"__float__\": \"Infinity\"\n    }",
             "0.25, 1.5");
    ck_assert(s.ssd.least == 0.25 && s.ssd.most == 1.5);
}
END_TEST

START_TEST(layers_are_of_the_stated_kinds)
{
    char text[TEXT_BYTES];
    read_config(text, "qwen2_moe/sparse_step_tied_mqa", "config.json");
    core_spec s = parse(text); /* step 2, layer 3 dense by the list */
    static const int QWEN[6] = {0, 1, 0, 0, 0, 1};
    for (int l = 0; l < 6; l++)
        ck_assert_int_eq(core_spec_is_moe(&s, l), QWEN[l]);
    read_config(text, "jamba/tiny", "config.json");
    s = parse(text);
    for (int l = 0; l < 4; l++) {
        ck_assert_int_eq(core_spec_mixer(&s, l) == CORE_MIXER_MAMBA, l % 2 == 0);
        ck_assert_int_eq(core_spec_is_moe(&s, l), l % 2 == 1);
        ck_assert(!core_spec_has_rope(&s, l));
    }
    read_config(text, "qwen3_next/beyond_a_chunk", "config.json");
    s = parse(text); /* every second, by an interval */
    for (int l = 0; l < 3; l++)
        ck_assert_int_eq(core_spec_mixer(&s, l) == CORE_MIXER_DELTANET,
                         l % 2 == 0);
    s = with("dots1/tiny",
             "\"layer_types\": [\n    \"full_attention\",\n    "
             "\"full_attention\",\n    \"sliding_attention\",\n    "
             "\"sliding_attention\"\n  ],",
             "");
    for (int l = 0; l < 4; l++)
        ck_assert_int_eq(s.span[l], l < 2 ? CORE_SPAN_FULL : CORE_SPAN_WINDOW);
}
END_TEST

/* Yarn with mscale_all_dim: (0.1 m ln f + 1)^2 over all of a score. */
/* As its publisher writes it: bits, kv heads and a window of their own. */
START_TEST(mimo_reads_both_forms)
{
    const core_spec s = with("mimo_v2_flash/sinks", "\"sliding_window\": 5",
                             "\"sliding_window_size\": 7,"
                             "\"sliding_window\": 7,"
                             "\"hybrid_layer_pattern\": [1, 0, 1, 1, 0],"
                             "\"moe_layer_freq\": [0, 1, 0, 1, 1],"
                             "\"swa_num_key_value_heads\": 3,"
                             "\"swa_rope_theta\": 77,"
                             "\"add_full_attention_sink_bias\": true");
    static const int OTHER[5] = {1, 0, 1, 1, 0}, MOE[5] = {0, 1, 0, 1, 1};
    for (int l = 0; l < 5; l++) {
        ck_assert_int_eq(s.head_kind[l], OTHER[l]);
        ck_assert_int_eq(s.span[l] == CORE_SPAN_WINDOW, OTHER[l]);
        ck_assert_int_eq(core_spec_is_moe(&s, l), MOE[l]);
        ck_assert_int_eq(core_spec_heads(&s, l).n_g, OTHER[l] ? 3 : 1);
        ck_assert(core_spec_heads(&s, l).rope.theta ==
                  (OTHER[l] ? 100.0 : 5000.0)); /* inside wins */
    }
    ck_assert_int_eq(s.sliding_window, 8);
    ck_assert(s.sinks && s.other.sinks && s.n_dv == 7 && s.other.n_dv == 7);
}
END_TEST

/* Global layers have heads of their own, values that are keys, and pairs that
 * stand still.                                                               */
START_TEST(gemma4_has_layers_of_two_kinds)
{
    const core_spec s =
        with("gemma4_text/text", "\"global_head_dim\": 16",
             "\"per_layer_config\": {"
             "\"1\": {\"head_dim\": 20, \"num_key_value_heads\": 1}, "
             "\"3\": {\"head_dim\": 20, \"num_key_value_heads\": 1}}");
    for (int l = 0; l < 4; l++) {
        const core_heads h = core_spec_heads(&s, l);
        const bool is_global = l % 2 != 0;
        ck_assert_int_eq(h.n_h, 6);
        ck_assert_int_eq(h.n_g, is_global ? 1 : 3);
        ck_assert_int_eq(h.n_dh, is_global ? 20 : 8);
        ck_assert_int_eq(h.n_rot, h.n_dh);
        ck_assert_int_eq(h.rope.n_turned, is_global ? 2 : 0);
        ck_assert(h.rope.theta == (is_global ? 1000.0 : 100.0));
        ck_assert(h.v_is_k == is_global && h.scale == 1.0);
        ck_assert_int_eq(s.span[l] == CORE_SPAN_WINDOW, !is_global);
    }
    ck_assert(s.embed_scale == sqrt(28.0) && s.logits_cap == 5.0 && s.tied);
    ck_assert(s.post_norm && s.branch_norm && s.layer_scale && s.router_norm);
    ck_assert(s.expert_scale && s.value_norm && s.renormalise);
}
END_TEST

START_TEST(gemma4_without_keys_as_values)
{
    const core_spec s = with("gemma4_text/text", "\"attention_k_eq_v\": true",
                             "\"attention_k_eq_v\": false");
    ck_assert(!core_spec_heads(&s, 1).v_is_k);
    ck_assert_int_eq(core_spec_heads(&s, 1).n_g, 3); /* as in other layers */
    ck_assert_int_eq(core_spec_heads(&s, 1).n_dh, 16);
}
END_TEST

/* Five layers with a window before each global one. */
START_TEST(gemma4_takes_the_order_of_its_class)
{
    static const char LISTED[] = "\"layer_types\": [\n    "
                                 "\"sliding_attention\",\n    "
                                 "\"full_attention\",\n    "
                                 "\"sliding_attention\",\n    "
                                 "\"full_attention\"\n  ],";
    char text[TEXT_BYTES];
    read_config(text, "gemma4_text/text", "config.json");
    substitute(text, LISTED, "");
    substitute(text, "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 12");
    const core_spec s = parse(text);
    for (int l = 0; l < 12; l++)
        ck_assert_int_eq(s.head_kind[l], l == 5 || l == 11 ? 0 : 1);
}
END_TEST

/* One model_type, two models. */
START_TEST(ling_has_two_versions)
{
    char text[TEXT_BYTES];
    read_config(text, "bailing_moe/as_glm4", "config.json");
    core_spec s = parse(text);
    ck_assert(s.router == CORE_ROUTER_SIGMOID && s.correction && s.renormalise);
    ck_assert_int_eq(s.n_group, 2);
    ck_assert_int_eq(s.n_rot, 8);
    ck_assert_int_eq(s.qk_norm, CORE_QK_NORM_HEAD);
    s = with("bailing_moe/as_glm4", "\"partial_rotary_factor\": 0.5",
             "\"rotary_dim\": 8");
    ck_assert_int_eq(s.n_rot, 8);
    s = with("bailing_moe/as_glm4", "\"score_function\": \"sigmoid\",", "");
    ck_assert_int_eq(s.router, CORE_ROUTER_SIGMOID); /* its architecture */
    s = with("bailing_moe/as_glm4", "\"num_experts_per_tok\": 3",
             "\"num_experts_per_tok\": 1");
    ck_assert(!s.renormalise);
    static const char FIRST[] =
        "{\"model_type\": \"bailing_moe\", \"architectures\": "
        "[\"BailingMoeForCausalLM\"], \"num_shared_experts\": 2, "
        "\"norm_topk_prob\": false, \"use_bias\": true}";
    s = parse(FIRST);
    ck_assert(s.router == CORE_ROUTER_SOFTMAX && !s.correction);
    ck_assert(!s.renormalise && s.bias_o && !s.bias_qkv);
    ck_assert_int_eq(s.n_group, 0);
    ck_assert_int_eq(s.qk_norm, CORE_QK_NORM_NONE);
    ck_assert_int_eq(s.n_f_shared, 2 * s.n_f);
    ck_assert(core_spec_is_moe(&s, 0));
}
END_TEST

START_TEST(step_has_waves_by_kind_of_layer)
{
    char text[TEXT_BYTES];
    read_config(text, "step3p7/no_limits", "config.json");
    core_spec s = parse(text);
    for (int l = 0; l < 3; l++) {
        const core_heads h = core_spec_heads(&s, l);
        ck_assert_int_eq(h.n_h, l == 0 ? 4 : 6);
        ck_assert_int_eq(h.n_rot, l == 0 ? 4 : 10);
        ck_assert(h.rope.theta == (l == 0 ? 500.0 : 100.0));
        ck_assert(h.scale == 1.0 / sqrt(10.0));
    }
    s = with("step3p7/no_limits", "\"query_pre_attn_scalar\": 10",
             "\"query_pre_attn_scalar\": 16");
    ck_assert(core_spec_heads(&s, 0).scale == 0.25);
    ck_assert(core_spec_heads(&s, 1).scale == 0.25);
    s = with("step3p7/no_limits", "\"swiglu_limits\": null",
             "\"swiglu_limits\": [0.0, null, 7]");
    ck_assert_int_eq(s.act, CORE_ACT_SILU);
    ck_assert(s.expert_most[1] == 0.0 && s.expert_most[2] == 7.0);
    ck_assert(core_spec_gating_in(&s, 2, true).most == 7.0);
    ck_assert(core_spec_gating_in(&s, 2, false).most == 0.0);
}
END_TEST

/* The case no_limits as published files are spelt: by layer, two layers longer
 * than the model. */
static const char STEP[] =
    "{\"model_type\": \"step3p5\", \"hidden_size\": 26, \"head_dim\": 10, "
    "\"num_hidden_layers\": 3, \"num_nextn_predict_layers\": 2, "
    "\"num_attention_heads\": 4, \"num_attention_groups\": 2, "
    "\"attention_other_setting\": {\"num_attention_heads\": 6, "
    "\"num_attention_groups\": 2, \"head_dim\": 10}, \"vocab_size\": 47, "
    "\"intermediate_size\": 22, \"moe_intermediate_size\": 9, "
    "\"share_expert_dim\": 13, \"moe_num_experts\": 7, \"moe_top_k\": 2, "
    "\"moe_layers_enum\": \"1,2,3,4\", \"moe_router_scaling_factor\": 3.0, "
    "\"sliding_window\": 5, \"layer_types\": [\"full_attention\", "
    "\"sliding_attention\", \"sliding_attention\", \"full_attention\", "
    "\"sliding_attention\"], \"rope_theta\": [500, 100, 100, 500, 100], "
    "\"partial_rotary_factors\": [0.4, 1, 1, 0.4, 1], "
    "\"swiglu_limits\": [0, 0, 0, 7, 7], \"norm_expert_weight\": true}";

/* Of one kind, whatever the file says of another. */
START_TEST(step_has_heads_of_one_kind)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof text, "%s", STEP);
    substitute(text, "\"num_attention_heads\": 6", "\"num_attention_heads\": 4");
    substitute(text, "[500, 100, 100, 500, 100]", "[500, 500, 500, 500, 500]");
    substitute(text, "[0.4, 1, 1, 0.4, 1]", "[0.4, 0.4, 0.4, 0.4, 0.4]");
    const core_spec s = parse(text);
    ck_assert_int_eq(core_spec_head_kinds(&s), 1);
    check_own_form(&s);
}
END_TEST

START_TEST(step_reads_both_spellings)
{
    static const struct {
        const char *from, *to, *message;
    } bad[] = {
        {"[500, 100, 100,", "[500, 100, 90,",
         "rope_theta: layer 2: expected what other layers of sliding_attention"},
        {"[500, 100, 100, 500, 100]", "[500, 100]", "rope_theta: layer 2"},
        {"\"1,2,3,4\"", "\"1,two\"", "moe_layers_enum: entry 1: expected"},
        {"\"head_dim\": 10}", "\"head_dim\": 12}", "head_dim: 12 is not"},
        {"\"norm_expert", "\"sink\": true, \"norm_expert", "sink: true"},
        {"\"norm_expert", "\"use_rope_layers\": [1], \"norm_expert",
         "use_rope_layers: not supported"},
        {"\"norm_expert",
         "\"yarn_only_types\": [\"sliding_attention\"], \"norm_expert",
         "yarn_only_types: expected"},
        {"\"norm_expert",
         "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 2, "
         "\"low_freq_factor\": 1, \"high_freq_factor\": 32, "
         "\"original_max_position_embeddings\": 16, \"new\": 1}, "
         "\"norm_expert",
         "new"},
    };
    char text[TEXT_BYTES];
    read_config(text, "step3p7/no_limits", "config.json");
    const core_spec of_class = parse(text);
    core_spec s = parse(STEP);
    memcpy(s.name, of_class.name, sizeof s.name);
    ck_assert(memcmp(&s, &of_class, sizeof s) == 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "%s", STEP);
        substitute(text, bad[i].from, bad[i].to);
        core_message_clear();
        ck_assert(core_spec_parse_config(&s, text, "config.json") ==
                  CORE_E_SPEC);
        ck_assert_msg(strstr(core_message(), bad[i].message) != NULL,
                      "'%s' lacks '%s'", core_message(), bad[i].message);
    }
    snprintf(text, sizeof text, "%s", STEP);
    substitute(text, "\"norm_expert",
               "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 2, "
               "\"low_freq_factor\": 1, \"high_freq_factor\": 32, "
               "\"original_max_position_embeddings\": 16}, \"norm_expert");
    s = parse(text);
    ck_assert(core_spec_heads(&s, 0).rope.scaling == CORE_ROPE_LLAMA3);
    ck_assert(core_spec_heads(&s, 1).rope.scaling == CORE_ROPE_PLAIN);
}
END_TEST

/* An older key, where a file has it, stands for the usual one. */
START_TEST(lfm2_ties_by_either_key)
{
    char text[TEXT_BYTES];
    read_config(text, "lfm2_moe/short_conv", "config.json");
    core_spec s = parse(text);
    ck_assert(s.tied && s.shortconv.bias && s.correction);
    ck_assert(s.sum_eps == 1e-6);
    for (int l = 0; l < 4; l++)
        ck_assert_int_eq(core_spec_mixer(&s, l) == CORE_MIXER_SHORTCONV,
                         l % 2 == 0);
    s = with("lfm2_moe/short_conv", "\"tie_embedding\": true",
             "\"tie_embedding\": false, \"tie_word_embeddings\": true");
    ck_assert(!s.tied);
    s = with("lfm2_moe/short_conv", "\"tie_embedding\": true",
             "\"tie_word_embeddings\": false");
    ck_assert(!s.tied);
    s = with("lfm2_moe/short_conv", "\"tie_embedding\": true,", "");
    ck_assert(s.tied);
    s = with("lfm2_moe/short_conv", "\"conv_L_cache\": 3,", "");
    ck_assert_int_eq(s.shortconv.n_conv, 3);
}
END_TEST

/* Lists count layers from 1; without lists and types the class's rule counts;
 * newer keys give sizes where the object does not.                           */
START_TEST(kimi_linear_finds_its_layers)
{
    core_spec s = with("kimi_linear/mixed", "\"tie_word_embeddings\": false",
                       "\"tie_word_embeddings\": true");
    for (int l = 0; l < 4; l++)
        ck_assert_int_eq(core_spec_mixer(&s, l), l == 1
                                                     ? CORE_MIXER_ATTENTION
                                                     : CORE_MIXER_DELTANET);
    ck_assert(!s.tied && !core_spec_has_rope(&s, 1));
    ck_assert(s.deltanet.n_dk == 8 && s.deltanet.n_dt_rank == 8);
    char text[TEXT_BYTES];
    read_config(text, "kimi_linear/mixed", "config.json");
    substitute(text,
               "\"linear_attn_config\": {\n    \"full_attn_layers\": [\n      "
               "2\n    ],\n    \"head_dim\": 8,\n    \"kda_layers\": [\n      "
               "1,\n      3,\n      4\n    ],\n    \"num_heads\": 3,\n    "
               "\"short_conv_kernel_size\": 4\n  },",
               "\"linear_num_heads\": 5, \"linear_head_dim\": 7,");
    substitute(text, "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 5");
    s = parse(text);
    ck_assert(s.deltanet.n_vh == 5 && s.deltanet.n_dv == 7);
    ck_assert_int_eq(s.deltanet.n_conv, 4);
    for (int l = 0; l < 5; l++)
        ck_assert_int_eq(core_spec_mixer(&s, l), l == 4
                                                     ? CORE_MIXER_ATTENTION
                                                     : CORE_MIXER_DELTANET);
}
END_TEST

/* As its publisher and as transformers 5 write it. */
START_TEST(ling_3_is_bounded_unless_it_says_not)
{
    core_spec s = with("bailing_hybrid/bounded", "\"kda_safe_gate\": true",
                       "\"kda_safe_gate\": false");
    ck_assert(s.deltanet.floor == 0.0);
    s = with("bailing_hybrid/bounded", "\"head_dim\": 8",
             "\"head_dim\": 6, \"linear_head_dim\": 8");
    ck_assert(s.deltanet.floor == -2.5 && s.deltanet.n_dk == 8);
    ck_assert(s.deltanet.by_row && s.deltanet.n_dt_rank == 0);
    ck_assert(s.gate_per_head && s.rope.interleaved && s.n_dh == 13);
    for (int l = 0; l < 4; l++)
        ck_assert_int_eq(core_spec_mixer(&s, l), l % 2 != 0
                                                     ? CORE_MIXER_ATTENTION
                                                     : CORE_MIXER_DELTANET);
}
END_TEST

/* No class has it, so there is no case to read: its keys as published. */
static const char K3[] =
    "{\"model_type\": \"kimi_k3\", \"image_placeholder\": \"<i>\", "
    "\"vision_config\": {}, \"text_config\": {\"model_type\": \"kimi_linear\", "
    "\"hidden_act\": \"situ\", \"activation_situ_beta\": 4.0, "
    "\"activation_situ_linear_beta\": 25.0, \"attn_res_block_size\": 2, "
    "\"num_hidden_layers\": 5, \"routed_expert_hidden_size\": 512, "
    "\"latent_moe_use_norm\": true, \"mla_use_output_gate\": true, "
    "\"mla_use_nope\": true, \"linear_attn_config\": {\"full_attn_layers\": "
    "[3, 5], \"kda_layers\": [1, 2, 4], \"gate_lower_bound\": -5.0, "
    "\"num_heads\": 96, \"head_dim\": 128, \"use_full_rank_gate\": true}}}";

START_TEST(kimi_k3_is_read_by_its_wrapper)
{
    static const struct {
        const char *from, *to, *message;
    } bad[] = {
        {"\"situ\"", "\"silu\"", "hidden_act: expected situ"},
        {"-5.0", "5.0", "deltanet.floor 5, expected 0 or a negative number"},
        {"\"activation_situ_beta\": 4.0", "\"activation_situ_beta\": 0.0",
         "activation situ needs activation_alpha and activation_limit"},
    };
    char text[TEXT_BYTES], name[CORE_FILE_TENSOR_BYTES];
    core_spec s = parse(K3);
    ck_assert_int_eq(s.attn_res.n_block, 2);
    ck_assert_int_eq(core_spec_n_x(&s), 4 * s.n_d); /* blocks begin at 0, 2, 4 */
    ck_assert(s.act == CORE_ACT_SITU && s.act_alpha == 4.0 && s.norm_de);
    ck_assert(s.deltanet.floor == -5.0 && s.deltanet.n_gate_rank == 0);
    ck_assert(s.deltanet.n_dt_rank == 128 && s.context_gate && s.n_de == 512);
    ck_assert_int_eq(core_file_tensor(&s,
                                      (core_weight){CORE_W_NARROW, 1, 0}, name),
                     CORE_LAYOUT_MATRIX);
    ck_assert_str_eq(name, "model.layers.1.block_sparse_moe."
                           "routed_expert_down_proj.weight");
    ck_assert_int_eq(core_file_blocks(&s, CORE_W_DELTANET_A_LOG).period, 128);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "%s", K3);
        substitute(text, bad[i].from, bad[i].to);
        core_message_clear();
        ck_assert(core_spec_parse_config(&s, text, "config.json") ==
                  CORE_E_SPEC);
        ck_assert_msg(strstr(core_message(), bad[i].message) != NULL,
                      "'%s' lacks '%s'", core_message(), bad[i].message);
    }
}
END_TEST

START_TEST(latent_scores_have_their_scale)
{
    char text[TEXT_BYTES];
    read_config(text, "deepseek_v3/yarn_bf16", "config.json");
    const core_spec s = parse(text);
    const double m = 0.1 * log(40.0) + 1.0;
    ck_assert(fabs(core_spec_heads_of(&s, 0).scale - m * m / sqrt(24.0)) <=
              1e-15);
    ck_assert(s.rope.attention_factor == 1.0);
    ck_assert_int_eq(core_spec_heads_of(&s, 0).n_rot, 8);
    ck_assert_int_eq(core_spec_heads_of(&s, 0).n_dv, 12);
}
END_TEST

START_TEST(first_keys_of_the_three_spans)
{
    core_spec s = {.n_l = 3,
                   .sliding_window = 4,
                   .chunk = 5,
                   .span = {CORE_SPAN_WINDOW, CORE_SPAN_FULL, CORE_SPAN_CHUNK}};
    for (int64_t i = 0; i < 17; i++) {
        ck_assert_int_eq(core_spec_first_key(&s, 0, i), i < 4 ? 0 : i - 3);
        ck_assert_int_eq(core_spec_first_key(&s, 1, i), 0);
        ck_assert_int_eq(core_spec_first_key(&s, 2, i), i - i % 5);
    }
    s.sliding_window = 0;
    ck_assert_int_eq(core_spec_first_key(&s, 0, 16), 0);
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

int main(void)
{
    Suite *suite = suite_create("core_families");
    TCase *tcase = tcase_create("families");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, both_versions_and_our_own_form_say_the_same, 0,
                        N_ORACLE_CASES);
    tcase_add_loop_test(tcase, checkpoints_open_and_have_steps, 0,
                        N_ORACLE_CASES);
    tcase_add_loop_test(tcase, parameters_are_those_of_the_files, 0,
                        N_ORACLE_CASES);
    tcase_add_loop_test(tcase, an_export_reads_back, 0, N_ORACLE_CASES);
    tcase_add_test(tcase, layers_may_be_of_one_part);
    tcase_add_test(tcase, steps_have_the_limits_of_the_class);
    tcase_add_loop_test(tcase, what_would_change_the_result_is_refused_by_name,
                        0, COUNT(BAD));
    tcase_add_test(tcase, absent_flags_are_those_of_the_class);
    tcase_add_test(tcase, layers_are_of_the_stated_kinds);
    tcase_add_test(tcase, mimo_reads_both_forms);
    tcase_add_test(tcase, gemma4_has_layers_of_two_kinds);
    tcase_add_test(tcase, gemma4_without_keys_as_values);
    tcase_add_test(tcase, gemma4_takes_the_order_of_its_class);
    tcase_add_test(tcase, ling_has_two_versions);
    tcase_add_test(tcase, step_has_waves_by_kind_of_layer);
    tcase_add_test(tcase, step_has_heads_of_one_kind);
    tcase_add_test(tcase, step_reads_both_spellings);
    tcase_add_test(tcase, lfm2_ties_by_either_key);
    tcase_add_test(tcase, kimi_linear_finds_its_layers);
    tcase_add_test(tcase, ling_3_is_bounded_unless_it_says_not);
    tcase_add_test(tcase, kimi_k3_is_read_by_its_wrapper);
    tcase_add_test(tcase, latent_scores_have_their_scale);
    tcase_add_loop_test(tcase, indexers_are_listed_spelt_or_periodic, 0, 3);
    tcase_add_test(tcase, first_keys_of_the_three_spans);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
