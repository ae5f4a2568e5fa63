/* ref/linear.c -- y = x W^T + b, for the head divided by a scalar.
 *
 * A product is cut into tiles: some rows of the weight times a chunk of rows of
 * x, each complete over K and each one single-threaded dgemm, in parallel over
 * tiles.  The cut depends on shapes only.  While a tile is in the cache its
 * bias is added, once, what acts on the complete sum acts (the logits' divisor
 * and cap, a clamp), and the result is stored.  When weights are not resident a
 * thread reads its tile first, so that every weight is read once per product, or
 * has it multiplied where it is made.
 */
#include "ref/ref_impl.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>

void ref__product(const ref__run *run, const ref__drawn *drawn,
                  const ref__factors *f, double *y, int64_t ld_y)
{
    if (run->draw != NULL)
        ref__drawn_product(run, drawn, f, y, ld_y);
    else
        cblas_dgemm(CblasRowMajor, CblasNoTrans,
                    f->transposed ? CblasTrans : CblasNoTrans,
                    (blasint)f->n_row, (blasint)f->n, (blasint)f->n_k, 1.0,
                    f->x, (blasint)f->ld_x, f->w, (blasint)f->ld_w, 0.0, y,
                    (blasint)ld_y);
}

static void get_bias(const ref__run *run, ref__tile *tile, core_weight weight,
                     int64_t r0)
{
    const core_weight id = {core_weight_bias(weight.kind), weight.layer,
                            weight.expert};
    tile->has_bias =
        id.kind != CORE_W_NONE && core_weight_exists(run->spec, id);
    if (!tile->has_bias)
        return;
    const core_weights *weights = run->model->weights;
    core_weights_read(weights, id, 0, 1, r0, r0 + tile->n, tile->bias, tile->n);
    if (!run->exact)
        return;
    tile->bias_step = core_weights_step(weights, id);
    for (int64_t i = 0; i < tile->n; i++)
        tile->max_bias = fmax(tile->max_bias, fabs(tile->bias[i]));
}

/* Queries and keys that have a norm before rope are clamped after it. */
static bool is_clamped(const core_spec *spec, core_weight_kind kind)
{
    const bool normed =
        spec->qk_norm == CORE_QK_NORM_HEAD || spec->qk_norm == CORE_QK_NORM_ALL;
    return kind == CORE_W_V ||
           (!normed && (kind == CORE_W_Q || kind == CORE_W_K));
}

void ref__tile_get(const ref__run *run, ref__tile *tile, core_weight id,
                   int64_t r0, int64_t r1, bool want_norms, double *scratch)
{
    const ref_model *m = run->model;
    int64_t n_row, n_k;
    core_weight_shape(run->spec, id, &n_row, &n_k);
    core_assert(r1 - r0 <= REF__MAX_TILE);
    const int64_t stride = ref__row_stride(n_k);
    tile->id = id;
    tile->r0 = r0;
    tile->n = r1 - r0;
    tile->n_k = n_k;
    tile->w = m->storage == NULL && core_weights_multiplies(m->weights, id)
                  ? NULL
                  : ref__weight_rows(m, id, r0, r1, scratch);
    tile->floats = run->draw != NULL ? ref__weight_floats(m, id, r0) : NULL;
    tile->ld_floats = n_row;
    tile->max_norm = tile->max_bias = tile->step = tile->bias_step = 0.0;
    if (run->exact)
        tile->step = core_weights_step(m->weights, id);
    if (run->exact && tile->w != NULL)
        tile->max_norm = m->storage != NULL
                             ? m->max_norm[core_weight_index(run->spec, id)]
                             : core_max_row_norm(tile->w, tile->n, n_k, stride);
    tile->drawn = ref__draw_product(run, id);
    tile->numerics = tile->drawn.numerics;
    const bool is_head = id.kind == CORE_W_HEAD;
    tile->divisor = is_head ? run->spec->logits_divisor : 1.0;
    tile->cap = is_head ? run->spec->logits_cap : 0.0;
    tile->clip = is_clamped(run->spec, id.kind) ? run->spec->clip_qkv : 0.0;
    for (int64_t i = 0; want_norms && i < tile->n; i++)
        tile->norm[i] = sqrt(ref__sum_of_squares(tile->w + i * stride, n_k)) /
                        tile->divisor;
    get_bias(run, tile, id, r0);
}

