/* test_core_spec.c -- presets, spec files and config.json.
 *
 * tests/data/spec holds one good text of each kind; every refusal is that text
 * with one string replaced, so the reason is the one that is tested.
 */
#include "core/model/spec.h"
#include "core/model/weight_list.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 8192 };

#define STREAMS    "hyper:\n  streams: 2\n  rounds: 2\n  eps: 0.01\n"
#define LOOKS_BACK "attention_residual:\n  block: 1\n"

static void read_file(char text[TEXT_BYTES], const char *path)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    const size_t n = fread(text, 1, TEXT_BYTES - 1, file);
    text[n] = '\0';
    fclose(file);
}

static void to_yaml(const core_spec *spec, char text[TEXT_BYTES])
{
    memset(text, 0, TEXT_BYTES);
    FILE *file = fmemopen(text, TEXT_BYTES - 1, "w");
    ck_assert_ptr_nonnull(file);
    core_spec_write_yaml(spec, file);
    fclose(file);
}

/* Replace the only occurrence of `from`. */
static void substitute(char text[TEXT_BYTES], const char *from, const char *to)
{
    char *place = strstr(text, from);
    ck_assert_msg(place != NULL, "'%s' is not in the good text", from);
    char rest[TEXT_BYTES];
    snprintf(rest, sizeof rest, "%s", place + strlen(from));
    ck_assert_msg(strstr(rest, from) == NULL, "'%s' is there twice", from);
    snprintf(place, TEXT_BYTES - (size_t)(place - text), "%s%s", to, rest);
}

/* --- presets ---------------------------------------------------------------- */

START_TEST(presets_round_trip_through_yaml)
{
    const char *name = core_spec_preset_name(_i);
    ck_assert_ptr_nonnull(name);
    core_spec spec, again;
    bool is_checkpoint = true;
    char text[TEXT_BYTES];
    ck_assert_int_eq(core_spec_open(&spec, name, &is_checkpoint), CORE_OK);
    ck_assert(!is_checkpoint);
    ck_assert_str_eq(spec.name, name);
    ck_assert_int_eq(core_spec_validate(&spec), CORE_OK);
    to_yaml(&spec, text);
    ck_assert_msg(core_spec_parse_yaml(&again, text, "text") == CORE_OK, "%s",
                  core_message());
    ck_assert_mem_eq(&spec, &again, sizeof spec);
}
END_TEST

static core_spec preset(const char *name)
{
    core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, name, NULL), CORE_OK);
    return spec;
}

START_TEST(seed_has_its_published_size)
{
    const core_spec spec = preset("seed-30b");
    const int64_t experts = INT64_C(16) * 64 * 2 * 1024 * 14336;
    const int64_t rest = INT64_C(32000) * 1024 + 1024 +
                         16 * (4 * 1024 * 1024 + 2 * 1024 + 64 * 1024);
    ck_assert_int_eq(experts, 30064771072);
    ck_assert_int_eq(core_spec_parameters(&spec), experts + rest);
    ck_assert_int_eq(core_spec_active_parameters(&spec), experts / 64 + rest);
}
END_TEST

START_TEST(parameters_of_an_uneven_model)
{
    const core_spec spec = preset("shadow-b");
    const int64_t attention = 2 * 90 + 2 * 90 * 168 + 2 * 90 * 42;
    const int64_t expert = 2 * 90 * 45;
    ck_assert_int_eq(core_spec_parameters(&spec),
                     101 * 90 + 90 + 5 * attention +
                         4 * (26 * 90 + 26 * expert) + 2 * 90 * 77);
    ck_assert_int_eq(core_spec_count_moe(&spec, 0, 5), 4);
    ck_assert_int_eq(core_spec_count_moe(&spec, 1, 3), 1);
    ck_assert_int_eq(core_spec_n_mlp(&spec, 2), 77);
    ck_assert_int_eq(core_spec_n_mlp(&spec, 3), 0);
    const core_spec a = preset("shadow-a");
    ck_assert_int_eq(core_spec_n_mlp(&a, 3), 34);
}
END_TEST

