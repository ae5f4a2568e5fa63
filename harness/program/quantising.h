/* harness/program/quantising.h -- goldens of weights as quantised: the options,
 * and how far the model is from the one that was quantised.
 */
#ifndef HAR_PROGRAM_QUANTISING_H
#define HAR_PROGRAM_QUANTISING_H

#include "golden/golden.h"

/* As given; NULL: not. */
typedef struct har_quantising {
    const char *bits, *block, *format;
    const char *original; /* MODEL whose weights were quantised               */
} har_quantising;

#define HAR_QUANTISING_OPTIONS(q)                                              \
    {"weights-bits", .text = &(q)->bits, .argument = "N",                      \
     .help = "quantise the experts' matrices to so many bits, and compute "    \
             "with what is left of them"},                                     \
        {"block", .text = &(q)->block, .argument = "N",                        \
         .help = "values of a row that share a scale (a row)"},                \
        {"format", .text = &(q)->format, .argument = "FORMAT",                 \
         .help = "int, fp8, mxfp4, mxfp8 or nvfp4 (int)"},                     \
    {                                                                          \
        "original",                                                            \
            .text = &(q)->original, .argument = "MODEL",                       \
            .help =                                                            \
                "of a quantised checkpoint: the one that it was made from, "   \
                "to be told how far off its logits are"                        \
    }

/* Write into *gold what the options say.  Errors: E_USAGE.           [local] */
CORE_NODISCARD core_status har_quantising_read(gold_case *gold,
                                               const har_quantising *q);

/* Where the case has quantised weights and something to hold them against: the
 * reference's logits in fp64 with both, held against each other, into
 * gold->quantiser_says.  Errors: those of opening and running either. [local]
 */
CORE_NODISCARD core_status har_quantising_measure(gold_case *gold,
                                                  const har_quantising *q,
                                                  const gold_options *options);

#endif
