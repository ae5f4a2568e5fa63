/* harness/perf/yaml.h -- a YAML document as a flat list of scalars with places.
 *
 *     links:                      links[0].name  "nvlink"  3:12
 *       - name: nvlink            links[0].gpus  "8"       4:12
 *         gpus: 8
 *
 * What the keys mean is the caller's; this refuses what no file of the program
 * may hold: aliases, keys given twice, empty lists, a second document.
 */
#ifndef HAR_PERF_YAML_H
#define HAR_PERF_YAML_H

#include "core/status.h"

#include <stddef.h>

enum { HAR_YAML_PATH = 96, HAR_YAML_TEXT = 256, HAR_YAML_DEPTH = 6 };

typedef struct har_yaml_entry {
    char path[HAR_YAML_PATH];
    char text[HAR_YAML_TEXT];
    int line, column; /* of the value, from 1                                 */
} har_yaml_entry;

typedef struct har_yaml {
    const char *file; /* stands in messages; borrowed                         */
    har_yaml_entry *at;
    size_t n, capacity;
} har_yaml;

/* Flatten `text`; the value of the top-level key `skip` (NULL: none) must be a
 * list and is not looked into.  Free with har_yaml_free also after an error.
 * Errors: E_FORMAT as FILE:LINE:COLUMN: reason; E_MEMORY.             [local] */
CORE_NODISCARD core_status har_yaml_read(har_yaml *out, const char *text,
                                         const char *file, const char *skip);
void har_yaml_free(har_yaml *yaml);

#endif
