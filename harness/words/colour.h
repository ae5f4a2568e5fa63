/* harness/words/colour.h -- verdicts in colour, for people who look at a terminal.
 */
#ifndef HAR_WORDS_COLOUR_H
#define HAR_WORDS_COLOUR_H

#include <stdio.h>

/* Write the line as it is, without a newline of its own.  If `out` is a terminal,
 * and neither NO_COLOR nor TERM=dumb says otherwise, a verdict that it begins
 * with is green, yellow or red.                                       [local] */
void har_verdict_line(FILE *out, const char *line);

#endif
