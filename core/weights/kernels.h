/* core/weights/kernels.h -- private: the loops over weights that are made.
 *
 * A code is an odd integer of 11 bits and a sign that stands for a weight: the
 * weight is code * step (+ offset).  Codes of a stream follow each other, eight
 * to a Philox block.  Every set computes the same integers, and products that
 * are the same wherever they are exact; which sets there are depends on the
 * processor.
 */
#ifndef CORE_WEIGHTS_KERNELS_H
#define CORE_WEIGHTS_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CORE__LANES = 8,    /* codes of a Philox block                            */
    CORE__SLACK = 64,   /* codes that a kernel may read or write past the end */
    CORE__MOST_ODD = 2047
};

typedef struct core__kernels {
    const char *name;
    bool (*runs)(void); /* on this processor                                  */
    /* code[8*b..] = block first + b of the stream, b < n_block, of cut bits
     * fewer than 11; fills up to CORE__SLACK more.                           */
    void (*codes)(uint64_t seed, uint64_t stream, uint64_t first,
                  int64_t n_block, int cut, int16_t *code);
    /* out[i] = offset + code[i] * step, i < n */
    void (*values)(const int16_t *code, int64_t n, double offset, double step,
                   double *out);
    /* y[i*ldy] += step * sum_k x[i*ldx + k] code[k], i < n, k < n_k, and the
     * same for n_row codes and columns of y.  NULL: dgemm is as fast.        */
    void (*multiply)(const int16_t *const *code, int n_row, int64_t n_k,
                     double step, const double *x, int64_t ldx, int64_t n,
                     double *y, int64_t ldy);
    /* The sum of the squares of n codes, n < 2^20; NULL beside multiply.     */
    int64_t (*squares)(const int16_t *code, int64_t n);
} core__kernels;

enum { CORE__ROWS = 4 }; /* that `multiply` takes at most                     */

extern const core__kernels core__kernels_plain;
extern const core__kernels core__kernels_avx2;
extern const core__kernels core__kernels_avx512;

/* All sets, the fastest first.                                       [local] */
extern const core__kernels *const core__all_kernels[];
enum { CORE__N_KERNELS = 3 };

/* The first of them that runs here.                                  [local] */
const core__kernels *core__kernels_here(void);

#endif
