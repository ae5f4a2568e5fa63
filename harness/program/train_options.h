/* harness/program/train_options.h -- the options of a step of training. */
#ifndef HAR_TRAIN_OPTIONS_H
#define HAR_TRAIN_OPTIONS_H

#include "harness/perf/predict/train.h"

typedef struct har_train_words { /* as given on the command line; borrowed    */
    bool is_asked;
    const char *zero, *recompute, *gradients;
} har_train_words;

#define HAR_TRAIN_OPTIONS(q)                                                   \
    {"train", .flag = &(q)->is_asked,                                          \
     .help = "a step of training instead of a forward pass: "                  \
             "docs/training.md"},                                              \
        {"zero", .text = &(q)->zero, .argument = "Z",                          \
         .help = "training: split over replicas, too: 1 states of the "        \
                 "optimiser, 2 gradients, 3 parameters (0)"},                  \
        {"recompute", .text = &(q)->recompute, .argument = "R",                \
         .help = "training: made again on the way back: none, selective "      \
                 "(norms, activations) or full (none)"},                       \
        {"gradients", .text = &(q)->gradients, .argument = "T",                \
         .help = "training: their type, f32, bf16 or f16 (f32)"}

/* Options of training without --train: E_USAGE.                      [local] */
CORE_NODISCARD core_status har_train_check(const har_train_words *words);

/* All but what.  Errors: E_USAGE naming the option.                  [local] */
CORE_NODISCARD core_status har_train_read(har_train_case *out,
                                          const har_train_words *words);

#endif
