/* core/spec_yaml.c -- a YAML document as a flat list of fields with places.
 *
 * libfyaml does the reading; what the fields mean is spec_fields.c.  At most
 * two levels of maps and one list of scalars exist in a spec, so nothing here
 * recurses.  Traps: libfyaml counts lines and columns from 0; it prints its
 * complaints unless they are collected; duplicate keys are looked for here,
 * because its own message does not say which key; a second document would be
 * silently ignored.
 */
#include "core/spec_impl.h"

#include "core/arena.h"

#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>

/* The text and the place of a plain scalar; false for anything else. */
static bool scalar(struct fy_node *node, core__spec_entry *entry)
{
    if (node == NULL || fy_node_get_type(node) != FYNT_SCALAR ||
        fy_node_is_alias(node))
        return false;
    const struct fy_mark *mark =
        fy_token_start_mark(fy_node_get_scalar_token(node));
    if (mark != NULL) {
        entry->line = mark->line + 1;
        entry->column = mark->column + 1;
    }
    size_t n = 0;
    const char *text = fy_node_get_scalar(node, &n);
    if (text == NULL || n >= sizeof entry->text)
        return false;
    memcpy(entry->text, text, n);
    entry->text[n] = '\0';
    return true;
}

static core_status append(core__spec_entries *entries, core__spec_entry entry)
{
    CORE_FAIL_IF(entries->n == CORE_SPEC_MAX_ENTRIES, CORE_E_SPEC,
                 "%s:%d:%d: more than %d fields", entries->file, entry.line,
                 entry.column, CORE_SPEC_MAX_ENTRIES);
    entries->at[entries->n++] = entry;
    return CORE_OK;
}

/* Read the pair's key into `entry`: its path under `section`, and its place. */
static core_status read_key(const core__spec_entries *entries,
                            struct fy_node_pair *pair, const char *section,
                            core__spec_entry *entry)
{
    *entry = (core__spec_entry){.line = 1, .column = 1};
    CORE_FAIL_IF(!scalar(fy_node_pair_key(pair), entry), CORE_E_SPEC,
                 "%s:%d:%d: expected the name of a field", entries->file,
                 entry->line, entry->column);
    const int n =
        snprintf(entry->path, sizeof entry->path, "%s%s%s", section,
                 section[0] == '\0' ? "" : ".", entry->text);
    entry->key_line = entry->line;
    entry->key_column = entry->column;
    CORE_FAIL_IF(n >= (int)sizeof entry->path, CORE_E_SPEC,
                 "%s:%d:%d: %s: unknown field", entries->file, entry->line,
                 entry->column, entry->text);
    return CORE_OK;
}

/* Is this very map key there twice, the other one earlier? */
static core_status check_new(const core__spec_entries *entries,
                             struct fy_node *map, struct fy_node_pair *pair,
                             const core__spec_entry *key)
{
    void *prev = NULL;
    struct fy_node_pair *other;
    while ((other = fy_node_mapping_iterate(map, &prev)) != pair) {
        core__spec_entry entry = {.line = 0};
        if (scalar(fy_node_pair_key(other), &entry) &&
            strcmp(entry.text, key->text) == 0)
            CORE_FAIL(CORE_E_SPEC,
                      "%s:%d:%d: %s: given twice, first in line %d",
                      entries->file, key->line, key->column, key->path,
                      entry.line);
    }
    return CORE_OK;
}

static core_status read_list(core__spec_entries *entries,
                             core__spec_entry entry, struct fy_node *list)
{
    void *prev = NULL;
    struct fy_node *item;
    strncat(entry.path, "[]", sizeof entry.path - strlen(entry.path) - 1);
    while ((item = fy_node_sequence_iterate(list, &prev)) != NULL) {
        CORE_FAIL_IF(!scalar(item, &entry), CORE_E_SPEC,
                     "%s:%d:%d: %s: expected words only", entries->file,
                     entry.line, entry.column, entry.path);
        CORE_TRY(append(entries, entry));
    }
    return CORE_OK;
}

