/* ref/context_gate.c -- what attention gives, times sigmoid(xn . g).
 *
 * One score for every element of every head, or for every head: a function of
 * the layer's input and not of what attention found.
 */
#include "ref/ref_impl.h"

static void put_scores(ref__run *run, int layer, double *score, int64_t n)
{
    float *bound = ref__bound_buffer(run, CORE_TAP_CONTEXT_SCORE, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        double *score_t = score + t * n;
        for (int64_t i = 0; i < n; i++)
            score_t[i] = run->draw != NULL ? ref__drawn_sigmoid(score_t[i])
                                           : core_sigmoid(score_t[i]);
        core_store(run->numerics, CORE_GRID_PROB, score_t, n);
        if (bound != NULL)
            ref__bound_relative(run->u, bound + t * n, score_t, n,
                                REF__ROUNDS_SIGMOID);
    }
    ref__put(run, CORE_TAP_CONTEXT_SCORE, layer, score, bound);
}

void ref__context_gate(ref__run *run, int layer, double *context, bool dry)
{
    const core_heads size = core_spec_heads(run->spec, layer);
    const int64_t n = size.n_h * size.n_dv;
    const int64_t shares = run->spec->gate_per_head ? size.n_dv : 1;
    const int64_t n_score = n / shares;
    double *score = core_arena_f64(&run->arena, run->n * n_score);
    if (dry)
        return;
    const ref__rows xn = ref__measure(run, run->xn, run->n, run->spec->n_d);
    ref__linear(run, &xn, CORE_W_CONTEXT_GATE, layer, CORE_TAP_CONTEXT_GATE,
                score);
    put_scores(run, layer, score, n_score);
    float *bound = ref__bound_buffer(run, CORE_TAP_CONTEXT_GATED, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        double *context_t = context + t * n;
        for (int64_t i = 0; i < n; i++)
            context_t[i] *= score[t * n_score + i / shares];
        core_store(run->numerics, CORE_GRID_ACT, context_t, n);
        if (bound != NULL)
            ref__bound_relative(run->u, bound + t * n, context_t, n,
                                REF__ROUNDS_PRODUCT);
    }
    ref__put(run, CORE_TAP_CONTEXT_GATED, layer, context, bound);
}
