/* core/weights/checkpoint.c -- weights in a Hugging Face checkpoint folder.
 *
 * Everything is checked when the folder is opened: each tensor that the spec
 * wants is found under its family's name (file_tensor.c), with its shape
 * and a type that we read (checkpoint_view.c), and nothing is left over; reading
 * a rectangle then cannot fail.  Traps: a tied head may or may not be stored;
 * old files carry the rotary frequencies, which are not weights; the index of a
 * sharded checkpoint may promise what a shard does not hold; a quantised tensor
 * comes with a second one that holds its scales, in whatever shard.
 */
#include "core/weights/weights_impl.h"

#include "core/base/arena.h"
#include "core/files/json.h"
#include "core/files/path.h"
#include "core/files/text.h"
#include "core/weights/checkpoint_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FILE_NAME_BYTES = 192,
    MAX_INDEX_BYTES = 1 << 28
};

typedef struct shard {
    char name[FILE_NAME_BYTES]; /* of the file in the folder                  */
    core_st *file;
} shard;

typedef struct checkpoint {
    const char *folder; /* borrowed while opening                             */
    shard *shards;
    int n_shard;
    int64_t n_view;
    core__view *views; /* [core_weight_count], into the shards                */
} checkpoint;

/* --- files ------------------------------------------------------------------ */

/* Open FOLDER/NAME unless it is open already; *out is its file. */
static core_status open_shard(checkpoint *c, const char *name, core_st **out)
{
    for (int i = 0; i < c->n_shard; i++) {
        if (strcmp(c->shards[i].name, name) == 0) {
            *out = c->shards[i].file;
            return CORE_OK;
        }
    }
    CORE_FAIL_IF(name[0] == '\0' || strchr(name, '/') != NULL ||
                     strlen(name) >= FILE_NAME_BYTES,
                 CORE_E_FORMAT, "%s: shard '%.200s', expected a file name",
                 c->folder, name);
    shard *more =
        realloc(c->shards, (size_t)(c->n_shard + 1) * sizeof *c->shards);
    CORE_FAIL_IF(more == NULL, CORE_E_MEMORY, "no memory for %d shards",
                 c->n_shard + 1);
    c->shards = more;
    char path[CORE_PATH_BYTES];
    CORE_TRY(core_path_join(path, c->folder, name));
    shard *s = &c->shards[c->n_shard];
    CORE_TRY(core_st_open(&s->file, path));
    snprintf(s->name, sizeof s->name, "%s", name);
    c->n_shard++;
    *out = s->file;
    return CORE_OK;
}

static core_status open_weight_map(checkpoint *c, json_t *map, const char *path)
{
    CORE_FAIL_IF(!json_is_object(map), CORE_E_FORMAT,
                 "%s: weight_map: expected an object", path);
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        core_st *file = NULL;
        CORE_FAIL_IF(!json_is_string(value), CORE_E_FORMAT,
                     "%s: weight_map: %s: expected a file name", path, tensor);
        CORE_TRY_CTX(open_shard(c, json_string_value(value), &file),
                     "reading %s", path);
        CORE_FAIL_IF(core_st_find(file, tensor) == NULL, CORE_E_WEIGHTS,
                     "%s: %s: not in %s, where it is said to be", path, tensor,
                     json_string_value(value));
    }
    return CORE_OK;
}

static core_status open_index(checkpoint *c, const char *path)
{
    char *text = NULL;
    json_t *root = NULL;
    CORE_TRY(core_text_read(&text, path, MAX_INDEX_BYTES));
    core_status status = core_json_parse(&root, text, strlen(text), path);
    if (status == CORE_OK) {
        status = open_weight_map(c, json_object_get(root, "weight_map"), path);
        json_decref(root);
    }
    free(text);
    return status;
}

static core_status open_files(checkpoint *c)
{
    static const char SINGLE[] = "model.safetensors";
    static const char INDEX[] = "model.safetensors.index.json";
    char path[CORE_PATH_BYTES];
    core_st *file;
    CORE_TRY(core_path_join(path, c->folder, SINGLE));
    if (access(path, F_OK) == 0)
        return open_shard(c, SINGLE, &file);
    CORE_TRY(core_path_join(path, c->folder, INDEX));
    CORE_FAIL_IF(access(path, F_OK) != 0, CORE_E_FILE,
                 "%s: neither %s nor %s", c->folder, SINGLE, INDEX);
    return open_index(c, path);
}

/* --- matching the spec ------------------------------------------------------ */

/* The tensor of that name in any shard; NULL if there is none. */
static core_status find_tensor(const checkpoint *c, const char *name,
                               const core_st **file, const core_st_tensor **out)
{
    *out = NULL;
    for (int i = 0; i < c->n_shard; i++) {
        const core_st_tensor *tensor = core_st_find(c->shards[i].file, name);
        if (tensor == NULL)
            continue;
        CORE_FAIL_IF(*out != NULL, CORE_E_WEIGHTS,
                     "%s: %s: in more than one shard, %s the last", c->folder,
                     name, c->shards[i].name);
        *file = c->shards[i].file;
        *out = tensor;
    }
    return CORE_OK;
}

/* A tensor whose name is another's with something behind it. */
static core_status find_beside(const checkpoint *c, const char *name,
                               const char *suffix, const core_st **file,
                               const core_st_tensor **out)
{
    char longer[CORE_FILE_TENSOR_BYTES];
    const int n = snprintf(longer, sizeof longer, "%s%s", name, suffix);
    core_assert(n < (int)sizeof longer);
    return find_tensor(c, longer, file, out);
}