static core_status read_value(core__spec_entries *entries,
                              core__spec_entry key, struct fy_node *value)
{
    if (value != NULL && fy_node_get_type(value) == FYNT_SEQUENCE)
        return read_list(entries, key, value);
    CORE_FAIL_IF(!scalar(value, &key), CORE_E_SPEC,
                 "%s:%d:%d: %s: expected a single value of less than %d "
                 "characters",
                 entries->file, key.line, key.column, key.path,
                 CORE_NAME_BYTES);
    return append(entries, key);
}

static core_status read_section(core__spec_entries *entries,
                                struct fy_node *map, const char *section)
{
    void *prev = NULL;
    struct fy_node_pair *pair;
    core__spec_entry key;
    while ((pair = fy_node_mapping_iterate(map, &prev)) != NULL) {
        CORE_TRY(read_key(entries, pair, section, &key));
        CORE_TRY(check_new(entries, map, pair, &key));
        CORE_TRY(read_value(entries, key, fy_node_pair_value(pair)));
    }
    return CORE_OK;
}

static core_status read_root(core__spec_entries *entries, struct fy_node *root)
{
    CORE_FAIL_IF(root == NULL || fy_node_get_type(root) != FYNT_MAPPING,
                 CORE_E_SPEC,
                 "%s:1:1: expected the fields of a model, such as 'layers: 4'",
                 entries->file);
    void *prev = NULL;
    struct fy_node_pair *pair;
    core__spec_entry key;
    while ((pair = fy_node_mapping_iterate(root, &prev)) != NULL) {
        struct fy_node *value = fy_node_pair_value(pair);
        CORE_TRY(read_key(entries, pair, "", &key));
        CORE_TRY(check_new(entries, root, pair, &key));
        if (value != NULL && fy_node_get_type(value) == FYNT_MAPPING)
            CORE_TRY(read_section(entries, value, key.text));
        else
            CORE_TRY(read_value(entries, key, value));
    }
    return CORE_OK;
}

static core_status syntax_error(const core__spec_entries *entries,
                                struct fy_diag *diag)
{
    void *prev = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &prev);
    CORE_FAIL_IF(error == NULL, CORE_E_FORMAT, "%s:1:1: no YAML document",
                 entries->file);
    CORE_FAIL(CORE_E_FORMAT, "%s:%d:%d: %.*s", entries->file, error->line + 1,
              error->column + 1, (int)strcspn(error->msg, "\n"), error->msg);
}

static core_status read_stream(core__spec_entries *entries,
                               struct fy_parser *parser, struct fy_diag *diag)
{
    struct fy_document *document = fy_parse_load_document(parser);
    if (document == NULL)
        return syntax_error(entries, diag);
    const core_status status =
        read_root(entries, fy_document_root(document));
    fy_parse_document_destroy(parser, document);
    CORE_TRY(status);
    document = fy_parse_load_document(parser);
    if (document != NULL) {
        fy_parse_document_destroy(parser, document);
        CORE_FAIL(CORE_E_SPEC, "%s: a second document, expected one",
                  entries->file);
    }
    return fy_parser_get_stream_error(parser) ? syntax_error(entries, diag)
                                              : CORE_OK;
}

static core_status read_text(core__spec_entries *entries, const char *text)
{
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    CORE_FAIL_IF(diag == NULL, CORE_E_MEMORY, "%s: no memory to parse",
                 entries->file);
    fy_diag_set_collect_errors(diag, true);
    const struct fy_parse_cfg cfg = {
        .flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG | FYPCF_ALLOW_DUPLICATE_KEYS,
        .diag = diag};
    core_status status = CORE_E_MEMORY;
    struct fy_parser *parser = fy_parser_create(&cfg);
    if (parser == NULL ||
        fy_parser_set_string(parser, text, strlen(text)) != 0)
        core_fail(status, "%s: no memory to parse", entries->file);
    else
        status = read_stream(entries, parser, diag);
    if (parser != NULL)
        fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return status;
}

core_status core_spec_parse_yaml(core_spec *out, const char *text,
                                 const char *name)
{
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(core__spec_entries), "spec file"));
    core__spec_entries *entries = memory;
    *entries = (core__spec_entries){.file = name};
    core_spec spec;
    core_status status = read_text(entries, text);
    if (status == CORE_OK)
        status = core__spec_from_entries(&spec, entries);
    free(entries);
    CORE_TRY(status);
    CORE_TRY_CTX(core_spec_validate(&spec), "reading %s", name);
    *out = spec;
    return CORE_OK;
}
