/* core/files/yaml.c -- libyaml's events as a tree, our errors.
 *
 * Why this parser, and why its events alone: docs/decisions/0018-libyaml.md.
 * The tree is a list of nodes that an array of pointers keeps; links follow
 * from the order of the events.  Traps: libyaml counts lines and columns from
 * 0; its complaints and their columns are not ours to promise; it ends a
 * document where ours must end too.
 */
#include "core/files/yaml.h"

#include "core/base/arena.h"
#include "core/base/printable.h"
#include "core/files/text.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { SHOWN = 60 }; /* bytes of a bad line in a message */

typedef struct tree {
    const char *name;
    core_yaml_node **node; /* [n]; each owns its text                         */
    int64_t n, room;
    core_yaml_node *open[CORE_YAML_LEVELS]; /* lists and maps around it       */
    core_yaml_node **end[CORE_YAML_LEVELS]; /* where its next item goes       */
    int depth;
    core_yaml_node *root;
} tree;

bool core_yaml_scalar(const core_yaml_node *node, core_yaml_word *out)
{
    const bool is_scalar = node->kind == CORE_YAML_SCALAR;
    out->text = is_scalar ? node->text : NULL;
    out->n = is_scalar ? node->n : 0;
    if (out->n > 0) {
        out->line = node->line;
        out->column = node->column;
    }
    return is_scalar;
}

static void free_tree(tree *t)
{
    for (int64_t i = 0; i < t->n; i++)
        free(t->node[i]);
    free(t->node);
}

/* --- nodes --- */

static bool is_null(const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (text[0] == '\0' || strcmp(text, "~") == 0 ||
            strcmp(text, "null") == 0);
}

/* A quoted scalar may hold by an escape what a text may not: "\e[2J". */
static core_status check_scalar(const tree *t, const yaml_event_t *event)
{
    char shown[CORE_SHOWN_BYTES];
    int n;
    const char *at = (const char *)event->data.scalar.value;
    CORE_FAIL_IF(strlen(at) != event->data.scalar.length, CORE_E_FORMAT,
                 "%s:%d: expected text, found a zero", t->name,
                 (int)event->start_mark.line + 1);
    while ((at = core_unprintable(at)) != NULL && (*at == '\n' || *at == '\t'))
        at++;
    CORE_FAIL_IF(at != NULL, CORE_E_FORMAT, "%s:%d:%d: expected text, found %s",
                 t->name, (int)event->start_mark.line + 1,
                 (int)event->start_mark.column + 1, core_shown(shown, at, &n));
    return CORE_OK;
}

/* A new node at the place of the event, with room for its text. */
static core_status add(tree *t, core_yaml_kind kind, const yaml_event_t *event,
                       core_yaml_node **out)
{
    const int line = (int)event->start_mark.line + 1;
    const size_t n = kind == CORE_YAML_SCALAR ? event->data.scalar.length : 0;
    CORE_FAIL_IF(t->n == CORE_YAML_NODES, CORE_E_FORMAT,
                 "%s:%d: more than %d values", t->name, line,
                 (int)CORE_YAML_NODES);
    core_yaml_node **grown =
        core_grow(t->node, &t->room, t->n + 1, sizeof *t->node, t->name);
    if (grown == NULL)
        return CORE_E_MEMORY;
    t->node = grown;
    void *memory = NULL;
    CORE_TRY(core_alloc(&memory, 1, sizeof(core_yaml_node) + n + 1, t->name));
    core_yaml_node *node = memory;
    char *text = (char *)(node + 1);
    *node = (core_yaml_node){.kind = kind,
                             .text = text,
                             .n = n,
                             .line = line,
                             .column = (int)event->start_mark.column + 1};
    if (kind == CORE_YAML_SCALAR) {
        memcpy(text, event->data.scalar.value, n);
        node->is_null = is_null(event);
    }
    text[n] = '\0';
    t->node[t->n++] = node;
    *out = node;
    return CORE_OK;
}

/* Behind its elder sister, or as the root. */
static void link_in(tree *t, core_yaml_node *node)
{
    if (t->depth == 0) {
        t->root = node;
        return;
    }
    *t->end[t->depth - 1] = node;
    t->end[t->depth - 1] = &node->next;
}

static core_status begin(tree *t, core_yaml_node *node)
{
    CORE_FAIL_IF(t->depth == CORE_YAML_LEVELS, CORE_E_FORMAT,
                 "%s:%d:%d: nested more than %d deep", t->name, node->line,
                 node->column, (int)CORE_YAML_LEVELS);
    t->end[t->depth] = &node->first;
    t->open[t->depth++] = node;
    return CORE_OK;
}

/* --- keys that come twice --- */