/* Each size fits by itself; their product would wrap to something harmless. */
START_TEST(a_model_beyond_counting_is_refused)
{
    core_spec spec;
    ck_assert_int_eq(core_spec_open(&spec, "shadow-b", NULL), CORE_OK);
    spec.n_d = 1 << 20;
    spec.n_f = 1 << 20;
    ck_assert_int_eq(core_spec_validate(&spec), CORE_OK);
    spec.n_d = spec.n_f = spec.n_e = INT32_MAX;
    ck_assert_int_eq(core_spec_validate(&spec), CORE_E_SPEC);
    ck_assert(strstr(core_message(), "at most 2^50") != NULL);
}
END_TEST

START_TEST(capacity_is_evaluated_left_to_right_in_double)
{
    core_spec spec = preset("seed-30b");
    spec.n_e = 10; /* (1000/10)*1.1 is above 110 in double */
    ck_assert_int_eq(core_spec_capacity(&spec, 1000), 111);
    spec.n_e = 8;
    ck_assert_int_eq(core_spec_capacity(&spec, 1024), 141);
    ck_assert_int_eq(core_spec_capacity(&spec, 0), 0);
    spec.capacity.rule = CORE_CAPACITY_ABSOLUTE;
    spec.capacity.absolute = 3;
    ck_assert_int_eq(core_spec_capacity(&spec, 1024), 3);
    spec.capacity.rule = CORE_CAPACITY_NONE;
    ck_assert_int_eq(core_spec_capacity(&spec, 1024), INT64_MAX);
}
END_TEST

START_TEST(unknown_model_lists_the_presets)
{
    core_spec spec;
    core_message_clear();
    ck_assert_int_eq(core_spec_open(&spec, "seed-31b", NULL), CORE_E_SPEC);
    ck_assert_ptr_nonnull(strstr(core_message(), "seed-31b"));
    for (int i = 0; core_spec_preset_name(i) != NULL; i++)
        ck_assert_ptr_nonnull(
            strstr(core_message(), core_spec_preset_name(i)));
    ck_assert_ptr_null(core_spec_preset_name(-1));
    ck_assert_ptr_null(core_spec_preset_name(4));
}
END_TEST

/* --- spec files ------------------------------------------------------------- */

typedef struct change {
    const char *from, *to, *message;
} change;

