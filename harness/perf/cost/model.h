/* harness/perf/cost/model.h -- the records of cost of a plan, without a run.
 *
 * The same records in the same order as the distributed pass emits them
 * (core/pass/cost.h), from the layout, the model, the shape of the batch and the
 * load of the experts.  Written from docs/cost-records.md; calls no operator.
 */
#ifndef HAR_COST_MODEL_H
#define HAR_COST_MODEL_H

#include "core/pass/batch.h"
#include "core/pass/cost.h"
#include "harness/perf/cost/load.h"

/* Queries of a row and head that attention multiplies at a time
 * (docs/cost-records.md).                                                    */
enum { HAR_QUERY_BLOCK = 64 };

typedef struct har_cost_case { /* borrows everything                           */
    const core_spec *spec;
    const par_plan *plan;      /* legal for spec and batch                     */
    const core_batch *batch;   /* n_b, n_t; ids: NULL counts them as even over
                                * the vocabulary; mask: NULL no padding        */
    const har_load *load;      /* NULL only for a model without experts        */
} har_cost_case;

/* Records that depend on nothing but the case, the rank's place in its tensor
 * group and what is said here: they come again with the same numbers in other
 * layers, micro-batches and replicas.                                        */
typedef enum har_cost_part {
    HAR_COST_EMBED,
    HAR_COST_MIXER,  /* from the norm before to the norm of the feed-forward  */
    HAR_COST_ROUTER,
    HAR_COST_MLP,    /* and what ends the layer                               */
    HAR_COST_HEAD
} har_cost_part;

typedef struct har_cost_section {
    har_cost_part part;
    int like;              /* the first layer that is like this one           */
    int64_t n_row;         /* of the micro-batch                              */
    int layer, mb;         /* where it comes now                              */
    int64_t tick;
} har_cost_section;

/* Who looks at records.                                                      */
typedef struct har_cost_reader {
    void *self;
    void (*put)(void *self, const core_cost *cost);
    /* Asked before a section: true where the reader has its records from before
     * and need not be shown them again.  NULL: shown everything.             */
    bool (*has)(void *self, const har_cost_section *section);
    void (*ends)(void *self); /* the section that has() did not have          */
} har_cost_reader;

/* Show the records of the rank of a layout in the order of execution.  Buffers
 * live in *arena, which is emptied; start it with core_arena_measure().
 * Errors: E_MEMORY.                                                   [local] */
CORE_NODISCARD core_status har_cost_walk(const har_cost_case *request,
                                         const par_layout *layout,
                                         core_arena *arena,
                                         const har_cost_reader *reader);

/* Show every record of one rank, whose layout is made here.
 * Errors: E_MEMORY.                                                   [local] */
CORE_NODISCARD core_status har_cost_rank(const har_cost_case *request, int rank,
                                         void (*put)(void *self,
                                                     const core_cost *cost),
                                         void *self);

/* Bytes that an operator moves from and to memory; that a rank sends: those of
 * a value are a parameter, 8 in the emulation, 2 on a GPU in fp16.   [local] */
int64_t har_cost_bytes(const core_cost *cost, int64_t value_bytes);
int64_t har_cost_sent_bytes(const core_cost *cost, int64_t value_bytes);

#endif
