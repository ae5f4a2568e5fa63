/* harness/perf/machine/record_decode.h -- what a decoding step does differently.
 *
 * Records are made for rows of one token.  A step that decodes has a past:
 *
 *   attention   its query sees the cached keys that its span reaches: of n_kv,
 *               the newest its own, the last sliding_window or those of the
 *               chunk that it is in
 *   latent      absorbed: each head's query goes through the half of kv_b that
 *               makes keys, all heads ask the cached latents (kv_rank + rope),
 *               and what they find goes through the half that makes values.  The
 *               two halves are the product of the kv_b record, other operands
 *   mamba       the convolution has n_conv products and its last n_conv - 1
 *               inputs, the scan its state of n_s per channel: both are read and
 *               written
 *
 * Private to harness/perf.
 */
#ifndef HAR_PERF_RECORD_DECODE_H
#define HAR_PERF_RECORD_DECODE_H

#include "harness/perf/machine/record_time.h"

/* Cached keys that the query of a layer sees.                                */
int64_t har__decode_keys(const har_timer *timer, int layer);

/* kv heads of a rank, from what a record reads of keys and values.           */
double har__kv_heads(const har_timer *timer, const core_cost *cost);

/* Of attention: seconds.                                                     */
har_time har__decode_time(const har_timer *timer, const core_cost *cost);

/* Of any record but a collective: flop; elements through memory.             */
double har__decode_flops(const har_timer *timer, const core_cost *cost);
double har__decode_elements(const har_timer *timer, const core_cost *cost);

#endif