static int by_text(const void *a, const void *b)
{
    const core_yaml_node *x = *(core_yaml_node *const *)a;
    const core_yaml_node *y = *(core_yaml_node *const *)b;
    const int order = strcmp(x->text, y->text);
    return order != 0 ? order
           : x->line != y->line
               ? (x->line > y->line) - (x->line < y->line)
               : (x->column > y->column) - (x->column < y->column);
}

/* Sorted, because a map may have as many keys as a document nodes. */
static core_status find_repeats(const tree *t, const core_yaml_node *map)
{
    int64_t n = 0;
    void *memory = NULL;
    for (const core_yaml_node *k = map->first; k != NULL; k = k->next->next)
        n++;
    CORE_TRY(core_alloc(&memory, n, sizeof(core_yaml_node *), t->name));
    core_yaml_node **key = memory;
    n = 0;
    for (core_yaml_node *k = map->first; k != NULL; k = k->next->next)
        if (k->kind == CORE_YAML_SCALAR)
            key[n++] = k;
    qsort(key, (size_t)n, sizeof *key, by_text);
    for (int64_t i = 1, first = 0; i < n; i++) {
        if (strcmp(key[i]->text, key[first]->text) == 0)
            key[i]->first_line = key[first]->line;
        else
            first = i;
    }
    free(memory);
    return CORE_OK;
}

static core_status end(tree *t)
{
    const core_yaml_node *node = t->open[--t->depth];
    return node->kind == CORE_YAML_MAP ? find_repeats(t, node) : CORE_OK;
}

/* --- events --- */

static core_status take(tree *t, const yaml_event_t *event)
{
    const core_yaml_kind kind =
        event->type == YAML_MAPPING_START_EVENT    ? CORE_YAML_MAP
        : event->type == YAML_SEQUENCE_START_EVENT ? CORE_YAML_LIST
        : event->type == YAML_ALIAS_EVENT          ? CORE_YAML_ALIAS
                                                   : CORE_YAML_SCALAR;
    core_yaml_node *node = NULL;
    if (event->type == YAML_MAPPING_END_EVENT ||
        event->type == YAML_SEQUENCE_END_EVENT)
        return end(t);
    if (kind == CORE_YAML_SCALAR)
        CORE_TRY(check_scalar(t, event));
    CORE_TRY(add(t, kind, event, &node));
    link_in(t, node);
    return kind == CORE_YAML_MAP || kind == CORE_YAML_LIST ? begin(t, node)
                                                           : CORE_OK;
}

/* The line of the complaint, or the last one before it that is not blank: what
 * is never closed is complained of at the end.                               */
static core_status syntax_error(const char *text, const char *name,
                                const yaml_parser_t *parser)
{
    CORE_FAIL_IF(parser->error == YAML_MEMORY_ERROR, CORE_E_MEMORY,
                 "%s: no memory to parse", name);
    const char *words = text;
    int line = 1;
    for (size_t i = 0; i <= parser->problem_mark.line && *text != '\0'; i++) {
        const char *start = text + strspn(text, " \t\r");
        if (*start != '\n' && *start != '\0') {
            words = start;
            line = (int)i + 1;
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

/* All events up to the end of the stream. */
static core_status grow(tree *t, yaml_parser_t *parser, const char *text)
{
    int n_document = 0;
    for (bool is_over = false; !is_over;) {
        yaml_event_t event;
        core_status status = CORE_OK;
        if (yaml_parser_parse(parser, &event) == 0)
            return syntax_error(text, t->name, parser);
        is_over = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT && n_document++ > 0)
            status = core_fail(CORE_E_FORMAT,
                               "%s: a second document, expected one", t->name);
        else if (event.type >= YAML_ALIAS_EVENT)
            status = take(t, &event);
        yaml_event_delete(&event);
        CORE_TRY(status);
    }
    CORE_FAIL_IF(n_document == 0, CORE_E_FORMAT, "%s:1:1: no YAML document",
                 t->name);
    return CORE_OK;
}

/* %YAML and %TAG change how the rest is read: no description needs that.     */
static core_status refuse_directives(const char *text, const char *name)
{
    for (int line = 1; *text != '\0'; line++) {
        CORE_FAIL_IF(*text == '%', CORE_E_FORMAT,
                     "%s:%d:1: expected no directive", name, line);
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    return CORE_OK;
}

core_status core_yaml_read(const char *text, const char *name,
                           core_status (*read)(void *self,
                                               const core_yaml_node *root),
                           void *self)
{
    tree t = {.name = name};
    yaml_parser_t parser;
    CORE_TRY(core_text_check(text, strlen(text), name));
    CORE_TRY(refuse_directives(text, name));
    CORE_FAIL_IF(yaml_parser_initialize(&parser) == 0, CORE_E_MEMORY,
                 "%s: no memory to parse", name);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text,
                                 strlen(text));
    core_status status = grow(&t, &parser, text);
    yaml_parser_delete(&parser);
    if (status == CORE_OK)
        status = read(self, t.root);
    free_tree(&t);
    return status;
}
