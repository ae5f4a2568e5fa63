/* core/numbers/packed.c -- blocks of codes and scales as numbers.
 *
 * Traps: the low halves of a block's bytes are its first values and the high
 * halves its last, not every second; Q4_K and Q5_K do so in each 64 values, and
 * pack eight scales and eight offsets of six bits into twelve bytes; Q6_K deals
 * 128 values over halves of 64 bytes and quarters of 32.
 */
#include "core/numbers/packed.h"

#include "core/numbers/dtype.h"

#include <string.h>

static const core_packed_format FORMATS[] = {
#define FORMAT_ROW(kind, number, values, bytes) {#kind, number, values, bytes},
    CORE_PACKED_LIST(FORMAT_ROW)
#undef FORMAT_ROW
};

const core_packed_format *core_packed_format_of(core_packed_kind kind)
{
    core_assert((unsigned)kind < CORE_N_PACKED_KINDS);
    return &FORMATS[kind];
}

bool core_packed_of_number(uint32_t number, core_packed_kind *out)
{
    for (int k = 0; k < CORE_N_PACKED_KINDS; k++)
        if (FORMATS[k].number == number) {
            *out = (core_packed_kind)k;
            return true;
        }
    return false;
}

static double half_at(const uint8_t *bytes)
{
    double value;
    core_dtype_to_f64(&value, bytes, CORE_DTYPE_F16, 1);
    return value;
}

/* --- blocks of 32 ----------------------------------------------------------
 */

/* Code i of a block of 32: four bits, and a fifth where there are `high`. */
static int code_of_32(const uint8_t *low, const uint8_t *high, int i)
{
    const int code = i < 16 ? low[i] & 15 : low[i - 16] >> 4;
    return high == NULL ? code : code | (high[i / 8] >> i % 8 & 1) << 4;
}

/* scale * (code - middle) */
static void decode_middle(const uint8_t *block, const uint8_t *high,
                          const uint8_t *low, int middle, double *out)
{
    const double scale = half_at(block);
    for (int i = 0; i < 32; i++)
        out[i] = scale * (code_of_32(low, high, i) - middle);
}

/* scale * code + offset */
static void decode_offset(const uint8_t *block, const uint8_t *high,
                          const uint8_t *low, double *out)
{
    const double scale = half_at(block), offset = half_at(block + 2);
    for (int i = 0; i < 32; i++)
        out[i] = scale * code_of_32(low, high, i) + offset;
}

static void decode_q8_0(const uint8_t *block, double *out)
{
    const double scale = half_at(block);
    core_dtype_to_f64(out, block + 2, CORE_DTYPE_I8, 32);
    for (int i = 0; i < 32; i++)
        out[i] *= scale;
}

static void decode_mxfp4(const uint8_t *block, double *out)
{
    static const double NUMBER[16] = {0.0,  0.5,  1.0,  1.5,  2.0,  3.0,
                                      4.0,  6.0,  -0.0, -0.5, -1.0, -1.5,
                                      -2.0, -3.0, -4.0, -6.0};
    double scale;
    core_dtype_to_f64(&scale, block, CORE_DTYPE_F8_E8M0, 1);
    for (int i = 0; i < 32; i++)
        out[i] = scale * NUMBER[code_of_32(block + 1, NULL, i)];
}

/* --- blocks of 256 ---------------------------------------------------------
 */

/* Scale and offset j of eight, six bits each in twelve bytes. */
static void scale_of_32(const uint8_t *packed, int j, int *scale, int *offset)
{
    if (j < 4) {
        *scale = packed[j] & 63;
        *offset = packed[j + 4] & 63;
    } else {
        *scale = (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4;
        *offset = packed[j + 4] >> 4 | (packed[j] >> 6) << 4;
    }
}

/* Q4_K; Q5_K, whose codes have a fifth bit in `high`. */
static void decode_k(const uint8_t *block, const uint8_t *high,
                     const uint8_t *low, double *out)
{
    const double scale = half_at(block), offset = half_at(block + 2);
    for (int j = 0; j < 8; j++) {
        int s, o;
        scale_of_32(block + 4, j, &s, &o);
        for (int i = 0; i < 32; i++) {
            int code = low[j / 2 * 32 + i] >> 4 * (j % 2) & 15;
            if (high != NULL)
                code |= (high[i] >> j & 1) << 4;
            out[32 * j + i] = scale * s * code - offset * o;
        }
    }
}

static void decode_q6_k(const uint8_t *block, double *out)
{
    const double scale = half_at(block + 208);
    for (int i = 0; i < 256; i++) {
        const int half = i / 128, quarter = i % 128 / 32, at = i % 32;
        const uint8_t *low = block + 64 * half;
        const int four = low[quarter % 2 * 32 + at] >> 4 * (quarter / 2) & 15;
        const int two = block[128 + 32 * half + at] >> 2 * quarter & 3;
        const int8_t s = (int8_t)block[192 + i / 16];
        out[i] = scale * s * ((four | two << 4) - 32);
    }
}

static void decode(core_packed_kind kind, const uint8_t *b, double *out)
{
    switch (kind) {
    case CORE_PACKED_F32:
        core_dtype_to_f64(out, b, CORE_DTYPE_F32, 1);
        break;
    case CORE_PACKED_F16:
        core_dtype_to_f64(out, b, CORE_DTYPE_F16, 1);
        break;
    case CORE_PACKED_BF16:
        core_dtype_to_f64(out, b, CORE_DTYPE_BF16, 1);
        break;
    case CORE_PACKED_Q4_0:
        decode_middle(b, NULL, b + 2, 8, out);
        break;
    case CORE_PACKED_Q5_0:
        decode_middle(b, b + 2, b + 6, 16, out);
        break;
    case CORE_PACKED_Q4_1:
        decode_offset(b, NULL, b + 4, out);
        break;
    case CORE_PACKED_Q5_1:
        decode_offset(b, b + 4, b + 8, out);
        break;
    case CORE_PACKED_Q8_0:
        decode_q8_0(b, out);
        break;
    case CORE_PACKED_MXFP4:
        decode_mxfp4(b, out);
        break;
    case CORE_PACKED_Q4_K:
        decode_k(b, NULL, b + 16, out);
        break;
    case CORE_PACKED_Q5_K:
        decode_k(b, b + 16, b + 48, out);
        break;
    case CORE_PACKED_Q6_K:
        decode_q6_k(b, out);
        break;
    case CORE_N_PACKED_KINDS:
        break;
    }
}

void core_packed_read(core_packed_kind kind, const void *data, int64_t first,
                      int64_t n, double *out)
{
    const core_packed_format *f = core_packed_format_of(kind);
    double block[CORE_PACKED_MAX_VALUES];
    while (n > 0) {
        const int64_t at = first % f->values;
        const int64_t k = f->values - at < n ? f->values - at : n;
        decode(kind,
               (const uint8_t *)data + first / f->values * (int64_t)f->bytes,
               block);
        memcpy(out, block + at, (size_t)k * sizeof *out);
        out += k;
        first += k;
        n -= k;
    }
}
