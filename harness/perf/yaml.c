/* harness/perf/yaml.c -- flattening by a walk of bounded depth.
 *
 * Traps: libfyaml counts the lines and columns of its marks from 0; it prints
 * its complaints to stderr unless they are collected; it would accept a second
 * document silently; keys given twice are looked for here, because its own
 * message does not say which key.
 */
#include "harness/perf/yaml.h"

#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct place {
    int line, column;
} place;

static place place_of(struct fy_node *node)
{
    place at = {1, 1};
    struct fy_token *token = NULL;
    if (node != NULL && fy_node_get_type(node) == FYNT_SCALAR)
        token = fy_node_get_scalar_token(node);
    const struct fy_mark *mark =
        token != NULL ? fy_token_start_mark(token) : NULL;
    if (mark != NULL)
        at = (place){mark->line + 1, mark->column + 1};
    return at;
}

static core_status append(har_yaml *y, const har_yaml_entry *entry)
{
    if (y->n == y->capacity) {
        const size_t capacity = y->capacity == 0 ? 64 : 2 * y->capacity;
        har_yaml_entry *at = realloc(y->at, capacity * sizeof *at);
        CORE_FAIL_IF(at == NULL, CORE_E_MEMORY, "%s: no memory to read it",
                     y->file);
        y->at = at;
        y->capacity = capacity;
    }
    y->at[y->n++] = *entry;
    return CORE_OK;
}

static core_status read_scalar(har_yaml *y, struct fy_node *node,
                               const char *path)
{
    har_yaml_entry entry;
    const place at = place_of(node);
    size_t n = 0;
    const char *text = node != NULL ? fy_node_get_scalar(node, &n) : NULL;
    CORE_FAIL_IF(text == NULL || n == 0 || fy_node_is_alias(node),
                 CORE_E_FORMAT, "%s:%d:%d: %s: expected a value", y->file,
                 at.line, at.column, path);
    CORE_FAIL_IF(n >= sizeof entry.text, CORE_E_FORMAT,
                 "%s:%d:%d: %s: expected less than %d characters", y->file,
                 at.line, at.column, path, HAR_YAML_TEXT);
    memcpy(entry.text, text, n);
    entry.text[n] = '\0';
    snprintf(entry.path, sizeof entry.path, "%s", path);
    entry.line = at.line;
    entry.column = at.column;
    return append(y, &entry);
}

static core_status read_node(har_yaml *y, struct fy_node *node,
                             const char *path, const char *skip, int depth);

/* The key's text in `key`, refused if the map has it before `pair`. */
static core_status read_key(har_yaml *y, struct fy_node *map,
                            struct fy_node_pair *pair, char key[64])
{
    struct fy_node *node = fy_node_pair_key(pair);
    const place at = place_of(node);
    size_t n = 0;
    const char *text = node != NULL && fy_node_get_type(node) == FYNT_SCALAR
                           ? fy_node_get_scalar(node, &n)
                           : NULL;
    CORE_FAIL_IF(text == NULL || n == 0 || n >= 64, CORE_E_FORMAT,
                 "%s:%d:%d: expected the name of a key", y->file, at.line,
                 at.column);
    memcpy(key, text, n);
    key[n] = '\0';
    void *prev = NULL;
    struct fy_node_pair *other;
    while ((other = fy_node_mapping_iterate(map, &prev)) != pair) {
        size_t n_other = 0;
        const char *before =
            fy_node_get_scalar(fy_node_pair_key(other), &n_other);
        CORE_FAIL_IF(before != NULL && n_other == n &&
                         memcmp(before, text, n) == 0,
                     CORE_E_FORMAT, "%s:%d:%d: %s: given twice", y->file,
                     at.line, at.column, key);
    }
    return CORE_OK;
}

