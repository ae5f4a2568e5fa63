/* tests/unit/test_core_config.c -- the keys of a config.json: read, known to
 * change nothing, left to the class, or refused.
 *
 * One good text; every refusal is it with one string replaced, beside a twin
 * that is taken.
 */
#include "core/model/config.h"

#include "core/files/json.h"
#include "core/files/safetensors.h"
#include "core/weights/weights.h"
#include "tests/support/check_main.h"
#include "tests/support/scratch.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

enum { TEXT_BYTES = 4096 };

#define TEXT(...) #__VA_ARGS__

static const char QWEN[] = TEXT({
    "model_type" : "qwen3_moe",
    "architectures" : ["Qwen3MoeForCausalLM"],
    "hidden_size" : 16,
    "num_attention_heads" : 2,
    "num_key_value_heads" : 1,
    "head_dim" : 8,
    "num_hidden_layers" : 2,
    "vocab_size" : 24,
    "num_experts" : 4,
    "num_experts_per_tok" : 2,
    "moe_intermediate_size" : 8,
    "rms_norm_eps" : 1e-06,
    "max_position_embeddings" : 64,
    "rope_theta" : 5000.0,
    "use_cache" : true
});

/* QWEN with a member more, or instead of one that begins so. */
static void with(char text[TEXT_BYTES], const char *member)
{
    snprintf(text, TEXT_BYTES, "%.*s, %s}", (int)strlen(QWEN) - 1, QWEN,
             member);
}

static void replaced(char text[TEXT_BYTES], const char *from, const char *to)
{
    const char *at = strstr(QWEN, from);
    ck_assert_msg(at != NULL, "'%s' is not in the good text", from);
    snprintf(text, TEXT_BYTES, "%.*s%s%s", (int)(at - QWEN), QWEN, to,
             at + strlen(from));
}

static core_spec taken(const char *text, core_config_facts *facts,
                       const core_overrides *overrides)
{
    core_spec spec;
    core_message_clear();
    ck_assert_msg(
        core_config_parse(&spec, facts, overrides, text, "config.json") == CORE_OK,
        "%s: %s", core_message(), text);
    return spec;
}

static void refused(const char *text, const char *message)
{
    core_spec spec = {.n_l = 77};
    core_config_facts facts = {.n_ahead = 77};
    core_message_clear();
    ck_assert_msg(core_config_parse(&spec, &facts, NULL, text, "config.json") ==
                      CORE_E_SPEC,
                  "taken: %s", text);
    ck_assert_msg(strstr(core_message(), message) != NULL &&
                      strstr(core_message(), "config.json") != NULL,
                  "'%s' lacks '%s'", core_message(), message);
    ck_assert(spec.n_l == 77 && facts.n_ahead == 77);
}

/* --- keys that nobody reads ------------------------------------------------
 */

static const struct {
    const char *member, *key;
    const char
        *off; /* the same key, switched off; NULL: there is no such value */
} UNREAD[] = {
    {"\"scoring_func\": \"sigmoid\"", "scoring_func", "\"scoring_func\": null"},
    {"\"routed_scaling_factor\": 2.5", "routed_scaling_factor",
     "\"routed_scaling_factor\": 1"},
    {"\"n_shared_experts\": 1", "n_shared_experts", "\"n_shared_experts\": 0"},
    {"\"final_logit_softcapping\": 30.0", "final_logit_softcapping",
     "\"final_logit_softcapping\": null"},
    {"\"swiglu_limit\": 7.0", "swiglu_limit", "\"swiglu_limit\": null"},
    {"\"layer_types\": [\"full_attention\", \"sliding_attention\"]",
     "layer_types",
     "\"layer_types\": [\"full_attention\", \"full_attention\"]"},
    {"\"per_layer_config\": {\"0\": {\"head_dim\": 4}}", "per_layer_config",
     "\"per_layer_config\": null"},
    {"\"lm_head_bias\": true", "lm_head_bias", "\"lm_head_bias\": false"},
    {"\"rope_scaling\": {\"rope_type\": \"default\", \"factor\": 4}",
     "rope_scaling.factor", "\"rope_scaling\": {\"rope_type\": \"default\"}"},
    {"\"a_new_key\": 1", "a_new_key", NULL},
    {"\"one\": 1, \"two\": [2]", "one, two", NULL},
};

