/* harness/systems/settings_yaml.c -- the settings of a YAML file.
 *
 * model: {tensor_model_parallel_size: 2} is model.tensor_model_parallel_size.
 * A file of accelerate is its launcher's arguments.  null, an empty value and
 * what a list holds are no settings; anchors are not followed.
 */
#include "core/files/yaml.h"
#include "harness/systems/impl.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 8 };

typedef struct reader {
    har_settings *out;
    const char *name;
} reader;

/* KEY: at the start of the text, or the mark of a document. */
bool har_is_yaml(const char *text)
{
    size_t n = 0;
    if (strncmp(text, "---", 3) == 0)
        return true;
    while (isalnum((unsigned char)text[n]) ||
           (text[n] != '\0' && strchr("_-.", text[n]) != NULL))
        n++;
    return n > 0 && text[n] == ':' && text[n + 1] != '\0' &&
           strchr(" \t\r\n", text[n + 1]) != NULL;
}

static core_status read_map(const reader *r, const char *path,
                            const core_yaml_node *map, int depth);

static bool is_null(const core_yaml_word *word)
{
    return word->n == 0 || (word->n == 1 && word->text[0] == '~') ||
           (word->n == 4 && memcmp(word->text, "null", 4) == 0);
}

static core_status read_value(const reader *r, const char *path, int line,
                              const core_yaml_node *value, int depth)
{
    core_yaml_word word;
    if (value->kind == CORE_YAML_MAP)
        return read_map(r, path, value, depth + 1);
    if (value->kind == CORE_YAML_LIST)
        return har_settings_put(r->out, path, "[...]", 5);
    CORE_FAIL_IF(value->kind == CORE_YAML_ALIAS, CORE_E_FORMAT,
                 "%s:%d: %s: expected a value, found an alias", r->name, line,
                 path);
    if (!core_yaml_scalar(value, &word) || is_null(&word))
        return CORE_OK;
    return har_settings_put(r->out, path, word.text, word.n);
}

static core_status read_pair(const reader *r, const char *path,
                             const core_yaml_node *pair, int depth)
{
    core_yaml_word key = {.line = 0};
    char below[HAR_PATH_BYTES];
    CORE_FAIL_IF(!core_yaml_scalar(pair, &key) || key.n == 0, CORE_E_FORMAT,
                 "%s: %s: expected the name of a key", r->name, path);
    const int first = pair->first_line;
    CORE_FAIL_IF(first > 0, CORE_E_FORMAT,
                 "%s:%d: %.*s: given twice, first in line %d", r->name,
                 key.line, (int)key.n, key.text, first);
    const int n = snprintf(below, sizeof below, "%s%s%.*s", path,
                           path[0] != '\0' ? "." : "", (int)key.n, key.text);
    CORE_FAIL_IF(n < 0 || (size_t)n >= sizeof below, CORE_E_FORMAT,
                 "%s:%d: a key of more than %d characters", r->name, key.line,
                 HAR_PATH_BYTES - 1);
    return read_value(r, below, key.line, pair->next, depth);
}

static core_status read_map(const reader *r, const char *path,
                            const core_yaml_node *map, int depth)
{
    CORE_FAIL_IF(depth > MAX_DEPTH, CORE_E_FORMAT,
                 "%s: %s: nested more than %d deep", r->name, path, MAX_DEPTH);
    for (const core_yaml_node *pair = map->first; pair != NULL;
         pair = pair->next->next)
        CORE_TRY(read_pair(r, path, pair, depth));
    return CORE_OK;
}

static core_status read_root(void *self, const core_yaml_node *root)
{
    const reader *r = self;
    CORE_FAIL_IF(root->kind != CORE_YAML_MAP, CORE_E_FORMAT,
                 "%s: expected keys and values", r->name);
    return read_map(r, "", root, 0);
}

/* Keys that a file of accelerate's own has. */
static bool is_accelerate(const har_settings *out, int first)
{
    static const char key[] = "distributed_type";
    for (int i = first; i < out->n; i++)
        if (out->item[i].n_name == strlen(key) &&
            memcmp(out->item[i].name, key, strlen(key)) == 0)
            return true;
    return false;
}

core_status har_settings_yaml(har_settings *out, const char *text,
                              const char *name)
{
    reader r = {out, name};
    const int first = out->n;
    out->has_config = true;
    CORE_TRY(core_yaml_read(text, name, read_root, &r));
    for (int i = first; is_accelerate(out, first) && i < out->n; i++)
        out->item[i].place = HAR_AT_ACCELERATE;
    return CORE_OK;
}
