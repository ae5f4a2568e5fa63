/* core/model/families/gguf_names.c -- what the tensors of GGUF files are
 * called.
 *
 * One name means one weight in all architectures, but for delta nets, which
 * share names with attention and Mamba.  Traps: the norm before the
 * feed-forward part is called post_attention_norm in some; without `_exps` the
 * three matrices are those of a dense layer, with `_shexp` those of the shared
 * expert, and old files have one tensor for each expert; a decay is stored as
 * it is used, -exp(A_log).
 */
#include "core/model/gguf_impl.h"

#include "core/files/text.h"

#include <stdlib.h>
#include <string.h>

typedef struct name {
    const char *text;
    core_weight_kind kind, bias; /* of .weight, of .bias                      */
} name;

static const name WHOLE[] = {
    {"token_embd", CORE_W_EMBED, CORE_W_NONE},
    {"output_norm", CORE_W_FINAL_NORM, CORE_W_FINAL_NORM_BIAS},
    {"output", CORE_W_HEAD, CORE_W_HEAD_BIAS},
};

static const name LAYER[] = {
    {"attn_norm", CORE_W_ATTN_NORM, CORE_W_ATTN_NORM_BIAS},
    {"ffn_norm", CORE_W_FFN_NORM, CORE_W_FFN_NORM_BIAS},
    {"post_attention_norm", CORE_W_FFN_NORM, CORE_W_NONE},
    {"attn_qkv", CORE_W_Q, CORE_W_Q_BIAS}, /* of one tensor, the first rows */
    {"attn_q", CORE_W_Q, CORE_W_Q_BIAS},
    {"attn_k", CORE_W_K, CORE_W_K_BIAS},
    {"attn_v", CORE_W_V, CORE_W_V_BIAS},
    {"attn_output", CORE_W_O, CORE_W_O_BIAS},
    {"attn_q_norm", CORE_W_Q_NORM, CORE_W_NONE},
    {"attn_k_norm", CORE_W_K_NORM, CORE_W_NONE},
    {"attn_sinks", CORE_W_SINKS, CORE_W_NONE},
    {"attn_q_a", CORE_W_Q_A, CORE_W_Q_A_BIAS},
    {"attn_q_a_norm", CORE_W_Q_A_NORM, CORE_W_NONE},
    {"attn_q_b", CORE_W_Q, CORE_W_NONE},
    {"attn_kv_a_mqa", CORE_W_KV_A, CORE_W_KV_A_BIAS},
    {"attn_kv_a_norm", CORE_W_KV_A_NORM, CORE_W_NONE},
    {"attn_kv_b", CORE_W_KV_B, CORE_W_NONE},
    {"attn_k_b", CORE_W_KV_B, CORE_W_NONE},
    {"indexer.attn_q_b", CORE_W_INDEX_Q, CORE_W_NONE},
    {"indexer.attn_k", CORE_W_INDEX_K, CORE_W_NONE},
    {"indexer.k_norm", CORE_W_INDEX_K_NORM, CORE_W_INDEX_K_NORM_BIAS},
    {"indexer.proj", CORE_W_INDEX_WEIGHT, CORE_W_NONE},
    {"ffn_gate_inp", CORE_W_ROUTER, CORE_W_ROUTER_BIAS},
    {"exp_probs_b", CORE_W_NONE, CORE_W_CORRECTION},
    {"ffn_gate_inp_shexp", CORE_W_SHARED_GATE, CORE_W_NONE},
    {"ffn_gate", CORE_W_MLP_GATE, CORE_W_MLP_GATE_BIAS},
    {"ffn_up", CORE_W_MLP_UP, CORE_W_MLP_UP_BIAS},
    {"ffn_down", CORE_W_MLP_DOWN, CORE_W_MLP_DOWN_BIAS},
    {"ffn_gate_shexp", CORE_W_MLP_GATE, CORE_W_MLP_GATE_BIAS},
    {"ffn_up_shexp", CORE_W_MLP_UP, CORE_W_MLP_UP_BIAS},
    {"ffn_down_shexp", CORE_W_MLP_DOWN, CORE_W_MLP_DOWN_BIAS},
    {"ffn_gate_exps", CORE_W_EXPERT_GATE, CORE_W_EXPERT_GATE_BIAS},
    {"ffn_up_exps", CORE_W_EXPERT_UP, CORE_W_EXPERT_UP_BIAS},
    {"ffn_down_exps", CORE_W_EXPERT_DOWN, CORE_W_EXPERT_DOWN_BIAS},
    {"ssm_in", CORE_W_MAMBA_U, CORE_W_MAMBA_U_BIAS},
    {"ssm_conv1d", CORE_W_MAMBA_CONV, CORE_W_MAMBA_CONV_BIAS},
    {"ssm_x", CORE_W_MAMBA_X, CORE_W_NONE},
    {"ssm_dt", CORE_W_MAMBA_DT, CORE_W_MAMBA_DT_BIAS},
    {"ssm_dt_norm", CORE_W_MAMBA_DT_NORM, CORE_W_NONE},
    {"ssm_b_norm", CORE_W_MAMBA_B_NORM, CORE_W_NONE},
    {"ssm_c_norm", CORE_W_MAMBA_C_NORM, CORE_W_NONE},
    {"ssm_a", CORE_W_MAMBA_A_LOG, CORE_W_NONE},
    {"ssm_d", CORE_W_MAMBA_D, CORE_W_NONE},
    {"ssm_out", CORE_W_MAMBA_OUT, CORE_W_MAMBA_OUT_BIAS},
};

