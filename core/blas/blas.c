/* core/blas/blas.c -- see blas.h.
 *
 * Which number counts depends on the release and on how it was built:
 *     built for POSIX threads    openblas_set_num_threads
 *     built for OpenMP, 0.3.21   either: setting the one sets the other
 *     built for OpenMP, 0.3.29   OpenMP's, and the other is not looked at
 * so both are set.  Trap: there openblas_get_num_threads answers what was set
 * last, and only after the next product what that product took.
 */
#include "core/blas/blas.h"

#include <cblas.h>
#include <omp.h>

core_blas_threads core_blas_set_threads(int n)
{
    const core_blas_threads before = {.openmp = omp_get_max_threads(),
                                      .blas = openblas_get_num_threads()};
    core_blas_restore_threads((core_blas_threads){.openmp = n, .blas = n});
    return before;
}

void core_blas_restore_threads(core_blas_threads before)
{
    openblas_set_num_threads(before.blas); /* may set OpenMP's, too: first */
    omp_set_num_threads(before.openmp);
}

int core_blas_used_threads(void)
{
    enum { N = 128 }; /* below, OpenBLAS takes one thread anyway */
    static const double in[N * N];
    static double out[N * N];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, N, N, 1.0, in, N,
                in, N, 0.0, out, N);
    return openblas_get_num_threads();
}
