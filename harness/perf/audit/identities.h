/* harness/perf/audit/identities.h -- the arithmetic of an audit, one identity
 * or bound per function.
 *
 * Values are intervals of non-negative numbers in base units; a result contains
 * every value that the inputs allow (rounded outward only as far as double
 * does).  x[] holds the inputs in the order of each comment.  Pure functions:
 * no claim, no file, no unit is known here.
 */
#ifndef HAR_PERF_AUDIT_IDENTITIES_H
#define HAR_PERF_AUDIT_IDENTITIES_H

#include <stdbool.h>

typedef struct har_interval {
    double lo, hi; /* closed; hi may be infinite                              */
} har_interval;

har_interval har_point(double x);

/* Can the two be the same number?  False if a bound is NaN. */
bool har_intervals_meet(har_interval a, har_interval b);

/* a */
har_interval har_id_same(const har_interval *x);
/* 0 to a */
har_interval har_id_part_of(const har_interval *x);

/* --- degrees --- */
har_interval har_id_product(const har_interval *x);   /* a * b                */
har_interval har_id_quotient(const har_interval *x);  /* a / b                */
har_interval har_id_share_up(const har_interval *x);  /* ceil(a / b)          */

/* --- throughput and latency --- */
/* batch * length / latency */
har_interval har_id_tokens_of_pass(const har_interval *x);
/* tokens/s / target - 1 */
har_interval har_id_excess(const har_interval *x);
/* tokens/s * FLOP per token / (GPUs * peak) */
har_interval har_id_mfu(const har_interval *x);
/* batch * length * FLOP per token / (latency * GPUs * peak) */
har_interval har_id_mfu_of_pass(const har_interval *x);
/* batch * length * FLOP per token / (GPUs * peak) */
har_interval har_id_least_latency(const har_interval *x);
/* batch * FLOP per token / (GPUs * peak) */
har_interval har_id_least_step(const har_interval *x);
/* active parameters, layers, heads, head size, length: from 2 * active (scores
 * left out) to 2 * active + 4 * layers * heads * size * length (no mask) */
har_interval har_id_flop_per_token(const har_interval *x);
/* active parameters, length unknown: 2 * active or more */
har_interval har_id_flop_at_least(const har_interval *x);
/* layers' parameters outside experts, those of the chosen experts, layers,
 * heads, head size, length: the FLOPs outside the experts over all, without
 * (lo) and with (hi) the scores */
har_interval har_id_attention_share(const har_interval *x);
/* The same, length unknown: that or more, at most 1 */
har_interval har_id_attention_at_least(const har_interval *x);

/* --- schedule --- */
/* stages, micro-batches: (pp - 1) / (mb + pp - 1) */
har_interval har_id_bubble(const har_interval *x);
/* stages, micro-batches, attention share, with scope=replica, where idle stages
 * still serve experts: from the ideal, where the experts of a tick with a busy
 * stages take a / pp of theirs, to the bubble of a schedule whose ticks all take
 * as long (experts bound by reading weights) */
har_interval har_id_bubble_lockstep(const har_interval *x);
/* 1 - bubble - communication */
har_interval har_id_busy(const har_interval *x);
/* bubble, communication, share, balance: (1 - bubble - communication) over
 * share + (1 - share) / balance */
har_interval har_id_busy_balanced(const har_interval *x);
/* stages, micro-batches: 1 - bubble */
har_interval har_id_busy_schedule(const har_interval *x);
/* stages, micro-batches, share: 1 - lockstep bubble */
har_interval har_id_busy_lockstep(const har_interval *x);
/* capacity factor, dropped: (1 - dropped) / factor.  No expert, so no GPU, has
 * more than factor times the mean of all choices */
har_interval har_id_least_balance(const har_interval *x);

/* --- memory --- */
/* used, capacity: 1 - used / capacity */
har_interval har_id_headroom(const har_interval *x);
/* dense, expert parameters, bytes, tp, pp, ep, etp, expert stages:
 * (dense / (tp pp) + expert / (ep etp stages)) * bytes */
har_interval har_id_weight_bytes(const har_interval *x);
/* numbers per token, batch, length, bytes, tp, pp, dp:
 * numbers * batch * length * bytes / (tp pp dp) */
har_interval har_id_kv_bytes(const har_interval *x);
/* weights, KV, batch, length, hidden, bytes, dp, micro-batches:
 * weights + KV + the hidden states of one micro-batch */
har_interval har_id_memory(const har_interval *x);
/* weights, numbers per token, batch, length, bytes, tp, pp, dp: weights + KV */
har_interval har_id_memory_longest(const har_interval *x);
/* dense, expert parameters, bytes, GPUs, capacity factor: the weights that a
 * pass which drops nothing must read, per GPU.  An expert takes at most factor
 * times its fair share, so at least 1 / factor of the experts have tokens */
har_interval har_id_least_read(const har_interval *x);
/* bytes, time, bandwidth: bytes / (time * bandwidth) */
har_interval har_id_bandwidth_share(const har_interval *x);

/* --- communication --- */
/* batch, length, hidden, bytes, layers, tp, pp, dp, ep, k: what a GPU sends in
 * a pass at least: a ring all-reduce of attention's output over tp, the
 * dispatch of its slice of the tokens and their way back over ep */
har_interval har_id_traffic(const har_interval *x);

#endif