void ref__tile_sums(const ref__run *run, ref__tile *tile, const double *x,
                    int64_t n_row, double *y, int64_t ld_y)
{
    if (tile->w == NULL) {
        tile->max_norm = core_weights_multiply(
            run->model->weights, tile->id, tile->r0, tile->r0 + tile->n, 0,
            tile->n_k, x, tile->n_k, n_row, y, ld_y);
        return;
    }
    const ref__factors f = {.x = x,
                            .w = tile->w,
                            .floats = tile->floats,
                            .ld_x = tile->n_k,
                            .ld_w = ref__row_stride(tile->n_k),
                            .ld_floats = tile->ld_floats,
                            .n_row = n_row,
                            .n = tile->n,
                            .n_k = tile->n_k,
                            .transposed = true};
    ref__product(run, &tile->drawn, &f, y, ld_y);
}

/* In a drawn pass: the same in floats. */
static void drawn_tile(const ref__tile *tile, int64_t n_row, double *y,
                       int64_t ld_y)
{
    const ref__drawn *d = &tile->drawn;
    for (int64_t i = 0; i < n_row; i++) {
        double *y_i = y + i * ld_y;
        for (int64_t j = 0; tile->has_bias && j < tile->n; j++)
            y_i[j] = (double)((float)y_i[j] + (float)tile->bias[j]);
        for (int64_t j = 0; tile->divisor != 1.0 && j < tile->n; j++)
            y_i[j] = ref__drawn_quotient(d, y_i[j], tile->divisor);
        for (int64_t j = 0; tile->cap > 0.0 && j < tile->n; j++)
            y_i[j] = ref__drawn_capped(d, y_i[j], tile->cap);
        ref__clip(y_i, tile->n, tile->clip);
        core_store(tile->numerics, CORE_GRID_ACT, y_i, tile->n);
    }
}

void ref__tile_apply(const ref__run *run, ref__tile *tile, const double *x,
                     int64_t n_row, double *y, int64_t ld_y)
{
    ref__tile_sums(run, tile, x, n_row, y, ld_y);
    if (run->draw != NULL) {
        drawn_tile(tile, n_row, y, ld_y);
        return;
    }
    for (int64_t i = 0; i < n_row; i++) {
        double *y_i = y + i * ld_y;
        for (int64_t j = 0; tile->has_bias && j < tile->n; j++)
            y_i[j] += tile->bias[j];
        for (int64_t j = 0; tile->divisor != 1.0 && j < tile->n; j++)
            y_i[j] /= tile->divisor;
        for (int64_t j = 0; tile->cap > 0.0 && j < tile->n; j++)
            y_i[j] = core_capped(y_i[j], tile->cap);
        ref__clip(y_i, tile->n, tile->clip);
        core_store(tile->numerics, CORE_GRID_ACT, y_i, tile->n);
    }
}

double ref__tile_bits(const ref__run *run, const ref__tile *tile,
                      double max_norm_x)
{
    if (!run->exact)
        return 0.0;
    double step = CORE_STEP_ACT * tile->step;
    if (tile->has_bias && tile->max_bias > 0.0 && tile->bias_step < step)
        step = tile->bias_step;
    return ref__bits(max_norm_x * tile->max_norm + tile->max_bias, step);
}

/* Bounds of rows [i, i + n_row) of a tile's columns.  A quotient's error is the
 * sum's, divided; its rounding is the one that the product's bound counts. */
