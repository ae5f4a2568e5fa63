/* harness/judge/foreign_said.c -- what a file's metadata or the map say of a
 * tensor.
 *
 * What is said nearest wins: KEY:NAME of the file, then the file's KEY, then
 * the map, then nothing: the tensor is the whole tap.
 */
#include "harness/judge/foreign_impl.h"

#include "core/files/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 2 * HAR_DUMP_NAME };

/* The file's KEY:NAME; the key itself is left in key. */
static const char *metadata_of(const har__placing *p, const char *what,
                               const core_st_tensor *t, char key[KEY_BYTES])
{
    snprintf(key, KEY_BYTES, "%.20s:%.200s", what, t->name);
    return core_st_metadata(p->file->st, key);
}

har_claim har__said_claim(const har__placing *p)
{
    const har_claim *all = &p->options->claim, *own = &p->file->claim;
    return (har_claim){all->b.end >= 0 ? all->b : own->b,
                       all->t.end >= 0 ? all->t : own->t};
}

core_status har__said_slice(const har__placing *p, const core_st_tensor *t,
                            const char *body, har_slice *room,
                            const har_slice **out)
{
    char key[KEY_BYTES], where[1024];
    const char *text = metadata_of(p, "slice", t, key);
    if (text == NULL) {
        snprintf(key, sizeof key, "slice");
        text = core_st_metadata(p->file->st, key);
    }
    if (text == NULL) {
        *out = har_namemap_slice(p->options->map, p->file->rank, body);
        return CORE_OK;
    }
    *out = room;
    snprintf(where, sizeof where, "%s: metadata '%s'",
             core_st_path(p->file->st), key);
    return har_slice_parse(room, text, where);
}

core_status har__said_ids(const har__placing *p, const core_st_tensor *t,
                          const core_st_tensor **out)
{
    char key[KEY_BYTES];
    const char *name = metadata_of(p, "token_ids", t, key);
    *out = NULL;
    if (name == NULL)
        return CORE_OK;
    *out = core_st_find(p->file->st, name);
    CORE_FAIL_IF(*out == NULL || (*out)->dtype != CORE_DTYPE_I64, CORE_E_FORMAT,
                 "%s: metadata '%s': expected the name of an I64 tensor, found "
                 "'%.80s'",
                 core_st_path(p->file->st), key, name);
    return CORE_OK;
}

core_status har__said_logical(const har__placing *p, const core_st_tensor *t,
                              const core_st_tensor **out)
{
    const har_namemap *map = p->options->map;
    char key[KEY_BYTES];
    const char *name = metadata_of(p, "logical", t, key);
    if (name == NULL && map->logical[0] != '\0')
        name = map->logical;
    *out = name != NULL ? core_st_find(p->file->st, name) : NULL;
    CORE_FAIL_IF(name != NULL && *out == NULL, CORE_E_FORMAT,
                 "%s: expected the tensor '%.80s', which says what the "
                 "physical experts of '%.80s' are",
                 core_st_path(p->file->st), name, t->name);
    return CORE_OK;
}

/* A slice of the logits that runs past the vocabulary says that it is padded. */
static int64_t sliced_columns(const har_slice *slice, const char *body,
                              int64_t n_col)
{
    if (slice == NULL || strcmp(body, "logits") != 0)
        return n_col;
    const int64_t end = slice->n > 0 ? slice->at[slice->n - 1].end
                                     : slice->c.end;
    return end > n_col && end <= INT32_MAX ? end : n_col;
}

core_status har__said_columns(const har__placing *p, const core_st_tensor *t,
                              const char *body, const har_slice *slice,
                              int64_t *out)
{
    char key[KEY_BYTES], number[24], *end = NULL;
    const char *text = metadata_of(p, "padded", t, key);
    if (text == NULL && strcmp(body, "logits") == 0) /* most often it is that */
        text = core_st_metadata(p->file->st, "padded");
    const int64_t in_map = har_namemap_padded(p->options->map, body);
    snprintf(number, sizeof number, "%lld", (long long)in_map);
    if (text == NULL && in_map == 0) {
        *out = sliced_columns(slice, body, *out);
        return CORE_OK;
    }
    text = text != NULL ? text : number;
    const int64_t n = strtoll(text, &end, 10);
    CORE_FAIL_IF(*end != '\0' || n < *out || n > INT32_MAX, CORE_E_FORMAT,
                 "%s: '%.80s': expected at least %lld columns with padding, "
                 "found '%.40s'",
                 core_st_path(p->file->st), t->name, (long long)*out, text);
    *out = n;
    return CORE_OK;
}

bool har__said_by(const har__placing *p, const core_st_tensor *t)
{
    const char *key, *value;
    if (strcmp(p->options->map->logical, t->name) == 0)
        return true;
    for (int64_t i = 0; p->file->has_lists &&
                        core_st_metadata_at(p->file->st, i, &key, &value);
         i++)
        if ((core_text_after(key, "token_ids:", NULL) ||
             core_text_after(key, "logical:", NULL)) &&
            strcmp(value, t->name) == 0)
            return true;
    return false;
}
