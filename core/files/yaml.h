/* core/files/yaml.h -- one YAML document, and where its words stand.
 *
 * For sources that walk libfyaml's nodes; core/files/yaml_list.h is for the others.
 */
#ifndef CORE_YAML_H
#define CORE_YAML_H

#include "core/base/status.h"

#include <libfyaml.h>

/* A plain scalar: n bytes of the document, not terminated; line and column
 * count from 1.                                                              */
typedef struct core_yaml_word {
    const char *text;
    size_t n;
    int line, column;
} core_yaml_word;

/* Hand the root (NULL: an empty document) of the one document in `text` to
 * read(self, root).  `name` is used in messages.                      [local]
 * Errors: E_FORMAT for what core_text_check refuses, no document, a second one,
 * or as "NAME:LINE: no valid YAML at 'START OF THE LINE'"; E_MEMORY; what read
 * returns.                                                                   */
CORE_NODISCARD core_status core_yaml_read(
    const char *text, const char *name,
    core_status (*read)(void *self, struct fy_node *root), void *self);

/* False if the node is no plain scalar with a text (an alias is none).  The
 * place is set wherever there is a text, else left.                  [local] */
bool core_yaml_scalar(struct fy_node *node, core_yaml_word *out);

/* The line of an earlier pair of `map` with the key of `pair`, a scalar of the
 * same bytes; 0 if there is none.                                    [local] */
int core_yaml_repeats(struct fy_node *map, struct fy_node_pair *pair);

#endif
