/* core/base/printable.c -- see printable.h.
 *
 * Trap: not only the marks of direction are invisible; a tag character, a
 * joiner or a byte order mark makes two names look alike.
 */
#include "core/base/printable.h"

#include <string.h>

int core_utf8(const char *text, size_t n_bytes, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)text;
    const int n = at[0] < 0x80           ? 1
                  : (at[0] >> 5) == 0x6  ? 2
                  : (at[0] >> 4) == 0xe  ? 3
                  : (at[0] >> 3) == 0x1e ? 4
                                         : 0;
    uint32_t c = n == 1 ? at[0] : at[0] & (0x7fU >> n);
    for (int i = 1; i < n; i++) {
        if ((size_t)i >= n_bytes || (at[i] >> 6) != 0x2)
            return 0;
        c = c << 6 | (at[i] & 0x3fU);
    }
    *out = c;
    const bool is_surrogate = c >= 0xd800 && c <= 0xdfff;
    return c < least[n] || is_surrogate || c > 0x10ffff ? 0 : n;
}

static bool is_shown(uint32_t c)
{
    static const uint32_t hidden[][2] = {
        {0x00, 0x1f},     {0x7f, 0x9f},       {0xad, 0xad},
        {0x61c, 0x61c},   {0x200b, 0x200f},   {0x2028, 0x202e},
        {0x2060, 0x206f}, {0xfeff, 0xfeff},   {0xfff9, 0xfffb},
        {0xfffe, 0xffff}, {0xe0000, 0xe0fff},
    };
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (c >= hidden[i][0] && c <= hidden[i][1])
            return false;
    return true;
}

const char *core_shown(char out[CORE_SHOWN_BYTES], const char *at, int *n)
{
    uint32_t c = 0;
    *n = core_utf8(at, SIZE_MAX, &c);
    if (*n == 0) {
        snprintf(out, CORE_SHOWN_BYTES, "\\x%02X", (unsigned char)*at);
        *n = 1;
    } else if (is_shown(c)) {
        memcpy(out, at, (size_t)*n);
        out[*n] = '\0';
    } else if (c == '\n' || c == '\t' || c == '\r') {
        snprintf(out, CORE_SHOWN_BYTES, "\\%c",
                 c == '\n'   ? 'n'
                 : c == '\t' ? 't'
                             : 'r');
    } else {
        snprintf(out, CORE_SHOWN_BYTES, c < 0x80 ? "\\x%02X" : "\\u%04X",
                 (unsigned)c);
    }
    return out;
}

const char *core_printable(char *out, size_t bytes, const char *text)
{
    char shown[CORE_SHOWN_BYTES];
    size_t used = 0;
    int n;
    for (; *text != '\0'; text += n) {
        const size_t n_shown = strlen(core_shown(shown, text, &n));
        if (used + n_shown >= bytes)
            break;
        memcpy(out + used, shown, n_shown);
        used += n_shown;
    }
    out[used] = '\0';
    return out;
}

const char *core_unprintable(const char *text)
{
    uint32_t c = 0;
    for (int n; *text != '\0'; text += n) {
        n = core_utf8(text, SIZE_MAX, &c);
        if (n == 0 || !is_shown(c))
            return text;
    }
    return NULL;
}

void core_print(FILE *out, const char *text)
{
    char shown[CORE_SHOWN_BYTES];
    for (int n; *text != '\0'; text += n)
        fputs(core_shown(shown, text, &n), out);
}
