/* core/blas/blas.h -- how many threads a product of OpenBLAS takes.
 *
 * The only place that sets it.  A library of its own, core_blas, for those who
 * multiply with OpenBLAS: the rest of core does not know it.
 */
#ifndef CORE_BLAS_H
#define CORE_BLAS_H

typedef struct core_blas_threads {
    int openmp; /* of a parallel region that does not say how many            */
    int blas;
} core_blas_threads;

/* Products that this thread calls take n threads from now on, n at most the
 * number of processors, and so do parallel regions that do not say how many.
 * Returns what was set before.                                       [local] */
core_blas_threads core_blas_set_threads(int n);
void core_blas_restore_threads(core_blas_threads before);

/* How many a product took: one is made, of some tenths of a millisecond.  Holds
 * after core_blas_set_threads.                                       [local] */
int core_blas_used_threads(void);

#endif
