/* ref/hyper.c -- hyper-connections: a token has n streams, x [N, n*D].
 *
 * Before a part of a layer its scores m = x W^T / rms(x) are made of all
 * streams together, and of them three kinds of weights: what the part reads,
 * where it adds, and a matrix by which the streams mix.  That matrix begins as
 * a softmax of each row; then columns, then rows and columns again, are divided
 * by their sums, always on the complete matrix of a token.  The part reads a
 * weighted sum h [N, D] of the streams; afterwards stream k is adds_k r + sum_j
 * mixes_jk x_j. The head reads in the same way and adds nothing.  Traps: the
 * first index of the mixing matrix is the stream that comes in; eps is added to
 * what is read and to every sum, not to what is added; the last division is by
 * columns.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { MOST_WIDE = CORE_HYPER_MOST * (2 + CORE_HYPER_MOST) };

/* Around one part of a layer, or before the head. */
typedef struct around {
    core_weight_kind mix, base, scale;
    core_tap_kind mix_tap, streams_tap, in_tap;
} around;

static const around AROUND[] = {
    [REF__MIXER] = {CORE_W_ATTN_MIX, CORE_W_ATTN_MIX_BASE,
                    CORE_W_ATTN_MIX_SCALE, CORE_TAP_ATTN_MIX,
                    CORE_TAP_ATTN_STREAMS, CORE_TAP_ATTN_IN},
    [REF__FFN] = {CORE_W_FFN_MIX, CORE_W_FFN_MIX_BASE, CORE_W_FFN_MIX_SCALE,
                  CORE_TAP_FFN_MIX, CORE_TAP_FFN_STREAMS, CORE_TAP_FFN_IN},
    [REF__HEAD] = {CORE_W_HEAD_MIX, CORE_W_HEAD_MIX_BASE, CORE_W_HEAD_MIX_SCALE,
                   CORE_TAP_HEAD_MIX, CORE_TAP_HEAD_STREAMS, CORE_TAP_HEAD_IN},
};

static int64_t width(const core_spec *spec)
{
    return spec->hyper.n * (2 + spec->hyper.n);
}

/* --- scores --- */

/* As a product of rows of norm norm_x / rms, and the rms itself: the sum of
 * n_k squares is off by a sum's error, halved by the root; quotient, eps, root
 * and division: 4u.                                                          */
static void bound_scores(ref__roundoff u, float *bound, const double *y,
                         const ref__tile *tile, double norm_x, double rms)
{
    const double c = 1.5 * ref__sum_error(u, tile->n_k) + 4.0 * u.sum;
    for (int64_t i = 0; i < tile->n; i++)
        bound[i] = ref__up(u, c * norm_x / rms * tile->norm[i], y[i]);
}

/* m [N, n_out] from x: rows [i0, i1) and a tile of the weight. */
static void score_rows(const ref__run *run, const ref__rows *x,
                       ref__tile *tile, int64_t i0, int64_t i1, double *m,
                       int64_t ld, float *bound)
{
    const double eps = run->spec->norm_eps;
    const int64_t n_x = x->n_k;
    ref__tile_sums(run, tile, x->v + i0 * n_x, i1 - i0, m + i0 * ld, ld);
    for (int64_t t = i0; t < i1; t++) {
        const double mean =
            ref__sum_of_squares(run->x + t * n_x, n_x) / (double)n_x;
        const double rms = sqrt(mean + eps);
        double *m_t = m + t * ld;
        for (int64_t i = 0; i < tile->n; i++)
            m_t[i] /= rms;
        core_store(tile->numerics, CORE_GRID_ACT, m_t, tile->n);
        if (bound != NULL)
            bound_scores(ref__roundoff_of(tile->numerics), bound + t * ld, m_t,
                         tile, x->norm[t], rms);
    }
}

static void score(ref__run *run, int layer, const around *at, double *m)
{
    const core_weight id = {at->mix, layer, 0};
    float *bound = ref__bound_buffer(run, at->mix_tap, layer);
    const ref__rows x = ref__measure_as(run, CORE_SLOT_ROUTER, run->x, run->n,
                                        core_spec_n_x(run->spec));
    const int64_t chunk = run->model->row_chunk;
    int64_t n_out, n_x;
    core_weight_shape(run->spec, id, &n_out, &n_x);
    const int64_t rows = ref__tile_rows(run->model, n_out, n_x);
    double bits = 0.0;
#pragma omp parallel for num_threads(run->n_threads) reduction(max : bits)
    for (int64_t i = 0; i < run->n; i += chunk) {
        double *scratch =
            run->tile_scratch + omp_get_thread_num() * run->tile_stride;
        for (int64_t r = 0; r < n_out; r += rows) {
            ref__tile tile;
            ref__tile_get(run, &tile, id, r,
                          r + rows < n_out ? r + rows : n_out, bound != NULL,
                          scratch);
            score_rows(run, &x, &tile, i,
                       i + chunk < run->n ? i + chunk : run->n, m + r, n_out,
                       bound != NULL ? bound + r : NULL);
            bits = fmax(bits, ref__tile_bits(run, &tile, x.max_norm));
        }
    }
    const double squares = x.max_norm * x.max_norm;
    run->stats->gemm_flops += 2.0 * (double)run->n * (double)(n_out * n_x);
    if (run->exact)
        ref__record_bits(
            run, at->mix_tap, layer,
            fmax(bits, ref__bits(squares, CORE_STEP_ACT * CORE_STEP_ACT)));
    ref__put(run, at->mix_tap, layer, m, bound);
}

