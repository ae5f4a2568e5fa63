/* parallel/product.h -- y = x w^T in floats, as every rank multiplies.
 *
 * OpenBLAS copies a weight into an order of its own before it multiplies; where
 * few rows of x meet the weight, as an expert's do, that takes longer than the
 * product.  On processors with AVX-512 such products read each row of the
 * weight once, as it lies.
 */
#ifndef PAR_PRODUCT_H
#define PAR_PRODUCT_H

#include <stdint.h>

/* y [n, n_row] = x [n, n_col] w [n_row, n_col]^T, all dense, by this thread.
 * The way is chosen by n and the processor.                          [local] */
void par_product_f32(float *y, const float *x, int64_t n, const float *w,
                     int64_t n_row, int64_t n_col);

#endif
