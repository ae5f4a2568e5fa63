/* core/files/text.c -- reading a description into a string.
 *
 * The size is not asked for beforehand: a pipe has none, and a file may grow
 * between the question and the reading.
 */
#include "core/files/text_impl.h"

#include "core/base/arena.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Grow *text as needed; *n bytes are in it at the end. */
static core_status read_stream(FILE *file, const char *path, size_t max_bytes,
                               char **text, size_t *n)
{
    int64_t room = 0;
    for (;;) {
        char *bigger = core_grow(*text, &room, (int64_t)*n + 2, 1, path);
        if (bigger == NULL)
            return CORE_E_MEMORY;
        *text = bigger;
        const size_t got = fread(*text + *n, 1, (size_t)room - 1 - *n, file);
        CORE_FAIL_IF(ferror(file), CORE_E_FILE, "%s: %s", path,
                     strerror(errno));
        if (got == 0)
            break;
        *n += got;
        CORE_FAIL_IF(*n >= max_bytes, CORE_E_FORMAT,
                     "%s: expected a text of less than %zu bytes", path,
                     max_bytes);
    }
    CORE_FAIL_IF(memchr(*text, '\0', *n) != NULL, CORE_E_FORMAT,
                 "%s: a zero byte in a text file", path);
    (*text)[*n] = '\0';
    return CORE_OK;
}

core_status core_text_read(char **out, const char *path, size_t max_bytes)
{
    FILE *file = fopen(path, "rb");
    CORE_FAIL_IF(file == NULL, CORE_E_FILE, "%s: %s", path, strerror(errno));
    char *text = NULL;
    size_t n = 0;
    const core_status status = read_stream(file, path, max_bytes, &text, &n);
    fclose(file);
    if (status == CORE_OK)
        *out = text;
    else
        free(text);
    return status;
}

core_status core__path_join(char path[CORE_PATH_BYTES], const char *folder,
                            const char *name)
{
    const int n = snprintf(path, CORE_PATH_BYTES, "%s/%s", folder, name);
    CORE_FAIL_IF(n >= CORE_PATH_BYTES, CORE_E_FILE, "path too long: %.64s...",
                 folder);
    return CORE_OK;
}
