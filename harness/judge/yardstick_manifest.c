/* harness/judge/yardstick_manifest.c -- what a comparison takes from a
 * manifest.json.
 *
 * The schema must be ours; the model and how the tolerances were made are told
 * in reports.  Fingerprints are the business of `golden check`: a bundle that
 * somebody edited is still one to compare with.
 */
#include "harness/judge/yardstick.h"

#include "core/base/arena.h"
#include "core/files/json.h"
#include "core/files/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA "moeparity.golden/3"

enum { MAX_MANIFEST = 1 << 26 };

static core_status read_spec(har_yardstick *y, const json_t *root,
                             const char *path)
{
    const char *text = json_string_value(
        json_object_get(json_object_get(root, "model"), "spec"));
    if (text == NULL)
        return CORE_OK;
    CORE_TRY_CTX(core_spec_parse_yaml(&y->spec, text, "model.spec"),
                 "reading %s", path);
    return CORE_OK;
}

/* What the manifest says of how its tolerances were made. */
static void read_estimate(har_yardstick *y, const json_t *root)
{
    const json_t *numerics =
        json_object_get(json_object_get(root, "numerics"), y->numerics);
    const json_t *tolerance = json_object_get(numerics, "tolerance");
    const json_t *draws = json_object_get(tolerance, "draws");
    const json_t *factor = json_object_get(tolerance, "factor");
    if (json_is_integer(draws) && json_is_number(factor))
        snprintf(y->estimate, sizeof y->estimate,
                 "%g times the largest deviation of %lld draws",
                 json_number_value(factor),
                 (long long)json_integer_value(draws));
    else
        snprintf(y->estimate, sizeof y->estimate, "as the golden states them");
}

/* "layers.*.ffn_out", as golden/manifest.c writes the tap of all layers. */
static bool parse_kind(core_tap_kind *out, const char *text)
{
    char name[CORE_NAME_BYTES];
    core_tap tap;
    snprintf(name, sizeof name, "%s", text);
    char *star = strchr(name, '*');
    if (star != NULL)
        *star = '0';
    const bool is_tap = core_tap_parse(&tap, name);
    *out = is_tap ? tap.kind : CORE_N_TAP_KINDS;
    return is_tap;
}

/* The mistake of those words, -1: this program does not know it. */
static int find_mistake(const core_spec *spec, const char *words)
{
    for (int i = 0; i < GOLD_MISTAKES; i++) {
        core_spec changed = *spec;
        const char *what = gold_mistake(&changed, i);
        if (what != NULL && strcmp(what, words) == 0)
            return i;
    }
    return -1;
}

/* How far roundings lean towards mistakes. */
static void read_reach(har_yardstick *y, const json_t *root)
{
    const json_t *list = json_object_get(
        json_object_get(json_object_get(root, "numerics"), y->numerics),
        "mistakes");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *what = NULL, *forced = NULL, *tap = NULL;
        double reach = 0.0;
        core_tap_kind kind;
        if (json_unpack(json_array_get(list, i), "{s:s, s:s, s:s, s:F}", "what",
                        &what, "forced", &forced, "tap", &tap, "reach",
                        &reach) != 0)
            continue;
        const int mistake = find_mistake(&y->spec, what);
        const har_forcing forcing = strcmp(forced, "layer") == 0
                                        ? HAR_FED_LAYERS
                                        : HAR_FED_BLOCKS;
        if (mistake < 0 || !parse_kind(&kind, tap))
            continue;
        y->reach.of[forcing][mistake][kind] = reach;
        y->has_reach = true;
    }
}

/* The fingerprint that a member of the manifest states, or "". */
static void read_xxh3(char out[24], const json_t *member)
{
    const char *xxh3 = json_string_value(json_object_get(member, "xxh3"));
    snprintf(out, 24, "%.20s", xxh3 != NULL ? xxh3 : "");
}

/* Fingerprints, and which taps are in the numerics' file. */
static void read_files(har_yardstick *y, const json_t *root)
{
    char name[CORE_NUMERICS_BYTES + 16];
    const json_t *files = json_object_get(root, "files");
    const char *taps = json_string_value(json_object_get(root, "taps"));
    const char *input = json_string_value(
        json_object_get(json_object_get(root, "batch"), "file"));
    snprintf(name, sizeof name, "%s.safetensors",
             core_numerics_file(y->numerics).text);
    read_xxh3(y->fingerprint, json_object_get(files, name));
    read_xxh3(y->weights, json_object_get(root, "weights"));
    if (input != NULL)
        read_xxh3(y->prompt, json_object_get(files, input));
    y->is_coarse = taps != NULL && strcmp(taps, "coarse") == 0;
}

/* The token groups, which must cut the rows of a batch. */
static core_status read_groups(har_yardstick *y, const json_t *root,
                               const char *path)
{
    const json_t *groups = json_object_get(root, "token_groups");
    const int64_t n = (int64_t)json_array_size(groups);
    const json_int_t n_b = json_integer_value(
        json_object_get(json_object_get(root, "batch"), "rows"));
    void *memory = NULL;
    if (n < 2)
        return CORE_OK;
    CORE_TRY(core_alloc(&memory, n, sizeof *y->first_row, "token groups"));
    y->first_row = memory;
    y->n_group = n - 1;
    for (int64_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(groups, (size_t)i);
        y->first_row[i] = json_integer_value(row);
        CORE_FAIL_IF(!json_is_integer(row) || y->first_row[i] > n_b ||
                         y->first_row[i] < (i > 0 ? y->first_row[i - 1] : 0),
                     CORE_E_FORMAT,
                     "%s: token_groups: expected rows of the batch, ascending",
                     path);
    }
    return CORE_OK;
}

static core_status read_members(har_yardstick *y, const json_t *root,
                                const char *path)
{
    const char *schema = json_string_value(json_object_get(root, "schema"));
    CORE_FAIL_IF(schema == NULL || strcmp(schema, SCHEMA) != 0, CORE_E_FORMAT,
                 "%s: expected schema '%s', found '%.60s'; make it anew "
                 "(moeparity golden make --force)",
                 path, SCHEMA, schema != NULL ? schema : "nothing");
    read_estimate(y, root);
    read_files(y, root);
    CORE_TRY(read_groups(y, root, path));
    CORE_TRY(read_spec(y, root, path));
    read_reach(y, root);
    return CORE_OK;
}

core_status har__yardstick_manifest(har_yardstick *y)
{
    char path[1024], *text = NULL;
    json_t *root = NULL;
    snprintf(path, sizeof path, "%s/manifest.json", y->path);
    CORE_FAIL_IF(access(path, R_OK) != 0, CORE_E_FILE,
                 "%s: cannot be read; a golden bundle has one", path);
    CORE_TRY(core_text_read(&text, path, MAX_MANIFEST));
    core_status status = core_json_parse(&root, text, strlen(text), path);
    if (status == CORE_OK)
        status = read_members(y, root, path);
    json_decref(root);
    free(text);
    return status;
}