/* --- weights --- */

/* Divide every column (row) of a [n, n] by its sum; stored, as each of many
 * such steps is.                                                             */
static void divide(const core_hyper *hyper, core_numerics numerics, double *a,
                   bool columns)
{
    const int64_t n = hyper->n;
    const int64_t step = columns ? n : 1, next = columns ? 1 : n;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (int64_t j = 0; j < n; j++)
            sum += a[i * next + j * step];
        sum += hyper->eps;
        for (int64_t j = 0; j < n; j++)
            a[i * next + j * step] /= sum;
    }
    core_store(numerics, CORE_GRID_EXP, a, n * n);
}

static void balance(const core_hyper *hyper, core_numerics numerics, double *a)
{
    const int64_t n = hyper->n;
    for (int64_t j = 0; j < n; j++) {
        (void)ref__softmax_row(core_numerics_of(numerics, CORE_SLOT_ACC),
                               a + j * n, 0, n, NULL, 1.0, -HUGE_VAL);
        for (int64_t k = 0; k < n; k++)
            a[j * n + k] += hyper->eps;
    }
    core_store(numerics, CORE_GRID_EXP, a, n * n);
    divide(hyper, numerics, a, true);
    for (int64_t i = 1; i < hyper->n_round; i++) {
        divide(hyper, numerics, a, false);
        divide(hyper, numerics, a, true);
    }
}

/* A token's weights from their scores, in place. */
static void weigh(const core_hyper *hyper, core_numerics numerics,
                  const double *scale, const double *base, bool reads_only,
                  double *w)
{
    const int64_t n = hyper->n;
    for (int64_t j = 0; j < n; j++)
        w[j] = core_sigmoid(w[j] * scale[0] + base[j]) + hyper->eps;
    if (reads_only)
        return;
    for (int64_t k = n; k < 2 * n; k++)
        w[k] = 2.0 * core_sigmoid(w[k] * scale[1] + base[k]);
    for (int64_t i = 2 * n; i < (2 + n) * n; i++)
        w[i] = w[i] * scale[2] + base[i];
    balance(hyper, numerics, w + 2 * n);
}

/* z = m scale + base is off by u (2 |m scale| + |base|), a sigmoid is nowhere
 * steeper than 1/4, and exp, sum, quotient, factor and eps are 5u of it.     */
static void bound_gates(ref__roundoff u, float *bound, const double *m,
                        double scale, const double *base, const double *w,
                        double factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double z = 2.0 * fabs(m[i] * scale) + fabs(base[i]);
        bound[i] = ref__up(u, u.sum * (0.25 * factor * z + 5.0 * w[i]), w[i]);
    }
}

/* Relative errors, first of the softmax and eps: pi = 2 dz + (spread + n + 7) u
 * with dz as above and the spread of z for |z - max| and its average; each of
 * the 2 n_round - 1 divisions that follow, and the reference's store after it,
 * adds 2u.  A division makes an error common to a row or column vanish, and in
 * Hilbert's metric the scaling of rows by columns is nowhere expanding: so the
 * scales are off by at most 2 pi and the error of a sum of n + 1 terms more
 * after each, which is N (2 pi + 2 (n + 2) u) in all.                        */
static void bound_mixes(ref__roundoff u, float *bound, const core_hyper *hyper,
                        const double *m, double scale, const double *base,
                        const double *w)
{
    const int64_t n = hyper->n;
    const double n_step = 2.0 * (double)hyper->n_round - 1.0;
    double largest = -HUGE_VAL, least = HUGE_VAL, dz = 0.0;
    for (int64_t i = 0; i < n * n; i++) {
        const double z = m[i] * scale + base[i];
        largest = fmax(largest, z);
        least = fmin(least, z);
        dz = fmax(dz, u.sum * (2.0 * fabs(m[i] * scale) + fabs(base[i])));
    }
    const double pi = 2.0 * dz +
                      u.sum * (2.0 * (largest - least) + (double)n + 7.0) +
                      2.0 * n_step * u.sum;
    const double c = n_step * (2.0 * pi + 2.0 * (double)(n + 2) * u.sum);
    for (int64_t i = 0; i < n * n; i++)
        bound[i] = ref__up(u, c * w[i], w[i]);
}