static core_status read_map(har_yaml *y, struct fy_node *map, const char *path,
                            const char *skip, int depth)
{
    void *prev = NULL;
    struct fy_node_pair *pair;
    char key[64], inner[HAR_YAML_PATH + 72];
    while ((pair = fy_node_mapping_iterate(map, &prev)) != NULL) {
        CORE_TRY(read_key(y, map, pair, key));
        struct fy_node *value = fy_node_pair_value(pair);
        const place at = place_of(fy_node_pair_key(pair));
        if (depth == 0 && skip != NULL && strcmp(key, skip) == 0) {
            CORE_FAIL_IF(value == NULL ||
                             fy_node_get_type(value) != FYNT_SEQUENCE,
                         CORE_E_FORMAT, "%s:%d:%d: %s: expected a list",
                         y->file, at.line, at.column, key);
            continue;
        }
        snprintf(inner, sizeof inner, "%s%s%s", path,
                 path[0] == '\0' ? "" : ".", key);
        CORE_FAIL_IF(strlen(inner) >= HAR_YAML_PATH, CORE_E_FORMAT,
                     "%s:%d:%d: %s: unknown key", y->file, at.line, at.column,
                     key);
        CORE_TRY(read_node(y, value, inner, skip, depth + 1));
    }
    return CORE_OK;
}

static core_status read_list(har_yaml *y, struct fy_node *list,
                             const char *path, const char *skip, int depth)
{
    void *prev = NULL;
    struct fy_node *item;
    char inner[HAR_YAML_PATH + 16];
    int i = 0;
    while ((item = fy_node_sequence_iterate(list, &prev)) != NULL) {
        snprintf(inner, sizeof inner, "%s[%d]", path, i++);
        CORE_FAIL_IF(strlen(inner) >= HAR_YAML_PATH, CORE_E_FORMAT,
                     "%s: %s: a list too deep", y->file, path);
        CORE_TRY(read_node(y, item, inner, skip, depth + 1));
    }
    CORE_FAIL_IF(i == 0, CORE_E_FORMAT, "%s: %s: the list is empty", y->file,
                 path);
    return CORE_OK;
}

static core_status read_node(har_yaml *y, struct fy_node *node,
                             const char *path, const char *skip, int depth)
{
    CORE_FAIL_IF(depth > HAR_YAML_DEPTH, CORE_E_FORMAT,
                 "%s: %s: nested too deep", y->file, path);
    if (node != NULL && fy_node_get_type(node) == FYNT_MAPPING)
        return read_map(y, node, path, skip, depth);
    if (node != NULL && fy_node_get_type(node) == FYNT_SEQUENCE)
        return read_list(y, node, path, skip, depth);
    return read_scalar(y, node, path);
}

static core_status syntax_error(const har_yaml *y, struct fy_diag *diag)
{
    void *prev = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &prev);
    CORE_FAIL_IF(error == NULL, CORE_E_FORMAT, "%s:1:1: no YAML", y->file);
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %.*s", y->file, error->line,
              error->column, (int)strcspn(error->msg, "\n"), error->msg);
}

static core_status read_document(har_yaml *y, struct fy_parser *parser,
                                 struct fy_diag *diag, const char *skip)
{
    struct fy_document *document = fy_parse_load_document(parser);
    if (document == NULL)
        return syntax_error(y, diag);
    struct fy_node *root = fy_document_root(document);
    core_status status = CORE_E_FORMAT;
    if (root == NULL || fy_node_get_type(root) != FYNT_MAPPING)
        core_fail(status, "%s:1:1: expected keys and values", y->file);
    else
        status = read_node(y, root, "", skip, 0);
    fy_parse_document_destroy(parser, document);
    CORE_TRY(status);
    document = fy_parse_load_document(parser);
    if (document != NULL) {
        fy_parse_document_destroy(parser, document);
        CORE_FAIL(CORE_E_FORMAT, "%s: a second document, expected one",
                  y->file);
    }
    return fy_parser_get_stream_error(parser) ? syntax_error(y, diag) : CORE_OK;
}

core_status har_yaml_read(har_yaml *out, const char *text, const char *file,
                          const char *skip)
{
    *out = (har_yaml){.file = file};
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    CORE_FAIL_IF(diag == NULL, CORE_E_MEMORY, "%s: no memory to parse", file);
    fy_diag_set_collect_errors(diag, true);
    const struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG |
                                              FYPCF_ALLOW_DUPLICATE_KEYS,
                                     .diag = diag};
    core_status status = CORE_E_MEMORY;
    struct fy_parser *parser = fy_parser_create(&cfg);
    if (parser == NULL || fy_parser_set_string(parser, text, strlen(text)) != 0)
        core_fail(status, "%s: no memory to parse", file);
    else
        status = read_document(out, parser, diag, skip);
    if (parser != NULL)
        fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return status;
}

void har_yaml_free(har_yaml *yaml)
{
    free(yaml->at);
    *yaml = (har_yaml){.file = NULL};
}
