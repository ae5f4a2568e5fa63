/* tests/support/oracle_cases.h -- the committed cases of other people's code.
 *
 * Decoders first, Mixtral's before all, then the Switch layers: folders below
 * golden/data/oracle.
 */
#ifndef ORACLE_CASES_H
#define ORACLE_CASES_H

static const char *const ORACLE_CASES[] = {
    "mixtral/bf16",
    "mixtral/leftpad",
    "mixtral/medium_awkward",
    "mixtral/sharded_tied_mqa",
    "mixtral/tiny",
    "mixtral/top8_linear",
    "mixtral/window_top1_yarn",
    "qwen2_moe/sparse_step_tied_mqa",
    "qwen3_moe/dense_mix_llama3",
    "olmoe/clip_gqa_top8",
    "gpt_oss/mxfp4",
    "deepseek_v2/grouped_yarn",
    "deepseek_v3/yarn_bf16",
    "glm4_moe/tiny",
    "dots1/tiny",
    "llama4/tiny",
    "granitemoe/tiny",
    "phimoe/tiny",
    "jamba/tiny",
    "nemotron_h/latent_groups",
    "nemotron_h/slow_steps",
    "granitemoehybrid/nope",
    "granitemoehybrid/rope",
    "qwen3_next/mixed",
    "qwen3_next/beyond_a_chunk",
    "qwen3_5_moe_text/text",
    "qwen3_5_moe/wrapped",
    "mimo_v2_flash/sinks",
    "mimo_v2_flash/two_groups",
    "formats/fp8_blocks",
    "formats/fp8_e5m2",
    "formats/fp8_fp4_exponents",
    "formats/modelopt_fp8",
    "formats/modelopt_nvfp4",
    "formats/tensors_fp8",
    "formats/tensors_int4",
    "formats/tensors_int8",
    "formats/tensors_mxfp4",
    "formats/tensors_mxfp8",
    "formats/tensors_nvfp4",
    "formats/tensors_w8a8",
    "switch_layer/cap_loose",
    "switch_layer/cap_one_gelu",
    "switch_layer/cap_tight",
};

enum {
    N_ORACLE_CASES = sizeof ORACLE_CASES / sizeof ORACLE_CASES[0],
    N_ORACLE_SWITCH = 3,
    N_ORACLE_MODELS = N_ORACLE_CASES - N_ORACLE_SWITCH,
    N_ORACLE_MIXTRAL = 7,
};

#endif
