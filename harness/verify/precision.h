/* harness/verify/precision.h -- how precise is a tap, and is an error one of
 * precision?
 *
 * A bound judges one element.  Fewer bits than promised may hide below it: in
 * bf16 a sum whose parts were rounded is still within a unit of storage.  But
 * the errors of a tap add up to an rms, and that is promised, too.  Where
 * elements do fail, the errors tell rounding (small, without sign or place)
 * from a wrong operator.
 */
#ifndef HAR_PRECISION_H
#define HAR_PRECISION_H

#include "core/numbers/numerics.h"

enum { HAR_PRECISION_TEXT = 160 };

/* Of the finite elements of a tap that has bounds; sums over pieces and ranks.
 * A piece that m ranks hold counts 1/m on each.                              */
typedef struct har_precision {
    double n;           /* elements                                    */
    double sum_share;   /* of (error / bound)^2                        */
    double sum_allowed; /* the largest expectation of that sum         */
    double sum_sq_error, sum_sq_expected;
    double sum_4th_error; /* of error^4                                  */
    double sum_sq_gain;   /* of error^2, what one factor per row makes   */
    double sum_lag;       /* of error * that of the row shown before     */
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

/* rms of the errors over the largest that the numerics explain: above 1 (or
 * NaN) the tap has less precision than promised.                     [local] */
double har_precision_ratio(const har_precision *grade);

/* Elements fail: do all errors look like rounding, with some bits too few?
 * Counts only finite errors.                                         [local] */
bool har_precision_is_rounding(const har_precision *grade,
                               core_numerics numerics);

/* The bits that the results seem to have been computed with.         [local] */
double har_precision_bits(const har_precision *grade, core_numerics numerics);

/* "about 8 bits of precision, like bf16: errors 5.1 times the rms that fp32
 * sums and bf16 storage explain".                                    [local] */
const char *har_precision_format(const har_precision *grade,
                                 core_numerics numerics,
                                 char text[HAR_PRECISION_TEXT]);

#endif
