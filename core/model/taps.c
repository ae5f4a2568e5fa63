/* core/model/taps.c -- the table of observation points, and what a model has of it.
 *
 * Everything about a tap but its size is a column of CORE_TAP_LIST; this file
 * adds when a tap exists and how wide it is.  A tap that exists must be written
 * by both forward passes, so `exists` must follow ref/MODEL.md and nothing
 * else.  Names are parsed strictly ("layers.03.in" and "layers.3.in " name no
 * tap): a name that two spellings reach would let a comparison miss one.
 */
#include "core/model/taps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tap_row {
    const char *format;
    core_tap_rows rows;
    core_grid grid;
    bool is_coarse;
} tap_row;

static const tap_row TAP_TABLE[CORE_N_TAP_KINDS] = {
#define TAP_ROW(kind, name, rows, grid, coarse)                                \
    {name, CORE_ROWS_##rows, CORE_GRID_##grid, coarse},
    CORE_TAP_LIST(TAP_ROW)
#undef TAP_ROW
};

static const char LAYER_PREFIX[] = "layers.%d.";

core_tap_rows core_tap_row_kind(core_tap_kind kind)
{
    return TAP_TABLE[kind].rows;
}

core_grid core_tap_grid(core_tap_kind kind)
{
    return TAP_TABLE[kind].grid;
}

bool core_tap_is_coarse(core_tap_kind kind)
{
    return TAP_TABLE[kind].is_coarse;
}

bool core_tap_is_global(core_tap_kind kind)
{
    return kind == CORE_TAP_EMBED || kind == CORE_TAP_FINAL_NORM ||
           kind == CORE_TAP_LOGITS;
}

/* The taps between attn.norm and attn_out of a layer that has attention. */
static bool attention_has(const core_spec *spec, core_tap tap)
{
    const bool mla = core_spec_is_mla(spec);
    const bool rope = core_spec_has_rope(spec, tap.layer);
    switch (tap.kind) {
    case CORE_TAP_Q_A:
    case CORE_TAP_Q_A_NORM:
        return mla && spec->n_q_rank > 0;
    case CORE_TAP_KV_A:
    case CORE_TAP_KV_A_NORM:
    case CORE_TAP_KV_B:
        return mla;
    case CORE_TAP_K:
    case CORE_TAP_V:
        return !mla;
    case CORE_TAP_Q_NORM:
    case CORE_TAP_K_NORM:
        return spec->qk_norm == CORE_QK_NORM_HEAD ||
               spec->qk_norm == CORE_QK_NORM_ALL;
    case CORE_TAP_Q_ROPE:
    case CORE_TAP_K_ROPE:
        return rope;
    case CORE_TAP_Q_ROPE_NORM:
    case CORE_TAP_K_ROPE_NORM:
        return rope && spec->qk_norm == CORE_QK_NORM_ROPED;
    case CORE_TAP_Q_TEMPER:
        return !rope && spec->temper_scale > 0.0;
    default:
        return true;
    }
}

static bool moe_has(const core_spec *spec, core_tap_kind kind)
{
    if (kind == CORE_TAP_EXPERT_GATE)
        return spec->gated;
    if (kind == CORE_TAP_ROUTER_PROBS)
        return spec->router == CORE_ROUTER_SOFTMAX ||
               spec->router == CORE_ROUTER_SIGMOID;
    return true;
}

bool core_tap_exists(const core_spec *spec, core_tap tap)
{
    const core_tap_kind kind = tap.kind;
    if (core_tap_is_global(kind))
        return spec->n_h > 0 && tap.layer == 0;
    if (tap.layer < 0 || tap.layer >= spec->n_l)
        return false;
    if (kind >= CORE_TAP_Q_A && kind <= CORE_TAP_CONTEXT)
        return core_spec_has_attention(spec, tap.layer) &&
               attention_has(spec, tap);
    if (kind >= CORE_TAP_MAMBA_U && kind <= CORE_TAP_MAMBA_GATED)
        return core_spec_has_mamba(spec, tap.layer);
    if (kind >= CORE_TAP_ATTN_NORM && kind <= CORE_TAP_MID)
        return spec->n_h > 0;
    if (kind >= CORE_TAP_ROUTER_LOGITS && kind <= CORE_TAP_COMBINE)
        return core_spec_is_moe(spec, tap.layer) && moe_has(spec, kind);
    int64_t n_f;
    if (kind >= CORE_TAP_MLP_GATE && kind <= CORE_TAP_MLP_OUT)
        return core_spec_has_mlp(spec, tap.layer, &n_f) &&
               (kind != CORE_TAP_MLP_GATE || spec->gated);
    if (kind >= CORE_TAP_SHARED_LOGIT && kind <= CORE_TAP_SHARED_WEIGHTED)
        return core_spec_has_shared_gate(spec, tap.layer);
    return true;
}

int64_t core_tap_cols(const core_spec *spec, core_tap tap)
{
    const int64_t n_dh = spec->n_dh, n_rot = core_spec_n_rot(spec);
    const bool mla = core_spec_is_mla(spec);
    int64_t n_f;
    switch (tap.kind) {
    case CORE_TAP_Q:
    case CORE_TAP_Q_NORM:
    case CORE_TAP_Q_ROPE:
    case CORE_TAP_Q_ROPE_NORM:
    case CORE_TAP_Q_TEMPER:
        return spec->n_h * n_dh;
    case CORE_TAP_CONTEXT:
        return spec->n_h * core_spec_n_dv(spec);
    case CORE_TAP_K_ROPE:
        return mla ? n_rot : spec->n_g * n_dh;
    case CORE_TAP_K:
    case CORE_TAP_V:
    case CORE_TAP_K_NORM:
    case CORE_TAP_K_ROPE_NORM:
        return spec->n_g * n_dh;
    case CORE_TAP_Q_A:
    case CORE_TAP_Q_A_NORM:
        return spec->n_q_rank;
    case CORE_TAP_KV_A:
        return spec->n_kv_rank + n_rot;
    case CORE_TAP_KV_A_NORM:
        return spec->n_kv_rank;
    case CORE_TAP_KV_B:
        return spec->n_h * (n_dh - n_rot + core_spec_n_dv(spec));
    case CORE_TAP_MAMBA_X:
        return spec->mamba.n_r + 2 * spec->mamba.n_s;
    case CORE_TAP_MAMBA_DT_NORM:
        return spec->mamba.n_r;
    case CORE_TAP_MAMBA_B:
    case CORE_TAP_MAMBA_C:
        return spec->mamba.n_s;
    case CORE_TAP_MAMBA_U:
    case CORE_TAP_MAMBA_GATE:
    case CORE_TAP_MAMBA_CONV:
    case CORE_TAP_MAMBA_ACT:
    case CORE_TAP_MAMBA_DT_RAW:
    case CORE_TAP_MAMBA_DT:
    case CORE_TAP_MAMBA_Y:
    case CORE_TAP_MAMBA_GATED:
        return spec->mamba.n_c;
    case CORE_TAP_ROUTER_LOGITS:
    case CORE_TAP_ROUTER_PROBS:
        return spec->n_e;
    case CORE_TAP_TOPK_IDX:
    case CORE_TAP_TOPK_WEIGHT:
    case CORE_TAP_SLOT:
        return spec->n_k;
    case CORE_TAP_EXPERT_GATE:
    case CORE_TAP_EXPERT_UP:
    case CORE_TAP_EXPERT_ACT:
        return spec->n_f;
    case CORE_TAP_MLP_GATE:
    case CORE_TAP_MLP_UP:
    case CORE_TAP_MLP_ACT:
        return core_spec_has_mlp(spec, tap.layer, &n_f) ? n_f : 0;
    case CORE_TAP_SHARED_LOGIT:
    case CORE_TAP_SHARED_SCORE:
        return 1;
    case CORE_TAP_LOGITS:
        return spec->n_v;
    default:
        return spec->n_d;
    }
}

int64_t core_tap_n_rows(const core_spec *spec, core_tap tap, int64_t n_t)
{
    return core_tap_row_kind(tap.kind) == CORE_ROWS_CHOICE ? n_t * spec->n_k
                                                           : n_t;
}

const char *core_tap_name(core_tap tap, char name[CORE_NAME_BYTES])
{
    snprintf(name, CORE_NAME_BYTES, TAP_TABLE[tap.kind].format, tap.layer);
    return name;
}

/* Split "layers.3.mid" into 3 and "mid"; false if it is not of that form. */
static bool split_layer(const char *name, int *layer, const char **rest)
{
    const size_t n_fixed = strlen("layers.");
    if (strncmp(name, "layers.", n_fixed) != 0)
        return false;
    const char *digits = name + n_fixed;
    const size_t n_digit = strspn(digits, "0123456789");
    if (n_digit < 1 || n_digit > 3 || (digits[0] == '0' && n_digit > 1) ||
        digits[n_digit] != '.')
        return false;
    *layer = (int)strtol(digits, NULL, 10);
    *rest = digits + n_digit + 1;
    return *layer < CORE_MAX_LAYERS;
}

bool core_tap_parse(core_tap *out, const char *name)
{
    int layer = 0;
    const char *rest = name;
    const bool in_layer = split_layer(name, &layer, &rest);
    const size_t skip = in_layer ? strlen(LAYER_PREFIX) : 0;
    for (int k = 0; k < CORE_N_TAP_KINDS; k++) {
        const core_tap_kind kind = (core_tap_kind)k;
        if (core_tap_is_global(kind) != in_layer &&
            strcmp(TAP_TABLE[k].format + skip, rest) == 0) {
            *out = (core_tap){kind, layer};
            return true;
        }
    }
    return false;
}

static int64_t append(const core_spec *spec, core_tap tap, core_tap *out,
                      int64_t n, int64_t capacity)
{
    if (!core_tap_exists(spec, tap))
        return n;
    if (n < capacity)
        out[n] = tap;
    return n + 1;
}

int64_t core_taps(const core_spec *spec, core_tap *out, int64_t capacity)
{
    int64_t n = append(spec, (core_tap){CORE_TAP_EMBED, 0}, out, 0, capacity);
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = CORE_TAP_IN; k <= CORE_TAP_OUT; k++)
            n = append(spec, (core_tap){(core_tap_kind)k, l}, out, n, capacity);
    n = append(spec, (core_tap){CORE_TAP_FINAL_NORM, 0}, out, n, capacity);
    return append(spec, (core_tap){CORE_TAP_LOGITS, 0}, out, n, capacity);
}
