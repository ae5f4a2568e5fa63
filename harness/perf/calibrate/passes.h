/* harness/perf/calibrate/passes.h -- emulated passes, timed operator by operator.
 *
 * What is kept is processor time of this rank, which ranks that take turns on a
 * core do not disturb as they do wall time.
 */
#ifndef HAR_PERF_PASSES_H
#define HAR_PERF_PASSES_H

#include "harness/perf/machine/rates.h"
#include "parallel/forward.h"

enum { HAR_MAX_PASSES = 9 };

typedef struct har_timed {
    core_cost cost;
    double pass[HAR_MAX_PASSES]; /* seconds in each pass                      */
    double seconds;              /* of them the middle one                    */
} har_timed;

typedef struct har_passes {
    har_timed *at;               /* owned                                     */
    int64_t n;
    int n_pass;
    par_stats stats;             /* of the last pass                          */
    /* what follows is filled while passes run */
    int64_t room, next;
    int now;
    core_status status;
} har_passes;

/* What a pass of one rank of a plan takes.                                   */
typedef struct har_inputs {
    core_arena arena; /* of the layout                                        */
    par_layout layout;
    core_batch batch;
    core_weights *weights;
} har_inputs;

/* Weights, prepared for numerics, and a batch of a seed.  Close them also after
 * errors.  Errors: E_MEMORY.                                         [local] */
CORE_NODISCARD core_status
har_inputs_open(har_inputs *out, const core_spec *spec, const par_plan *plan,
                int rank, int64_t n_b, int64_t n_t, uint64_t seed,
                core_numerics numerics);
void har_inputs_close(har_inputs *inputs);

typedef struct har_passes_case { /* borrows everything                        */
    const core_spec *spec;
    const har_inputs *inputs;
    core_numerics numerics;      /* as the inputs                             */
    int n_pass;                  /* odd, at most HAR_MAX_PASSES               */
    bool is_cold;                /* the core's cache is emptied before a pass */
} har_passes_case;

/* Run the passes after one that is not counted.  Free with har_passes_free also
 * after errors.  Errors: E_MEMORY, agreed.            [collective over comm] */
CORE_NODISCARD core_status har_passes_run(har_passes *out, par_comm *comm,
                                          const har_passes_case *request);
/* What lay in which cache when operator i of one rank alone began.    [local] */
har_residency har_passes_where(const har_passes *passes, int64_t i,
                               core_dtype dtype, double cache_bytes);
void har_passes_free(har_passes *passes);

#endif
