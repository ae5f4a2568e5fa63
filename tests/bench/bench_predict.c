/* tests/bench/bench_predict.c -- predictions per second, by one thread.
 *
 * Legal plans of seed-30b on 16 to 128 GPUs, one after the other with one
 * predictor, as a search asks, again and again.  Nothing is judged.
 */
#include "core/base/clock.h"
#include "harness/perf/predict/predict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLAN = 512, N_B = 256, N_T = 256 };
static const double LEAST_SECONDS = 2;

/* Plans whose degrees are powers of two. */
static int list_plans(par_plan *plan, const core_spec *spec)
{
    int n = 0;
    for (int world = 16; world <= 128; world *= 2)
        for (int tp = 1; tp <= 8; tp *= 2)
            for (int pp = 1; pp <= 8; pp *= 2)
                for (int scope = 0; scope < 2; scope++) {
                    char text[128];
                    const int dp = world / tp / pp;
                    if (dp < 1 || n == MAX_PLAN)
                        continue;
                    const int n_scope = scope == 0 ? dp * tp : pp * tp;
                    snprintf(text, sizeof text,
                             "tp=%d,pp=%d,dp=%d,ep=%d,mb=4,scope=%s", tp, pp,
                             dp, n_scope < 64 ? n_scope : 64,
                             scope == 0 ? "stage" : "replica");
                    if (par_plan_parse(&plan[n], text) == CORE_OK &&
                        par_plan_check(&plan[n], spec) == CORE_OK &&
                        par_plan_check_batch(&plan[n], spec, N_B) == CORE_OK)
                        n++;
                    core_message_clear();
                }
    return n;
}

static void measure(const char *name, har_predictor *p, har_predict_case *what,
                    const par_plan *plan, int n_plan)
{
    static har_prediction out;
    const double begin = core_seconds(CLOCK_THREAD_CPUTIME_ID);
    double seconds = 0, first = 0; /* of all plans once */
    int n = 0;
    for (int i = 0; seconds < LEAST_SECONDS; i = (i + 1) % n_plan) {
        what->plan = &plan[i];
        if (har_predict(p, what, &out) != CORE_OK) {
            fprintf(stderr, "bench_predict: %s\n", core_message());
            exit(1);
        }
        n++;
        seconds = core_seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
        if (n == n_plan)
            first = seconds;
    }
    printf("%-36s %8.0f predictions/s, %.0f of plans not asked for before\n",
           name, n / seconds, n_plan / first);
}

/* bench_predict [LINE]: one line only. */
int main(int argc, char **argv)
{
    static const char *const names[] = {
        "expected, with intervals", "expected, without",
        "drawn, all ranks, with intervals", "drawn, all ranks, without"};
    const int only = argc > 1 ? atoi(argv[1]) : -1;
    static par_plan plan[MAX_PLAN];
    static core_spec spec;
    static har_machine machine;
    static har_demand drawn, expected;
    har_predictor *p;
    if (core_spec_open(&spec, "seed-30b", NULL) != CORE_OK ||
        har_machine_open(&machine, "gpu-400t-64g") != CORE_OK ||
        har_demand_parse(&drawn, "zipf:0.5", (int)spec.n_e) != CORE_OK ||
        har_predictor_make(&p, &machine) != CORE_OK) {
        fprintf(stderr, "bench_predict: %s\n", core_message());
        return 1;
    }
    expected = drawn;
    expected.is_drawn = false;
    const int n = list_plans(plan, &spec);
    har_predict_case what = {.spec = &spec,
                             .n_b = N_B,
                             .n_t = N_T,
                             .types.dtype = CORE_DTYPE_F16,
                             .overlap = HAR_OVERLAP_PIPELINE,
                             .demand = &expected};
    printf("%d plans of %s\n", n, spec.name);
    for (int i = 0; i < 4; i++) {
        what.no_interval = i % 2 == 1;
        what.all_ranks = i >= 2;
        what.demand = i >= 2 ? &drawn : &expected;
        if (only < 0 || only == i)
            measure(names[i], p, &what, plan, n);
    }
    har_predictor_free(p);
    return 0;
}
