/* harness/yardstick_manifest.c -- what a comparison takes from a manifest.json.
 *
 * The schema must be ours; the heads and how the tolerances were made are told
 * in reports.  Fingerprints are the business of `golden check`: a bundle that
 * somebody edited is still one to compare with.
 */
#include "harness/yardstick.h"

#include "core/arena.h"
#include "core/json.h"
#include "core/spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SCHEMA "moeparity.golden/2"

enum { MAX_MANIFEST = 1 << 26 };

static core_status read_text(char **out, size_t *n, const char *path)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    CORE_FAIL_IF(file == NULL, CORE_E_FILE,
                 "%s: cannot be read; a golden bundle has one", path);
    void *text = NULL;
    core_status status = CORE_OK;
    if (fstat(fileno(file), &info) != 0 || info.st_size > MAX_MANIFEST)
        status = core_fail(CORE_E_FORMAT, "%s: expected less than %d bytes",
                           path, MAX_MANIFEST);
    if (status == CORE_OK)
        status = core_alloc(&text, info.st_size + 1, 1, path);
    *n = status == CORE_OK ? fread(text, 1, (size_t)info.st_size, file) : 0;
    fclose(file);
    *out = text;
    return status;
}

/* Heads from the spec. */
static core_status read_spec(har_yardstick *y, const json_t *root,
                             const char *path)
{
    const char *text = json_string_value(
        json_object_get(json_object_get(root, "model"), "spec"));
    core_spec spec;
    if (text == NULL)
        return CORE_OK;
    CORE_TRY_CTX(core_spec_parse_yaml(&spec, text, "model.spec"), "reading %s",
                 path);
    y->n_h = spec.n_h;
    y->n_g = spec.n_g;
    return CORE_OK;
}

/* What the manifest says of how its tolerances were made. */
static void read_estimate(har_yardstick *y, const json_t *root)
{
    const json_t *numerics =
        json_object_get(json_object_get(root, "numerics"), y->numerics);
    const json_t *tolerance = json_object_get(numerics, "tolerance");
    const json_t *runs = json_object_get(tolerance, "runs");
    const json_t *factor = json_object_get(tolerance, "factor");
    if (json_is_integer(runs) && json_is_number(factor))
        snprintf(y->estimate, sizeof y->estimate,
                 "%g times the drift of %lld perturbed reference runs",
                 json_number_value(factor),
                 (long long)json_integer_value(runs));
    else
        snprintf(y->estimate, sizeof y->estimate, "as the golden states them");
}

static core_status read_members(har_yardstick *y, const json_t *root,
                                const char *path)
{
    const char *schema = json_string_value(json_object_get(root, "schema"));
    CORE_FAIL_IF(schema == NULL || strcmp(schema, SCHEMA) != 0, CORE_E_FORMAT,
                 "%s: expected schema '%s', found '%.60s'", path, SCHEMA,
                 schema != NULL ? schema : "nothing");
    read_estimate(y, root);
    return read_spec(y, root, path);
}

core_status har__yardstick_manifest(har_yardstick *y)
{
    char path[1024], *text = NULL;
    size_t n = 0;
    json_t *root = NULL;
    snprintf(path, sizeof path, "%s/manifest.json", y->path);
    core_status status = read_text(&text, &n, path);
    if (status == CORE_OK)
        status = core_json_parse(&root, text, n, path);
    if (status == CORE_OK)
        status = read_members(y, root, path);
    json_decref(root);
    free(text);
    return status;
}
