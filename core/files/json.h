/* core/files/json.h -- one way to parse JSON, with errors that name the place; and to
 * write texts that need not be UTF-8.
 *
 * For sources that already use jansson; everybody else never sees it.
 */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "core/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* jansson answers a lack of memory in many ways: a parser that blames the text, a
 * member that is missing without a word.  After the first of these, which is for
 * main, the second says whether this thread has ever lacked memory in it.
 *                                                                    [local] */
void core_json_watch_memory(void);
bool core_json_lacks_memory(void);

/* Parse n_bytes of UTF-8 text; duplicate keys and anything after the value but
 * white space are refused.  The caller frees *out with json_decref.   [local]
 * Errors: E_FORMAT for what core_text_check refuses, and as
 * "NAME:LINE:COLUMN: reason, after 'TEXT'"; E_MEMORY; *out unchanged.        */
CORE_NODISCARD core_status core_json_parse(json_t **out, const char *text,
                                           size_t n_bytes, const char *name);

/* The same for what Python writes: NaN, Infinity and -Infinity, which are no
 * JSON, become the texts "NaN", "Infinity" and "-Infinity".          [local] */
CORE_NODISCARD core_status core_json_parse_python(json_t **out,
                                                  const char *text,
                                                  size_t n_bytes,
                                                  const char *name);

/* True for a number and for those three texts.                       [local] */
bool core_json_python_real(const json_t *value, double *out);

/* json_string for a path, a file's name or a message that was cut off: where
 * the text is no UTF-8, which json_string answers with NULL, so that a member
 * would be missing without a word, all its bytes beyond ASCII become '?'.
 * NULL only without memory.                                          [local] */
json_t *core_json_text(const char *text);

/* A number; what JSON has none for is the text "nan", "inf", "-inf".  [local] */
json_t *core_json_number(double x);

/* Members of an object.  put takes the value over.                   [local] */
void core_json_put(json_t *object, const char *key, json_t *value);
void core_json_put_int(json_t *object, const char *key, int64_t value);
void core_json_put_number(json_t *object, const char *key, double value);
void core_json_put_text(json_t *object, const char *key, const char *value);

#endif
