/* core/weights/checkpoint_write.c -- a model's weights as a checkpoint of its
 * family.
 *
 * The patterns that find a weight in a file tensor also put it there, so that
 * experts that share a tensor are written into it one after the other.  The
 * config.json is written last: without it the folder is no checkpoint.
 */
#include "core/weights/weights_impl.h"

#include "core/base/arena.h"
#include "core/files/json.h"
#include "core/files/path.h"
#include "core/files/target.h"
#include "core/weights/checkpoint_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CHUNK_DOUBLES = 1 << 16 };

/* What goes where. */
typedef struct export
{
    const core_weights *weights;
    const core_spec *spec;
    const char *folder;
    int64_t n_weight;
    int64_t n_tensor;
    core_weight *id;        /* [n_weight]                                    */
    core__pattern *pattern; /* [n_weight]                                    */
    core_blocks *blocks;    /* [n_weight]                                    */
    int64_t *tensor_of;     /* [n_weight] into tensor                        */
    core_st_tensor *tensor; /* [n_weight] at most; names point into name     */
    char(*name)[CORE_FILE_TENSOR_BYTES]; /* [n_weight]                       */
    double *values; /* [CHUNK_DOUBLES, or a row]                     */
}
export;

static core_status take(void **out, int64_t n, size_t bytes)
{
    return core_alloc(out, n, bytes, "the export of weights");
}

/* Room for the plan, and the longest row of a weight. */
static core_status start(export *x)
{
    void *p;
    int64_t longest = CHUNK_DOUBLES;
    CORE_TRY(take(&p, x->n_weight, sizeof *x->id));
    x->id = p;
    core_weight_list(x->spec, x->id);
    for (int64_t i = 0; i < x->n_weight; i++) {
        int64_t n_row, n_col;
        core_weight_shape(x->spec, x->id[i], &n_row, &n_col);
        longest = n_col > longest ? n_col : longest;
    }
    CORE_TRY(take(&p, x->n_weight, sizeof *x->pattern));
    x->pattern = p;
    CORE_TRY(take(&p, x->n_weight, sizeof *x->blocks));
    x->blocks = p;
    CORE_TRY(take(&p, x->n_weight, sizeof *x->tensor_of));
    x->tensor_of = p;
    CORE_TRY(take(&p, x->n_weight, sizeof *x->tensor));
    x->tensor = p;
    CORE_TRY(take(&p, x->n_weight, sizeof *x->name));
    x->name = p;
    CORE_TRY(take(&p, longest, sizeof *x->values));
    x->values = p;
    return CORE_OK;
}

static void finish(export *x)
{
    free(x->id);
    free(x->pattern);
    free(x->blocks);
    free(x->tensor_of);
    free(x->tensor);
    free(x->name);
    free(x->values);
}

/* The tensor of weight i: a new one, or one that another weight is in too. */
static core_status place(export *x, int64_t i, json_t *known)
{
    const core_weight id = x->id[i];
    char *name = x->name[x->n_tensor], own[CORE_NAME_BYTES];
    int64_t shape[2];
    const core_layout layout = core_file_tensor(x->spec, id, name);
    CORE_FAIL_IF(layout == CORE_LAYOUT_NONE, CORE_E_WEIGHTS,
                 "%s: no checkpoint format has the tensor %s of model %s",
                 x->folder, core_weight_name(id, own), x->spec->name);
    core_weight_shape(x->spec, id, &shape[0], &shape[1]);
    const core__pattern *p = &x->pattern[i];
    x->pattern[i] = core__pattern_of(layout, shape, id.expert, x->spec->n_e);
    x->blocks[i] = core_file_blocks(x->spec, id.kind);
    core__pattern_widen(&x->pattern[i], x->blocks[i]);
    const json_t *found = json_object_get(known, name);
    if (found != NULL) {
        x->tensor_of[i] = (int64_t)json_integer_value(found);
        return CORE_OK;
    }
    CORE_FAIL_IF(json_object_set_new(known, name, json_integer(x->n_tensor)) !=
                     0,
                 CORE_E_MEMORY, "no memory for the names of %lld tensors",
                 (long long)x->n_weight);
    core_st_tensor *t = &x->tensor[x->n_tensor];
    *t = (core_st_tensor){
        .name = name, .dtype = CORE_DTYPE_F32, .n_dim = p->n_dim};
    memcpy(t->shape, p->shape, (size_t)p->n_dim * sizeof *p->shape);
    x->tensor_of[i] = x->n_tensor++;
    return CORE_OK;
}

