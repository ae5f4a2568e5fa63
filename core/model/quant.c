/* core/model/quant.c -- where a folder says how its weights are quantised.
 *
 * Traps: config.json may say it in its text_config, and hf_quant_config.json
 * may say it again, or alone.
 */
#include "core/model/quant_impl.h"

#include "core/base/arena.h"
#include "core/files/path.h"
#include "core/files/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_TEXT_BYTES = 1 << 26 };

static const char CONFIG_KEY[] = "quantization_config";

static core_status make(core_quant **out, core__reader root, const char *key,
                        const char *source)
{
    const core__reader r =
        core__reader_of(core__quant_object(root, key), root.where);
    void *memory = NULL;
    *out = NULL;
    if (r.object == NULL)
        return CORE_OK;
    CORE_TRY(core_alloc(&memory, 1, sizeof(core_quant), r.where));
    core_quant *quant = memory;
    *quant = (core_quant){.other = {.kind = CORE_BLOCK_NONE}};
    snprintf(quant->source, sizeof quant->source, "%s", source);
    core_status status = core__quant_read(quant, r, root);
    if (status == CORE_OK)
        status = core__quant_sort(quant);
    if (status != CORE_OK) {
        core_quant_close(quant);
        return status;
    }
    *out = quant;
    return CORE_OK;
}

/* What a file says under `key`, or in the text_config beside it; *out NULL if
 * nothing. */
static core_status read_file(core_quant **out, const char *folder,
                             const char *name, const char *key)
{
    char path[CORE_PATH_BYTES], *text = NULL;
    json_t *root = NULL;
    *out = NULL;
    CORE_TRY(core_path_join(path, folder, name));
    if (access(path, F_OK) != 0)
        return CORE_OK;
    CORE_TRY(core_text_read(&text, path, MAX_TEXT_BYTES));
    core_status status =
        core_json_parse_python(&root, text, strlen(text), path);
    free(text);
    CORE_TRY(status);
    status = make(out, core__reader_of(root, path), key, name);
    json_decref(root);
    return status;
}

core_status core__quant_check(core__reader root)
{
    core_quant *quant = NULL;
    const core_status status = make(&quant, root, CONFIG_KEY, "config.json");
    core_quant_close(quant);
    return status;
}

static bool is_same(core_quant_scheme a, core_quant_scheme b)
{
    return a.kind == b.kind && a.grid == b.grid && a.rows == b.rows &&
           a.cols == b.cols;
}

core_status core_quant_open(core_quant **out, const char *folder)
{
    core_quant *config = NULL, *beside = NULL;
    CORE_TRY(read_file(&config, folder, "config.json", CONFIG_KEY));
    const core_status status =
        read_file(&beside, folder, "hf_quant_config.json", "quantization");
    const bool agree = config == NULL || beside == NULL ||
                       is_same(config->other, beside->other);
    if (config != NULL) {
        core_quant_close(beside);
        beside = NULL;
    }
    if (status != CORE_OK || !agree) {
        core_quant_close(config);
        CORE_TRY(status);
        CORE_FAIL(CORE_E_SPEC,
                  "%s: config.json and hf_quant_config.json do not say the "
                  "same of quantised weights",
                  folder);
    }
    *out = config != NULL ? config : beside;
    return CORE_OK;
}

void core_quant_close(core_quant *quant)
{
    if (quant == NULL)
        return;
    for (int64_t i = 0; i < quant->n_rule; i++) {
        if (quant->rules[i].naming == CORE__NAMED_REGEX)
            regfree(&quant->rules[i].regex);
        free(quant->rules[i].text);
    }
    free(quant->rules);
    free(quant->modules);
    free(quant);
}

const char *core_quant_source(const core_quant *quant)
{
    return quant->source;
}
