/* core/files/json.c -- jansson's parser, our errors.
 *
 * JSON says nothing about duplicate keys, and jansson by default lets the last
 * one win: a file that says two things is refused instead.  jansson quotes the
 * offending text; its control characters would break our one-line rule.
 */
#include "core/files/json.h"

#include <stdlib.h>
#include <string.h>

core_status core_json_parse(json_t **out, const char *text, size_t n_bytes,
                            const char *name)
{
    json_error_t error;
    json_t *root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        for (char *c = error.text; *c != '\0'; c++) {
            if ((unsigned char)*c < ' ')
                *c = ' ';
        }
        CORE_FAIL(json_error_code(&error) == json_error_out_of_memory
                      ? CORE_E_MEMORY
                      : CORE_E_FORMAT,
                  "%s:%d:%d: %s", name, error.line, error.column, error.text);
    }
    *out = root;
    return CORE_OK;
}

json_t *core_json_text(const char *text)
{
    json_t *out = json_string(text);
    char *copy = out == NULL ? malloc(strlen(text) + 1) : NULL;
    if (copy == NULL)
        return out;
    strcpy(copy, text);
    for (char *c = copy; *c != '\0'; c++)
        *c = (unsigned char)*c < 0x80 ? *c : '?';
    out = json_string(copy);
    free(copy);
    return out;
}
