/* core/numbers/dtype.c -- element types as bits.
 *
 * The small floats are widened and narrowed through the bits of a double, so
 * the compiler's _Float16 is not needed.  Traps: narrowing by way of float
 * would round twice (a double just above a tie becomes the tie); the input may
 * be unaligned, so it is read with memcpy; F8_E4M3 has no infinity, its
 * all-ones code is NaN; F8_E8M0 is a power of two and nothing else.
 */
#include "core/numbers/dtype.h"

#include <math.h>
#include <string.h>
#include <strings.h>

enum { F64_MANTISSA = 52, F64_BIAS = 1023 };

size_t core_dtype_bytes(core_dtype dtype)
{
    static const size_t bytes[] = {
#define CASE(name, bytes) bytes,
        CORE_DTYPE_LIST(CASE)
#undef CASE
    };
    core_assert((unsigned)dtype < CORE_N_DTYPES);
    return bytes[dtype];
}

const char *core_dtype_name(core_dtype dtype)
{
    static const char *const name[] = {
#define CASE(name, bytes) #name,
        CORE_DTYPE_LIST(CASE)
#undef CASE
    };
    core_assert((unsigned)dtype < CORE_N_DTYPES);
    return name[dtype];
}

bool core_dtype_parse(core_dtype *out, const char *name)
{
    for (int i = 0; i < CORE_N_DTYPES; i++) {
        if (strcmp(name, core_dtype_name((core_dtype)i)) == 0) {
            *out = (core_dtype)i;
            return true;
        }
    }
    return false;
}

static const struct {
    const char *word;
    core_dtype dtype;
} words[] = {{"fp64", CORE_DTYPE_F64},      {"float64", CORE_DTYPE_F64},
             {"double", CORE_DTYPE_F64},    {"fp32", CORE_DTYPE_F32},
             {"float32", CORE_DTYPE_F32},   {"float", CORE_DTYPE_F32},
             {"fp16", CORE_DTYPE_F16},      {"float16", CORE_DTYPE_F16},
             {"half", CORE_DTYPE_F16},      {"bfloat16", CORE_DTYPE_BF16},
             {"fp8", CORE_DTYPE_F8_E4M3},   {"int8", CORE_DTYPE_I8}};

bool core_dtype_of_word(core_dtype *out, const char *word)
{
    for (int i = 0; i < CORE_N_DTYPES; i++)
        if (strcasecmp(word, core_dtype_name((core_dtype)i)) == 0) {
            *out = (core_dtype)i;
            return true;
        }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(word, words[i].word) == 0) {
            *out = words[i].dtype;
            return true;
        }
    return false;
}

bool core_dtype_is_float(core_dtype dtype)
{
    switch (dtype) {
    case CORE_DTYPE_F64:
    case CORE_DTYPE_F32:
    case CORE_DTYPE_F16:
    case CORE_DTYPE_BF16:
    case CORE_DTYPE_F8_E4M3:
    case CORE_DTYPE_F8_E5M2:
        return true;
    default:
        return false;
    }
}

static double f64_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* 2^exponent of the normal range, as bits: ldexp is a call. */
static double power_of_two(int exponent)
{
    return f64_of_bits((uint64_t)(exponent + F64_BIAS) << F64_MANTISSA);
}

/* A small float of `man` mantissa bits and exponent bias `bias`, its sign bit
 * being number `top`.  Moved to where a double has its fields it is too small
 * by the difference of the biases, subnormals too: one exact product.        */
static double widen(unsigned code, int top, int man, int bias)
{
    const uint64_t magnitude = code & ((1U << top) - 1U);
    const double x = f64_of_bits(magnitude << (F64_MANTISSA - man)) *
                     power_of_two(F64_BIAS - bias);
    return (code >> top) != 0 ? -x : x;
}

static double f16_to_f64(unsigned code)
{
    const unsigned magnitude = code & 0x7fffU;
    if (magnitude > 0x7c00U)
        return NAN;
    if (magnitude == 0x7c00U)
        return code > 0x7fffU ? -INFINITY : INFINITY;
    return widen(code, 15, 10, 15);
}

static double f8_e4m3_to_f64(unsigned code)
{
    return (code & 0x7fU) == 0x7fU ? (double)NAN : widen(code, 7, 3, 7);
}

static double f8_e8m0_to_f64(unsigned code)
{
    return code == 0xffU ? (double)NAN : power_of_two((int)code - 127);
}

