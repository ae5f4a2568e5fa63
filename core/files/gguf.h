/* core/files/gguf.h -- read (mmap) GGUF files, version 3, little-endian.
 *
 * A file is: a header, metadata (keys with typed values), tensor infos, the
 * tensors' bytes, each aligned.  A large model is split over files whose names
 * end in -00001-of-00003.gguf; the first one stands for all.  Whatever is not
 * understood is refused, with file and key or tensor.
 */
#ifndef CORE_GGUF_H
#define CORE_GGUF_H

#include "core/numbers/packed.h"

enum { CORE_GGUF_MAX_DIM = 4 };

typedef enum core_gguf_type {
    CORE_GGUF_U8,
    CORE_GGUF_I8,
    CORE_GGUF_U16,
    CORE_GGUF_I16,
    CORE_GGUF_U32,
    CORE_GGUF_I32,
    CORE_GGUF_F32,
    CORE_GGUF_BOOL,
    CORE_GGUF_TEXT,
    CORE_GGUF_LIST,
    CORE_GGUF_U64,
    CORE_GGUF_I64,
    CORE_GGUF_F64,
    CORE_N_GGUF_TYPES
} core_gguf_type;

/* A value of the metadata, or a list of values of one type that is no LIST.  */
typedef struct core_gguf_key {
    const char *name; /* owned by the file                                    */
    core_gguf_type type; /* of the values                                     */
    bool is_list;
    int64_t n; /* 1 where it is no list                                       */
    const unsigned char *data; /* in the mapping                              */
    size_t bytes;
} core_gguf_key;

typedef struct core_gguf_tensor {
    const char *name, *path; /* owned by the file; path: which of a split one */
    core_packed_kind kind;
    int n_dim;
    int64_t shape[CORE_GGUF_MAX_DIM]; /* the last one varies fastest, as in
                                       * safetensors and against the file     */
    int64_t n;                        /* product of shape                     */
    size_t bytes;
    const void *data; /* in the mapping, read-only                            */
} core_gguf_tensor;

typedef struct core_gguf core_gguf;

/* Does a regular file with these first four bytes lie there?         [local] */
bool core_gguf_is_one(const char *path);

/* Map a file, and all others that it is split over.  Errors: E_FILE, E_FORMAT,
 * E_MEMORY; *out unchanged.                                          [local] */
CORE_NODISCARD core_status core_gguf_open(core_gguf **out, const char *path);
void core_gguf_close(core_gguf *file); /* accepts NULL */

const char *core_gguf_path(const core_gguf *file);
int core_gguf_files(const core_gguf *file);

/* Metadata of the first file: in its order, by name (NULL: there is none).   */
int64_t core_gguf_keys(const core_gguf *file);
const core_gguf_key *core_gguf_key_at(const core_gguf *file, int64_t i);
const core_gguf_key *core_gguf_find_key(const core_gguf *file,
                                        const char *name);

/* Tensors of all files: by name, in its order; NULL: there is none.          */
int64_t core_gguf_count(const core_gguf *file);
const core_gguf_tensor *core_gguf_at(const core_gguf *file, int64_t i);
const core_gguf_tensor *core_gguf_find(const core_gguf *file, const char *name);

/* Value i of a key as a number; a 32-bit float as the double that its shortest
 * decimal names, so that 1e-05 is what its writer meant.  False: it is a text,
 * or there is no i-th.                                               [local] */
bool core_gguf_number(const core_gguf_key *key, int64_t i, double *out);

/* A text, without its end; NULL: the value is none, or a list.       [local] */
const char *core_gguf_text(const core_gguf_key *key, size_t *n);
bool core_gguf_text_is(const core_gguf_key *key, const char *text);

const char *core_gguf_type_name(core_gguf_type type);

#endif
