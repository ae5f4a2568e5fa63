/* parallel/linear.c -- products with a shard, and the sums that complete them.
 *
 * A product is cut into tiles, chunks of rows of x times rows of the weight, each
 * complete over K and one product of one thread.  The rank's threads share the
 * tiles.  The cut hangs on shapes alone, so that in floats, too, the bits are the
 * same with any number of threads.
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
#include "parallel/product.h"

#include <omp.h>
#include <string.h>

par_thread_room par__thread_room(const par_work *w)
{
    const int64_t i = omp_get_thread_num();
    const par_thread_room *first = &w->thread_room;
    core_assert(i < w->n_thread);
    return (par_thread_room){.a32 = first->a32 + i * w->n_a32,
                             .b32 = first->b32 + i * w->n_b32,
                             .c32 = first->c32 + i * w->n_c32,
                             .score = first->score + i * w->n_score};
}

void par__to_f32(float *out, const double *x, int64_t ld, int64_t n_row,
                 int64_t n_col)
{
    for (int64_t i = 0; i < n_row; i++)
#pragma omp simd
        for (int64_t c = 0; c < n_col; c++)
            out[i * n_col + c] = (float)x[i * ld + c];
}

void par__to_f64(double *out, int64_t ld, const float *x, int64_t ldx,
                 int64_t n_row, int64_t n_col)
{
    for (int64_t i = 0; i < n_row; i++)
#pragma omp simd
        for (int64_t c = 0; c < n_col; c++)
            out[i * ld + c] = (double)x[i * ldx + c];
}

/* --- tiles --- */

/* [i, i + n) of an axis. */
typedef struct cut {
    int64_t i, n;
} cut;

static int64_t n_cut(int64_t n, int64_t most)
{
    return (n + most - 1) / most;
}

/* Part number i of an axis of n that is cut evenly into parts of at most `most`, a
 * multiple of 16, as all parts but the last are.                             */
static cut cut_of(int64_t n, int64_t most, int64_t i)
{
    const int64_t n_part = n_cut(n, most);
    const int64_t each = ((n + n_part - 1) / n_part + 15) / 16 * 16;
    return (cut){i * each, n - i * each < each ? n - i * each : each};
}

/* y [n, n_row] = x w^T. */
typedef struct product {
    double *y;
    const double *x;
    int64_t ldy, ldx, n, n_row, n_col;
    const double *w64; /* [n_row, n_col], one of the two                      */
    const float *w32;
} product;

static void tile_f64(const product *p, cut x, cut w)
{
    par_product_f64(p->y + x.i * p->ldy + w.i, p->ldy, p->x + x.i * p->ldx,
                    p->ldx, x.n, p->w64 + w.i * p->n_col, w.n, p->n_col);
}

/* room.a32 has the rows of x. */
static void tile_f32(const product *p, cut x, cut w, const par_thread_room *room)
{
    par_product_f32(room->c32, room->a32, x.n, p->w32 + w.i * p->n_col, w.n,
                    p->n_col);
    par__to_f64(p->y + x.i * p->ldy + w.i, p->ldy, room->c32, w.n,
                x.n, w.n);
}

/* Threads take tiles side by side, mostly of the same rows of x. */
static void multiply(const par_model *m, const product *p)
{
    const int64_t chunk = m->work.chunk;
    const int64_t n_w = n_cut(p->n_row, PAR_MOST_TILE);
    const int64_t n_tile = n_cut(p->n, chunk) * n_w;
    const int n_thread =
        n_tile > 1 ? par__threads(m, p->n * p->n_row * p->n_col) : 1;
#pragma omp parallel num_threads(n_thread)
    {
        const par_thread_room room = par__thread_room(&m->work);
        int64_t held = -1;
#pragma omp for schedule(static)
        for (int64_t t = 0; t < n_tile; t++) {
            const cut x = cut_of(p->n, chunk, t / n_w);
            const cut w = cut_of(p->n_row, PAR_MOST_TILE, t % n_w);
            if (p->w64 != NULL) {
                tile_f64(p, x, w);
                continue;
            }
            if (held != x.i)
                par__to_f32(room.a32, p->x + x.i * p->ldx, p->ldx, x.n,
                            p->n_col);
            held = x.i;
            tile_f32(p, x, w, &room);
        }
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
    const int64_t n_part = n_cut(w->n_row, PAR_MOST_TILE);
    double norm = 0.0;
#pragma omp parallel for num_threads(par__threads(m, w->n_row * w->n_col))      \
    reduction(max : norm)
    for (int64_t i = 0; i < n_part; i++) {
        const cut r = cut_of(w->n_row, PAR_MOST_TILE, i);
        norm = fmax(norm, core_weights_multiply(
                              m->weights, w->id, w->r0 + r.i,
                              w->r0 + r.i + r.n, w->c0, w->c0 + w->n_col, x,
                              ldx, n, y + r.i, ldy));
    }
    check_product(m, tap, x, ldx, n, w, NULL, w->n_row, norm);
}

/* Rows [r, r + n) of a weight that is not resident, as the product reads them. */
static void read_tile(par_model *m, const par_shard *w, int64_t r, int64_t n)
{
    enum { ROWS = 64 };
    const int64_t n_col = w->n_col, first = w->r0 + r;
    const bool is_float = core_uses_floats(m->numerics);
#pragma omp parallel for num_threads(par__threads(m, n * n_col))
    for (int64_t i = 0; i < n; i += ROWS) {
        const int64_t end = i + ROWS < n ? i + ROWS : n;
        core_weights_read(m->weights, w->id, first + i, first + end, w->c0,
                          w->c0 + n_col, m->tile64 + i * n_col, n_col);
        for (int64_t e = i * n_col; is_float && e < end * n_col; e++)
            m->tile32[e] = (float)m->tile64[e];
    }
}

/* Or rows of it, a tile at a time. */
static void linear_by_tile(par_model *m, const product *whole,
                           const par_shard *w, core_tap tap)
{
    const int64_t step = par__rows_at_a_time(PAR_TILE_ELEMENTS, w->n_col);
    const bool is_float = core_uses_floats(m->numerics);
    product p = *whole;
    for (int64_t r = 0; r < w->n_row; r += step) {
        p.n_row = w->n_row - r < step ? w->n_row - r : step;
        p.y = whole->y + r;
        read_tile(m, w, r, p.n_row);
        check_product(m, tap, p.x, p.ldx, p.n, w, m->tile64, p.n_row, -1.0);
        p.w64 = is_float ? NULL : m->tile64;
        p.w32 = is_float ? m->tile32 : NULL;
        multiply(m, &p);
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
    const product p = {.y = y,
                       .x = x,
                       .ldy = ldy,
                       .ldx = ldx,
                       .n = n,
                       .n_row = w->n_row,
                       .n_col = w->n_col,
                       .w64 = w->w64,
                       .w32 = w->w32};
    if (w->w64 == NULL && w->w32 == NULL) {
        if (core_weights_multiplies(m->weights, w->id))
            linear_as_made(m, y, ldy, x, ldx, n, w, tap);
        else
            linear_by_tile(m, &p, w, tap);
        return;
    }
    if (w->w64 != NULL)
        check_product(m, tap, x, ldx, n, w, w->w64, w->n_row, w->norm);
    multiply(m, &p);
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
#pragma omp parallel for num_threads(par__threads(m, n * n_col))
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
