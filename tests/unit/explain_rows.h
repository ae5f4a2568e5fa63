/* explain_rows.h -- for each row of harness/judge/others.c, in its order, a
 * dump that no other row explains: the model of its golden, and what it is
 * instead.
 *
 * Written without that table: it is held against this one.
 */
#ifndef EXPLAIN_ROWS_H
#define EXPLAIN_ROWS_H

#include "core/weights/altered.h"
#include "ref/ref.h"

#define MIXTRAL      GOLDEN_DIR "/oracle/mixtral/window_top1_yarn"
#define QWEN2        GOLDEN_DIR "/oracle/qwen2_moe/unbiased"
#define DEEPSEEK_V2  GOLDEN_DIR "/oracle/deepseek_v2/grouped_yarn"
#define DEEPSEEK_V3  GOLDEN_DIR "/oracle/deepseek_v3/yarn_bf16"
#define GPT_OSS      GOLDEN_DIR "/oracle/gpt_oss/plain"
#define GPT_OSS_YARN GOLDEN_DIR "/oracle/gpt_oss/mxfp4"
#define HUNYUAN      GOLDEN_DIR "/oracle/hunyuan_v1_moe/biased"
#define PHIMOE       GOLDEN_DIR "/oracle/phimoe/tiny"
#define LLAMA4       GOLDEN_DIR "/oracle/llama4/tiny"
#define GRANITE      GOLDEN_DIR "/oracle/granitemoe/tiny"
#define OLMOE        GOLDEN_DIR "/oracle/olmoe/clip_gqa_top8"
#define QWEN3_NEXT   GOLDEN_DIR "/oracle/qwen3_next/mixed"
#define GEMMA4       GOLDEN_DIR "/oracle/gemma4/wrapped"
#define MIMO         GOLDEN_DIR "/oracle/mimo_v2_flash/sinks"
#define STEP3        GOLDEN_DIR "/oracle/step3p7/wrapped"
#define ERNIE        GOLDEN_DIR "/oracle/ernie4_5_moe/shared"
#define SHADOW_A     "shadow-a"
#define SHADOW_B     "shadow-b"
#define BRANCHES     MODELS_DIR "/branches.yaml"
#define HEADS        MODELS_DIR "/heads.yaml"

typedef struct explained_row {
    const char *model, *set; /* set: a field of it that makes the row seen    */
    const char *change;      /* fields, or in words:                          */
    core_alteration alteration;
    ref_otherwise otherwise;
    bool hides_choices; /* of a dump with choices, these flips are certified  */
} explained_row;

