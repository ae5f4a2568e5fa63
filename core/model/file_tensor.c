/* core/model/file_tensor.c -- the names of a family's tensors.
 *
 * Nearly all families use the names in the rows of the operators; a family's
 * own list holds what differs.  Traps: the dense MLP and the shared expert are
 * one kind of ours under two prefixes; a Switch file counts its layers as
 * blocks of an encoder.
 */
#include "core/model/file_tensor.h"

#include "core/model/families/family.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static core__place common(const core_spec *s, core_weight_kind kind)
{
    switch (kind) {
#define COMMON_PLACE(kind, scope, name, here, rows, cols, values, bias,        \
                     layout, file)                                             \
    case CORE_W_##kind:                                                        \
        return (core__place){CORE_W_##kind, CORE_LAYOUT_##layout, file};
        CORE_WEIGHT_LIST(COMMON_PLACE)
#undef COMMON_PLACE
    case CORE_N_WEIGHT_KINDS:
        break;
    }
    return (core__place){CORE_W_NONE, CORE_LAYOUT_NONE, ""};
}

static core__place find(const core_spec *spec, core_weight_kind kind)
{
    const core__place *own = core__family_of(spec->family)->own;
    for (; own != NULL && own->kind != CORE_W_NONE; own++)
        if (own->kind == kind)
            return *own;
    return common(spec, kind);
}

core_layout core_file_tensor(const core_spec *spec, core_weight id,
                             char name[CORE_FILE_TENSOR_BYTES])
{
    static const char ATTENTION[] = "model.layers.%d.self_attn.";
    const size_t n_attention = sizeof ATTENTION - 1;
    const core__family *family = core__family_of(spec->family);
    core__place at = find(spec, id.kind);
    int n = 0;
    if (family->attention != NULL &&
        strncmp(at.format, ATTENTION, n_attention) == 0) {
        n = snprintf(name, CORE_FILE_TENSOR_BYTES, family->attention, id.layer);
        at.format += n_attention;
    }
    if (id.kind >= CORE_W_MLP_GATE && id.kind <= CORE_W_MLP_DOWN_BIAS) {
        const char *prefix =
            core_spec_is_moe(spec, id.layer) ? family->shared : family->dense;
        if (prefix == NULL)
            return CORE_LAYOUT_NONE;
        n = snprintf(name, CORE_FILE_TENSOR_BYTES, prefix, id.layer);
    }
    const int layer =
        spec->family == CORE_FAMILY_SWITCH ? spec->switch_block : id.layer;
    snprintf(name + n, CORE_FILE_TENSOR_BYTES - (size_t)n, at.format, layer,
             id.expert);
    return at.layout;
}

core_blocks core_file_blocks(const core_spec *spec, core_weight_kind kind)
{
    const core__family *family = core__family_of(spec->family);
    return family->blocks != NULL ? family->blocks(spec, kind)
                                  : (core_blocks){0, 0, 0};
}

/* Files may hold, beyond the last layer, one that predicts further tokens. */
static bool is_beyond_last_layer(const core_spec *spec, const char *name)
{
    static const char LAYERS[] = "model.layers.", ALONE[] = "mtp.";
    const size_t n = sizeof LAYERS - 1;
    if (strncmp(name, ALONE, sizeof ALONE - 1) == 0)
        return true;
    return core__family_of(spec->family)->looks_ahead &&
           strncmp(name, LAYERS, n) == 0 && name[n] >= '0' && name[n] <= '9' &&
           strtol(name + n, NULL, 10) >= spec->n_l;
}

bool core_file_is_tolerated(const core_spec *spec, const char *name)
{
    static const char ROTARY[] = ".rotary_emb.inv_freq";
    const size_t n = strlen(name), n_rotary = sizeof ROTARY - 1;
    if (n > n_rotary && strcmp(name + n - n_rotary, ROTARY) == 0)
        return true;
    return is_beyond_last_layer(spec, name) ||
           (spec->tied && strcmp(name, common(spec, CORE_W_HEAD).format) == 0);
}

bool core_file_nesting(int i, const char **inner, const char **outer)
{
    static const char *const PAIRS[][2] = {
        {"", ""},
        {"", "language_model."},             /* lm_head, too */
        {"model.", "model.language_model."}, /* lm_head beside it */
        {"", "thinker."},
    };
    if (i >= (int)(sizeof PAIRS / sizeof PAIRS[0]))
        return false;
    *inner = PAIRS[i][0];
    *outer = PAIRS[i][1];
    return true;
}

bool core_file_is_other_part(const char *name)
{
    static const char *const PARTS[] = {
        "visual.", "vision_tower.", "vision_model.", "vision_encoder.",
        "multi_modal_projector.", "mm_projector.", "vision_projector.",
        "vit_large_projector.", "patch_merger.", "patch_merge_mlp.",
        "audio_tower.",
        "audio_model.", "embed_vision.", "embed_audio.", "talker.",
        "code2wav."};
    static const char *const WITHIN[] = {"model.", "thinker."};
    for (int w = 0; w < 2; w++)
        if (strncmp(name, WITHIN[w], strlen(WITHIN[w])) == 0)
            name += strlen(WITHIN[w]);
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++)
        if (strncmp(name, PARTS[i], strlen(PARTS[i])) == 0)
            return true;
    return false;
}
