/* harness/verify/rates.c -- see rates.h.
 *
 * Two costs are told apart: of a weight, which is paid once for all rows that
 * it is multiplied with, and of a multiplication.  Where weights are multiplied
 * where they are made, and where they are packed for a product, a few rows and many
 * rows give both.
 */
#include "harness/verify/rates.h"

#include "core/base/clock.h"
#include "core/blas/blas.h"
#include "core/weights/weights.h"
#include "parallel/product.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>

enum { FEW = 2, ROWS = 16, MOST_TRIES = 12, LEAST_TRIES = 3 };
enum { LEAST_WEIGHTS = 1 << 16, MOST_WEIGHTS = 1 << 20 }; /* of a try         */
static const double ENOUGH_SECONDS = 4e-3; /* of a thread, for one number ... */
static const double ENOUGH_PER_WEIGHT = 1e-11; /* ... of a large model        */

typedef struct sample { /* a rectangle from the corner of a matrix            */
    const core_weights *weights;
    core_weight id;
    int64_t n_row, n_col;
    double *x, *y, *w;    /* [ROWS, n_col], [ROWS, n_row], [n_row, n_col]     */
    float *x32, *y32, *w32; /* the same; w32 NULL: products are of doubles    */
    double enough;        /* seconds of a thread, for one number              */
} sample;

/* The widest matrix that layers have: an expert's, mostly.  As many rows as a
 * rank reads at a time, which no cache keeps, but no more than n_weight.     */
static bool choose(sample *s, const core_spec *spec, int64_t n_weight)
{
    int64_t most = 0;
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++) {
            const core_weight id = {(core_weight_kind)k, l, 0};
            int64_t n_row, n_col;
            if (core_weight_scope_of(id.kind) == CORE_SCOPE_ONCE ||
                !core_weight_exists(spec, id))
                continue;
            core_weight_shape(spec, id, &n_row, &n_col);
            if (n_row < 2 || n_row * n_col <= most)
                continue;
            const int64_t rows = n_weight / n_col + 1;
            most = n_row * n_col;
            s->id = id;
            s->n_col = n_col;
            s->n_row = rows < n_row ? rows : n_row;
        }
    return most > 0;
}

/* As ranks do it: float after float, then a product of floats. */
static void multiply_floats(const sample *s, float *y, const double *w,
                            float *w32, int64_t n)
{
    for (int64_t i = 0; i < s->n_row * s->n_col; i++)
        w32[i] = (float)w[i];
    par_product_f32(y, s->x32, n, w32, s->n_row, s->n_col);
}

/* Thread i makes the weights and multiplies them with n rows. */
static void multiply(const sample *s, int i, int64_t n)
{
    const int64_t y0 = i * ROWS * s->n_row, w0 = i * s->n_row * s->n_col;
    double *y = s->y + y0, *w = s->w + w0;
    if (core_weights_multiplies(s->weights, s->id)) {
        core_weights_multiply(s->weights, s->id, 0, s->n_row, 0, s->n_col, s->x,
                              s->n_col, n, y, s->n_row);
        return;
    }
    core_weights_read(s->weights, s->id, 0, s->n_row, 0, s->n_col, w, s->n_col);
    if (s->w32 != NULL)
        multiply_floats(s, s->y32 + y0, w, s->w32 + w0, n);
    else
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n,
                    (int)s->n_row, (int)s->n_col, 1.0, s->x, (int)s->n_col, w,
                    (int)s->n_col, 0.0, y, (int)s->n_row);
}

/* Processor seconds of a thread while all are at it, the best of some
 * milliseconds: a processor that has slept begins slowly, and whatever comes in
 * between makes a try longer.  Trap: by the clock a thread that the system moves
 * to another processor takes ten times as long as its work.                  */
static double time_rows(const sample *s, int n_thread, int64_t n)
{
    const int64_t times = LEAST_WEIGHTS / (s->n_row * s->n_col) + 1;
    double best = HUGE_VAL, spent = 0.0;
    for (int k = 0; k < LEAST_TRIES ||
                    (k < MOST_TRIES && spent < n_thread * s->enough);
         k++) {
        double took = 0.0;
#pragma omp parallel for num_threads(n_thread) schedule(static, 1)              \
    reduction(+ : took)
        for (int i = 0; i < n_thread; i++) {
            const double begin = core_seconds(CLOCK_THREAD_CPUTIME_ID);
            for (int64_t j = 0; j < times; j++)
                multiply(s, i, n);
            took += core_seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
        }
        best = fmin(best, took);
        spent += took;
    }
    return best / (double)(n_thread * times);
}

static void measure(har_rates *out, const sample *s, int n_thread)
{
    const double n = (double)(s->n_row * s->n_col);
    const double few = time_rows(s, n_thread, FEW);
    const double all = time_rows(s, n_thread, ROWS);
    const double each = all > few ? (all - few) / (ROWS - FEW) : 0.0;
    out->flop_seconds = each / (2.0 * n);
    out->weight_seconds = (few > FEW * each ? few - FEW * each : few) / n;
}

/* Both kernels of numerics that are not exact, or the one of those that are. */
static void measure_numerics(har_limits *limits, sample *s,
                             core_numerics numerics, float *w32)
{
    const bool is_exact = numerics == CORE_EXACT;
    s->w32 = NULL;
    measure(&limits->rates[is_exact ? HAR_KERNEL_EXACT : HAR_KERNEL_DOUBLES],
            s, limits->n_core);
    if (!core_uses_floats(numerics))
        return;
    s->w32 = w32;
    measure(&limits->rates[HAR_KERNEL_FLOATS], s, limits->n_core);
}

/* Weights of a try: some of the memory that there is will do. */
static int64_t most_weights(const har_limits *limits)
{
    const int64_t room = (int64_t)(limits->memory_bytes / sizeof(double) / 64) /
                         limits->n_core;
    return room < MOST_WEIGHTS ? room : MOST_WEIGHTS;
}

void har_rates_measure(har_limits *limits, const core_spec *spec,
                       const core_numerics *numerics, int n_numerics)
{
    const uint64_t any_seed = 1;
    const size_t n_thread = (size_t)limits->n_core;
    core_weights *weights = NULL;
    sample s = {.enough = fmin(ENOUGH_SECONDS,
                               ENOUGH_PER_WEIGHT *
                                   (double)core_spec_parameters(spec))};
    if (!choose(&s, spec, most_weights(limits)) ||
        core_weights_open_procedural(&weights, spec, any_seed) != CORE_OK)
        return;
    const size_t n_x = (size_t)(ROWS * s.n_col);
    const size_t n_y = n_thread * (size_t)(ROWS * s.n_row);
    const size_t n_w = n_thread * (size_t)(s.n_row * s.n_col);
    double *doubles = calloc(n_x + n_y + n_w, sizeof *doubles);
    float *floats = calloc(n_x + n_y + n_w, sizeof *floats);
    if (doubles != NULL && floats != NULL) {
        const core_blas_threads before = core_blas_set_threads(1);
        s.weights = weights;
        s.x = doubles;
        s.y = doubles + n_x;
        s.w = s.y + n_y;
        s.x32 = floats;
        s.y32 = floats + n_x;
        for (int i = 0; i < n_numerics; i++)
            if (core_weights_prepare(weights, numerics[i], NULL) == CORE_OK)
                measure_numerics(limits, &s, numerics[i], s.y32 + n_y);
        core_blas_restore_threads(before);
    }
    core_message_clear();
    free(doubles);
    free(floats);
    core_weights_close(weights);
}