static const change BAD_YAML[] = {
    {"layers: 7\n", "", "good.yaml: layers: missing"},
    {"layers: 7\n", "layers: 257\n", "good.yaml: layers: 257, expected 1 to 256"},
    {"  theta: 10000\n", "", "good.yaml: rope.theta: missing"},
    {"hidden: 60\n", "hidden: 60\nhiddn: 60\n",
     "good.yaml:5:1: hiddn: unknown field, is it 'hidden'?"},
    {"  router: true\n", "  router: true\n  roter: true\n",
     "good.yaml:28:3: bias.roter: unknown field"},
    {"hidden: 60\n", "hidden: 60\nhidden: 60\n",
     "good.yaml:5:1: hidden: given twice, first in line 4"},
    {"  domain: group\n", "  domain: group\n  domain: group\n",
     "capacity.domain: given twice"},
    {"heads: 10\nkv", "heads: ten\nkv", "good.yaml:5:8: heads: 'ten', expected "
                                        "an integer"},
    {"heads: 10\nkv", "heads: 10.0\nkv", "expected an integer"},
    {"heads: 10\nkv", "heads: [10]\nkv", "heads[]: unknown field"},
    {"sliding_window: 0\n", "sliding_window: 0\nseen: 3\n",
     "seen: does not apply to this model"},
    {"sliding_window: 0\n", "sliding_window: 0\nsight: chosen\n",
     "good.yaml: seen: missing"},
    {"sliding_window: 0\n", "sliding_window: 0\nsight: kept\n",
     "layer 0 keeps a choice of keys that no layer before it makes"},
    {"sliding_window: 0\n", "sliding_window: 0\nsight: chosen\nseen: 3\n",
     "layer 0 chooses keys, but the model has nothing to choose by"},
    {"sliding_window: 0\n",
     "sliding_window: 0\nsight: chosen\nseen: 3\nindexer:\n  heads: 2\n  "
     "size: 7\n",
     "the indexer expects latent.query_rank"},
    {"heads: 10\nkv", "heads:\nkv", "heads: '', expected an integer"},
    {"gated: true", "gated: true\nlimits:\n  mlp: [0, 1]",
     "limits.mlp: a list of 2, expected one entry for each of 7 layers"},
    {"gated: true", "gated: true\nlimits:\n  experts: few",
     "limits.experts: 'few', expected a number"},
    {"gated: true", "gated: true\nlimits:\n  experts: -1",
     "limits.experts -1, expected 0 or a positive"},
    {"gated: true", "gated: false\nlimits:\n  experts: 1",
     "limits.experts: needs gated true"},
    {"norm_eps: 1e-05", "norm_eps: 1e308",
     "norm_eps 1e+308, expected a number from 1e-30 to 1"},
    {"norm_eps: 1e-05", "norm_eps: 1e-300", "expected a number from 1e-30"},
    {"theta: 10000", "theta: 1e308",
     "rope.theta 1e+308, expected a positive number from 1e-30 to 1e+30"},
    {"gated: true", "gated: true\nlimits:\n  experts: 1e308",
     "limits.experts 1e+308, expected 0 or a positive number up to 1e+30"},
    {"layers: 7", "layers: 6", "ffn: a list of 7, expected one entry for each "
                               "of 6 layers"},
    {"dense_inner: 44", "dense_inner: 0", "layer 2 is dense"},
    {"activation: silu", "activation: swish",
     "one of silu, gelu, gelu_tanh, relu"},
    {"activation: silu", "activation: relu2", "relu2 needs gated false"},
    {"activation: silu", "activation: silu\nactivation_limit: 2",
     "activation_limit: does not apply"},
    {"activation: silu", "activation: clamped_swiglu\nactivation_limit: -1",
     "activation_limit -1, expected 0 or a positive number"},
    {"activation: silu", "activation: clamped_swiglu\nactivation_alpha: -1",
     "activation_alpha -1, expected 0 or a positive number"},
    {"norm_eps: 1e-05", "norm_eps: 1e-05\nsight: chosen\nseen: 3\n"
                        "block_index:\n  head_size: 7\n  keys: 2\n  local: 3",
     "block_index.local 3, expected 1 to 2"},
    {"norm_eps: 1e-05", "norm_eps: 1e-05\nsight: chosen\nseen: 3\n"
                        "block_index:\n  head_size: 5\n  keys: 2\n  local: 1",
     "block_index.head_size 5, expected 6 to 60"},
    {"ffn: [moe, moe,", "mixer: [none, none, attention, attention, attention, "
                        "attention, attention]\nffn: [moe, none,",
     "layer 1 has neither a mixer nor a feed-forward part"},
    {"scaling: plain", "scaling: plain\n  turned: 4",
     "rope.turned 4, expected 0 to 3"},
    {"norm_eps", "post_norm: true\nnorm: layer\nnorm_eps",
     "post_norm and branch_norm go with norm rms and rms_plus_one alone"},
    {"shared_inner: 34", "shared_inner: 0\nbranch_norm: true",
     "branch_norm needs a shared expert"},
    {"dropped: zero", "dropped: passthrough\nbranch_norm: true",
     "branch_norm does not go with passthrough"},
    {"norm_eps", STREAMS "layer_scale: true\nnorm_eps",
     "hyper.streams go with no"},
    {"norm_eps", STREAMS LOOKS_BACK "norm_eps",
     "attention_residual.block does not go with hyper.streams"},
    {"norm_eps", LOOKS_BACK "layer_scale: true\nnorm_eps",
     "do not go with attention_residual.block"},
    {"norm_eps", LOOKS_BACK "post_norm: true\nnorm_eps",
     "do not go with attention_residual.block"},
    {"gated: true", "attention:\n  values_are_keys: true\n  clip: 2\ngated: true",
     "attention.values_are_keys goes with neither a value_size of its own"},
    {"gated: true", "value_size: 5\nattention:\n  values_are_keys: true\n"
                    "gated: true",
     "attention.values_are_keys goes with neither a value_size of its own"},
    {"kv_heads: 5\n", "kv_heads: 10\nvalue_size: 5\nrotated: 2\nlatent:\n"
                      "  kv_rank: 9\n  query_rank: 0\nattention:\n"
                      "  value_norm: true\n",
     "attention.value_norm does not go with latent keys"},
    {"gated: true", "router:\n  scores: softmax_top\n  expert_scale: true\n"
                    "gated: true",
     "router.expert_scale needs router.scores softmax or sigmoid"},
    {"gated: true", "scale:\n  logits_cap: -1\ngated: true",
     "scale.logits_cap -1, expected 0 or a positive number"},
    {"gated: true", "gated: yes", "true or false"},
    {"renormalise: true", "renormalise: 1", "true or false"},
    {"scaling: plain", "scaling: plain\n  factor: 2",
     "rope.factor: does not apply"},
    {"scaling: plain", "scaling: linear", "rope.factor: missing"},
    {"scaling: plain", "scaling: linear\n  factor: 0", "rope.factor 0"},
    {"rule: factor", "rule: none", "capacity.factor: does not apply"},
    {"factor: 1.15", "factor: -1", "capacity.factor -1"},
    {"factor: 1.15", "factor: nan", "'nan', expected a number"},
    {"factor: 1.15", "factor: 0x1", "'0x1', expected a number"},
    {"norm_eps: 1e-05", "norm_eps: 0", "norm_eps 0"},
    {"kv_heads: 5", "kv_heads: 4", "not a multiple of kv_heads 4"},
    {"head_size: 6", "head_size: 7", "head_size 7, expected an even number"},
    {"experts_per_token: 3", "experts_per_token: 21",
     "experts_per_token 21, expected 1 to 20"},
    {"layers: 7", "layers: 0", "layers"},
    {"hidden: 60", "hidden: 99999999999", "hidden 99999999999"},
    {"hidden: 60", "hidden: 99999999999999999999", "expected an integer"},
    {"twin_expert: 7", "twin_expert: 19", "twin_expert 19, expected -1 or 0 to "
                                          "18"},
    {"twin_expert: 7", "twin_expert: 7\n--- {}", "a second document"},
    {"name: good", "name: go od", "expected letters"},
    {"rope:\n", "rope: [\n", "good.yaml:18: no valid YAML at 'scaling: plain': "
                             "look for a bracket"},
    {"family: seed", "family: switch", "switch_block: missing"},
    {"family: seed", "family: mistral",
     "'mistral', expected one of seed, mixtral, switch, qwen2_moe, qwen3_moe, "
     "olmoe, gpt_oss, deepseek_v2, deepseek_v3, glm4_moe, dots1, llama4, "
     "granitemoe, phimoe, jamba"},
};

