/* golden/make.c -- a bundle, made beside its place and moved there whole.
 *
 * Everything is written into another folder first; the last thing written is
 * the manifest, and one rename makes the bundle appear.  Trap: an existing
 * folder is replaced only if every file in it is one that a manifest of ours
 * names, so that nobody's notes are lost.  Replacing takes two renames: killed
 * between them, the old bundle lies in FOLDER.old-PID.
 */
#include "golden/golden_impl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the target --- */

/* Is every file of the folder one of the manifest's? */
static core_status check_only_ours(const char *folder, const json_t *files,
                                   DIR *dir)
{
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        const bool ours = strcmp(e->d_name, ".") == 0 ||
                          strcmp(e->d_name, "..") == 0 ||
                          strcmp(e->d_name, GOLD__MANIFEST) == 0 ||
                          json_object_get(files, e->d_name) != NULL;
        CORE_FAIL_IF(!ours, CORE_E_FILE,
                     "%s/%s: is no file of the golden there; --force replaces "
                     "goldens only",
                     folder, e->d_name);
    }
    return CORE_OK;
}

static core_status check_replaceable(const char *folder, DIR *dir)
{
    json_t *root = NULL;
    gold_origin origin;
    CORE_TRY(gold__read_manifest(&root, &origin, folder));
    core_status status = CORE_OK;
    if (origin != GOLD_SELF)
        status = core_fail(CORE_E_FILE,
                           "%s: other people's numbers (origin oracle) are "
                           "never replaced",
                           folder);
    if (status == CORE_OK)
        status = check_only_ours(folder, json_object_get(root, "files"), dir);
    json_decref(root);
    return status;
}

static bool is_empty(DIR *dir)
{
    bool empty = true;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        empty = empty &&
                (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
    rewinddir(dir);
    return empty;
}

core_status gold_check_target(const char *folder, bool force)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        CORE_FAIL_IF(errno != ENOENT, CORE_E_FILE, "%s: %s", folder,
                     strerror(errno));
        return CORE_OK;
    }
    core_status status = CORE_OK;
    if (!is_empty(dir)) {
        status = force ? check_replaceable(folder, dir)
                       : core_fail(CORE_E_FILE,
                                   "%s: expected no such folder or an empty "
                                   "one, found files in it; --force makes an "
                                   "existing golden again",
                                   folder);
    }
    closedir(dir);
    return status;
}

void gold_remove(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        char path[CORE_PATH_BYTES];
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            (size_t)snprintf(path, sizeof path, "%s/%s", folder, e->d_name) <
                sizeof path)
            unlink(path);
    }
    closedir(dir);
    rmdir(folder);
}

core_status gold_commit(const gold_case *gold, const char *partial)
{
    char old[GOLD_PATH_BYTES + 32];
    snprintf(old, sizeof old, "%s.old-%ld", gold->folder, (long)getpid());
    if (rename(partial, gold->folder) == 0) /* nothing there, or empty */
        return CORE_OK;
    CORE_FAIL_IF(errno != ENOTEMPTY && errno != EEXIST, CORE_E_FILE,
                 "%s: cannot be made: %s", gold->folder, strerror(errno));
    CORE_FAIL_IF(rename(gold->folder, old) != 0, CORE_E_FILE,
                 "%s: cannot be replaced: %s", gold->folder, strerror(errno));
    if (rename(partial, gold->folder) != 0) {
        const int why = errno;
        CORE_FAIL(CORE_E_FILE, "%s: cannot be replaced: %s%s", gold->folder,
                  strerror(why),
                  rename(old, gold->folder) == 0 ? ""
                                                 : ", and lies beside it now");
    }
    gold_remove(old);
    return CORE_OK;
}

/* --- the files --- */

