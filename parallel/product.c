/* parallel/product.c -- see product.h.
 *
 * Four rows of x times four of the weight keep 16 sums of 16 lanes in the
 * registers of AVX-512.  With AVX2 there is room for half as many, and OpenBLAS'
 * own kernels are as fast from 8 rows on (0.3.21), so there is no other kernel.
 * Lane l sums the products of columns l, l + 16, .., and the lanes are added in
 * order.
 */
#include "parallel/product.h"

#include "core/base/status.h"

#include <cblas.h>
#include <limits.h>
#include <stdbool.h>

#if defined(__GNUC__) && defined(__x86_64__)

enum { LANES = 16, BLOCK = 4, MOST_ROWS = 32 };

#define AVX512 __attribute__((target("avx512f")))

typedef float lanes
    __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

static bool is_thin(int64_t n)
{
    return n <= MOST_ROWS && __builtin_cpu_supports("avx512f");
}

/* y [n_x, n_w] of n_x rows of x and n_w of w, constants of at most BLOCK. */
AVX512 static inline __attribute__((always_inline)) void
multiply(float *restrict y, int64_t ldy, const float *x, int n_x,
         const float *w, int n_w, int64_t n_col)
{
    lanes sum[BLOCK][BLOCK] = {0};
    int64_t k = 0;
    for (; k + LANES <= n_col; k += LANES)
#pragma GCC unroll 4
        for (int i = 0; i < n_x; i++)
#pragma GCC unroll 4
            for (int j = 0; j < n_w; j++)
                sum[i][j] += *(const lanes *)(x + i * n_col + k) *
                             *(const lanes *)(w + j * n_col + k);
#pragma GCC unroll 4
    for (int i = 0; i < n_x; i++)
#pragma GCC unroll 4
        for (int j = 0; j < n_w; j++) {
            float all = 0.0F;
            for (int l = 0; l < LANES; l++)
                all += sum[i][j][l];
            for (int64_t c = k; c < n_col; c++)
                all += x[i * n_col + c] * w[j * n_col + c];
            y[i * ldy + j] = all;
        }
}

/* Columns of y that belong to n_w rows of w. */
AVX512 static inline __attribute__((always_inline)) void
columns(float *restrict y, int64_t ldy, const float *x, int64_t n,
        const float *w, int n_w, int64_t n_col)
{
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK)
        multiply(y + i * ldy, ldy, x + i * n_col, BLOCK, w, n_w, n_col);
    y += i * ldy;
    x += i * n_col;
    if (n - i == 3)
        multiply(y, ldy, x, 3, w, n_w, n_col);
    else if (n - i == 2)
        multiply(y, ldy, x, 2, w, n_w, n_col);
    else if (n - i == 1)
        multiply(y, ldy, x, 1, w, n_w, n_col);
}

AVX512 static void multiply_thin(float *y, const float *x, int64_t n,
                                 const float *w, int64_t n_row, int64_t n_col)
{
    int64_t j = 0;
    for (; j + BLOCK <= n_row; j += BLOCK)
        columns(y + j, n_row, x, n, w + j * n_col, BLOCK, n_col);
    for (; j < n_row; j++)
        columns(y + j, n_row, x, n, w + j * n_col, 1, n_col);
}

#else

static bool is_thin(int64_t n)
{
    (void)n;
    return false;
}

static void multiply_thin(float *y, const float *x, int64_t n, const float *w,
                          int64_t n_row, int64_t n_col)
{
    (void)y, (void)x, (void)n, (void)w, (void)n_row, (void)n_col;
}

#endif

static blasint blas_int(int64_t n)
{
    core_assert(n >= 0 && n <= INT_MAX);
    return (blasint)n;
}

void par_product_f64(double *y, int64_t ldy, const double *x, int64_t ldx,
                     int64_t n, const double *w, int64_t n_row, int64_t n_col)
{
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, blas_int(n),
                blas_int(n_row), blas_int(n_col), 1.0, x, blas_int(ldx), w,
                blas_int(n_col), 0.0, y, blas_int(ldy));
}

void par_product_f32(float *y, const float *x, int64_t n, const float *w,
                     int64_t n_row, int64_t n_col)
{
    if (is_thin(n))
        multiply_thin(y, x, n, w, n_row, n_col);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, blas_int(n),
                    blas_int(n_row), blas_int(n_col), 1.0F, x, blas_int(n_col),
                    w, blas_int(n_col), 0.0F, y, blas_int(n_row));
}
