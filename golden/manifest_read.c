/* golden/manifest_read.c -- reading manifest.json, and whether it tells the
 * truth about the files beside it.
 *
 * Traps: a file that is there and not in the manifest is as wrong as the
 * reverse; numbers of a manifest that somebody edited are not believed before
 * they have been held against each other and against the input file.
 */
#include "golden/golden_impl.h"

#include "core/base/arena.h"
#include "core/files/json.h"
#include "core/files/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MANIFEST = 1 << 26 }; /* bytes */

void gold_close(gold_case *gold)
{
    core_batch_free(&gold->batch);
    free(gold->sets);
    gold->sets = NULL;
    gold->overrides.n_set = 0; /* borrowed from them */
}

core_status gold__read_manifest(json_t **root, gold_origin *origin,
                                const char *folder)
{
    char path[CORE_PATH_BYTES];
    CORE_TRY(core_path_join(path, folder, GOLD__MANIFEST));
    char *text = NULL;
    json_t *read = NULL;
    CORE_TRY(core_text_read(&text, path, MAX_MANIFEST));
    core_status status = core_json_parse(&read, text, strlen(text), path);
    free(text);
    CORE_TRY(status);
    json_error_t error;
    const char *schema = NULL, *who = NULL, *generator = NULL;
    json_t *files = NULL;
    if (json_unpack_ex(read, &error, 0, "{s:s, s:s, s:s, s:o}", "schema",
                       &schema, "origin", &who, "generator", &generator,
                       "files", &files) != 0)
        status = core_fail(CORE_E_FORMAT, "%s: %s", path, error.text);
    else if (strcmp(schema, GOLD_SCHEMA) != 0)
        status =
            core_fail(CORE_E_FORMAT,
                      "%s: expected schema " GOLD_SCHEMA ", found %.80s; make "
                      "it anew (moeparity golden make --force)",
                      path, schema);
    else if (strcmp(who, "self") != 0 && strcmp(who, "oracle") != 0)
        status = core_fail(CORE_E_FORMAT,
                           "%s: origin: expected self or oracle, found '%.80s'",
                           path, who);
    else if (!json_is_object(files))
        status =
            core_fail(CORE_E_FORMAT, "%s: files: expected an object", path);
    if (status != CORE_OK) {
        json_decref(read);
        return status;
    }
    *origin = strcmp(who, "self") == 0 ? GOLD_SELF : GOLD_ORACLE;
    *root = read;
    return CORE_OK;
}

/* --- fingerprints --- */

static core_status check_file(const char *folder, const char *name,
                              const json_t *want, const json_t *found)
{
    const char *tensor = NULL;
    json_t *value;
    CORE_FAIL_IF(found == NULL, CORE_E_FILE,
                 "%s/%s: is in the manifest and not in the folder", folder,
                 name);
    if (json_equal(want, found))
        return CORE_OK;
    json_object_foreach(json_object_get(want, "tensors"), tensor, value)
    {
        if (!json_equal(value, json_object_get(
                                   json_object_get(found, "tensors"), tensor)))
            break;
    }
    CORE_FAIL(CORE_E_DIFFERS,
              "%s/%s: fingerprint of %s differs from the manifest's", folder,
              name, tensor != NULL ? tensor : "the file");
}

