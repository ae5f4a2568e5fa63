/* core/files/safetensors.c -- a mapped safetensors file.
 *
 * Opening costs as much as the header is long; tensor bytes are read when they
 * are touched.  Of the parsed header metadata stays alive.  The same mapping serves
 * readers and, while a file is being created, its writers in several processes
 * (MAP_SHARED).
 */
#include "core/files/safetensors_impl.h"

#include "core/base/arena.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static core_status open_and_read(core_st *file, const char *path,
                                 core_mapping kind)
{
    void *copy = NULL;
    CORE_TRY(core_alloc(&copy, (int64_t)strlen(path) + 1, 1, path));
    file->path = strcpy(copy, path);
    CORE_TRY(core_map(&file->mapped, path, kind, CORE__ST_LENGTH_BYTES));
    file->map = core_mapped_at(file->mapped);
    file->map_bytes = core_mapped_bytes(file->mapped);
    return core__st_read_header(file);
}

core_status core__st_map(core_st **out, const char *path, core_mapping kind)
{
    core_st *file = calloc(1, sizeof *file);
    CORE_FAIL_IF(file == NULL, CORE_E_MEMORY, "no memory to open %s", path);
    const core_status status = open_and_read(file, path, kind);
    if (status != CORE_OK) {
        core_st_close(file);
        return status;
    }
    *out = file;
    return CORE_OK;
}

core_status core_st_open(core_st **out, const char *path)
{
    return core__st_map(out, path, CORE_MAP_INPUT);
}

core_status core_st_follow(core_st **out, const char *path)
{
    return core__st_map(out, path, CORE_MAP_OURS);
}

core_status core_st_attach(core_st **out, const char *path)
{
    return core__st_map(out, path, CORE_MAP_WRITE);
}

void core_st_close(core_st *file)
{
    if (file == NULL)
        return;
    core_unmap(file->mapped);
    if (file->target != NULL)
        core_target_drop(file->target); /* created and never committed */
    json_decref(file->header);
    free(file->names);
    free(file->tensors);
    free(file->by_name);
    free(file->metadata);
    free(file->target);
    free(file->path);
    free(file);
}

int64_t core_st_count(const core_st *file)
{
    return file->n_tensor;
}

const core_st_tensor *core_st_at(const core_st *file, int64_t i)
{
    core_assert(i >= 0 && i < file->n_tensor);
    return &file->tensors[i];
}

static int compare_to_name(const void *key, const void *element)
{
    const core_st_tensor *const *tensor = element;
    return strcmp(key, (*tensor)->name);
}

const core_st_tensor *core_st_find(const core_st *file, const char *name)
{
    if (file->n_tensor == 0)
        return NULL;
    core_st_tensor *const *found =
        bsearch(name, file->by_name, (size_t)file->n_tensor,
                sizeof *file->by_name, compare_to_name);
    return found == NULL ? NULL : *found;
}

const char *core_st_metadata(const core_st *file, const char *key)
{
    for (int64_t i = 0; i < file->n_metadata; i++) {
        if (strcmp(file->metadata[i].key, key) == 0)
            return file->metadata[i].value;
    }
    return NULL;
}

bool core_st_metadata_at(const core_st *file, int64_t i, const char **key,
                         const char **value)
{
    if (i < 0 || i >= file->n_metadata)
        return false;
    *key = file->metadata[i].key;
    *value = file->metadata[i].value;
    return true;
}

const char *core_st_path(const core_st *file)
{
    return file->path;
}

const char *core_st_shape_text(char text[CORE_ST_SHAPE_BYTES],
                               const int64_t *shape, int n_dim)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; i < n_dim; i++)
        used +=
            (size_t)snprintf(text + used, CORE_ST_SHAPE_BYTES - used, "%s%lld",
                             i == 0 ? "" : ",", (long long)shape[i]);
    return text;
}

void core_st_read(const core_st_tensor *tensor, int64_t first, int64_t n,
                  double *out)
{
    const size_t at = (size_t)first * core_dtype_bytes(tensor->dtype);
    core_dtype_to_f64(out, (const char *)tensor->data + at, tensor->dtype, n);
}

double core_st_value(const core_st_tensor *tensor, int64_t i)
{
    double value;
    core_st_read(tensor, i, 1, &value);
    return value;
}

int64_t core_st_int(const core_st_tensor *tensor, int64_t i)
{
    int64_t value;
    core_assert(tensor->dtype == CORE_DTYPE_I64);
    memcpy(&value, (const char *)tensor->data + (size_t)i * sizeof value,
           sizeof value);
    return value;
}

double core_st_rms(const core_st_tensor *tensor)
{
    double sum = 0.0;
    for (int64_t i = 0; i < tensor->n; i++) {
        const double x = core_st_value(tensor, i);
        sum += x * x;
    }
    return tensor->n > 0 ? sqrt(sum / (double)tensor->n) : 0.0;
}
