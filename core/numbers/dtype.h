/* core/numbers/dtype.h -- element types of files, and their way to double and back. */
#ifndef CORE_DTYPE_H
#define CORE_DTYPE_H

#include "core/base/status.h"

#include <stddef.h>
#include <stdint.h>

/* enumerator and safetensors name, bytes per element */
#define CORE_DTYPE_LIST(X)                                                     \
    X(BOOL, 1) X(U8, 1) X(I8, 1) X(I16, 2) X(U16, 2) X(F16, 2) X(BF16, 2)      \
    X(I32, 4) X(U32, 4) X(F32, 4) X(F64, 8) X(I64, 8) X(U64, 8)                \
    X(F8_E4M3, 1) X(F8_E5M2, 1) X(F8_E8M0, 1)

typedef enum core_dtype {
#define CORE_DTYPE_ENUM(name, bytes) CORE_DTYPE_##name,
    CORE_DTYPE_LIST(CORE_DTYPE_ENUM)
#undef CORE_DTYPE_ENUM
    CORE_N_DTYPES
} core_dtype;

size_t core_dtype_bytes(core_dtype dtype);
const char *core_dtype_name(core_dtype dtype);
/* The type of a name; false: there is none.                          [local] */
bool core_dtype_parse(core_dtype *out, const char *name);

/* The same for what people and other programs write: names in any case, and
 * fp16, float16, half, bfloat16, float ...                           [local] */
bool core_dtype_of_word(core_dtype *out, const char *word);
bool core_dtype_is_float(core_dtype dtype);

/* out[i] = in[i], exactly, for n elements of a float or integer type up to 32
 * bits (64-bit integers beyond 2^53 round).  `in` need not be aligned. [local] */
void core_dtype_to_f64(double *out, const void *in, core_dtype dtype, int64_t n);

/* out[i] = in[i] rounded half to even to a float type (F64, F32, F16, BF16). */
void core_dtype_from_f64(void *out, const double *in, core_dtype dtype, int64_t n);

#endif
