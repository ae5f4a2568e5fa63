/* harness/page/gnuplot.h -- plots with axes, drawn by gnuplot, inside a page.
 *
 * A script is gnuplot's own language with inline data.  Colours are written as
 * @ink, @soft, @line, @good, @warn, @bad, @idle, @load, @g0 to @g5: variables
 * of the page, so that a plot follows its light and its dark set.  "labels
 * hypertext" become titles that a pointer shows.  Points are circles: pt 7
 * filled, pt 6 open.
 */
#ifndef HAR_PAGE_GNUPLOT_H
#define HAR_PAGE_GNUPLOT_H

#include "core/base/status.h"

#include <stdio.h>

/* Is there a gnuplot that starts?  Errors: E_PROGRAM.    [local] */
CORE_NODISCARD core_status har_gnuplot_check(void);

/* Draw a script into an <svg> of the page.  The script sets no terminal and no
 * output; label: what a screen reader says.  Errors: E_PROGRAM, with gnuplot's
 * own complaint; E_FILE without a place for temporary files.    [local] */
CORE_NODISCARD core_status har_gnuplot_draw(FILE *out, const char *script,
                                            int width, int height,
                                            const char *label);

/* A text for between quotes of a script: what would end them or run a command
 * becomes a space, the rest is printable (core/base/printable.h).            */
void har_gnuplot_text(FILE *script, const char *text);

#endif
