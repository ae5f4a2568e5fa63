/* ref/columns.h -- a few columns of a state that is a matrix.
 *
 * Columns of such a state never meet.  A task has REF__COLUMNS of them, side by
 * side and padded with columns that nobody reads, so that the state of a head
 * of usual size stays in the first cache and a loop over columns in registers.
 * Every sum is over rows, from the first to the last, a column at a time in no
 * other order than a single one would be.
 */
#ifndef REF_COLUMNS_H
#define REF_COLUMNS_H

#include "core/base/wide.h"
#include "core/numbers/numerics.h"

#include <math.h>
#include <string.h>

enum { REF__COLUMNS = 16 };

/* What storing a row does; nothing in fp64, whose loops then call nothing.   */
static inline void ref__store_columns(core_numerics numerics,
                                      double *restrict row)
{
    if (numerics != CORE_FP64)
        core_store(numerics, CORE_GRID_EXP, row, REF__COLUMNS);
}

/* sum[j] += x row[j].                                                        */
static inline void ref__add_columns(double *restrict sum, double x,
                                    const double *restrict row)
{
#pragma omp simd
    for (int j = 0; j < REF__COLUMNS; j++)
        sum[j] += x * row[j];
}

/* Euclidean norms of the columns of S [n_k, REF__COLUMNS].                   */
static inline void ref__column_norms(const double *restrict state, int64_t n_k,
                                     double *restrict norm)
{
    double square[REF__COLUMNS] = {0.0};
    for (int64_t i = 0; i < n_k; i++) {
#pragma omp simd
        for (int j = 0; j < REF__COLUMNS; j++)
            square[j] +=
                state[i * REF__COLUMNS + j] * state[i * REF__COLUMNS + j];
    }
    for (int j = 0; j < REF__COLUMNS; j++)
        norm[j] = sqrt(square[j]);
}

#endif
