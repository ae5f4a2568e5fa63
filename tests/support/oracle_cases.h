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
    "minimax_m2/partial_rope",
    "minimax_m2/tied",
    "glm4_moe_lite/groups",
    "glm4_moe_lite/half_split",
    "ernie4_5_moe/no_shared",
    "ernie4_5_moe/shared",
    "hunyuan_v1_moe/biased",
    "hunyuan_v1_moe/dynamic",
    "exaone_moe/few",
    "exaone_moe/sliding_groups",
    "solar_open/plain",
    "solar_open/yarn_groups",
    "kimi_k2/equal_betas",
    "kimi_k2/plain",
    "kimi_k25/plain",
    "kimi_k25/wrapped",
    "qwen3_vl_moe/tied",
    "qwen3_vl_moe/wrapped",
    "qwen3_omni_moe_thinker/one_expert",
    "qwen3_omni_moe_thinker/wrapped",
    "glm4v_moe/one_group",
    "glm4v_moe/wrapped",
    "llama4/every_layer",
    "llama4/published",
    "llama4/tiny",
    "granitemoe/tiny",
    "phimoe/tiny",
    "jamba/tiny",
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
