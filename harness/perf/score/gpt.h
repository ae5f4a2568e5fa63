/* harness/perf/score/gpt.h -- answers of a dense GPT, from end to end.   */
#ifndef HAR_PERF_GPT_H
#define HAR_PERF_GPT_H

#include "harness/perf/machine/machine.h"

typedef struct har_gpt {
    int n_l, n_d, n_h, n_v; /* width n_d, inner 4 n_d                         */
    int tp, batch;
    int input, output;      /* tokens                                         */
} har_gpt;

/* A pass of all prompts, which gives the first token, and output - 1 steps, in
 * f16, as `predict` says of them; NaN where it cannot.               [local] */
har_time har_time_gpt(const har_machine *machine,
                             const har_gpt *run);

#endif
