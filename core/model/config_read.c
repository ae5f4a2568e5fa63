/* core/model/config_read.c -- values of a config.json, each with its check.
 *
 * jansson has no notion of "absent or null", of an integer that may be written
 * 8.0, or of a list with one entry per layer: this file adds them.  Whoever
 * asks for a key has read it.
 */
#include "core/model/config_impl.h"

#include <math.h>
#include <string.h>

void core__config_take(core__reader r, const char *key, json_t *value)
{
    if (r.taken != NULL && json_object_get(r.object, key) == NULL)
        json_object_set(r.taken, key, value);
}

const json_t *core__config_value(core__reader r, const char *key)
{
    const json_t *value = json_object_get(r.object, key);
    if (r.unread != NULL)
        json_object_del(r.unread, key);
    if (value == NULL) {
        json_t *of_class = json_object_get(r.defaults, key);
        if (of_class != NULL)
            core__config_take(r, key, of_class);
        value = of_class;
    }
    return value == NULL || json_is_null(value) ? NULL : value;
}

bool core__config_has(core__reader r, const char *key)
{
    const json_t *value = json_object_get(r.object, key);
    return value != NULL && !json_is_null(value);
}

core_status core__config_object(core__reader r, const char *key,
                                core__reader *out)
{
    const json_t *value = json_object_get(r.object, key);
    *out = (core__reader){.where = r.where, .facts = r.facts};
    if (value == NULL || json_is_null(value)) {
        out->object = core__config_value(r, key);
        return CORE_OK;
    }
    CORE_FAIL_IF(!json_is_object(value), CORE_E_SPEC,
                 "%s: %s: expected an object", r.where, key);
    out->object = value;
    out->unread = json_object_get(r.unread, key);
    return CORE_OK;
}

/* An absent key has this value of the class. */
static void take_new(core__reader r, const char *key, json_t *value)
{
    core__config_take(r, key, value);
    json_decref(value);
}

core_status core__config_present(core__reader r, const char *key)
{
    CORE_FAIL_IF(core__config_value(r, key) == NULL, CORE_E_SPEC,
                 "%s: %s: missing", r.where, key);
    return CORE_OK;
}

core_status core__config_real(core__reader r, const char *key, double *out)
{
    const json_t *value = core__config_value(r, key);
    CORE_TRY(core__config_present(r, key));
    CORE_FAIL_IF(core_json_python_real(value, out) && !isfinite(*out),
                 CORE_E_SPEC, "%s: %s: %g, expected a finite number", r.where,
                 key, *out);
    CORE_FAIL_IF(!json_is_number(value), CORE_E_SPEC,
                 "%s: %s: expected a number", r.where, key);
    *out = json_number_value(value);
    return CORE_OK;
}

core_status core__config_real_or(core__reader r, const char *key,
                                 double fallback, double *out)
{
    *out = fallback;
    if (core__config_value(r, key) != NULL)
        return core__config_real(r, key, out);
    take_new(r, key, json_real(fallback));
    return CORE_OK;
}

core_status core__config_count(core__reader r, const char *key, int64_t *out)
{
    double value;
    CORE_TRY(core__config_real(r, key, &value));
    CORE_FAIL_IF(!(value >= 1.0 && value <= INT32_MAX && value == floor(value)),
                 CORE_E_SPEC, "%s: %s: %g, expected an integer from 1", r.where,
                 key, value);
    *out = (int64_t)value;
    return CORE_OK;
}

core_status core__config_flag(core__reader r, const char *key, bool fallback,
                              bool *out)
{
    const json_t *value = core__config_value(r, key);
    CORE_FAIL_IF(value != NULL && !json_is_boolean(value), CORE_E_SPEC,
                 "%s: %s: expected true or false", r.where, key);
    *out = value == NULL ? fallback : json_is_true(value);
    if (value == NULL)
        take_new(r, key, json_boolean(fallback));
    return CORE_OK;
}

core_status core__config_text(core__reader r, const char *key,
                              const char *fallback, const char **out)
{
    const json_t *value = core__config_value(r, key);
    CORE_FAIL_IF(value == NULL && fallback == NULL, CORE_E_SPEC,
                 "%s: %s: missing", r.where, key);
    CORE_FAIL_IF(value != NULL && !json_is_string(value), CORE_E_SPEC,
                 "%s: %s: expected a string", r.where, key);
    *out = value == NULL ? fallback : json_string_value(value);
    if (value == NULL)
        take_new(r, key, json_string(fallback));
    return CORE_OK;
}

core_status core__config_act(core__reader r, const char *key,
                             const char *fallback, core_act *out)
{
    static const struct {
        const char *name;
        core_act act;
    } ACTS[] = {{"silu", CORE_ACT_SILU},
                {"gelu", CORE_ACT_GELU},
                {"gelu_new", CORE_ACT_GELU_TANH},
                {"gelu_pytorch_tanh", CORE_ACT_GELU_TANH},
                {"relu", CORE_ACT_RELU},
                {"relu2", CORE_ACT_RELU2},
                {"situ", CORE_ACT_SITU}};
    const char *name;
    CORE_TRY(core__config_text(r, key, fallback, &name));
    for (size_t i = 0; i < sizeof ACTS / sizeof ACTS[0]; i++) {
        if (strcmp(ACTS[i].name, name) == 0) {
            *out = ACTS[i].act;
            return CORE_OK;
        }
    }
    CORE_FAIL(CORE_E_SPEC,
              "%s: %s: '%s' is not supported, expected silu, gelu, gelu_new, "
              "gelu_pytorch_tanh, relu, relu2 or situ",
              r.where, key, name);
}

