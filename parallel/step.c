/* parallel/step.c -- which rows and tokens a step of decoding has, and of what
 * models and plans there may be steps.
 */
#include "parallel/forward_impl.h"

void par__step_rows(const par_step *step, int64_t *row0, int64_t *row1)
{
    const int64_t slot0 = *row0, slot1 = *row1;
    *row0 = 0;
    while (*row0 < step->n_row && step->row[*row0].slot < slot0)
        ++*row0;
    *row1 = *row0;
    while (*row1 < step->n_row && step->row[*row1].slot < slot1)
        ++*row1;
}

int64_t par__step_tokens(const par_step *step, int64_t row0, int64_t row1)
{
    int64_t n = 0;
    for (int64_t r = row0; r < row1; r++)
        n += step->row[r].n;
    return n;
}

void par__step_ids(const par_model *m, int64_t *id)
{
    const par_step_row *row = m->step->row + m->now.row0;
    for (int64_t b = 0; b < m->now.n_row; b++, row++)
        for (int64_t i = 0; i < row->n; i++)
            *id++ = row->row * m->batch->n_t + row->i0 + i;
}

par_run par__row_tokens(const par_model *m, int64_t b)
{
    const int64_t row0 = m->now.row0, n_t = m->batch->n_t;
    if (m->step == NULL)
        return (par_run){b * n_t, n_t};
    return (par_run){par__step_tokens(m->step, row0, row0 + b),
                     m->step->row[row0 + b].n};
}

int64_t par__tokens_before(const par_model *m, int64_t i, int64_t *b)
{
    *b = 0;
    par_run row = par__row_tokens(m, 0);
    while (i >= row.i0 + row.n)
        row = par__row_tokens(m, ++*b);
    return i - row.i0;
}

int64_t par__step_keys(const par_model *m)
{
    const par_step_row *row = m->step->row + m->now.row0;
    int64_t n = 0;
    for (int64_t b = 0; b < m->now.n_row; b++, row++)
        n += row->i0 + row->n;
    return n;
}

core_status par_decode_check(const core_spec *spec, const par_plan *plan)
{
    CORE_FAIL_IF(plan->cp > 1, CORE_E_USAGE,
                 "--decode: cp=%d: keys that are cut over ranks are not kept, "
                 "expected cp=1",
                 plan->cp);
    CORE_FAIL_IF(spec->n_h == 0, CORE_E_USAGE,
                 "--decode: %s: a layer alone makes no tokens", spec->name);
    return CORE_OK;
}
