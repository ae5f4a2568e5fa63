/* parallel/quantised.c -- what is multiplied with quantised weights, as engines
 * quantise it.
 *
 * Scales belong to the tensor, to groups of columns, at which shards begin
 * (shard.c), or to a whole row: then whoever has some of its columns asks the
 * others for the largest magnitude, so that the plan computes what one process
 * does.
 */
#include "parallel/forward_impl.h"

/* Of whole rows, of which x [n, columns of the shard] may be a part. */
static const double *largest_of_rows(par_model *m, const par_shard *w,
                                     const double *x, int64_t n)
{
    double *largest = par__grow(m, &m->largest, n, sizeof *largest);
    for (int64_t i = 0; i < n; i++)
        largest[i] = core_largest(x + i * w->n_col, w->n_col);
    if (w->n_part == 1)
        return largest;
    const bool of_expert = core_weight_scope_of(w->id.kind) == CORE_SCOPE_EXPERT;
    par__pause(m);
    par_all_reduce(m->comm,
                   of_expert ? &m->layout->etp_group : &m->layout->tp_group,
                   largest, n, PAR_MAX, CORE_FP64);
    par__resume(m);
    return largest;
}

void par__quantise(par_model *m, const par_shard *w, double *x, int64_t n)
{
    const core_operand_format *format = core_weights_operand(m->weights, w->id);
    if (format == NULL)
        return;
    const double *largest = core_operand_needs_row(format)
                                ? largest_of_rows(m, w, x, n)
                                : NULL;
    for (int64_t i = 0; i < n && w->n_col > 0; i++)
        core_operand_quantise(format, m->numerics,
                              largest != NULL ? largest[i] : 0.0,
                              x + i * w->n_col, w->n_col, NULL);
}
