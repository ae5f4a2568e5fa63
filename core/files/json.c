/* core/files/json.c -- jansson's parser, our errors.
 *
 * JSON says nothing about duplicate keys, and jansson by default lets the last
 * one win: a file that says two things is refused instead.  A place is told
 * with the text before it, for files of one long line.
 */
#include "core/files/json.h"

#include "core/files/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 24 }; /* bytes before a bad place in a message */

static _Thread_local bool lacks_memory;

static void *allocate(size_t n)
{
    void *memory = malloc(n);
    lacks_memory |= memory == NULL;
    return memory;
}

void core_json_watch_memory(void)
{
    json_set_alloc_funcs(allocate, free);
}

bool core_json_lacks_memory(void)
{
    return lacks_memory;
}

static const char *reason_of(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_out_of_memory:
        return "no memory to parse";
    case json_error_stack_overflow:
        return "nested too deep";
    case json_error_invalid_utf8:
        return "no UTF-8";
    case json_error_premature_end_of_input:
        return "ends too early";
    case json_error_end_of_input_expected:
        return "more text after the value";
    case json_error_duplicate_key:
        return "a key given twice";
    case json_error_numeric_overflow:
        return "a number too large";
    default:
        return "no valid JSON";
    }
}

core_status core_json_parse(json_t **out, const char *text, size_t n_bytes,
                            const char *name)
{
    json_error_t error;
    CORE_TRY(core_text_check(text, n_bytes, name));
    json_t *root = json_loadb(text, n_bytes, JSON_REJECT_DUPLICATES, &error);
    if (lacks_memory) {
        json_decref(root);
        return core_fail(CORE_E_MEMORY, "%s: no memory to parse", name);
    }
    if (root == NULL) {
        char before[SHOWN + 1] = "";
        int n = 0;
        for (int i = error.position - SHOWN; i < error.position; i++)
            if (i >= 0 && (size_t)i < n_bytes)
                before[n++] = text[i];
        CORE_FAIL(json_error_code(&error) == json_error_out_of_memory
                      ? CORE_E_MEMORY
                      : CORE_E_FORMAT,
                  "%s:%d:%d: %s, after '%s'", name, error.line, error.column,
                  reason_of(&error), before);
    }
    *out = root;
    return CORE_OK;
}

/* What Python writes for what JSON has no number for. */
static const struct {
    const char *word, *text;
    double value;
} PYTHON[] = {{"NaN", "\"NaN\"", NAN},
              {"Infinity", "\"Infinity\"", INFINITY},
              {"-Infinity", "\"-Infinity\"", -INFINITY}};

enum { N_PYTHON = sizeof PYTHON / sizeof PYTHON[0] };

/* The word of PYTHON that stands at s; N_PYTHON: none. */
static int python_word(const char *s, size_t n)
{
    int i = 0;
    while (i < N_PYTHON && (strlen(PYTHON[i].word) > n ||
                            memcmp(s, PYTHON[i].word,
                                   strlen(PYTHON[i].word)) != 0))
        i++;
    return i;
}

/* out: twice as many bytes as text; a word has three at least, and gets two. */
static size_t quote_words(char *out, const char *text, size_t n_bytes)
{
    bool inside = false; /* a string */
    size_t n = 0;
    for (size_t i = 0; i < n_bytes;) {
        const int word =
            inside ? (int)N_PYTHON : python_word(text + i, n_bytes - i);
        if (word < N_PYTHON) {
            memcpy(out + n, PYTHON[word].text, strlen(PYTHON[word].text));
            n += strlen(PYTHON[word].text);
            i += strlen(PYTHON[word].word);
            continue;
        }
        if (inside && text[i] == '\\' && i + 1 < n_bytes)
            out[n++] = text[i++];
        else if (text[i] == '"')
            inside = !inside;
        out[n++] = text[i++];
    }
    return n;
}

core_status core_json_parse_python(json_t **out, const char *text,
                                   size_t n_bytes, const char *name)
{
    char *quoted = malloc(2 * n_bytes + 1);
    CORE_FAIL_IF(quoted == NULL, CORE_E_MEMORY, "%s: no memory to parse", name);
    const size_t n = quote_words(quoted, text, n_bytes);
    const core_status status = core_json_parse(out, quoted, n, name);
    free(quoted);
    return status;
}

bool core_json_python_real(const json_t *value, double *out)
{
    if (json_is_number(value)) {
        *out = json_number_value(value);
        return true;
    }
    for (int i = 0; i < N_PYTHON && json_is_string(value); i++) {
        if (strcmp(json_string_value(value), PYTHON[i].word) == 0) {
            *out = PYTHON[i].value;
            return true;
        }
    }
    return false;
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

json_t *core_json_number(double x)
{
    if (isnan(x))
        return json_string("nan");
    if (isinf(x))
        return json_string(x > 0.0 ? "inf" : "-inf");
    return json_real(x);
}

void core_json_put(json_t *object, const char *key, json_t *value)
{
    json_object_set_new(object, key, value);
}

void core_json_put_int(json_t *object, const char *key, int64_t value)
{
    core_json_put(object, key, json_integer((json_int_t)value));
}

void core_json_put_number(json_t *object, const char *key, double value)
{
    core_json_put(object, key, core_json_number(value));
}

void core_json_put_text(json_t *object, const char *key, const char *value)
{
    core_json_put(object, key, core_json_text(value));
}
