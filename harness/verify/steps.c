/* harness/verify/steps.c -- see steps.h. */
#include "harness/verify/steps.h"

#include <stdio.h>

void har_steps_case(har_steps *steps, double seconds)
{
    steps->before = steps->case_end;
    steps->case_end += seconds;
}

static double share(const har_steps *steps, double seconds)
{
    return seconds < steps->total ? seconds / steps->total : 1.0;
}

void har_steps_begin(har_steps *steps, par_comm *comm, const char *numerics,
                     const char *what, double seconds)
{
    if (!(steps->total > 0.0))
        return;
    const double from = steps->before;
    steps->before =
        from + seconds < steps->case_end ? from + seconds : steps->case_end;
    steps->comm = comm;
    snprintf(steps->name, sizeof steps->name, "%.17s: %.28s", numerics, what);
    par_set_step(comm, steps->name, share(steps, from),
                 share(steps, steps->before));
    har_steps_done(steps, 0.0);
}

void har_steps_done(har_steps *steps, double fraction)
{
    if (steps->comm == NULL)
        return;
    const double done = par_set_fraction(steps->comm, fraction);
    if (steps->tell != NULL && (done > steps->told || fraction == 0.0))
        steps->tell(steps->self, steps->name, done);
    steps->told = done;
}
