/* core/files/text.h -- small text files as strings. */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "core/base/status.h"

#include <stddef.h>
#include <stdio.h>

/* All of the text at `path` (core/files/open.h), checked as below; free() *out.
 * [local]
 * Errors: E_FILE; E_FORMAT if there are max_bytes or more, or what
 * core_text_check refuses; E_MEMORY.                                         */
CORE_NODISCARD core_status core_text_read(char **out, const char *path,
                                          size_t max_bytes);

/* The same, for readers of lines; close *out, then free() *text.     [local] */
CORE_NODISCARD core_status core_text_stream(FILE **out, char **text,
                                            const char *path, size_t max_bytes);

/* Does a text begin so, and what follows then (rest: or NULL)?  Does it end so?
 * [local] */
bool core_text_after(const char *text, const char *start, const char **rest);
bool core_text_ends(const char *text, const char *end);

/* Is all of a text one number from least to most?  *out is set if so. [local] */
bool core_text_number(double *out, const char *text, double least, double most);

/* May a parser see n bytes at text?  They are UTF-8 without control characters
 * other than tab and line ends, without U+FFFE and U+FFFF.  `name` is used in
 * messages.                                                          [local]
 * Errors: E_FORMAT as "NAME:LINE:COLUMN: reason"; columns are characters.    */
CORE_NODISCARD core_status core_text_check(const char *text, size_t n_bytes,
                                           const char *name);

#endif
