/* core/model/weight_list.c -- which tensors a model has, and how large they
 * are.
 *
 * The index of a tensor counts only the tensors that exist, layer by layer and
 * in the order of CORE_WEIGHT_LIST, the experts' kinds expert by expert.  A
 * tied head has no index of its own: it IS the embedding, with one step and
 * one stream of numbers, and every question about it is asked of EMBED.
 */
#include "core/model/weight_list.h"

#include <stdio.h>
#include <string.h>

/* Matrices, and the table whose rows are looked up; vectors, and decays, which
 * are no factors of a product.                                               */
#define SLOT_MATRIX(gain) CORE_SLOT_W
#define SLOT_TABLE CORE_SLOT_W
#define SLOT_NORM CORE_SLOT_OUT
#define SLOT_STREAM_NORM CORE_SLOT_OUT
#define SLOT_BIAS CORE_SLOT_OUT
#define SLOT_SMALL CORE_SLOT_OUT
#define SLOT_DECAY CORE_SLOT_OUT
#define SLOT_EXPERTS CORE_SLOT_OUT

static const struct {
    const char *format;
    core_weight_scope scope;
    core_weight_kind bias;
    core_slot slot; /* but for the router's                                   */
} TABLE[CORE_N_WEIGHT_KINDS] = {
#define WEIGHT_ROW(kind, scope, name, here, rows, cols, values, bias, ...)     \
    {name, CORE_SCOPE_##scope, CORE_W_##bias, SLOT_##values},
    CORE_WEIGHT_LIST(WEIGHT_ROW)
#undef WEIGHT_ROW
};

static bool is_once(core_weight_kind kind)
{
    return TABLE[kind].scope == CORE_SCOPE_ONCE;
}

static bool is_expert(core_weight_kind kind)
{
    return TABLE[kind].scope == CORE_SCOPE_EXPERT;
}

core_weight_scope core_weight_scope_of(core_weight_kind kind)
{
    return TABLE[kind].scope;
}

core_weight_kind core_weight_bias(core_weight_kind kind)
{
    return TABLE[kind].bias;
}

core_slot core_weight_slot(core_weight_kind kind)
{
#define IS_IT(w) kind == CORE_W_##w ||
    const bool is_router = CORE_ROUTER_WEIGHT_LIST(IS_IT) false;
#undef IS_IT
    return is_router ? CORE_SLOT_ROUTER : TABLE[kind].slot;
}

bool core_weight_is_index(core_weight_kind kind)
{
#define IS_IT(w) kind == CORE_W_##w ||
    return CORE_INDEX_WEIGHT_LIST(IS_IT) false;
#undef IS_IT
}

core_slot core_operand_slot(core_weight_kind kind)
{
    return core_weight_slot(kind) == CORE_SLOT_ROUTER ? CORE_SLOT_ROUTER
                                                      : CORE_SLOT_ACT;
}

static bool kind_exists(const core_spec *s, core_weight_kind kind, int l)
{
    switch (kind) {
#define WEIGHT_HERE(kind, scope, name, here, ...)                              \
    case CORE_W_##kind:                                                        \
        return here;
        CORE_WEIGHT_LIST(WEIGHT_HERE)
#undef WEIGHT_HERE
    case CORE_N_WEIGHT_KINDS:
        break;
    }
    return false;
}

bool core_weight_exists(const core_spec *spec, core_weight id)
{
    if (id.kind == CORE_W_NONE)
        return false;
    const int64_t n_layer = is_once(id.kind) ? 1 : spec->n_l;
    const int64_t n_expert = is_expert(id.kind) ? spec->n_e : 1;
    return id.layer >= 0 && id.layer < n_layer && id.expert >= 0 &&
           id.expert < n_expert && kind_exists(spec, id.kind, id.layer);
}

void core_weight_shape(const core_spec *s, core_weight id, int64_t *n_row,
                       int64_t *n_col)
{
    const int l = id.layer;
    switch (id.kind) {
#define WEIGHT_SHAPE(kind, scope, name, here, rows, cols, ...)                 \
    case CORE_W_##kind:                                                        \
        *n_row = rows;                                                         \
        *n_col = cols;                                                         \
        return;
        CORE_WEIGHT_LIST(WEIGHT_SHAPE)
#undef WEIGHT_SHAPE
    case CORE_N_WEIGHT_KINDS:
        break;
    }
    *n_row = *n_col = 0;
}

const char *core_weight_name(core_weight id, char name[CORE_NAME_BYTES])
{
    snprintf(name, CORE_NAME_BYTES, TABLE[id.kind].format, id.layer, id.expert);
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

/* Tensors of the layers before `end`.  How many a layer has rests on its mixer,
 * its FFN, its kind of heads, whether it chooses keys, how it chooses experts and
 * its digests alone, so layers alike are counted once. */
static int64_t count_layers(const core_spec *spec, int end)
{
    int64_t n = 0;
    int64_t count[CORE_N_MIXERS + 1][CORE_FFN_NONE + 1][CORE_HEAD_KINDS]
                 [CORE_SIGHT_KEPT + 1][2][CORE_DIGEST_BEST + 1];
    memset(count, -1, sizeof count);
    for (int l = 0; l < end; l++) {
        int64_t *alike =
            &count[spec->mixer[l]][spec->ffn[l]][spec->head_kind[l]]
                  [spec->sight[l]][spec->by_table[l]][spec->digest[l]];
        if (*alike < 0)
            *alike =
                index_in_layer(spec, (core_weight){CORE_W_FINAL_NORM, l, 0});
        n += *alike;
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

core_status core_weight_check_within(const core_spec *spec,
                                     const core_spec *other)
{
    char name[CORE_NAME_BYTES];
    CORE_FAIL_IF(spec->n_h > 0 && spec->tied != other->tied, CORE_E_SPEC,
                 "tied_head %s: which head there is the files say, not who "
                 "reads them",
                 spec->tied ? "true" : "false");
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++) {
            /* experts are alike, and of as many: the router's rows tell */
            const core_weight id = {(core_weight_kind)k, l, 0};
            int64_t asked[2], there[2] = {0, 0};
            if (!core_weight_exists(spec, id))
                continue;
            core_weight_shape(spec, id, &asked[0], &asked[1]);
            if (core_weight_exists(other, id))
                core_weight_shape(other, id, &there[0], &there[1]);
            CORE_FAIL_IF(
                asked[0] != there[0] || asked[1] != there[1], CORE_E_SPEC,
                "%s [%lld,%lld]: asked for, and the weights that are there "
                "have %s",
                core_weight_name(id, name), (long long)asked[0],
                (long long)asked[1],
                there[0] == 0 ? "no such tensor" : "another shape");
        }
    return CORE_OK;
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
    const int end = is_once(id.kind) ? (int)spec->n_l : id.layer;
    const int64_t n = (spec->n_h > 0 ? 1 : 0) + count_layers(spec, end);
    if (is_once(id.kind))
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
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = CORE_W_ATTN_NORM, end; k < CORE_W_FINAL_NORM; k = end) {
            const bool many = is_expert((core_weight_kind)k);
            end = many ? CORE_W_EXPERT_DOWN_BIAS + 1 : k + 1;
            for (int e = 0; e < (many ? (int)spec->n_e : 1); e++)
                for (int i = k; i < end; i++)
                    n = append(spec, (core_weight){(core_weight_kind)i, l, e},
                               out, n);
        }
    for (int k = CORE_W_FINAL_NORM; k < CORE_N_WEIGHT_KINDS; k++)
        if (!(spec->tied && k == CORE_W_HEAD))
            n = append(spec, (core_weight){(core_weight_kind)k, 0, 0}, out, n);
}
