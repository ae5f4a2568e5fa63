/* tests/bench/bench_ref.c -- how close the reference comes to dgemm.
 *
 * A Mixtral-shaped model (hidden 1024, 4 layers, 16 experts top-2, inner 3584,
 * 4 rows of 256 tokens) with its weights resident as doubles, against what
 * OpenBLAS reaches on 2048^3 in the same process.  Best of three each.
 * Not a test: it prints figures and judges nothing.
 */
#include "core/rng.h"
#include "ref/ref.h"

#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* GFLOP/s of one 2048^3 product. */
static double dgemm_rate(int n_threads)
{
    enum { N = 2048 };
    double *a = malloc(sizeof *a * N * N), *b = malloc(sizeof *b * N * N),
           *c = malloc(sizeof *c * N * N);
    if (a == NULL || b == NULL || c == NULL)
        abort();
    for (int64_t i = 0; i < N * N; i++) {
        a[i] = (double)core_rng_below(1, 0, (uint64_t)i, 2048) - 1023.5;
        b[i] = (double)core_rng_below(1, 1, (uint64_t)i, 2048) - 1023.5;
    }
    openblas_set_num_threads(n_threads);
    double best = 0.0;
    for (int run = 0; run < 4; run++) {
        const double start = now();
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, N, N, 1.0, a, N,
                    b, N, 0.0, c, N);
        const double rate = 2.0 * N * N * N / (now() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    free(a);
    free(b);
    free(c);
    return best;
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

static core_status run(int n_threads, double gemm_gflops)
{
    const core_spec spec = mixtral_shaped();
    CORE_TRY(core_spec_validate(&spec));
    core_weights *weights = NULL;
    CORE_TRY(core_weights_open_procedural(&weights, &spec, 1));
    CORE_TRY(core_weights_prepare(weights, CORE_FP64, NULL));
    core_batch batch;
    CORE_TRY(core_batch_make(&batch, &spec, 4, 256, 2));
    const int64_t first_row[2] = {0, 4};
    const core_groups groups = {1, first_row};
    const ref_options options = {.n_threads = n_threads,
                                 .weight_budget_bytes = (size_t)12 << 30};
    ref_model *model = NULL;
    const double start = now();
    CORE_TRY(
        ref_model_open(&model, &spec, weights, CORE_FP64, &options));
    printf("weights resident    %8.2f GB in %.1f s\n",
           (double)core_spec_parameters(&spec) * 8e-9, now() - start);
    double best = 0.0;
    for (int i = 0; i < 3; i++) {
        ref_stats stats;
        CORE_TRY(ref_forward(model, &batch, &groups, NULL, &stats));
        const double rate = stats.gemm_flops / stats.wall_seconds * 1e-9;
        printf("forward             %8.2f s, %.1f GFLOP, %.1f GFLOP/s\n",
               stats.wall_seconds, stats.gemm_flops * 1e-9, rate);
        best = rate > best ? rate : best;
    }
    printf("reference / dgemm   %8.1f %%\n", 100.0 * best / gemm_gflops);
    ref_model_close(model);
    core_batch_free(&batch);
    core_weights_close(weights);
    return CORE_OK;
}

int main(void)
{
    const int n_threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const double gemm = dgemm_rate(n_threads);
    printf("dgemm 2048^3        %8.1f GFLOP/s on %d threads\n", gemm, n_threads);
    const core_status status = run(n_threads, gemm);
    if (status != CORE_OK)
        fprintf(stderr, "bench_ref: %s\n", core_message());
    return core_status_exit_code(status);
}
