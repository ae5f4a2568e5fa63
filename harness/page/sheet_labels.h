/* harness/page/sheet_labels.h -- words beside the points of a plot.
 *
 * gnuplot does not move labels out of each other's way, so a place is looked
 * for here: around the point, the nearest that meets no point and no label.
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

/* Place n labels, the first first, inside [0, width] x [0, height].          */
void har__labels_place(har__label *label, int n, double width, double height);

/* "set label" for each that was placed.                                      */
void har__labels_write(FILE *script, const har__label *label, int n,
                       double width, double height);

#endif
