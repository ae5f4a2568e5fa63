/* harness/perf/predict/train.h -- a step of training on a machine.
 *
 * Forward, back, sums of gradients, the optimiser: stages get their times from
 * records of cost and are put together as plans of tables are (machine/step.h);
 * what is kept for the way back is counted from the same records.
 * docs/training.md has the definitions.  Units: seconds, bytes.
 */
#ifndef HAR_PERF_TRAIN_H
#define HAR_PERF_TRAIN_H

#include "harness/perf/machine/step.h"
#include "harness/perf/predict/predict.h"

typedef struct har_train_case {
    const har_predict_case *what; /* load is that of its demand, as expected  */
    int zero;                  /* 1: optimiser's states, 2: gradients, 3:
                                * parameters are split over replicas, too     */
    har_recompute recompute;
    core_dtype gradients;      /* as they are added up and kept               */
} har_train_case;

/* Memory of the rank that speaks for a stage, bytes.                         */
typedef struct har_train_memory {
    double weights, gradients, optimiser;
    double kept;      /* for the way back, of all micro-batches in flight     */
    double buffers;   /* of the micro-batch at work, one layer made again,
                       * zero=3: a layer's parameters                         */
    double total;
    int in_flight;    /* micro-batches, with vpp > 1 counted in chunks        */
} har_train_memory;

typedef struct har_training_step {
    int n_gpu;
    double n_mb, n_token;
    har_range seconds, tokens_per_s;
    double mfu;          /* 3 x what the model asks for in a forward pass     */
    har_step_time parts; /* of seconds                                        */
    double gradients, optimiser; /* of parts.after, the slowest stage         */
    double memory;       /* of the fullest                                    */
    har_train_memory stage[CORE_MAX_LAYERS]; /* [pp]                          */
} har_training_step;

/* Errors: E_USAGE: narrow types, decode, virtual stages of scope=replica, a
 * machine without such units or links; E_MEMORY.                      [local] */
CORE_NODISCARD core_status har_predict_training(har_predictor *predictor,
                                                const har_train_case *request,
                                                har_training_step *out);

/* The report; the same for machines, into a file.  Errors: E_FILE, E_MEMORY.
 *                                                                    [local] */
void har_training_write(FILE *out, const har_train_case *request,
                        const har_machine *machine,
                        const har_training_step *step);
CORE_NODISCARD core_status har_training_json(const char *path,
                                             const har_train_case *request,
                                             const har_machine *machine,
                                             const har_training_step *step);

const char *har_recompute_name(har_recompute recompute);

/* Bytes of the optimiser's states of a parameter: two moments, and where
 * parameters are not fp32 themselves a copy that is.                 [local] */
double har_train_state_bytes(core_dtype parameters);

/* Micro-batches whose results a stage keeps, in chunks: 1F1B, interleaved with
 * virtual stages.                                                    [local] */
int har_train_in_flight(const par_plan *plan, int stage, int n_mb);

#endif
