/* harness/judge/model.h -- the model that a golden bundle was made from.
 *
 * For taps that a coarse bundle does not hold, and to try what the model gives
 * with another setting.  Where its weights are not at hand (a checkpoint that is
 * not beside the bundle, a bundle that somebody edited, a model too large to be
 * run for a try) there is none, which is no error.
 */
#ifndef HAR_JUDGE_MODEL_H
#define HAR_JUDGE_MODEL_H

#include "core/weights/weights.h"
#include "golden/golden.h"
#include "harness/judge/yardstick.h"

typedef struct har__model {
    gold_case gold;          /* owned                                         */
    core_weights *weights;   /* owned; NULL: there is no model                */
    core_numerics numerics;
    int layer;               /* whose taps are at hand, -1: none yet          */
    double *tap[CORE_N_TAP_KINDS]; /* owned                                   */
} har__model;

/* The same, with the reason why there is none; given: where its checkpoint lies,
 * NULL: beside the bundle.  Errors: those of gold_open, gold_find_model and
 * gold_open_weights; E_INPUT for a golden of other people.           [local] */
CORE_NODISCARD core_status har__model_find(har__model *out,
                                           const har_yardstick *yard,
                                           core_numerics numerics,
                                           const char *given);

/* Close with har__model_close, always.                               [local] */
void har__model_open(har__model *out, const har_yardstick *yard,
                     core_numerics numerics);
void har__model_close(har__model *model);

/* A tap as the model has it, which a coarse bundle does not hold; all of a layer
 * are made when the first is asked for.  NULL: it cannot be had.     [local] */
const double *har__model_tap(har__model *model, core_tap tap);

/* May a pass of it be run for a try?                                 [local] */
bool har__model_is_small(const har__model *model, const core_spec *spec);

/* out: the whole tap of a pass with the settings of spec, on the bundle's batch.
 * False: it cannot be run so.                                        [local] */
bool har__model_run(har__model *model, const core_spec *spec, core_tap tap,
                    double *out);

#endif
