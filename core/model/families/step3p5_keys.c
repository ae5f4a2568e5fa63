/* core/model/families/step3p5_keys.c -- published Step files in the spelling of
 * the class of transformers, by its rules.
 *
 * Lists by layer go on over the layers that predict further tokens, which are
 * cut off.  Rotations by layer become rotations by kind of layer, which all
 * layers of a kind must agree on; what scales positions does so in layers that
 * see all keys.
 */
#include "core/model/families/family.h"

#include <stdlib.h>
#include <string.h>

static const char *const KINDS[] = {"full_attention", "sliding_attention"};

/* A list of n_l entries and as many more as there are layers ahead. */
static void cut(json_t *own, const char *key, size_t n_l, size_t n_ahead)
{
    json_t *list = json_object_get(own, key);
    if (json_array_size(list) == n_l + n_ahead)
        while (json_array_size(list) > n_l)
            json_array_remove(list, n_l);
}

/* moe_layers_enum, a list of layers or a text of it, as mlp_layer_types. */
static core_status name_mlps(core__reader r, json_t *own, size_t n_l)
{
    static const char OLD[] = "moe_layers_enum", NEW[] = "mlp_layer_types";
    const json_t *list = core__config_value(r, OLD);
    const char *text = json_string_value(list);
    if (list == NULL || core__config_has(r, NEW))
        return CORE_OK;
    json_t *types = json_array();
    for (size_t l = 0; l < n_l; l++)
        json_array_append_new(types, json_string("dense"));
    json_object_set_new(own, NEW, types);
    for (size_t i = 0; text != NULL ? *text != '\0' : i < json_array_size(list);
         i++) {
        char *end = NULL;
        const long long l = text != NULL
                                ? strtoll(text, &end, 10)
                                : json_integer_value(json_array_get(list, i));
        CORE_FAIL_IF((text != NULL && end == text) || l < 0, CORE_E_SPEC,
                     "%s: %s: entry %zu: expected a layer", r.where, OLD, i);
        if ((size_t)l < n_l) /* others predict further tokens */
            json_array_set_new(types, (size_t)l, json_string("sparse"));
        if (text != NULL)
            text = end + strspn(end, ", ");
    }
    return CORE_OK;
}

/* The entry of a list by layer that all layers of the kind have; NULL: there is
 * no such layer. */
static core_status of_kind(core__reader r, const json_t *own, const char *key,
                           const char *kind, const json_t **out)
{
    const json_t *types = json_object_get(own, "layer_types");
    const json_t *list = json_object_get(own, key);
    *out = NULL;
    for (size_t l = 0; l < json_array_size(types); l++) {
        const char *type = json_string_value(json_array_get(types, l));
        const json_t *value = json_array_get(list, l);
        if (type == NULL || strcmp(type, kind) != 0)
            continue;
        CORE_FAIL_IF(value == NULL ||
                         (*out != NULL && !json_equal(value, *out)),
                     CORE_E_SPEC,
                     "%s: %s: layer %zu: expected what other layers of %s have",
                     r.where, key, l, kind);
        *out = value;
    }
    return CORE_OK;
}

/* A list by layer, or one number for all of them, into a kind's rotation. */
static core_status put(core__reader r, const json_t *own, json_t *rotation,
                       const char *key, const char *from, const char *kind)
{
    const json_t *value = core__config_value(r, from);
    if (json_is_array(value))
        CORE_TRY(of_kind(r, own, from, kind, &value));
    if (value != NULL)
        json_object_set_new(rotation, key, json_deep_copy(value));
    return CORE_OK;
}

static core_status name_rotations(core__reader r, json_t *own)
{
    static const char NEW[] = "rope_parameters", SCALING[] = "rope_scaling";
    if (core__config_has(r, NEW))
        return CORE_OK;
    json_t *all = json_object();
    json_object_set_new(own, NEW, all);
    for (int i = 0; i < 2; i++) {
        json_t *one = json_object();
        json_object_set_new(all, KINDS[i], one);
        CORE_TRY(put(r, own, one, "rope_theta", "rope_theta", KINDS[i]));
        CORE_TRY(put(r, own, one, "partial_rotary_factor",
                     "partial_rotary_factors", KINDS[i]));
    }
    const json_t *scaling = core__config_value(r, SCALING);
    json_t *full = json_object_get(all, KINDS[0]);
    if (scaling != NULL)
        json_object_update_missing(full, (json_t *)(uintptr_t)scaling);
    if (r.unread != NULL)
        json_object_set_new(r.unread, NEW, json_deep_copy(all));
    return CORE_OK;
}

static core_status translate(core__reader r, json_t *own, int64_t n_l)
{
    static const char *const LISTS[] = {
        "layer_types",   "mlp_layer_types",
        "rope_theta",    "partial_rotary_factors",
        "swiglu_limits", "swiglu_limits_shared"};
    int64_t n_ahead = 0;
    if (core__config_has(r, "num_nextn_predict_layers"))
        CORE_TRY(
            core__config_count_or(r, "num_nextn_predict_layers", 0, &n_ahead));
    for (size_t i = 0; i < sizeof LISTS / sizeof LISTS[0]; i++)
        cut(own, LISTS[i], (size_t)n_l, (size_t)n_ahead);
    CORE_TRY(name_mlps(r, own, (size_t)n_l));
    return name_rotations(r, own);
}

core_status core__step_keys(core__reader r, int64_t n_l, json_t **out)
{
    json_t *own = json_deep_copy(r.object);
    CORE_FAIL_IF(own == NULL, CORE_E_MEMORY, "%s: no memory", r.where);
    const core_status status = translate(r, own, n_l);
    if (status != CORE_OK) {
        json_decref(own);
        return status;
    }
    *out = own;
    return CORE_OK;
}
