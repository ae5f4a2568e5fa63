/* core/files/path.h -- the path of a file in a folder. */
#ifndef CORE_PATH_H
#define CORE_PATH_H

#include "core/base/status.h"

enum { CORE_PATH_BYTES = 4096 };

/* "FOLDER/NAME".  Errors: E_FILE if that is too long.                [local] */
CORE_NODISCARD core_status core_path_join(char path[CORE_PATH_BYTES],
                                          const char *folder, const char *name);

#endif
