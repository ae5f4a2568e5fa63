/* golden/check.c -- does the program still compute what a bundle holds?
 *
 * Fingerprints say that the files are those of the manifest (manifest_read.c);
 * here they are computed again.  Exact files must agree bit for bit everywhere.
 * What rounds is repeated bit for bit only by the same OpenBLAS kernels and the
 * same libm, which differ between processors; elsewhere its rows must stay
 * within the stored tolerances, ids must agree, and tolerances and margins,
 * which are made of roundings themselves, are not held against each other.
 * Which it was is said, because the second proves less.
 */
#include "golden/golden_impl.h"

#include "core/files/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FP64_AGREES 1e-9 /* what is asked of fp64 logits everywhere */

/* Is every row of b within the tolerance that a's file stores for it?  fp64 has
 * none: there it is what the oracle's figures allow.                         */
static bool is_within(const core_st *want, const core_st_tensor *a,
                      const core_st_tensor *b)
{
    char name[GOLD__NAME_BYTES];
    snprintf(name, sizeof name, "%s.tolerance", a->name);
    const core_st_tensor *tolerance = core_st_find(want, name);
    const int64_t n_col =
        tolerance != NULL && tolerance->n > 0 ? a->n / tolerance->n : a->n;
    for (int64_t i = 0; i < a->n; i++) {
        const double allowed = tolerance != NULL
                                   ? core_st_value(tolerance, i / n_col)
                                   : FP64_AGREES;
        if (!(fabs(core_st_value(a, i) - core_st_value(b, i)) <= allowed))
            return false;
    }
    return true;
}

static bool agrees(const core_st *want, const core_st_tensor *a,
                   const core_st_tensor *b, bool bitwise)
{
    if (b == NULL || b->dtype != a->dtype || b->bytes != a->bytes ||
        b->n_dim != a->n_dim ||
        memcmp(a->shape, b->shape, (size_t)a->n_dim * sizeof a->shape[0]) != 0)
        return false;
    if (bitwise || !core_dtype_is_float(a->dtype))
        return memcmp(a->data, b->data, a->bytes) == 0;
    return core_text_ends(a->name, "tolerance") ||
           core_text_ends(a->name, "routing_margin") || is_within(want, a, b);
}

core_status gold__compare_files(const char *want_path, const char *found_path,
                                bool bitwise)
{
    core_st *want = NULL, *found = NULL;
    core_status status = core_st_open(&want, want_path);
    if (status == CORE_OK)
        status = core_st_open(&found, found_path);
    for (int64_t i = 0; status == CORE_OK && i < core_st_count(want); i++) {
        const core_st_tensor *a = core_st_at(want, i);
        if (!agrees(want, a, core_st_find(found, a->name), bitwise))
            status = core_fail(CORE_E_DIFFERS,
                               "%s: %s differs from what is computed now%s",
                               want_path, a->name,
                               bitwise ? "" : ", by more than its tolerance");
    }
    if (status == CORE_OK && core_st_count(found) != core_st_count(want))
        status = core_fail(
            CORE_E_DIFFERS, "%s: %lld tensors, computed now: %lld", want_path,
            (long long)core_st_count(want), (long long)core_st_count(found));
    core_st_close(found);
    core_st_close(want);
    return status;
}

core_status gold_find_model(gold_case *gold, const char *given)
{
    if (!gold->is_checkpoint)
        return CORE_OK;
    char path[GOLD_PATH_BYTES];
    const int n = given != NULL ? snprintf(path, sizeof path, "%s", given)
                                : snprintf(path, sizeof path, "%s/../%s",
                                           gold->folder, gold->model);
    CORE_FAIL_IF(n >= (int)sizeof path, CORE_E_FILE, "path too long: %.64s...",
                 path);
    CORE_FAIL_IF(given == NULL && access(path, F_OK) != 0, CORE_E_FILE,
                 "%s: made from checkpoint %s, which is not beside it; --model "
                 "says where it is",
                 gold->folder, gold->model);
    strcpy(gold->model, path);
    return CORE_OK;
}

