/* tests/unit/test_core_quant.c -- which module has which scheme, in every
 * language in which publishers say so.
 */
#include "core/model/quant.h"
#include "tests/support/check_main.h"
#include "tests/support/scratch.h"

#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define FP8_128  "FP8 E4M3, a scale for 128 x 128 values"
#define FP8_ALL  "FP8 E4M3, a scale for a tensor"
#define NVFP4_16 "NVFP4, a scale for 1 x 16 values"
#define MXFP4_32 "MXFP4, a scale for 1 x 32 values"

/* What config.json says (beside: hf_quant_config.json), and of whom what. */
static const struct {
    const char *config, *beside;
    const char *modules[4][2];
} SAID[] = {
    {"{\"quantization_config\": {\"quant_method\": \"fp8\", "
     "\"modules_to_not_convert\": [\"gate\", \"model.layers.1\", \"lm_head\", "
     "\"model.layers.*.self_attn\"]}}",
     NULL,
     {{"model.layers.1.mlp.up_proj", "plain"},
      {"model.layers.10.mlp.up_proj", FP8_128},
      {"model.layers.10.mlp.gate", "plain"},
      {"model.layers.10.self_attn.q_proj", "plain"}}},
    {"{\"quantization_config\": {\"quant_method\": \"fp8\", "
     "\"weight_block_size\": null, \"ignored_layers\": [\"gate\"]}}",
     NULL,
     {{"a.gate", "plain"}, {"a.gate_proj", FP8_ALL}}},
    {"{\"expert_dtype\": \"fp4\", \"quantization_config\": "
     "{\"quant_method\": \"fp8\"}}",
     NULL,
     {{"layers.0.ffn.experts.3.w1", MXFP4_32},
      {"layers.0.ffn.shared_experts.w1", FP8_128}}},
    {"{\"expert_dtype\": \"fp4\", \"quantization_config\": "
     "{\"quant_method\": \"fp8\", \"quant_algo\": \"MIXED_PRECISION\", "
     "\"ignore\": [\"*.attn.*\"], \"quantized_layers\": "
     "{\"layers.0.ffn.experts\": {\"quant_algo\": \"NVFP4\", \"group_size\": "
     "16}}}}",
     NULL,
     {{"layers.0.ffn.experts.3.w1", NVFP4_16},
      {"layers.0.attn.wq_a", FP8_128}}},
    {"{\"text_config\": {\"quantization_config\": {\"quant_method\": "
     "\"compressed-tensors\", \"format\": \"pack-quantized\", \"ignore\": "
     "[\"lm_head\", \"re:.*mlp\\\\.(gate|up)_proj.*\", "
     "\"re:.*layers\\\\.\\\\d\\\\.x\"], \"config_groups\": {\"g\": "
     "{\"targets\": "
     "[\"Linear\"], \"weights\": {\"num_bits\": 4, \"type\": \"int\", "
     "\"group_size\": 32}}}}}}",
     NULL,
     {{"model.layers.0.mlp.up_proj", "plain"},
      {"model.layers.0.mlp.experts.1.up_proj",
       "INT4, a scale for 1 x 32 values"},
      {"model.layers.7.x", "plain"},
      {"lm_head", "plain"}}},
    {"{\"quantization_config\": {\"quant_method\": \"compressed-tensors\", "
     "\"config_groups\": {\"a\": {\"targets\": [\"re:.*experts.*\"], "
     "\"weights\": {\"num_bits\": 4, \"type\": \"float\", \"group_size\": 16, "
     "\"strategy\": \"tensor_group\"}}, \"b\": {\"targets\": [\"m.q_proj\"], "
     "\"weights\": {\"num_bits\": 8, \"type\": \"float\", \"strategy\": "
     "\"channel\"}}}}}",
     NULL,
     {{"m.experts.0.w1", NVFP4_16},
      {"m.q_proj", "FP8 E4M3, a scale for a row"},
      {"m.k_proj", "plain"}}},
    {"{}",
     "{\"quantization\": {\"quant_algo\": \"NVFP4\", \"exclude_modules\": "
     "[\"lm_head\", \"m.layers.0*\", \"*.gate\"]}}",
     {{"m.layers.0.q", "plain"},
      {"m.layers.07", "plain"},
      {"m.layers.1.gate", "plain"},
      {"m.layers.1.q", NVFP4_16}}},
    {"{}",
     "{\"quantization\": {\"quant_algo\": \"MIXED_PRECISION\", "
     "\"quantized_layers\": {\"m.a\": {\"quant_algo\": \"FP8\"}, \"m.b\": "
     "{\"quant_algo\": \"NVFP4\", \"group_size\": 16}}}}",
     {{"m.a", FP8_ALL}, {"m.b.c", NVFP4_16}, {"m.ab", "plain"}}},
    {"{\"quantization_config\": {\"quant_method\": \"fbgemm_fp8\", "
     "\"modules_to_not_convert\": [\"x\"]}}",
     NULL,
     {{"m.q", "FP8 E4M3, a scale for a row"}, {"m.x", "plain"}}},
    {"{\"quantization_config\": {\"quant_algo\": null}}",
     NULL,
     {{"m.q", "plain"}}},
    {"{}", NULL, {{"m.q", "plain"}}},
};

