/* core/pass/popular.c -- see popular.h. */
#include "core/pass/popular.h"

#include "core/base/arena.h"
#include "core/numbers/rng.h"

#include <math.h>
#include <stdlib.h>

static void swap(int64_t *id, int64_t a, int64_t b)
{
    const int64_t was = id[a];
    id[a] = id[b];
    id[b] = was;
}

void core_popular_order(int64_t *id, int64_t n, uint64_t seed, uint64_t stream,
                        uint64_t first)
{
    for (int64_t i = 0; i < n; i++)
        id[i] = i;
    for (int64_t i = n - 1; i > 0; i--)
        swap(id, i, (int64_t)core_rng_below(seed, stream, first + (uint64_t)i,
                                            (uint64_t)i + 1));
}

void core_popular_trade(int64_t *id, int64_t n, double part, uint64_t seed,
                        uint64_t stream, uint64_t first)
{
    const int64_t n_pair = (int64_t)ceil(part * (double)n / 2);
    for (uint64_t i = first; i < first + 2 * (uint64_t)n_pair; i += 2)
        swap(id, (int64_t)core_rng_below(seed, stream, i, (uint64_t)n),
             (int64_t)core_rng_below(seed, stream, i + 1, (uint64_t)n));
}

core_status core_popular_make(core_popular *out, int64_t n,
                              const core_drift *drift)
{
    const uint64_t first_share = UINT64_C(1) << 40;
    void *id = NULL, *sum = NULL;
    CORE_TRY(core_alloc(&id, n, sizeof *out->id, "popular ids"));
    const core_status status =
        core_alloc(&sum, n, sizeof *out->sum, "shares of ids");
    if (status != CORE_OK) {
        free(id);
        return status;
    }
    *out = (core_popular){n, id, sum};
    for (int64_t i = 0; i < n; i++)
        out->sum[i] =
            (i > 0 ? out->sum[i - 1] : 0) + first_share / (uint64_t)(i + 1);
    core_popular_order(id, n, drift->seed, core_rng_stream("popular.order"), 0);
    for (int pass = 0; pass < drift->n_pass; pass++)
        core_popular_trade(id, n, drift->part, drift->seed,
                           core_rng_stream("popular.trade"),
                           (uint64_t)pass * 2 * (uint64_t)n);
    return CORE_OK;
}

void core_popular_free(core_popular *popular)
{
    free(popular->id);
    free(popular->sum);
    *popular = (core_popular){0};
}

int64_t core_popular_draw(const core_popular *p, uint64_t seed,
                          uint64_t stream, uint64_t index)
{
    const uint64_t at = core_rng_below(seed, stream, index, p->sum[p->n - 1]);
    int64_t low = 0, high = p->n - 1;
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (p->sum[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return p->id[low];
}
