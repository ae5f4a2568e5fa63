/* harness/program/manual.h -- a command's help as a page for man, and as words for
 * the completion of shells.
 */
#ifndef HAR_PROGRAM_MANUAL_H
#define HAR_PROGRAM_MANUAL_H

#include "harness/program/options.h"

#include <stdio.h>

/* Both take what argp would show: the options, which an empty one ends.      */
void har_manual_write(FILE *out, const har_command_line *line,
                      const struct argp_option *options);
void har_manual_words(FILE *out, const struct argp_option *options);

/* Text in a page, without meaning anything to man.                           */
void har_manual_text(FILE *out, const char *text);

/* The first line of a page, and where the pages point.                       */
void har_manual_head(FILE *out, const char *name, const char *summary);

#endif
