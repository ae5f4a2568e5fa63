/* core/model/families/seed.c -- our own spec files and presets. */
#include "core/model/families/family.h"

/* A file of our own export: the spec as text. */
static core_status parse(core_spec *spec, core__reader r)
{
    const char *text;
    CORE_TRY(core__config_text(r, "spec", NULL, &text));
    return core_spec_parse_yaml(spec, text, r.where);
}

const core__family core__family_seed = {
    .model_type = "moeparity",
    .parse = parse,
    .dense = "model.layers.%d.mlp.",
    .shared = "model.layers.%d.mlp.shared_expert.",
};
