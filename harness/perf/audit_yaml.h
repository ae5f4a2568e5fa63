/* harness/perf/audit_yaml.h -- private to audit_read.c: YAML with places.
 *
 * A thin layer over libfyaml: one document per file, maps as lists of fields
 * with the place of each, plain one-line scalars, every refusal as
 * file:line:column.
 */
#ifndef HAR_PERF_AUDIT_YAML_H
#define HAR_PERF_AUDIT_YAML_H

#include "core/status.h"

#include <stddef.h>

enum { HAR__YAML_TEXT = 300, HAR__YAML_KEYS = 16 };

struct fy_node;

/* Where we are: the last thing looked at, lines and columns from 1. */
typedef struct har__yaml {
    const char *path;
    int line, column;
} har__yaml;

/* A pair of a map; text is filled by who knows that it is a scalar. */
typedef struct har__field {
    char key[48];
    char text[HAR__YAML_TEXT];
    struct fy_node *value;
    int line, column;
} har__field;

/* E_FORMAT with the place. */
core_status har__yaml_fail(const har__yaml *y, const char *fmt, ...)
    CORE_PRINTF(2, 3);

/* Move to a scalar; anything else leaves the place. */
void har__yaml_look_at(har__yaml *y, struct fy_node *node);

/* One line of text.  Errors: E_FORMAT.                                [local] */
CORE_NODISCARD core_status har__yaml_scalar(har__yaml *y, struct fy_node *node,
                                            char *out, size_t bytes,
                                            const char *what);

/* All pairs of a map, keys different; fields: [HAR__YAML_KEYS].       [local] */
CORE_NODISCARD core_status har__yaml_map(har__yaml *y, struct fy_node *map,
                                         const char *what, har__field *fields,
                                         int *n);

/* Read a file of one document and hand its root to visit.             [local]
 * Errors: E_FILE, E_FORMAT, what visit returns.                               */
CORE_NODISCARD core_status har__yaml_read(
    const char *path, core_status (*visit)(void *self, struct fy_node *root),
    void *self);

#endif
