/* harness/program/families.h -- the table of families. */
#ifndef HAR_PROGRAM_FAMILIES_H
#define HAR_PROGRAM_FAMILIES_H

#include "core/base/status.h"

#include <stdio.h>

/* Families that are read, wrappers, and models that are refused, as Markdown.
 * Errors: those of core_config_parse.                                [local] */
CORE_NODISCARD core_status har_families_write(FILE *out);

#endif
