/* harness/perf/cost_model.h -- the records of cost of a plan, without a run.
 *
 * The same records in the same order as the distributed pass emits them
 * (core/cost.h), from the layout, the model, the shape of the batch and the
 * load of the experts.  Written from docs/cost-records.md; calls no operator.
 */
#ifndef HAR_COST_MODEL_H
#define HAR_COST_MODEL_H

#include "core/batch.h"
#include "core/cost.h"
#include "harness/perf/load.h"

typedef struct har_cost_case { /* borrows everything                           */
    const core_spec *spec;
    const par_plan *plan;      /* legal for spec and batch                     */
    const core_batch *batch;   /* n_b, n_t; ids: NULL counts them as even over
                                * the vocabulary; mask: NULL no padding        */
    const har_load *load;      /* NULL only for a model without experts        */
} har_cost_case;

/* Show every record of one rank in the order of execution.
 * Errors: E_MEMORY.                                                   [local] */
CORE_NODISCARD core_status har_cost_rank(const har_cost_case *request, int rank,
                                         void (*put)(void *self,
                                                     const core_cost *cost),
                                         void *self);

#endif
