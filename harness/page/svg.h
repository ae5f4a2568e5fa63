/* harness/page/svg.h -- the marks of our own pictures.
 *
 * They take their colours from the page's CSS variables and tell their numbers
 * in a <title>.  Sizes in pixels of the viewBox.
 */
#ifndef HAR_PAGE_SVG_H
#define HAR_PAGE_SVG_H

#include "core/base/status.h"

#include <stdio.h>

/* A picture, in a box that scrolls sideways where it has no room.  label: what
 * a screen reader says. */
void har_svg_open(FILE *out, int width, int height, const char *label);
void har_svg_close(FILE *out);

void har_svg_text(FILE *out, double x, double y, const char *class,
                  const char *fmt, ...) CORE_PRINTF(5, 6);

/* A rectangle in the colour of a variable, left open for more attributes; its
 * title closes it.                                                           */
void har_svg_rect(FILE *out, double x, double y, double w, double h,
                  const char *colour, double strength);
void har_svg_title(FILE *out, const char *fmt, ...) CORE_PRINTF(2, 3);

#endif
