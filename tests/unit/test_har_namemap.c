/* tests/unit/test_har_namemap.c -- other people's names, and maps in YAML. */
#include "harness/judge/namemap.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static har_namemap map;

static void setup(void)
{
    snprintf(path, sizeof path, "/tmp/namemap-XXXXXX");
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    memset(&map, 0, sizeof map);
    core_message_clear();
}

static void teardown(void)
{
    unlink(path);
    har_namemap_free(&map);
}

static core_status read_map(const char *text)
{
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    return har_namemap_open(&map, path);
}

static const char *apply(const char *name, int first_layer)
{
    static char out[HAR_DUMP_NAME];
    return har_namemap_apply(&map, name, first_layer, out) ? out : "-";
}

START_TEST(without_a_map_names_are_the_taps_own)
{
    ck_assert_int_eq(har_namemap_open(&map, NULL), CORE_OK);
    ck_assert_str_eq(apply("p0.layers.3.attn_out", 0), "p0.layers.3.attn_out");
    ck_assert_str_eq(apply("layers.3.attn_out", 8), "layers.11.attn_out");
    ck_assert_str_eq(apply("p1.logits", 8), "p1.logits");
    ck_assert_str_eq(apply("layers.03.attn_out", 0), "-");
    ck_assert_str_eq(apply("layers.3.other", 0), "-");
}
END_TEST

static const struct {
    const char *map, *name, *tap;
} ready[] = {
    {"hf", "model.embed_tokens", "embed"},
    {"hf", "model.layers.12.self_attn", "layers.12.attn_out"},
    {"hf", "model.layers.12.mlp", "layers.12.ffn_out"},
    {"hf", "model.layers.12.mlp.gate", "layers.12.router_logits"},
    {"hf", "model.layers.0.block_sparse_moe.gate", "layers.0.router_logits"},
    {"hf", "model.layers.0.block_sparse_moe.router", "layers.0.router_logits"},
    {"hf", "model.layers.0.feed_forward.gate", "layers.0.router_logits"},
    {"hf", "model.embedding_norm", "final_norm"},
    {"hf", "model.layers.12", "layers.12.out"},
    {"hf", "p1.module.module.model.layers.12.output", "p1.layers.12.out"},
    {"hf", "model.norm", "final_norm"},
    {"hf", "lm_head", "logits"},
    {"hf", "routed_experts", "layers.*.topk_idx"},
    {"replay", "p1.routed_experts", "p1.layers.*.topk_idx"},
    {"replay", "lm_head", "-"},
    {"hf", "model.layers.12.mlp.experts", "-"},
    {"hf", "model.layers.012.mlp", "-"},
    {"hf", "model.layers.x.mlp", "-"},
    {"hf", "xmodel.layers.1.mlp", "-"},
    {"megatron", "decoder.layers.3.self_attention", "layers.3.attn_out"},
    {"megatron", "module.decoder.layers.3.mlp", "layers.3.ffn_out"},
    {"megatron", "decoder.layers.3", "layers.3.out"},
    {"megatron", "decoder.final_layernorm", "final_norm"},
    {"megatron", "output_layer", "logits"},
    {"megatron", "embedding", "embed"},
    {"megatron", "model.norm", "-"},
    {"llama", "l_out-12", "layers.12.out"},
    {"llama", "ffn_moe_logits-0", "layers.0.router_logits"},
    {"llama", "ffn_moe_topk-3", "layers.3.topk_idx"},
    {"llama", "ffn_moe_weights_norm-3", "layers.3.topk_weight"},
    {"llama", "ffn_moe_out-3", "layers.3.ffn_out"},
    {"llama", "result_norm", "final_norm"},
    {"llama", "result_output", "logits"},
    {"llama", "l_out", "-"},
    {"onnx", "/model/embed_tokens/Gather/output_0", "embed"},
    {"onnx", "/model/layers.2/attn/o_proj/Add/output_0", "layers.2.attn_out"},
    {"onnx", "/model/layers.2/moe/router/Reshape/output_0",
     "layers.2.router_logits"},
    {"onnx", "/model/layers.2/moe/router/TopK/output_1", "layers.2.topk_idx"},
    {"onnx", "/model/layers.2/moe/QMoE/output_0", "layers.2.ffn_out"},
    {"onnx", "/model/layers.2/output_3", "layers.2.out"},
    {"onnx", "/model/layers.4/final_norm_layernorm/output_0", "final_norm"},
    {"onnx", "logits", "logits"},
    {"onnx", "/model/layers.2/moe/router/MatMul/output_0", "-"},
};

START_TEST(ready_maps_know_the_module_names)
{
    ck_assert_int_eq(har_namemap_open(&map, ready[_i].map), CORE_OK);
    ck_assert_str_eq(apply(ready[_i].name, 0), ready[_i].tap);
}
END_TEST

/* Of a name that is a tap's own nothing can be told. */
START_TEST(a_name_tells_whose_map_knows_it)
{
    ck_assert_int_eq(har_namemap_open(&map, "hf"), CORE_OK);
    ck_assert_str_eq(har_namemap_whose(&map, "result_output"), "llama");
    ck_assert_str_eq(har_namemap_whose(&map, "/model/layers.0/output_3"),
                     "onnx");
    ck_assert_ptr_null(har_namemap_whose(&map, "logits"));
}
END_TEST

START_TEST(megatron_is_sequence_major_and_counts_from_its_stage)
{
    ck_assert_int_eq(har_namemap_open(&map, "megatron"), CORE_OK);
    ck_assert(map.has_axes && map.axes == HAR_AXES_SBH);
    ck_assert_str_eq(apply("decoder.layers.3.mlp", 8), "layers.11.ffn_out");
    ck_assert_str_eq(apply("output_layer", 8), "logits");
}
END_TEST

