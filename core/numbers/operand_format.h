/* core/numbers/operand_format.h -- rows of values as engines quantise them:
 * what is multiplied with quantised weights, and weights
 * (core/weights/quantiser.h).
 *
 * A value of a row becomes the number of the code next to it over the scale of
 * its group (ties to even, cut at the largest code) times that scale.  Scales
 * are floats, as engines keep them; the quotient and the product are not
 * rounded.  A group of zeros stays zeros.
 */
#ifndef CORE_OPERAND_FORMAT_H
#define CORE_OPERAND_FORMAT_H

#include "core/numbers/block_format.h"
#include "core/numbers/numerics.h"

#include <stdint.h>

/* A group's scale, from its largest magnitude over the largest code:
 *   FLOAT  that
 *   UP     the next power of two that is no less (DeepSeek, modelopt's MXFP8)
 *   NEAR   2^(e - e_code): the exponents of the magnitude, from 1.75 2^e on the
 *          next, and of the largest code (compressed-tensors' MX)
 *   E4M3   that over `fixed`, rounded to E4M3, times `fixed` (NVFP4)
 *   F16    that; codes are multiplied by it rounded to F16 (GGUF's Q8_0)     */
typedef enum core_operand_scale {
    CORE_OPERAND_SCALE_FLOAT,
    CORE_OPERAND_SCALE_UP,
    CORE_OPERAND_SCALE_NEAR,
    CORE_OPERAND_SCALE_E4M3,
    CORE_OPERAND_SCALE_F16,
} core_operand_scale;

typedef struct core_operand_format {
    core_code code; /* E4M3, E5M2, E2M1, INT8; of weights OFFSET4, too  */
    core_operand_scale scale;
    int64_t group; /* values of a row that share one; 0: all of them   */
    double fixed;  /* the scale of everything; 0: none                 */
    double most;   /* no magnitude counts as larger for one; 0: all do */
} core_operand_format;

/* As an engine may have them whose values are off a little: each is moved
 * before its code is looked for, and so is a group's largest magnitude where
 * its scale is rounded further, up or down as (seed, stream, value) says.  So
 * what is near the middle of two codes goes to either, and nothing else changes. */
typedef struct core_operand_draw {
    double reach; /* how far, over the group's largest magnitude              */
    uint64_t seed, stream;
} core_operand_draw;

/* Does a scale depend on the whole row?  Then who has a part of it must ask the
 * others for the largest magnitude.                                  [local] */
bool core_operand_needs_row(const core_operand_format *format);

/* x[0..n) := what their codes stand for, in exact mode snapped to the grid of
 * activations.  A row, or a part that begins with a group; NaN stays NaN.
 *   largest  magnitude of the whole row; read only if core_operand_needs_row
 *   draw     NULL: as they are                                       [local] */
void core_operand_quantise(const core_operand_format *format,
                           core_numerics numerics, double largest, double *x,
                           int64_t n, const core_operand_draw *draw);

/* "FP8 E4M3", of a code that activations have.                               */
const char *core_code_name(core_code code);

#endif
