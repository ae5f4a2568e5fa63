/* harness/systems/settings_json.c -- the settings of a JSON file.
 *
 * A setting's name is its path: {"tensor_parallel": {"autotp_size": 2}} is
 * tensor_parallel.autotp_size.  null and what an array holds are no settings.
 */
#include "core/files/json.h"
#include "harness/systems/impl.h"

#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 8 };

static core_status add_json(har_settings *out, const char *path,
                            const json_t *value)
{
    char text[40];
    switch (json_typeof(value)) {
    case JSON_STRING:
        return har_settings_put(out, path, json_string_value(value),
                                strlen(json_string_value(value)));
    case JSON_INTEGER:
        snprintf(text, sizeof text, "%lld",
                 (long long)json_integer_value(value));
        return har_settings_put(out, path, text, strlen(text));
    case JSON_REAL:
        snprintf(text, sizeof text, "%.17g", json_real_value(value));
        return har_settings_put(out, path, text, strlen(text));
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(text, sizeof text, "%s",
                 json_is_true(value) ? "true" : "false");
        return har_settings_put(out, path, text, strlen(text));
    case JSON_ARRAY:
        return har_settings_put(out, path, "[...]", 5);
    default:
        return CORE_OK;
    }
}

static core_status walk(har_settings *out, const char *path, json_t *object,
                        const char *name, int depth)
{
    const char *key;
    json_t *value;
    CORE_FAIL_IF(depth > MAX_DEPTH, CORE_E_FORMAT,
                 "%s: %s: nested more than %d deep", name, path, MAX_DEPTH);
    json_object_foreach(object, key, value)
    {
        char below[HAR_PATH_BYTES];
        const int n = snprintf(below, sizeof below, "%s%s%s", path,
                               path[0] != '\0' ? "." : "", key);
        CORE_FAIL_IF(n < 0 || (size_t)n >= sizeof below, CORE_E_FORMAT,
                     "%s: a key of more than %d characters", name,
                     HAR_PATH_BYTES - 1);
        CORE_TRY(json_is_object(value)
                     ? walk(out, below, value, name, depth + 1)
                     : add_json(out, below, value));
    }
    return CORE_OK;
}

core_status har_settings_json(har_settings *out, const char *text,
                              const char *name)
{
    json_t *root = NULL;
    CORE_TRY(core_json_parse(&root, text, strlen(text), name));
    core_status status = CORE_OK;
    out->has_json = out->has_config = true;
    if (json_is_object(root))
        status = walk(out, "", root, name, 0);
    else
        status = core_fail(CORE_E_FORMAT, "%s: expected an object", name);
    json_decref(root);
    return status;
}
