/* harness/perf/calibrate/products.c -- rates of products over a grid.
 *
 * Every point is measured as the emulation meets it: weights that lie in the
 * shared cache but not in the core's own (they come round in a pool), inputs
 * just written.  What a weight from memory takes more is measured on a few
 * shapes with a larger pool.  Points that would take too long get the rate of
 * the point with half the rows, half the outputs or half the inputs.
 *
 * Trap: the middle of several repetitions, not the least, because the least of
 * a few microseconds is a lucky one that no pass sees.
 */
#include "core/base/clock.h"
#include "harness/perf/calibrate/calibrate.h"

#include "core/base/arena.h"
#include "core/blas/blas.h"
#include "parallel/product.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>

enum {
    POOL = 24 << 20,       /* elements of weights: beyond the shared cache    */
    NEAR_POOL = 1 << 20,   /* within it, beyond the core's own                */
    MOST_REPEATS = 25,
    LEAST_REPEATS = 3
};
static const double MOST_FLOP = 3e8, POINT_SECONDS = 4e-3;
static const double QUICK_FLOP = 1e6, QUICK_SECONDS = 5e-5;

typedef struct bench {
    void *x, *w, *y; /* operands, for either dtype                            */
    size_t at;       /* in the pool                                           */
    size_t pool;     /* elements that come round                              */
    const har_measuring *how;
    double *apart;   /* |one / middle - 1| of all repetitions                 */
    int64_t n_apart, room;
} bench;

static void multiply(const bench *b, int which, int m, int n, int k)
{
    if (which == 0)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0,
                    b->x, k, (const double *)b->w + b->at, k, 0.0, b->y, n);
    else
        par_product_f32(b->y, b->x, m, (const float *)b->w + b->at, n, k);
}

/* The middle of repetitions. */
static double time_of(bench *b, int which, int m, int n, int k)
{
    const size_t size = (size_t)n * (size_t)k;
    double seconds[MOST_REPEATS], sum = 0;
    int r = 0;
    if (b->at + size > b->pool)
        b->at = 0;
    multiply(b, which, m, n, k);
    const double enough = b->how->quick ? QUICK_SECONDS : POINT_SECONDS;
    while (r < LEAST_REPEATS || (sum < enough && r < MOST_REPEATS)) {
        b->at = b->at + 2 * size > b->pool ? 0 : b->at + size;
        const double start = core_seconds(CLOCK_THREAD_CPUTIME_ID);
        multiply(b, which, m, n, k);
        seconds[r] = core_seconds(CLOCK_THREAD_CPUTIME_ID) - start;
        sum += seconds[r++];
    }
    har_sort(seconds, r);
    const double middle = seconds[r / 2];
    for (int i = 0; i < r && b->n_apart < b->room && middle > 0; i++)
        b->apart[b->n_apart++] = fabs(seconds[i] / middle - 1);
    return middle;
}

static core_status measure(har_calibration *out, bench *b, int which,
                           const int at[3])
{
    const core_dtype dtype = which == 0 ? CORE_DTYPE_F64 : CORE_DTYPE_F32;
    const double m = har_grid_m(at[0]), n = har_grid_nk(at[1]);
    const double k = har_grid_nk(at[2]);
    const int i = (at[0] * HAR_GRID_NK + at[1]) * HAR_GRID_NK + at[2];
    const int step[3] = {HAR_GRID_NK * HAR_GRID_NK, HAR_GRID_NK, 1};
    double *rate = out->rates.log_rate[which];
    out->rates.n_product[which] = i + 1;
    const double most = b->how->quick ? QUICK_FLOP : MOST_FLOP;
    for (int d = 0; d < 3 && 2 * m * n * k > most; d++)
        if (at[d] > 0) {
            rate[i] = rate[i - step[d]];
            return CORE_OK;
        }
    b->pool = (size_t)fmax(NEAR_POOL, n * k);
    const double seconds = time_of(b, which, (int)m, (int)n, (int)k);
    CORE_FAIL_IF(!(seconds > 0), CORE_E_PROGRAM, HAR_COARSE_CLOCK);
    const har_op_shape shape = {
        .kind = HAR_GEMM, .dtype = dtype, .as.gemm = {m, n, k}};
    rate[i] = log(2 * m * n * k / seconds);
    out->peak[which] = fmax(out->peak[which], exp(rate[i]));
    fprintf(b->how->samples, "  - [gemm, %s, %g, %g, %g, %.5g]\n",
            which == 0 ? "f64" : "f32", m, n, k, seconds);
    return har_calibration_add(out, &shape, seconds);
}

