/* core/files/safetensors.h -- read (mmap) and write (in place) safetensors files.
 *
 * A file is: u64 header length, a JSON header, the tensors' bytes without a
 * gap.  Whatever is not understood is refused, with the file and the tensor.
 */
#ifndef CORE_SAFETENSORS_H
#define CORE_SAFETENSORS_H

#include "core/numbers/dtype.h"

/* 24 characters hold any size and its comma. */
enum { CORE_ST_MAX_DIM = 8, CORE_ST_SHAPE_BYTES = 24 * CORE_ST_MAX_DIM };

typedef struct core_st_tensor {
    const char *name;  /* owned by the file object                            */
    core_dtype dtype;
    int n_dim;
    int64_t shape[CORE_ST_MAX_DIM];
    int64_t n;         /* product of shape                                    */
    size_t bytes;
    void *data;        /* in the mapping, maybe unaligned; read-only in a file
                        * that was opened, writable in one being created      */
} core_st_tensor;

/* Elements first, first + 1 .. of a tensor as doubles, n of them; one of them; one
 * of an I64 tensor; the root of their mean square, 0 where there are none.
 * [local] */
void core_st_read(const core_st_tensor *tensor, int64_t first, int64_t n,
                  double *out);
double core_st_value(const core_st_tensor *tensor, int64_t i);
int64_t core_st_int(const core_st_tensor *tensor, int64_t i);
double core_st_rms(const core_st_tensor *tensor);

typedef struct core_st core_st;

/* Map a file, an input: core_mapped_check holds it to what it was.
 * Errors: E_FILE, E_FORMAT; *out unchanged.                          [local] */
CORE_NODISCARD core_status core_st_open(core_st **out, const char *path);
void core_st_close(core_st *file); /* accepts NULL */

int64_t core_st_count(const core_st *file);
const core_st_tensor *core_st_at(const core_st *file, int64_t i); /* file order */
const core_st_tensor *core_st_find(const core_st *file, const char *name); /* or NULL */
const char *core_st_metadata(const core_st *file, const char *key);        /* or NULL */
const char *core_st_path(const core_st *file);

/* "2,3" for messages; returns text.  n_dim <= CORE_ST_MAX_DIM.        [local] */
const char *core_st_shape_text(char text[CORE_ST_SHAPE_BYTES],
                               const int64_t *shape, int n_dim);

/* Key and value of metadata entry i (sorted by key), false after the last.   */
bool core_st_metadata_at(const core_st *file, int64_t i, const char **key,
                         const char **value);

/* Create a partial file with room for the tensors (name, dtype, n_dim, shape
 * are read; the names are copied) and map it writable.  Nothing new is at PATH
 * before core_st_commit puts it there (core/files/target.h); core_st_close without a
 * commit removes the partial file.  metadata: pairs key, value, ..., NULL.
 * [local]
 * Errors: E_FILE, E_SPACE (the space is reserved now, not when written).     */
CORE_NODISCARD core_status core_st_create(core_st **out, const char *path,
                                          const core_st_tensor *tensors,
                                          int64_t n_tensor,
                                          const char *const *metadata);
CORE_NODISCARD core_status core_st_commit(core_st *file);

/* Map a file that another process has created (and not yet committed)
 * writable: `path` is core_st_path of the creator.  Closing removes nothing. */
CORE_NODISCARD core_status core_st_attach(core_st **out, const char *path);

/* The same to read, while others of the run still write to it.       [local] */
CORE_NODISCARD core_status core_st_follow(core_st **out, const char *path);

#endif
