/* core/files/gguf_impl.h -- what the files gguf*.c share. */
#ifndef CORE_GGUF_IMPL_H
#define CORE_GGUF_IMPL_H

#include "core/files/gguf.h"
#include "core/files/mapped.h"

/* One mapped file. */
typedef struct core__gguf_part {
    char *path;
    core_mapped *mapped;
    const unsigned char *map;
    size_t map_bytes;
    char *names; /* of keys and tensors, each with its end                    */
    core_gguf_key *keys; /* [n_key] in file order                             */
    int64_t n_key;
    core_gguf_tensor *tensors; /* [n_tensor] in file order                    */
    int64_t n_tensor;
} core__gguf_part;

/* Fill keys and tensors from the mapped bytes; what was made before an error is
 * the caller's to free.  Errors: E_FORMAT, E_MEMORY.                 [local] */
CORE_NODISCARD core_status core__gguf_read(core__gguf_part *part);

/* Of the keys of one part, or NULL.                                          */
const core_gguf_key *core__gguf_key(const core__gguf_part *part,
                                    const char *name);

#endif