/* Is MODEL still the model of the manifest?  A preset's name says so; the spec
 * file of a bundle may be gone, its text is in the manifest.                 */
static core_status check_model(const gold_case *gold)
{
    bool has_meaning = gold->is_checkpoint;
    for (int i = 0; core_spec_preset_name(i) != NULL; i++)
        has_meaning |= strcmp(core_spec_preset_name(i), gold->model) == 0;
    if (!has_meaning)
        return CORE_OK;
    core_spec now;
    char *want = NULL, *found = NULL;
    CORE_TRY(core_config_open(&now, NULL, &gold->overrides, gold->model));
    CORE_TRY(core_spec_yaml(&want, &gold->spec));
    core_status status = core_spec_yaml(&found, &now);
    if (status == CORE_OK && strcmp(want, found) != 0)
        status = core_fail(CORE_E_DIFFERS,
                           "%s: made for another description of model %s",
                           gold->folder, gold->model);
    free(want);
    free(found);
    return status;
}

/* Does the seed still make the batch that the input file holds? */
static core_status check_batch(const gold_case *gold)
{
    if (!gold->from_seed)
        return CORE_OK;
    const core_batch *b = &gold->batch;
    const int64_t n = b->n_b * b->n_t;
    core_batch made;
    CORE_TRY(core_batch_make(&made, &gold->spec, b->n_b, b->n_t, gold->seed));
    const bool same =
        made.ids != NULL
            ? b->mask == NULL &&
                  memcmp(made.ids, b->ids, (size_t)n * sizeof *b->ids) == 0
            : memcmp(made.hidden, b->hidden,
                     (size_t)(n * gold->spec.n_d) * sizeof *b->hidden) == 0;
    core_batch_free(&made);
    CORE_FAIL_IF(!same, CORE_E_DIFFERS,
                 "%s/" GOLD__INPUT ": is not what seed %llu makes now",
                 gold->folder, (unsigned long long)gold->seed);
    return CORE_OK;
}

static core_status check_weights(const gold_case *gold, core_weights *weights)
{
    const core_spec spec = gold__short_spec(gold);
    char now[GOLD_HEX_BYTES];
    CORE_TRY(gold__fingerprint_weights(now, &spec, weights));
    CORE_FAIL_IF(strcmp(now, gold->weights_xxh3) != 0, CORE_E_DIFFERS,
                 "%s: made with other weights of %s: fingerprint %s, found %s",
                 gold->folder, gold->model, gold->weights_xxh3, now);
    return CORE_OK;
}

static core_status check_numerics(const gold_case *gold, core_weights *weights,
                                  ref_model **model, core_numerics numerics,
                                  const gold_options *options,
                                  const char *scratch, bool bitwise)
{
    char name[GOLD_PATH_BYTES], want[CORE_PATH_BYTES], found[CORE_PATH_BYTES];
    gold__numerics_file(name, numerics);
    CORE_TRY(core_path_join(want, gold->folder, name));
    CORE_TRY(core_path_join(found, scratch, name));
    CORE_TRY(
        gold__compute(gold, weights, model, numerics, options, found, NULL));
    return gold__compare_files(want, found, bitwise);
}

core_status gold_recompute(const gold_case *gold, const gold_options *options,
                           const char *scratch, bool *within)
{
    char arithmetic[GOLD_TEXT_BYTES];
    gold__arithmetic(arithmetic);
    const bool repeats = strcmp(arithmetic, gold->arithmetic) == 0;
    core_weights *weights = NULL;
    ref_model *model = NULL;
    *within = false;
    CORE_TRY(check_model(gold));
    CORE_TRY(check_batch(gold));
    CORE_TRY(gold_open_weights(&weights, gold));
    core_status status = check_weights(gold, weights);
    for (int i = 0; i < gold->n_numerics && status == CORE_OK; i++) {
        const core_numerics numerics = gold->numerics[i];
        const bool bitwise = repeats || numerics == CORE_EXACT;
        status = check_numerics(gold, weights, &model, numerics, options,
                                scratch, bitwise);
        *within |= !bitwise;
    }
    ref_model_close(model);
    core_weights_close(weights);
    return status;
}
