/* core/files/text.c -- reading a description into a string, and checking it.
 *
 * The size is not asked for beforehand: a pipe has none, and a file may grow
 * between the question and the reading.  No parser sees what is no text: one
 * looped on some bytes for ever.
 */
#include "core/files/text.h"

#include "core/base/arena.h"
#include "core/base/printable.h"
#include "core/files/open.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
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
    (*text)[*n] = '\0';
    return CORE_OK;
}

core_status core_text_read(char **out, const char *path, size_t max_bytes)
{
    FILE *file = NULL;
    CORE_TRY(core_open_text(&file, path));
    char *text = NULL;
    size_t n = 0;
    core_status status = read_stream(file, path, max_bytes, &text, &n);
    fclose(file);
    if (status == CORE_OK)
        status = core_text_check(text, n, path);
    if (status == CORE_OK)
        *out = text;
    else
        free(text);
    return status;
}

static bool is_allowed(uint32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r' || c == 0x85)
        return true;
    return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c != 0xfffe && c != 0xffff;
}

core_status core_text_check(const char *text, size_t n_bytes, const char *name)
{
    int line = 1, column = 1, n;
    for (const char *at = text; at < text + n_bytes; at += n) {
        uint32_t c = 0;
        n = core_utf8(at, (size_t)(text + n_bytes - at), &c);
        CORE_FAIL_IF(n == 0, CORE_E_FORMAT,
                     "%s:%d:%d: expected UTF-8, found the byte 0x%02X", name,
                     line, column, (unsigned char)*at);
        CORE_FAIL_IF(!is_allowed(c), CORE_E_FORMAT,
                     "%s:%d:%d: expected text, found the character U+%04X",
                     name, line, column, (unsigned)c);
        line += c == '\n';
        column = c == '\n' ? 1 : column + 1;
    }
    return CORE_OK;
}

core_status core_text_stream(FILE **out, char **text, const char *path,
                             size_t max_bytes)
{
    CORE_TRY(core_text_read(text, path, max_bytes));
    *out = fmemopen(*text, strlen(*text), "r");
    if (*out != NULL)
        return CORE_OK;
    free(*text);
    *text = NULL;
    return core_fail(CORE_E_MEMORY, "%s: no memory to read it", path);
}

bool core_text_after(const char *text, const char *start, const char **rest)
{
    const size_t n = strlen(start);
    if (strncmp(text, start, n) != 0)
        return false;
    if (rest != NULL)
        *rest = text + n;
    return true;
}

bool core_text_number(double *out, const char *text, double least, double most)
{
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least && value <= most))
        return false;
    *out = value;
    return true;
}

bool core_text_ends(const char *text, const char *end)
{
    const size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}
