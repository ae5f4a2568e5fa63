/* harness/verify/precision.c -- precision from sums of errors, see precision.h.
 *
 * The promise.  A bound is (1 + u_s)(d + s): d what computing may do, s = 2 u_s
 * |y| what storing may.  Two results that are at most d apart before they are
 * stored to a grid of unit s or less, with y anywhere between its points, are
 * stored to different points with probability d/s at most.  So the expectation
 * of error^2 is at most s d + d^2, and of (error / bound)^2 at most d / (d +
 * s), the part of the bound that is not storage.  The sum of that over a tap is
 * what the sum of (error / bound)^2 may be, plus what chance adds: each term
 * lies in [0, 1], so by Bernstein's inequality a sum with expectation A exceeds
 * A + sqrt(56 A) + 19 with probability exp(-28).  Elements are not independent
 * (tokens repeat), but d is a worst case, tens of times what is seen.  In fp32
 * d is nearly all of the bound: there the elements decide before the rms does.
 *
 * Limits: where K is in the thousands d comes near to s, and a sum in bf16
 * hides; a store too many of a value that is stored anyway is no error at all;
 * and a wrong factor below a unit of storage has lost its shape and looks like
 * rounding (fp32 mode tells).
 */
#include "harness/verify/precision.h"

#include <math.h>
#include <stdio.h>

int64_t har_precision_row(har_precision *grade, core_numerics numerics,
                          double weight, int64_t n, const double *expected,
                          const double *found, const double *bound,
                          double *error, bool follows)
{
    har_precision g = {0};
    int64_t n_marginal = 0;
    double cross = 0.0;
    for (int64_t j = 0; j < n; j++) {
        const double e = found[j] - expected[j], before = error[j];
        error[j] = isfinite(e) ? e : 0.0;
        if (!isfinite(e) || !(bound[j] > 0.0))
            continue;
        const double storing = core_store_error(numerics, expected[j]);
        const double share = e / bound[j];
        const double allowed = 1.0 - storing / bound[j];
        g.n += 1.0;
        g.sum_share += share * share;
        g.sum_allowed += allowed > 0.0 ? allowed : 0.0;
        g.sum_sq_error += e * e;
        g.sum_4th_error += e * e * e * e;
        g.sum_sq_expected += expected[j] * expected[j];
        cross += e * expected[j];
        g.sum_lag += follows ? e * before : 0.0;
        n_marginal +=
            fabs(share) > 0.5 && fabs(share) <= 1.0 && fabs(e) > storing;
    }
    grade->n += weight * g.n;
    grade->sum_share += weight * g.sum_share;
    grade->sum_allowed += weight * g.sum_allowed;
    grade->sum_sq_error += weight * g.sum_sq_error;
    grade->sum_4th_error += weight * g.sum_4th_error;
    grade->sum_sq_expected += weight * g.sum_sq_expected;
    if (g.sum_sq_expected > 0.0)
        grade->sum_sq_gain += weight * (cross * cross / g.sum_sq_expected);
    grade->sum_lag += weight * g.sum_lag;
    return n_marginal;
}

double har_precision_ratio(const har_precision *grade)
{
    const double a = grade->sum_allowed;
    return sqrt(grade->sum_share / (a + sqrt(56.0 * a) + 19.0));
}

static double relative_rms(const har_precision *grade)
{
    return grade->sum_sq_error > 0.0
               ? sqrt(grade->sum_sq_error / grade->sum_sq_expected)
               : 0.0;
}

/* n sum(error^4) / (sum error^2)^2: 3 for a normal distribution. */
static double kurtosis(const har_precision *grade)
{
    const double square = grade->sum_sq_error;
    return grade->n * grade->sum_4th_error / (square * square);
}

/* What tells rounding from a wrong operator, and what rounding itself gives:
 *   small   a wrong operator is off by the size of its values, if not in all
 *           rows; rounding by less than 2^-4 even with four bits
 *   coarse  no more than bf16 makes of the same operator: bounds are
 *           proportional to the roundoffs of computing and of storing, and bf16
 *           has 2^-8 for both
 *   spread  a part f of the rows that is wrong makes a kurtosis of 3/f; values
 *           of many scales make one of 10, some ranks of all another factor
 *   no gain a factor too much, or a statistic that is wrong for a row, makes
 *           all errors of it the same part of their value; truncation, all of
 *           one sign, reaches 3/4
 *   no line a bias too few is the same error in every row of a column; rounding
 *           knows nothing of the row before
 */
bool har_precision_is_rounding(const har_precision *grade,
                               core_numerics numerics)
{
    const double computing = grade->sum_allowed / grade->n; /* of a bound */
    const double coarsest =
        0x1p-8 * (computing / core_sum_roundoff(numerics) +
                  (1.0 - computing) / core_store_roundoff(numerics));
    return relative_rms(grade) <= 0x1p-4 &&
           sqrt(grade->sum_share / grade->n) <= coarsest &&
           kurtosis(grade) <= 40.0 &&
           grade->sum_sq_gain <= 0.9 * grade->sum_sq_error &&
           fabs(grade->sum_lag) <= 0.5 * grade->sum_sq_error;
}

/* A value rounded to p bits is off by 0.42 2^-p of itself in the rms (uniform
 * over a unit, values spread evenly on a logarithmic scale).  Noise below a
 * unit of storage shows only by the chance that it tips a store, which makes
 * its rms d an rms error of sqrt(1.2 u_s d). */
double har_precision_bits(const har_precision *grade, core_numerics numerics)
{
    const double error = relative_rms(grade);
    const double unit = 1.2 * core_store_roundoff(numerics);
    const double noise = error < unit ? error * error / unit : error;
    return -log2(noise / 0.42);
}

const char *har_precision_format(const har_precision *grade,
                                 core_numerics numerics,
                                 char text[HAR_PRECISION_TEXT])
{
    static const char *const sums[CORE_N_NUMERICS] = {
        "", "fp64 sums", "fp32 sums", "fp32 sums and bf16 storage"};
    const double bits = har_precision_bits(grade, numerics);
    const char *like = bits < 6.5    ? ", like long sums in bf16"
                       : bits < 9.5  ? ", like bf16"
                       : bits < 12.5 ? ", like fp16 or TF32"
                       : numerics == CORE_FP64 && bits < 25.5 ? ", like fp32"
                                                              : "";
    snprintf(text, HAR_PRECISION_TEXT,
             "about %.0f bits of precision%s: errors %.3g times the rms that "
             "%s explain",
             bits, like, har_precision_ratio(grade), sums[numerics]);
    return text;
}
