/* tests/bench/bench_ref.c -- how close the reference comes to dgemm.
 *
 * A Mixtral-shaped model (hidden 1024, 4 layers, 16 experts top-2, inner 3584,
 * 4 rows of 256 tokens) with its weights resident as doubles, against what
 * OpenBLAS keeps up on 2048^3 for as long, in turn: a virtual processor's clock
 * changes from second to second, so a burst of one product proves nothing.  The
 * figure is the median of the pairs' ratios.  Not a test: it judges nothing.
 */
#include "core/base/clock.h"
#include "core/blas/blas.h"
#include "core/numbers/rng.h"
#include "ref/ref.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 2048, N_ROUND = 7 };

/* The matrices of one product, kept between its timings. */
typedef struct product {
    double *a, *b, *c;
} product;

static product product_make(void)
{
    product p = {malloc(sizeof *p.a * N * N), malloc(sizeof *p.b * N * N),
                 malloc(sizeof *p.c * N * N)};
    if (p.a == NULL || p.b == NULL || p.c == NULL)
        abort();
    for (int64_t i = 0; i < N * N; i++) {
        p.a[i] = (double)core_rng_below(1, 0, (uint64_t)i, 2048) - 1023.5;
        p.b[i] = (double)core_rng_below(1, 1, (uint64_t)i, 2048) - 1023.5;
    }
    return p;
}

static void product_free(product *p)
{
    free(p->a);
    free(p->b);
    free(p->c);
}

/* GFLOP/s of 2048^3 products over two seconds, as long as a forward pass. */
static double dgemm_rate(const product *p, int n_threads)
{
    double flops = 0.0;
    (void)core_blas_set_threads(n_threads);
    if (core_blas_used_threads() != n_threads)
        abort(); /* the figure would be of something else */
    const double start = core_seconds(CLOCK_MONOTONIC);
    do {
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, N, N, 1.0, p->a,
                    N, p->b, N, 0.0, p->c, N);
        flops += 2.0 * N * N * N;
    } while (core_seconds(CLOCK_MONOTONIC) - start < 2.0);
    return flops / (core_seconds(CLOCK_MONOTONIC) - start) * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static core_spec mixtral_shaped(void)
{
    core_spec spec;
    if (core_spec_open(&spec, "seed-mini", NULL) != CORE_OK)
        abort();
    snprintf(spec.name, sizeof spec.name, "mixtral-shaped");
    spec.n_l = 4;
    spec.n_d = 1024;
    spec.n_h = 16;
    spec.n_g = 16;
    spec.n_dh = 64;
    spec.n_e = 16;
    spec.n_k = 2;
    spec.n_f = 3584;
    spec.n_v = 512;
    spec.gated = true;
    spec.act = CORE_ACT_SILU;
    spec.renormalise = true;
    spec.capacity.rule = CORE_CAPACITY_NONE;
    return spec;
}

/* dgemm and the reference in turn, so that both see the same machine. */
static core_status measure(ref_model *model, const core_batch *batch,
                           const core_groups *groups, int n_threads)
{
    product p = product_make();
    double ratio[N_ROUND] = {0.0};
    core_status status = CORE_OK;
    dgemm_rate(&p, n_threads);
    for (int i = 0; i < N_ROUND && status == CORE_OK; i++) {
        ref_stats stats;
        const double rate = dgemm_rate(&p, n_threads);
        status = ref_forward(model, batch, groups, NULL, &stats);
        if (status != CORE_OK)
            break;
        const double own = stats.gemm_flops / stats.wall_seconds * 1e-9;
        printf("dgemm 2048^3 %6.1f GFLOP/s, forward pass %6.1f GFLOP/s "
               "(%.2f s, %.1f GFLOP)\n",
               rate, own, stats.wall_seconds, stats.gemm_flops * 1e-9);
        ratio[i] = own / rate;
    }
    qsort(ratio, N_ROUND, sizeof ratio[0], by_value);
    printf("reference / dgemm   %8.1f %% on %d threads, median of %d pairs, "
           "%.1f to %.1f\n",
           100.0 * ratio[N_ROUND / 2], n_threads, (int)N_ROUND,
           100.0 * ratio[0], 100.0 * ratio[N_ROUND - 1]);
    product_free(&p);
    return status;
}

static core_status run(int n_threads)
{
    const core_spec spec = mixtral_shaped();
    CORE_TRY(core_spec_validate(&spec));
    core_weights *weights = NULL;
    CORE_TRY(core_weights_open_procedural(&weights, &spec, 1));
    CORE_TRY(core_weights_prepare(weights, CORE_FP64, NULL));
    core_batch batch;
    CORE_TRY(core_batch_make(&batch, &spec, 4, 256, 2));
    const int64_t first_row[2] = {0, 4};
    const core_groups groups = {.n = 1, .first_row = first_row};
    const ref_options options = {.n_threads = n_threads,
                                 .weight_budget_bytes = (size_t)12 << 30};
    ref_model *model = NULL;
    const double start = core_seconds(CLOCK_MONOTONIC);
    CORE_TRY(ref_model_open(&model, &spec, weights, CORE_FP64, &options));
    printf("weights resident    %8.2f GB in %.1f s\n",
           (double)core_spec_parameters(&spec) * 8e-9, core_seconds(CLOCK_MONOTONIC) - start);
    const core_status status = measure(model, &batch, &groups, n_threads);
    ref_model_close(model);
    core_batch_free(&batch);
    core_weights_close(weights);
    return status;
}

int main(void)
{
    const core_status status = run((int)sysconf(_SC_NPROCESSORS_ONLN));
    if (status != CORE_OK)
        fprintf(stderr, "bench_ref: %s\n", core_message());
    return core_status_exit_code(status);
}
