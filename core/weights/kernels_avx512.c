/* core/weights/kernels_avx512.c -- the loops for processors with AVX-512.
 *
 * A vector has a word of eight blocks, each in a lane of 64 bits: the products
 * of Philox are 64 bits wide, and what is left in a lane's upper half the next
 * product does not read.
 */
#include "core/weights/kernels.h"

#include <stddef.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define INLINE static inline __attribute__((always_inline)) AVX512

enum { GROUP = 8, GROUPS = 2, ROUNDS = 10 };

static bool runs(void)
{
    return __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

/* Four words of each of eight blocks become 64 codes. */
INLINE void store(const __m512i x[4], int cut, int16_t *code)
{
    const __m128i shift = _mm_cvtsi32_si128(4 + cut);
    const __m512i mask =
        _mm512_set1_epi16((int16_t)(CORE__MOST_ODD >> cut << 1));
    const __m512i most = _mm512_set1_epi16((int16_t)(CORE__MOST_ODD >> cut));
    const __m512i x01 =
        _mm512_mask_blend_epi32(0xAAAA, x[0], _mm512_slli_epi64(x[1], 32));
    const __m512i x23 =
        _mm512_mask_blend_epi32(0xAAAA, x[2], _mm512_slli_epi64(x[3], 32));
    const __m512i even = _mm512_set_epi64(13, 5, 12, 4, 9, 1, 8, 0);
    const __m512i odd = _mm512_set_epi64(15, 7, 14, 6, 11, 3, 10, 2);
    const __m512i half[2] = {_mm512_permutex2var_epi64(x01, even, x23),
                             _mm512_permutex2var_epi64(x01, odd, x23)};
    /* blocks 0 1 4 5 and 2 3 6 7 */
    const __m512i in_order[2] = {
        _mm512_shuffle_i64x2(half[0], half[1], _MM_SHUFFLE(1, 0, 1, 0)),
        _mm512_shuffle_i64x2(half[0], half[1], _MM_SHUFFLE(3, 2, 3, 2))};
    for (int h = 0; h < 2; h++) {
        const __m512i bits =
            _mm512_and_si512(_mm512_srl_epi16(in_order[h], shift), mask);
        _mm512_storeu_si512(code + 32 * h, _mm512_sub_epi16(bits, most));
    }
}

AVX512 static void codes(uint64_t seed, uint64_t stream, uint64_t first,
                         int64_t n_block, int cut, int16_t *code)
{
    const __m512i m0 = _mm512_set1_epi64(0xD2511F53);
    const __m512i m1 = _mm512_set1_epi64(0xCD9E8D57);
    for (int64_t b = 0; b < n_block; b += GROUPS * GROUP) {
        __m512i x[GROUPS][4];
        for (int g = 0; g < GROUPS; g++) {
            const __m512i index = _mm512_add_epi64(
                _mm512_set1_epi64((int64_t)(first + (uint64_t)b) + GROUP * g),
                _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0));
            x[g][0] = index;
            x[g][1] = _mm512_srli_epi64(index, 32);
            x[g][2] = _mm512_set1_epi64((int64_t)stream);
            x[g][3] = _mm512_set1_epi64((int64_t)(stream >> 32));
        }
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int round = 0; round < ROUNDS; round++) {
            const __m512i key0 = _mm512_set1_epi64(k0);
            const __m512i key1 = _mm512_set1_epi64(k1);
            for (int g = 0; g < GROUPS; g++) {
                __m512i *w = x[g];
                const __m512i p0 = _mm512_mul_epu32(w[0], m0);
                const __m512i p1 = _mm512_mul_epu32(w[2], m1);
                w[0] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32),
                                                 w[1], key0, 0x96);
                w[1] = p1;
                w[2] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32),
                                                 w[3], key1, 0x96);
                w[3] = p0;
            }
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        for (int g = 0; g < GROUPS; g++)
            if (b + GROUP * g < n_block)
                store(x[g], cut, code + CORE__LANES * (b + GROUP * g));
    }
}

INLINE __m512d eight(const int16_t *code)
{
    const __m128i c = _mm_loadu_si128((const __m128i *)(const void *)code);
    return _mm512_cvtepi32_pd(_mm256_cvtepi16_epi32(c));
}

