/* harness/launch/jsonfile.h -- a JSON file that exists only when it is complete. */
#ifndef HAR_JSONFILE_H
#define HAR_JSONFILE_H

#include "core/files/json.h"

/* Write a value, which is freed; NULL: there was no memory for it.  Errors:
 * E_MEMORY; those of har_outfile_open and har_outfile_commit.         [local] */
CORE_NODISCARD core_status har_json_write(const char *path, json_t *value);

#endif
