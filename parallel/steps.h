/* parallel/steps.h -- what a rank does in a turn, and what waits for what.
 *
 * The list that a pass works off (order.c), for whoever replays it.
 */
#ifndef PAR_STEPS_H
#define PAR_STEPS_H

#include "core/model/spec.h"
#include "parallel/layout.h"

/* All but EXPERTS meet other ranks.                                          */
typedef enum par_step_kind {
    PAR_STEP_ARRIVE,   /* the stream: embedded, or of the stage before        */
    PAR_STEP_MIX,      /* a layer's mixer                                     */
    PAR_STEP_SUM,      /* over tp, of what a step left, and what follows      */
    PAR_STEP_ROUTE,    /* what its feed-forward part reads, and who gets it   */
    PAR_STEP_DISPATCH, /* rows begin their way to their experts               */
    PAR_STEP_ARRIVED,  /* they are there                                      */
    PAR_STEP_EXPERTS,
    PAR_STEP_COMBINE,  /* rows begin their way back                           */
    PAR_STEP_RETURNED, /* they are back: their sums                           */
    PAR_STEP_MLP,      /* dense, or of a shared expert                        */
    PAR_STEP_ADD,      /* to the stream                                       */
    PAR_STEP_LEAVE     /* the head, or to the stage behind                    */
} par_step_kind;

enum { PAR_STEP_WAITS = 2 };

typedef struct par_turn_step {
    par_step_kind kind;
    par_step_kind of;            /* SUM: whose                                */
    int lane, layer, pair;       /* layer -1: none of this rank's             */
    int after[PAR_STEP_WAITS];   /* steps that it waits for, or -1            */
    bool is_done;
} par_turn_step;

/* The most steps that a turn of n_lane micro-batches has.            [local] */
int64_t par_most_steps(const par_layout *layout, int n_lane);

/* Those of a turn of a round in the plan's own lanes, in their order; returns
 * how many.  For plans with batch_reduce = 1.
 *   out  [par_most_steps(layout, par_plan_lanes(plan))]              [local] */
int par_turn_steps(const par_layout *layout, const core_spec *spec, int turn,
              par_turn_step *out);

#endif
