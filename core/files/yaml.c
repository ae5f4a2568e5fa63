/* core/files/yaml.c -- libfyaml's parser, our errors.
 *
 * Traps: libfyaml counts the lines and columns of its marks from 0, those of
 * its complaints from 1; it prints the complaints unless they are collected,
 * and some even then unless they are below a level; their wording, their
 * columns and the place of a value without a text change with its version, so
 * that we say none of them; duplicate keys are for the callers to ask for,
 * because its own message does not say which key; a second document would be
 * read by nobody.
 */
#include "core/files/yaml.h"

#include "core/files/text.h"

#include <string.h>

enum { SHOWN = 60 }; /* bytes of a bad line in a message */

bool core_yaml_scalar(struct fy_node *node, core_yaml_word *out)
{
    out->text = NULL;
    out->n = 0;
    if (node == NULL || fy_node_get_type(node) != FYNT_SCALAR ||
        fy_node_is_alias(node))
        return false;
    out->text = fy_node_get_scalar(node, &out->n);
    const struct fy_mark *mark =
        fy_token_start_mark(fy_node_get_scalar_token(node));
    if (mark != NULL && out->n > 0) {
        out->line = mark->line + 1;
        out->column = mark->column + 1;
    }
    return out->text != NULL;
}

int core_yaml_repeats(struct fy_node *map, struct fy_node_pair *pair)
{
    void *prev = NULL;
    struct fy_node_pair *other;
    core_yaml_word key, word = {.line = 0};
    if (!core_yaml_scalar(fy_node_pair_key(pair), &key))
        return 0;
    while ((other = fy_node_mapping_iterate(map, &prev)) != pair)
        if (core_yaml_scalar(fy_node_pair_key(other), &word) &&
            word.n == key.n && memcmp(word.text, key.text, key.n) == 0)
            return word.line;
    return 0;
}

/* The line of the first complaint, or the last one before it that is not blank:
 * what is never closed is complained of at the end.                          */
static core_status syntax_error(const char *text, const char *name,
                                struct fy_diag *diag)
{
    void *prev = NULL;
    const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &prev);
    CORE_FAIL_IF(error == NULL, CORE_E_FORMAT, "%s:1:1: no YAML document",
                 name);
    const char *words = text;
    int line = 1;
    for (int i = 1; i <= error->line && *text != '\0'; i++) {
        const char *start = text + strspn(text, " \t\r");
        if (*start != '\n' && *start != '\0') {
            words = start;
            line = i;
        }
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    const int n_word = (int)strcspn(words, "\r\n");
    CORE_FAIL(CORE_E_FORMAT,
              "%s:%d: no valid YAML at '%.*s': look for a bracket, a quote, a "
              "comma, a colon or the indentation",
              name, line, n_word < SHOWN ? n_word : SHOWN, words);
}

static core_status
read_document(struct fy_parser *parser, struct fy_diag *diag, const char *text,
              const char *name,
              core_status (*read)(void *self, struct fy_node *root), void *self)
{
    struct fy_document *document = fy_parse_load_document(parser);
    if (document == NULL)
        return syntax_error(text, name, diag);
    const core_status status = read(self, fy_document_root(document));
    fy_parse_document_destroy(parser, document);
    CORE_TRY(status);
    document = fy_parse_load_document(parser);
    if (document != NULL) {
        fy_parse_document_destroy(parser, document);
        CORE_FAIL(CORE_E_FORMAT, "%s: a second document, expected one", name);
    }
    return fy_parser_get_stream_error(parser) ? syntax_error(text, name, diag)
                                              : CORE_OK;
}

core_status core_yaml_read(const char *text, const char *name,
                           core_status (*read)(void *self,
                                               struct fy_node *root),
                           void *self)
{
    CORE_TRY(core_text_check(text, strlen(text), name));
    struct fy_diag_cfg diag_cfg;
    fy_diag_cfg_default(&diag_cfg);
    diag_cfg.level = FYET_MAX;
    struct fy_diag *diag = fy_diag_create(&diag_cfg);
    CORE_FAIL_IF(diag == NULL, CORE_E_MEMORY, "%s: no memory to parse", name);
    fy_diag_set_collect_errors(diag, true);
    const struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG |
                                              FYPCF_ALLOW_DUPLICATE_KEYS,
                                     .diag = diag};
    core_status status = CORE_E_MEMORY;
    struct fy_parser *parser = fy_parser_create(&cfg);
    if (parser == NULL || fy_parser_set_string(parser, text, strlen(text)) != 0)
        core_fail(status, "%s: no memory to parse", name);
    else
        status = read_document(parser, diag, text, name, read, self);
    if (parser != NULL)
        fy_parser_destroy(parser);
    fy_diag_destroy(diag);
    return status;
}
