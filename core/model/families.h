/* core/model/families.h -- families of published models, one file each in
 * core/model/families/.  X(ENUMERATOR, name); the name is that of `family` in a
 * spec file.
 */
#ifndef CORE_FAMILIES_H
#define CORE_FAMILIES_H

#define CORE_FAMILY_LIST(X)                                                    \
    X(SEED, seed)                                                              \
    X(MIXTRAL, mixtral)                                                        \
    X(SWITCH, switch)                                                          \
    X(QWEN2_MOE, qwen2_moe)                                                    \
    X(QWEN3_MOE, qwen3_moe)                                                    \
    X(OLMOE, olmoe)                                                            \
    X(GPT_OSS, gpt_oss)                                                        \
    X(DEEPSEEK_V2, deepseek_v2)                                                \
    X(DEEPSEEK_V3, deepseek_v3)                                                \
    X(GLM4_MOE, glm4_moe)                                                      \
    X(DOTS1, dots1)                                                            \
    X(LLAMA4, llama4)                                                          \
    X(GRANITEMOE, granitemoe)                                                  \
    X(PHIMOE, phimoe)                                                          \
    X(JAMBA, jamba)                                                            \
    X(QWEN3_NEXT, qwen3_next)                                                  \
    X(QWEN3_5_MOE, qwen3_5_moe)                                                \
    X(NEMOTRON_H, nemotron_h)                                                  \
    X(GRANITEMOEHYBRID, granitemoehybrid)                                      \
    X(QWEN3_VL_MOE, qwen3_vl_moe)                                              \
    X(QWEN3_OMNI_MOE, qwen3_omni_moe)                                          \
    X(GLM4V_MOE, glm4v_moe)                                                    \
    X(GLM4_MOE_LITE, glm4_moe_lite)                                            \
    X(SOLAR_OPEN, solar_open)                                                  \
    X(EXAONE_MOE, exaone_moe)                                                  \
    X(ERNIE4_5_MOE, ernie4_5_moe)                                              \
    X(HUNYUAN_V1_MOE, hunyuan_v1_moe)                                          \
    X(STEP3P5, step3p5)                                                        \
    X(MINIMAX_M2, minimax_m2)                                                  \
    X(MINIMAX_M3, minimax_m3)                                                  \
    X(MIMO_V2_FLASH, mimo_v2_flash)                                            \
    X(GEMMA4, gemma4)                                                          \
    X(LFM2_MOE, lfm2_moe)                                                      \
    X(BAILING_MOE, bailing_moe)                                                \
    X(BAILING_HYBRID, bailing_hybrid)                                          \
    X(KIMI_LINEAR, kimi_linear)                                                \
    X(DEEPSEEK_V32, deepseek_v32)                                              \
    X(GLM_MOE_DSA, glm_moe_dsa)                                                \
    X(DEEPSEEK_V4, deepseek_v4)                                                \
    X(KIMI_K3, kimi_k3)

typedef enum core_family {
#define CORE_FAMILY_ENUM(kind, name) CORE_FAMILY_##kind,
    CORE_FAMILY_LIST(CORE_FAMILY_ENUM)
#undef CORE_FAMILY_ENUM
    CORE_N_FAMILIES
} core_family;

#endif
