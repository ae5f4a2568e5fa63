/* harness/page/sheet_labels.h -- words beside the points of a plot.
 *
 * gnuplot does not move labels out of each other's way, so a place is looked
 * for here: around the point, the nearest that meets no point and no label.  A
 * point without words is something to keep clear of.
 */
#ifndef HAR_PAGE_SHEET_LABELS_H
#define HAR_PAGE_SHEET_LABELS_H

#include <stdio.h>

typedef struct har__label {
    char text[48];
    double x, y, r; /* the point and its radius, pixels from the bottom left */
    double tx, ty;  /* the middle of the text, found                         */
    int placed;     /* 0: there is no room                                   */
} har__label;

typedef struct har__frame { /* of a plot, pixels from the bottom left         */
    double width, height;   /* of the picture                                 */
    double x0, x1, y0, y1;  /* between the axes                               */
} har__frame;

/* The usual one, and the margins that make it true of a script.              */
har__frame har__frame_of(int width, int height);
void har__frame_write(FILE *script, const har__frame *box);

/* Place n labels between the axes, the first first. */
void har__labels_place(har__label *label, int n, const har__frame *box);

/* "set label" for each that was placed. */
void har__labels_write(FILE *script, const har__label *label, int n,
                       const har__frame *box);

#endif
