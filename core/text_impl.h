/* core/text_impl.h -- private to core/: small text files as strings, and paths. */
#ifndef CORE_TEXT_IMPL_H
#define CORE_TEXT_IMPL_H

#include "core/status.h"

#include <stddef.h>

/* The whole file, with a zero byte appended; the caller frees *out.
 * Errors: E_FILE; E_FORMAT for max_bytes or more, or a zero byte.    [local] */
CORE_NODISCARD core_status core__text_read(char **out, const char *path,
                                           size_t max_bytes);

enum { CORE_PATH_BYTES = 4096 };

/* "FOLDER/NAME".  Errors: E_FILE if that is too long.                 [local] */
CORE_NODISCARD core_status core__path_join(char path[CORE_PATH_BYTES],
                                           const char *folder,
                                           const char *name);

#endif
