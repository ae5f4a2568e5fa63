/* core/text_impl.h -- private to core/: small text files as strings. */
#ifndef CORE_TEXT_IMPL_H
#define CORE_TEXT_IMPL_H

#include "core/status.h"

#include <stddef.h>

/* The whole file, with a zero byte appended; the caller frees *out.
 * Errors: E_FILE; E_FORMAT for max_bytes or more, or a zero byte.    [local] */
CORE_NODISCARD core_status core__text_read(char **out, const char *path,
                                           size_t max_bytes);

#endif
