/* core/spec_open.c -- from the word on a command line to a spec.
 *
 * A preset's name wins over a file of the same name; write ./seed-mini for the
 * file.  A folder is a checkpoint, its description is config.json in it; a
 * plain file is a spec file of our own.
 */
#include "core/spec_impl.h"

#include "core/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_TEXT_BYTES = 1 << 20 };

static core_status read_stream(FILE *file, const char *path, char *text)
{
    const size_t n = fread(text, 1, MAX_TEXT_BYTES, file);
    CORE_FAIL_IF(ferror(file), CORE_E_FILE, "%s: %s", path, strerror(errno));
    CORE_FAIL_IF(n == MAX_TEXT_BYTES, CORE_E_FORMAT,
                 "%s: a model description has less than %d bytes", path,
                 MAX_TEXT_BYTES);
    CORE_FAIL_IF(memchr(text, '\0', n) != NULL, CORE_E_FORMAT,
                 "%s: a zero byte in a text file", path);
    text[n] = '\0';
    return CORE_OK;
}

/* The whole file as a string; the caller frees it. */
static core_status read_text(char **out, const char *path)
{
    void *text = NULL;
    CORE_TRY(core_alloc(&text, MAX_TEXT_BYTES, 1, path));
    core_status status = CORE_E_FILE;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        core_fail(status, "%s: %s", path, strerror(errno));
    } else {
        status = read_stream(file, path, text);
        fclose(file);
    }
    if (status == CORE_OK)
        *out = text;
    else
        free(text);
    return status;
}

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
    char path[4096];
    const int n = snprintf(path, sizeof path, "%s%s", model,
                           folder ? "/config.json" : "");
    CORE_FAIL_IF(n >= (int)sizeof path, CORE_E_FILE, "path too long: %.64s...",
                 model);
    char *text = NULL;
    CORE_TRY(read_text(&text, path));
    const core_status status = folder ? core_spec_parse_config(out, text, path)
                                      : core_spec_parse_yaml(out, text, path);
    free(text);
    CORE_TRY(status);
    *is_folder = folder;
    return CORE_OK;
}
