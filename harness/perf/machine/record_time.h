/* harness/perf/machine/record_time.h -- seconds of a record of cost on a machine.
 *
 * Which har_time_* function a record asks, and with what.  Products, grouped
 * products and attention are remembered, because a plan asks the same again and
 * again: a table in which a newer shape takes the place of an older one.
 */
#ifndef HAR_PERF_RECORD_TIME_H
#define HAR_PERF_RECORD_TIME_H

#include "core/base/arena.h"
#include "core/pass/cost.h"
#include "harness/perf/machine/machine.h"

typedef struct har_known_time har_known_time;

typedef struct har_timer {
    const har_machine *machine;
    const core_spec *spec;
    core_types types;
    core_dtype stored;      /* of results and transfers                       */
    har_operands plain, linear, expert; /* of products: with tables, routers and
                             * keys; with matrices; with those of experts     */
    double table_bytes, linear_bytes, expert_bytes, kv_bytes; /* of an element
                             * of those weights, of keys and values           */
    double dispatch_bytes;  /* of a value on its way to an expert             */
    har_algorithm algorithm;
    bool is_decode;         /* attention over n_kv keys instead of its own    */
    int64_t n_kv;
    double prompt_share;    /* of those rows that are tokens of prompts, in runs
                             * of n_run behind n_past keys                    */
    double n_run, n_past;
    bool is_eager;          /* the host starts each transfer: none takes less
                             * than that                                      */
    double logit_share;     /* of the rows, those whose logits are made; 0: all */
    int n_cut;              /* ranks that share the queries of a row          */
    int n_near;             /* of an expert group in a node; 0: as 1          */
    int n_held, ep;         /* experts of a rank, of ep that share them; 0:
                             * those with rows, 1                             */
    int reach_ep;           /* whose share of the tokens is `reach`           */
    double reach;           /* of tokens, those with a choice on a rank       */
    double before, miss;    /* har_residency, of a processor; before is of the
                             * last question                                  */
    har_known_time *known;  /* owned                                          */
    int64_t grouped_key[7]; /* of the grouped product last asked for ..       */
    har_time grouped;       /* .. and its time: another often has its shape   */
    har_machine *slower;    /* owned: the same with slower links              */
} har_timer;

/* Errors: E_MEMORY.  Free with har_timer_free.    [local] */
CORE_NODISCARD core_status har_timer_make(har_timer *out,
                                          const har_machine *machine);
void har_timer_free(har_timer *timer);

/* Whose records are asked for, in which types, and so how much of the weights comes from memory
 * where one copy of them shares the cache of all ranks.              [local] */
void har_timer_aim(har_timer *timer, const core_spec *spec,
                   const core_types *types);

/* The time of a record; tier: of the links of a transfer.  Records of a rank are
 * asked for in the order of execution: on a processor what the one before
 * touched decides what lies in its cache.                            [local] */
har_time har_timer_ask(har_timer *timer, const core_cost *cost, int tier);

/* Seconds that a transfer of `seconds` takes more if the links of its tier are a
 * sigma of theirs slower.    [local] */
double har_timer_slower(const har_timer *timer, const core_cost *cost, int tier,
                        double seconds);

/* Whose uncertainty a record has.                                            */
har_kind har_timer_kind(core_cost_kind kind);

/* Floating-point operations and bytes through memory (transfers: over links) of
 * a record; in decode with its past.    [local] */
double har_timer_flops(const har_timer *timer, const core_cost *cost);
double har_timer_bytes(const har_timer *timer, const core_cost *cost);

#endif
