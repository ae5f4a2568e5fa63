/* harness/page/sheet_labels.h -- words beside the points of a plot.
 *
 * gnuplot does not move labels out of each other's way, so a place is looked
 * for here: around the point, the nearest that meets no point and no label.  A
 * point without words is something to keep clear of.
 */
#ifndef HAR_PAGE_SHEET_LABELS_H
#define HAR_PAGE_SHEET_LABELS_H

#include <stdbool.h>
#include <stdio.h>

typedef struct har__label {
    char text[48];
    double x, y, r; /* the point and its radius, pixels from the bottom left */
    double tx, ty;  /* the middle of the text, found                         */
    int placed;     /* 0: there is no room                                   */
} har__label;

typedef struct har__frame { /* of a plot, pixels from the bottom left         */
    double width, height;   /* of the picture                                 */
    double left, right, bottom, top; /* the axes                              */
    double x0, x1, y0, y1;  /* what they show                                 */
    bool log_x, log_y;
} har__frame;

/* The usual one, HAR__WIDTH wide, whose axes show nothing yet; and the margins
 * that make it true of a script.                                             */
har__frame har__frame_of(int height);
void har__frame_write(FILE *script, const har__frame *box);

/* Ranges and titles of the axes.                                             */
void har__axes_write(FILE *script, const har__frame *box, const char *x_title,
                     const char *y_title);

/* A point without words at these values. */
har__label har__label_at(const har__frame *box, double x, double y, double r);

/* Place n labels between the axes, the first first. */
void har__labels_place(har__label *label, int n, const har__frame *box);

/* "set label" for each that was placed. */
void har__labels_write(FILE *script, const har__label *label, int n,
                       const har__frame *box);

#endif
