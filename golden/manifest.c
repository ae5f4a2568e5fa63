/* golden/manifest.c -- writing manifest.json.
 *
 * Keys are sorted and nothing depends on the time or on where a folder lies, so
 * the same command on the same machine writes the same bytes.  docs/golden.md
 * names every member.
 */
#include "golden/golden_impl.h"

#include "core/files/target.h"

#include <cblas.h>
#include <errno.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

void gold__model_name(char out[GOLD_PATH_BYTES], const char *model)
{
    size_t n = strlen(model);
    while (n > 1 && model[n - 1] == '/')
        n--;
    size_t first = n;
    while (first > 0 && model[first - 1] != '/')
        first--;
    char *whole = NULL;
    const bool is_dots =
        n - first <= 2 && strspn(model + first, ".") == n - first;
    if (is_dots) /* "." has a name elsewhere */
        whole = realpath(model, NULL);
    if (whole != NULL && strcmp(whole, "/") != 0)
        gold__model_name(out, whole);
    else
        snprintf(out, GOLD_PATH_BYTES, "%.*s", (int)(n - first), model + first);
    free(whole);
}

void gold__arithmetic(char out[GOLD_TEXT_BYTES])
{
    snprintf(out, GOLD_TEXT_BYTES, "%s; glibc %s", openblas_get_config(),
             gnu_get_libc_version());
}

static json_t *libraries(void)
{
    char arithmetic[GOLD_TEXT_BYTES], xxhash[32];
    gold__arithmetic(arithmetic);
    snprintf(xxhash, sizeof xxhash, "%d.%d.%d", XXH_VERSION_MAJOR,
             XXH_VERSION_MINOR, XXH_VERSION_RELEASE);
    return json_pack("{s:s, s:s, s:s}", "arithmetic", arithmetic, "jansson",
                     jansson_version_str(), "xxhash", xxhash);
}

void gold__numerics_file(char out[GOLD_PATH_BYTES], core_numerics numerics)
{
    snprintf(out, GOLD_PATH_BYTES, "%s.safetensors",
             core_numerics_file(core_numerics_name(numerics).text).text);
}

/* "layers.*.ffn_out": the tap of all layers. */
static json_t *kind_text(core_tap_kind kind)
{
    char name[CORE_NAME_BYTES];
    core_tap_name((core_tap){kind, 0}, name);
    if (!core_tap_is_global(kind))
        name[strlen("layers.")] = '*';
    return json_string(name);
}

/* How far roundings make a dump lean towards each mistake. */
static json_t *mistakes(const gold_case *gold, const gold_reach *reach)
{
    json_t *list = json_array();
    for (int f = REF_LAYER; f <= REF_BLOCK; f++)
        for (int i = 0; i < GOLD_MISTAKES; i++)
            for (int kind = 0; kind < (int)CORE_N_TAP_KINDS; kind++) {
                core_spec spec = gold->spec;
                if (!(reach->of[f][i][kind] > 0.0))
                    continue;
                json_array_append_new(
                    list,
                    json_pack("{s:s, s:s, s:o, s:f}", "what",
                              gold_mistake(&spec, i), "forced",
                              f == REF_LAYER ? "layer" : "block", "tap",
                              kind_text((core_tap_kind)kind), "reach",
                              reach->of[f][i][kind]));
            }
    return list;
}

static json_t *numerics_entry(const gold_case *gold, core_numerics numerics,
                              const gold_summary *summary)
{
    char file[GOLD_PATH_BYTES];
    const double roundoff = gold__roundoff(numerics);
    gold__numerics_file(file, numerics);
    json_t *entry = json_pack("{s:s}", "file", file);
    if (numerics == CORE_EXACT)
        json_object_set_new(
            entry, "steps",
            json_pack("{s:f, s:f, s:f, s:i}", "activations", CORE_STEP_ACT,
                      "probabilities", CORE_STEP_PROB, "cos_sin",
                      CORE_STEP_TABLE, "weight_bits", CORE_WEIGHT_BITS));
    if (gold__rounds(numerics)) {
        json_object_set_new(entry, "unit_roundoff", json_real(roundoff));
        json_object_set_new(entry, "tolerance",
                            json_pack("{s:i, s:f, s:f, s:i}", "draws",
                                      (int)GOLD__DRAWS, "factor", GOLD__FACTOR,
                                      "slope_factor", GOLD__SLOPE_FACTOR,
                                      "seed", (int)GOLD__SEED));
        json_object_set_new(entry, "mistakes", mistakes(gold, &summary->reach));
    }
    return entry;
}

core_status gold__check_text(const char *what, const char *text)
{
    json_t *value = json_string(text);
    CORE_FAIL_IF(value == NULL, CORE_E_INPUT,
                 "%s: a manifest cannot hold it, expected UTF-8, found '%s'",
                 what, text);
    json_decref(value);
    return CORE_OK;
}