/* Write FOLDER/input.safetensors.                                            */
static core_status write_input(const gold_case *gold, const char *folder)
{
    const core_batch *batch = &gold->batch;
    const char *const metadata[] = {"schema", GOLD_SCHEMA, NULL};
    core_st_tensor tensors[3], t = {.dtype = CORE_DTYPE_I64,
                                    .n_dim = 2,
                                    .shape = {batch->n_b, batch->n_t}};
    int64_t n = 0;
    t.name = GOLD_PREFIX "input_ids";
    if (batch->ids != NULL)
        tensors[n++] = t;
    t.name = GOLD_PREFIX "attention_mask";
    if (batch->mask != NULL)
        tensors[n++] = t;
    t = (core_st_tensor){.name = GOLD_PREFIX "hidden_in",
                         .dtype = CORE_DTYPE_F64,
                         .n_dim = 3,
                         .shape = {batch->n_b, batch->n_t, gold->spec.n_d}};
    if (batch->hidden != NULL)
        tensors[n++] = t;
    char path[CORE_PATH_BYTES];
    CORE_TRY(core_path_join(path, folder, GOLD__INPUT));
    core_st *st = NULL;
    CORE_TRY(core_st_create(&st, path, tensors, n, metadata));
    for (int64_t i = 0; i < core_st_count(st); i++) {
        const core_st_tensor *to = core_st_at(st, i);
        const bool is_mask =
            strcmp(to->name, GOLD_PREFIX "attention_mask") == 0;
        for (int64_t j = 0; is_mask && j < to->n; j++)
            ((int64_t *)to->data)[j] = batch->mask[j];
        if (!is_mask)
            memcpy(to->data,
                   batch->ids != NULL ? (const void *)batch->ids
                                      : (const void *)batch->hidden,
                   to->bytes);
    }
    const core_status status = core_st_commit(st);
    core_st_close(st);
    return status;
}

/* config.json and model.safetensors of the layers that are run. */
static core_status export_weights(const gold_case *gold, const char *folder)
{
    gold_case cut = *gold; /* borrows */
    core_weights *weights = NULL;
    core_assert(!gold->is_checkpoint || gold->is_quantised);
    if (!gold->is_checkpoint)
        cut.spec = gold__short_spec(gold);
    CORE_TRY(gold_open_weights(&weights, &cut));
    const core_status status = core_weights_export(weights, folder);
    core_weights_close(weights);
    return status;
}

static core_status make_files(gold_case *gold, core_weights *weights,
                              ref_model **model, const gold_options *options,
                              const char *partial, gold_summary *summary)
{
    const core_spec spec = gold__short_spec(gold);
    CORE_TRY(write_input(gold, partial));
    if (options->export_weights)
        CORE_TRY(export_weights(gold, partial));
    CORE_TRY(gold__fingerprint_weights(gold->weights_xxh3, &spec, weights));
    for (int i = 0; i < gold->n_numerics; i++) {
        char name[GOLD_PATH_BYTES], path[CORE_PATH_BYTES];
        gold__numerics_file(name, gold->numerics[i]);
        CORE_TRY(core_path_join(path, partial, name));
        CORE_TRY_CTX(gold__compute(gold, weights, model, gold->numerics[i],
                                   options, path, &summary[i]),
                     "computing %s",
                     core_numerics_name(gold->numerics[i]).text);
    }
    return gold__write_manifest(gold, partial, summary);
}

core_status gold_make(const gold_case *gold, const gold_options *options,
                      const char *partial, gold_summary *summary)
{
    core_assert(gold->origin == GOLD_SELF);
    CORE_TRY(gold__check_text("model", gold->model));
    CORE_FAIL_IF(mkdir(partial, 0777) != 0, CORE_E_FILE,
                 "%s: cannot be made: %s", gold->folder, strerror(errno));
    gold_case made = *gold; /* borrows the batch */
    core_weights *weights = NULL;
    ref_model *model = NULL;
    CORE_TRY(gold_open_weights(&weights, gold));
    const core_status status =
        make_files(&made, weights, &model, options, partial, summary);
    ref_model_close(model);
    core_weights_close(weights);
    return status;
}
