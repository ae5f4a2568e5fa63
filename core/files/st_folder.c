/* core/files/st_folder.c -- the index of a folder, its files, and whether both
 * say the same.
 *
 * The index is sorted by file, so that each is opened once, and then by tensor;
 * a folder of 1,000 files and 100,000 tensors is an ordinary one.  Traps: an
 * overlay leaves in its base file what the index finds elsewhere; the index may
 * promise what a file does not hold, and be silent on what it does.
 */
#include "core/files/st_folder.h"

#include "core/base/arena.h"
#include "core/files/json.h"
#include "core/files/path.h"
#include "core/files/text.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_INDEX_BYTES = 1 << 28 };

static const char SINGLE[] = "model.safetensors";
static const char INDEX[] = "model.safetensors.index.json";

/* An entry of the index. */
typedef struct entry {
    const char *tensor, *file; /* strings of the index                        */
} entry;

enum { ASKED_BYTES = 256 }; /* of a name of ours, behind another's prefix */

struct core_st_folder {
    core_st **files; /* [n_file]                                              */
    int n_file, n_unread; /* files of `other`: n_file, and no `files`         */
    void *other;          /* or NULL                                          */
    void (*close)(void *other);
    core_st_place *places; /* [n_place] sorted by name                        */
    int64_t n_place;
    const char *inner,
        *outer; /* of names that are asked for; NULL: as they are */
};

static core_status make_room(core_st_folder *f, int64_t n_file, int64_t n_place,
                             const char *path)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, n_file, sizeof(core_st *), path));
    f->files = memory;
    CORE_TRY(core_alloc(&memory, n_place, sizeof *f->places, path));
    f->places = memory;
    return CORE_OK;
}

static core_status open_file(core_st_folder *f, const char *folder,
                             const char *name)
{
    char path[CORE_PATH_BYTES];
    CORE_FAIL_IF(name[0] == '\0' || strchr(name, '/') != NULL, CORE_E_FORMAT,
                 "%s/%s: shard '%.200s', expected a file name", folder, INDEX,
                 name);
    CORE_TRY(core_path_join(path, folder, name));
    CORE_TRY_CTX(core_st_open(&f->files[f->n_file], path), "reading %s/%s",
                 folder, INDEX);
    f->n_file++;
    return CORE_OK;
}

static core_status open_single(core_st_folder *f, const char *path)
{
    core_st *file = NULL;
    CORE_TRY(core_st_open(&file, path));
    const core_status status = make_room(f, 1, core_st_count(file), path);
    if (status != CORE_OK) {
        core_st_close(file);
        return status;
    }
    f->files[f->n_file++] = file;
    for (int64_t i = 0; i < core_st_count(file); i++)
        f->places[f->n_place++] = 
            (core_st_place){core_st_path(file), core_st_at(file, i), NULL};
    return CORE_OK;
}

/* --- the index --------------------------------------------------------------
 */

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->file, ((const entry *)b)->file);
}

/* The entries of a weight_map, by file; *out is the caller's to free. */
static core_status list_entries(const json_t *map, const char *path,
                                entry **out, int64_t *n)
{
    CORE_FAIL_IF(!json_is_object(map), CORE_E_FORMAT,
                 "%s: weight_map: expected an object", path);
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, (int64_t)json_object_size(map) + 1,
                        sizeof **out, path));
    entry *entries = memory;
    const char *tensor;
    json_t *value;
    *n = 0;
    json_object_foreach((json_t *)map, tensor, value)
    {
        if (!json_is_string(value)) {
            free(memory);
            CORE_FAIL(CORE_E_FORMAT, "%s: weight_map: %s: expected a file name",
                      path, tensor);
        }
        entries[(*n)++] = (entry){tensor, json_string_value(value)};
    }
    qsort(entries, (size_t)*n, sizeof *entries, compare_files);
    *out = entries;
    return CORE_OK;
}

/* Open the files of entries sorted by file, and find each tensor in its own. */
static core_status open_entries(core_st_folder *f, const entry *entries,
                                int64_t n, const char *folder)
{
    int64_t n_file = 0;
    for (int64_t i = 0; i < n; i++)
        n_file += i == 0 || compare_files(&entries[i - 1], &entries[i]) != 0;
    CORE_TRY(make_room(f, n_file, n, folder));
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || compare_files(&entries[i - 1], &entries[i]) != 0)
            CORE_TRY(open_file(f, folder, entries[i].file));
        const core_st *file = f->files[f->n_file - 1];
        const core_st_tensor *tensor = core_st_find(file, entries[i].tensor);
        CORE_FAIL_IF(tensor == NULL, CORE_E_WEIGHTS,
                     "%s/%s: %s: not in %s, where it is said to be", folder,
                     INDEX, entries[i].tensor, entries[i].file);
        f->places[f->n_place++] = 
            (core_st_place){core_st_path(file), tensor, NULL};
    }
    return CORE_OK;
}

/* A tensor that no entry of the index has is in the files all the same?  Where
 * they hold as many as it has entries, there is none. */
static core_status check_all_named(const core_st_folder *f, const json_t *map,
                                   const char *folder)
{
    int64_t n_held = 0;
    for (int i = 0; i < f->n_file; i++)
        n_held += core_st_count(f->files[i]);
    if (n_held == f->n_place)
        return CORE_OK;
    for (int i = 0; i < f->n_file; i++)
        for (int64_t t = 0; t < core_st_count(f->files[i]); t++) {
            const char *name = core_st_at(f->files[i], t)->name;
            CORE_FAIL_IF(json_object_get(map, name) == NULL, CORE_E_WEIGHTS,
                         "%s: %s: %s/%s does not name it",
                         core_st_path(f->files[i]), name, folder, INDEX);
        }
    return CORE_OK;
}

