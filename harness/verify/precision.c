/* harness/verify/precision.c -- precision from sums of errors, see precision.h.
 *
 * The scale of an element.  Its bound is (1 + u_s)(d + s): d what computing may
 * do, s = 2 u_s |y| what storing on two sides may.  d is a worst case: of a sum
 * of n terms it is 8 sqrt(n) u times magnitudes, where the rms of roundings of
 * random sign is sqrt(n) u at most.  So d/8 + s is the size of an error, and
 * min(1, (error / scale)^2), summed over a tap, tells an rms that a few large
 * errors do not rule.
 *
 * The promise.  Draws of the operator (spread.h) made the sum H, over k times
 * as many elements as the run, whose sum is S.  If the run errs by what the
 * draws do, or less than a bit more (four times the square, which leaves room
 * for an order of summing that is worse than any drawn), then by Chernoff's
 * inequality for terms in [0, 1], whatever the true expectation, sums as far
 * apart have a probability of at most exp(-E), where E is S + H times the
 * relative entropy of a coin that falls S / (S + H) and one that falls 4 / (4 +
 * k).  Where E is above 28, that is 1e-12 with room for elements that are not
 * independent because tokens repeat, the tap has fewer bits than promised.
 *
 * Limits: noise far below a unit of storage tips few stores, so what it makes
 * of small taps disappears; a store too many of a value that is stored anyway
 * is no error at all; and a wrong factor below a unit of storage has lost its
 * shape and looks like rounding (fp32 mode tells).
 */
#include "harness/verify/precision.h"

#include <math.h>
#include <stdio.h>

static const double EVIDENCE = 28.0;

int64_t har_precision_row(har_precision *grade, core_numerics numerics,
                          double weight, int64_t n, const double *expected,
                          const double *found, const double *bound,
                          double *error, bool follows)
{
    const double least = core_store_error(numerics, 0.0);
    const double of_store = core_store_error(numerics, 1.0) - least;
    har_precision g = {0};
    int64_t n_marginal = 0;
    double cross = 0.0, own = 0.0;
    for (int64_t j = 0; j < n; j++) {
        const double y = expected[j], e = found[j] - y, before = error[j];
        error[j] = isfinite(e) ? e : 0.0;
        const bool is_still = e == 0.0 && bound[j] == 0.0;
        g.n_still += is_still && y != 0.0 ? 1.0 : 0.0;
        if (!isfinite(e) || is_still)
            continue;
        g.n += 1.0;
        g.sum_sq_expected += y * y;
        if (e == 0.0)
            continue;
        /* a transfer has bound 0: it is held against a store of the value */
        const double storing = of_store * fabs(y) + least;
        const double allowed = bound[j] > 0.0 ? bound[j] : storing;
        const double computing = allowed > storing ? allowed - storing : 0.0;
        const double share = e / allowed;
        const double spread = e / (storing + 0.125 * computing);
        g.n_error += 1.0;
        g.sum_spread += fmin(1.0, spread * spread);
        g.sum_sq_error += e * e;
        /* no rounding moves a zero */
        g.sum_4th_error += allowed > 0.0 ? e * e * e * e : HUGE_VAL;
        cross += e * y;
        own += e * e * y * y;
        g.sum_lag += follows ? e * before : 0.0;
        g.n_below += follows && before != 0.0 ? 1.0 : 0.0;
        n_marginal +=
            fabs(share) > 0.5 && fabs(share) <= 1.0 && fabs(e) > storing;
    }
    grade->n += weight * g.n;
    grade->n_still += weight * g.n_still;
    grade->n_error += weight * g.n_error;
    grade->sum_spread += weight * g.sum_spread;
    grade->n_row += g.n + g.n_still > 0.0 ? weight : 0.0;
    grade->sum_sq_row += weight * g.n_error * g.n_error;
    grade->n_below += weight * g.n_below;
    grade->sum_sq_error += weight * g.sum_sq_error;
    grade->sum_4th_error += weight * g.sum_4th_error;
    grade->sum_sq_expected += weight * g.sum_sq_expected;
    if (g.sum_sq_expected > 0.0) {
        grade->sum_sq_gain += weight * (cross * cross / g.sum_sq_expected);
        grade->sum_sq_own += weight * (own / g.sum_sq_expected);
    }
    grade->sum_lag += weight * g.sum_lag;
    return n_marginal;
}