static json_t *integer_or_null(bool is_there, uint64_t value)
{
    return is_there ? json_integer((json_int_t)value) : json_null();
}

static json_t *sets(const gold_case *gold)
{
    json_t *list = json_array();
    for (int i = 0; i < gold->overrides.n_set; i++)
        json_array_append_new(list, json_string(gold->overrides.set[i]));
    return list;
}

/* What a bundle was made from. */
static core_status add_self(json_t *root, const gold_case *gold,
                            const gold_summary *summary)
{
    char *yaml = NULL, name[GOLD_PATH_BYTES];
    gold__model_name(name, gold->model);
    CORE_TRY(core_spec_yaml(&yaml, &gold->spec));
    json_t *groups = json_array(), *numerics = json_object();
    for (int64_t i = 0; i <= gold->n_group; i++)
        json_array_append_new(groups, json_integer(gold->first_row[i]));
    for (int i = 0; i < gold->n_numerics; i++)
        json_object_set_new(
            numerics, core_numerics_name(gold->numerics[i]).text,
            numerics_entry(gold, gold->numerics[i], &summary[i]));
    json_object_set_new(root, "libraries", libraries());
    json_object_set_new(root, "model",
                        json_pack("{s:s, s:I, s:s}", "argument", name, "layers",
                                  (json_int_t)gold->n_l, "spec", yaml));
    if (gold->overrides.n_set > 0)
        json_object_set_new(json_object_get(root, "model"), "set", sets(gold));
    json_object_set_new(
        root, "weights",
        json_pack("{s:s, s:o, s:s}", "origin",
                  gold->is_checkpoint ? "checkpoint" : "procedural", "seed",
                  integer_or_null(!gold->is_checkpoint, gold->seed), "xxh3",
                  gold->weights_xxh3));
    json_t *weights = json_object_get(root, "weights");
    if (gold->act_quant)
        json_object_set_new(weights, "act_quant", json_true());
    if (gold->is_quantised)
        json_object_set_new(weights, "quantised",
                            json_pack("{s:s, s:I, s:I}", "format",
                                      gold->quantiser.format, "bits",
                                      (json_int_t)gold->quantiser.bits,
                                      "block",
                                      (json_int_t)gold->quantiser.block));
    if (gold->quantiser_says[0] != '\0')
        json_object_set_new(weights, "quantiser",
                            json_string(gold->quantiser_says));
    json_object_set_new(
        root, "batch",
        json_pack("{s:s, s:I, s:I, s:o}", "file", GOLD__INPUT, "rows",
                  (json_int_t)gold->batch.n_b, "tokens",
                  (json_int_t)gold->batch.n_t, "seed",
                  integer_or_null(gold->from_seed, gold->seed)));
    json_object_set_new(root, "token_groups", groups);
    json_object_set_new(root, "taps",
                        json_string(gold->all_taps ? "all" : "coarse"));
    json_object_set_new(root, "numerics", numerics);
    free(yaml);
    return CORE_OK;
}

static core_status make_manifest(json_t *root, const gold_case *gold,
                                 const char *folder,
                                 const gold_summary *summary)
{
    json_t *files = json_object();
    json_object_set_new(root, "schema", json_string(GOLD_SCHEMA));
    json_object_set_new(
        root, "origin",
        json_string(gold->origin == GOLD_SELF ? "self" : "oracle"));
    json_object_set_new(root, "generator", json_string(gold->generator));
    json_object_set_new(root, "files", files);
    CORE_TRY(gold__fingerprint_folder(folder, files));
    return gold->origin == GOLD_SELF ? add_self(root, gold, summary) : CORE_OK;
}

core_status gold__write_manifest(const gold_case *gold, const char *folder,
                                 const gold_summary *summary)
{
    char path[CORE_PATH_BYTES];
    core_target target;
    CORE_TRY(core_path_join(path, folder, GOLD__MANIFEST));
    json_t *root = json_object();
    core_status status = make_manifest(root, gold, folder, summary);
    if (status == CORE_OK)
        status = core_target_open(&target, path);
    if (status == CORE_OK && json_dump_file(root, target.partial,
                                            JSON_INDENT(1) |
                                                JSON_SORT_KEYS) != 0) {
        const int why = errno;
        core_target_drop(&target);
        status = core_target_failed(path, why);
    }
    if (status == CORE_OK)
        status = core_target_commit(&target);
    json_decref(root);
    return status;
}

core_status gold_seal(const gold_case *gold)
{
    core_assert(gold->origin == GOLD_ORACLE);
    CORE_TRY(gold__check_text("generator", gold->generator));
    return gold__write_manifest(gold, gold->folder, NULL);
}
