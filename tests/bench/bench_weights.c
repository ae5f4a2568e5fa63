/* tests/bench/bench_weights.c -- weights made per second, and made and multiplied.
 *
 * Every set of loops that this processor has, on one core and on all: codes
 * alone, then in products of so many rows with a matrix as wide as a layer of
 * seed-30b.  Nothing is judged.
 */
#include "core/base/clock.h"
#include "core/weights/procedural.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

enum { N_COL = 1024, N_ROW = 256, MOST_X = 64 };
static const double LEAST_SECONDS = 0.5;

/* One thread's share: n_x rows of x, or no product.  Returns weights made. */
static double make(const core__kernels *kernels, int n_x, double until)
{
    static _Thread_local int16_t code[CORE__LANES * N_COL + CORE__SLACK];
    static _Thread_local double x[MOST_X * N_COL], y[MOST_X * N_ROW];
    const int64_t rect[4] = {0, N_ROW, 0, N_COL};
    double n = 0;
    for (uint64_t i = 0; core_seconds(CLOCK_MONOTONIC) < until; i++) {
        const core__stream s = {1, i, N_COL, 0, 0x1p-14};
        if (n_x > 0)
            core__stream_multiply(kernels, &s, rect, x, N_COL, n_x, y, N_ROW);
        for (int r = 0; n_x == 0 && r < N_ROW; r += CORE__LANES)
            kernels->codes(1, i, (uint64_t)(r * N_COL / CORE__LANES), N_COL, 0,
                           code);
        n += N_ROW * N_COL;
    }
    return n;
}

static double rate(const core__kernels *kernels, int n_x, int n_thread)
{
    double n = 0;
    const double begin = core_seconds(CLOCK_MONOTONIC);
#pragma omp parallel num_threads(n_thread) reduction(+ : n)
    n += make(kernels, n_x, begin + LEAST_SECONDS);
    return n / (core_seconds(CLOCK_MONOTONIC) - begin) * 1e-9;
}

int main(void)
{
    static const int ROWS[] = {0, 1, 4, 16, MOST_X};
    const int n_core = omp_get_num_procs();
    for (int k = 0; k < CORE__N_KERNELS; k++) {
        const core__kernels *kernels = core__all_kernels[k];
        if (!kernels->runs())
            continue;
        for (int n_thread = 1; n_thread <= n_core; n_thread += n_core - 1) {
            printf("%-7s %d core%s:", kernels->name, n_thread,
                   n_thread > 1 ? "s" : "");
            for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
                if (ROWS[i] == 0)
                    printf(" made %.2f G/s", rate(kernels, 0, n_thread));
                else
                    printf(", by %d row%s %.2f", ROWS[i],
                           ROWS[i] > 1 ? "s" : "",
                           rate(kernels, ROWS[i], n_thread));
            printf("\n");
            if (n_core == 1)
                break;
        }
    }
    return EXIT_SUCCESS;
}