void har_precision_add(har_precision *to, const har_precision *from)
{
    double *a = (double *)to;
    const double *b = (const double *)from;
    for (int i = 0; i < (int)HAR_PRECISION_SUMS; i++)
        a[i] += b[i];
}

/* (s + h) KL(s / (s + h), p), for s / (s + h) above p. */
static double evidence(double s, double h, double p)
{
    const double part = s / (s + h);
    return s * log(part / p) +
           (h > 0.0 ? h * log((1.0 - part) / (1.0 - p)) : 0.0);
}

/* The largest S that H explains: evidence grows with S from S = H p / (1 - p)
 * on, where it is 0.                                                         */
static double explained(double h, double p)
{
    double low = h * p / (1.0 - p), high = 2.0 * low + EVIDENCE / -log(p);
    while (evidence(high, h, p) < EVIDENCE)
        high *= 2.0;
    for (int i = 0; i < 50; i++) {
        const double middle = 0.5 * (low + high);
        if (evidence(middle, h, p) < EVIDENCE)
            low = middle;
        else
            high = middle;
    }
    return high;
}

double har_precision_ratio(const har_precision *grade,
                           const har_precision *honest)
{
    if (!(honest->n > 0.0 && grade->n > 0.0)) /* as large as the scale */
        return sqrt(grade->sum_spread / fmax(grade->n, 1.0));
    const double p = 4.0 / (4.0 + honest->n / grade->n);
    return sqrt(grade->sum_spread / explained(honest->sum_spread, p));
}

static double relative_rms(const har_precision *grade)
{
    return grade->sum_sq_error > 0.0
               ? sqrt(grade->sum_sq_error / grade->sum_sq_expected)
               : 0.0;
}

/* The rms of e / y where y was rounded to p bits (uniform over a unit, values
 * spread evenly on a logarithmic scale) is 0.42 2^-p.                        */
static const double OF_ROUNDING = 0.42;

/* m sum(error^4) / (sum error^2)^2 of m that are off: 3 for a normal
 * distribution.                                                              */
static double kurtosis(const har_precision *g)
{
    return g->n_error * g->sum_4th_error / (g->sum_sq_error * g->sum_sq_error);
}

/* The rms of what is off, as a part of the rms of all values. */
static double size(const har_precision *g)
{
    return sqrt(g->sum_sq_error / g->n_error) / sqrt(g->sum_sq_expected / g->n);
}

/* Errors that storing hides lie where chance puts them: a pair of them in one
 * row, or one below the other, is as frequent as their number squared says.
 * One rank of eight may be the one that rounds.                              */
static bool is_spread(const har_precision *g)
{
    const double square = 8.0 * g->n_error * g->n_error;
    return (g->sum_sq_row - g->n_error) * g->n_row <= square &&
           g->n_below * (g->n + g->n_still) <= square;
}

/* Have the errors of a row a factor in common?  Without one the square of their
 * sum is, in the mean, the sum of their squares; half is left to chance.     */
static bool have_factor(const har_precision *g)
{
    return g->sum_sq_gain > 2.0 * g->sum_sq_own;
}

/* As coarse as bf16 would make this operator?  In fp32 draws say what 2^-24
 * makes, of a store alone at least: sums in bf16 make 2^16 times that,
 * truncation twice as much, and a bit is left to chance.  In bf16 the inside of
 * an operator cannot be seen in what was stored of it.                       */
