/* core/model/weight_list.c -- which tensors a model has, and how large they are.
 *
 * The index of a tensor counts only the tensors that exist, layer by layer and
 * in the order of CORE_WEIGHT_LIST, the experts' kinds expert by expert.  A
 * tied head has no index of its own: it IS the embedding, with one step and
 * one stream of numbers, and every question about it is asked of EMBED.
 */
#include "core/model/weight_list.h"

#include <stdio.h>

static const char *const NAME_FORMAT[CORE_N_WEIGHT_KINDS] = {
#define NAME_ROW(kind, name) name,
    CORE_WEIGHT_LIST(NAME_ROW)
#undef NAME_ROW
};

static bool is_global(core_weight_kind kind)
{
    return kind == CORE_W_EMBED || kind >= CORE_W_FINAL_NORM;
}

static bool is_expert(core_weight_kind kind)
{
    return kind >= CORE_W_EXPERT_GATE && kind <= CORE_W_EXPERT_DOWN_BIAS;
}

/* Of a layer that has attention. */
static bool attention_has(const core_spec *spec, core_weight_kind kind)
{
    const bool mla = core_spec_is_mla(spec);
    switch (kind) {
    case CORE_W_Q_A:
    case CORE_W_Q_A_NORM:
        return mla && spec->n_q_rank > 0;
    case CORE_W_Q_A_BIAS:
        return mla && spec->n_q_rank > 0 && spec->bias_qkv;
    case CORE_W_KV_A:
    case CORE_W_KV_A_NORM:
    case CORE_W_KV_B:
        return mla;
    case CORE_W_KV_A_BIAS:
        return mla && spec->bias_qkv;
    case CORE_W_K:
    case CORE_W_V:
        return !mla;
    case CORE_W_Q_BIAS:
    case CORE_W_K_BIAS:
    case CORE_W_V_BIAS:
        return !mla && spec->bias_qkv;
    case CORE_W_O_BIAS:
        return spec->bias_o;
    case CORE_W_Q_NORM:
    case CORE_W_K_NORM:
        return spec->qk_norm == CORE_QK_NORM_HEAD ||
               spec->qk_norm == CORE_QK_NORM_ALL;
    case CORE_W_SINKS:
        return spec->sinks;
    default:
        return true; /* Q, O */
    }
}

static bool mamba_has(const core_spec *spec, core_weight_kind kind)
{
    switch (kind) {
    case CORE_W_MAMBA_CONV_BIAS:
        return spec->mamba.bias_conv;
    case CORE_W_MAMBA_U_BIAS:
    case CORE_W_MAMBA_GATE_BIAS:
    case CORE_W_MAMBA_OUT_BIAS:
        return spec->mamba.bias_proj;
    default:
        return true;
    }
}

/* Of a layer with experts, or with an MLP. */
static bool ffn_has(const core_spec *spec, core_weight_kind kind)
{
    switch (kind) {
    case CORE_W_ROUTER_BIAS:
        return spec->bias_router;
    case CORE_W_CORRECTION:
        return spec->correction;
    case CORE_W_EXPERT_GATE:
    case CORE_W_MLP_GATE:
        return spec->gated;
    case CORE_W_EXPERT_GATE_BIAS:
    case CORE_W_MLP_GATE_BIAS:
        return spec->gated && spec->bias_ffn;
    case CORE_W_EXPERT_UP_BIAS:
    case CORE_W_EXPERT_DOWN_BIAS:
    case CORE_W_MLP_UP_BIAS:
    case CORE_W_MLP_DOWN_BIAS:
        return spec->bias_ffn;
    default:
        return true;
    }
}