static core_status match(checkpoint *c, const core_spec *spec, core_weight id,
                         core__view *view)
{
    char name[CORE_FILE_TENSOR_BYTES];
    const core_layout layout = core_file_tensor(spec, id, name);
    CORE_FAIL_IF(layout == CORE_LAYOUT_NONE, CORE_E_WEIGHTS,
                 "%s: no checkpoint format has the tensor %s of model %s",
                 c->folder, core_weight_name(id, name), spec->name);
    int64_t shape[2];
    core_weight_shape(spec, id, &shape[0], &shape[1]);
    const core_st *file = NULL, *other = NULL;
    const core_st_tensor *tensor, *scale;
    CORE_TRY(find_tensor(c, name, &file, &tensor));
    if (tensor == NULL) {
        CORE_TRY(find_beside(c, name, "_blocks", &file, &tensor));
        CORE_TRY(find_beside(c, name, "_scales", &other, &scale));
        CORE_FAIL_IF(tensor == NULL || scale == NULL, CORE_E_WEIGHTS,
                     "%s: %s: missing", c->folder, name);
        return core__view_make_mxfp4(view, file, tensor, scale, layout, shape,
                                     id.expert, spec->n_e);
    }
    CORE_TRY(find_beside(c, name, "_scale_inv", &other, &scale));
    return core__view_make(view, file, tensor, scale, layout, shape, id.expert,
                           spec->n_e);
}

static core_status match_all(checkpoint *c, const core_spec *spec)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, c->n_view, sizeof(core_weight), "weights"));
    core_weight *id = memory;
    core_weight_list(spec, id);
    core_status status = CORE_OK;
    for (int64_t i = 0; i < c->n_view && status == CORE_OK; i++)
        status = match(c, spec, id[i], &c->views[i]);
    free(memory);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    const core_st_tensor *const *ta = a, *const *tb = b;
    return strcmp((*ta)->name, (*tb)->name);
}

/* First tensor of a file that no view uses and that is not tolerated. */
static const core_st_tensor *find_unknown(const core_spec *spec,
                                          const core_st *file,
                                          const core_st_tensor **known,
                                          size_t n_known)
{
    for (int64_t t = 0; t < core_st_count(file); t++) {
        const core_st_tensor *tensor = core_st_at(file, t);
        if (!core_file_is_tolerated(spec, tensor->name) &&
            !bsearch(&tensor, known, n_known, sizeof *known, compare_names))
            return tensor;
    }
    return NULL;
}

static core_status refuse_unknown(const checkpoint *c, const core_spec *spec)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 2 * c->n_view, sizeof(core_st_tensor *),
                        "names"));
    const core_st_tensor **known = memory;
    size_t n_known = 0;
    for (int64_t i = 0; i < c->n_view; i++) {
        known[n_known++] = c->views[i].tensor;
        if (c->views[i].scale != NULL)
            known[n_known++] = c->views[i].scale;
    }
    qsort(known, n_known, sizeof *known, compare_names);
    const core_st_tensor *unknown = NULL;
    const core_st *where = NULL;
    for (int i = 0; i < c->n_shard && unknown == NULL; i++) {
        where = c->shards[i].file;
        unknown = find_unknown(spec, where, known, n_known);
    }
    free(memory);
    CORE_FAIL_IF(unknown != NULL, CORE_E_WEIGHTS,
                 "%s: %s: unknown tensor, the spec has no place for it",
                 core_st_path(where), unknown->name);
    return CORE_OK;
}

/* --- the source ------------------------------------------------------------- */

static void checkpoint_close(void *self)
{
    checkpoint *c = self;
    for (int i = 0; i < c->n_shard; i++)
        core_st_close(c->shards[i].file);
    free(c->shards);
    free(c->views);
    free(c);
}

static double checkpoint_step(const void *self, const core_spec *spec,
                              core_weight id)
{
    const checkpoint *c = self;
    return core__weight_grid(
        core__view_largest(&c->views[core_weight_index(spec, id)]));
}

static void checkpoint_read(const void *self, const core_spec *spec,
                            core_weight id, int64_t r0, int64_t r1, int64_t c0,
                            int64_t c1, double *out, int64_t ld)
{
    const checkpoint *c = self;
    core__view_read(&c->views[core_weight_index(spec, id)], r0, r1, c0, c1, out,
                    ld);
}

static core_status open_checkpoint(checkpoint *c, const core_spec *spec)
{
    void *memory = NULL;
    CORE_TRY(open_files(c));
    c->n_view = core_weight_count(spec);
    CORE_TRY(core_alloc(&memory, c->n_view, sizeof *c->views, "tensors"));
    c->views = memory;
    CORE_TRY(match_all(c, spec));
    return refuse_unknown(c, spec);
}

core_status core_weights_open_checkpoint(core_weights **out,
                                         const core_spec *spec,
                                         const char *folder)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(checkpoint), "checkpoint"));
    checkpoint *c = memory;
    *c = (checkpoint){.folder = folder};
    const core_status status = open_checkpoint(c, spec);
    if (status != CORE_OK) {
        checkpoint_close(c);
        return status;
    }
    c->folder = NULL;
    char origin[CORE_ORIGIN_BYTES];
    snprintf(origin, sizeof origin, "checkpoint %.200s, %d file%s", folder,
             c->n_shard, c->n_shard == 1 ? "" : "s");
    const core__weight_source source = {c, false, checkpoint_close,
                                        checkpoint_step, checkpoint_read};
    return core__weights_make(out, spec, source, origin);
}
