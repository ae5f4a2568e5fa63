/* parallel/linear.c -- products with a shard, and the sums that complete them.
 *
 * Activations are doubles everywhere.  Where sums are floats both operands are
 * floats inside the product only: x is converted a chunk of rows at a time (the
 * values are floats already, so nothing is lost) and the result widened.  Where
 * a product reads its operand rounded or quantised, it reads a copy: x itself
 * may be read by others.
 *
 * The result is Partial if the shard has only some of K: whoever calls adds the
 * parts up before a bias is added or a value is stored.
 */
#include "parallel/forward_impl.h"

#include <cblas.h>
#include <limits.h>
#include <string.h>

static blasint blas_int(int64_t n)
{
    core_assert(n >= 0 && n <= INT_MAX);
    return (blasint)n;
}

static void gemm_f64(double *y, int64_t ldy, const double *x, int64_t ldx,
                     int64_t n, const double *w, int64_t n_row, int64_t n_col)
{
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, blas_int(n),
                blas_int(n_row), blas_int(n_col), 1.0, x, blas_int(ldx), w,
                blas_int(n_col), 0.0, y, blas_int(ldy));
}

static void gemm_f32(par_model *m, double *y, int64_t ldy, const double *x,
                     int64_t ldx, int64_t n, const par_shard *shard,
                     const float *w, int64_t n_row)
{
    const int64_t n_col = shard->n_col;
    float *x32 = m->work.a32, *y32 = m->work.c32;
    for (int64_t i0 = 0; i0 < n; i0 += m->work.chunk) {
        const int64_t left = n - i0;
        const int64_t n_i = left < m->work.chunk ? left : m->work.chunk;
        for (int64_t i = 0; i < n_i; i++)
            for (int64_t c = 0; c < n_col; c++)
                x32[i * n_col + c] = (float)x[(i0 + i) * ldx + c];
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, blas_int(n_i),
                    blas_int(n_row), blas_int(n_col), 1.0F, x32,
                    blas_int(n_col), w, blas_int(n_col), 0.0F, y32,
                    blas_int(n_row));
        for (int64_t i = 0; i < n_i; i++)
            for (int64_t r = 0; r < n_row; r++)
                y[(i0 + i) * ldy + r] = (double)y32[i * n_row + r];
    }
}

/* Exact mode; the time is kept apart.  norm_w < 0: find it from w [n_row, *]. */
static void check_product(par_model *m, core_tap tap, const double *x,
                          int64_t ldx, int64_t n, const par_shard *shard,
                          const double *w, int64_t n_row, double norm_w)
{
    if (m->numerics != CORE_EXACT)
        return;
    const par_operator op = par__charge(m, PAR_OP_CHECK);
    const double norm_x = core_max_row_norm(x, n, shard->n_col, ldx);
    if (norm_w < 0)
        norm_w = core_max_row_norm(w, n_row, shard->n_col, shard->n_col);
    par__check(m, tap, (double)shard->n_part * norm_x, norm_w, CORE_STEP_ACT,
               core_weights_step(m->weights, shard->id));
    par__charge(m, op);
}

/* The weight is not resident: multiplied where it is made. */
static void linear_as_made(par_model *m, double *y, int64_t ldy,
                           const double *x, int64_t ldx, int64_t n,
                           const par_shard *w, core_tap tap)
{
    const double norm = core_weights_multiply(
        m->weights, w->id, w->r0, w->r0 + w->n_row, w->c0, w->c0 + w->n_col, x,
        ldx, n, y, ldy);
    check_product(m, tap, x, ldx, n, w, NULL, w->n_row, norm);
}

/* Or rows of it, a tile at a time. */
static void linear_by_tile(par_model *m, double *y, int64_t ldy,
                           const double *x, int64_t ldx, int64_t n,
                           const par_shard *w, core_tap tap)
{
    const int64_t rows_of_tile = PAR_TILE_ELEMENTS / w->n_col;
    const int64_t step = rows_of_tile > 0 ? rows_of_tile : 1;
    for (int64_t r = 0; r < w->n_row; r += step) {
        const int64_t n_r = w->n_row - r < step ? w->n_row - r : step;
        core_weights_read(m->weights, w->id, w->r0 + r, w->r0 + r + n_r, w->c0,
                          w->c0 + w->n_col, m->tile64, w->n_col);
        check_product(m, tap, x, ldx, n, w, m->tile64, n_r, -1.0);
        if (!core_uses_floats(m->numerics)) {
            gemm_f64(y + r, ldy, x, ldx, n, m->tile64, n_r, w->n_col);
            continue;
        }
        for (int64_t i = 0; i < n_r * w->n_col; i++)
            m->tile32[i] = (float)m->tile64[i];
        gemm_f32(m, y + r, ldy, x, ldx, n, w, m->tile32, n_r);
    }
}