static core_status place_all(export *x)
{
    json_t *known = json_object();
    CORE_FAIL_IF(known == NULL, CORE_E_MEMORY, "no memory for names");
    core_status status = CORE_OK;
    for (int64_t i = 0; i < x->n_weight && status == CORE_OK; i++)
        status = place(x, i, known);
    json_decref(known);
    return status;
}

static void write_weight(const export *x, int64_t i, const core_st *file)
{
    const core__pattern *p = &x->pattern[i];
    const core_st_tensor *t =
        core_st_find(file, x->tensor[x->tensor_of[i]].name);
    int64_t n_row, n_col;
    core_weight_shape(x->spec, x->id[i], &n_row, &n_col);
    const int64_t shape[2] = {n_row, n_col};
    const int64_t step = n_col < CHUNK_DOUBLES ? CHUNK_DOUBLES / n_col : 1;
    for (int64_t r0 = 0; r0 < n_row; r0 += step) {
        const int64_t r1 = r0 + step < n_row ? r0 + step : n_row;
        core_weights_read(x->weights, x->id[i], r0, r1, 0, n_col, x->values,
                          n_col);
        for (int64_t r = r0; r < r1; r++)
            for (int64_t c = 0; c < n_col; c++) {
                const float value = (float)x->values[(r - r0) * n_col + c];
                const int64_t at =
                    core__pattern_at(p, x->blocks[i], shape, r, c);
                memcpy((char *)t->data + (size_t)at * sizeof value, &value,
                       sizeof value);
            }
    }
}

static core_status write_tensors(export *x)
{
    char path[CORE_PATH_BYTES];
    static const char *const METADATA[] = {"format", "pt", NULL};
    core_st *file = NULL;
    CORE_TRY(core_path_join(path, x->folder, "model.safetensors"));
    CORE_TRY(core_st_create(&file, path, x->tensor, x->n_tensor, METADATA));
    for (int64_t i = 0; i < x->n_weight; i++)
        write_weight(x, i, file);
    const core_status status = core_st_commit(file);
    core_st_close(file);
    return status;
}

/* The spec's own text inside JSON; the caller frees *out. */
static core_status config_text(const core_spec *spec, char **out)
{
    char *yaml = NULL;
    size_t n = 0;
    *out = NULL;
    FILE *stream = open_memstream(&yaml, &n);
    if (stream != NULL) {
        core_spec_write_yaml(spec, stream);
        if (fclose(stream) == 0) {
            json_t *root = json_pack("{s:s, s:s}", "model_type", "moeparity",
                                     "spec", yaml);
            *out = json_dumps(root, JSON_INDENT(1));
            json_decref(root);
        }
    }
    free(yaml);
    CORE_FAIL_IF(*out == NULL, CORE_E_MEMORY, "no memory for a config.json");
    return CORE_OK;
}

static core_status write_config(const export *x)
{
    char path[CORE_PATH_BYTES], *text;
    core_target target;
    CORE_TRY(core_path_join(path, x->folder, "config.json"));
    CORE_TRY(config_text(x->spec, &text));
    const core_status status = core_target_open(&target, path);
    if (status != CORE_OK) {
        free(text);
        return status;
    }
    FILE *file = fopen(target.partial, "w");
    bool ok = file != NULL && fprintf(file, "%s\n", text) > 0;
    ok = file != NULL && fclose(file) == 0 && ok;
    const int why = errno;
    free(text);
    if (ok)
        return core_target_commit(&target);
    core_target_drop(&target);
    return core_target_failed(path, why);
}

core_status core_weights_export(const core_weights *weights, const char *folder)
{
    const core_spec *spec = core__weights_spec(weights);
    CORE_FAIL_IF(mkdir(folder, 0777) != 0 && errno != EEXIST, CORE_E_FILE,
                 "%s: cannot be made: %s", folder, strerror(errno));
    export x = {.weights = weights,
                .spec = spec,
                .folder = folder,
                .n_weight = core_weight_count(spec)};
    core_status status = start(&x);
    if (status == CORE_OK)
        status = place_all(&x);
    if (status == CORE_OK)
        status = write_tensors(&x);
    if (status == CORE_OK)
        status = write_config(&x);
    finish(&x);
    return status;
}