START_TEST(a_key_that_nobody_reads_is_refused)
{
    char text[TEXT_BYTES], message[256];
    with(text, UNREAD[_i].member);
    snprintf(message, sizeof message,
             "%s: not read for model_type qwen3_moe, may change the result",
             UNREAD[_i].key);
    refused(text, message);
    if (UNREAD[_i].off == NULL)
        return;
    with(text, UNREAD[_i].off);
    const core_spec plain = taken(QWEN, NULL, NULL);
    const core_spec off = taken(text, NULL, NULL);
    ck_assert_mem_eq(&plain, &off, sizeof plain);
}
END_TEST

/* Of a damaged file, even where nobody reads the key; and the twin. */
static const struct {
    const char *member, *message, *twin;
} DAMAGED[] = {
    {"\"router_aux_loss_coef\": 1e308",
     "router_aux_loss_coef 1e+308, expected a number up to 1e+30",
     "\"router_aux_loss_coef\": 0.001"},
    {"\"router_jitter_noise\": -1e31",
     "router_jitter_noise -1e+31, expected a number up to 1e+30",
     "\"router_jitter_noise\": 0.0"},
    {"\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 1e308}",
     "rope.factor 1e+308, expected a positive number from 1e-30 to 1e+30",
     "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0}"},
    {"\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
     "\"beta_fast\": 1e308}",
     "rope.beta_fast 1e+308, expected a positive number",
     "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
     "\"beta_fast\": 16}"},
};

START_TEST(no_file_holds_such_a_number)
{
    char text[TEXT_BYTES];
    with(text, DAMAGED[_i].member);
    refused(text, DAMAGED[_i].message);
    with(text, DAMAGED[_i].twin);
    (void)taken(text, NULL, NULL);
}
END_TEST

START_TEST(whoever_asks_goes_on_without_a_key)
{
    char text[TEXT_BYTES];
    core_config_facts facts;
    with(text, "\"swiglu_limit\": 7.0, \"per_layer_config\": {\"0\": 1}, "
               "\"rope_scaling\": {\"rope_type\": \"default\", \"factor\": 4}");
    const core_overrides some = {
        .key = {"swiglu_limit", "per_layer_config"}, .n_key = 2};
    core_spec spec;
    ck_assert_int_eq(core_config_parse(&spec, NULL, &some, text, "config.json"),
                     CORE_E_SPEC);
    ck_assert_ptr_nonnull(strstr(core_message(), ": rope_scaling.factor: not"));
    const core_overrides all = {
        .key = {"swiglu_limit", "per_layer_config", "factor"}, .n_key = 3};
    taken(text, &facts, &all);
    ck_assert_str_eq(facts.ignored,
                     "swiglu_limit, per_layer_config, rope_scaling.factor");
}
END_TEST

START_TEST(what_every_file_says_may_pass)
{
    char text[TEXT_BYTES];
    with(text, "\"bos_token_id\": 1, \"transformers_version\": \"5.24.0\", "
               "\"attention_dropout\": 0.1, \"output_router_logits\": true, "
               "\"auto_map\": {\"AutoConfig\": \"x.Y\"}, \"top_k\": 50, "
               "\"initializer_range\": 0.02, \"_name_or_path\": \"\"");
    taken(text, NULL, NULL);
}
END_TEST

/* --- what the class says ---------------------------------------------------
 */

START_TEST(an_absent_key_has_the_value_of_the_class_and_is_told)
{
    char text[TEXT_BYTES];
    core_config_facts facts;
    replaced(text, "\"rope_theta\" : 5000.0,", "");
    core_spec spec = taken(text, &facts, NULL);
    ck_assert(spec.rope.theta == 10000.0);
    ck_assert_msg(strstr(facts.defaults, "rope_theta 10000.0") != NULL, "%s",
                  facts.defaults);
    taken(QWEN, &facts, NULL);
    ck_assert(strstr(facts.defaults, "rope_theta") == NULL);
    ck_assert(strstr(facts.defaults, "decoder_sparse_step 1") != NULL);
    replaced(text, "\"num_key_value_heads\" : 1,", "");
    refused(text, "kv_heads 4, expected 1 to 2"); /* the class has 4 */
    replaced(text, "\"num_key_value_heads\" : 1",
             "\"num_key_value_heads\" : null");
    spec = taken(text, &facts, NULL);
    ck_assert_int_eq(spec.n_g, 2);
    replaced(text, "\"hidden_size\" : 16", "\"hidden_size\" : null");
    refused(text, "hidden_size: missing");
}
END_TEST

