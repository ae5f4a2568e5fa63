/* core/weights/quantiser.h -- weights as they are after somebody has quantised
 * them: the routed experts' matrices, which is what is quantised everywhere.
 *
 * A row is cut into blocks; a value becomes the number of the code next to it
 * over the scale of its block, ties to even, times that scale.  What comes out
 * quantises to itself, so whoever quantises it again by the same rule computes
 * with the same values.
 */
#ifndef CORE_QUANTISER_H
#define CORE_QUANTISER_H

#include "core/weights/weights.h"

enum { CORE_QUANTISER_MAX_BLOCK = 4096, CORE_QUANTISER_TEXT = 64 };

typedef struct core_quantiser {
    const char *format; /* a word of core_quantiser_formats                   */
    int64_t bits, block; /* block 0: a scale for a row                        */
    core_operand_format rule;
    bool has_second; /* a scale of the whole matrix as well                   */
} core_quantiser;

/* A rule by what is said of it.  bits or block -1: not said, and the format's
 * own is taken where it has only one.                                [local]
 * Errors: E_USAGE naming the option (--weights-bits, --block, --format).     */
CORE_NODISCARD core_status core_quantiser_of(core_quantiser *out,
                                             const char *format, int64_t bits,
                                             int64_t block);

/* "int, fp8, mxfp4, mxfp8, nvfp4".                                           */
const char *core_quantiser_formats(void);

/* "int of 4 bits, a scale for 16 values"; returns text.              [local] */
const char *core_quantiser_text(const core_quantiser *quantiser,
                                char text[CORE_QUANTISER_TEXT]);

/* From now on experts' matrices have the values that are left of them.
 * Errors: E_USAGE where blocks do not divide a row; E_MEMORY; the weights are
 * as they were.                                                      [local] */
CORE_NODISCARD core_status
core_weights_quantise(core_weights *weights, const core_quantiser *quantiser);

#endif
