/* golden/slope.h -- errors in proportion to the values, which roundings are
 * not.
 *
 * A row of a weight matrix that is off by a factor makes errors in one column
 * of what is computed with it, each too small to be told from a rounding, but
 * all in proportion to the values: they add up where roundings do not.  A cell
 * is a column in the rows that read the same matrix: all of a tap, or, behind
 * experts, those that chose one expert.  Its slope is
 *     sum e v / sqrt(sum v^2)   with   e = (found - honest) / s, v = honest / s
 *     s^2 = the row's mean square + honest^2
 * e is then a rounding of about the same size in every element, and the slope a
 * number of that size in every cell, however many rows it has; an error of
 * share p makes it p sqrt(sum v^2).
 */
#ifndef GOLD_SLOPE_H
#define GOLD_SLOPE_H

#include "core/model/taps.h"

typedef struct gold_slope {
    core_tap tap;
    int64_t n_group, n_col; /* n_group 0: not measured at this tap            */
    int64_t n_k;            /* experts of a token                             */
    double *sum;            /* [n_group, n_col, 2]: e v and v^2; owned        */
} gold_slope;

/* A cell, and what was found there. */
typedef struct gold_cell {
    double slope; /* without its sign                                         */
    double share; /* sum e v / sum v^2: by so much it is off, if it is        */
    int64_t group, col;
} gold_cell;

/* Of a row: the sum of the squares, each over n.                     [local] */
double gold_mean_square(const double *honest, int64_t n);

/* Is there a slope of this tap?  Not of integers, nor where there are too few
 * cells for the largest of them to say much.                         [local] */
bool gold_has_slope(const core_spec *spec, core_tap tap);

/* No rows yet.  Free with gold_slope_free.  Errors: E_MEMORY.        [local] */
CORE_NODISCARD core_status gold_slope_make(gold_slope *out,
                                           const core_spec *spec, core_tap tap);
void gold_slope_free(gold_slope *slope); /* harmless twice */

/* Take a row of the tap; ids [n_k] of its token, NULL: it has none.  Rows of
 * zeros are left out.                                                [local] */
void gold_slope_add(gold_slope *slope, int64_t row, const int64_t *ids,
                    const double *honest, const double *found);

/* The cell of the largest slope.                                     [local] */
gold_cell gold_slope_largest(const gold_slope *slope);

#endif