static void check_refused(core_status status, const change *bad)
{
    ck_assert_msg(status == CORE_E_SPEC || status == CORE_E_FORMAT,
                  "'%s' -> '%s': %s", bad->from, bad->to,
                  core_status_name(status));
    ck_assert_msg(strstr(core_message(), bad->message) != NULL,
                  "message '%s' lacks '%s'", core_message(), bad->message);
    ck_assert_ptr_null(strchr(core_message(), '\n'));
}

START_TEST(bad_yaml_is_refused)
{
    const change *bad = &BAD_YAML[_i];
    char text[TEXT_BYTES];
    core_spec spec = {.n_l = 77};
    read_file(text, TEST_DATA_DIR "/spec/good.yaml");
    substitute(text, bad->from, bad->to);
    core_message_clear();
    check_refused(core_spec_parse_yaml(&spec, text, "good.yaml"), bad);
    ck_assert_int_eq(spec.n_l, 77);
}
END_TEST

/* What of these goes together is read. */
START_TEST(branches_are_read)
{
    static const change good[] = {
        {"scaling: plain", "scaling: plain\n  turned: 3", NULL},
        {"norm_eps", "post_norm: true\nbranch_norm: true\nlayer_scale: true\n"
                     "norm: rms_plus_one\nnorm_eps",
         NULL},
        {"gated: true",
         "attention:\n  values_are_keys: true\n  value_norm: true\n"
         "router:\n  norm: true\n  expert_scale: true\n"
         "scale:\n  logits_cap: 30\ngated: true",
         NULL}};
    char text[TEXT_BYTES];
    core_spec s;
    read_file(text, TEST_DATA_DIR "/spec/good.yaml");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        substitute(text, good[i].from, good[i].to);
    core_message_clear();
    ck_assert_msg(core_spec_parse_yaml(&s, text, "good.yaml") == CORE_OK, "%s",
                  core_message());
    ck_assert(s.post_norm && s.branch_norm && s.layer_scale && s.router_norm);
    ck_assert(s.expert_scale && s.value_norm && s.logits_cap == 30.0);
    ck_assert(core_spec_heads(&s, 0).v_is_k && s.rope.n_turned == 3);
}
END_TEST

