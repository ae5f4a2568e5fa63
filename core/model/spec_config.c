/* core/model/spec_config.c -- a Hugging Face config.json as a spec.
 *
 * The rules of each family are in its file of families/; whatever would change
 * the result and is not supported is refused by its name and value, never
 * ignored.
 */
#include "core/model/config_impl.h"

#include "core/base/printable.h"

#include <string.h>

/* "rope_theta 10000.0, head_dim 64". */
static void write_taken(const json_t *taken, char text[CORE_CONFIG_TEXT_BYTES])
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)taken, key, value)
    {
        char *word =
            json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        const size_t n = strlen(text);
        if (word != NULL &&
            n + strlen(key) + strlen(word) + 4 < CORE_CONFIG_TEXT_BYTES)
            sprintf(text + n, "%s%s %s", n > 0 ? ", " : "", key, word);
        free(word);
    }
}

static core_status parse_object(core_spec *spec, core__reader r,
                                const core_overrides *overrides)
{
    CORE_FAIL_IF(!json_is_object(r.object), CORE_E_SPEC,
                 "%s: expected an object", r.where);
    const char *type;
    CORE_TRY(core__config_text(r, "model_type", NULL, &type));
    strncpy(spec->name, type, sizeof spec->name - 1);
    strncpy(r.facts->model_type, type, sizeof r.facts->model_type - 1);
    return core__config_family(spec, r, overrides, type);
}

static core_status parse_root(core_spec *spec, core_config_facts *facts,
                              const core_overrides *overrides,
                              const json_t *root, const char *name)
{
    core__reader r = {.object = root,
                      .where = name,
                      .unread = json_deep_copy(root),
                      .taken = json_object(),
                      .facts = facts};
    const core_status status = parse_object(spec, r, overrides);
    write_taken(r.taken, facts->defaults);
    json_decref(r.unread);
    json_decref(r.taken);
    return status;
}

static void make_printable(char *text, size_t bytes)
{
    char shown[CORE_CONFIG_TEXT_BYTES];
    core_printable(shown, bytes, text);
    strcpy(text, shown);
}

/* Words of the file, which are shown. */
static void make_facts_printable(core_config_facts *f)
{
    make_printable(f->model_type, sizeof f->model_type);
    make_printable(f->dtype, sizeof f->dtype);
    make_printable(f->defaults, sizeof f->defaults);
    make_printable(f->ignored, sizeof f->ignored);
    make_printable(f->passed_over, sizeof f->passed_over);
}

core_status core_config_parse(core_spec *out, core_config_facts *facts,
                              const core_overrides *overrides,
                              const char *text, const char *name)
{
    json_t *root = NULL;
    CORE_TRY(core_json_parse_python(&root, text, strlen(text), name));
    core_spec spec = core__spec_blank();
    core_config_facts found = {.is_config = true};
    const core_status status = parse_root(&spec, &found, overrides, root, name);
    json_decref(root);
    CORE_TRY(status);
    CORE_TRY_CTX(core_spec_validate(&spec), "reading %s", name);
    *out = spec;
    make_facts_printable(&found);
    if (facts != NULL)
        *facts = found;
    return CORE_OK;
}

core_status core_spec_parse_config(core_spec *out, const char *text,
                                   const char *name)
{
    return core_config_parse(out, NULL, NULL, text, name);
}
