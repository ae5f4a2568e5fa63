/* golden/manifest.c -- the manifest of a golden case, and its fingerprints.
 *
 * Fingerprints are XXH3-64 of whole files and, for safetensors files, of every
 * tensor, so that a difference names the tensor and not only the file.
 */
#include "golden/golden_impl.h"

#include "core/safetensors.h"

#include <dirent.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define MANIFEST "manifest.json"

static void hex64(uint64_t value, char out[17])
{
    snprintf(out, 17, "%016" PRIx64, value);
}

/* XXH3 and size of a file. */
static core_status fingerprint_file(const char *path, char out[17],
                                    json_int_t *bytes)
{
    FILE *file = fopen(path, "rb");
    CORE_FAIL_IF(file == NULL, CORE_E_FILE, "%s: cannot be opened", path);
    XXH3_state_t *state = XXH3_createState();
    core_assert(state != NULL && XXH3_64bits_reset(state) == XXH_OK);
    static _Thread_local char chunk[1 << 16];
    size_t n = 0;
    *bytes = 0;
    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0) {
        XXH3_64bits_update(state, chunk, n);
        *bytes += (json_int_t)n;
    }
    const bool failed = ferror(file) != 0;
    fclose(file);
    hex64(XXH3_64bits_digest(state), out);
    XXH3_freeState(state);
    CORE_FAIL_IF(failed, CORE_E_FILE, "%s: cannot be read", path);
    return CORE_OK;
}

static bool is_safetensors(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && strcmp(dot, ".safetensors") == 0;
}

/* {"dtype": .., "shape": [..], "xxh3": ..} of every tensor, by name. */
static core_status fingerprint_tensors(const char *path, json_t *out)
{
    core_st *st = NULL;
    CORE_TRY(core_st_open(&st, path));
    for (int64_t i = 0; i < core_st_count(st); i++) {
        const core_st_tensor *tensor = core_st_at(st, i);
        json_t *shape = json_array();
        for (int d = 0; d < tensor->n_dim; d++)
            json_array_append_new(shape, json_integer(tensor->shape[d]));
        char hex[17];
        hex64(XXH3_64bits(tensor->data, tensor->bytes), hex);
        json_object_set_new(out, tensor->name,
                            json_pack("{s:s, s:o, s:s}", "dtype",
                                      core_dtype_name(tensor->dtype), "shape",
                                      shape, "xxh3", hex));
    }
    core_st_close(st);
    return CORE_OK;
}

static core_status fingerprint_folder(const char *folder, json_t *files)
{
    DIR *dir = opendir(folder);
    CORE_FAIL_IF(dir == NULL, CORE_E_FILE, "%s: cannot be opened", folder);
    core_status status = CORE_OK;
    const struct dirent *entry;
    while (status == CORE_OK && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, MANIFEST) == 0)
            continue;
        char path[1024], hex[17];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        json_int_t bytes = 0;
        status = fingerprint_file(path, hex, &bytes);
        json_t *tensors = json_object();
        if (status == CORE_OK && is_safetensors(entry->d_name))
            status = fingerprint_tensors(path, tensors);
        json_object_set_new(files, entry->d_name,
                            json_pack("{s:I, s:s, s:o}", "bytes", bytes, "xxh3",
                                      hex, "tensors", tensors));
    }
    closedir(dir);
    return status;
}

core_status gold__write_manifest(const gold_case *gold)
{
    json_t *files = json_object();
    const core_status status = fingerprint_folder(gold->folder, files);
    if (status != CORE_OK) {
        json_decref(files);
        return status;
    }
    json_t *root = json_pack("{s:s, s:s, s:s, s:o}", "schema", GOLD_SCHEMA,
                             "origin",
                             gold->origin == GOLD_SELF ? "self" : "oracle",
                             "generator", gold->generator, "files", files);
    if (gold->origin == GOLD_SELF) {
        json_t *first_row = json_array();
        for (int64_t i = 0; i <= gold->n_group; i++)
            json_array_append_new(first_row, json_integer(gold->first_row[i]));
        char hash[17];
        hex64(gold__spec_hash(gold), hash);
        json_object_update_new(
            root, json_pack("{s:s, s:I, s:I, s:[I,I], s:s, s:o, s:s}", "model",
                            gold->model, "layers", (json_int_t)gold->n_l,
                            "seed", (json_int_t)gold->seed, "batch",
                            (json_int_t)gold->n_b, (json_int_t)gold->n_t,
                            "numerics", core_numerics_name(gold->numerics),
                            "first_row", first_row, "spec_xxh3", hash));
    }
    char path[1024], partial[1040];
    snprintf(path, sizeof path, "%s/" MANIFEST, gold->folder);
    snprintf(partial, sizeof partial, "%s.partial", path);
    const bool written =
        json_dump_file(root, partial, JSON_INDENT(1) | JSON_SORT_KEYS) == 0 &&
        rename(partial, path) == 0;
    json_decref(root);
    if (!written) {
        unlink(partial);
        CORE_FAIL(CORE_E_FILE, "%s: cannot be written", path);
    }
    return CORE_OK;
}

