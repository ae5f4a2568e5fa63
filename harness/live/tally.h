/* harness/live/tally.h -- what the lines of --events add up to, pass by pass.
 *
 * A pass is what lines of one plan, numerics and name of a pass are of.  Tokens
 * of a line are those of micro-batches, which all tp ranks of all pp stages work
 * on; rows of an expert arrive on each of the etp ranks that share it.
 */
#ifndef HAR_TALLY_H
#define HAR_TALLY_H

#include "parallel/comm.h"
#include "parallel/plan.h"

typedef struct har_tally_rank {
    double seconds, wait_seconds; /* of all ticks; of them, waiting            */
    int64_t n_row;                /* that its experts received                 */
} har_tally_rank;

typedef struct har_tally_pass {
    char plan[PAR_PLAN_TEXT], numerics[CORE_NUMERICS_BYTES], name[48];
    par_plan degrees;
    int64_t n_token;             /* of lines: tp * pp times those of the pass  */
    int64_t n_choice, n_dropped; /* (token, expert) of all layers              */
    int64_t n_bytes[PAR_N_OP_KINDS];
    double from, to; /* seconds of the run: its first tick began, its last ended */
    int n_rank;      /* of the plan                                            */
    har_tally_rank *rank;         /* [n_rank], owned                            */
    int64_t n_row[PAR_MAX_EXPERTS]; /* etp times those of the pass             */
    int n_expert;                /* that were seen: the last id, and one       */
} har_tally_pass;

typedef struct har_tally {
    int n_pass;
    har_tally_pass **pass; /* owned, in order of their first lines              */
    bool is_told;         /* how far the run is:                               */
    double progress;      /* 0..1                                              */
    char step[96];
    double seconds, left_seconds;
} har_tally;

/* Add one line, without its end; `name` is used in messages ("FILE:7").
 * Errors: E_FORMAT naming the member, expected and found; E_MEMORY.  [local] */
CORE_NODISCARD core_status har_tally_add(har_tally *live, const char *line,
                                        size_t n_bytes, const char *name);
void har_tally_free(har_tally *live); /* accepts a zeroed one                   */

/* Figures of a pass.                                                  [local] */
int64_t har_tally_tokens(const har_tally_pass *pass);
double har_tally_tokens_per_second(const har_tally_pass *pass); /* 0: no time yet */
double har_tally_dropped_share(const har_tally_pass *pass);
double har_tally_waiting_share(const har_tally_pass *pass);

/* Mean load of the ranks' experts over the largest, 0..1; 1 without load.   */
double har_tally_balance(const har_tally_pass *pass);

#endif
