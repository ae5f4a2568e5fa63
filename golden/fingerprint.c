/* golden/fingerprint.c -- XXH3-64 of files, tensors and weights.
 *
 * A difference in a safetensors file names the tensor and not only the file.
 * Weights are hashed as the doubles that core_weights_read gives, name and
 * shape before them, layer by layer in the order of CORE_WEIGHT_LIST: the same
 * for a checkpoint however it is sharded or stored, as long as its values are.
 */
#include "golden/golden_impl.h"

#include "core/base/arena.h"
#include "core/files/open.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static void hex64(uint64_t value, char out[GOLD_HEX_BYTES])
{
    snprintf(out, GOLD_HEX_BYTES, "%016" PRIx64, value);
}

/* XXH3 and size of a file. */
static core_status fingerprint_file(const char *path, char out[GOLD_HEX_BYTES],
                                    json_int_t *bytes)
{
    FILE *file = NULL;
    CORE_TRY(core_open_stream(&file, path));
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
        char hex[GOLD_HEX_BYTES];
        hex64(XXH3_64bits(tensor->data, tensor->bytes), hex);
        json_object_set_new(out, tensor->name,
                            json_pack("{s:s, s:o, s:s}", "dtype",
                                      core_dtype_name(tensor->dtype), "shape",
                                      shape, "xxh3", hex));
    }
    core_st_close(st);
    return CORE_OK;
}

core_status gold__fingerprint_folder(const char *folder, json_t *files)
{
    DIR *dir = opendir(folder);
    CORE_FAIL_IF(dir == NULL, CORE_E_FILE, "%s: cannot be opened", folder);
    core_status status = CORE_OK;
    const struct dirent *entry;
    while (status == CORE_OK && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' ||
            strcmp(entry->d_name, GOLD__MANIFEST) == 0)
            continue;
        char path[CORE_PATH_BYTES], hex[GOLD_HEX_BYTES] = "";
        json_int_t bytes = 0;
        json_t *tensors = json_object();
        status = core_path_join(path, folder, entry->d_name);
        if (status == CORE_OK)
            status = fingerprint_file(path, hex, &bytes);
        if (status == CORE_OK && is_safetensors(entry->d_name))
            status = fingerprint_tensors(path, tensors);
        json_t *file = json_pack("{s:I, s:s, s:o}", "bytes", bytes, "xxh3", hex,
                                 "tensors", tensors);
        if (json_object_set_new(files, entry->d_name, file) != 0 &&
            status == CORE_OK)
            status = core_fail(CORE_E_FORMAT,
                               "%s: a manifest cannot hold a file's name, "
                               "expected UTF-8, found '%s'",
                               folder, entry->d_name);
    }
    closedir(dir);
    return status;
}

/* Add name, shape and values of one tensor, some rows at a time. */
static core_status add_weight(XXH3_state_t *state, const core_spec *spec,
                              const core_weights *weights, core_weight id)
{
    enum { CHUNK = 1 << 17 };
    char name[CORE_NAME_BYTES];
    int64_t shape[2];
    core_weight_shape(spec, id, &shape[0], &shape[1]);
    core_weight_name(id, name);
    XXH3_64bits_update(state, name, strlen(name));
    XXH3_64bits_update(state, shape, sizeof shape);
    const int64_t rows = shape[1] < CHUNK ? CHUNK / shape[1] : 1;
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, rows * shape[1], sizeof(double), name));
    for (int64_t r = 0; r < shape[0]; r += rows) {
        const int64_t end = r + rows < shape[0] ? r + rows : shape[0];
        core_weights_read(weights, id, r, end, 0, shape[1], memory, shape[1]);
        XXH3_64bits_update(state, memory,
                           (size_t)((end - r) * shape[1]) * sizeof(double));
    }
    free(memory);
    return CORE_OK;
}

core_status gold__fingerprint_weights(char out[GOLD_HEX_BYTES],
                                      const core_spec *spec,
                                      core_weights *weights)
{
    CORE_TRY(core_weights_prepare(weights, CORE_FP64, NULL));
    XXH3_state_t *state = XXH3_createState();
    core_assert(state != NULL && XXH3_64bits_reset(state) == XXH_OK);
    core_status status = CORE_OK;
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++) {
            core_weight id = {(core_weight_kind)k, l, 0};
            if (id.kind == CORE_W_HEAD && spec->tied)
                continue; /* it is the embedding */
            for (; status == CORE_OK && core_weight_exists(spec, id);
                 id.expert++)
                status = add_weight(state, spec, weights, id);
        }
    hex64(XXH3_64bits_digest(state), out);
    XXH3_freeState(state);
    return status;
}
