/* core/files/text_impl.h -- private to core/: paths. */
#ifndef CORE_TEXT_IMPL_H
#define CORE_TEXT_IMPL_H

#include "core/files/text.h"

enum { CORE_PATH_BYTES = 4096 };

/* "FOLDER/NAME".  Errors: E_FILE if that is too long.                [local] */
CORE_NODISCARD core_status core__path_join(char path[CORE_PATH_BYTES],
                                           const char *folder,
                                           const char *name);

#endif
