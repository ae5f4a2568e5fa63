/* harness/perf/score/score.h -- how far a machine's predictions are from a table. */
#ifndef HAR_PERF_SCORE_H
#define HAR_PERF_SCORE_H

#include "harness/perf/score/table.h"

typedef struct har_score {
    int64_t n;
    double median, p90; /* of |predicted / measured - 1|                      */
    double bias;        /* mean of ln(predicted / measured)                   */
    double coverage;    /* share of rows inside the 90 % interval             */
    double naive_median, naive_p90; /* of har_naive_time on the same rows      */
    bool has_ranking;   /* of plans: the rest is valid                        */
    int64_t n_group;     /* same GPUs, batch and model: plans to choose from   */
    double tau;         /* Kendall's tau-b, mean over the groups              */
    double regret;      /* mean of measured(chosen) / measured(best) - 1      */
    double worst_regret;
} har_score;

/* Score the rows of a table: all, or those that no fit sees.
 * Errors: E_INPUT if no row is left; E_MEMORY.                        [local] */
CORE_NODISCARD core_status har_score_table(har_score *out,
                                           const har_machine *machine,
                                           const har_table *table,
                                           bool held_out);

#endif
