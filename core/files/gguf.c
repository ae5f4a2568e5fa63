/* core/files/gguf.c -- a mapped GGUF file, or the files that one is split over.
 *
 * Opening costs as much as the headers are long; values and tensors are read
 * when they are touched.  Traps: a split file's metadata stand in its first
 * file, the others say only which they are.
 */
#include "core/files/gguf_impl.h"

#include "core/base/arena.h"
#include "core/files/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PARTS = 99999 };

struct core_gguf {
    core__gguf_part *parts; /* [n_part]                                       */
    int n_part;
    const core_gguf_tensor **by_name; /* [n_tensor] of all parts              */
    int64_t n_tensor;
};

/* --- one file --------------------------------------------------------------
 */

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const core_gguf_key *)a)->name,
                  ((const core_gguf_key *)b)->name);
}

/* Sorted, a copy of the keys has equal names side by side. */
static core_status check_keys(const core__gguf_part *part)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, part->n_key + 1, sizeof *part->keys, "keys"));
    core_gguf_key *sorted = memory;
    const char *twice = NULL;
    memcpy(sorted, part->keys, (size_t)part->n_key * sizeof *sorted);
    qsort(sorted, (size_t)part->n_key, sizeof *sorted, compare_keys);
    for (int64_t i = 1; i < part->n_key && twice == NULL; i++)
        if (strcmp(sorted[i - 1].name, sorted[i].name) == 0)
            twice = sorted[i].name;
    free(memory);
    CORE_FAIL_IF(twice != NULL, CORE_E_FORMAT, "%s: key '%s': there twice",
                 part->path, twice);
    return CORE_OK;
}

static core_status open_part(core__gguf_part *part, const char *path)
{
    void *copy = NULL;
    CORE_TRY(core_alloc(&copy, (int64_t)strlen(path) + 1, 1, path));
    part->path = strcpy(copy, path);
    CORE_TRY(core_map(&part->mapped, path, CORE_MAP_INPUT, 1));
    part->map = core_mapped_at(part->mapped);
    part->map_bytes = core_mapped_bytes(part->mapped);
    CORE_TRY(core__gguf_read(part));
    return check_keys(part);
}

static void close_part(core__gguf_part *part)
{
    core_unmap(part->mapped);
    free(part->tensors);
    free(part->keys);
    free(part->names);
    free(part->path);
}

/* --- all of a split one ----------------------------------------------------
 */

/* A key of a split file; `fallback` where it has none. */
static core_status get_split(const core__gguf_part *part, const char *name,
                             int64_t fallback, int64_t *out)
{
    const core_gguf_key *key = core__gguf_key(part, name);
    double n = (double)fallback;
    CORE_FAIL_IF(
        key != NULL &&
            (key->is_list || !core_gguf_number(key, 0, &n) ||
             !(n >= 0.0 && n <= (double)INT32_MAX) || n != (double)(int64_t)n),
        CORE_E_FORMAT, "%s: key '%s': expected a count", part->path, name);
    *out = (int64_t)n;
    return CORE_OK;
}

/* "DIR/x-00002-of-00003.gguf" from the path of the first: *out to free. */
static core_status name_part(const char *first, int64_t i, int64_t n,
                             char **out)
{
    char end[32];
    void *memory = NULL;
    snprintf(end, sizeof end, "-%05d-of-%05d.gguf", 1, (int)n);
    const size_t n_first = strlen(first), n_end = strlen(end);
    CORE_FAIL_IF(n_first < n_end || strcmp(first + n_first - n_end, end) != 0,
                 CORE_E_FORMAT,
                 "%s: the first of %lld files, whose name is expected to end "
                 "in %s",
                 first, (long long)n, end);
    CORE_TRY(core_alloc(&memory, (int64_t)n_first + 1, 1, first));
    *out = strcpy(memory, first);
    snprintf(*out + n_first - n_end, n_end + 1, "-%05d-of-%05d.gguf",
             (int)i + 1, (int)n);
    return CORE_OK;
}

static core_status open_other(core_gguf *g, int64_t i, int64_t n)
{
    char *path = NULL;
    int64_t number = 0, count = 0;
    CORE_TRY(name_part(g->parts[0].path, i, n, &path));
    g->n_part++;
    const core_status status = open_part(&g->parts[i], path);
    free(path);
    CORE_TRY(status);
    CORE_TRY(get_split(&g->parts[i], "split.no", 0, &number));
    CORE_TRY(get_split(&g->parts[i], "split.count", 1, &count));
    CORE_FAIL_IF(number != i || count != n, CORE_E_FORMAT,
                 "%s: says that it is file %lld of %lld, expected %lld of %lld",
                 g->parts[i].path, (long long)number + 1, (long long)count,
                 (long long)i + 1, (long long)n);
    return CORE_OK;
}

