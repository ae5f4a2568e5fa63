/* core/files/path.c -- see path.h. */
#include "core/files/path.h"

#include <stdio.h>

core_status core_path_join(char path[CORE_PATH_BYTES], const char *folder,
                           const char *name)
{
    const int n = snprintf(path, CORE_PATH_BYTES, "%s/%s", folder, name);
    CORE_FAIL_IF(n >= CORE_PATH_BYTES, CORE_E_FILE, "path too long: %.64s...",
                 folder);
    return CORE_OK;
}
