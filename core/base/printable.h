/* core/base/printable.h -- text that others wrote, fit to be shown.
 *
 * A name in a file may hold what a terminal obeys: escapes, line ends, controls
 * of the second set (U+0080 to U+009F), marks that turn the direction of
 * writing, characters that nobody sees.  Whatever shows such a text shows it
 * through here, where each becomes \n, \t, \r, \x1B or \u202E, and a byte that
 * is no UTF-8 \xFF.
 */
#ifndef CORE_PRINTABLE_H
#define CORE_PRINTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Room for a name in a line.                                                 */
enum { CORE_PRINTABLE_BYTES = 400 };

/* Bytes of the UTF-8 character at `at`, where n > 0 bytes are, which is *c; 0
 * if there is none.  A zero byte is a character of one byte; nothing beyond it
 * is read.                                                              [local]
 */
int core_utf8(const char *at, size_t n, uint32_t *c);

/* What the character at `at` is shown as: *n bytes of the text are gone then.
 */
enum { CORE_SHOWN_BYTES = 12 };
const char *core_shown(char out[CORE_SHOWN_BYTES], const char *at, int *n);

/* The whole text in `bytes` of out, cut at a character if it is longer; returns
 * out.                                                               [local] */
const char *core_printable(char *out, size_t bytes, const char *text);

/* The first character of `text` that is not shown as it is; NULL: none. [local] */
const char *core_unprintable(const char *text);

/* The whole text, whatever its length.                               [local] */
void core_print(FILE *out, const char *text);

#endif
