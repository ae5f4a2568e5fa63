/* core/numbers/block_format.c -- codes as numbers.
 *
 * Traps: of two codes in a byte the low half is the earlier one, in every
 * format here; packed integers are stored as themselves + 8 or + 128, so that
 * no code is negative.
 */
#include "core/numbers/block_format.h"

#include "core/numbers/dtype.h"

const core_block_format *core_block_format_of(core_block_kind kind)
{
    static const core_block_format FORMATS[] = {
#define FORMAT_ROW(kind, name, code, bits, scale, levels, rows, cols)          \
    {name, CORE_CODE_##code, bits, CORE_SCALE_##scale, levels, rows, cols},
        CORE_BLOCK_FORMAT_LIST(FORMAT_ROW)
#undef FORMAT_ROW
    };
    core_assert((unsigned)kind < CORE_N_BLOCK_KINDS);
    return &FORMATS[kind];
}

/* Codes of half a byte, by a table of their 16 numbers. */
static void decode_halves(const double number[16], const uint8_t *bytes,
                          int64_t first, int64_t n, double *out)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = first + i;
        const int shift = at % 2 == 0 ? 0 : 4;
        out[i] = number[bytes[at / 2] >> shift & 15];
    }
}

void core_block_decode(core_block_kind kind, const void *codes, int64_t first,
                       int64_t n, double *out)
{
    static const double E2M1[16] = {0.0,  0.5,  1.0,  1.5,  2.0,  3.0,
                                    4.0,  6.0,  -0.0, -0.5, -1.0, -1.5,
                                    -2.0, -3.0, -4.0, -6.0};
    static const double OFFSET4[16] = {-8.0, -7.0, -6.0, -5.0, -4.0, -3.0,
                                       -2.0, -1.0, 0.0,  1.0,  2.0,  3.0,
                                       4.0,  5.0,  6.0,  7.0};
    const uint8_t *bytes = codes;
    switch (core_block_format_of(kind)->code) {
    case CORE_CODE_E4M3:
        core_dtype_to_f64(out, bytes + first, CORE_DTYPE_F8_E4M3, n);
        break;
    case CORE_CODE_E5M2:
        core_dtype_to_f64(out, bytes + first, CORE_DTYPE_F8_E5M2, n);
        break;
    case CORE_CODE_INT8:
        core_dtype_to_f64(out, bytes + first, CORE_DTYPE_I8, n);
        break;
    case CORE_CODE_OFFSET8:
        for (int64_t i = 0; i < n; i++)
            out[i] = (double)bytes[first + i] - 128.0;
        break;
    case CORE_CODE_E2M1:
        decode_halves(E2M1, bytes, first, n, out);
        break;
    case CORE_CODE_OFFSET4:
        decode_halves(OFFSET4, bytes, first, n, out);
        break;
    }
}