START_TEST(other_text_is_no_spec)
{
    static const char *const TEXTS[] = {"", "# nothing", "- 1", "7", "\t{",
                                        "{a: &x 1, b: *x}", "? [a]\n: 1"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        core_spec spec;
        core_message_clear();
        const core_status status =
            core_spec_parse_yaml(&spec, TEXTS[i], "some.yaml");
        ck_assert_msg(status == CORE_E_SPEC || status == CORE_E_FORMAT, "%s",
                      TEXTS[i]);
        ck_assert_ptr_nonnull(strstr(core_message(), "some.yaml:"));
    }
}
END_TEST

START_TEST(a_good_file_opens_with_every_field)
{
    core_spec spec, again;
    bool is_checkpoint = true;
    char text[TEXT_BYTES];
    ck_assert_msg(core_spec_open(&spec, TEST_DATA_DIR "/spec/good.yaml",
                                 &is_checkpoint) == CORE_OK,
                  "%s", core_message());
    ck_assert(!is_checkpoint);
    core_spec want = preset("shadow-a");
    memset(want.name, 0, sizeof want.name);
    memcpy(want.name, "good", 4);
    want.ffn[2] = CORE_FFN_DENSE;
    want.n_f_dense = 44;
    ck_assert_mem_eq(&spec, &want, sizeof spec);
    read_file(text, TEST_DATA_DIR "/spec/good.yaml");
    substitute(text, "scaling: plain",
               "scaling: yarn\n  factor: 4\n  beta_fast: 32\n  beta_slow: 1\n"
               "  original_positions: 64\n  attention_factor: "
               "1.1386294361119891\n  truncate: false");
    substitute(text, "rule: factor\n  factor: 1.15",
               "rule: absolute\n  slots: 9");
    ck_assert_msg(core_spec_parse_yaml(&spec, text, "yarn") == CORE_OK, "%s",
                  core_message());
    ck_assert(!spec.rope.truncate && spec.rope.original_positions == 64.0);
    ck_assert_int_eq(spec.capacity.absolute, 9);
    to_yaml(&spec, text);
    ck_assert_int_eq(core_spec_parse_yaml(&again, text, "again"), CORE_OK);
    ck_assert_mem_eq(&spec, &again, sizeof spec);
}
END_TEST

/* --- config.json ------------------------------------------------------------ */

static const change BAD_MIXTRAL[] = {
    {"\"mixtral\"", "\"mistral\"", "model_type: 'mistral' is not supported"},
    {"  \"model_type\": \"mixtral\",\n", "", "model_type: missing"},
    {"  \"num_key_value_heads\": 2,\n", "", "kv_heads 8, expected 1 to 4"},
    {"\"hidden_size\": 64", "\"hidden_size\": null", "hidden_size: missing"},
    {"\"hidden_size\": 64", "\"hidden_size\": \"64\"", "expected a number"},
    {"\"hidden_size\": 64", "\"hidden_size\": 64.5", "64.5, expected an integer"},
    {"\"hidden_size\": 64", "\"hidden_size\": 62", "hidden_size 62, not a "
                                                   "multiple"},
    {"\"hidden_size\": 64", "\"hidden_size\": -64", "expected an integer from 1"},
    {"\"silu\"", "\"swishy\"", "hidden_act: 'swishy' is not supported"},
    {"\"yarn\"", "\"longrope\"", "rope_type: 'longrope' is not supported"},
    {"\"yarn\"", "\"llama3\"", "low_freq_factor: missing"},
    {"\"rope_type\": \"yarn\", ", "", "rope_scaling: not read"},
    {"\"factor\": 4, ", "", "factor: missing"},
    {"\"sliding_window\": 8", "\"sliding_window\": 0", "sliding_window: 0"},
    {"\"tie_word_embeddings\": true", "\"tie_word_embeddings\": 1",
     "tie_word_embeddings: expected true or false"},
    {"\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 9",
     "experts_per_token 9, expected 1 to 8"},
    {"\"vocab_size\": 160", "\"vocab_size\": 160, \"quantization_config\": {}",
     "quant_method: missing"},
    {"\"vocab_size\": 160", "\"vocab_size\": 160,", "mixtral.json:"},
    {"\"rope_theta\": 10000",
     "\"rope_theta\": 1e4, \"partial_rotary_factor\": 0.5",
     "partial_rotary_factor: not supported for mixtral"},
};

