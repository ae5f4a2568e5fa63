/* core/numbers/block_format.h -- formats whose values are codes with scales.
 *
 * A value is its code's number times the scale of its block, and in a format of
 * two levels times the scale of the whole tensor.  What a container adds is
 * where codes and scales lie: names in safetensors (core/weights/stored.c).
 */
#ifndef CORE_BLOCK_FORMAT_H
#define CORE_BLOCK_FORMAT_H

#include "core/base/status.h"

#include <stddef.h>
#include <stdint.h>

/* What a code says.  OFFSET: an integer stored as itself + half the range.   */
typedef enum core_code {
    CORE_CODE_E4M3,
    CORE_CODE_E5M2,
    CORE_CODE_E2M1,
    CORE_CODE_OFFSET4,
    CORE_CODE_OFFSET8,
    CORE_CODE_INT8,
} core_code;

/* What scales are stored as.  FLOAT: F32, BF16, F16 or F64; where a format has
 * such scales, E8M0 will do as well.                                         */
typedef enum core_scale_kind {
    CORE_SCALE_FLOAT,
    CORE_SCALE_E4M3,
    CORE_SCALE_E8M0,
} core_scale_kind;

/* X(kind, name, code, bits, scales, levels of them, rows, columns of a block).
 * Of two codes in a byte the one in the low bits is the earlier.  Rows and
 * columns 0: as the checkpoint has them, up to a whole row or the whole tensor.
 */
#define CORE_BLOCK_FORMAT_LIST(X)                                              \
    X(FP8, "FP8 E4M3", E4M3, 8, FLOAT, 1, 0, 0)                                \
    X(FP8_E5M2, "FP8 E5M2", E5M2, 8, FLOAT, 1, 0, 0)                           \
    X(MXFP8, "MXFP8", E4M3, 8, E8M0, 1, 1, 32)                                 \
    X(MXFP4, "MXFP4", E2M1, 4, E8M0, 1, 1, 32)                                 \
    X(NVFP4, "NVFP4", E2M1, 4, E4M3, 2, 1, 16)                                 \
    X(INT4, "INT4", OFFSET4, 4, FLOAT, 1, 0, 0)                                \
    X(INT8_PACKED, "INT8 packed", OFFSET8, 8, FLOAT, 1, 0, 0)                  \
    X(INT8, "INT8", INT8, 8, FLOAT, 1, 0, 0)

typedef enum core_block_kind {
#define CORE_BLOCK_ENUM(kind, ...) CORE_BLOCK_##kind,
    CORE_BLOCK_FORMAT_LIST(CORE_BLOCK_ENUM)
#undef CORE_BLOCK_ENUM
        CORE_N_BLOCK_KINDS,
    CORE_BLOCK_NONE = CORE_N_BLOCK_KINDS /* plain values                      */
} core_block_kind;

typedef struct core_block_format {
    const char *name;
    core_code code;
    int bits;
    core_scale_kind scale;
    int levels;
    int64_t rows, cols; /* of a block                                         */
} core_block_format;

/* Of a kind that is not NONE.                                        [local] */
const core_block_format *core_block_format_of(core_block_kind kind);

/* out[i] = the number of code first + i, i < n, of codes of this kind that lie
 * one after the other from `codes`.                                  [local] */
void core_block_decode(core_block_kind kind, const void *codes, int64_t first,
                       int64_t n, double *out);

#endif
