/* harness/program/inspect_gguf.h -- what a GGUF file holds. */
#ifndef HAR_PROGRAM_INSPECT_GGUF_H
#define HAR_PROGRAM_INSPECT_GGUF_H

#include "core/base/status.h"

#include <stdio.h>

/* Metadata and tensors, those of all files of a split one; of a long text or
 * list the beginning.  Errors: those of core_gguf_open.              [local] */
CORE_NODISCARD core_status har_inspect_gguf(const char *path);

/* A line of `spec`: in which formats its tensors are.  Errors: the same.      */
CORE_NODISCARD core_status har_gguf_write_stored(FILE *out, const char *path);

#endif
