/* harness/perf/machine/step.h -- a step of training, put together from what the
 * stages of its pipeline do.
 *
 * One model for a GPT of a table (plan.c) and for records of cost
 * (perf/predict/train.c): a micro-batch goes forward, is made again where its
 * results were not kept, and goes backward; the pipeline fills and drains; then gradients are added up and the optimiser runs.
 * Units: seconds, bytes.
 */
#ifndef HAR_PERF_STEP_H
#define HAR_PERF_STEP_H

#include "harness/perf/machine/machine.h"

/* What is not kept for the way back, but made again there.                   */
typedef enum har_recompute {
    HAR_RECOMPUTE_NONE,
    HAR_RECOMPUTE_SELECTIVE, /* norms and activations                         */
    HAR_RECOMPUTE_FULL,      /* layers from their inputs                      */
    HAR_N_RECOMPUTE
} har_recompute;

enum {
    HAR_OPS_PER_LAYER = 20, /* of a forward pass that the host starts         */
    HAR_BACKWARD = 2        /* work of the way back / of the way there        */
};

/* One micro-batch in n stages that are alike, all their chunks of layers.     */
typedef struct har_step_stage {
    int n;
    double forward; /* the device in layers, without transfers                */
    double back;    /* the same on the way back                               */
    double again;   /* of forward, what is made again                         */
    double n_op;    /* operators that the host starts for `forward`           */
    double n_op_again;
    double moves; /* transfers inside the stage: there, again and back        */
    double ends;  /* embedding, head and loss, there and back                 */
    double send;  /* to the next stage, one message; the same comes back      */
    double after; /* sums of gradients and what the optimiser does, in a step */
} har_step_stage;

typedef struct har_step {
    double n_mb; /* micro-batches of a replica                                */
    int vpp;
    int n_stage; /* kinds of stages                                           */
    const har_step_stage *stage; /* [n_stage]                                 */
} har_step;

/* Where a step goes: what adds up to seconds.                                */
typedef struct har_step_time {
    double seconds;
    double layers; /* of the slowest stage: its micro-batches in layers ..    */
    double moves;  /* .. in transfers inside the stage ..                     */
    double ends;   /* .. and in embedding, head, loss                         */
    double fill;   /* filling and draining the pipeline                       */
    double sends;  /* between stages                                          */
    double after;
} har_step_time;

void har_step_time_of(const har_machine *machine, const har_step *step,
                      har_step_time *out);

/* Reading and writing `elements` fp32 logits for a loss and its gradient; the
 * optimiser of so many parameters.                                   [local] */
double har_step_loss(const har_machine *machine, double elements);
double har_step_optimiser(const har_machine *machine, double parameters);

#endif
