/* core/files/yaml_list.c -- flattening by a walk of bounded depth.
 *
 * A node that has no place of its own, such as a map, a list or nothing at all,
 * is refused where its key stands.  Traps: a key with a point or a bracket
 * would be read as a way through maps and lists that are not there; an empty
 * map would leave no trace in the list.
 */
#include "core/files/yaml_list.h"

#include "core/base/arena.h"
#include "core/files/yaml.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

enum { KEY_BYTES = 64 };

typedef struct reader {
    core_yaml_list *list;
    const char *what, *skip;
} reader;

/* The way to a node, and the place of the last key on it. */
typedef struct way {
    char path[CORE_YAML_PATH];
    int line, column, depth;
} way;

static core_status refuse(const reader *r, const way *w, const char *reason)
{
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s%s%s", r->list->file, w->line,
              w->column, w->path, w->path[0] == '\0' ? "" : ": ", reason);
}

static core_status append(core_yaml_list *list, const core_yaml_entry *entry)
{
    core_yaml_entry *at = core_grow(list->at, &list->room, (int64_t)list->n + 1,
                                    sizeof *at, "YAML");
    if (at == NULL)
        return CORE_E_MEMORY;
    list->at = at;
    list->at[list->n++] = *entry;
    return CORE_OK;
}

static core_status read_scalar(const reader *r, const core_yaml_node *node,
                               const way *w)
{
    core_yaml_entry entry = {.key_line = w->line, .key_column = w->column};
    core_yaml_word word = {.line = w->line, .column = w->column};
    const bool is_word = core_yaml_scalar(node, &word) && word.n > 0;
    way at = *w;
    at.line = word.line;
    at.column = word.column;
    if (!is_word)
        return refuse(r, &at, "expected a value");
    if (memchr(word.text, '\n', word.n) != NULL)
        return refuse(r, &at, "expected one line");
    CORE_FAIL_IF(word.n >= sizeof entry.text, CORE_E_FORMAT,
                 "%s:%d:%d: %s: expected less than %d characters",
                 r->list->file, at.line, at.column, w->path, CORE_YAML_TEXT);
    memcpy(entry.path, w->path, sizeof entry.path);
    memcpy(entry.text, word.text, word.n);
    entry.text[word.n] = '\0';
    entry.line = at.line;
    entry.column = at.column;
    return append(r->list, &entry);
}

static core_status read_node(const reader *r, const core_yaml_node *node,
                             const way *w);

/* The way over `pair` of a map, refused if the map has its key before. */
static core_status read_key(const reader *r, const core_yaml_node *pair,
                            const way *w, way *inner)
{
    core_yaml_word word = {.line = w->line, .column = w->column};
    const bool is_word = core_yaml_scalar(pair, &word);
    const char *file = r->list->file;
    CORE_FAIL_IF(!is_word || word.n == 0 || word.n >= KEY_BYTES, CORE_E_FORMAT,
                 "%s:%d:%d: expected the name of a key", file, word.line,
                 word.column);
    const int n = (int)word.n;
    const int first = pair->first_line;
    CORE_FAIL_IF(first > 0, CORE_E_FORMAT,
                 "%s:%d:%d: %.*s: given twice, first in line %d", file,
                 word.line, word.column, n, word.text, first);
    *inner =
        (way){.line = word.line, .column = word.column, .depth = w->depth + 1};
    const int length =
        snprintf(inner->path, sizeof inner->path, "%s%s%.*s", w->path,
                 w->path[0] == '\0' ? "" : ".", n, word.text);
    CORE_FAIL_IF(length >= CORE_YAML_PATH ||
                     memchr(word.text, '.', word.n) != NULL ||
                     memchr(word.text, '[', word.n) != NULL,
                 CORE_E_FORMAT, "%s:%d:%d: %.*s: unknown key", file, word.line,
                 word.column, n, word.text);
    return CORE_OK;
}

static core_status read_map(const reader *r, const core_yaml_node *map,
                            const way *w)
{
    way inner;
    if (map->first == NULL)
        return refuse(r, w, "expected keys and values, found none");
    for (const core_yaml_node *pair = map->first; pair != NULL;
         pair = pair->next->next) {
        CORE_TRY(read_key(r, pair, w, &inner));
        const core_yaml_node *value = pair->next;
        if (w->depth > 0 || r->skip == NULL || strcmp(inner.path, r->skip) != 0)
            CORE_TRY(read_node(r, value, &inner));
        else if (value->kind != CORE_YAML_LIST)
            return refuse(r, &inner, "expected a list");
    }
    return CORE_OK;
}

static core_status read_list(const reader *r, const core_yaml_node *list,
                             const way *w)
{
    way inner = *w;
    inner.depth++;
    int i = 0;
    for (const core_yaml_node *item = list->first; item != NULL;
         item = item->next) {
        const int n =
            snprintf(inner.path, sizeof inner.path, "%s[%d]", w->path, i++);
        if (n >= CORE_YAML_PATH)
            return refuse(r, w, "a list too deep");
        CORE_TRY(read_node(r, item, &inner));
    }
    return i > 0 ? CORE_OK : refuse(r, w, "the list is empty");
}

static core_status read_node(const reader *r, const core_yaml_node *node,
                             const way *w)
{
    if (w->depth > CORE_YAML_DEPTH)
        return refuse(r, w, "nested too deep");
    if (node->kind == CORE_YAML_MAP)
        return read_map(r, node, w);
    if (node->kind == CORE_YAML_LIST)
        return read_list(r, node, w);
    return read_scalar(r, node, w);
}

static core_status read_root(void *self, const core_yaml_node *root)
{
    const reader *r = self;
    const way start = {.line = 1, .column = 1};
    CORE_FAIL_IF(root->kind != CORE_YAML_MAP, CORE_E_FORMAT,
                 "%s:1:1: %s: expected 'key: value' lines", r->list->file,
                 r->what);
    return read_node(r, root, &start);
}

core_status core_yaml_list_read(core_yaml_list *out, const char *text,
                                const char *file, const char *what,
                                const char *skip)
{
    *out = (core_yaml_list){.file = file};
    reader r = {.list = out, .what = what, .skip = skip};
    return core_yaml_read(text, file, read_root, &r);
}

void core_yaml_list_free(core_yaml_list *list)
{
    free(list->at);
    *list = (core_yaml_list){.file = NULL};
}