/* --- one fact in two generations -------------------------------------------
 */

static const struct {
    const char *from, *to;
    double theta;
    core_rope_scaling scaling;
} ROPES[] = {
    {"\"rope_theta\" : 5000.0", "\"rope_parameters\": {\"rope_theta\": 600.0}",
     600.0, CORE_ROPE_PLAIN},
    {"\"rope_theta\" : 5000.0",
     "\"rope_theta\": 700.0, \"rope_parameters\": {\"rope_type\": \"default\"}",
     700.0, CORE_ROPE_PLAIN},
    /* inside wins over beside */
    {"\"rope_theta\" : 5000.0",
     "\"rope_theta\": 700.0, \"rope_parameters\": {\"rope_theta\": 600.0}",
     600.0, CORE_ROPE_PLAIN},
    /* rope_scaling stands for all of rope_parameters */
    {"\"rope_theta\" : 5000.0",
     "\"rope_parameters\": {\"rope_theta\": 600.0}, \"rope_scaling\": "
     "{\"type\": \"linear\", \"factor\": 2}",
     10000.0, CORE_ROPE_LINEAR},
    {"\"rope_theta\" : 5000.0",
     "\"rope_parameters\": {\"rope_theta\": 600.0}, \"rope_scaling\": null",
     600.0, CORE_ROPE_PLAIN},
    {"\"rope_theta\" : 5000.0",
     "\"rope_parameters\": {\"rope_theta\": 600.0}, \"rope_scaling\": {}",
     600.0, CORE_ROPE_PLAIN},
    {"\"rope_theta\" : 5000.0",
     "\"rope_parameters\": {\"full_attention\": {\"rope_theta\": 800.0}, "
     "\"sliding_attention\": {\"rope_theta\": 800.0}}",
     800.0, CORE_ROPE_PLAIN},
};

START_TEST(rope_is_found_by_the_rules_of_transformers_5)
{
    char text[TEXT_BYTES];
    replaced(text, ROPES[_i].from, ROPES[_i].to);
    const core_spec spec = taken(text, NULL, NULL);
    ck_assert(spec.rope.theta == ROPES[_i].theta);
    ck_assert_int_eq(spec.rope.scaling, ROPES[_i].scaling);
}
END_TEST

START_TEST(what_was_passed_over_is_told)
{
    char text[TEXT_BYTES];
    core_config_facts facts;
    replaced(text, ROPES[3].from, ROPES[3].to);
    taken(text, &facts, NULL);
    ck_assert_str_eq(facts.passed_over, "rope_parameters (rope_scaling is "
                                        "taken, as transformers 5 does)");
}
END_TEST

START_TEST(the_length_of_the_training_stands_in_three_places)
{
    char text[TEXT_BYTES];
    with(text, "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}");
    ck_assert(taken(text, NULL, NULL).rope.original_positions == 64.0);
    with(text, "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, "
               "\"original_max_position_embeddings\": 16}");
    ck_assert(taken(text, NULL, NULL).rope.original_positions == 16.0);
    with(text, "\"original_max_position_embeddings\": 32, "
               "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, "
               "\"original_max_position_embeddings\": 16}");
    ck_assert(taken(text, NULL, NULL).rope.original_positions == 32.0);
}
END_TEST

START_TEST(two_generations_that_disagree_are_refused)
{
    char text[TEXT_BYTES];
    with(text, "\"num_local_experts\": 8");
    refused(text, "num_experts 4 and num_local_experts 8: two counts of one thing");
    with(text, "\"num_local_experts\": 4");
    ck_assert_int_eq(taken(text, NULL, NULL).n_e, 4);
    replaced(text, "\"num_experts\" : 4", "\"num_local_experts\" : 8");
    ck_assert_int_eq(taken(text, NULL, NULL).n_e, 8);
    replaced(text, "\"rope_theta\" : 5000.0",
             "\"rope_parameters\": {\"full_attention\": {\"rope_theta\": "
             "800.0}, \"sliding_attention\": {\"rope_theta\": 801.0}}");
    refused(text, "rope_parameters: sliding_attention differs from another");
}
END_TEST

