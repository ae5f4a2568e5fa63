/* ref/shared_gate.c -- the shared expert's weight: sigmoid(xn . g).
 *
 * One number per token, a function of the token and not of what the expert
 * gave; it multiplies after the expert's sums are complete and stored.
 */
#include "ref/ref_impl.h"

static void put_score(ref__run *run, int layer, double *score)
{
    float *bound = ref__bound_buffer(run, CORE_TAP_SHARED_SCORE, layer);
    for (int64_t t = 0; t < run->n; t++)
        score[t] = run->draw != NULL ? ref__drawn_sigmoid(score[t])
                                     : core_sigmoid(score[t]);
    core_store(core_tap_numerics(run->numerics, CORE_TAP_SHARED_SCORE),
               CORE_GRID_PROB, score, run->n);
    if (bound != NULL)
        ref__bound_relative(ref__u(run, CORE_TAP_SHARED_SCORE), bound, score,
                            run->n, REF__ROUNDS_SIGMOID);
    ref__put(run, CORE_TAP_SHARED_SCORE, layer, score, bound);
}

void ref__shared_gate(ref__run *run, int layer, double *out, bool dry)
{
    const int64_t n_d = run->spec->n_d;
    double *score = core_arena_f64(&run->arena, run->n);
    if (dry)
        return;
    const ref__rows xn =
        ref__measure_as(run, CORE_SLOT_ROUTER, run->xn, run->n, n_d);
    ref__linear(run, &xn, CORE_W_SHARED_GATE, layer, CORE_TAP_SHARED_LOGIT,
                score);
    put_score(run, layer, score);
    float *bound = ref__bound_buffer(run, CORE_TAP_SHARED_WEIGHTED, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        double *out_t = out + t * n_d;
        for (int64_t d = 0; d < n_d; d++) /* exact before it is stored */
            out_t[d] *= score[t];
        core_store(run->numerics, CORE_GRID_ACT, out_t, n_d);
        if (bound != NULL)
            ref__bound_relative(run->u, bound + t * n_d, out_t, n_d,
                                REF__ROUNDS_PRODUCT);
    }
    ref__put(run, CORE_TAP_SHARED_WEIGHTED, layer, out, bound);
}
