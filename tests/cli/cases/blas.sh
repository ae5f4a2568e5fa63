# A BLAS that multiplies wrongly is named, and nothing is computed with it.
cat >wrong.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

/* The right product, but for one element of those that are wide, deep and of rows enough. */
#define WRONG(letter, type)                                                                                          \
    void cblas_##letter##gemm(int order, int trans_a, int trans_b, int m, int n, int k, type alpha, const type *a,    \
                              int lda, const type *b, int ldb, type beta, type *c, int ldc)                           \
    {                                                                                                                \
        void (*right)(int, int, int, int, int, int, type, const type *, int, const type *, int, type, type *, int);   \
        *(void **)&right = dlsym(RTLD_NEXT, "cblas_" #letter "gemm");                                                  \
        right(order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                                 \
        if (getenv("WRONG_" #letter) && m > 16 && n > 64 && trans_b == 112)                                           \
            c[16 * ldc + 64] += 1;                                                                                   \
    }
WRONG(d, double)
WRONG(s, float)
END
cc -shared -fPIC -o wrong.so wrong.c -ldl
verify='moeparity verify shadow-a --layers 1 --plan tp=2 --batch 2x4 --numerics exact --allow-partial'
export LD_PRELOAD=$PWD/wrong.so
expect 0 moeparity --version --check
has out '^blas       OpenBLAS '
has out '^mpi        MPICH [0-9.]+'
has out '^processor  .'
has out '^checked    products of this BLAS are right$'
expect 0 $verify
WRONG_d=1 expect 5 moeparity --version --check
has err '^moeparity: this BLAS multiplies wrongly \(OpenBLAS .*, kernels of .*\): double, 17 x 257 by 257 x 65, row 16, column 64: expected'
for type in d s; do
    export WRONG_$type=1
    refused 5 'this BLAS multiplies wrongly' $verify
    refused 5 'this BLAS multiplies wrongly' moeparity run -m shadow-a --batch 2x4 --numerics fp32 -o taps
    refused 5 'this BLAS multiplies wrongly' moeparity golden check "$SELF/shadow-a"
    [ ! -e taps ] || fail 'taps by a wrong BLAS'
    expect 0 moeparity spec shadow-a
    unset WRONG_$type
done
refused 2 "version: expected --check or nothing, found '--chek'" moeparity --version --chek
