/* core/numbers/packed.h -- value types of GGUF: plain floats, and blocks that
 * hold codes and their scales side by side.
 *
 * A row is a whole number of blocks.  Layouts: ggml-common.h of llama.cpp.
 */
#ifndef CORE_PACKED_H
#define CORE_PACKED_H

#include "core/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(kind, number in a file, values of a block, bytes of a block) */
#define CORE_PACKED_LIST(X)                                                    \
    X(F32, 0, 1, 4)                                                            \
    X(F16, 1, 1, 2)                                                            \
    X(Q4_0, 2, 32, 18)                                                         \
    X(Q4_1, 3, 32, 20)                                                         \
    X(Q5_0, 6, 32, 22)                                                         \
    X(Q5_1, 7, 32, 24)                                                         \
    X(Q8_0, 8, 32, 34)                                                         \
    X(Q4_K, 12, 256, 144)                                                      \
    X(Q5_K, 13, 256, 176)                                                      \
    X(Q6_K, 14, 256, 210)                                                      \
    X(BF16, 30, 1, 2)                                                          \
    X(MXFP4, 39, 32, 17)

typedef enum core_packed_kind {
#define CORE_PACKED_ENUM(kind, ...) CORE_PACKED_##kind,
    CORE_PACKED_LIST(CORE_PACKED_ENUM)
#undef CORE_PACKED_ENUM
        CORE_N_PACKED_KINDS
} core_packed_kind;

enum { CORE_PACKED_MAX_VALUES = 256 };

typedef struct core_packed_format {
    const char *name;
    uint32_t number;
    int64_t values; /* of a block                                             */
    size_t bytes;
} core_packed_format;

const core_packed_format *core_packed_format_of(core_packed_kind kind);

/* The kind with that number; false: there is none, or it is not read. [local]
 */
bool core_packed_of_number(uint32_t number, core_packed_kind *out);

/* out[i] = value first + i, i < n, of blocks that lie one after the other from
 * `data`: the exact product of code and scales, plus the exact offset where a
 * format has one, rounded once to double.                            [local] */
void core_packed_read(core_packed_kind kind, const void *data, int64_t first,
                      int64_t n, double *out);

#endif
