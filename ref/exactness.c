/* ref/exactness.c -- does every sum fit a double, whatever its order?
 *
 * If the terms of a sum are multiples of a step and their magnitudes add up to
 * at most 2^53 steps, then every partial sum in every order is a double, and
 * no partition can change a bit.  Norms bound the magnitudes (Cauchy-Schwarz).
 * One bit is kept spare for the bias and for partial sums that are added to
 * it.  A pass goes on after a violation: the caller wants its size, too.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <stdio.h>

enum { DOUBLE_BITS = 53, SPARE_BITS = 1 };

double ref__worse(double a, double b)
{
    const double worse = a > b ? a : b;
    return a <= HUGE_VAL && b <= HUGE_VAL ? worse : HUGE_VAL;
}

double ref__bits(double magnitude, double step)
{
    if (!(magnitude < HUGE_VAL))
        return HUGE_VAL;
    return magnitude > 0.0 ? log2(magnitude / step) + SPARE_BITS : 0.0;
}

void ref__record_bits(const ref__run *run, core_tap_kind kind, int layer,
                      double bits)
{
    ref_stats *stats = run->stats;
    if (!(bits <= stats->bits))
        stats->bits = bits;
    if (bits <= DOUBLE_BITS || !stats->exact)
        return;
    char name[CORE_NAME_BYTES];
    stats->exact = false;
    stats->not_exact_tap = (core_tap){kind, layer};
    snprintf(stats->not_exact, sizeof stats->not_exact,
             "%s: %.1f bits, %d allowed",
             core_tap_name((core_tap){kind, layer}, name), bits, DOUBLE_BITS);
}
