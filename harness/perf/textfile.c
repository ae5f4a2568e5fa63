/* harness/perf/textfile.c -- a whole small file as a string. */
#include "core/arena.h"
#include "harness/perf/figures.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 20 };

core_status har_read_text(char **out, const char *path, const char *expected)
{
    void *memory;
    FILE *file = fopen(path, "r");
    CORE_FAIL_IF(file == NULL, CORE_E_FILE, "%s: expected %s: %s", path,
                 expected, strerror(errno));
    const core_status status = core_alloc(&memory, MAX_FILE_BYTES + 1, 1, path);
    if (status != CORE_OK) {
        fclose(file);
        return status;
    }
    char *text = memory;
    const size_t n = fread(text, 1, MAX_FILE_BYTES, file);
    const bool is_bad = ferror(file) != 0 || n == MAX_FILE_BYTES;
    fclose(file);
    text[n] = '\0';
    if (is_bad)
        free(text);
    CORE_FAIL_IF(is_bad, CORE_E_FILE,
                 "%s: cannot be read, or has %d bytes or more", path,
                 MAX_FILE_BYTES);
    *out = text;
    return CORE_OK;
}