static const change BAD_SWITCH[] = {
    {"\"expert_capacity\": 3", "\"expert_capacity\": 0", "expert_capacity: 0"},
    {"\"gelu_new\"", "\"gated-gelu\"", "dense_act_fn: 'gated-gelu'"},
    {"\"encoder_sparse_step\": 2", "\"encoder_sparse_step\": 0",
     "encoder_sparse_step: 0, expected an integer from 1"},
    {"\"float32\"", "\"bfloat16\"", "router_dtype: 'bfloat16'"},
};

static void check_bad_config(const char *file, const change *bad)
{
    char path[512], text[TEXT_BYTES];
    core_spec spec = {.n_l = 77};
    snprintf(path, sizeof path, TEST_DATA_DIR "/spec/%s", file);
    read_file(text, path);
    ck_assert_msg(core_spec_parse_config(&spec, text, file) == CORE_OK, "%s",
                  core_message());
    spec.n_l = 77;
    substitute(text, bad->from, bad->to);
    core_message_clear();
    check_refused(core_spec_parse_config(&spec, text, file), bad);
    ck_assert_int_eq(spec.n_l, 77);
}

START_TEST(bad_mixtral_is_refused)
{
    check_bad_config("mixtral.json", &BAD_MIXTRAL[_i]);
}
END_TEST

START_TEST(bad_switch_is_refused)
{
    check_bad_config("switch.json", &BAD_SWITCH[_i]);
}
END_TEST

static core_spec mixtral_with(const char *from, const char *to)
{
    char text[TEXT_BYTES];
    core_spec spec;
    read_file(text, TEST_DATA_DIR "/spec/mixtral.json");
    substitute(text, from, to);
    core_message_clear();
    ck_assert_msg(core_spec_parse_config(&spec, text, "mixtral.json") ==
                      CORE_OK,
                  "%s", core_message());
    return spec;
}

START_TEST(mixtral_fields)
{
    core_spec spec = mixtral_with("\"silu\"", "\"silu\"");
    ck_assert_int_eq(spec.family, CORE_FAMILY_MIXTRAL);
    ck_assert_int_eq(spec.n_dh, 16);
    ck_assert_int_eq(spec.n_f, 40);
    ck_assert_int_eq(spec.sliding_window, 8);
    ck_assert(spec.gated && spec.renormalise && spec.tied);
    ck_assert_int_eq(spec.capacity.rule, CORE_CAPACITY_NONE);
    ck_assert(spec.rope.theta == 10000.0 && spec.rope.factor == 4.0);
    ck_assert(spec.rope.original_positions == 64.0 && spec.rope.truncate);
    ck_assert(spec.rope.beta_fast == 32.0 && spec.rope.beta_slow == 1.0);
    spec = mixtral_with("\"head_dim\": null", "\"head_dim\": 24");
    ck_assert_int_eq(spec.n_dh, 24);
    spec = mixtral_with("\"head_dim\": null,\n", "");
    ck_assert_int_eq(spec.n_dh, 16);
    spec = mixtral_with("\"num_key_value_heads\": 2",
                        "\"num_key_value_heads\": null");
    ck_assert_int_eq(spec.n_g, 4);
    spec = mixtral_with("\"sliding_window\": 8", "\"sliding_window\": null");
    ck_assert_int_eq(spec.sliding_window, 0);
    spec = mixtral_with("  \"tie_word_embeddings\": true,\n", "");
    ck_assert(!spec.tied);
    spec = mixtral_with("\"rope_type\": \"yarn\"", "\"type\": \"linear\"");
    ck_assert_int_eq(spec.rope.scaling, CORE_ROPE_LINEAR);
    ck_assert(spec.rope.attention_factor == 1.0);
}
END_TEST

