/* parallel/turns.h -- what each stage works on, turn by turn.
 *
 * A round has runs of micro-batches: of one each as the plan says, or of more
 * that are worked on together (order.c).  In turn k, stage s is at place k - s
 * of an order that all stages have.  With vpp = 1 that is run k - s.  With more
 * a stage has vpp chunks of layers, one of every vpp-th part of the model, and
 * takes pp runs with its first chunk, the same with its second, and so on, then
 * the next pp runs: when stage 0 comes to a run again it has just been through
 * all stages.
 */
#ifndef PAR_TURNS_H
#define PAR_TURNS_H

#include "parallel/plan.h"

typedef struct par_turn {
    int run;   /* -1: idle                                                    */
    int chunk; /* 0 where idle                                                */
} par_turn;

/* Turns of a round of n_run runs, until the last stage has its last.  [local] */
int par_turns(const par_plan *plan, int n_run);

/* What a stage does in a turn.                                       [local] */
par_turn par_turn_of(const par_plan *plan, int n_run, int stage, int turn);

/* The same for the plan's own lanes: ticks of a round, a lane of a turn each;
 * the micro-batch of a stage's lane, -1: none.                       [local] */
int par_ticks(const par_plan *plan);
int par_runs(const par_plan *plan, int n_lane);
int par_lane_mb(const par_plan *plan, int n_lane, int stage, int turn,
                int lane);

/* The virtual stage that is a chunk of a stage: it has the layers of number
 * chunk * pp + stage of pp * vpp parts of the model.                 [local] */
int par_virtual_stage(const par_plan *plan, int stage, int chunk);

#endif
