/* core/files/yaml_list.h -- a YAML document as a flat list of scalars with places.
 *
 *     links:                      links[0].name  "nvlink"  3:12
 *       - name: nvlink            links[0].gpus  "8"       4:12
 *         gpus: 8
 *
 * What the keys mean is the caller's; this refuses what no file of the program
 * may hold: aliases, keys given twice, empty maps and lists, a second document.
 */
#ifndef CORE_YAML_LIST_H
#define CORE_YAML_LIST_H

#include "core/base/status.h"

#include <stddef.h>
#include <stdint.h>

enum { CORE_YAML_PATH = 96, CORE_YAML_TEXT = 300, CORE_YAML_DEPTH = 6 };

typedef struct core_yaml_entry {
    char path[CORE_YAML_PATH];
    char text[CORE_YAML_TEXT];
    int line, column;         /* of the value, from 1                         */
    int key_line, key_column; /* of the last key on the way to it             */
} core_yaml_entry;

typedef struct core_yaml_list {
    const char *file; /* stands in messages; borrowed                         */
    core_yaml_entry *at;
    size_t n;
    int64_t room;
} core_yaml_list;

/* Flatten `text`; the value of the top-level key `skip` (NULL: none) must be a
 * list and is not looked into.  `what` says in messages what the document is.
 * Free with core_yaml_list_free also after an error.                  [local]
 * Errors: E_FORMAT as FILE:LINE:COLUMN: reason; E_MEMORY.                    */
CORE_NODISCARD core_status core_yaml_list_read(core_yaml_list *out,
                                               const char *text,
                                               const char *file,
                                               const char *what,
                                               const char *skip);
void core_yaml_list_free(core_yaml_list *list);

#endif
