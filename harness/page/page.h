/* harness/page/page.h -- pages that stand alone: their frame, style and cells.
 *
 * No script, no font, no image from elsewhere: a page is kept with a CI run and
 * opened years later.  Colours are CSS variables with a light and a dark set.
 * Whatever comes from a file or the command line is written by har_page_text.
 * Write errors show in ferror(out).
 */
#ifndef HAR_PAGE_PAGE_H
#define HAR_PAGE_PAGE_H

#include "core/base/status.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

/* Text with &, <, >, quotes and control characters written for XML.          */
void har_page_text(FILE *out, const char *text);

/* The same of what a format makes, the first 2 KiB of it: so are all texts
 * below that have a format.                                                  */
void har_page_format(FILE *out, const char *fmt, va_list args);

/* Up to <main>; more_style: CSS after the common one.  Its end, with a footer:
 * the version and a note.                                                    */
void har_page_begin(FILE *out, const char *title, const char *more_style);
void har_page_end(FILE *out, const char *note);

/* A name and its text in a <dl>. */
void har_page_fact(FILE *out, const char *name, const char *fmt, ...)
    CORE_PRINTF(3, 4);

/* In a legend: a colour's strengths from end to end, and what the ends mean.  */
void har_page_ramp(FILE *out, const char *colour, double from, double to,
                   const char *low, const char *high);

/* Cells of a table: of a class, of a number. */
void har_page_cell(FILE *out, const char *class, const char *fmt, ...)
    CORE_PRINTF(3, 4);
void har_page_count(FILE *out, int64_t n);

#endif
