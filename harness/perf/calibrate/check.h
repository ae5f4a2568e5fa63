/* harness/perf/calibrate/check.h -- how well a calibrated machine predicts.
 *
 * Operators of the odd probes, whose shapes calibrate never saw, and whole
 * emulated passes of plans, from records made without running and the load that
 * the run shows.  Everything measured is processor time.
 */
#ifndef HAR_PERF_CALIBRATE_CHECK_H
#define HAR_PERF_CALIBRATE_CHECK_H

#include "harness/perf/calibrate/calibrate.h"

enum {
    HAR_CHECK_RANKS = 16,
    HAR_CHECK_LINES = HAR_MAX_RATES,
    HAR_CHECK_PLANS = 24
};

/* Errors |predicted / measured - 1| of a class of records.                    */
typedef struct har_check_line {
    char name[HAR_RATE_NAME + 8];
    int64_t n;
    double median, p90, bias; /* bias: mean of ln(predicted / measured)        */
    double noise;             /* p90 of |one repetition / the middle - 1|      */
} har_check_line;

typedef struct har_check_plan {
    char model[24], plan[64];
    bool is_f32;
    int n_rank;
    double predicted, measured; /* seconds, all ranks                          */
    double noise;               /* largest |one pass / the middle - 1|         */
    int64_t sent, counted;      /* elements: by the records, by the ranks      */
} har_check_plan;

typedef struct har_check {
    int n_line, n_plan;
    double drift; /* shapes that the fit saw: what they take now / took then   */
    har_check_line all; /* of all records                                      */
    har_check_line line[HAR_CHECK_LINES];
    har_check_plan plan[HAR_CHECK_PLANS];
} har_check;

/* Open a machine that calibrate made.  Errors: those of har_machine_open;
 * E_INPUT if it has no rates of operators.                            [local] */
CORE_NODISCARD core_status har_check_open(har_machine *out, const char *file);

/* To and from a file of the run folder; *out only changes on success.  Errors:
 * E_FILE.                                                             [local] */
CORE_NODISCARD core_status har_check_save(const har_check *check,
                                          const char *path);
CORE_NODISCARD core_status har_check_load(har_check *out, const char *path);

/* Operators, on one rank; plans, on HAR_CHECK_RANKS of which each plan takes
 * what it needs.  Rank 0 gets the scores.  quick: few probes; every second
 * plan, one pass of it.  Errors: E_MEMORY; E_PROGRAM if the clock stands still;
 * E_INTERNAL for more than HAR_CHECK_LINES classes.              [collective] */
CORE_NODISCARD core_status har_check_operators(har_check *out,
                                               const har_machine *machine,
                                               par_comm *comm, bool quick);
CORE_NODISCARD core_status har_check_plans(har_check *out,
                                           const har_machine *machine,
                                           bool quick);

/* How much slower the machine is now than when it was calibrated: the middle over
 * shapes that the fit saw.  comm has one rank.  Errors: E_MEMORY. [collective] */
CORE_NODISCARD core_status har_check_drift(double *out,
                                           const har_machine *machine,
                                           par_comm *comm);

/* The tables for a person; `file` was scored.                         [local] */
void har_check_report(FILE *out, const har_check *operators,
                      const har_check *plans, const char *file);

/* "moeparity.calibrate-check/1".  Errors: E_FILE, E_SPACE, E_MEMORY.  [local] */
CORE_NODISCARD core_status har_check_json(const char *path,
                                          const har_check *operators,
                                          const har_check *plans,
                                          const char *file);

#endif
