/* parallel/plan_yaml.c -- a plan from a YAML file.
 *
 *     tp: 2
 *     pp: 3
 *     stages: [3, 2, 2]
 *     placement:        # one entry per expert: an ep index, or a list of them
 *       - 0
 *       - [0, 3]
 *
 * libfyaml finds the text and its place; what a value may be is decided in
 * plan_keys.c.  Every refusal starts with file:line:column.  Traps: libfyaml
 * counts the lines and columns of its marks from 0, those of its complaints
 * from 1; it would print the complaints to stderr unless they are collected; a
 * file may hold a second document, which nobody would read; an empty value is
 * a null scalar without text.
 */
#include "parallel/plan_keys.h"

#include <errno.h>
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 20 };

/* --- file ----------------------------------------------------------------- */

static core_status read_stream(FILE *file, const char *path, char *buf,
                               size_t *n)
{
    *n = fread(buf, 1, MAX_FILE_BYTES, file);
    CORE_FAIL_IF(ferror(file), CORE_E_FILE, "%s: %s", path, strerror(errno));
    CORE_FAIL_IF(*n == MAX_FILE_BYTES, CORE_E_FORMAT,
                 "%s: a plan has less than %d bytes", path, MAX_FILE_BYTES);
    return CORE_OK;
}

/* Whole file into *buf; caller frees with free(). */
static core_status read_file(const char *path, char **buf, size_t *n)
{
    FILE *file = fopen(path, "rb");
    CORE_FAIL_IF(file == NULL, CORE_E_FILE, "%s: %s", path, strerror(errno));
    core_status status = CORE_E_MEMORY;
    *buf = malloc(MAX_FILE_BYTES);
    if (*buf == NULL)
        core_fail(status, "%s: no memory for %d bytes", path, MAX_FILE_BYTES);
    else
        status = read_stream(file, path, *buf, n);
    fclose(file);
    if (status != CORE_OK)
        free(*buf);
    return status;
}

/* --- nodes ---------------------------------------------------------------- */

/* The node's text; false if it is no plain scalar.  Moves the reader's place to
 * it, so that the next message points there. */
static bool scalar(par__reader *reader, const char *path, struct fy_node *node,
                   par__text *out)
{
    *out = (par__text){"", 0};
    if (node == NULL || fy_node_is_null(node))
        return true;
    if (fy_node_get_type(node) != FYNT_SCALAR || fy_node_is_alias(node))
        return false;
    const struct fy_mark *mark =
        fy_token_start_mark(fy_node_get_scalar_token(node));
    if (mark != NULL)
        snprintf(reader->where, sizeof reader->where, "%.400s:%d:%d", path,
                 mark->line + 1, mark->column + 1);
    out->s = fy_node_get_scalar(node, &out->n);
    return out->s != NULL;
}

static core_status read_stages(par__reader *reader, const char *path,
                               struct fy_node *list)
{
    void *prev = NULL;
    struct fy_node *item;
    par__text text;
    reader->plan->n_stage = 0;
    while ((item = fy_node_sequence_iterate(list, &prev)) != NULL) {
        CORE_FAIL_IF(!scalar(reader, path, item, &text), reader->status,
                     "%s: stages: expected a number for each stage",
                     reader->where);
        CORE_TRY(par__read_stage(reader, text));
    }
    CORE_FAIL_IF(reader->plan->n_stage == 0, reader->status,
                 "%s: stages: the list is empty", reader->where);
    return CORE_OK;
}

static core_status read_replicas(par__reader *reader, const char *path,
                                 struct fy_node *list)
{
    void *prev = NULL;
    struct fy_node *item;
    par__text text;
    while ((item = fy_node_sequence_iterate(list, &prev)) != NULL) {
        CORE_FAIL_IF(!scalar(reader, path, item, &text), reader->status,
                     "%s: placement: expected ep indices for expert %d",
                     reader->where, reader->plan->n_placed - 1);
        CORE_TRY(par__read_replica(reader, text));
    }
    const par_plan *p = reader->plan;
    CORE_FAIL_IF(p->n_replica[p->n_placed - 1] == 0, reader->status,
                 "%s: placement: expert %d has an empty list", reader->where,
                 p->n_placed - 1);
    return CORE_OK;
}

