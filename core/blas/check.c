/* core/blas/check.c -- see check.h.
 *
 * Builds of OpenBLAS are known that compute wrong results with the kernels of a
 * newer processor; nothing else in the program would notice in fp32 where both
 * sides use the same one.  Trap: the kernels are chosen when the library is
 * loaded, from the processor or from OPENBLAS_CORETYPE.
 */
#include "core/blas/check.h"

#include "core/blas/blas.h"

#include <cblas.h>
#include <stdio.h>

/* Rows, columns and depth: one row, less than a register tile, its edges, more
 * than a block of the depth.                                                 */
static const struct shape {
    int m, n, k;
} shapes[] = {{1, 1, 1},   {1, 33, 70},  {2, 16, 130},  {5, 7, 9},
              {8, 24, 64}, {16, 40, 33}, {17, 65, 257}, {48, 49, 40}};

enum { MOST_M = 48, MOST_N = 65, MOST_K = 257 };

typedef struct operands {
    double x[MOST_M * MOST_K], w[MOST_N * MOST_K], y[MOST_M * MOST_N];
    float x32[MOST_M * MOST_K], w32[MOST_N * MOST_K], y32[MOST_M * MOST_N];
} operands;

/* Whole numbers from -15 to 15: sums of 257 products fit a float. */
static double entry(int i, int factor)
{
    return (double)((i * factor + i / 31) % 31 - 15);
}

static void fill(operands *o)
{
    for (int i = 0; i < MOST_M * MOST_K; i++)
        o->x32[i] = (float)(o->x[i] = entry(i, 7));
    for (int i = 0; i < MOST_N * MOST_K; i++)
        o->w32[i] = (float)(o->w[i] = entry(i, 11));
}

static void multiply(operands *o, const struct shape *s, CBLAS_TRANSPOSE how)
{
    const int ld = how == CblasTrans ? s->k : s->n;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, how, s->m, s->n, s->k, 1.0, o->x,
                s->k, o->w, ld, 0.0, o->y, s->n);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, how, s->m, s->n, s->k, 1.0F,
                o->x32, s->k, o->w32, ld, 0.0F, o->y32, s->n);
}

const char *core_blas_text(char text[CORE_BLAS_TEXT])
{
    snprintf(text, CORE_BLAS_TEXT, "%.120s, kernels of %.40s",
             openblas_get_config(), openblas_get_corename());
    return text;
}

static core_status wrong(const struct shape *s, int i, int j, const char *type,
                         double expected, double found)
{
    char text[CORE_BLAS_TEXT];
    CORE_FAIL(CORE_E_INTERNAL,
              "this BLAS multiplies wrongly (%s): %s, %d x %d by %d x %d, row "
              "%d, column %d: expected %.9g, found %.9g; another release, or "
              "OPENBLAS_CORETYPE, may be right",
              core_blas_text(text), type, s->m, s->k, s->k, s->n, i, j,
              expected, found);
}

static core_status check(const operands *o, const struct shape *s,
                         CBLAS_TRANSPOSE how)
{
    for (int i = 0; i < s->m; i++)
        for (int j = 0; j < s->n; j++) {
            double sum = 0.0;
            for (int k = 0; k < s->k; k++)
                sum += o->x[i * s->k + k] * (how == CblasTrans
                                                 ? o->w[j * s->k + k]
                                                 : o->w[k * s->n + j]);
            const double f64 = o->y[i * s->n + j];
            const double f32 = (double)o->y32[i * s->n + j];
            if (!(f64 == sum))
                return wrong(s, i, j, "double", sum, f64);
            if (!(f32 == sum))
                return wrong(s, i, j, "float", sum, f32);
        }
    return CORE_OK;
}

static core_status check_shapes(void)
{
    static operands o; /* half a megabyte is much for a stack */
    fill(&o);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        multiply(&o, &shapes[i], CblasTrans);
        CORE_TRY(check(&o, &shapes[i], CblasTrans));
        multiply(&o, &shapes[i], CblasNoTrans);
        CORE_TRY(check(&o, &shapes[i], CblasNoTrans));
    }
    return CORE_OK;
}

core_status core_blas_check(void)
{
    const core_blas_threads before = core_blas_set_threads(1);
    const core_status status = check_shapes();
    core_blas_restore_threads(before);
    return status;
}