START_TEST(the_newer_type_of_weights_is_told)
{
    char text[TEXT_BYTES];
    core_config_facts facts;
    with(text, "\"torch_dtype\": \"float32\", \"dtype\": \"bfloat16\"");
    taken(text, &facts, NULL);
    ck_assert_str_eq(facts.dtype, "bfloat16");
    with(text, "\"torch_dtype\": \"float32\"");
    taken(text, &facts, NULL);
    ck_assert_str_eq(facts.dtype, "float32");
}
END_TEST

START_TEST(layers_that_look_ahead_are_counted)
{
    char text[TEXT_BYTES];
    core_config_facts facts;
    with(text, "\"num_nextn_predict_layers\": 3");
    const core_spec spec = taken(text, &facts, NULL);
    ck_assert_int_eq(facts.n_ahead, 3);
    ck_assert_int_eq(spec.n_l, 2);
    taken(QWEN, &facts, NULL);
    ck_assert_int_eq(facts.n_ahead, 0);
}
END_TEST

/* --- families of settings ------------------------------------------------- */

#define SMALL                                                                  \
    "\"hidden_size\": 32, \"num_attention_heads\": 4, \"head_dim\": 8, "         \
    "\"num_key_value_heads\": 2, \"num_hidden_layers\": 4, \"vocab_size\": 40, " \
    "\"intermediate_size\": 12, "

START_TEST(dense_layers_are_said_in_two_ways)
{
    static const char *const LIST =
        ", \"mlp_layer_types\": [\"dense\", \"dense\", \"sparse\", "
        "\"sparse\"]";
    char text[TEXT_BYTES];
    const char *base = "{\"model_type\": \"glm4_moe_lite\", "
                       "\"hidden_size\": 32, \"num_attention_heads\": 4, "
                       "\"num_key_value_heads\": 4, \"num_hidden_layers\": 4, "
                       "\"vocab_size\": 40, \"n_routed_experts\": 8";
    snprintf(text, sizeof text, "%s}", base);
    core_spec s = taken(text, NULL, NULL); /* the class: the first */
    ck_assert(!core_spec_is_moe(&s, 0) && core_spec_is_moe(&s, 1));
    snprintf(text, sizeof text, "%s, \"first_k_dense_replace\": 3}", base);
    s = taken(text, NULL, NULL);
    ck_assert(!core_spec_is_moe(&s, 2) && core_spec_is_moe(&s, 3));
    snprintf(text, sizeof text, "%s%s}", base, LIST);
    s = taken(text, NULL, NULL);
    ck_assert(!core_spec_is_moe(&s, 1) && core_spec_is_moe(&s, 2));
    snprintf(text, sizeof text, "%s%s, \"first_k_dense_replace\": 2}", base,
             LIST);
    taken(text, NULL, NULL);
    snprintf(text, sizeof text, "%s%s, \"first_k_dense_replace\": 3}", base,
             LIST);
    refused(text, "first_k_dense_replace 3 and mlp_layer_types: layer 2 is "
                  "sparse");
}
END_TEST

START_TEST(a_rotated_part_is_said_in_two_ways)
{
    char text[TEXT_BYTES];
    const char *base = "{\"model_type\": \"minimax_m2\", " SMALL
                       "\"num_local_experts\": 8";
    snprintf(text, sizeof text, "%s, \"rotary_dim\": 4}", base);
    ck_assert_int_eq(taken(text, NULL, NULL).n_rot, 4);
    snprintf(text, sizeof text, "%s, \"rotary_dim\": 8}", base);
    ck_assert_int_eq(taken(text, NULL, NULL).n_rot, 0);
    snprintf(text, sizeof text,
             "%s, \"rotary_dim\": 4, \"partial_rotary_factor\": 0.5}", base);
    ck_assert_int_eq(taken(text, NULL, NULL).n_rot, 4);
    snprintf(text, sizeof text,
             "%s, \"rotary_dim\": 6, \"partial_rotary_factor\": 0.5}", base);
    refused(text, "rotary_dim 6 and a partial_rotary_factor of 4 elements");
    snprintf(text, sizeof text, "%s, \"attn_type_list\": [1, 1, 1, 0]}", base);
    refused(text, "attn_type_list: entry 3: only 1 is supported");
    snprintf(text, sizeof text, "%s, \"attn_type_list\": [1, 1, 1, 1]}", base);
    taken(text, NULL, NULL);
}
END_TEST

