/* harness/perf/machine/record_decode.h -- what a decoding step does differently.
 *
 * Records are made for rows of one token.  A step that decodes has a past:
 *
 *   attention   its query sees the cached keys that its span reaches: of n_kv,
 *               the newest its own, the last sliding_window or those of the
 *               chunk that it is in
 *   operators   with a past of their own, or that work on what is cached in
 *               another way, say so in their rows (cost/operators.h)
 *
 * Private to harness/perf.
 */
#ifndef HAR_PERF_RECORD_DECODE_H
#define HAR_PERF_RECORD_DECODE_H

#include "harness/perf/cost/operators.h"
#include "harness/perf/machine/record_time.h"

/* Cached keys that the query of a layer sees.                                */
int64_t har__decode_keys(const har_timer *timer, int layer);

/* kv heads of a rank, from what a record reads of keys and values.           */
double har__kv_heads(const har_timer *timer, const core_cost *cost);

/* Of attention: seconds.                                                     */
har_time har__decode_time(const har_timer *timer, const core_cost *cost);

/* Of any record but a collective.                                            */
har__step har__decode(const har_timer *timer, const core_cost *cost);

#endif