static void write_text(const char *name, const char *text)
{
    char path[128];
    path_of(path, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

START_TEST(every_language_says_which_module_has_what)
{
    core_quant *quant = NULL;
    char text[CORE_QUANT_TEXT_BYTES];
    make_folder();
    write_text("config.json", SAID[_i].config);
    if (SAID[_i].beside != NULL)
        write_text("hf_quant_config.json", SAID[_i].beside);
    ck_assert_msg(core_quant_open(&quant, folder) == CORE_OK, "%s",
                  core_message());
    for (int m = 0; m < 4 && SAID[_i].modules[m][0] != NULL; m++)
        ck_assert_str_eq(
            core_quant_text(core_quant_of(quant, SAID[_i].modules[m][0]), text),
            SAID[_i].modules[m][1]);
    core_quant_close(quant);
    remove_folder();
}
END_TEST

/* Routers, tables and vectors are no linear modules: plain unless named. */
START_TEST(what_is_not_linear_is_plain_unless_it_is_named)
{
    core_quant *quant = NULL;
    make_folder();
    write_text(
        "config.json",
        "{\"quantization_config\": {\"quant_method\": "
        "\"compressed-tensors\", \"ignore\": "
        "[\"model.language_model.layers.0.q\"], "
        "\"config_groups\": {\"a\": {\"weights\": "
        "{\"num_bits\": 8, \"type\": \"int\", \"strategy\": "
        "\"channel\"}}, \"b\": {\"targets\": [\"m.named\"], \"weights\": "
        "{\"num_bits\": 8, \"type\": \"int\", \"strategy\": "
        "\"tensor\"}}}}}");
    ck_assert_int_eq(core_quant_open(&quant, folder), CORE_OK);
    const core_layout m = CORE_LAYOUT_MATRIX;
    ck_assert_int_eq(
        core_quant_of_weight(quant, CORE_W_Q, m, "m.q.weight").kind,
        CORE_BLOCK_INT8);
    ck_assert_int_eq(
        core_quant_of_weight(quant, CORE_W_Q, m, "model.layers.0.q.weight")
            .kind,
        CORE_BLOCK_NONE); /* by its name in the larger model */
    ck_assert_int_eq(
        core_quant_of_weight(quant, CORE_W_ROUTER, m, "m.gate.weight").kind,
        CORE_BLOCK_NONE);
    ck_assert_int_eq(
        core_quant_of_weight(quant, CORE_W_ROUTER, m, "m.named.weight").kind,
        CORE_BLOCK_INT8);
    ck_assert_int_eq(core_quant_of_weight(quant, CORE_W_FFN_NORM,
                                          CORE_LAYOUT_VECTOR, "m.n.weight")
                         .kind,
                     CORE_BLOCK_NONE);
    core_quant_close(quant);
    remove_folder();
}
END_TEST

/* Expressions that POSIX has not, wherever they stand, in memory that held
 * something else. */
START_TEST(what_is_no_expression_is_refused)
{
    static const char *const BAD[] = {"re:(?!x)y", "re:a.*(?=b)", "re:(",
                                      "re:a{3,1}"};
    char text[256];
    mallopt(M_PERTURB, 0x55);
    make_folder();
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        core_quant *quant = NULL;
        snprintf(text, sizeof text,
                 "{\"quantization_config\": {\"quant_method\": "
                 "\"compressed-tensors\", \"ignore\": [\"%s\"], "
                 "\"config_groups\": {}}}",
                 BAD[i]);
        write_text("config.json", text);
        core_message_clear();
        ck_assert_int_eq(core_quant_open(&quant, folder), CORE_E_SPEC);
        ck_assert_msg(strstr(core_message(), "ignore: '") != NULL, "%s",
                      core_message());
        ck_assert_msg(strstr(core_message(), BAD[i]) != NULL, "%s",
                      core_message());
    }
    remove_folder();
}
END_TEST

/* llama.cpp's Q8_0, Q8_K and Q8_1, which is not emulated. */
START_TEST(what_meets_a_tensor_of_a_gguf_file)
{
    const core_act_scheme of_32 = core_quant_of_packed(CORE_PACKED_MXFP4);
    const core_act_scheme of_256 = core_quant_of_packed(CORE_PACKED_Q4_K);
    ck_assert_int_eq(of_32.how, CORE_ACT_QUANT_DYNAMIC);
    ck_assert_int_eq(of_32.format.code, CORE_CODE_INT8);
    ck_assert_int_eq(of_32.format.scale, CORE_OPERAND_SCALE_F16);
    ck_assert_int_eq(of_32.format.group, 32);
    ck_assert_int_eq(of_256.how, CORE_ACT_QUANT_DYNAMIC);
    ck_assert_int_eq(of_256.format.code, CORE_CODE_INT8);
    ck_assert_int_eq(of_256.format.scale, CORE_OPERAND_SCALE_FLOAT);
    ck_assert_int_eq(of_256.format.group, 256);
    ck_assert_int_eq(core_quant_of_packed(CORE_PACKED_Q4_1).how,
                     CORE_ACT_QUANT_OTHER);
    ck_assert_int_eq(core_quant_of_packed(CORE_PACKED_BF16).how,
                     CORE_ACT_QUANT_NONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_quant");
    TCase *tcase = tcase_create("said");
    tcase_add_loop_test(tcase, every_language_says_which_module_has_what, 0,
                        (int)(sizeof SAID / sizeof SAID[0]));
    tcase_add_test(tcase, what_is_not_linear_is_plain_unless_it_is_named);
    tcase_add_test(tcase, what_is_no_expression_is_refused);
    tcase_add_test(tcase, what_meets_a_tensor_of_a_gguf_file);
    suite_add_tcase(suite, tcase);
    return check_main(suite);
}