/* Operands and result of a product, into the open record. */
static void count(par_model *m, int64_t n, const par_shard *w)
{
    core_cost *cost = &m->cost.record;
    cost->m += n;
    cost->n = w->n_row;
    cost->k = w->n_col;
    cost->flops += CORE_FLOPS_MULTIPLY_ADD * n * w->n_row * w->n_col;
    cost->weights += w->n_row * w->n_col;
    cost->read += n * w->n_col;
    cost->written += n * w->n_row;
}

/* x as this product reads it: where it is rounded or quantised, a copy. */
static const double *read_rows(par_model *m, const double *x, int64_t *ldx,
                               int64_t n, const par_shard *w)
{
    const core_slot slot = core_operand_slot(w->id.kind);
    const bool again = core_rounds_again(m->numerics, slot);
    const int64_t n_col = w->n_col;
    if (!again && core_weights_operand(m->weights, w->id) == NULL)
        return x;
    double *copy = par__grow(m, &m->operand, n * n_col, sizeof *copy);
    for (int64_t i = 0; i < n && n_col > 0; i++)
        memcpy(copy + i * n_col, x + i * *ldx, (size_t)n_col * sizeof *copy);
    if (again)
        core_store(core_numerics_of(m->numerics, slot), CORE_GRID_ACT, copy,
                   n * n_col);
    par__quantise(m, w, copy, n);
    *ldx = n_col;
    return copy;
}

void par__product(par_model *m, double *y, int64_t ldy, const double *x,
                  int64_t ldx, int64_t n, const par_shard *w, core_tap tap)
{
    if (n == 0 || w->n_row == 0)
        return;
    count(m, n, w);
    x = read_rows(m, x, &ldx, n, w);
    if (w->n_col == 0) { /* no part of K is mine: my part of the sum is zero */
        for (int64_t i = 0; i < n; i++)
            memset(y + i * ldy, 0, (size_t)w->n_row * sizeof *y);
        return;
    }
    if (w->w64 == NULL && w->w32 == NULL) {
        if (core_weights_multiplies(m->weights, w->id))
            linear_as_made(m, y, ldy, x, ldx, n, w, tap);
        else
            linear_by_tile(m, y, ldy, x, ldx, n, w, tap);
        return;
    }
    if (w->w32 != NULL) {
        gemm_f32(m, y, ldy, x, ldx, n, w, w->w32, w->n_row);
        return;
    }
    check_product(m, tap, x, ldx, n, w, w->w64, w->n_row, w->norm);
    gemm_f64(y, ldy, x, ldx, n, w->w64, w->n_row, w->n_col);
}

void par__linear(par_model *m, double *y, int64_t ldy, const double *x,
                 int64_t ldx, int64_t n, const par_shard *w, core_tap tap)
{
    par__cost(m, CORE_COST_GEMM, tap);
    par__product(m, y, ldy, x, ldx, n, w, tap);
}

void par__add_bias(par_model *m, double *y, int64_t n, int64_t n_col,
                   const double *bias)
{
    if (bias == NULL || n == 0)
        return;
    m->cost.record.flops += CORE_FLOPS_ADD * n * n_col;
    m->cost.record.weights += n_col;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < n_col; c++)
            y[i * n_col + c] += bias[c];
}

void par__affine(par_model *m, double *y, const double *x, int64_t ldx,
                 const par_shard *w, core_tap tap)
{
    par__linear(m, y, w->n_row, x, ldx, m->now.n, w, tap);
    par__add_bias(m, y, m->now.n, w->n_row, w->bias);
}

void par__affine_columns(par_model *m, double *y, const double *x, int64_t ldx,
                         const par_shard *w, core_tap tap)
{
    par__affine(m, y, x, ldx, w, tap);
    par__tap_columns(m, tap, y, w->r0, w->n_row);
}

void par__reduce_tp(par_model *m, double *values, int64_t n)
{
    par__cost_collective(m, PAR_ALL_REDUCE, &m->layout->tp_group,
                         m->cost.record.tap, n, n);
    par__pause(m);
    par_all_reduce(m->comm, &m->layout->tp_group, values, n, PAR_SUM,
                   m->numerics);
    par__resume(m);
}
