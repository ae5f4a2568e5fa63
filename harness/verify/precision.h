/* harness/verify/precision.h -- how precise is a tap, and is an error one of
 * precision?
 *
 * A bound judges one element.  Fewer bits than promised may hide below it: in
 * bf16 a sum whose parts were rounded is still within a unit of storage.  But
 * the errors of a tap add up, and how much honest roundings of this operator
 * make is known: it was drawn (spread.h).  Where elements do fail, the errors
 * tell rounding (small, without sign or place) from a wrong operator.
 */
#ifndef HAR_PRECISION_H
#define HAR_PRECISION_H

#include "core/numbers/numerics.h"

enum { HAR_PRECISION_TEXT = 240 };

/* Of the finite elements of a tap that has bounds; sums over pieces and ranks.
 * A piece that m ranks hold counts 1/m on each.                              */
typedef struct har_precision {
    double n;          /* elements that err, or that a bound lets err         */
    double n_still;    /* others, but for zeros: moved, and right             */
    double n_error;    /* of them, not as expected                            */
    double sum_spread; /* of min(1, (error / scale)^2): precision.c           */
    double sum_sq_error, sum_4th_error, sum_sq_expected;
    double n_row, sum_sq_row; /* pieces of rows; (their n_error)^2            */
    double n_below;           /* errors below one of the row shown before     */
    double sum_sq_gain; /* of error^2, what one factor per row makes, and     */
    double sum_sq_own;  /* what it would be if errors had nothing in common   */
    double sum_lag;     /* of error * that of the row shown before            */
} har_precision;

enum { HAR_PRECISION_SUMS = sizeof(har_precision) / sizeof(double) };

/* Take in n elements of a row.  error [n] is scratch that the caller keeps from
 * row to row of a piece; `follows`: it holds those of the row before.  Returns
 * how many elements are marginal: accepted, but over half their bound, and by
 * more than storing alone may part two results.                      [local] */
int64_t har_precision_row(har_precision *grade, core_numerics numerics,
                          double weight, int64_t n, const double *expected,
                          const double *found, const double *bound,
                          double *error, bool follows);

void har_precision_add(har_precision *to, const har_precision *from);

/* In what follows `honest` is what drawn roundings of the operator make, in all
 * draws together; its n is 0 where there are none (fp64).                    */

/* rms of the errors over the largest that honest roundings explain: above 1 (or
 * NaN) the tap has less precision than promised.                     [local] */
double har_precision_ratio(const har_precision *grade,
                           const har_precision *honest);

/* Elements fail: do all errors look like rounding, with some bits too few?
 * copies_agree: ranks that hold the same elements found the same.  Counts only
 * finite errors.                                                     [local] */
bool har_precision_is_rounding(const har_precision *grade,
                               const har_precision *honest,
                               core_numerics numerics, bool copies_agree);

/* The bits that the results seem to have been computed with.         [local] */
double har_precision_bits(const har_precision *grade, core_numerics numerics);

/* "about 8 bits of precision, like bf16: errors 5.1 times the rms that fp32
 * sums and bf16 storage explain".                                    [local] */
const char *har_precision_format(const har_precision *grade,
                                 const har_precision *honest,
                                 core_numerics numerics,
                                 char text[HAR_PRECISION_TEXT]);

#endif
