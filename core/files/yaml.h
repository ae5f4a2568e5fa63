/* core/files/yaml.h -- one YAML document, and where its words stand.
 *
 * For sources that walk its nodes; core/files/yaml_list.h is for the others.
 */
#ifndef CORE_YAML_H
#define CORE_YAML_H

#include "core/base/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum core_yaml_kind {
    CORE_YAML_SCALAR,
    CORE_YAML_LIST,
    CORE_YAML_MAP,
    CORE_YAML_ALIAS /* never followed                                         */
} core_yaml_kind;

/* A node; a list's items, or a map's keys each with its value behind it, are
 * first, first->next and so on.                                              */
typedef struct core_yaml_node {
    core_yaml_kind kind;
    const char *text; /* of a scalar: n bytes and a zero                      */
    size_t n;
    bool is_null;     /* empty, ~ or null, unquoted                           */
    int line, column; /* from 1                                               */
    int first_line;   /* of a map's key: that of an earlier one with the same
                       * bytes; 0: there is none                              */
    struct core_yaml_node *first, *next;
} core_yaml_node;

/* Most levels and nodes of a document. */
enum { CORE_YAML_LEVELS = 64, CORE_YAML_NODES = 1 << 19 };

/* Hand the root of the one document in `text` to read(self, root); that of an
 * empty one is a null.  `name` is used in messages.                   [local]
 * Errors: E_FORMAT for what core_text_check refuses, a directive, a scalar that
 * is not printable but for line ends and tabs, more levels or nodes, no
 * document, a second one, or as "NAME:LINE: no valid YAML at 'START OF THE
 * LINE'"; E_MEMORY; what read returns.                                       */
CORE_NODISCARD core_status core_yaml_read(
    const char *text, const char *name,
    core_status (*read)(void *self, const core_yaml_node *root), void *self);

/* The words of a scalar, n bytes at text, and their place.                   */
typedef struct core_yaml_word {
    const char *text;
    size_t n;
    int line, column;
} core_yaml_word;

/* False if the node is no scalar.  The place is set wherever there is a text,
 * else left.                                                         [local] */
bool core_yaml_scalar(const core_yaml_node *node, core_yaml_word *out);

#endif