static core_status read_placement(par__reader *reader, const char *path,
                                  struct fy_node *list)
{
    void *prev = NULL;
    struct fy_node *item;
    par__text text;
    reader->plan->n_placed = 0;
    while ((item = fy_node_sequence_iterate(list, &prev)) != NULL) {
        CORE_TRY(par__read_expert(reader));
        if (fy_node_get_type(item) == FYNT_SEQUENCE) {
            CORE_TRY(read_replicas(reader, path, item));
            continue;
        }
        CORE_FAIL_IF(!scalar(reader, path, item, &text), reader->status,
                     "%s: placement: expected an ep index or a list of them "
                     "for expert %d",
                     reader->where, reader->plan->n_placed - 1);
        CORE_TRY(par__read_replica(reader, text));
    }
    CORE_FAIL_IF(reader->plan->n_placed == 0, reader->status,
                 "%s: placement: the list is empty", reader->where);
    return CORE_OK;
}

static core_status read_pair(par__reader *reader, const char *path,
                             struct fy_node_pair *pair)
{
    struct fy_node *value = fy_node_pair_value(pair);
    par__text text;
    par__key key;
    CORE_FAIL_IF(!scalar(reader, path, fy_node_pair_key(pair), &text),
                 reader->status, "%s: expected key: value", reader->where);
    CORE_TRY(par__read_key(reader, text, &key));
    const bool is_list =
        value != NULL && fy_node_get_type(value) == FYNT_SEQUENCE;
    if (is_list && key == PAR__KEY_STAGES)
        return read_stages(reader, path, value);
    if (is_list && key == PAR__KEY_PLACEMENT)
        return read_placement(reader, path, value);
    CORE_FAIL_IF(!scalar(reader, path, value, &text), reader->status,
                 "%s: %s: expected a single value", reader->where,
                 par__key_name(key));
    return par__read_value(reader, key, text);
}

static core_status read_root(par__reader *reader, const char *path,
                             struct fy_node *root)
{
    CORE_FAIL_IF(root == NULL || fy_node_get_type(root) != FYNT_MAPPING,
                 reader->status, "%s: expected keys of a plan, such as 'tp: 4'",
                 reader->where);
    void *prev = NULL;
    struct fy_node_pair *pair;
    while ((pair = fy_node_mapping_iterate(root, &prev)) != NULL)
        CORE_TRY(read_pair(reader, path, pair));
    CORE_FAIL_IF(reader->seen == 0, reader->status, "%s: a plan without a key",
                 reader->where);
    return CORE_OK;
}

/* --- document ------------------------------------------------------------- */

/* The first complaint of libfyaml, as one line. */
static core_status yaml_failed(const par__reader *reader, const char *path,
                               struct fy_diag *diag)
{
    void *prev = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &prev);
    CORE_FAIL_IF(error == NULL, reader->status, "%s:1:1: no YAML", path);
    CORE_FAIL(reader->status, "%s:%d:%d: %.*s", path, error->line,
              error->column, (int)strcspn(error->msg, "\n"), error->msg);
}

static core_status read_document(par__reader *reader, const char *path,
                                 struct fy_parser *parser, struct fy_diag *diag)
{
    struct fy_document *document = fy_parse_load_document(parser);
    if (document == NULL)
        return yaml_failed(reader, path, diag);
    core_status status =
        read_root(reader, path, fy_document_root(document));
    fy_parse_document_destroy(parser, document);
    if (status != CORE_OK)
        return status;

    document = fy_parse_load_document(parser);
    if (document != NULL) {
        fy_parse_document_destroy(parser, document);
        CORE_FAIL(reader->status, "%s: a second document, expected one", path);
    }
    if (fy_parser_get_stream_error(parser))
        return yaml_failed(reader, path, diag);
    return CORE_OK;
}

static core_status parse(par__reader *reader, const char *path,
                         const char *text, size_t n)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    CORE_FAIL_IF(diag == NULL, CORE_E_MEMORY, "%s: no memory to parse", path);
    fy_diag_set_collect_errors(diag, true);
    /* repeated keys are refused by par__read_key, as in the string form */
    const struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_ALLOW_DUPLICATE_KEYS,
        .diag = diag};
    core_status status = CORE_E_MEMORY;
    struct fy_parser *parser = fy_parser_create(&cfg);
    if (parser == NULL || fy_parser_set_string(parser, text, n) != 0)
        core_fail(status, "%s: no memory to parse", path);
    else
        status = read_document(reader, path, parser, diag);
    if (parser != NULL)
        fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return status;
}

core_status par__read_yaml(par__reader *reader, const char *path)
{
    char *text = NULL;
    size_t n = 0;
    CORE_TRY(read_file(path, &text, &n));
    par__reader inner = {.plan = reader->plan, .status = CORE_E_FORMAT};
    snprintf(inner.where, sizeof inner.where, "%.400s:1:1", path);
    const core_status status = parse(&inner, path, text, n);
    free(text);
    reader->edp = inner.edp;
    return status;
}