START_TEST(layers_of_ernie_and_exaone)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof text, "%s",
             "{\"model_type\": \"ernie4_5_moe\", " SMALL
             "\"moe_num_experts\": 8, \"moe_layer_start_index\": 1, "
             "\"moe_layer_end_index\": 2}");
    core_spec s = taken(text, NULL, NULL);
    for (int l = 0; l < 4; l++)
        ck_assert_int_eq(core_spec_is_moe(&s, l), l == 1 || l == 2);
    ck_assert(s.rope.interleaved && s.correction && s.n_k == 6);
    snprintf(text, sizeof text, "%s",
             "{\"model_type\": \"exaone_moe\", " SMALL
             "\"num_experts\": 8, \"sliding_window\": 3, "
             "\"sliding_window_pattern\": 2}");
    s = taken(text, NULL, NULL);
    for (int l = 0; l < 4; l++) {
        ck_assert_int_eq(s.span[l], l % 2 ? CORE_SPAN_FULL : CORE_SPAN_WINDOW);
        ck_assert_int_eq(s.no_rope[l], l % 2);
    }
}
END_TEST

/* --- wrappers --------------------------------------------------------------
 */

#define LLAMA4                                                                 \
    "{\"model_type\": \"llama4\", %s\"vision_config\": {\"hidden_size\": 7}, " \
    "\"image_token_index\": 9, \"text_config\": {%s\"hidden_size\": 32, "      \
    "\"num_attention_heads\": 4, \"head_dim\": 8, \"num_key_value_heads\": "   \
    "2, "                                                                      \
    "\"num_hidden_layers\": 2, \"vocab_size\": 40, \"intermediate_size\": "    \
    "12, "                                                                     \
    "\"num_local_experts\": 3}}"

START_TEST(the_text_part_of_a_wrapper_is_read)
{
    char text[TEXT_BYTES];
    core_config_facts facts;
    snprintf(text, sizeof text, LLAMA4, "", "");
    core_spec spec = taken(text, &facts, NULL);
    ck_assert_int_eq(spec.family, CORE_FAMILY_LLAMA4);
    ck_assert(spec.n_d == 32 && spec.n_e == 3 && spec.n_k == 1 && !spec.tied);
    ck_assert_str_eq(facts.model_type, "llama4");
    ck_assert_str_eq(facts.text_key, "text_config");
    ck_assert_str_eq(facts.passed_over, "vision_config");
    snprintf(text, sizeof text, LLAMA4, "\"tie_word_embeddings\": true, ",
             "\"tie_word_embeddings\": false, ");
    ck_assert(taken(text, NULL, NULL).tied); /* the whole decides */
    snprintf(text, sizeof text, LLAMA4, "",
             "\"model_type\": \"llama4_text\", ");
    taken(text, NULL, NULL);
}
END_TEST

START_TEST(a_wrapper_is_watched_inside_and_outside)
{
    char text[TEXT_BYTES];
    snprintf(text, sizeof text, LLAMA4, "\"a_new_key\": 1, ", "");
    refused(text, "a_new_key: not read for model_type llama4");
    snprintf(text, sizeof text, LLAMA4, "", "\"a_new_key\": 1, ");
    refused(text, "a_new_key: not read for model_type llama4");
    snprintf(text, sizeof text, LLAMA4, "",
             "\"model_type\": \"gemma4_vision\", ");
    refused(text, "model_type: 'gemma4_vision' is not supported");
    refused("{\"model_type\": \"llama4\", \"text_config\": 3}",
            "text_config: expected an object");
}
END_TEST

