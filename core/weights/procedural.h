/* core/weights/procedural.h -- private: a matrix of the generator.
 */
#ifndef CORE_WEIGHTS_PROCEDURAL_H
#define CORE_WEIGHTS_PROCEDURAL_H

#include "core/weights/kernels.h"

/* Element [r, c] is step * code number r * n_col + c of the stream.          */
typedef struct core__stream {
    uint64_t seed, stream;
    int64_t n_col;
    int cut; /* bits fewer than 11                                            */
    double step;
} core__stream;

/* As core_weights_multiply; rect: r0, r1, c0, c1.                    [local] */
double core__stream_multiply(const core__kernels *kernels,
                             const core__stream *s, const int64_t rect[4],
                             const double *x, int64_t ldx, int64_t n, double *y,
                             int64_t ldy);

#endif
