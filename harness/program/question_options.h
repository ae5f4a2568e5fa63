/* harness/program/question_options.h -- the options of a prediction. */
#ifndef HAR_QUESTION_OPTIONS_H
#define HAR_QUESTION_OPTIONS_H

#include "harness/perf/predict/question.h"
#include "harness/program/model.h"

/* Of a config.json that stands alone: har_config_write.                      */
#define HAR_NO_WEIGHTS "a prediction needs no weights"

/* Rows of a command's har_option list, for the har_question at q.            */
#define HAR_QUESTION_OPTIONS(q)                                                \
    {.text = &(q)->model}, HAR_OVERRIDE_OPTIONS(&(q)->overrides),              \
        {"plan", .text = &(q)->plan},                                          \
        {"machine", .text = &(q)->machine}, {"batch", .text = &(q)->batch},    \
        {"dtype", .text = &(q)->dtype},                                        \
        {"popularity", .text = &(q)->popularity},                              \
        {"prompt", .text = &(q)->prompt},                                      \
        {"decode", .flag = &(q)->is_decode,                                    \
         .help = "one token per row: --batch B (256); else BxT (256x256)"},    \
        {"kv", .text = &(q)->kv, .argument = "L",                              \
         .help = "decode: cached tokens of a row"},                            \
        {"overlap", .text = &(q)->overlap, .argument = "O",                    \
         .help = "none, pipeline or all; as the plan says, or pipeline"},      \
        {"routing", .text = &(q)->routing, .argument = "R",                    \
         .help = "drawn[:SEED]; expected: one rank speaks for its stage; "     \
                 "measured:FILE: the choices in a file of taps"},              \
        {"draws", .text = &(q)->draws, .argument = "N",                        \
         .help = "other draws of the routing that the intervals hold, 0 to "   \
                 "64 (7)"},                                                    \
        {"collectives", .text = &(q)->shots, .argument = "C",                  \
         .help = "library or shot"}

#endif
