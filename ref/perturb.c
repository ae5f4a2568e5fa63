/* ref/perturb.c -- a pass that errs as much as a correct one may.
 *
 * Every operator's stored output is moved by its own a-priori bound, up or down
 * by a coin, and stored again; the network carries the errors on.  What such
 * passes differ by is how far a free-running implementation may drift.  The
 * coin is a function of (seed, run, tap, element): no order, thread count or
 * tile changes it.  Traps: an operator must perturb what the next one reads,
 * not the copy that is delivered; discrete choices are taken over from the
 * honest pass, because one other expert would hide everything else.
 */
#include "ref/ref_impl.h"

#include "core/numbers/rng.h"

#include <inttypes.h>
#include <stdio.h>

enum { COINS = 128 }; /* in one block of random bits */

uint64_t ref__sign_stream(const ref__run *run, core_tap_kind kind, int layer)
{
    char name[CORE_NAME_BYTES], text[CORE_NAME_BYTES + 40];
    snprintf(text, sizeof text, "perturb.%" PRIu64 ".%s",
             run->perturbation->run,
             core_tap_name((core_tap){kind, layer}, name));
    return core_rng_stream(text);
}

void ref__perturb(const ref__run *run, uint64_t stream, core_grid grid,
                  int64_t first, int64_t n, double *y, const float *bound)
{
    core_rng_block block = {{0}};
    for (int64_t i = 0; i < n; i++) {
        const int64_t coin = (first + i) % COINS;
        if (i == 0 || coin == 0)
            block = core_rng(run->perturbation->seed, stream,
                             (uint64_t)((first + i) / COINS));
        const bool up = (block.word[coin / 32] >> (coin % 32) & 1) != 0;
        y[i] += up ? (double)bound[i] : -(double)bound[i];
    }
    core_store(run->numerics, grid, y, n);
}

const int64_t *ref__forced_ints(const ref__run *run, core_tap_kind kind,
                                int layer)
{
    const ref_perturbation *p = run->perturbation;
    return p != NULL && p->routing != NULL
               ? p->routing(p->self, (core_tap){kind, layer})
               : NULL;
}