static core_status open_map(core_st_folder *f, const json_t *map,
                            const char *folder, const char *path)
{
    entry *entries = NULL;
    int64_t n = 0;
    CORE_TRY(list_entries(map, path, &entries, &n));
    const core_status status = open_entries(f, entries, n, folder);
    free(entries);
    CORE_TRY(status);
    return check_all_named(f, map, folder);
}

static core_status open_index(core_st_folder *f, const char *folder,
                              const char *path)
{
    char *text = NULL;
    json_t *root = NULL;
    CORE_TRY(core_text_read(&text, path, MAX_INDEX_BYTES));
    core_status status = core_json_parse(&root, text, strlen(text), path);
    free(text);
    CORE_TRY(status);
    status = open_map(f, json_object_get(root, "weight_map"), folder, path);
    json_decref(root);
    return status;
}

static void count_unread(core_st_folder *f, const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *item;
    while (dir != NULL && (item = readdir(dir)) != NULL)
        f->n_unread += core_text_ends(item->d_name, ".safetensors") ? 1 : 0;
    f->n_unread -= f->n_file;
    if (dir != NULL)
        closedir(dir);
}

bool core_st_folder_is_there(const char *path)
{
    char file[CORE_PATH_BYTES];
    return (core_path_join(file, path, INDEX) == CORE_OK &&
            access(file, F_OK) == 0) ||
           (core_path_join(file, path, SINGLE) == CORE_OK &&
            access(file, F_OK) == 0);
}

static core_status open_folder(core_st_folder *f, const char *folder)
{
    char path[CORE_PATH_BYTES];
    CORE_TRY(core_path_join(path, folder, INDEX));
    if (access(path, F_OK) == 0) {
        CORE_TRY(open_index(f, folder, path));
        count_unread(f, folder);
        return CORE_OK;
    }
    CORE_TRY(core_path_join(path, folder, SINGLE));
    CORE_FAIL_IF(access(path, F_OK) != 0, CORE_E_FILE, "%s: neither %s nor %s",
                 folder, SINGLE, INDEX);
    return open_single(f, path);
}

/* --- the set ----------------------------------------------------------------
 */

static int compare_places(const void *a, const void *b)
{
    const core_st_place *x = a, *y = b;
    return strcmp(x->tensor->name, y->tensor->name);
}

core_status core_st_folder_open(core_st_folder **out, const char *path)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(core_st_folder), path));
    core_st_folder *f = memory;
    *f = (core_st_folder){.files = NULL};
    const core_status status = open_folder(f, path);
    if (status != CORE_OK) {
        core_st_folder_close(f);
        return status;
    }
    qsort(f->places, (size_t)f->n_place, sizeof *f->places, compare_places);
    *out = f;
    return CORE_OK;
}

core_status core_st_folder_of(core_st_folder **out, core_st_place *places,
                              int64_t n, int n_file, void *self,
                              void (*close)(void *self))
{
    void *memory = NULL;
    qsort(places, (size_t)n, sizeof *places, compare_places);
    for (int64_t i = 1; i < n; i++)
        CORE_FAIL_IF(compare_places(&places[i - 1], &places[i]) == 0,
                     CORE_E_FORMAT, "%s: more than one tensor means '%s'",
                     places[i].path, places[i].tensor->name);
    CORE_TRY(core_alloc(&memory, 1, sizeof(core_st_folder), "tensors"));
    core_st_folder *f = memory;
    *f = (core_st_folder){.n_file = n_file,
                          .other = self,
                          .close = close,
                          .places = places,
                          .n_place = n};
    *out = f;
    return CORE_OK;
}

void core_st_folder_close(core_st_folder *folder)
{
    if (folder == NULL)
        return;
    for (int i = 0; folder->files != NULL && i < folder->n_file; i++)
        core_st_close(folder->files[i]);
    if (folder->other != NULL)
        folder->close(folder->other);
    free(folder->files);
    free(folder->places);
    free(folder);
}

int core_st_folder_files(const core_st_folder *folder)
{
    return folder->n_file;
}

int64_t core_st_folder_count(const core_st_folder *folder)
{
    return folder->n_place;
}

core_st_place core_st_folder_at(const core_st_folder *folder, int64_t i)
{
    return folder->places[i];
}

int64_t core_st_folder_from(const core_st_folder *folder, const char *name)
{
    int64_t first = 0, end = folder->n_place;
    while (first < end) {
        const int64_t middle = first + (end - first) / 2;
        if (strcmp(folder->places[middle].tensor->name, name) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

void core_st_folder_nest(core_st_folder *folder, const char *inner,
                         const char *outer)
{
    folder->inner = inner;
    folder->outer = outer;
}

core_st_place core_st_folder_find(const core_st_folder *folder,
                                  const char *name)
{
    char text[ASKED_BYTES];
    const size_t n = folder->inner != NULL ? strlen(folder->inner) : 0;
    if (folder->inner != NULL && strncmp(name, folder->inner, n) == 0) {
        snprintf(text, sizeof text, "%s%s", folder->outer, name + n);
        name = text;
    }
    const int64_t i = core_st_folder_from(folder, name);
    const bool found = i < folder->n_place &&
                       strcmp(folder->places[i].tensor->name, name) == 0;
    return found ? folder->places[i] : (core_st_place){NULL, NULL, NULL};
}

int core_st_folder_unread(const core_st_folder *folder)
{
    return folder->n_unread;
}
