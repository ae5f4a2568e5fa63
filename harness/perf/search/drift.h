/* harness/perf/search/drift.h -- experts that are dealt anew while what is asked of
 * them changes: balance, what moves, and what it saves.
 *
 * Every layer has the same shares, on experts of its own.  In each pass choices
 * are drawn from them; then a part of the experts trade their shares with others.
 * After every so many passes each layer's experts are dealt by what was counted
 * since the time before, and weights move.  Nothing is known beforehand.
 */
#ifndef HAR_PERF_DRIFT_H
#define HAR_PERF_DRIFT_H

#include "harness/perf/search/dealing.h"

typedef struct har_drift_case { /* borrows everything                         */
    har_dealing dealing;
    const double *share;   /* [n_e] of the choices, adding up to 1            */
    double drift;          /* of the experts, those that trade, in a pass     */
    int64_t n_token;       /* of a pass, on all GPUs                          */
    int n_pass, every;     /* passes; those between two dealings              */
    uint64_t seed;
} har_drift_case;

/* Balance: means of a GPU's rows over those of the fullest, layers added up. */
typedef struct har_drift_pass {
    double in_order, kept, dealt; /* experts in order; as they were before the
                                   * latest dealing; as they are              */
    double kept_seconds, dealt_seconds; /* of experts, the slowest GPU of each
                                         * layer                              */
    int64_t moved_bytes, most_bytes; /* behind it: of all GPUs, into one      */
    double move_seconds;             /* most_bytes over the machine's links   */
} har_drift_pass;

typedef struct har_drift {
    int n_layer;            /* of experts                                     */
    int *logical;           /* [n_layer, n_gpu * n_slot] behind the last pass */
    har_drift_pass *pass;   /* [n_pass]                                       */
} har_drift;

/* The deal must have passed its check.  Errors: E_MEMORY.  Free with
 * har_drift_free whatever was returned; start with {0}.              [local] */
CORE_NODISCARD core_status har_drift_run(har_drift *out,
                                         const har_drift_case *request);
void har_drift_free(har_drift *drift);

/* Passes until what the dealing behind pass i moved is earned back by what the
 * next pass saved; infinite if that is nothing.                      [local] */
double har_drift_pays(const har_drift *drift, int i);

#endif