static double bf16_to_f64(unsigned code)
{
    const uint32_t bits = (uint32_t)code << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static double same(double x)
{
    return x;
}

/* out[i] = function(in[i]) for an `in` of any alignment. */
#define CONVERT(type, function)                                                \
    for (int64_t i = 0; i < n; i++) {                                          \
        type element;                                                          \
        memcpy(&element, bytes + (size_t)i * sizeof element, sizeof element);  \
        out[i] = function(element);                                            \
    }

void core_dtype_to_f64(double *out, const void *in, core_dtype dtype, int64_t n)
{
    const unsigned char *bytes = in;
    switch (dtype) {
    case CORE_DTYPE_BOOL:
    case CORE_DTYPE_U8:
        CONVERT(uint8_t, same)
        break;
    case CORE_DTYPE_I8:
        CONVERT(int8_t, same)
        break;
    case CORE_DTYPE_I16:
        CONVERT(int16_t, same)
        break;
    case CORE_DTYPE_U16:
        CONVERT(uint16_t, same)
        break;
    case CORE_DTYPE_I32:
        CONVERT(int32_t, same)
        break;
    case CORE_DTYPE_U32:
        CONVERT(uint32_t, same)
        break;
    case CORE_DTYPE_I64:
        CONVERT(int64_t, (double))
        break;
    case CORE_DTYPE_U64:
        CONVERT(uint64_t, (double))
        break;
    case CORE_DTYPE_F32:
        CONVERT(float, (double))
        break;
    case CORE_DTYPE_F64:
        if (n > 0)
            memcpy(out, in, (size_t)n * sizeof *out);
        break;
    case CORE_DTYPE_F16:
        CONVERT(uint16_t, f16_to_f64)
        break;
    case CORE_DTYPE_BF16:
        CONVERT(uint16_t, bf16_to_f64)
        break;
    case CORE_DTYPE_F8_E4M3:
        CONVERT(uint8_t, f8_e4m3_to_f64)
        break;
    case CORE_DTYPE_F8_E5M2:
        for (int64_t i = 0; i < n; i++)
            out[i] = f16_to_f64((unsigned)bytes[i] << 8); /* F16's high half */
        break;
    case CORE_DTYPE_F8_E8M0:
        CONVERT(uint8_t, f8_e8m0_to_f64)
        break;
    case CORE_N_DTYPES:
        core_assert(dtype != CORE_N_DTYPES);
    }
}

/* Inverse of widen, half to even, for 16-bit formats with infinities: x in
 * units of its last place is an integer between 0 and 2^(man+1), and codes of
 * neighbouring exponents follow each other, so a carry needs no case.        */
static uint16_t narrow(double x, int man, int bias)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const unsigned sign = (unsigned)(bits >> 63) << 15;
    const unsigned infinity = (0x7fffU >> man) << man;
    const double magnitude = fabs(x);
    if (magnitude != magnitude)
        return (uint16_t)(sign | infinity | 1U << (man - 1));
    int exponent = (int)(bits >> F64_MANTISSA & 0x7ffU) - F64_BIAS;
    if (exponent > bias)
        return (uint16_t)(sign | infinity);
    if (exponent < 1 - bias)
        exponent = 1 - bias;
    const double units = rint(magnitude * power_of_two(man - exponent));
    const unsigned code =
        (unsigned)units + ((unsigned)(exponent + bias - 1) << man);
    return (uint16_t)(sign | code);
}

void core_dtype_from_f64(void *out, const double *in, core_dtype dtype,
                         int64_t n)
{
    unsigned char *bytes = out;
    switch (dtype) {
    case CORE_DTYPE_F64:
        if (n > 0)
            memcpy(out, in, (size_t)n * sizeof *in);
        break;
    case CORE_DTYPE_F32:
        for (int64_t i = 0; i < n; i++) {
            const float element = (float)in[i];
            memcpy(bytes + (size_t)i * sizeof element, &element,
                   sizeof element);
        }
        break;
    case CORE_DTYPE_F16:
    case CORE_DTYPE_BF16: {
        const int man = dtype == CORE_DTYPE_F16 ? 10 : 7;
        const int bias = dtype == CORE_DTYPE_F16 ? 15 : 127;
        for (int64_t i = 0; i < n; i++) {
            const uint16_t element = narrow(in[i], man, bias);
            memcpy(bytes + (size_t)i * sizeof element, &element,
                   sizeof element);
        }
        break;
    }
    default:
        core_assert(dtype == CORE_DTYPE_F64);
    }
}