static bool is_no_coarser_than_bf16(const har_precision *grade,
                                    const har_precision *honest,
                                    core_numerics numerics)
{
    const double u = core_sum_roundoff(numerics);
    const double of_honest = fmax(relative_rms(honest), OF_ROUNDING * u);
    const bool is_seen = honest->n > 0.0 && core_store_roundoff(numerics) == u;
    return !is_seen || relative_rms(grade) <= 4.0 * (0x1p-8 / u) * of_honest;
}

/* What tells rounding from a wrong operator, and what rounding itself gives:
 *   many    a few errors have no shape
 *   small   a wrong element is off by its size, if not all are wrong; rounding
 *           by less than 2^-4 even with four bits
 *   coarse  no more than bf16 makes of the same operator
 *   spread  a part f of the elements that is wrong makes a kurtosis of 3/f,
 *           where all others err a little; values of many scales make one of
 *           10.  Where all others are right, it lies in some rows or columns
 *   no gain a factor too much, or a statistic that is wrong for a row, makes
 *           all errors of it the same part of their value; truncation, all of
 *           one sign, reaches 3/4.  Where honest errors have such a factor, a
 *           norm's sum of squares for one, it is rounding, too, if all ranks
 *           that computed it have the same
 *   no line a bias too few is the same error in every row of a column; rounding
 *           knows nothing of the row before
 */
bool har_precision_is_rounding(const har_precision *grade,
                               const har_precision *honest,
                               core_numerics numerics, bool copies_agree)
{
    const bool has_gain =
        grade->sum_sq_gain > 0.9 * grade->sum_sq_error && have_factor(grade);
    return grade->n_error >= 20.0 && size(grade) <= 0x1p-4 &&
           is_no_coarser_than_bf16(grade, honest, numerics) &&
           kurtosis(grade) <= 40.0 && is_spread(grade) &&
           (!has_gain || (have_factor(honest) && copies_agree)) &&
           fabs(grade->sum_lag) <= 0.5 * grade->sum_sq_error;
}

/* Noise below a unit of storage shows only by the chance that it tips a store,
 * which makes its rms d an rms error of sqrt(1.2 u_s d). */
double har_precision_bits(const har_precision *grade, core_numerics numerics)
{
    const double error = relative_rms(grade);
    const double unit = 1.2 * core_store_roundoff(numerics);
    const double noise = error < unit ? error * error / unit : error;
    return -log2(noise / OF_ROUNDING);
}

/* For people: by how much the rms is above what draws made, where that is seen
 * in what was stored.                                                        */
static double times_honest(const har_precision *grade,
                           const har_precision *honest, core_numerics numerics)
{
    const double ratio = har_precision_ratio(grade, honest);
    const double u = core_sum_roundoff(numerics);
    if (core_store_roundoff(numerics) != u)
        return ratio;
    return fmax(ratio, relative_rms(grade) /
                           fmax(relative_rms(honest), OF_ROUNDING * u));
}

const char *har_precision_format(const har_precision *grade,
                                 const har_precision *honest,
                                 core_numerics numerics,
                                 char text[HAR_PRECISION_TEXT])
{
    static const char *const storage[CORE_N_ROUNDINGS] = {
        [CORE_ROUND_GRID] = "",
        [CORE_ROUND_F64] = "",
        [CORE_ROUND_F32] = "",
        [CORE_ROUND_F16] = " and fp16 storage",
        [CORE_ROUND_BF16] = " and bf16 storage"};
    const double bits = har_precision_bits(grade, numerics);
    const char *like = bits < 6.5    ? ", like long sums in bf16"
                       : bits < 9.5  ? ", like bf16"
                       : bits < 12.5 ? ", like fp16 or TF32"
                       : numerics == CORE_FP64 && bits < 25.5 ? ", like fp32"
                                                              : "";
    snprintf(text, HAR_PRECISION_TEXT,
             "about %.0f bits of precision%s: errors %.3g times the rms that "
             "%s sums%s explain",
             bits, like, times_honest(grade, honest, numerics),
             core_uses_floats(numerics) ? "fp32" : "fp64",
             storage[core_numerics_at(numerics, CORE_SLOT_OUT)]);
    return text;
}