core_status core__config_refuse(core__reader r, const char *key)
{
    CORE_FAIL_IF(core__config_value(r, key) != NULL, CORE_E_SPEC,
                 "%s: %s: not supported", r.where, key);
    return CORE_OK;
}

core_status core__config_count_or(core__reader r, const char *key,
                                  int64_t fallback, int64_t *out)
{
    double value;
    *out = fallback;
    if (core__config_value(r, key) == NULL) {
        take_new(r, key, json_integer((json_int_t)fallback));
        return CORE_OK;
    }
    CORE_TRY(core__config_real(r, key, &value));
    CORE_FAIL_IF(!(value >= 0.0 && value <= INT32_MAX && value == floor(value)),
                 CORE_E_SPEC, "%s: %s: %g, expected an integer from 0", r.where,
                 key, value);
    *out = (int64_t)value;
    return CORE_OK;
}

core_status core__config_expect(core__reader r, const char *key,
                                const char *only)
{
    const char *found = only;
    if (core__config_value(r, key) != NULL)
        CORE_TRY(core__config_text(r, key, only, &found));
    CORE_FAIL_IF(strcmp(found, only) != 0, CORE_E_SPEC,
                 "%s: %s: '%s' is not supported, expected %s", r.where, key,
                 found, only);
    return CORE_OK;
}

core_status core__config_expect_flag(core__reader r, const char *key, bool only)
{
    bool found = only;
    if (core__config_value(r, key) != NULL)
        CORE_TRY(core__config_flag(r, key, only, &found));
    CORE_FAIL_IF(found != only, CORE_E_SPEC,
                 "%s: %s: %s is not supported, expected %s", r.where, key,
                 found ? "true" : "false", only ? "true" : "false");
    return CORE_OK;
}

core_status core__config_layers(core__reader r, const char *key,
                                const char *const *words, int64_t n_l,
                                uint8_t *layer, bool *found)
{
    const json_t *list = core__config_value(r, key);
    *found = list != NULL;
    if (list == NULL)
        return CORE_OK;
    CORE_FAIL_IF(!json_is_array(list) || (int64_t)json_array_size(list) != n_l,
                 CORE_E_SPEC, "%s: %s: expected a list of %lld, one per layer",
                 r.where, key, (long long)n_l);
    for (size_t l = 0; l < (size_t)n_l; l++) {
        const char *word = json_string_value(json_array_get(list, l));
        uint8_t i = 0;
        while (word != NULL && words[i] != NULL && strcmp(words[i], word) != 0)
            i++;
        CORE_FAIL_IF(word == NULL || words[i] == NULL, CORE_E_SPEC,
                     "%s: %s: entry %zu: '%s' is not supported", r.where, key,
                     l, word != NULL ? word : "no string");
        layer[l] = i;
    }
    return CORE_OK;
}

core_status core__config_layer_set(core__reader r, const char *key, int64_t n_l,
                                   uint8_t *marks, bool *found)
{
    const json_t *list = core__config_value(r, key);
    *found = list != NULL;
    if (list == NULL)
        return CORE_OK;
    CORE_FAIL_IF(!json_is_array(list), CORE_E_SPEC,
                 "%s: %s: expected a list of layer numbers", r.where, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const double l = json_number_value(entry);
        CORE_FAIL_IF(!json_is_number(entry) ||
                         !(l >= 0.0 && l < (double)n_l && l == floor(l)),
                     CORE_E_SPEC,
                     "%s: %s: entry %zu: expected a layer from 0 to %lld",
                     r.where, key, i, (long long)n_l - 1);
        marks[(int)l] = 1;
    }
    return CORE_OK;
}

core_status core__config_layer_bits(core__reader r, const char *key,
                                    int64_t n_l, uint8_t *bits)
{
    const json_t *list = core__config_value(r, key);
    CORE_FAIL_IF(!json_is_array(list) || json_array_size(list) != (size_t)n_l,
                 CORE_E_SPEC, "%s: %s: expected a list of %lld, 0 or 1", r.where,
                 key, (long long)n_l);
    for (int l = 0; l < (int)n_l; l++) {
        const json_t *entry = json_array_get(list, (size_t)l);
        const double bit = json_number_value(entry);
        CORE_FAIL_IF(!json_is_number(entry) || (bit != 0.0 && bit != 1.0),
                     CORE_E_SPEC, "%s: %s: entry %d: expected 0 or 1", r.where,
                     key, l);
        bits[l] = (uint8_t)bit;
    }
    return CORE_OK;
}

core_status core__config_expect_ones(core__reader r, const char *key)
{
    const json_t *list = core__config_value(r, key);
    CORE_FAIL_IF(list != NULL && !json_is_array(list), CORE_E_SPEC,
                 "%s: %s: expected a list of 1", r.where, key);
    for (size_t i = 0; i < json_array_size(list); i++)
        CORE_FAIL_IF(json_number_value(json_array_get(list, i)) != 1.0,
                     CORE_E_SPEC, "%s: %s: entry %zu: only 1 is supported",
                     r.where, key, i);
    return CORE_OK;
}

core_status core__config_expect_count(core__reader r, const char *key,
                                      int64_t only)
{
    int64_t found = only;
    if (core__config_value(r, key) != NULL)
        CORE_TRY(core__config_count_or(r, key, only, &found));
    CORE_FAIL_IF(found != only, CORE_E_SPEC,
                 "%s: %s: %lld is not supported, expected %lld", r.where, key,
                 (long long)found, (long long)only);
    return CORE_OK;
}
