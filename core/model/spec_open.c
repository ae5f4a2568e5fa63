/* core/model/spec_open.c -- from the word on a command line to a spec.
 *
 * A preset's name wins over a file of the same name; write ./seed-mini for the
 * file.  A folder is a checkpoint, its description is config.json in it; a
 * GGUF file is both, and any other plain file a spec file of our own.
 */
#include "core/model/gguf_model.h"
#include "core/model/spec_impl.h"

#include "core/files/path.h"
#include "core/files/text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MAX_SPEC_BYTES = 1 << 20,
    MAX_CONFIG_BYTES = 1 << 28 /* lists of modules that are not quantised */
};

static core_status unknown_model(const char *model)
{
    char names[256] = "";
    for (int i = 0; core_spec_preset_name(i) != NULL; i++) {
        if (i > 0)
            strncat(names, ", ", sizeof names - strlen(names) - 1);
        strncat(names, core_spec_preset_name(i),
                sizeof names - strlen(names) - 1);
    }
    CORE_FAIL(CORE_E_SPEC,
              "%s: no such model, expected a preset (%s), a spec file, a "
              "checkpoint folder or a GGUF file",
              model, names);
}

/* A file of weights in any form, ours to read or not; a list of them, too. */
static bool has_weights(const char *folder)
{
    static const char *const ENDS[] = {
        ".safetensors", ".safetensors.index.json",
        ".bin",         ".bin.index.json",
        ".pt",          ".pth",
        ".gguf"};
    DIR *dir = opendir(folder);
    bool found = false;
    if (dir == NULL)
        return false;
    for (const struct dirent *e; !found && (e = readdir(dir)) != NULL;)
        for (size_t i = 0; i < sizeof ENDS / sizeof ENDS[0]; i++)
            found |= core_text_ends(e->d_name + 1, ENDS[i]); /* behind a stem */
    closedir(dir);
    return found;
}

static core_status open_config(core_spec *out, core_config_facts *facts,
                               const core_overrides *overrides,
                               const char *folder)
{
    char path[CORE_PATH_BYTES], *text = NULL;
    CORE_TRY(core_path_join(path, folder, "config.json"));
    CORE_TRY(core_text_read(&text, path, MAX_CONFIG_BYTES));
    core_spec spec;
    const core_status status =
        core_config_parse(&spec, facts, overrides, text, path);
    free(text);
    CORE_TRY(status);
    facts->has_weights = has_weights(folder);
    CORE_TRY(core__spec_untie(&spec, folder));
    *out = spec;
    return CORE_OK;
}

static core_status open_own(core_spec *out, const char *path)
{
    char *text = NULL;
    CORE_TRY(core_text_read(&text, path, MAX_SPEC_BYTES));
    const core_status status = core_spec_parse_yaml(out, text, path);
    free(text);
    return status;
}

/* The model as it lies there, nothing set. */
static core_status open_stored(core_spec *out, core_config_facts *facts,
                               const core_overrides *overrides,
                               const char *model)
{
    static const core_config_facts NONE = {.is_config = false};
    if (core__spec_preset(out, model)) {
        *facts = NONE;
        return CORE_OK;
    }
    struct stat info;
    if (stat(model, &info) != 0)
        return unknown_model(model);
    if (S_ISDIR(info.st_mode))
        return open_config(out, facts, overrides, model);
    if (core_gguf_is_one(model))
        return core_gguf_spec(out, facts, overrides, model);
    const char *slash = strrchr(model, '/');
    CORE_FAIL_IF(strcmp(slash ? slash + 1 : model, "config.json") == 0,
                 CORE_E_SPEC, "%s: a checkpoint is opened by its folder",
                 model);
    CORE_TRY(open_own(out, model));
    *facts = NONE;
    return CORE_OK;
}

/* "norm_eps=1e-5, gated=true", as much as there is room for. */
static void say_set(char out[CORE_CONFIG_TEXT_BYTES],
                    const core_overrides *overrides)
{
    out[0] = '\0';
    for (int i = 0; i < overrides->n_set; i++) {
        const size_t n = strlen(out);
        snprintf(out + n, CORE_CONFIG_TEXT_BYTES - n, "%s%s", n > 0 ? ", " : "",
                 overrides->set[i]);
    }
}

core_status core_config_open(core_spec *out, core_config_facts *facts,
                             const core_overrides *overrides,
                             const char *model)
{
    core_config_facts ignored;
    core_spec spec;
    if (facts == NULL)
        facts = &ignored;
    CORE_TRY(open_stored(&spec, facts, overrides, model));
    if (overrides != NULL) {
        CORE_TRY_CTX(core_spec_set(&spec, overrides->set, overrides->n_set),
                     "opening %s", model);
        say_set(facts->set, overrides);
    }
    *out = spec;
    return CORE_OK;
}

core_status core_config_stored(core_spec *out, const core_overrides *overrides,
                               const char *model)
{
    core_config_facts ignored;
    return open_stored(out, &ignored, overrides, model);
}

core_status core_spec_open(core_spec *out, const char *model,
                           bool *is_checkpoint)
{
    core_config_facts facts;
    CORE_TRY(core_config_open(out, &facts, NULL, model));
    if (is_checkpoint != NULL)
        *is_checkpoint = facts.has_weights;
    return CORE_OK;
}
