/* core/model/gguf_sources.c -- which key of a GGUF file says a field of the
 * spec, for those who hold it against the config.json that it was made from.
 *
 * A converter writes what the format has a key for; the rest an engine fills in
 * by architecture, and a file of another model of that architecture is then
 * another model without a word.
 */
#include "core/model/gguf_impl.h"
#include "core/model/gguf_model.h"

#include "core/files/text.h"

#include <stdio.h>
#include <string.h>

/* path, or its beginning up to a '*'; key, or NULL: the format has none; what
 * llama.cpp does then. */
static const struct source {
    const char *path, *key, *otherwise;
} SOURCES[] = {
    {"rope.truncate", NULL, "the range of pairs is rounded"},
    {"rope.attention_factor", "rope.scaling.yarn_attn_factor",
     "the usual one, and mscale is 1"},
    {"rope.interleaved", NULL, "the architecture's"},
    {"rope.theta", "rope.freq_base", "10000"},
    {"rope.scaling", "rope.scaling.type", "none"},
    {"rope.factor", "rope.scaling.factor", "none"},
    {"rope.beta_fast", "rope.scaling.yarn_beta_fast", "32"},
    {"rope.beta_slow", "rope.scaling.yarn_beta_slow", "1"},
    {"rope.original_positions", "rope.scaling.original_context_length",
     "context_length"},
    {"renormalise", "expert_weights_norm", "the architecture's"},
    {"router.scale", "expert_weights_scale", "1"},
    {"router.groups", "expert_group_count", "one group"},
    {"router.groups_kept", "expert_group_used_count", "one group"},
    {"router.group_score", NULL, "the best two of a group"},
    {"router.scores", "expert_gating_func", "the architecture's"},
    {"router.jitter", NULL, "the class's"},
    {"sliding_window", "attention.sliding_window", "no window"},
    {"span", "attention.sliding_window_pattern", "the architecture's pattern"},
    {"mixer", "attention.recurrent_layers",
     "attention in every so-manyth layer, in qwen35moe"},
    {"sight", "attention.indexer.types", "chosen where there is an indexer"},
    {"chunk", NULL, "8192"},
    {"positions", NULL, "every 4th layer has none in llama4"},
    {"attention.temper_scale", NULL, "0.1 in llama4"},
    {"attention.temper_floor", NULL, "8192 in llama4"},
    {"attention.scale", "attention.scale", "the usual one"},
    {"attention.clip", "attention.clamp_kqv", "no clipping"},
    {"attention.qk_norm", NULL, "the architecture's, or what tensors say"},
    {"norm_eps", "attention.layer_norm_rms_epsilon", ""},
    {"activation*", NULL, "the architecture's"},
    {"rotated", "rope.dimension_count", "the whole head"},
    {"scale.embedding", "embedding_scale", "1"},
    {"scale.residual", "residual_scale", "1"},
    {"scale.logits_divisor", "logit_scale", "1"},
};

static bool is_of(const char *pattern, const char *path)
{
    const size_t n = strcspn(pattern, "*");
    return strncmp(pattern, path, n) == 0 &&
           (pattern[n] == '*' || path[n] == '\0');
}

core_status core_gguf_source_of(const core_gguf *file, const char *path,
                                char text[CORE_GGUF_SOURCE_BYTES])
{
    const core__gguf_arch *arch = NULL;
    CORE_TRY(core__gguf_arch_of(&arch, file));
    if (strncmp(path, "rope.", 5) == 0 && strcmp(path, "rope.theta") != 0 &&
        core_gguf_find(file, "rope_freqs.weight") != NULL) {
        snprintf(text, CORE_GGUF_SOURCE_BYTES, "rope_freqs.weight");
        return CORE_OK;
    }
    for (size_t i = 0; i < sizeof SOURCES / sizeof SOURCES[0]; i++) {
        const struct source *s = &SOURCES[i];
        if (!is_of(s->path, path))
            continue;
        if (s->key != NULL && core__gguf_get(file, s->key) != NULL)
            snprintf(text, CORE_GGUF_SOURCE_BYTES, "%s.%s", arch->name, s->key);
        else if (s->key != NULL)
            snprintf(text, CORE_GGUF_SOURCE_BYTES, "no key %s.%s: %s",
                     arch->name, s->key, s->otherwise);
        else
            snprintf(text, CORE_GGUF_SOURCE_BYTES, "the format has no key: %s",
                     s->otherwise);
        return CORE_OK;
    }
    snprintf(text, CORE_GGUF_SOURCE_BYTES, "sizes and tensors of the file");
    return CORE_OK;
}
