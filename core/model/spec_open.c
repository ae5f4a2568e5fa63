/* core/model/spec_open.c -- from the word on a command line to a spec.
 *
 * A preset's name wins over a file of the same name; write ./seed-mini for the
 * file.  A folder is a checkpoint, its description is config.json in it; a
 * plain file is a spec file of our own.
 */
#include "core/model/spec_impl.h"

#include "core/files/path.h"
#include "core/files/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_TEXT_BYTES = 1 << 20 };

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
              "%s: no such model, expected a preset (%s), a spec file or a "
              "checkpoint folder",
              model, names);
}

core_status core_spec_open(core_spec *out, const char *model,
                           bool *is_checkpoint)
{
    bool ignored;
    bool *is_folder = is_checkpoint != NULL ? is_checkpoint : &ignored;
    if (core__spec_preset(out, model)) {
        *is_folder = false;
        return CORE_OK;
    }
    struct stat info;
    if (stat(model, &info) != 0)
        return unknown_model(model);
    const bool folder = S_ISDIR(info.st_mode);
    const char *slash = strrchr(model, '/');
    CORE_FAIL_IF(!folder && strcmp(slash ? slash + 1 : model, "config.json") == 0,
                 CORE_E_SPEC, "%s: a checkpoint is opened by its folder", model);
    char config[CORE_PATH_BYTES], *text = NULL;
    if (folder)
        CORE_TRY(core_path_join(config, model, "config.json"));
    const char *path = folder ? config : model;
    CORE_TRY(core_text_read(&text, path, MAX_TEXT_BYTES));
    core_spec spec;
    core_status status = folder ? core_spec_parse_config(&spec, text, path)
                                : core_spec_parse_yaml(&spec, text, path);
    free(text);
    CORE_TRY(status);
    if (folder)
        CORE_TRY(core__spec_untie(&spec, model));
    *out = spec;
    *is_folder = folder;
    return CORE_OK;
}