AVX512 static void values(const int16_t *code, int64_t n, double offset,
                          double step, double *out)
{
    const __m512d o = _mm512_set1_pd(offset), s = _mm512_set1_pd(step);
    for (int64_t i = 0; i < n; i += 8) {
        const __m512d v = _mm512_add_pd(o, _mm512_mul_pd(eight(code + i), s));
        if (i + 8 <= n)
            _mm512_storeu_pd(out + i, v);
        else
            _mm512_mask_storeu_pd(out + i, (__mmask8)((1 << (n - i)) - 1), v);
    }
}

/* n_row codes by n rows of x: n_row * n sums side by side. */
INLINE void block(const int16_t *const *code, int n_row, int64_t n_k,
                  double step, const double *x, int64_t ldx, int n, double *y,
                  int64_t ldy)
{
    __m512d sum[CORE__ROWS][4];
    for (int r = 0; r < n_row; r++)
        for (int i = 0; i < n; i++)
            sum[r][i] = _mm512_setzero_pd();
    for (int64_t k = 0; k < n_k; k += 8) {
        const __mmask8 here = (__mmask8)(k + 8 <= n_k ? 0xff : (1 << (n_k - k)) - 1);
        __m512d w[CORE__ROWS];
        for (int r = 0; r < n_row; r++)
            w[r] = eight(code[r] + k);
        for (int i = 0; i < n; i++) {
            const __m512d v = _mm512_maskz_loadu_pd(here, x + i * ldx + k);
            for (int r = 0; r < n_row; r++)
                sum[r][i] = _mm512_fmadd_pd(w[r], v, sum[r][i]);
        }
    }
    for (int i = 0; i < n; i++)
        for (int r = 0; r < n_row; r++)
            y[i * ldy + r] += step * _mm512_reduce_add_pd(sum[r][i]);
}

INLINE void rows(const int16_t *const *code, int n_row, int64_t n_k,
                 double step, const double *x, int64_t ldx, int64_t n,
                 double *y, int64_t ldy)
{
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        block(code, n_row, n_k, step, x + i * ldx, ldx, 4, y + i * ldy, ldy);
    if (n - i == 3)
        block(code, n_row, n_k, step, x + i * ldx, ldx, 3, y + i * ldy, ldy);
    else if (n - i == 2)
        block(code, n_row, n_k, step, x + i * ldx, ldx, 2, y + i * ldy, ldy);
    else if (n - i == 1)
        block(code, n_row, n_k, step, x + i * ldx, ldx, 1, y + i * ldy, ldy);
}

AVX512 static void multiply(const int16_t *const *code, int n_row, int64_t n_k,
                            double step, const double *x, int64_t ldx,
                            int64_t n, double *y, int64_t ldy)
{
    if (n_row == CORE__ROWS)
        rows(code, CORE__ROWS, n_k, step, x, ldx, n, y, ldy);
    else
        for (int r = 0; r < n_row; r++)
            rows(code + r, 1, n_k, step, x, ldx, n, y + r, ldy);
}

AVX512 static int64_t squares(const int16_t *code, int64_t n)
{
    __m512i sum = _mm512_setzero_si512();
    for (int64_t i = 0; i < n; i += 32) {
        const __mmask32 here =
            i + 32 <= n ? 0xffffffffu : (1u << (n - i)) - 1u;
        const __m512i c = _mm512_maskz_loadu_epi16(here, code + i);
        const __m512i pair = _mm512_madd_epi16(c, c);
        sum = _mm512_add_epi64(
            sum, _mm512_add_epi64(
                     _mm512_srli_epi64(pair, 32),
                     _mm512_and_si512(pair, _mm512_set1_epi64(0xffffffff))));
    }
    return _mm512_reduce_add_epi64(sum);
}

const core__kernels core__kernels_avx512 = {.name = "avx512",
                                            .runs = runs,
                                            .codes = codes,
                                            .values = values,
                                            .multiply = multiply,
                                            .squares = squares};
#else
static bool runs(void)
{
    return false;
}

const core__kernels core__kernels_avx512 = {.name = "avx512", .runs = runs};
#endif
