/* core/model/spec_head.c -- a head that is stored although config.json says
 * that the embedding is the head.
 *
 * transformers 5 compares the two, keeps a head that differs and says so; so do
 * we, and before anybody asks the spec how many tensors there are.  Trap: the
 * folder may hold a config.json alone, or an index and not yet its files.
 */
#include "core/model/spec_impl.h"

#include "core/files/st_folder.h"
#include "core/model/file_tensor.h"

#include <string.h>

/* The tensor of a kind, by its own name or as a part of a larger model. */
static const core_st_tensor *find(core_st_folder *files, const core_spec *spec,
                                  core_weight_kind kind)
{
    char name[CORE_FILE_TENSOR_BYTES];
    const char *inner, *outer;
    const core_st_tensor *found = NULL;
    (void)core_file_tensor(spec, (core_weight){kind, 0, 0}, name);
    for (int i = 0; found == NULL && core_file_nesting(i, &inner, &outer);
         i++) {
        core_st_folder_nest(files, inner, outer);
        found = core_st_folder_find(files, name).tensor;
    }
    return found;
}

static bool is_same(const core_st_tensor *a, const core_st_tensor *b)
{
    return a->dtype == b->dtype && a->bytes == b->bytes &&
           memcmp(a->data, b->data, a->bytes) == 0;
}

core_status core__spec_untie(core_spec *spec, const char *folder)
{
    core_st_folder *files = NULL;
    if (!spec->tied || !core_st_folder_is_there(folder))
        return CORE_OK;
    const core_status status = core_st_folder_open(&files, folder);
    if (status == CORE_E_FILE) {
        core_message_clear(); /* a file of the index is not here: for those who
                               * open the weights to say */
        return CORE_OK;
    }
    CORE_TRY(status);
    const core_st_tensor *head = find(files, spec, CORE_W_HEAD);
    const core_st_tensor *embed = find(files, spec, CORE_W_EMBED);
    if (head != NULL && embed != NULL && !is_same(head, embed)) {
        spec->tied = false;
        spec->own_head = true;
    }
    core_st_folder_close(files);
    return CORE_OK;
}
