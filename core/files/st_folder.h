/* core/files/st_folder.h -- the tensors of a checkpoint as one set, whatever
 * files they lie in: the safetensors files of a folder, or others.
 *
 * Where model.safetensors.index.json is there, it decides: which files are
 * read, and which of two files that hold a tensor has the one meant.  Without
 * it there is model.safetensors.
 */
#ifndef CORE_ST_FOLDER_H
#define CORE_ST_FOLDER_H

#include "core/files/repack.h"

typedef struct core_st_folder core_st_folder;

typedef struct core_st_place {
    const char *path;             /* of the file; all borrowed                */
    const core_st_tensor *tensor; /* NULL: there is none                      */
    const core_repack *how;       /* its values lie in its bytes; NULL: plain,
                                   * of its type                              */
} core_st_place;

/* Is there an index or a single file?  What it names may be missing. [local] */
bool core_st_folder_is_there(const char *path);

/* Map all files.  *out unchanged after an error.                     [local]
 * Errors: E_FILE; E_FORMAT; E_WEIGHTS with tensor and both files, where the
 * index and a file that it names do not say the same.                        */
CORE_NODISCARD core_status core_st_folder_open(core_st_folder **out,
                                               const char *path);
/* A set of n tensors that lie elsewhere, in n_file files.  Takes `places`, to be
 * freed, over, and `self`, which `close` ends.  Errors: E_MEMORY; E_FORMAT for
 * two of one name; nothing is taken then.                            [local] */
CORE_NODISCARD core_status core_st_folder_of(core_st_folder **out,
                                             core_st_place *places, int64_t n,
                                             int n_file, void *self,
                                             void (*close)(void *self));
void core_st_folder_close(core_st_folder *folder); /* accepts NULL */

int core_st_folder_files(const core_st_folder *folder);

/* From now on names that begin with `inner` ask for those that begin with
 * `outer` instead: a model that is a part of a larger one.  Both borrowed.   */
void core_st_folder_nest(core_st_folder *folder, const char *inner,
                         const char *outer);

/* Tensors by name, in its order.                                     [local] */
int64_t core_st_folder_count(const core_st_folder *folder);
core_st_place core_st_folder_at(const core_st_folder *folder, int64_t i);
core_st_place core_st_folder_find(const core_st_folder *folder,
                                  const char *name);
/* The first tensor whose name does not come before `name`.                   */
int64_t core_st_folder_from(const core_st_folder *folder, const char *name);

/* Safetensors files in the folder that the index does not name.      [local] */
int core_st_folder_unread(const core_st_folder *folder);

#endif
