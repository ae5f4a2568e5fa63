/* test_core_deployed.c -- types of a deployment: words, and bytes with scales. */
#include "core/numbers/deployed.h"
#include "tests/support/check_main.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static core_types parsed(const char *text)
{
    core_types out;
    ck_assert_msg(core_types_parse(&out, text) == CORE_OK, "%s: %s", text,
                  core_message());
    return out;
}

static void refused(const char *text, const char *why)
{
    core_types out = {.dtype = CORE_DTYPE_F16}, before = out;
    ck_assert_int_eq(core_types_parse(&out, text), CORE_E_USAGE);
    ck_assert_msg(strstr(core_message(), why) != NULL, "%s: %s", text,
                  core_message());
    core_message_clear();
    ck_assert_mem_eq(&out, &before, sizeof out);
}

/* Codes of 4 or 8 bits, and a scale's share: 32 bits for a block of 128 x 128
 * weights, 8 for 32 values, 8 for 16, 16 for 128. */
START_TEST(bytes_have_their_scales)
{
    const core_types mx = parsed("w=mxfp4+act=bf16+kv=fp8");
    ck_assert(core_types_weight_bytes(&mx) == 4.25 / 8);
    ck_assert(core_types_expert_bytes(&mx) == 4.25 / 8);
    ck_assert(core_types_table_bytes(&mx) == 2);
    ck_assert(core_types_act_bytes(&mx) == 2);
    ck_assert(core_types_kv_bytes(&mx) == 1);
    const core_types nv = parsed("w=bf16+experts=nvfp4+act=nvfp4+kv=nvfp4");
    ck_assert(core_types_weight_bytes(&nv) == 2);
    ck_assert(core_types_expert_bytes(&nv) == 4.5 / 8);
    ck_assert(core_types_act_bytes(&nv) == 4.5 / 8);
    ck_assert(core_types_kv_bytes(&nv) == 4.5 / 8);
    const core_types f8 = parsed("fp8");
    ck_assert(core_types_weight_bytes(&f8) == 1 + 4.0 / (128 * 128));
    ck_assert(core_types_act_bytes(&f8) == 1 + 4.0 / 128);
    ck_assert(core_types_kv_bytes(&f8) == 2);
    const core_types i4 = parsed("int4");
    ck_assert(core_types_weight_bytes(&i4) == (4 + 16.0 / 128) / 8);
    const core_types f16 = parsed("f16"), f32 = parsed("float");
    ck_assert(core_types_weight_bytes(&f16) == 2);
    ck_assert(core_types_kv_bytes(&f32) == 4);
    const core_types plain = {.dtype = CORE_DTYPE_F64};
    ck_assert(core_types_expert_bytes(&plain) == 8);
}
END_TEST

/* What is not said does not become narrow with what it would be like. */
START_TEST(what_is_not_said_stays_plain)
{
    const core_types t = parsed("w=mxfp4+act=fp16");
    ck_assert_int_eq(t.dtype, CORE_DTYPE_F16);
    ck_assert_int_eq(core_types_of(&t, CORE_SLOT_OUT), CORE_DTYPE_F16);
    ck_assert_int_eq(t.kv, CORE_NARROW_NONE);
    ck_assert_int_eq(t.act, CORE_NARROW_NONE);
    const core_types kept = parsed("vllm-fp16+w=fp8+act=fp8");
    ck_assert_int_eq(kept.dtype, CORE_DTYPE_F16);
    ck_assert_int_eq(kept.experts, CORE_NARROW_FP8);
    const core_types shared = parsed("w=fp8+experts=bf16+act=fp8");
    ck_assert_int_eq(shared.w, CORE_NARROW_FP8);
    ck_assert_int_eq(shared.experts, CORE_NARROW_NONE);
    const core_types wide = parsed("llama-default+kv=f8_e4m3");
    ck_assert_int_eq(wide.kv, CORE_NARROW_FP8);
    ck_assert_int_eq(core_types_of(&wide, CORE_SLOT_RESIDUAL), CORE_DTYPE_F32);
}
END_TEST

START_TEST(words_are_those_of_the_program)
{
    static const char *const same[][2] = {
        {"fp8", "w=fp8+act=fp8"},       {"F8_E4M3", "w=fp8+act=fp8"},
        {"mxfp4", "w=MXFP4+act=bf16"},  {"nvfp4", "w=nvfp4+act=NVFP4"},
        {"int8", "w=i8+act=int8"},      {"int4", "w=int4"},
        {"fp8+kv=fp8", "w=fp8+act=fp8+kv=f8_e5m2"}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        const core_types a = parsed(same[i][0]), b = parsed(same[i][1]);
        ck_assert_mem_eq(&a, &b, sizeof a);
    }
}
END_TEST

START_TEST(a_text_parses_back)
{
    static const char *const text[] = {
        "w=mxfp4+act=bf16+kv=fp8", "w=bf16+experts=mxfp4+kv=nvfp4",
        "fp8+residual=fp32", "nvfp4+out=fp32", "int4+act=half",
        "w=fp8+experts=nvfp4+act=fp8", "bf16+kv=int8", "bf16", "fp64",
        "llama-default"};
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        const core_types a = parsed(text[i]);
        const core_types b = parsed(core_types_text(&a).text);
        ck_assert_msg(memcmp(&a, &b, sizeof a) == 0, "%s: %s", text[i],
                      core_types_text(&a).text);
    }
    const core_types t = parsed("mxfp4+kv=fp8");
    ck_assert_str_eq(core_types_text(&t).text, "w=mxfp4+act=BF16+kv=fp8");
    const core_types plain = {.dtype = CORE_DTYPE_F16};
    ck_assert_str_eq(core_types_text(&plain).text, "F16");
}
END_TEST

START_TEST(what_is_no_deployment_is_refused)
{
    refused("w=fp5", "'fp5' of 'w=fp5' is no type, expected fp64, fp32, fp16, "
                     "bf16, fp8, int8, mxfp4, nvfp4, int4");
    refused("w=bf16+residual=fp8", "'fp8' of 'residual=fp8'");
    refused("w=bf16+act=fp8", "act=fp8: expected narrow weights");
    refused("w=int4+act=int4", "of weights or a cache only");
    refused("w=fp8+w=mxfp4", "w is stated twice");
    refused("w=fp8+w=bf16", "w is stated twice");
    refused("w=fp8+experts=", "'' of 'experts=' is no type");
    refused("w=fp8+pages=fp8", "'pages=fp8' is no slot=type");
    refused("bf16+expert=fp8",
            "'expert=fp8' is no slot=type; the slots are w, act, residual, "
            "out, kv, qp, router, prob, acc, ctx, experts");
    refused("bf16+experts", "'experts' is no slot=type");
    refused("w=fp8+fp8", "'fp8' is no slot=type");
    refused("exact", "exact is no type");
    refused("", "found ''");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("deployed");
    TCase *t = tcase_create("all");
    tcase_add_test(t, bytes_have_their_scales);
    tcase_add_test(t, what_is_not_said_stays_plain);
    tcase_add_test(t, words_are_those_of_the_program);
    tcase_add_test(t, a_text_parses_back);
    tcase_add_test(t, what_is_no_deployment_is_refused);
    suite_add_tcase(s, t);
    return check_main(s);
}