static void bound_weights(ref__roundoff u, float *bound,
                          const core_hyper *hyper, const double *m,
                          const double *scale, const double *base,
                          bool reads_only, const double *w)
{
    const int64_t n = hyper->n;
    bound_gates(u, bound, m, scale[0], base, w, 1.0, n);
    if (reads_only)
        return;
    bound_gates(u, bound + n, m + n, scale[1], base + n, w + n, 2.0, n);
    bound_mixes(u, bound + 2 * n, hyper, m + 2 * n, scale[2], base + 2 * n,
                w + 2 * n);
}

/* joint := the weights of its scores. */
static void weigh_all(ref__run *run, int layer, const around *at, int64_t n_w)
{
    const core_hyper *hyper = &run->spec->hyper;
    const bool reads_only = n_w == hyper->n;
    const core_numerics numerics =
        core_tap_numerics(run->numerics, at->streams_tap);
    float *bound = ref__bound_buffer(run, at->streams_tap, layer);
    const ref__roundoff u = ref__u(run, at->streams_tap);
    double scale[CORE_HYPER_SCALES], base[MOST_WIDE];
    ref__read_vector(run, at->scale, layer, scale);
    ref__read_vector(run, at->base, layer, base);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        double m[MOST_WIDE], *w = run->joint + t * n_w;
        memcpy(m, w, (size_t)n_w * sizeof *m);
        if (run->draw != NULL)
            ref__drawn_streams(hyper, m, scale, base, reads_only, w);
        else
            weigh(hyper, numerics, scale, base, reads_only, w);
        core_store(numerics, CORE_GRID_PROB, w, n_w);
        if (bound != NULL)
            bound_weights(u, bound + t * n_w, hyper, m, scale, base, reads_only,
                          w);
    }
    ref__put(run, at->streams_tap, layer, run->joint, bound);
}

/* --- sums --- */

static void collapse(ref__run *run, int layer, ref__part part)
{
    const around *at = &AROUND[part];
    const int64_t n_w =
        part == REF__HEAD ? run->spec->hyper.n : width(run->spec);
    score(run, layer, at, run->joint);
    weigh_all(run, layer, at, n_w);
    ref__read_streams(run, layer, at->in_tap, run->spec->hyper.n, n_w);
}

/* The streams of a token, one after the other: from a copy of all. */
static double mix_token(const ref__run *run, const ref__drawn *drawn,
                        core_tap_kind kind, int64_t t, double *room,
                        float *bound)
{
    const int64_t n_d = run->spec->n_d, n = run->spec->hyper.n;
    double *x = run->x + t * n * n_d, *sum_abs = NULL, most = 0.0;
    const double *adds = run->joint + t * width(run->spec) + n;
    const double *mixes = adds + n,
                 *in = memcpy(room, x, (size_t)(n * n_d) * sizeof *x);
    if (bound != NULL)
        sum_abs = room + n * n_d;
    for (int64_t k = 0; k < n; k++) {
        double *y = x + k * n_d, sum;
        memset(y, 0, (size_t)n_d * sizeof *y);
        if (sum_abs != NULL)
            memset(sum_abs, 0, (size_t)n_d * sizeof *y);
        sum = ref__add_term(run, drawn, adds[k], run->r + t * n_d, y, sum_abs);
        for (int64_t j = 0; j < n; j++)
            sum += ref__add_term(run, drawn, mixes[j * n + k], in + j * n_d, y,
                                 sum_abs);
        most = ref__worse(most, sum);
        ref__finish_sum(run, kind, y, sum_abs, n + 1,
                        bound != NULL ? bound + (t * n + k) * n_d : NULL);
    }
    return most;
}

static void expand(ref__run *run, int layer, core_tap_kind kind)
{
    const ref__drawn drawn = ref__draw_operator(run, kind, layer);
    float *bound = ref__bound_buffer(run, kind, layer);
    const int64_t room = (run->spec->hyper.n + 1) * run->spec->n_d;
    double most = 0.0;
#pragma omp parallel for num_threads(run->n_threads) reduction(max : most)
    for (int64_t t = 0; t < run->n; t++)
        most = ref__worse(
            most, mix_token(run, &drawn, kind, t,
                            run->streams + omp_get_thread_num() * room, bound));
    if (run->exact)
        ref__record_bits(run, kind, layer,
                         ref__bits(most, CORE_STEP_PROB * CORE_STEP_ACT));
    ref__put(run, kind, layer, run->x, bound);
}

const ref__connection ref__hyper = {width, collapse, expand};