core_status gold_seal(const gold_case *gold)
{
    core_assert(gold->origin == GOLD_ORACLE);
    return gold__write_manifest(gold);
}

/* Do the files that lie there have the fingerprints `want`? */
static core_status check_files(const char *folder, const json_t *want)
{
    json_t *found = json_object();
    core_status status = fingerprint_folder(folder, found);
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)want, name, entry)
    {
        const json_t *file = json_object_get(found, name);
        if (status != CORE_OK || json_equal(entry, file))
            continue;
        const char *tensor = NULL;
        json_t *value;
        json_object_foreach(json_object_get(entry, "tensors"), tensor, value)
        {
            if (!json_equal(value, json_object_get(
                                       json_object_get(file, "tensors"), tensor)))
                break;
        }
        status = file == NULL
                     ? core_fail(CORE_E_FILE, "%s/%s: is in the manifest and "
                                 "not in the folder", folder, name)
                     : core_fail(CORE_E_DIFFERS,
                                 "%s/%s: fingerprint of %s differs from the "
                                 "manifest's", folder, name,
                                 tensor != NULL ? tensor : "the file");
    }
    json_object_foreach(found, name, entry)
    {
        if (status == CORE_OK && json_object_get(want, name) == NULL)
            status = core_fail(CORE_E_FORMAT, "%s/%s: is not in the manifest",
                               folder, name);
    }
    json_decref(found);
    return status;
}

static core_status parse_self(gold_case *gold, json_t *root, const char *path)
{
    const char *model = NULL, *numerics = NULL, *hash = NULL;
    json_int_t n_l = 0, seed = 0, n_b = 0, n_t = 0;
    json_t *first_row = NULL;
    json_error_t error;
    CORE_FAIL_IF(json_unpack_ex(root, &error, 0,
                                "{s:s, s:I, s:I, s:[I,I], s:s, s:o, s:s}",
                                "model", &model, "layers", &n_l, "seed", &seed,
                                "batch", &n_b, &n_t, "numerics", &numerics,
                                "first_row", &first_row, "spec_xxh3",
                                &hash) != 0,
                 CORE_E_FORMAT, "%s: %s", path, error.text);
    snprintf(gold->model, sizeof gold->model, "%s", model);
    gold->n_l = n_l;
    gold->seed = (uint64_t)seed;
    gold->n_b = n_b;
    gold->n_t = n_t;
    CORE_TRY_CTX(core_numerics_parse(&gold->numerics, numerics), "reading %s",
                 path);
    const size_t n = json_array_size(first_row);
    CORE_FAIL_IF(n < 2 || n > GOLD_MAX_GROUPS + 1, CORE_E_FORMAT,
                 "%s: first_row: %zu entries, want 2 to %d", path, n,
                 GOLD_MAX_GROUPS + 1);
    gold->n_group = (int64_t)n - 1;
    for (size_t i = 0; i < n; i++)
        gold->first_row[i] = json_integer_value(json_array_get(first_row, i));
    char now[17];
    hex64(gold__spec_hash(gold), now);
    CORE_FAIL_IF(strcmp(now, hash) != 0, CORE_E_DIFFERS,
                 "%s: made for another description of model %s", path, model);
    return CORE_OK;
}

core_status gold_open(gold_case *out, const char *folder)
{
    gold_case gold = {0};
    snprintf(gold.folder, sizeof gold.folder, "%s", folder);
    char path[1024];
    snprintf(path, sizeof path, "%s/" MANIFEST, folder);
    CORE_FAIL_IF(access(path, R_OK) != 0, CORE_E_FILE, "%s: cannot be opened",
                 path);
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    CORE_FAIL_IF(root == NULL, CORE_E_FORMAT, "%s:%d: %s", path, error.line,
                 error.text);
    const char *schema = NULL, *origin = NULL, *generator = NULL;
    json_t *files = NULL;
    core_status status = CORE_OK;
    if (json_unpack_ex(root, &error, 0, "{s:s, s:s, s:s, s:o}", "schema",
                       &schema, "origin", &origin, "generator", &generator,
                       "files", &files) != 0)
        status = core_fail(CORE_E_FORMAT, "%s: %s", path, error.text);
    else if (strcmp(schema, GOLD_SCHEMA) != 0)
        status = core_fail(CORE_E_FORMAT, "%s: schema %s, want " GOLD_SCHEMA,
                           path, schema);
    else if (strcmp(origin, "self") != 0 && strcmp(origin, "oracle") != 0)
        status = core_fail(CORE_E_FORMAT, "%s: origin %s, want self or oracle",
                           path, origin);
    if (status == CORE_OK) {
        gold.origin = strcmp(origin, "self") == 0 ? GOLD_SELF : GOLD_ORACLE;
        snprintf(gold.generator, sizeof gold.generator, "%s", generator);
        if (gold.origin == GOLD_SELF)
            status = parse_self(&gold, root, path);
    }
    if (status == CORE_OK)
        status = check_files(folder, files);
    json_decref(root);
    if (status == CORE_OK)
        *out = gold;
    return status;
}