/* The tensors of a folder in another one, under other names, beside one more. */
static void copy_under(const char *to, const char *from, const char *inner,
                       const char *outer, const char *further)
{
    enum { MOST = 64, NAME_BYTES = 160 };
    static char names[MOST][NAME_BYTES];
    core_st_tensor tensors[MOST];
    core_st *in = NULL, *out = NULL;
    ck_assert_int_eq(core_st_open(&in, from), CORE_OK);
    const int64_t n = core_st_count(in);
    ck_assert_int_lt(n + 1, MOST);
    for (int64_t i = 0; i < n; i++) {
        const char *name = core_st_at(in, i)->name;
        tensors[i] = *core_st_at(in, i);
        tensors[i].name = names[i];
        if (strncmp(name, inner, strlen(inner)) == 0)
            snprintf(names[i], NAME_BYTES, "%s%s", outer, name + strlen(inner));
        else
            snprintf(names[i], NAME_BYTES, "%s", name);
    }
    tensors[n] = tensors[0];
    tensors[n].name = further;
    ck_assert_int_eq(core_st_create(&out, to, tensors, n + 1,
                                    (const char *const[]){NULL}),
                     CORE_OK);
    for (int64_t i = 0; i < n; i++)
        memcpy(core_st_find(out, names[i])->data, core_st_at(in, i)->data,
               core_st_at(in, i)->bytes);
    ck_assert_int_eq(core_st_commit(out), CORE_OK);
    core_st_close(out);
    core_st_close(in);
}

static core_status open_copy(const core_spec *spec, const char *from,
                             const char *inner, const char *outer,
                             const char *further, core_weights **w)
{
    char path[128];
    path_of(path, "model.safetensors");
    copy_under(path, from, inner, outer, further);
    core_message_clear();
    return core_weights_open_checkpoint(w, spec, folder, false);
}

static const struct {
    const char *inner, *outer, *other, *unknown;
} NESTED[] = {
    {"", "", "visual.patch_embed.weight", "visuals.weight"},
    {"", "language_model.", "vision_tower.x", "language_model.model.x"},
    {"model.", "model.language_model.", "model.visual.x",
     "model.language_model.x"},
    {"", "thinker.", "thinker.audio_tower.x", "thinker.model.x"},
};

START_TEST(the_tensors_of_a_text_part_are_found)
{
    const core_spec spec = taken(QWEN, NULL, NULL);
    core_weights *made = NULL, *found = NULL;
    char from[128], whole[160];
    double a[24 * 16], b[24 * 16];
    make_folder();
    path_of(from, "whole");
    snprintf(whole, sizeof whole, "%s/model.safetensors", from);
    ck_assert_int_eq(core_weights_open_procedural(&made, &spec, 3), CORE_OK);
    ck_assert_int_eq(core_weights_export(made, from), CORE_OK);
    ck_assert_msg(open_copy(&spec, whole, NESTED[_i].inner, NESTED[_i].outer,
                            NESTED[_i].other, &found) == CORE_OK,
                  "%s", core_message());
    ck_assert_msg(strstr(core_weights_origin(found),
                         "other parts (vision, audio) left out: 1") !=
                      NULL,
                  "%s", core_weights_origin(found));
    ck_assert_int_eq(core_weights_prepare(made, CORE_FP64, NULL), CORE_OK);
    ck_assert_int_eq(core_weights_prepare(found, CORE_FP64, NULL), CORE_OK);
    for (int k = 0; k < 2; k++) {
        const core_weight id = {k == 0 ? CORE_W_EMBED : CORE_W_HEAD, 0, 0};
        core_weights_read(made, id, 0, 24, 0, 16, a, 16);
        core_weights_read(found, id, 0, 24, 0, 16, b, 16);
        ck_assert_mem_eq(a, b, sizeof a);
    }
    core_weights_close(made);
    core_weights_close(found);
    ck_assert_int_eq(open_copy(&spec, whole, NESTED[_i].inner,
                               NESTED[_i].outer, NESTED[_i].unknown, &found),
                     CORE_E_WEIGHTS);
    ck_assert_msg(strstr(core_message(), "unknown tensor") != NULL, "%s",
                  core_message());
    remove_folder();
}
END_TEST

/* --- the text --------------------------------------------------------------
 */

START_TEST(words_of_python_are_no_numbers_to_compute_with)
{
    char text[TEXT_BYTES];
    with(text, "\"router_aux_loss_coef\": NaN, \"temperature\": -Infinity, "
               "\"bos_token_id\": [Infinity, 1], "
               "\"_name_or_path\": \"a \\\"NaN\\\" Infinity\\\\\"");
    taken(text, NULL, NULL);
    replaced(text, "\"rope_theta\" : 5000.0", "\"rope_theta\" : Infinity");
    refused(text, "rope_theta: inf, expected a finite number");
    replaced(text, "\"rms_norm_eps\" : 1e-06", "\"rms_norm_eps\" : NaN");
    refused(text, "rms_norm_eps: nan, expected a finite number");
    with(text, "\"temperature\": Infinit");
    core_spec spec;
    ck_assert_int_eq(core_config_parse(&spec, NULL, NULL, text, "config.json"),
                     CORE_E_FORMAT);
}
END_TEST

