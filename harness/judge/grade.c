/* harness/judge/grade.c -- do the errors of a tap look like rounding?
 *
 * An honest run may lose bits where its libraries do (a sum over experts that
 * is kept in bf16): its errors are small, without sign, place or common factor,
 * and say how many bits are left (harness/verify/precision.h).  The tolerance
 * of a row stands for the bound there.
 */
#include "harness/judge/judge_impl.h"

/* What a tap's errors are held against; exact has no grades.  A routing map of
 * an own name has the numerics of the whole.                                 */
static core_numerics numerics_of(const har_yardstick *yard,
                                 const har_yard_tap *tap)
{
    return tap->name.is_tap ? core_tap_coarsest(yard->kind, tap->name.tap.kind)
                            : yard->kind;
}

void har__grade_row(har__pass *p, const har_yard_tap *tap, double allowed)
{
    const core_numerics numerics = numerics_of(p->yard, tap);
    const int64_t n = tap->extent.n_col;
    if (tap->tolerance == NULL || numerics == CORE_EXACT)
        return;
    for (int64_t j = 0; j < n; j++)
        p->bound[j] = allowed;
    (void)har_precision_row(&p->grade, numerics, 1.0, n, p->expected, p->found,
                            p->bound, p->error, p->grade.n > 0.0);
}

double har__grade_bits(const har__pass *p, const har_yard_tap *tap)
{
    const core_numerics numerics = numerics_of(p->yard, tap);
    const double bits = p->grade.n > 0.0
                            ? har_precision_bits(&p->grade, numerics)
                            : 0.0;
    const har_precision none = {0}; /* no draws: the tolerance is all there is */
    return bits > 0.0 &&
                   har_precision_is_rounding(&p->grade, &none, numerics, true)
               ? bits
               : 0.0;
}
