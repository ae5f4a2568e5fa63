/* tests/bench/bench_mixers.c [THREADS] -- tokens per second of each mixer in
 * the reference.
 *
 * Layers of a mixer alone, hidden 1024, a row of 512 tokens, fp64, weights
 * resident; the mixers in turn, medians of the rounds, each against the
 * attention of its round: by the clock, by processor time, and as it would be
 * if only products took time.  A state space of 32 heads of 64 channels and 128
 * states in 8 groups is what Nemotron-H has at this width, 14 heads whose rows
 * decay one by one what Kimi-Linear has.  Not a test: it judges nothing.
 */
#include "ref/ref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The mixers, and the delta net by rows behind them. */
enum {
    N_LAYER = 4,
    N_TOKEN = 512,
    N_ROUND = 7,
    BY_ROW = CORE_N_MIXERS,
    N_CASE
};

static core_spec of_case(int i)
{
    const core_mixer mixer = i == BY_ROW ? CORE_MIXER_DELTANET : (core_mixer)i;
    core_spec s;
    if (core_spec_open(&s, "seed-mini", NULL) != CORE_OK)
        abort();
    snprintf(s.name, sizeof s.name, "%s",
             i == BY_ROW ? "by row" : core_mixer_name(mixer));
    s.n_l = N_LAYER;
    s.n_d = 1024;
    s.n_h = s.n_g = 16;
    s.n_dh = 64;
    s.n_v = 16;
    memset(s.ffn, CORE_FFN_NONE, sizeof s.ffn);
    memset(s.mixer, (int)mixer, sizeof s.mixer);
    s.mamba = (core_mamba){.n_c = 2048, .n_s = 16, .n_conv = 4, .n_r = 64};
    s.ssd = (core_ssd){.n_h = 32, .n_p = 64, .n_s = 128, .n_g = 8, .n_conv = 4};
    s.deltanet = (core_deltanet){
        .n_kh = 8, .n_vh = 16, .n_dk = 128, .n_dv = 128, .n_conv = 4};
    if (i == BY_ROW)
        s.deltanet = (core_deltanet){.n_kh = 14,
                                     .n_vh = 14,
                                     .n_dk = 128,
                                     .n_dv = 128,
                                     .n_conv = 4,
                                     .n_dt_rank = 128,
                                     .n_gate_rank = 128,
                                     .by_row = true,
                                     .sigmoid_gate = true};
    s.shortconv.n_conv = 3;
    return s;
}

typedef struct bench {
    core_spec spec;
    core_weights *weights;
    core_batch batch;
    ref_model *model;
    double seconds[N_ROUND], cpu[N_ROUND];
    double gflop;
} bench;

static core_status open_bench(bench *b, int i, int n_threads)
{
    const ref_options options = {.n_threads = n_threads,
                                 .weight_budget_bytes = (size_t)2 << 30};
    b->spec = of_case(i);
    CORE_TRY(core_spec_validate(&b->spec));
    CORE_TRY(core_weights_open_procedural(&b->weights, &b->spec, 1));
    CORE_TRY(core_weights_prepare(b->weights, CORE_FP64, NULL));
    CORE_TRY(core_batch_make(&b->batch, &b->spec, 1, N_TOKEN, 2));
    return ref_model_open(&b->model, &b->spec, b->weights, CORE_FP64, &options);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x)
{
    qsort(x, N_ROUND, sizeof *x, by_value);
    return x[N_ROUND / 2];
}

/* Of attention's, round by round. */
static double of_attention(const double *attention, const double *x)
{
    double ratio[N_ROUND];
    for (int i = 0; i < N_ROUND; i++)
        ratio[i] = attention[i] / x[i];
    return median(ratio);
}

static void print(bench *b)
{
    const bench *attention = &b[CORE_MIXER_ATTENTION];
    double clock[N_CASE], cpu[N_CASE];
    for (int k = 0; k < (int)N_CASE; k++) {
        clock[k] = of_attention(attention->seconds, b[k].seconds);
        cpu[k] = of_attention(attention->cpu, b[k].cpu);
    }
    for (int k = 0; k < (int)N_CASE; k++)
        printf("%-10s %6.0f tokens/s of a layer; of attention's %.2f by the "
               "clock, %.2f by processor time, %.2f by GFLOP of products\n",
               b[k].spec.name, N_LAYER * N_TOKEN / median(b[k].seconds),
               clock[k], cpu[k], b[CORE_MIXER_ATTENTION].gflop / b[k].gflop);
}

static core_status run(int n_threads)
{
    static bench b[N_CASE];
    for (int k = 0; k < (int)N_CASE; k++)
        CORE_TRY(open_bench(&b[k], k, n_threads));
    for (int i = 0; i < N_ROUND; i++)
        for (int k = 0; k < (int)N_CASE; k++) {
            ref_stats stats;
            CORE_TRY(ref_forward(b[k].model, &b[k].batch, NULL, NULL, &stats));
            b[k].seconds[i] = stats.wall_seconds;
            b[k].cpu[i] = stats.cpu_seconds;
            b[k].gflop = stats.gemm_flops * 1e-9;
        }
    print(b);
    return CORE_OK;
}

int main(int argc, char **argv)
{
    const int n_threads =
        argc > 1 ? atoi(argv[1]) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    const core_status status = run(n_threads);
    if (status != CORE_OK)
        fprintf(stderr, "bench_mixers: %s\n", core_message());
    return core_status_exit_code(status);
}
