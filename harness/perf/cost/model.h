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

/* Rows that come together in the pairs of a pass, kept for the ranks of a group
 * that are walked one after the other.  Start with {0}; har_gathered_make before
 * the first rank of a case.                                                  */
typedef struct har_gathered {
    core_arena arena;      /* owned: core_arena_free                          */
    int group;             /* whose they are, or -1                           */
    int64_t n_pair;        /* of all ticks                                    */
    int n_stage;           /* of the members of a group                       */
    int64_t *rows;         /* [n_pair, n_stage, entries of the load]          */
    uint8_t *known;        /* [n_pair] are they there?                        */
} har_gathered;

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
    HAR_COST_MIXER,  /* from the norm before to the choice of experts         */
    HAR_COST_MLP,    /* and what ends the layer                               */
    HAR_COST_HEAD,
    HAR_COST_PACK,   /* from here on of a pair, which depend on n_flow, too   */
    HAR_COST_DISPATCH,
    HAR_COST_SORT,
    HAR_COST_ACTIVATION,
    HAR_COST_ORDER,
    HAR_COST_RETURN,
    HAR_COST_COMBINE,
    HAR_COST_ROWS,     /* where order does not count: SORT, ACTIVATION, ORDER */
    HAR_COST_PRODUCTS, /* and those of experts: see har_cost_section.rows     */
    HAR_COST_LAYER,    /* all of a layer with experts                         */
    HAR_COST_N_PARTS
} har_cost_part;

/* Is a section of this part of the rows that come to experts?  What packs and
 * combines is of the rank's own tokens, too, and so is a layer.      [local] */
bool har_cost_is_of_flow(har_cost_part part);

/* Rows of a grouped product.  Of a record flops, read and written grow with m, and
 * weights with n_expert.                                                     */
typedef struct har_cost_rows {
    int64_t m, m_max, n_expert;
} har_cost_rows;

typedef struct har_cost_section {
    har_cost_part part;
    int like;              /* the first layer that is like this one           */
    int64_t n_row;         /* of the micro-batch                              */
    int64_t n_flow;        /* rows of experts; of an exchange, of who gives or
                            * gets most                                       */
    bool is_of_flow;       /* depends neither on n_row nor on the place in the
                            * tensor group, but on that among the parts of an
                            * expert                                          */
    const int64_t *sent;   /* of an exchange: what its records have in sent,
                            * the one thing that n_flow does not say; else NULL */
    har_cost_rows rows;    /* of products, n_flow 0: all that they depend on  */
    int layer, mb;         /* where it comes now                              */
    int64_t tick;
} har_cost_section;

/* A layer whose experts are whole and whose ranks send all that they get back: its
 * sections in turn, ROWS and PRODUCTS among them.                            */
typedef struct har_cost_layer {
    har_cost_section section; /* n_flow 0: it holds what does not depend on rows */
    int64_t n_kept;          /* n_flow of PACK and COMBINE                    */
    int64_t n_most;          /* n_flow of DISPATCH and RETURN                 */
    int64_t sent_out[3], sent_back[1]; /* their `sent`                        */
} har_cost_layer;

/* Who looks at records.                                                      */
typedef struct har_cost_reader {
    void *self;
    void (*put)(void *self, const core_cost *cost);
    /* Asked before a section: true where the reader has its records from before
     * and need not be shown them again.  NULL: shown everything.             */
    bool (*has)(void *self, const har_cost_section *section);
    void (*ends)(void *self); /* the section that has() did not have          */
    bool joins; /* what is computed between two transfers in any order        */
    /* With joins: has() of all sections of a layer.  False: they are asked for one
     * by one, and then it ends.                                              */
    bool (*has_layer)(void *self, const har_cost_layer *layer);
    void (*layer_ends)(void *self);
    har_gathered *gathered;   /* of this case; NULL: each rank adds up itself */
} har_cost_reader;

/* Errors: E_MEMORY.                                                   [local] */
CORE_NODISCARD core_status har_gathered_make(har_gathered *gathered,
                                             const har_load *load,
                                             const par_layout *layout);

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
