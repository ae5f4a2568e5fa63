/* core/model/config_wrappers.c -- files that hold a language model as a part.
 *
 * A model that sees or hears has its text model in an object of its own, which
 * may leave out its model_type.  What a wrapper says for the whole (how weights
 * are kept, whether the head is tied) counts for the part; its other parts are
 * passed over, and told.
 */
#include "core/model/config_impl.h"

#include <string.h>

static const core__wrapper WRAPPERS[] = {
    {"llama4", "text_config", "llama4_text", NULL, "", false},
    {"qwen3_vl_moe", "text_config", "qwen3_vl_moe_text", NULL, "", false},
    {"glm4v_moe", "text_config", "glm4v_moe_text", NULL, "", false},
    {"qwen3_5_moe", "text_config", "qwen3_5_moe_text", NULL, "", false},
    {"kimi_k25", "text_config", "deepseek_v3", NULL,
     "use_unified_vision_chunk video_placeholder projection_*", false},
    {"qwen3_omni_moe", "thinker_config", "qwen3_omni_moe_thinker", NULL,
     "enable_audio_output", false},
    {"qwen3_omni_moe_thinker", "text_config", "qwen3_omni_moe_text", NULL,
     "position_id_per_seconds audio_*", false},
    {"step3p7", "text_config", "step3p5", NULL,
     "understand_projector_stride "
     "projector_bias vision_select_layer",
     false},
    {"gemma4", "text_config", "gemma4_text", NULL,
     "vision_soft_tokens_per_image", true},
    {"minimax_m3_vl", "text_config", "minimax_m3", NULL,
     "projector_hidden_size merged_hidden_size", false},
    {"mistral3", "text_config", "mistral", NULL,
     "vision_feature_layer spatial_merge_size projector_hidden_act "
     "multimodal_projector_bias",
     true},
    {"kimi_k3", "text_config", "kimi_k3_text", "kimi_linear",
     "image_placeholder", false},
};

const core__wrapper *core__wrapper_of(const char *model_type)
{
    for (size_t i = 0; i < sizeof WRAPPERS / sizeof WRAPPERS[0]; i++)
        if (strcmp(WRAPPERS[i].model_type, model_type) == 0)
            return &WRAPPERS[i];
    return NULL;
}

bool core_config_wrapper(int i, const char **model_type, const char **key)
{
    if (i < 0 || i >= (int)(sizeof WRAPPERS / sizeof WRAPPERS[0]))
        return false;
    *model_type = WRAPPERS[i].model_type;
    *key = WRAPPERS[i].key;
    return true;
}

/* A key of the whole that the part does not say. */
static void hand_down(json_t *part, core__reader r, const char *key)
{
    const json_t *value = core__config_value(r, key);
    if (value != NULL && json_object_get(part, key) == NULL)
        json_object_set_new(part, key, json_deep_copy(value));
}

/* vision_config, audio_config and the like: other parts. */
static bool is_part(const char *key)
{
    static const char END[] = "_config";
    const size_t n = strlen(key), n_end = sizeof END - 1;
    return n > n_end && strcmp(key + n - n_end, END) == 0;
}

static void add_word(char *list, size_t n_bytes, const char *between,
                     const char *word)
{
    const size_t n = strlen(list);
    snprintf(list + n, n_bytes - n, "%s%s", n > 0 ? between : "", word);
}

static void pass_over_parts(core__reader r)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(r.unread, next, key, value)
    {
        if (!is_part(key))
            continue;
        add_word(r.facts->passed_over, sizeof r.facts->passed_over, ", ", key);
        json_object_del(r.unread, key);
    }
}

core_status core__wrapper_part(const core__wrapper *w, core__reader r,
                               json_t **part)
{
    bool tied;
    const json_t *value = core__config_value(r, w->key);
    CORE_FAIL_IF(!json_is_object(value), CORE_E_SPEC,
                 "%s: %s: expected an object, the text model of %s", r.where,
                 w->key, w->model_type);
    CORE_TRY(core__config_flag(r, "tie_word_embeddings", w->tied, &tied));
    json_t *copy = json_deep_copy(value);
    CORE_FAIL_IF(copy == NULL, CORE_E_MEMORY, "%s: no memory", r.where);
    hand_down(copy, r, "quantization_config");
    hand_down(copy, r, "dtype");
    hand_down(copy, r, "torch_dtype");
    json_object_set_new(copy, "tie_word_embeddings", json_boolean(tied));
    const json_t *type = json_object_get(copy, "model_type");
    const char *said = json_string_value(type);
    if (type == NULL ||
        (w->instead != NULL && said != NULL && strcmp(said, w->instead) == 0))
        json_object_set_new(copy, "model_type", json_string(w->inner));
    pass_over_parts(r);
    add_word(r.facts->text_key, sizeof r.facts->text_key, ".", w->key);
    *part = copy;
    return CORE_OK;
}
