/* core/weights/kernels_avx2.c -- the loops for processors with AVX2 and FMA.
 *
 * As kernels_avx512.c, four blocks to a vector.
 */
#include "core/weights/kernels.h"

#include <stddef.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define INLINE static inline __attribute__((always_inline)) AVX2

enum { GROUP = 4, GROUPS = 2, ROUNDS = 10, PAIR = 2 };

static bool runs(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/* Four words of each of four blocks become 32 codes. */
INLINE void store(const __m256i x[4], int cut, int16_t *code)
{
    const __m128i shift = _mm_cvtsi32_si128(4 + cut);
    const __m256i mask =
        _mm256_set1_epi16((int16_t)(CORE__MOST_ODD >> cut << 1));
    const __m256i most = _mm256_set1_epi16((int16_t)(CORE__MOST_ODD >> cut));
    const __m256i x01 =
        _mm256_blend_epi32(x[0], _mm256_slli_epi64(x[1], 32), 0xAA);
    const __m256i x23 =
        _mm256_blend_epi32(x[2], _mm256_slli_epi64(x[3], 32), 0xAA);
    /* blocks 0 2 and 1 3 */
    const __m256i half[2] = {_mm256_unpacklo_epi64(x01, x23),
                             _mm256_unpackhi_epi64(x01, x23)};
    const __m256i in_order[2] = {
        _mm256_permute2x128_si256(half[0], half[1], 0x20),
        _mm256_permute2x128_si256(half[0], half[1], 0x31)};
    for (int h = 0; h < 2; h++) {
        const __m256i bits =
            _mm256_and_si256(_mm256_srl_epi16(in_order[h], shift), mask);
        _mm256_storeu_si256((__m256i *)(void *)(code + 16 * h),
                            _mm256_sub_epi16(bits, most));
    }
}

AVX2 static void codes(uint64_t seed, uint64_t stream, uint64_t first,
                       int64_t n_block, int cut, int16_t *code)
{
    const __m256i m0 = _mm256_set1_epi64x(0xD2511F53);
    const __m256i m1 = _mm256_set1_epi64x(0xCD9E8D57);
    for (int64_t b = 0; b < n_block; b += GROUPS * GROUP) {
        __m256i x[GROUPS][4];
        for (int g = 0; g < GROUPS; g++) {
            const __m256i index = _mm256_add_epi64(
                _mm256_set1_epi64x((int64_t)(first + (uint64_t)b) + GROUP * g),
                _mm256_set_epi64x(3, 2, 1, 0));
            x[g][0] = index;
            x[g][1] = _mm256_srli_epi64(index, 32);
            x[g][2] = _mm256_set1_epi64x((int64_t)stream);
            x[g][3] = _mm256_set1_epi64x((int64_t)(stream >> 32));
        }
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int round = 0; round < ROUNDS; round++) {
            const __m256i key0 = _mm256_set1_epi64x(k0);
            const __m256i key1 = _mm256_set1_epi64x(k1);
            for (int g = 0; g < GROUPS; g++) {
                __m256i *w = x[g];
                const __m256i p0 = _mm256_mul_epu32(w[0], m0);
                const __m256i p1 = _mm256_mul_epu32(w[2], m1);
                w[0] = _mm256_xor_si256(
                    _mm256_xor_si256(_mm256_srli_epi64(p1, 32), w[1]), key0);
                w[1] = p1;
                w[2] = _mm256_xor_si256(
                    _mm256_xor_si256(_mm256_srli_epi64(p0, 32), w[3]), key1);
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

INLINE __m256d four(const int16_t *code)
{
    const __m128i c = _mm_loadl_epi64((const __m128i *)(const void *)code);
    return _mm256_cvtepi32_pd(_mm_cvtepi16_epi32(c));
}

AVX2 static void values(const int16_t *code, int64_t n, double offset,
                        double step, double *out)
{
    const __m256d o = _mm256_set1_pd(offset), s = _mm256_set1_pd(step);
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        _mm256_storeu_pd(
            out + i, _mm256_add_pd(o, _mm256_mul_pd(four(code + i), s)));
    for (; i < n; i++)
        out[i] = offset + (double)code[i] * step;
}

INLINE double total(__m256d v)
{
    const __m128d half =
        _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

/* n_row codes by n rows of x: n_row * n sums side by side. */
INLINE void block(const int16_t *const *code, int n_row, int64_t n_k,
                  double step, const double *x, int64_t ldx, int n, double *y,
                  int64_t ldy)
{
    __m256d sum[PAIR][4];
    for (int r = 0; r < n_row; r++)
        for (int i = 0; i < n; i++)
            sum[r][i] = _mm256_setzero_pd();
    const int64_t n_whole = n_k / 4 * 4;
    for (int64_t k = 0; k < n_whole; k += 4) {
        __m256d w[PAIR];
        for (int r = 0; r < n_row; r++)
            w[r] = four(code[r] + k);
        for (int i = 0; i < n; i++) {
            const __m256d v = _mm256_loadu_pd(x + i * ldx + k);
            for (int r = 0; r < n_row; r++)
                sum[r][i] = _mm256_fmadd_pd(w[r], v, sum[r][i]);
        }
    }
    for (int i = 0; i < n; i++)
        for (int r = 0; r < n_row; r++) {
            double s = total(sum[r][i]);
            for (int64_t k = n_whole; k < n_k; k++)
                s += x[i * ldx + k] * (double)code[r][k];
            y[i * ldy + r] += step * s;
        }
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

AVX2 static void multiply(const int16_t *const *code, int n_row, int64_t n_k,
                          double step, const double *x, int64_t ldx, int64_t n,
                          double *y, int64_t ldy)
{
    int r = 0;
    for (; r + PAIR <= n_row; r += PAIR)
        rows(code + r, PAIR, n_k, step, x, ldx, n, y + r, ldy);
    for (; r < n_row; r++)
        rows(code + r, 1, n_k, step, x, ldx, n, y + r, ldy);
}

AVX2 static int64_t squares(const int16_t *code, int64_t n)
{
    __m256i sum = _mm256_setzero_si256();
    const __m256i low = _mm256_set1_epi64x(0xffffffff);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        const __m256i c =
            _mm256_loadu_si256((const __m256i *)(const void *)(code + i));
        const __m256i pair = _mm256_madd_epi16(c, c);
        sum = _mm256_add_epi64(sum,
                               _mm256_add_epi64(_mm256_srli_epi64(pair, 32),
                                                _mm256_and_si256(pair, low)));
    }
    int64_t part[4];
    _mm256_storeu_si256((__m256i *)(void *)part, sum);
    int64_t all = part[0] + part[1] + part[2] + part[3];
    for (; i < n; i++)
        all += (int64_t)code[i] * code[i];
    return all;
}

const core__kernels core__kernels_avx2 = {.name = "avx2",
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

const core__kernels core__kernels_avx2 = {.name = "avx2", .runs = runs};
#endif