/* Bring the near pool into the shared cache. */
static void touch(const bench *b)
{
    double *w = b->w;
    for (int64_t i = 0; i < NEAR_POOL; i++)
        w[i] = -w[i];
}

/* Seconds of a weight from memory beyond those of one from the shared cache, with
 * m rows of inputs: the middle of some shapes. */
static double time_of_miss(bench *b, int which, int m)
{
    static const int shapes[][2] = {{128, 256}, {256, 128}, {256, 256}};
    enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };
    double extra[N_SHAPES];
    for (int i = 0; i < N_SHAPES; i++) {
        const int n = shapes[i][0], k = shapes[i][1];
        const size_t far_at = b->at;
        b->pool = NEAR_POOL;
        b->at = 0;
        touch(b);
        const double near = time_of(b, which, m, n, k);
        b->pool = POOL;
        b->at = far_at > NEAR_POOL ? far_at : NEAR_POOL; /* not yet touched */
        extra[i] = (time_of(b, which, m, n, k) - near) / n / k;
    }
    har_sort(extra, N_SHAPES);
    return fmax(0, extra[N_SHAPES / 2]);
}

static core_status measure_all(har_calibration *out, bench *b)
{
    (void)core_blas_set_threads(1); /* the clock is that of one */
    const int n_thread = core_blas_used_threads();
    CORE_FAIL_IF(n_thread != 1, CORE_E_PROGRAM,
                 "OpenBLAS: expected products on one thread, found %d",
                 n_thread);
    for (int which = 0; which < 2; which++) {
        for (int i = 0; i < HAR_GRID_M; i++)
            out->rates.miss[which][i] =
                time_of_miss(b, which, (int)har_grid_m(i));
        out->rates.n_miss[which] = HAR_GRID_M;
        for (int i = 0; i < HAR_GRID_M; i++) {
            par_at(b->how->comm, "products", i);
            par_set_fraction(b->how->comm,
                             0.2 * (which + i / (double)HAR_GRID_M));
            touch(b);
            for (int j = 0; j < HAR_GRID_NK * HAR_GRID_NK; j++) {
                const int at[3] = {i, j / HAR_GRID_NK, j % HAR_GRID_NK};
                CORE_TRY(measure(out, b, which, at));
            }
        }
    }
    out->products = har_noise_of(b->apart, b->n_apart);
    return CORE_OK;
}

static void fill(double *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (double)(i % 13) - 6;
}

core_status har_calibrate_products(har_calibration *out,
                                   const har_measuring *how)
{
    const size_t most_m = 1 << (HAR_GRID_M - 1);
    const size_t most_nk = HAR_GRID_FIRST_NK << (HAR_GRID_NK - 1);
    const size_t n_x = most_m * most_nk, n_all = 2 * n_x + POOL;
    bench b = {.room = 2 * HAR_GRID_SIZE * (int64_t)MOST_REPEATS, .how = how};
    void *values = NULL, *apart = NULL;
    core_status status =
        core_alloc(&values, (int64_t)n_all, sizeof(double), "operands");
    if (status == CORE_OK)
        status = core_alloc(&apart, b.room, sizeof(double), "repetitions");
    if (status == CORE_OK) {
        double *x = values;
        fill(x, n_all);
        b.x = x;
        b.y = x + n_x;
        b.w = x + 2 * n_x;
        b.apart = apart;
        status = measure_all(out, &b);
    }
    free(apart);
    free(values);
    return status;
}