START_TEST(words_of_python_keep_their_values)
{
    static const char LIST[] = "[NaN, Infinity, -Infinity, -1, \"x\"]";
    json_t *root = NULL;
    double x;
    ck_assert_int_eq(core_json_parse_python(&root, LIST, strlen(LIST), "list"),
                     CORE_OK);
    ck_assert(core_json_python_real(json_array_get(root, 0), &x) && isnan(x));
    ck_assert(core_json_python_real(json_array_get(root, 1), &x) &&
              x == HUGE_VAL);
    ck_assert(core_json_python_real(json_array_get(root, 2), &x) &&
              x == -HUGE_VAL);
    ck_assert(core_json_python_real(json_array_get(root, 3), &x) && x == -1.0);
    ck_assert(!core_json_python_real(json_array_get(root, 4), &x));
    json_decref(root);
    ck_assert_int_eq(core_json_parse(&root, LIST, strlen(LIST), "list"),
                     CORE_E_FORMAT);
}
END_TEST

START_TEST(a_long_file_is_read)
{
    const size_t n = (size_t)3 << 20;
    char *text = malloc(n + TEXT_BYTES);
    ck_assert_ptr_nonnull(text);
    size_t at = (size_t)sprintf(text, "%.*s, \"auto_map\": {\"x\": \"",
                                (int)strlen(QWEN) - 1, QWEN);
    memset(text + at, 'a', n);
    strcpy(text + at + n, "\"}}");
    taken(text, NULL, NULL);
    free(text);
}
END_TEST

START_TEST(known_models_are_refused_with_a_reason)
{
    const char *type, *reason;
    int n = 0;
    for (; core_config_refused(n, &type, &reason); n++) {
        char text[TEXT_BYTES], message[256];
        snprintf(text, sizeof text, "{\"model_type\": \"%s\"}", type);
        snprintf(message, sizeof message, "'%s' is not supported: %s", type,
                 reason);
        refused(text, message);
    }
    ck_assert_int_gt(n, 0);
    refused("{\"model_type\": \"nobody\"}",
            "'nobody' is not supported; spec --families lists");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_config");
    TCase *tcase = tcase_create("config");
    tcase_add_loop_test(tcase, a_key_that_nobody_reads_is_refused, 0,
                        COUNT(UNREAD));
    tcase_add_loop_test(tcase, no_file_holds_such_a_number, 0, COUNT(DAMAGED));
    tcase_add_test(tcase, whoever_asks_goes_on_without_a_key);
    tcase_add_test(tcase, what_every_file_says_may_pass);
    tcase_add_test(tcase, an_absent_key_has_the_value_of_the_class_and_is_told);
    tcase_add_loop_test(tcase, rope_is_found_by_the_rules_of_transformers_5, 0,
                        COUNT(ROPES));
    tcase_add_test(tcase, what_was_passed_over_is_told);
    tcase_add_test(tcase, the_length_of_the_training_stands_in_three_places);
    tcase_add_test(tcase, two_generations_that_disagree_are_refused);
    tcase_add_test(tcase, the_newer_type_of_weights_is_told);
    tcase_add_test(tcase, layers_that_look_ahead_are_counted);
    tcase_add_test(tcase, dense_layers_are_said_in_two_ways);
    tcase_add_test(tcase, a_rotated_part_is_said_in_two_ways);
    tcase_add_test(tcase, layers_of_ernie_and_exaone);
    tcase_add_test(tcase, the_text_part_of_a_wrapper_is_read);
    tcase_add_test(tcase, a_wrapper_is_watched_inside_and_outside);
    tcase_add_loop_test(tcase, the_tensors_of_a_text_part_are_found, 0,
                        COUNT(NESTED));
    tcase_add_test(tcase, words_of_python_are_no_numbers_to_compute_with);
    tcase_add_test(tcase, words_of_python_keep_their_values);
    tcase_add_test(tcase, a_long_file_is_read);
    tcase_add_test(tcase, known_models_are_refused_with_a_reason);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
