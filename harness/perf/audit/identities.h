/* harness/perf/audit/identities.h -- the arithmetic of an audit: formulas, and
 * a function for each identity or bound that is more than one.
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

/* What a formula gives: $0 to $9 for x[0] to x[9], *, /, +, parentheses, and
 * 1 - a or 1 - a - b for what is left of a whole, at least 0.                 */
har_interval har_formula(const char *formula, const har_interval *x);

/* 0 to a */
har_interval har_id_part_of(const har_interval *x);

/* --- degrees --- */
har_interval har_id_share_up(const har_interval *x);  /* ceil(a / b)          */
har_interval har_id_copies_up(const har_interval *x); /* ceil((a + b) / c)    */

/* --- throughput and latency --- */
har_interval har_id_inverse(const har_interval *x);      /* 1 / a              */
har_interval har_id_per_accepted(const har_interval *x); /* a / (1 + b)        */
har_interval har_id_read_per_accepted(const har_interval *x); /* a / b / (1 + c) */
har_interval har_id_drafted(const har_interval *x);      /* a (1 + c) / b      */
/* tokens/s / target - 1 */
har_interval har_id_excess(const har_interval *x);
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
/* stages, micro-batches, virtual stages of a stage, which take turns:
 * (pp - 1) / (mb vpp + pp - 1), where pp divides mb or vpp is 1               */
har_interval har_id_bubble(const har_interval *x);
/* the same and attention share, with scope=replica, where idle stages
 * still serve experts: from the ideal, where the experts of a tick with a busy
 * stages take a / pp of theirs, to the bubble of a schedule whose ticks all take
 * as long (experts bound by reading weights) */
har_interval har_id_bubble_lockstep(const har_interval *x);
/* bubble, communication, share, balance: (1 - bubble - communication) over
 * share + (1 - share) / balance */
har_interval har_id_busy_balanced(const har_interval *x);
/* stages, micro-batches, virtual stages: 1 - bubble */
har_interval har_id_busy_schedule(const har_interval *x);
/* the same, share: 1 - lockstep bubble */
har_interval har_id_busy_lockstep(const har_interval *x);

/* --- memory --- */
/* dense, expert parameters, bytes, GPUs, capacity factor: the weights that a
 * pass which drops nothing must read, per GPU.  An expert takes at most factor
 * times its fair share, so at least 1 / factor of the experts have tokens */
har_interval har_id_least_read(const har_interval *x);

/* --- communication --- */
/* batch, length, hidden, bytes, layers, GPUs, tp, ep, k: what a GPU sends in
 * a pass at least, of (batch length / (dp cp)) rows in layers / pp: a ring
 * all-reduce of attention's output over tp, the dispatch of its slice of the
 * tokens and their way back over ep; keys and values over cp are not counted */
har_interval har_id_traffic(const har_interval *x);

#endif