START_TEST(yarn_attention_factor)
{
    const double ln4 = 1.3862943611198906;
    const char *from = "\"factor\": 4,";
    core_spec spec = mixtral_with(from, from);
    ck_assert_double_eq_tol(spec.rope.attention_factor, 0.1 * ln4 + 1.0, 1e-15);
    spec = mixtral_with(from, "\"factor\": 4, \"attention_factor\": 1.5,");
    ck_assert(spec.rope.attention_factor == 1.5);
    spec = mixtral_with(
        from, "\"factor\": 4, \"mscale\": 0.7, \"mscale_all_dim\": 0.5,");
    ck_assert_double_eq_tol(spec.rope.attention_factor,
                            (0.07 * ln4 + 1.0) / (0.05 * ln4 + 1.0), 1e-15);
    spec = mixtral_with(
        from, "\"factor\": 4, \"mscale\": 0.7, \"mscale_all_dim\": 0,");
    ck_assert_double_eq_tol(spec.rope.attention_factor, 0.1 * ln4 + 1.0, 1e-15);
    spec = mixtral_with(from, "\"factor\": 0.5,");
    ck_assert(spec.rope.attention_factor == 1.0);
    spec = mixtral_with(", \"original_max_position_embeddings\": 64", "");
    ck_assert(spec.rope.original_positions == 256.0);
}
END_TEST

START_TEST(switch_fields)
{
    char text[TEXT_BYTES];
    core_spec spec;
    read_file(text, TEST_DATA_DIR "/spec/switch.json");
    ck_assert_int_eq(core_spec_parse_config(&spec, text, "x"), CORE_OK);
    ck_assert(spec.n_h == 0 && spec.n_l == 1 && spec.n_k == 1);
    ck_assert(spec.n_d == 48 && spec.n_f == 40 && spec.n_e == 6);
    ck_assert_int_eq(spec.act, CORE_ACT_GELU_TANH);
    ck_assert_int_eq(spec.switch_block, 1);
    ck_assert_int_eq(spec.capacity.rule, CORE_CAPACITY_ABSOLUTE);
    ck_assert_int_eq(spec.capacity.domain, CORE_DOMAIN_SEQUENCE);
    ck_assert_int_eq(spec.capacity.absolute, 3);
    ck_assert(spec.bias_router && !spec.gated && !spec.renormalise);
    substitute(text, "\"encoder_sparse_step\": 2", "\"encoder_sparse_step\": 1");
    ck_assert_int_eq(core_spec_parse_config(&spec, text, "x"), CORE_OK);
    ck_assert_int_eq(spec.switch_block, 0);
}
END_TEST

/* --- fields set one by one -------------------------------------------------- */

START_TEST(what_is_set_is_as_if_the_file_said_so)
{
    const char *const set[] = {"rope.scaling=linear", "rope.factor=2.5",
                               "ffn=[moe, dense, moe, moe, moe]",
                               "attention.clip=8", "capacity.rule=none"};
    core_spec spec = preset("shadow-b"), want = spec;
    want.rope.scaling = CORE_ROPE_LINEAR;
    want.rope.factor = 2.5;
    want.ffn[1] = CORE_FFN_DENSE;
    want.ffn[2] = CORE_FFN_MOE;
    want.clip_qkv = 8.0;
    want.capacity.rule = CORE_CAPACITY_NONE;
    want.capacity.factor = 0.0; /* a line that no longer applies */
    ck_assert_msg(core_spec_set(&spec, set, 5) == CORE_OK, "%s",
                  core_message());
    ck_assert_mem_eq(&spec, &want, sizeof spec);
    ck_assert(core_spec_set(&spec, set, 0) == CORE_OK);
    ck_assert_mem_eq(&spec, &want, sizeof spec);
}
END_TEST