START_TEST(a_map_expects_what_it_names)
{
    bool optional = true;
    ck_assert_int_eq(har_namemap_open(&map, "hf"), CORE_OK);
    ck_assert(har_namemap_expects(&map, "layers.7.ffn_out", &optional));
    ck_assert(!optional);
    ck_assert(har_namemap_expects(&map, "layers.7.topk_idx", &optional));
    ck_assert(optional);
    ck_assert(!har_namemap_expects(&map, "layers.7.attn.q", &optional));
    har_namemap_free(&map);
    ck_assert(har_namemap_expects(&map, "layers.7.attn.q", &optional));
    ck_assert(!optional);
}
END_TEST

START_TEST(a_yaml_map_says_all_of_it)
{
    ck_assert_int_eq(read_map("prefix: \"net.\"\n"
                              "axes: sbh\n"
                              "names:\n"
                              "  layers.{l}.mlp.output: layers.{l}.ffn_out\n"
                              "  ids.{l}: layers.{l}.topk_idx?   # maybe\n"
                              "  head: logits\n"
                              "first_layer: {4: 8}\n"
                              "slices:\n"
                              "  0: {\"*\": \"b=0:8\", "
                              "logits: \"b=0:8,c=0:256\"}\n"
                              "  1: {\"*\": \"b=8:16\"}\n"),
                     CORE_OK);
    ck_assert_str_eq(apply("net.layers.5.mlp.output", 0), "layers.5.ffn_out");
    ck_assert_str_eq(apply("p0.net.head", 0), "p0.logits");
    ck_assert_str_eq(apply("layers.5.mlp.output", 0), "-");
    ck_assert(map.rule[1].optional && !map.rule[0].optional);
    ck_assert(map.has_axes && map.axes == HAR_AXES_SBH);
    ck_assert_int_eq(har_namemap_first_layer(&map, 4), 8);
    ck_assert_int_eq(har_namemap_first_layer(&map, 3), 0);
    const har_slice *slice = har_namemap_slice(&map, 0, "logits");
    ck_assert_int_eq(slice->c.end, 256);
    slice = har_namemap_slice(&map, 0, "embed");
    ck_assert_int_eq(slice->b.end, 8);
    ck_assert_int_lt(slice->c.end, 0);
    slice = har_namemap_slice(&map, 1, "logits");
    ck_assert_int_eq(slice->b.begin, 8);
    ck_assert_ptr_null(har_namemap_slice(&map, 2, "logits"));
}
END_TEST

static const struct {
    const char *text, *message; /* behind the file's name */
} bad[] = {
    {"", ":1:1: "},
    {"names: [a, b]\n", ":1:1: names: expected a map"},
    {"names:\n  a: nothing\n", ":2:6: names: a: expected the name of a tap"},
    {"names:\n  a.{l}: logits\n", ":2:10: names: a.{l}: expected {l} once"},
    {"names:\n  a: layers.{l}.out\n", ":2:6: names: a: expected {l} once"},
    {"names:\n  {l}{l}: layers.{l}.out\n", ":2:"},
    {"names:\n  a: [1]\n", ":2:3: names: a: expected the name of a tap"},
    {"names:\n  a: embed\n  a: logits\n", ":3:3: a: given twice, first in line 2"},
    {"axes: hsb\n", ":1:7: axes: expected bsh or sbh, found 'hsb'"},
    {"axis: sbh\n", ":1:1: axis: unknown key"},
    {"first_layer: {a: 1}\n", ":1:15: first_layer: expected a number"},
    {"first_layer: {1: -1}\n", ":1:18: first_layer: expected a number"},
    {"slices: {0: {\"*\": \"4:2\"}}\n", ":1:19: expected ranges such as"},
    {"slices: {0: {nothing: \"0:2\"}}\n", ":1:14: slices: expected the name"},
    {"slices: {x: {\"*\": \"0:2\"}}\n", ":1:10: slices: expected a number"},
    {"names: {a: logits}\n---\nnames: {}\n", ": a second document"},
    {"names: {\n", ":"},
};

START_TEST(a_bad_map_is_refused_at_its_place)
{
    char expected[256];
    snprintf(expected, sizeof expected, "%s%s", path, bad[_i].message);
    ck_assert_int_eq(read_map(bad[_i].text), CORE_E_FORMAT);
    ck_assert_msg(strncmp(core_message(), expected, strlen(expected)) == 0,
                  "%s", core_message());
    ck_assert_ptr_null(strchr(core_message(), '\n'));
}
END_TEST

START_TEST(a_map_that_is_not_there_is_refused)
{
    ck_assert_int_eq(har_namemap_open(&map, "/nowhere/map.yaml"), CORE_E_FILE);
    ck_assert_ptr_nonnull(strstr(core_message(), "ready maps are hf, megatron"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("har_namemap");
    TCase *tests = tcase_create("namemap");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, without_a_map_names_are_the_taps_own);
    tcase_add_loop_test(tests, ready_maps_know_the_module_names, 0,
                        sizeof ready / sizeof ready[0]);
    tcase_add_test(tests, a_name_tells_whose_map_knows_it);
    tcase_add_test(tests, megatron_is_sequence_major_and_counts_from_its_stage);
    tcase_add_test(tests, a_map_expects_what_it_names);
    tcase_add_test(tests, a_yaml_map_says_all_of_it);
    tcase_add_loop_test(tests, a_bad_map_is_refused_at_its_place, 0,
                        sizeof bad / sizeof bad[0]);
    tcase_add_test(tests, a_map_that_is_not_there_is_refused);
    suite_add_tcase(suite, tests);
    return check_main(suite);
}
