/* harness/perf/search/dealing.c -- see dealing.h. */
#include "harness/perf/search/dealing.h"

#include <math.h>

/* One GPU's products of a layer. */
static double gpu_seconds(const har_dealing *d, const double *load,
                          const int *slot, const int *n_copy)
{
    const core_spec *spec = d->spec;
    const double n_de = (double)core_spec_n_de(spec), n_f = (double)spec->n_f;
    double row[PAR_MAX_SLOTS], n_row = 0;
    int n = 0;
    for (int i = 0; i < d->deal.n_slot; i++) {
        const double mine = load[slot[i]] / n_copy[slot[i]];
        if (mine > 0)
            row[n++] = mine;
        n_row += mine;
    }
    if (n == 0)
        return 0;
    return (spec->gated ? 2 : 1) * har_time_grouped_gemm(d->machine, d->dtype,
                                                         row, n, n_row, n_f, n_de)
                                       .seconds +
           har_time_grouped_gemm(d->machine, d->dtype, row, n, n_row, n_de, n_f)
               .seconds;
}

double har_dealing_seconds(const har_dealing *d, const double *load,
                           const int *logical)
{
    int n_copy[PAR_MAX_SLOTS];
    double longest = 0;
    par_balancer_copies(&d->deal, logical, n_copy);
    for (int g = 0; g < d->deal.n_gpu; g++)
        longest = fmax(longest, gpu_seconds(d, load, logical + g * d->deal.n_slot,
                                            n_copy));
    return longest;
}

int64_t har_dealing_expert_bytes(const har_dealing *d)
{
    return (d->spec->gated ? 3 : 2) * core_spec_n_de(d->spec) * d->spec->n_f *
           (int64_t)core_dtype_bytes(d->dtype);
}

double har_dealing_move_seconds(const har_dealing *d, int64_t n_expert)
{
    const har_link *link = &d->machine->link[har_tier(d->machine, d->deal.n_gpu)];
    return (double)(n_expert * har_dealing_expert_bytes(d)) /
           (link->bw * d->machine->coef[HAR_COEF_LINK].value);
}

double har_dealing_pays(double move, double kept, double dealt)
{
    return kept > dealt ? move / (kept - dealt) : HUGE_VAL;
}
