/* harness/systems/settings_toml.c -- the settings of a TOML file.
 *
 * [tensor_parallel] autotp_size = 2 is tensor_parallel.autotp_size.  Read are
 * tables, dotted keys, texts of one line, numbers, true and false, and arrays
 * and inline tables, whose text stays whole.
 */
#include "harness/systems/impl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

typedef struct reader {
    har_settings *out;
    const char *at, *name;
    int line;
    char table[HAR_PATH_BYTES];
} reader;

static size_t key_length(const char *text)
{
    size_t n = 0;
    while (isalnum((unsigned char)text[n]) ||
           (text[n] != '\0' && strchr("_-.\"' ", text[n]) != NULL))
        n++;
    return n;
}

bool har_is_toml(const char *text)
{
    const bool is_table = text[0] == '[' && isalpha((unsigned char)text[1]);
    const size_t n = key_length(text + is_table);
    return is_table ? text[1 + n] == ']'
                    : n > 0 && text[n] == '=' && text[n - 1] == ' ';
}

static core_status fail(const reader *r, const char *expected)
{
    CORE_FAIL(CORE_E_FORMAT, "%s:%d: expected %s", r->name, r->line, expected);
}

static void skip_blanks(reader *r)
{
    r->at += strspn(r->at, " \t\r");
}

/* A key without its quotes and blanks, after what out holds. */
static core_status read_key(reader *r, char out[HAR_PATH_BYTES], size_t n)
{
    const size_t n_key = key_length(r->at);
    if (n_key == 0 || n + n_key + 2 > HAR_PATH_BYTES)
        return fail(r, "a key");
    if (n > 0)
        out[n++] = '.';
    for (size_t i = 0; i < n_key; i++)
        if (strchr("\"' ", r->at[i]) == NULL)
            out[n++] = r->at[i];
    out[n] = '\0';
    r->at += n_key;
    return CORE_OK;
}

/* Past an array or an inline table, over lines and comments. */
static core_status skip_nested(reader *r)
{
    int depth = 0;
    do {
        if (*r->at == '\0')
            return fail(r, "the end of an array or a table");
        if (*r->at == '"' || *r->at == '\'') {
            const char *end = strchr(r->at + 1, *r->at);
            if (end == NULL)
                return fail(r, "the end of a text");
            r->at = end;
        } else if (*r->at == '#') {
            r->at += strcspn(r->at, "\n");
            continue;
        }
        depth +=
            (*r->at == '[' || *r->at == '{') - (*r->at == ']' || *r->at == '}');
        r->line += *r->at++ == '\n';
    } while (depth > 0);
    return CORE_OK;
}

static core_status read_value(reader *r, const char *path)
{
    const char *start = r->at;
    if (*start == '[' || *start == '{') {
        CORE_TRY(skip_nested(r));
        return har_settings_put(r->out, path, start, (size_t)(r->at - start));
    }
    if (*start == '"' || *start == '\'') {
        const size_t n = strcspn(start + 1, *start == '"' ? "\"\n" : "'\n");
        if (start[1 + n] != *start || (n == 0 && start[2] == *start))
            return fail(r, "a text of one line");
        r->at += n + 2;
        return har_settings_put(r->out, path, start + 1, n);
    }
    const size_t n = strcspn(start, " \t\r\n#");
    if (n == 0)
        return fail(r, "a value");
    r->at += n;
    return har_settings_put(r->out, path, start, n);
}

static core_status end_line(reader *r)
{
    skip_blanks(r);
    if (*r->at == '#')
        r->at += strcspn(r->at, "\n");
    if (*r->at != '\n' && *r->at != '\0')
        return fail(r, "the end of the line");
    return CORE_OK;
}

static core_status read_line(reader *r)
{
    skip_blanks(r);
    if (*r->at == '[') {
        const bool is_array = r->at[1] == '[';
        r->at += 1 + is_array;
        CORE_TRY(read_key(r, r->table, 0));
        if (strncmp(r->at, is_array ? "]]" : "]", 1 + (size_t)is_array) != 0)
            return fail(r, "a table's name in brackets");
        r->at += 1 + is_array;
    } else if (*r->at != '\n' && *r->at != '#' && *r->at != '\0') {
        char path[HAR_PATH_BYTES];
        snprintf(path, sizeof path, "%s", r->table);
        CORE_TRY(read_key(r, path, strlen(path)));
        if (*r->at++ != '=')
            return fail(r, "key = value");
        skip_blanks(r);
        CORE_TRY(read_value(r, path));
    }
    return end_line(r);
}

core_status har_settings_toml(har_settings *out, const char *text,
                              const char *name)
{
    reader r = {.out = out, .at = text, .name = name, .line = 1};
    out->has_config = true;
    while (*r.at != '\0') {
        CORE_TRY(read_line(&r));
        r.line += *r.at == '\n';
        r.at += *r.at == '\n';
    }
    return CORE_OK;
}
