/* parallel/product.h -- y = x w^T, as every rank multiplies, by one thread.
 *
 * OpenBLAS copies a weight into an order of its own before it multiplies; where
 * few rows of x meet the weight, as an expert's do, that takes longer than the
 * product.  In floats, on processors with AVX-512, such products read each row
 * of the weight once, as it lies.
 */
#ifndef PAR_PRODUCT_H
#define PAR_PRODUCT_H

#include <stdint.h>

/* y [n, n_row] (stride ldy) = x [n, n_col] (stride ldx) w [n_row, n_col]^T.
 *                                                                    [local] */
void par_product_f64(double *y, int64_t ldy, const double *x, int64_t ldx,
                     int64_t n, const double *w, int64_t n_row, int64_t n_col);

/* The same in floats, all dense.  The way is chosen by n and the processor.
 *                                                                    [local] */
void par_product_f32(float *y, const float *x, int64_t n, const float *w,
                     int64_t n_row, int64_t n_col);

#endif