static const struct bad_set {
    const char *set[2];
    core_status status;
    const char *message;
} BAD_SETS[] = {
    {{"norm_eps"}, CORE_E_USAGE, "--set: expected FIELD=VALUE, found 'norm_eps'"},
    {{"=1"}, CORE_E_USAGE, "--set: expected FIELD=VALUE, found '=1'"},
    {{"norm_eps=1", "norm_eps=2"},
     CORE_E_USAGE,
     "--set norm_eps=2: set already by norm_eps=1"},
    {{"norm_eps=x"}, CORE_E_SPEC, "--set norm_eps=x: norm_eps: 'x', expected a"},
    {{"norm_esp=1"}, CORE_E_SPEC, "unknown field, is it 'norm_eps'?"},
    {{"ffn=[]"}, CORE_E_SPEC, "--set ffn=[]: expected a value"},
    {{"ffn=[moe]"}, CORE_E_SPEC, "--set: ffn: a list of 1, expected one entry"},
    {{"rope.factor=2"},
     CORE_E_SPEC,
     "--set rope.factor=2: rope.factor: does not apply to this model"},
    {{"rope.scaling=linear"}, CORE_E_SPEC, "--set: rope.factor: missing"},
    {{"experts_per_token=99"}, CORE_E_SPEC, "setting experts_per_token=99"},
};

START_TEST(what_cannot_be_set_changes_nothing)
{
    const struct bad_set *bad = &BAD_SETS[_i];
    const core_spec before = preset("shadow-a");
    core_spec spec = before;
    core_message_clear();
    ck_assert_int_eq(
        core_spec_set(&spec, bad->set, bad->set[1] == NULL ? 1 : 2),
        bad->status);
    ck_assert_msg(strstr(core_message(), bad->message) != NULL, "%s",
                  core_message());
    ck_assert_mem_eq(&spec, &before, sizeof spec);
}
END_TEST

static const struct other_weights {
    const char *set; /* of shadow-a: can its weights serve? */
    const char *message;
} OTHER_WEIGHTS[] = {
    {"bias.qkv=false", NULL},
    {"layers=2", NULL},
    {"norm=layer", "no such tensor"},
    {"layers=8", "layers.7."},
    {"vocabulary=38", "[38,60]: asked for, and the weights that are there have "
                      "another shape"},
    {"experts=21", "another shape"},
    {"tied_head=true", "tied_head true"},
};

START_TEST(weights_serve_a_model_that_asks_for_no_others)
{
    const struct other_weights *other = &OTHER_WEIGHTS[_i];
    const core_spec there = preset("shadow-a");
    core_spec spec = there;
    ck_assert(core_spec_set(&spec, &other->set, 1) == CORE_OK);
    core_message_clear();
    const core_status status = core_weight_check_within(&spec, &there);
    ck_assert_int_eq(status, other->message == NULL ? CORE_OK : CORE_E_SPEC);
    ck_assert_msg(other->message == NULL ||
                      strstr(core_message(), other->message) != NULL,
                  "%s", core_message());
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

int main(void)
{
    Suite *suite = suite_create("core_spec");
    TCase *tcase = tcase_create("spec");
    tcase_add_loop_test(tcase, presets_round_trip_through_yaml, 0, 4);
    tcase_add_test(tcase, seed_has_its_published_size);
    tcase_add_test(tcase, parameters_of_an_uneven_model);
    tcase_add_test(tcase, a_model_beyond_counting_is_refused);
    tcase_add_test(tcase, capacity_is_evaluated_left_to_right_in_double);
    tcase_add_test(tcase, unknown_model_lists_the_presets);
    tcase_add_test(tcase, a_good_file_opens_with_every_field);
    tcase_add_loop_test(tcase, bad_yaml_is_refused, 0, COUNT(BAD_YAML));
    tcase_add_test(tcase, branches_are_read);
    tcase_add_test(tcase, other_text_is_no_spec);
    tcase_add_loop_test(tcase, bad_mixtral_is_refused, 0, COUNT(BAD_MIXTRAL));
    tcase_add_loop_test(tcase, bad_switch_is_refused, 0, COUNT(BAD_SWITCH));
    tcase_add_test(tcase, mixtral_fields);
    tcase_add_test(tcase, yarn_attention_factor);
    tcase_add_test(tcase, switch_fields);
    tcase_add_test(tcase, what_is_set_is_as_if_the_file_said_so);
    tcase_add_loop_test(tcase, what_cannot_be_set_changes_nothing, 0,
                        COUNT(BAD_SETS));
    tcase_add_loop_test(tcase, weights_serve_a_model_that_asks_for_no_others, 0,
                        COUNT(OTHER_WEIGHTS));
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