static const explained_row EXPLAINED[] = {
    {DEEPSEEK_V2, .change = "renormalise=true"},
    {MIXTRAL, .change = "renormalise=false"},
    {DEEPSEEK_V3, .change = "router.scores=softmax"},
    {PHIMOE, .change = "router.scores=softmax_top"},
    {QWEN2, .change = "router.scores=sigmoid"},
    {QWEN2, .change = "router.scores=sqrt_softplus"},
    {QWEN2, .change = "router.scores=sparsemixer and router.jitter=0.01"},
    {DEEPSEEK_V2, .change = "router.groups=0"},
    {DEEPSEEK_V3, .change = "router.group_score=max"},
    {DEEPSEEK_V2, .change = "router.group_score=best_two"},
    {DEEPSEEK_V3, .change = "router.correction=false"},
    {DEEPSEEK_V3, .change = "the correction bias in the weights",
     .otherwise = REF_CORRECTION_WEIGHS},
    {SHADOW_A, .change = "equal scores to the highest expert",
     .otherwise = REF_LAST_OF_EQUAL, .hides_choices = true},
    {DEEPSEEK_V2, .change = "router.scale=1"},
    {DEEPSEEK_V2, .change = "router.scale=16"},
    {ERNIE, .change = "router.sum_floor=0"},
    {QWEN2, .change = "router.weigh_input=true"},
    {LLAMA4, .change = "router.weigh_input=false"},
    {GPT_OSS, .change = "bias.router=false"},
    {GEMMA4, .change = "router.norm=false"},
    {GEMMA4, .change = "router.expert_scale=false"},
    {SHADOW_A, .change = "capacity.rule=none"},
    {SHADOW_A, .change = "capacity.priority=position"},
    {SHADOW_B, .change = "capacity.priority=prob"},
    {GPT_OSS, .set = "activation_limit=0.05", .change = "activation=silu"},
    {MIXTRAL, .change = "activation=gelu"},
    {MIXTRAL, .change = "activation=gelu_tanh"},
    {MIXTRAL, .change = "activation=relu"},
    {SHADOW_B, .change = "activation=relu2"},
    {MIXTRAL, .change = "activation=sigmoid"},
    {GPT_OSS, .set = "activation_limit=0.05",
     .change = "activation=clamped_silu"},
    {MIXTRAL, .change = "activation=clamped_swiglu"},
    {GPT_OSS, .set = "activation_limit=0.05",
     .change = "activation_limit=1e30"},
    {GPT_OSS, .change = "activation_alpha=1"},
    {STEP3, .change = "limits.experts=0"},
    {STEP3, .change = "limits.mlp=0"},
    {MIXTRAL, .change = "gated=false"},
    {MIXTRAL, .change = "the experts' gate and up exchanged",
     .alteration = CORE_ALTER_EXPERTS_SWAPPED},
    {QWEN2, .change = "gate and up of MLPs exchanged",
     .alteration = CORE_ALTER_MLPS_SWAPPED},
    {MIXTRAL, .change = "the experts' rows gate, up, gate, up read as halves",
     .alteration = CORE_ALTER_EXPERTS_HALVED},
    {MIXTRAL, .change = "the experts' halves read as gate, up, gate, up",
     .alteration = CORE_ALTER_EXPERTS_WOVEN},
    {MIXTRAL, .change = "the experts' matrices read transposed",
     .alteration = CORE_ALTER_EXPERTS_TURNED},
    {GEMMA4, .change = "branch_norm=false and shared_inner=0"},
    {QWEN2, .change = "shared_inner=0"},
    {QWEN2, .change = "shared_gate=false"},
    {GPT_OSS, .change = "bias.ffn=false"},
    {ERNIE, .change = "bias.mlp=false"},
    {HEADS, .change = "sliding_window=0"},
    {MIXTRAL, .change = "sliding_window=7"},
    {MIXTRAL, .change = "sliding_window=9"},
    {GPT_OSS, .change = "span=window"},
    {HEADS, .change = "span=full"},
    {MIXTRAL, .change = "span=[window, full, window, full]"},
    {MIXTRAL, .change = "span=[full, window, full, window]"},
    {HEADS, .change = "chunk=8192"},
    {GPT_OSS, .change = "attention.sinks=false"},
    {HUNYUAN, .change = "attention.qk_norm=none"},
    {HUNYUAN, .change = "attention.qk_norm=head"},
    {GEMMA4, .change = "attention.value_norm=false"},
    {MIMO, .change = "attention.value_scale=0"},
    {DEEPSEEK_V2, .change = "attention.scale=0"},
    {MIXTRAL, .change = "attention.scale=1"},
    {MIXTRAL, .change = "attention.scale=0.041666666666666678"},
    {OLMOE, .change = "attention.clip=0"},
    {LLAMA4, .change = "attention.temper_scale=0"},
    {QWEN3_NEXT, .change = "attention.gate=false"},
    {GPT_OSS_YARN, .set = "rope.original_positions=2000",
     .change = "bias.qkv=false"},
    {GPT_OSS_YARN, .set = "rope.original_positions=2000",
     .change = "bias.attention_out=false"},
    {MIXTRAL, .change = "rope.interleaved=true"},
    {DEEPSEEK_V2, .change = "rope.interleaved=false"},
    {QWEN2, .change = "rope.theta=10000"},
    {MIXTRAL, .change = "rope.theta=50000"},
    {MIXTRAL, .change = "rope.theta=100000"},
    {MIXTRAL, .change = "rope.theta=150000"},
    {MIXTRAL, .change = "rope.theta=500000"},
    {MIXTRAL, .change = "rope.theta=1000000"},
    {MIXTRAL, .change = "rope.theta=5000000"},
    {MIXTRAL, .change = "rope.theta=10000000"},
    {GEMMA4, .change = "rope.theta=100"},
    {MIXTRAL, .change = "rope.scaling=plain"},
    {GPT_OSS_YARN, .set = "rope.original_positions=2000",
     .change = "rope.truncate=true"},
    {MIXTRAL, .change = "rope.truncate=false"},
    {DEEPSEEK_V2, .change = "rope.attention_factor=1"},
    {DEEPSEEK_V2, .change = "rope.attention_factor=1 and attention.scale=0"},
    {HUNYUAN, .change = "positions of rotations counted from 1",
     .otherwise = REF_ROTATIONS_FROM_ONE},
    {MIXTRAL, .change = "queries rotated one position on",
     .otherwise = REF_QUERIES_ONE_ON},
    {QWEN3_NEXT, .change = "rotated=0"},
    {MIXTRAL, .change = "rotated=12"},
    {LLAMA4, .change = "positions=rope"},
    {MIXTRAL, .change = "positions=none"},
    {MIXTRAL, .change = "positions=[rope, rope, rope, none]"},
    {PHIMOE, .change = "norm=rms"},
    {MIXTRAL, .change = "norm=rms_plus_one"},
    {PHIMOE, .change = "LayerNorm without subtracting the mean",
     .otherwise = REF_MEAN_KEPT},
    {QWEN3_NEXT, .change = "norm_eps=1e-12"},
    {QWEN3_NEXT, .change = "norm_eps=1e-08"},
    {MIXTRAL, .change = "norm_eps=1e-06"},
    {DEEPSEEK_V2, .change = "norm_eps=1e-05"},
    {MIXTRAL, .change = "norm_eps=0.0001"},
    {MIXTRAL, .change = "norm_eps=0.001"},
    {GEMMA4, .change = "post_norm=false"},
    {GEMMA4, .change = "branch_norm=false"},
    {GEMMA4, .change = "layer_scale=false"},
    {GRANITE, .change = "scale.embedding=1"},
    {MIXTRAL, .change = "scale.embedding=8"},
    {GRANITE, .change = "scale.residual=1"},
    {GRANITE, .change = "scale.residual=0.048399999999999999"},
    {GRANITE, .change = "scale.logits_divisor=1"},
    {BRANCHES, .change = "scale.logits_cap=0"},
    {PHIMOE, .change = "bias.head=false"},
};

enum { N_EXPLAINED = sizeof EXPLAINED / sizeof EXPLAINED[0] };

#endif
