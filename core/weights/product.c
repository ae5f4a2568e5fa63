/* core/weights/product.c -- products with weights that are made on the way.
 *
 * A few rows of codes are made, used for all rows of x, and forgotten: they
 * never leave the first caches.  K is cut so that what is read of x stays in
 * the second one.  The sums are taken in another order than dgemm's, which
 * shows nowhere where they are exact: other numerics read their weights.
 */
#include "core/weights/procedural.h"

#include "core/weights/kernels.h"

#include <math.h>

enum {
    ROWS = 16,   /* of codes at a time                                        */
    K = 1024,    /* columns at a time                                         */
    X_ROWS = 32, /* of x that codes are multiplied with before the next       */
    LD = K + CORE__LANES + CORE__SLACK
};

/* Codes [k0, k0 + n_k) of rows [r, r + n_row) of the tensor. */
static void make(const core__kernels *kernels, const core__stream *s, int64_t r,
                 int64_t n_row, int64_t k0, int64_t n_k, int16_t *room,
                 const int16_t **code)
{
    for (int64_t i = 0; i < n_row; i++) {
        const int64_t first = (r + i) * s->n_col + k0;
        const int64_t skip = first % CORE__LANES;
        const int64_t n_block = (skip + n_k + CORE__LANES - 1) / CORE__LANES;
        kernels->codes(s->seed, s->stream, (uint64_t)(first / CORE__LANES),
                       n_block, s->cut, room + i * LD);
        code[i] = room + i * LD + skip;
    }
}

/* y += step * x W^T, of n_row rows of codes that are there. */
static void multiply(const core__kernels *kernels, const int16_t **code,
                     int64_t n_row, int64_t n_k, double step, const double *x,
                     int64_t ldx, int64_t n, double *y, int64_t ldy)
{
    for (int64_t i = 0; i < n; i += X_ROWS)
        for (int64_t r = 0; r < n_row; r += CORE__ROWS) {
            const int64_t left = n_row - r, rows = n - i;
            kernels->multiply(code + r,
                              left < CORE__ROWS ? (int)left : CORE__ROWS, n_k,
                              step, x + i * ldx, ldx,
                              rows < X_ROWS ? rows : X_ROWS, y + i * ldy + r,
                              ldy);
        }
}

double core__stream_multiply(const core__kernels *kernels,
                             const core__stream *s, const int64_t rect[4],
                             const double *x, int64_t ldx, int64_t n, double *y,
                             int64_t ldy)
{
    int16_t room[ROWS * LD];
    const int16_t *code[ROWS];
    int64_t most = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t r = 0; r < rect[1] - rect[0]; r++)
            y[i * ldy + r] = 0.0;
    for (int64_t r = rect[0]; r < rect[1]; r += ROWS) {
        const int64_t n_row = rect[1] - r < ROWS ? rect[1] - r : ROWS;
        int64_t square[ROWS] = {0};
        for (int64_t k = rect[2]; k < rect[3]; k += K) {
            const int64_t n_k = rect[3] - k < K ? rect[3] - k : K;
            make(kernels, s, r, n_row, k, n_k, room, code);
            for (int64_t i = 0; i < n_row; i++)
                square[i] += kernels->squares(code[i], n_k);
            multiply(kernels, code, n_row, n_k, s->step, x + k - rect[2], ldx, n,
                     y + r - rect[0], ldy);
        }
        for (int64_t i = 0; i < n_row; i++)
            most = square[i] > most ? square[i] : most;
    }
    return s->step * sqrt((double)most);
}
