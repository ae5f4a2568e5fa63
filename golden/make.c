/* golden/make.c -- compute a golden case of our own, and compute it again.
 *
 * Exact mode makes a golden that holds for every machine, BLAS and thread
 * count, and for every plan with the same token groups.
 */
#include "golden/golden_impl.h"

#include "core/tapfile.h"
#include "ref/ref.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static core_status open_spec(core_spec *out, const gold_case *gold)
{
    CORE_TRY(core_spec_open(out, gold->model, NULL));
    CORE_FAIL_IF(gold->n_l < 1 || gold->n_l > out->n_l, CORE_E_INPUT,
                 "layers: %lld, model %s has %lld", (long long)gold->n_l,
                 gold->model, (long long)out->n_l);
    out->n_l = gold->n_l;
    return CORE_OK;
}

uint64_t gold__spec_hash(const gold_case *gold)
{
    core_spec spec;
    if (open_spec(&spec, gold) != CORE_OK)
        return 0;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return 0;
    core_spec_write_yaml(&spec, stream);
    fclose(stream);
    const uint64_t hash = XXH3_64bits(text, size);
    free(text);
    return hash;
}

/* The forward pass of the case into a coarse tap file that is not committed. */
static core_status compute(const gold_case *gold, const core_spec *spec,
                           const core_weights *weights, const core_batch *batch,
                           core_tapfile *file)
{
    const ref_options options = {.n_threads =
                                     (int)sysconf(_SC_NPROCESSORS_ONLN),
                                 .weight_budget_bytes = (size_t)1 << 30};
    const core_groups groups = {gold->n_group, gold->first_row};
    ref_model *model = NULL;
    CORE_TRY(
        ref_model_open(&model, spec, weights, gold->numerics, &options));
    core_tap_sink sink;
    core_status status = core_tapfile_sink(&sink, file, "");
    if (status == CORE_OK) {
        ref_stats stats;
        status = ref_forward(model, batch, &groups, &sink, &stats);
        if (status == CORE_OK && !stats.exact && gold->numerics == CORE_EXACT)
            status = core_fail(CORE_E_EXACT, "%s", stats.not_exact);
        free(sink.self);
    }
    ref_model_close(model);
    return status;
}

/* Compute the case into `path`, committed. */
static core_status write_taps(const gold_case *gold, const char *path)
{
    core_spec spec;
    CORE_TRY(open_spec(&spec, gold));
    core_weights *weights = NULL;
    core_batch batch = {0};
    core_tapfile *file = NULL;
    core_status status =
        core_weights_open_procedural(&weights, &spec, gold->seed);
    if (status == CORE_OK)
        status = core_weights_prepare(weights, gold->numerics, NULL);
    if (status == CORE_OK)
        status = core_batch_make(&batch, &spec, gold->n_b, gold->n_t,
                                 gold->seed);
    if (status == CORE_OK) {
        const core_tapfile_part part = {"", gold->n_b, gold->n_t, &batch};
        const char *metadata[] = {"model", gold->model, "numerics",
                                  core_numerics_name(gold->numerics), NULL};
        status = core_tapfile_create(&file, path, &spec, gold->numerics, true,
                                     false, &part, 1, metadata);
    }
    if (status == CORE_OK)
        status = compute(gold, &spec, weights, &batch, file);
    if (status == CORE_OK)
        status = core_tapfile_commit(file);
    core_tapfile_close(file);
    core_batch_free(&batch);
    core_weights_close(weights);
    return status;
}

core_status gold_make(const gold_case *gold)
{
    core_assert(gold->origin == GOLD_SELF);
    CORE_FAIL_IF(mkdir(gold->folder, 0777) != 0 && errno != EEXIST, CORE_E_FILE,
                 "%s: cannot be made: %s", gold->folder, strerror(errno));
    char path[1024];
    snprintf(path, sizeof path, "%s/taps.safetensors", gold->folder);
    CORE_TRY(write_taps(gold, path));
    return gold__write_manifest(gold);
}

core_status gold_recompute(const gold_case *gold, const char *path)
{
    CORE_TRY(write_taps(gold, path));
    char committed[1024];
    snprintf(committed, sizeof committed, "%s/taps.safetensors", gold->folder);
    core_st *want = NULL, *found = NULL;
    core_status status = core_st_open(&want, committed);
    if (status == CORE_OK)
        status = core_st_open(&found, path);
    for (int64_t i = 0; status == CORE_OK && i < core_st_count(want); i++) {
        const core_st_tensor *a = core_st_at(want, i);
        const core_st_tensor *b = core_st_find(found, a->name);
        if (b == NULL || b->bytes != a->bytes ||
            memcmp(a->data, b->data, a->bytes) != 0)
            status = core_fail(CORE_E_DIFFERS,
                               "%s: %s differs from what is computed now",
                               committed, a->name);
    }
    core_st_close(found);
    core_st_close(want);
    return status;
}
