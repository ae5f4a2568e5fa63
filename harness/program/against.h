/* harness/program/against.h -- a model held against another description of it.
 */
#ifndef HAR_PROGRAM_AGAINST_H
#define HAR_PROGRAM_AGAINST_H

#include "core/model/spec.h"

/* Each field in which they differ, with who says it where `model` is a GGUF
 * file.  Errors: E_DIFFERS, if there is one; E_MEMORY; those of
 * core_gguf_open.                                                    [local] */
CORE_NODISCARD core_status har_against_write(FILE *out, const core_spec *spec,
                                             const char *model,
                                             const core_spec *other,
                                             const char *other_model);

#endif