static core_status open_parts(core_gguf *g, const char *path)
{
    core__gguf_part first = {.path = NULL};
    void *memory = NULL;
    int64_t number = 0, n = 0;
    core_status status = open_part(&first, path);
    if (status == CORE_OK)
        status = get_split(&first, "split.no", 0, &number);
    if (status == CORE_OK)
        status = get_split(&first, "split.count", 1, &n);
    if (status == CORE_OK && number != 0)
        status = core_fail(CORE_E_FORMAT,
                           "%s: file %lld of %lld: the first one is opened, "
                           "for all of them",
                           path, (long long)number + 1, (long long)n);
    if (status == CORE_OK && (n < 1 || n > MAX_PARTS))
        status = core_fail(CORE_E_FORMAT,
                           "%s: key 'split.count': %lld, expected 1 to %d",
                           path, (long long)n, (int)MAX_PARTS);
    if (status == CORE_OK)
        status = core_alloc(&memory, n, sizeof *g->parts, path);
    if (status != CORE_OK) {
        close_part(&first);
        return status;
    }
    g->parts = memory;
    memset(g->parts, 0, (size_t)n * sizeof *g->parts);
    g->parts[0] = first;
    g->n_part = 1;
    for (int64_t i = 1; i < n; i++)
        CORE_TRY(open_other(g, i, n));
    return CORE_OK;
}

static int compare_tensors(const void *a, const void *b)
{
    const core_gguf_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static core_status sort_tensors(core_gguf *g)
{
    int64_t n = 0, said = 0;
    void *memory = NULL;
    for (int i = 0; i < g->n_part; i++)
        n += g->parts[i].n_tensor;
    CORE_TRY(get_split(&g->parts[0], "split.tensors.count", n, &said));
    CORE_FAIL_IF(said != n, CORE_E_FORMAT,
                 "%s: key 'split.tensors.count': %lld, and its files hold %lld",
                 g->parts[0].path, (long long)said, (long long)n);
    CORE_TRY(core_alloc(&memory, n + 1, sizeof *g->by_name, "tensors"));
    g->by_name = memory;
    for (int i = 0; i < g->n_part; i++)
        for (int64_t t = 0; t < g->parts[i].n_tensor; t++)
            g->by_name[g->n_tensor++] = &g->parts[i].tensors[t];
    qsort(g->by_name, (size_t)n, sizeof *g->by_name, compare_tensors);
    for (int64_t i = 1; i < n; i++)
        CORE_FAIL_IF(strcmp(g->by_name[i - 1]->name, g->by_name[i]->name) == 0,
                     CORE_E_FORMAT, "%s: tensor '%s': there twice",
                     g->by_name[i]->path, g->by_name[i]->name);
    return CORE_OK;
}

core_status core_gguf_open(core_gguf **out, const char *path)
{
    core_gguf *g = calloc(1, sizeof *g);
    CORE_FAIL_IF(g == NULL, CORE_E_MEMORY, "no memory to open %s", path);
    core_status status = open_parts(g, path);
    if (status == CORE_OK)
        status = sort_tensors(g);
    if (status != CORE_OK) {
        core_gguf_close(g);
        return status;
    }
    *out = g;
    return CORE_OK;
}

void core_gguf_close(core_gguf *file)
{
    if (file == NULL)
        return;
    for (int i = 0; i < file->n_part; i++)
        close_part(&file->parts[i]);
    free(file->parts);
    free(file->by_name);
    free(file);
}

bool core_gguf_is_one(const char *path)
{
    char magic[4] = "";
    FILE *file = NULL;
    const bool is_one = core_open_stream(&file, path) == CORE_OK &&
                        fread(magic, 1, 4, file) == 4 &&
                        memcmp(magic, "GGUF", 4) == 0;
    if (file != NULL)
        fclose(file);
    core_message_clear();
    return is_one;
}

/* --- what it holds ---------------------------------------------------------
 */

const char *core_gguf_path(const core_gguf *file)
{
    return file->parts[0].path;
}

int core_gguf_files(const core_gguf *file)
{
    return file->n_part;
}

int64_t core_gguf_keys(const core_gguf *file)
{
    return file->parts[0].n_key;
}

const core_gguf_key *core_gguf_key_at(const core_gguf *file, int64_t i)
{
    return &file->parts[0].keys[i];
}

const core_gguf_key *core_gguf_find_key(const core_gguf *file, const char *name)
{
    return core__gguf_key(&file->parts[0], name);
}

int64_t core_gguf_count(const core_gguf *file)
{
    return file->n_tensor;
}

const core_gguf_tensor *core_gguf_at(const core_gguf *file, int64_t i)
{
    return file->by_name[i];
}

static int compare_to_name(const void *key, const void *element)
{
    const core_gguf_tensor *const *tensor = element;
    return strcmp(key, (*tensor)->name);
}

const core_gguf_tensor *core_gguf_find(const core_gguf *file, const char *name)
{
    const core_gguf_tensor *const *found =
        bsearch(name, file->by_name, (size_t)file->n_tensor,
                sizeof *file->by_name, compare_to_name);
    return found == NULL ? NULL : *found;
}
