/* core/files/text.h -- small text files as strings. */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "core/base/status.h"

#include <stddef.h>

/* All of the file at `path`; free() *out.  A zero byte is refused: whoever
 * parses the string would stop there.                                [local]
 * Errors: E_FILE, E_FORMAT if there are max_bytes or more, E_MEMORY.         */
CORE_NODISCARD core_status core_text_read(char **out, const char *path,
                                          size_t max_bytes);

/* Does a text begin so, and what follows then (rest: or NULL)?  Does it end so?
 * [local] */
bool core_text_after(const char *text, const char *start, const char **rest);
bool core_text_ends(const char *text, const char *end);

/* Is it a text that a YAML parser may see: UTF-8, without the characters that
 * YAML forbids (control characters other than tab and line ends, U+FFFE,
 * U+FFFF)?  `name` is used in messages.                              [local]
 * Errors: E_FORMAT as "NAME:LINE:COLUMN: reason"; columns are characters.    */
CORE_NODISCARD core_status core_text_check(const char *text, const char *name);

#endif
