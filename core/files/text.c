/* core/files/text.c -- reading a description into a string, and checking it.
 *
 * The size is not asked for beforehand: a pipe has none, and a file may grow
 * between the question and the reading.  Trap: libfyaml never returns from some
 * texts that are no UTF-8.
 */
#include "core/files/text.h"

#include "core/base/arena.h"

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

/* Bytes of the character at `at`, which is *out; 0 if it is no UTF-8.  The zero
 * that ends a text is none within a character, so nothing beyond it is read. */
static int decode(const unsigned char *at, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const int n = at[0] < 0x80          ? 1
                  : (at[0] >> 5) == 0x6 ? 2
                  : (at[0] >> 4) == 0xe ? 3
                  : (at[0] >> 3) == 0x1e ? 4
                                         : 0;
    uint32_t c = n == 1 ? at[0] : at[0] & (0x7fU >> n);
    for (int i = 1; i < n; i++) {
        if ((at[i] >> 6) != 0x2)
            return 0;
        c = c << 6 | (at[i] & 0x3fU);
    }
    *out = c;
    const bool is_surrogate = c >= 0xd800 && c <= 0xdfff;
    return c < least[n] || is_surrogate || c > 0x10ffff ? 0 : n;
}

static bool is_allowed(uint32_t c)
{
    if (c == '\t' || c == '\n' || c == '\r' || c == 0x85)
        return true;
    return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c != 0xfffe && c != 0xffff;
}

core_status core_text_check(const char *text, const char *name)
{
    int line = 1, column = 1, n;
    for (const char *at = text; *at != '\0'; at += n) {
        uint32_t c = 0;
        n = decode((const unsigned char *)at, &c);
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

bool core_text_after(const char *text, const char *start, const char **rest)
{
    const size_t n = strlen(start);
    if (strncmp(text, start, n) != 0)
        return false;
    if (rest != NULL)
        *rest = text + n;
    return true;
}

bool core_text_ends(const char *text, const char *end)
{
    const size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}
