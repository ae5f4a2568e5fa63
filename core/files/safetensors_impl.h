/* core/files/safetensors_impl.h -- what the files safetensors_*.c share. */
#ifndef CORE_SAFETENSORS_IMPL_H
#define CORE_SAFETENSORS_IMPL_H

#include "core/files/mapped.h"
#include "core/files/safetensors.h"
#include "core/files/target.h"

#include <jansson.h>

enum { CORE__ST_LENGTH_BYTES = 8, CORE__ST_MAX_HEADER_BYTES = 100000000 };

typedef struct core__st_pair {
    const char *key, *value; /* in the header                                 */
} core__st_pair;

struct core_st {
    char *path; /* of the bytes now: the partial file, then PATH       */
    core_target *target; /* where commit puts them; NULL: not a creator */
    core_mapped *mapped;
    unsigned char *map; /* its bytes */
    size_t map_bytes;
    json_t *header;          /* of it, metadata: NULL without any             */
    char *names;             /* of all tensors                                */
    core_st_tensor *tensors; /* [n_tensor] in file order                      */
    core_st_tensor **by_name; /* [n_tensor] into tensors, sorted by name      */
    int64_t n_tensor;
    core__st_pair *metadata; /* [n_metadata] sorted by key                    */
    int64_t n_metadata;
};

/* Map path and read its header.  Errors: E_FILE, E_FORMAT, E_MEMORY.         */
CORE_NODISCARD core_status core__st_map(core_st **out, const char *path,
                                        core_mapping kind);

/* Fill header, tensors and metadata from the mapped bytes; what was made
 * before an error is the caller's to release with core_st_close.             */
CORE_NODISCARD core_status core__st_read_header(core_st *file);

#endif