static void bound_tile(const ref__rows *x, const ref__tile *tile, int64_t i,
                       int64_t n_row, const double *y, float *bound, int64_t ld)
{
    double bias[REF__MAX_TILE];
    for (int64_t j = 0; tile->has_bias && j < tile->n; j++)
        bias[j] = tile->bias[j] / tile->divisor;
    const ref__roundoff u = ref__roundoff_of(tile->numerics);
    ref__bound_product(u, bound, ld, y, ld, n_row, tile->n, tile->n_k,
                       x->norm + i, tile->norm, tile->has_bias ? bias : NULL);
    for (int64_t r = 0; tile->cap > 0.0 && r < n_row; r++)
        ref__bound_capped(u, bound + r * ld, y + r * ld, tile->n);
}

void ref__linear_rows(ref__run *run, const ref__rows *given, core_weight id,
                      core_tap_kind kind, int64_t r0, int64_t r1, double *y,
                      float *bound)
{
    int64_t n_out, n_k;
    core_weight_shape(run->spec, id, &n_out, &n_k);
    core_assert(n_k == given->n_k);
    const ref__piece all = {id.expert, 0, given->n};
    const ref__rows read = ref__read_by(run, given, id.kind, id.layer, &all, 1,
                                        &run->room[0]);
    const ref__rows *x = &read;

    const int64_t rows = ref__tile_rows(run->model, r1 - r0, n_k);
    const int64_t n_tile = (r1 - r0 + rows - 1) / rows;
    const int64_t chunk = run->model->row_chunk;
    /* read weights must serve all chunks; resident ones may be shared out */
    const int64_t span = run->model->storage != NULL ? chunk : x->n;
    const int64_t n_span = (x->n + span - 1) / span;
    double bits = 0.0;
#pragma omp parallel for schedule(dynamic) num_threads(run->n_threads)         \
    reduction(max                                                              \
              : bits)
    for (int64_t task = 0; task < n_tile * n_span; task++) {
        const int64_t c0 = r0 + task / n_span * rows, i0 = task % n_span * span;
        const int64_t c1 = c0 + rows < r1 ? c0 + rows : r1;
        const int64_t i1 = i0 + span < x->n ? i0 + span : x->n;
        double *scratch =
            run->out_scratch + omp_get_thread_num() * run->out_stride;
        ref__tile tile;
        ref__tile_get(run, &tile, id, c0, c1, bound != NULL,
                      run->tile_scratch +
                          omp_get_thread_num() * run->tile_stride);
        for (int64_t i = i0; i < i1; i += chunk) {
            const int64_t n_i = i + chunk < i1 ? chunk : i1 - i;
            double *y_i = y != NULL ? y + i * n_out + c0 : scratch;
            ref__tile_apply(run, &tile, x->v + i * n_k, n_i, y_i,
                            y != NULL ? n_out : tile.n);
            if (bound != NULL)
                bound_tile(x, &tile, i, n_i, y_i, bound + i * n_out + c0,
                           n_out);
        }
        bits = fmax(bits, ref__tile_bits(run, &tile, x->max_norm));
    }
    run->stats->gemm_flops +=
        2.0 * (double)x->n * (double)(r1 - r0) * (double)n_k;
    if (run->exact)
        ref__record_bits(run, kind, id.layer, bits);
}

void ref__linear(ref__run *run, const ref__rows *x, core_weight_kind weight,
                 int layer, core_tap_kind kind, double *y)
{
    const core_weight id = {weight, layer, 0};
    float *bound = y != NULL ? ref__bound_buffer(run, kind, layer) : NULL;
    int64_t n_out, n_k;
    core_weight_shape(run->spec, id, &n_out, &n_k);
    ref__linear_rows(run, x, id, kind, 0, n_out, y, bound);
    ref__put(run, kind, layer, y, bound);
}

void ref__read_vector(const ref__run *run, core_weight_kind kind, int layer,
                      double *out)
{
    const core_weight id = {kind, layer, 0};
    int64_t n_row, n_col;
    core_weight_shape(run->spec, id, &n_row, &n_col);
    core_weights_read(run->model->weights, id, 0, n_row, 0, n_col, out, n_col);
}
