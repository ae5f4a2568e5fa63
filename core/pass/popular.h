/* core/pass/popular.h -- tokens that are not asked for alike, and drift.
 *
 * Dice put all ids of a vocabulary in an order; the id at place r has a share of
 * what is asked like 1 / (r + 1), as words of a language have.  After each pass
 * a part of the places, in pairs, trade their ids.  All in integers: every host
 * draws the same.
 */
#ifndef CORE_POPULAR_H
#define CORE_POPULAR_H

#include "core/base/status.h"

#include <stdint.h>

/* Dice of (seed, stream) from block `first` on order ids [n]: n blocks; and have a
 * part of them, in pairs, trade places: 2 n blocks.                  [local] */
void core_popular_order(int64_t *id, int64_t n, uint64_t seed, uint64_t stream,
                        uint64_t first);
void core_popular_trade(int64_t *id, int64_t n, double part, uint64_t seed,
                        uint64_t stream, uint64_t first);

typedef struct core_drift {
    double part;   /* of the ids, those that trade after a pass, 0 to 1; 0: no id
                    * is asked for more than another                          */
    uint64_t seed; /* of the order and of who trades                          */
    int n_pass;    /* passes before this one                                  */
} core_drift;

typedef struct core_popular {
    int64_t n;     /* ids                                                     */
    int64_t *id;   /* [n] by place                                            */
    uint64_t *sum; /* [n] of the shares of the places up to this one          */
} core_popular;

/* Of ids 0 to n - 1, n >= 1.  Free with core_popular_free.  E_MEMORY. [local] */
CORE_NODISCARD core_status core_popular_make(core_popular *out, int64_t n,
                                             const core_drift *drift);
void core_popular_free(core_popular *popular);

/* An id from block `index` of a stream (core/numbers/rng.h).         [local] */
int64_t core_popular_draw(const core_popular *popular, uint64_t seed,
                          uint64_t stream, uint64_t index);

#endif
