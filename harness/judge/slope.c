/* harness/judge/slope.c -- a column that is off by a factor, each of its
 * elements by less than a rounding: golden/slope.h.
 */
#include "harness/judge/judge_impl.h"

#include <math.h>
#include <stdio.h>

core_status har__slope_enter(har__pass *p, const har_yard_tap *tap)
{
    const core_spec *spec = &p->yard->spec;
    gold_slope_free(&p->slope);
    return tap->slope_tolerance > 0.0 && spec->n_l > 0 &&
                   core_tap_cols(spec, tap->name.tap) == tap->extent.n_col
               ? gold_slope_make(&p->slope, spec, tap->name.tap)
               : CORE_OK;
}

void har__slope_row(har__pass *p, const har_yard_tap *tap, int64_t row)
{
    if (p->slope.n_group == 0)
        return;
    if (p->routing.idx != NULL)
        har__golden_ids(p->routing.idx, row / tap->extent.n_k, p->ids);
    gold_slope_add(&p->slope, row, p->routing.idx != NULL ? p->ids : NULL,
                   p->expected, p->found);
}

void har__slope_judge(const har__pass *p, const har_yard_tap *tap,
                      har_tap_judgement *t)
{
    const gold_cell cell = gold_slope_largest(&p->slope);
    char whose[64] = "";
    if (p->slope.n_group == 0)
        return;
    t->slope_ratio = cell.slope / tap->slope_tolerance;
    if (t->slope_ratio <= 1.0 || t->problem[0] != '\0')
        return;
    if (p->slope.n_group > 1)
        snprintf(whose, sizeof whose, " of the rows that chose expert %lld",
                 (long long)cell.group);
    snprintf(t->problem, sizeof t->problem,
             "column %lld%s is %.4g times what it should be, %.3g times as far "
             "as roundings would make it",
             (long long)cell.col, whose, 1.0 + cell.share, t->slope_ratio);
}