/* Of a delta net; of projections and convolutions in one, the first rows. */
static const name DELTANET[] = {
    {"attn_qkv", CORE_W_DELTANET_Q, CORE_W_NONE},
    {"attn_gate", CORE_W_DELTANET_GATE, CORE_W_NONE},
    {"ssm_beta", CORE_W_DELTANET_BETA, CORE_W_NONE},
    {"ssm_alpha", CORE_W_DELTANET_DT, CORE_W_NONE},
    {"ssm_dt", CORE_W_NONE, CORE_W_DELTANET_DT_BIAS},
    {"ssm_a", CORE_W_DELTANET_A_LOG, CORE_W_NONE},
    {"ssm_conv1d", CORE_W_DELTANET_Q_CONV, CORE_W_NONE},
    {"ssm_norm", CORE_W_DELTANET_NORM, CORE_W_NONE},
    {"ssm_out", CORE_W_DELTANET_OUT, CORE_W_NONE},
    {"attn_q", CORE_W_DELTANET_Q, CORE_W_NONE},
    {"attn_k", CORE_W_DELTANET_K, CORE_W_NONE},
    {"attn_v", CORE_W_DELTANET_V, CORE_W_NONE},
    {"attn_output", CORE_W_DELTANET_OUT, CORE_W_NONE},
    {"ssm_conv1d_q", CORE_W_DELTANET_Q_CONV, CORE_W_NONE},
    {"ssm_conv1d_k", CORE_W_DELTANET_K_CONV, CORE_W_NONE},
    {"ssm_conv1d_v", CORE_W_DELTANET_V_CONV, CORE_W_NONE},
    {"ssm_f_a", CORE_W_DELTANET_DT_A, CORE_W_NONE},
    {"ssm_f_b", CORE_W_DELTANET_DT, CORE_W_NONE},
    {"ssm_g_a", CORE_W_DELTANET_GATE_A, CORE_W_NONE},
    {"ssm_g_b", CORE_W_DELTANET_GATE, CORE_W_NONE},
};

/* The kind of a name with or without ".weight", or with ".bias". */
static core_weight_kind kind_of(const name *names, size_t n_name,
                                const char *text, size_t n)
{
    const char *end = text + n;
    for (size_t i = 0; i < n_name; i++)
        if (strlen(names[i].text) == n && strncmp(names[i].text, text, n) == 0)
            return strcmp(end, ".bias") == 0                     ? names[i].bias
                   : strcmp(end, ".weight") == 0 || *end == '\0' ? names[i].kind
                                                                 : CORE_W_NONE;
    return CORE_W_NONE;
}

/* "ffn_gate.7.weight": of one expert, which old files have. */
static bool is_one_expert(const char *rest, core__gguf_meaning *out)
{
    static const name THREE[] = {
        {"ffn_gate.", CORE_W_EXPERT_GATE, CORE_W_NONE},
        {"ffn_up.", CORE_W_EXPERT_UP, CORE_W_NONE},
        {"ffn_down.", CORE_W_EXPERT_DOWN, CORE_W_NONE}};
    const char *number;
    for (int i = 0; i < 3; i++) {
        char *end;
        if (!core_text_after(rest, THREE[i].text, &number) || *number < '0' ||
            *number > '9')
            continue;
        const long e = strtol(number, &end, 10);
        if (strcmp(end, ".weight") != 0 || e > INT32_MAX)
            return false;
        *out = (core__gguf_meaning){.kind = THREE[i].kind,
                                    .way = CORE_FILE_WAY_ALONE,
                                    .expert = (int)e};
        return true;
    }
    return false;
}

static core_weight_kind kind_in(const core_spec *spec, int64_t layer,
                                const char *rest, size_t n)
{
    core_weight_kind kind = CORE_W_NONE;
    if (layer < 0)
        return kind_of(WHOLE, sizeof WHOLE / sizeof WHOLE[0], rest, n);
    if (core_spec_mixer(spec, (int)layer) == CORE_MIXER_DELTANET)
        kind = kind_of(DELTANET, sizeof DELTANET / sizeof DELTANET[0], rest, n);
    return kind != CORE_W_NONE
               ? kind
               : kind_of(LAYER, sizeof LAYER / sizeof LAYER[0], rest, n);
}

bool core__gguf_meaning_of(const core_spec *spec, int64_t layer,
                           const char *rest, core__gguf_meaning *out)
{
    const char *dot = strrchr(rest, '.');
    const size_t n = dot != NULL ? (size_t)(dot - rest) : strlen(rest);
    if (layer >= 0 && is_one_expert(rest, out))
        return true;
    const core_weight_kind kind = kind_in(spec, layer, rest, n);
    if (kind == CORE_W_NONE)
        return false;
    *out = (core__gguf_meaning){.kind = kind, .way = CORE_FILE_WAY_STACKED};
    if (kind == CORE_W_MAMBA_A_LOG || kind == CORE_W_DELTANET_A_LOG)
        out->as = CORE_STORED_AS_DECAY;
    if (strcmp(rest, "attn_k_b.weight") == 0)
        out->order = CORE_ORDER_HEADS;
    return true;
}
