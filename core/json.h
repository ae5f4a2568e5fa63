/* core/json.h -- one way to parse JSON, with errors that name the place.
 *
 * For sources that already use jansson; everybody else never sees it.
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "core/status.h"

#include <jansson.h>
#include <stddef.h>

/* Parse n_bytes of UTF-8 text; duplicate keys and anything after the value but
 * white space are refused.  The caller frees *out with json_decref.   [local]
 * Errors: E_FORMAT as "NAME:LINE:COLUMN: reason"; *out unchanged.            */
CORE_NODISCARD core_status core_json_parse(json_t **out, const char *text,
                                           size_t n_bytes, const char *name);

#endif