static bool kind_exists(const core_spec *spec, core_weight_kind kind, int layer)
{
    int64_t n_f;
    if (kind == CORE_W_FFN_NORM || kind == CORE_W_FFN_NORM_BIAS)
        return kind == CORE_W_FFN_NORM || spec->norm == CORE_NORM_LAYER;
    if (kind >= CORE_W_ROUTER && kind <= CORE_W_EXPERT_DOWN_BIAS)
        return core_spec_is_moe(spec, layer) && ffn_has(spec, kind);
    if (kind >= CORE_W_MLP_GATE && kind <= CORE_W_MLP_DOWN_BIAS)
        return core_spec_has_mlp(spec, layer, &n_f) && ffn_has(spec, kind);
    if (kind == CORE_W_SHARED_GATE)
        return core_spec_has_shared_gate(spec, layer);
    if (kind >= CORE_W_Q_A && kind <= CORE_W_SINKS)
        return core_spec_has_attention(spec, layer) &&
               attention_has(spec, kind);
    if (kind >= CORE_W_MAMBA_U && kind <= CORE_W_MAMBA_OUT_BIAS)
        return core_spec_has_mamba(spec, layer) && mamba_has(spec, kind);
    if (kind == CORE_W_ATTN_NORM_BIAS || kind == CORE_W_FINAL_NORM_BIAS)
        return spec->n_h > 0 && spec->norm == CORE_NORM_LAYER;
    if (kind == CORE_W_HEAD_BIAS)
        return spec->n_h > 0 && spec->bias_head;
    return spec->n_h > 0; /* EMBED, ATTN_NORM, FINAL_NORM, HEAD */
}

bool core_weight_exists(const core_spec *spec, core_weight id)
{
    if (is_global(id.kind) ? id.layer != 0
                           : id.layer < 0 || id.layer >= spec->n_l)
        return false;
    if (is_expert(id.kind) ? id.expert < 0 || id.expert >= spec->n_e
                           : id.expert != 0)
        return false;
    return kind_exists(spec, id.kind, id.layer);
}

void core_weight_shape(const core_spec *spec, core_weight id, int64_t *n_row,
                       int64_t *n_col)
{
    const int64_t n_rot = core_spec_n_rot(spec), n_dv = core_spec_n_dv(spec);
    const int64_t q = spec->n_h * spec->n_dh, kv = spec->n_g * spec->n_dh;
    const int64_t latent = spec->n_kv_rank + n_rot, rank = spec->n_q_rank;
    const bool per_head = spec->qk_norm == CORE_QK_NORM_HEAD;
    const core_mamba *mamba = &spec->mamba;
    int64_t f_mlp = 0;
    if (!is_global(id.kind))
        (void)core_spec_has_mlp(spec, id.layer, &f_mlp);
    const int64_t d = spec->n_d, f = spec->n_f, c = mamba->n_c;
    const int64_t shape[CORE_N_WEIGHT_KINDS][2] = {
        [CORE_W_EMBED] = {spec->n_v, d},
        [CORE_W_ATTN_NORM] = {1, d},
        [CORE_W_ATTN_NORM_BIAS] = {1, d},
        [CORE_W_Q_A] = {rank, d},
        [CORE_W_Q_A_BIAS] = {1, rank},
        [CORE_W_Q_A_NORM] = {1, rank},
        [CORE_W_Q] = {q, core_spec_is_mla(spec) && rank > 0 ? rank : d},
        [CORE_W_KV_A] = {latent, d},
        [CORE_W_KV_A_BIAS] = {1, latent},
        [CORE_W_KV_A_NORM] = {1, spec->n_kv_rank},
        [CORE_W_KV_B] = {spec->n_h * (spec->n_dh - n_rot + n_dv),
                         spec->n_kv_rank},
        [CORE_W_K] = {kv, d},
        [CORE_W_V] = {kv, d},
        [CORE_W_O] = {d, spec->n_h * n_dv},
        [CORE_W_Q_BIAS] = {1, q},
        [CORE_W_K_BIAS] = {1, kv},
        [CORE_W_V_BIAS] = {1, kv},
        [CORE_W_O_BIAS] = {1, d},
        [CORE_W_Q_NORM] = {1, per_head ? spec->n_dh : q},
        [CORE_W_K_NORM] = {1, per_head ? spec->n_dh : kv},
        [CORE_W_SINKS] = {1, spec->n_h},
        [CORE_W_MAMBA_U] = {c, d},
        [CORE_W_MAMBA_GATE] = {c, d},
        [CORE_W_MAMBA_U_BIAS] = {1, c},
        [CORE_W_MAMBA_GATE_BIAS] = {1, c},
        [CORE_W_MAMBA_CONV] = {c, mamba->n_conv},
        [CORE_W_MAMBA_CONV_BIAS] = {1, c},
        [CORE_W_MAMBA_X] = {mamba->n_r + 2 * mamba->n_s, c},
        [CORE_W_MAMBA_DT_NORM] = {1, mamba->n_r},
        [CORE_W_MAMBA_B_NORM] = {1, mamba->n_s},
        [CORE_W_MAMBA_C_NORM] = {1, mamba->n_s},
        [CORE_W_MAMBA_DT] = {c, mamba->n_r},
        [CORE_W_MAMBA_DT_BIAS] = {1, c},
        [CORE_W_MAMBA_A_LOG] = {c, mamba->n_s},
        [CORE_W_MAMBA_D] = {1, c},
        [CORE_W_MAMBA_OUT] = {d, c},
        [CORE_W_MAMBA_OUT_BIAS] = {1, d},
        [CORE_W_FFN_NORM] = {1, d},
        [CORE_W_FFN_NORM_BIAS] = {1, d},
        [CORE_W_ROUTER] = {spec->n_e, d},
        [CORE_W_ROUTER_BIAS] = {1, spec->n_e},
        [CORE_W_CORRECTION] = {1, spec->n_e},
        [CORE_W_EXPERT_GATE] = {f, d},
        [CORE_W_EXPERT_UP] = {f, d},
        [CORE_W_EXPERT_DOWN] = {d, f},
        [CORE_W_EXPERT_GATE_BIAS] = {1, f},
        [CORE_W_EXPERT_UP_BIAS] = {1, f},
        [CORE_W_EXPERT_DOWN_BIAS] = {1, d},
        [CORE_W_MLP_GATE] = {f_mlp, d},
        [CORE_W_MLP_UP] = {f_mlp, d},
        [CORE_W_MLP_DOWN] = {d, f_mlp},
        [CORE_W_MLP_GATE_BIAS] = {1, f_mlp},
        [CORE_W_MLP_UP_BIAS] = {1, f_mlp},
        [CORE_W_MLP_DOWN_BIAS] = {1, d},
        [CORE_W_SHARED_GATE] = {1, d},
        [CORE_W_FINAL_NORM] = {1, d},
        [CORE_W_FINAL_NORM_BIAS] = {1, d},
        [CORE_W_HEAD] = {spec->n_v, d},
        [CORE_W_HEAD_BIAS] = {1, spec->n_v},
    };
    *n_row = shape[id.kind][0];
    *n_col = shape[id.kind][1];
}

