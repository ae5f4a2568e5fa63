/* harness/perf/audit_yaml.c -- see audit_yaml.h.
 *
 * Traps: libfyaml counts the lines and columns of its marks from 0, those of its
 * complaints from 1; it prints the complaints unless they are collected; a
 * repeated key would silently win; a second document would be ignored.
 */
#include "harness/perf/audit_yaml.h"

#include "core/arena.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 20 };

core_status har__yaml_fail(const har__yaml *y, const char *fmt, ...)
{
    char text[600];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %s", y->path, y->line, y->column, text);
}

void har__yaml_look_at(har__yaml *y, struct fy_node *node)
{
    struct fy_token *token = NULL;
    if (node != NULL && fy_node_get_type(node) == FYNT_SCALAR)
        token = fy_node_get_scalar_token(node);
    const struct fy_mark *mark =
        token != NULL ? fy_token_start_mark(token) : NULL;
    if (mark != NULL) {
        y->line = mark->line + 1;
        y->column = mark->column + 1;
    }
}

core_status har__yaml_scalar(har__yaml *y, struct fy_node *node, char *out,
                             size_t bytes, const char *what)
{
    size_t n = 0;
    har__yaml_look_at(y, node);
    const bool plain = node != NULL && fy_node_get_type(node) == FYNT_SCALAR &&
                       !fy_node_is_alias(node);
    const char *text = plain ? fy_node_get_scalar(node, &n) : NULL;
    if (text == NULL || n == 0 || n >= bytes ||
        memchr(text, '\n', n) != NULL)
        return har__yaml_fail(y, "%s: expected one line of 1 to %zu characters", what,
                       bytes - 1);
    memcpy(out, text, n);
    out[n] = '\0';
    return CORE_OK;
}

core_status har__yaml_map(har__yaml *y, struct fy_node *map, const char *what,
                          har__field *fields, int *n)
{
    void *prev = NULL;
    struct fy_node_pair *pair;
    *n = 0;
    if (map == NULL || fy_node_get_type(map) != FYNT_MAPPING)
        return har__yaml_fail(y, "%s: expected 'key: value' lines", what);
    while ((pair = fy_node_mapping_iterate(map, &prev)) != NULL) {
        har__field *f = &fields[*n];
        if (*n == HAR__YAML_KEYS)
            return har__yaml_fail(y, "%s: more than %d keys", what, HAR__YAML_KEYS);
        CORE_TRY(har__yaml_scalar(y, fy_node_pair_key(pair), f->key, sizeof f->key,
                             what));
        for (int i = 0; i < *n; i++)
            if (strcmp(fields[i].key, f->key) == 0)
                return har__yaml_fail(y, "%s: given twice", f->key);
        f->value = fy_node_pair_value(pair);
        f->line = y->line;
        f->column = y->column;
        (*n)++;
    }
    return CORE_OK;
}

/* --- file --- */

typedef struct job {
    const char *path;
    core_status (*visit)(void *self, struct fy_node *root);
    void *self;
} job;

static core_status syntax_error(const char *path, struct fy_diag *diag)
{
    void *prev = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &prev);
    CORE_FAIL_IF(error == NULL, CORE_E_FORMAT, "%s:1:1: no YAML", path);
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %.*s", path, error->line,
              error->column, (int)strcspn(error->msg, "\n"), error->msg);
}

static core_status read_document(const job *j, struct fy_parser *parser,
                                 struct fy_diag *diag)
{
    struct fy_document *document = fy_parse_load_document(parser);
    if (document == NULL)
        return syntax_error(j->path, diag);
    const core_status status = j->visit(j->self, fy_document_root(document));
    fy_parse_document_destroy(parser, document);
    CORE_TRY(status);
    document = fy_parse_load_document(parser);
    if (document != NULL) {
        fy_parse_document_destroy(parser, document);
        CORE_FAIL(CORE_E_FORMAT, "%s: a second document, expected one",
                  j->path);
    }
    return fy_parser_get_stream_error(parser) ? syntax_error(j->path, diag)
                                              : CORE_OK;
}

static core_status parse(const job *j, const char *text, size_t n)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    CORE_FAIL_IF(diag == NULL, CORE_E_MEMORY, "%s: no memory to parse",
                 j->path);
    fy_diag_set_collect_errors(diag, true);
    const struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_ALLOW_DUPLICATE_KEYS,
        .diag = diag};
    core_status status = CORE_E_MEMORY;
    struct fy_parser *parser = fy_parser_create(&cfg);
    if (parser == NULL || fy_parser_set_string(parser, text, n) != 0)
        core_fail(status, "%s: no memory to parse", j->path);
    else
        status = read_document(j, parser, diag);
    if (parser != NULL)
        fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return status;
}

static core_status read_stream(const job *j, FILE *file, char *text)
{
    const size_t n = fread(text, 1, MAX_FILE_BYTES, file);
    CORE_FAIL_IF(ferror(file), CORE_E_FILE, "%s: %s", j->path, strerror(errno));
    CORE_FAIL_IF(n == MAX_FILE_BYTES, CORE_E_FORMAT,
                 "%s: a claims file has less than %d bytes", j->path,
                 MAX_FILE_BYTES);
    return parse(j, text, n);
}

core_status har__yaml_read(const char *path,
                           core_status (*visit)(void *self,
                                                struct fy_node *root),
                           void *self)
{
    const job j = {path, visit, self};
    void *text = NULL;
    FILE *file = fopen(path, "rb");
    CORE_FAIL_IF(file == NULL, CORE_E_FILE, "%s: %s", path, strerror(errno));
    core_status status = core_alloc(&text, MAX_FILE_BYTES, 1, path);
    if (status == CORE_OK)
        status = read_stream(&j, file, text);
    fclose(file);
    free(text);
    return status;
}