/* Do the files that lie there have the fingerprints `want`? */
static core_status check_files(const char *folder, json_t *want)
{
    json_t *found = json_object();
    core_status status = gold__fingerprint_folder(folder, found);
    const char *name;
    json_t *entry;
    json_object_foreach(want, name, entry)
    {
        if (status == CORE_OK)
            status =
                check_file(folder, name, entry, json_object_get(found, name));
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

/* --- origin self --- */

/* What json_unpack finds in a bundle's manifest; borrowed from it. */
typedef struct members {
    const char *argument, *yaml, *origin, *xxh3, *taps, *arithmetic;
    json_int_t n_l, n_b, n_t;
    int act_quant;
    json_t *weight_seed, *batch_seed, *groups, *numerics;
    json_t *quantised, *sets; /* or NULL                                      */
    const char *quantiser;
} members;

static core_status unpack(members *m, json_t *root, const char *path)
{
    json_error_t error;
    CORE_FAIL_IF(
        json_unpack_ex(
            root, &error, 0,
            "{s:{s:s, s:I, s:s, s?o}, s:{s:s, s:o, s:s, s?b, s?o, s?s}, "
            "s:{s:I, s:I, s:o}, s:o, s:s, s:o, s:{s:s}}",
            "model", "argument", &m->argument, "layers", &m->n_l, "spec",
            &m->yaml, "set", &m->sets, "weights", "origin", &m->origin, "seed", &m->weight_seed,
            "xxh3", &m->xxh3, "act_quant", &m->act_quant, "quantised",
            &m->quantised, "quantiser", &m->quantiser, "batch", "rows",
            &m->n_b, "tokens", &m->n_t, "seed", &m->batch_seed, "token_groups", &m->groups, "taps",
            &m->taps, "numerics", &m->numerics, "libraries", "arithmetic",
            &m->arithmetic) != 0,
        CORE_E_FORMAT, "%s: %s", path, error.text);
    return CORE_OK;
}

static core_status read_quantiser(gold_case *gold, const members *m,
                                  const char *path)
{
    const char *format;
    json_int_t bits, block;
    if (m->quantiser != NULL)
        snprintf(gold->quantiser_says, sizeof gold->quantiser_says, "%s",
                 m->quantiser);
    gold->is_quantised = m->quantised != NULL;
    if (!gold->is_quantised)
        return CORE_OK;
    CORE_FAIL_IF(json_unpack(m->quantised, "{s:s, s:I, s:I}", "format",
                             &format, "bits", &bits, "block", &block) != 0,
                 CORE_E_FORMAT,
                 "%s: weights.quantised: expected format, bits and block",
                 path);
    if (core_quantiser_of(&gold->quantiser, format, bits, block) == CORE_OK)
        return CORE_OK;
    return core_fail_context(CORE_E_FORMAT,
                             "reading weights.quantised of %s", path);
}

/* Copies, since the manifest is soon gone. */
static core_status read_sets(gold_case *gold, const json_t *list,
                             const char *path)
{
    const size_t n = json_array_size(list);
    int64_t n_byte = 0;
    void *memory = NULL;
    bool good = list == NULL || (json_is_array(list) && n <= CORE_MAX_OVERRIDES);
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_array_get(list, i);
        good &= json_is_string(text);
        n_byte += (int64_t)json_string_length(text) + 1;
    }
    CORE_FAIL_IF(!good, CORE_E_FORMAT,
                 "%s: model.set: expected a list of at most %d texts", path,
                 (int)CORE_MAX_OVERRIDES);
    if (n == 0)
        return CORE_OK;
    CORE_TRY(core_alloc(&memory, n_byte, 1, "fields that are set"));
    char *at = gold->sets = memory;
    for (size_t i = 0; i < n; i++) {
        gold->overrides.set[gold->overrides.n_set++] = at;
        at = stpcpy(at, json_string_value(json_array_get(list, i))) + 1;
    }
    return CORE_OK;
}

static core_status read_model(gold_case *gold, const members *m,
                              const char *path)
{
    CORE_FAIL_IF(strlen(m->argument) >= sizeof gold->model ||
                     strlen(m->arithmetic) >= sizeof gold->arithmetic ||
                     strlen(m->xxh3) != GOLD_HEX_BYTES - 1,
                 CORE_E_FORMAT,
                 "%s: model.argument, libraries.arithmetic or weights.xxh3 is "
                 "too long or short",
                 path);
    gold__model_name(gold->model, m->argument);
    strcpy(gold->arithmetic, m->arithmetic);
    strcpy(gold->weights_xxh3, m->xxh3);
    CORE_TRY_CTX(core_spec_parse_yaml(&gold->spec, m->yaml, "model.spec"),
                 "reading %s", path);
    CORE_FAIL_IF(m->n_l < 1 || m->n_l > gold->spec.n_l, CORE_E_FORMAT,
                 "%s: model.layers: expected 1 to %lld, found %lld", path,
                 (long long)gold->spec.n_l, (long long)m->n_l);
    gold->n_l = m->n_l;
    gold->is_checkpoint = strcmp(m->origin, "checkpoint") == 0;
    gold->act_quant = m->act_quant != 0;
    CORE_TRY(read_sets(gold, m->sets, path));
    CORE_TRY(read_quantiser(gold, m, path));
    CORE_FAIL_IF(!gold->is_checkpoint && strcmp(m->origin, "procedural") != 0,
                 CORE_E_FORMAT,
                 "%s: weights.origin: expected procedural or checkpoint, found "
                 "'%.80s'",
                 path, m->origin);
    gold->from_seed = json_is_integer(m->batch_seed);
    gold->seed = (uint64_t)json_integer_value(gold->from_seed ? m->batch_seed
                                                              : m->weight_seed);
    gold->all_taps = strcmp(m->taps, "all") == 0;
    CORE_FAIL_IF(
        !gold->all_taps && strcmp(m->taps, "coarse") != 0, CORE_E_FORMAT,
        "%s: taps: expected coarse or all, found '%.80s'", path, m->taps);
    return CORE_OK;
}

static core_status read_groups(gold_case *gold, const members *m,
                               const char *path)
{
    const size_t n = json_array_size(m->groups);
    CORE_FAIL_IF(n < 2 || n > GOLD_MAX_GROUPS + 1, CORE_E_FORMAT,
                 "%s: token_groups: %zu entries, expected 2 to %d", path, n,
                 GOLD_MAX_GROUPS + 1);
    gold->n_group = (int64_t)n - 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(m->groups, i);
        const json_int_t row =
            json_is_integer(entry) ? json_integer_value(entry) : -1;
        const json_int_t least = i == 0 ? 0 : gold->first_row[i - 1];
        const json_int_t most = i == 0 ? 0 : m->n_b;
        CORE_FAIL_IF(row < least || row > most || (i == n - 1 && row != m->n_b),
                     CORE_E_FORMAT,
                     "%s: token_groups: entry %zu is %lld, expected ascending "
                     "rows from 0 to %lld",
                     path, i, (long long)row, (long long)m->n_b);
        gold->first_row[i] = row;
    }
    return CORE_OK;
}