core_weight_kind core_weight_bias(core_weight_kind kind)
{
    switch (kind) {
    case CORE_W_Q:
        return CORE_W_Q_BIAS;
    case CORE_W_K:
        return CORE_W_K_BIAS;
    case CORE_W_V:
        return CORE_W_V_BIAS;
    case CORE_W_O:
        return CORE_W_O_BIAS;
    case CORE_W_ROUTER:
        return CORE_W_ROUTER_BIAS;
    case CORE_W_EXPERT_GATE:
        return CORE_W_EXPERT_GATE_BIAS;
    case CORE_W_EXPERT_UP:
        return CORE_W_EXPERT_UP_BIAS;
    case CORE_W_EXPERT_DOWN:
        return CORE_W_EXPERT_DOWN_BIAS;
    case CORE_W_MLP_GATE:
        return CORE_W_MLP_GATE_BIAS;
    case CORE_W_MLP_UP:
        return CORE_W_MLP_UP_BIAS;
    case CORE_W_MLP_DOWN:
        return CORE_W_MLP_DOWN_BIAS;
    case CORE_W_Q_A:
        return CORE_W_Q_A_BIAS;
    case CORE_W_KV_A:
        return CORE_W_KV_A_BIAS;
    case CORE_W_MAMBA_U:
        return CORE_W_MAMBA_U_BIAS;
    case CORE_W_MAMBA_GATE:
        return CORE_W_MAMBA_GATE_BIAS;
    case CORE_W_MAMBA_DT:
        return CORE_W_MAMBA_DT_BIAS;
    case CORE_W_MAMBA_OUT:
        return CORE_W_MAMBA_OUT_BIAS;
    case CORE_W_HEAD:
        return CORE_W_HEAD_BIAS;
    default:
        return CORE_N_WEIGHT_KINDS;
    }
}

const char *core_weight_name(core_weight id, char name[CORE_NAME_BYTES])
{
    snprintf(name, CORE_NAME_BYTES, NAME_FORMAT[id.kind], id.layer, id.expert);
    return name;
}

