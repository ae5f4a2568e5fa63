/* core/model/spec_config.c -- a Hugging Face config.json as a spec.
 *
 * The rules of each family are in its file of families/; whatever would change the
 * result and is not supported is refused by its name and value, never ignored.
 */
#include "core/model/config_impl.h"

#include <string.h>

static core_status parse_object(core_spec *spec, core__reader r)
{
    CORE_FAIL_IF(!json_is_object(r.object), CORE_E_SPEC,
                 "%s: expected an object", r.where);
    const char *type;
    CORE_TRY(core__config_text(r, "model_type", NULL, &type));
    strncpy(spec->name, type, sizeof spec->name - 1);
    return core__config_family(spec, r, type);
}

core_status core_spec_parse_config(core_spec *out, const char *text,
                                   const char *name)
{
    json_t *root = NULL;
    CORE_TRY(core_json_parse(&root, text, strlen(text), name));
    core_spec spec = core__spec_blank();
    const core_status status = parse_object(&spec, (core__reader){root, name});
    json_decref(root);
    CORE_TRY(status);
    CORE_TRY_CTX(core_spec_validate(&spec), "reading %s", name);
    *out = spec;
    return CORE_OK;
}