static core_status read_numerics(gold_case *gold, const members *m,
                                 const char *path)
{
    const char *name;
    json_t *value;
    CORE_FAIL_IF(json_object_size(m->numerics) < 1 ||
                     json_object_size(m->numerics) > GOLD_MAX_NUMERICS,
                 CORE_E_FORMAT, "%s: numerics: expected 1 to %d of them", path,
                 (int)GOLD_MAX_NUMERICS);
    json_object_foreach(m->numerics, name, value)
    {
        if (core_numerics_parse(&gold->numerics[gold->n_numerics++], name) !=
            CORE_OK)
            return core_fail_context(CORE_E_FORMAT, "reading %s", path);
    }
    return CORE_OK;
}

static core_status read_input(gold_case *gold, const members *m,
                              const char *manifest)
{
    char path[CORE_PATH_BYTES];
    core_st *st = NULL;
    CORE_TRY(core_path_join(path, gold->folder, GOLD__INPUT));
    CORE_TRY(core_st_open(&st, path));
    const core_status status =
        core_batch_read(&gold->batch, &gold->spec, st, GOLD_PREFIX);
    core_st_close(st);
    CORE_TRY(status);
    CORE_FAIL_IF(gold->batch.n_b != m->n_b || gold->batch.n_t != m->n_t,
                 CORE_E_FORMAT, "%s: batch: %lldx%lld, but %s holds %lldx%lld",
                 manifest, (long long)m->n_b, (long long)m->n_t, path,
                 (long long)gold->batch.n_b, (long long)gold->batch.n_t);
    return CORE_OK;
}

/* The members of a bundle's manifest, with its batch.                        */
static core_status read_self(gold_case *gold, json_t *root, const char *path)
{
    members m = {0};
    CORE_TRY(unpack(&m, root, path));
    CORE_TRY(read_model(gold, &m, path));
    CORE_TRY(read_groups(gold, &m, path));
    CORE_TRY(read_numerics(gold, &m, path));
    return read_input(gold, &m, path);
}

core_status gold_open(gold_case *out, const char *folder)
{
    gold_case gold = {0};
    char path[CORE_PATH_BYTES];
    json_t *root = NULL;
    CORE_FAIL_IF(strlen(folder) >= sizeof gold.folder, CORE_E_FILE,
                 "path too long: %.64s...", folder);
    strcpy(gold.folder, folder);
    CORE_TRY(core_path_join(path, folder, GOLD__MANIFEST));
    CORE_TRY(gold__read_manifest(&root, &gold.origin, folder));
    snprintf(gold.generator, sizeof gold.generator, "%s",
             json_string_value(json_object_get(root, "generator")));
    core_status status = check_files(folder, json_object_get(root, "files"));
    if (status == CORE_OK && gold.origin == GOLD_SELF)
        status = read_self(&gold, root, path);
    json_decref(root);
    if (status == CORE_OK)
        *out = gold;
    else
        gold_close(&gold);
    return status;
}