/* Tensors of one layer before `id` (kinds in order, experts within a run of
 * expert kinds outermost), or of the whole layer for kind FINAL_NORM. */
static int64_t index_in_layer(const core_spec *spec, core_weight id)
{
    int64_t n_before = 0, n_expert = 0, n_in_expert = 0;
    for (int k = CORE_W_ATTN_NORM; k < CORE_W_FINAL_NORM; k++) {
        const core_weight_kind kind = (core_weight_kind)k;
        if (!kind_exists(spec, kind, id.layer))
            continue;
        n_expert += is_expert(kind) ? 1 : 0;
        if (kind < id.kind && is_expert(kind))
            n_in_expert++;
        else if (kind < id.kind)
            n_before++;
    }
    if (is_expert(id.kind))
        return n_before + id.expert * n_expert + n_in_expert;
    if (id.kind > CORE_W_EXPERT_DOWN_BIAS)
        n_before += n_expert * spec->n_e;
    return n_before;
}

/* Tensors of the layers before `end`.  How many a layer has rests on its mixer
 * and its FFN alone, so each pair of them is counted once. */
static int64_t count_layers(const core_spec *spec, int end)
{
    int64_t n = 0, count[2][2] = {{-1, -1}, {-1, -1}}; /* [mixer][ffn] */
    for (int l = 0; l < end; l++) {
        int64_t *of_pair = &count[spec->mixer[l]][spec->ffn[l]];
        if (*of_pair < 0)
            *of_pair =
                index_in_layer(spec, (core_weight){CORE_W_FINAL_NORM, l, 0});
        n += *of_pair;
    }
    return n;
}

/* Kinds from FINAL_NORM to `end`, the tied head left out. */
static int64_t count_last(const core_spec *spec, int end)
{
    int64_t n = 0;
    for (int k = CORE_W_FINAL_NORM; k < end; k++)
        n += kind_exists(spec, (core_weight_kind)k, 0) &&
                     !(spec->tied && k == CORE_W_HEAD)
                 ? 1
                 : 0;
    return n;
}

int64_t core_weight_count(const core_spec *spec)
{
    return (spec->n_h > 0 ? 1 : 0) + count_layers(spec, (int)spec->n_l) +
           count_last(spec, CORE_N_WEIGHT_KINDS);
}

int64_t core_weight_index(const core_spec *spec, core_weight id)
{
    core_assert(core_weight_exists(spec, id));
    if (id.kind == CORE_W_EMBED || (id.kind == CORE_W_HEAD && spec->tied))
        return 0;
    const int end = is_global(id.kind) ? (int)spec->n_l : id.layer;
    const int64_t n = (spec->n_h > 0 ? 1 : 0) + count_layers(spec, end);
    if (is_global(id.kind))
        return n + count_last(spec, (int)id.kind);
    return n + index_in_layer(spec, id);
}

static int64_t append(const core_spec *spec, core_weight id, core_weight *out,
                      int64_t n)
{
    if (!core_weight_exists(spec, id))
        return n;
    out[n] = id;
    return n + 1;
}

void core_weight_list(const core_spec *spec, core_weight *out)
{
    int64_t n = append(spec, (core_weight){CORE_W_EMBED, 0, 0}, out, 0);
    for (int l = 0; l < (int)spec->n_l; l++) {
        for (int k = CORE_W_ATTN_NORM; k < CORE_W_EXPERT_GATE; k++)
            n = append(spec, (core_weight){(core_weight_kind)k, l, 0}, out, n);
        for (int e = 0; e < (int)spec->n_e; e++)
            for (int k = CORE_W_EXPERT_GATE; k <= CORE_W_EXPERT_DOWN_BIAS; k++)
                n = append(spec, (core_weight){(core_weight_kind)k, l, e}, out,
                           n);
        for (int k = CORE_W_MLP_GATE; k < CORE_W_FINAL_NORM; k++)
            n = append(spec, (core_weight){(core_weight_kind)k, l, 0}, out, n);
    }
    for (int k = CORE_W_FINAL_NORM; k < CORE_N_WEIGHT_KINDS; k++)
        if (!(spec->tied && k == CORE_W_HEAD))
            n = append(spec, (core_weight){(core_weight_kind)k, 0, 0}, out, n);
}
