/* harness/perf/machine/generation.h -- what the design of a generation of GPUs
 * changes.
 *
 * A data sheet has peaks, bandwidths, units and a clock.  How an operand gets
 * into a unit, what a library does with it and what a switch adds up is not on
 * it, but published with each generation: one row of rules here, chosen by
 * `arch` of a machine file.  A number that a file states goes before its rule.
 *
 * Rules of two sorts.  Of design: how a product's tiles are fed and dealt, what
 * links can do.  Of carrying: a coefficient that was measured on one generation
 * (`transferred`) is worth so much more or less on another; one that was
 * measured on the machine itself is taken as it is.
 *
 * A machine without `arch` is all of A100's design, and nothing is carried.
 */
#ifndef HAR_PERF_GENERATION_H
#define HAR_PERF_GENERATION_H

#include <stdbool.h>

typedef enum har_arch {
    HAR_ARCH_NONE, /* not said                                                */
    HAR_ARCH_SM80, /* A100, A30                                               */
    HAR_ARCH_SM89, /* L4, L40S, RTX 4090                                      */
    HAR_ARCH_SM90, /* H100, H200, H800, GH200                                 */
    HAR_ARCH_SM100, /* B200, B300, GB200                                      */
    HAR_ARCH_SM120, /* RTX 5090, RTX PRO 6000                                 */
    HAR_N_ARCH
} har_arch;

typedef struct har_generation {
    const char *word;
    double step; /* generations after A100: how far a coefficient is carried */

    /* Products. */
    double shared; /* tiles in a row or column of a cluster, whose operands one
                    * read of the cache brings to all of them                 */
    double refill; /* of filling a tile's pipeline, what each tile after a
                    * unit's first still costs                                */
    bool is_dealt; /* a unit takes its next tile when it is done: the work ends
                    * evenly, not in whole waves                              */
    bool is_async; /* products run beside the unit's other work               */
    double n_prepare; /* kernels before attention that deal its tiles         */
    double bytes_per_clock; /* from the shared cache into one unit            */

    double flop_per_clock; /* of a unit, f16, dense: to check a file with     */

    /* Links. */
    double link_bw; /* out of a device, one direction; 0: none of its own     */
    bool has_switch; /* that adds up, between the devices of a node           */
    double small; /* of starting and stepping, beside the clock              */

    /* Carrying: times the measured share or microseconds. */
    double host;   /* host_us                                                 */
    double memory; /* memory_fraction                                         */
} har_generation;

/* The row of an arch; a word is NULL where there is none.             [local]
 */
const har_generation *har_generation_of(har_arch arch);

/* The arch that a word names; false if none does.                     [local]
 */
bool har_arch_of_word(har_arch *out, const char *word);

#endif
