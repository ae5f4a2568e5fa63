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

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>

enum { FEW = 2, ROWS = 16, MOST_ROWS = 64, MOST_WEIGHTS = 1 << 18, TRIES = 12 };

typedef struct sample { /* a rectangle from the corner of a matrix */
    const core_weights *weights;
    core_weight id;
    int64_t n_row, n_col;
    double *x, *y, *w; /* [ROWS, n_col], [ROWS, n_row], [n_row, n_col] */
} sample;

/* The widest matrix that layers have: an expert's, mostly. */
static bool choose(sample *s, const core_spec *spec)
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
            most = n_row * n_col;
            s->id = id;
            s->n_col = n_col < MOST_WEIGHTS / MOST_ROWS
                           ? n_col
                           : MOST_WEIGHTS / MOST_ROWS;
            s->n_row = MOST_WEIGHTS / s->n_col < n_row ? MOST_WEIGHTS / s->n_col
                                                       : n_row;
        }
    return most > 0;
}

/* One thread makes the weights and multiplies them with n rows. */
static void multiply(const sample *s, double *y, double *w, int64_t n)
{
    if (core_weights_multiplies(s->weights, s->id)) {
        core_weights_multiply(s->weights, s->id, 0, s->n_row, 0, s->n_col, s->x,
                              s->n_col, n, y, s->n_row);
        return;
    }
    core_weights_read(s->weights, s->id, 0, s->n_row, 0, s->n_col, w, s->n_col);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)s->n_row,
                (int)s->n_col, 1.0, s->x, (int)s->n_col, w, (int)s->n_col, 0.0,
                y, (int)s->n_row);
}

/* Processor seconds of a thread while all are at it, the best of some
 * milliseconds: a processor that has slept begins slowly, and whatever comes in
 * between makes a try longer.  Trap: by the clock a thread that the system moves
 * to another processor takes ten times as long as its work.                  */
static double time_rows(const sample *s, int n_thread, int64_t n)
{
    const int64_t times = MOST_WEIGHTS / (s->n_row * s->n_col) + 1;
    double best = HUGE_VAL;
    for (int k = 0; k < TRIES; k++) {
        double took = 0.0;
#pragma omp parallel for num_threads(n_thread) schedule(static, 1)              \
    reduction(+ : took)
        for (int i = 0; i < n_thread; i++) {
            const double begin = core_seconds(CLOCK_THREAD_CPUTIME_ID);
            for (int64_t j = 0; j < times; j++)
                multiply(s, s->y + i * ROWS * s->n_row,
                         s->w + i * s->n_row * s->n_col, n);
            took += core_seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
        }
        best = fmin(best, took);
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

void har_rates_measure(har_limits *limits, const core_spec *spec,
                       const core_numerics *numerics, int n_numerics)
{
    const uint64_t any_seed = 1;
    const int n_thread = limits->n_core;
    core_weights *weights = NULL;
    sample s = {0};
    if (!choose(&s, spec) ||
        core_weights_open_procedural(&weights, spec, any_seed) != CORE_OK)
        return;
    s.weights = weights;
    s.x = calloc((size_t)(ROWS * s.n_col), sizeof *s.x);
    s.y = malloc((size_t)(n_thread * ROWS * s.n_row) * sizeof *s.y);
    s.w = malloc((size_t)(n_thread * s.n_row * s.n_col) * sizeof *s.w);
    const core_blas_threads before = core_blas_set_threads(1);
    for (int i = 0; s.x != NULL && s.y != NULL && s.w != NULL && i < n_numerics;
         i++)
        if (core_weights_prepare(weights, numerics[i], NULL) == CORE_OK)
            measure(&limits->rates[numerics[i] == CORE_EXACT], &s, n_thread);
    core_blas_restore_threads(before);
    core_message_clear();
    free(s.x);
    free(s.y);
    free(s.w);
    core_weights_close(weights);
}
