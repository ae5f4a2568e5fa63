/* ref/grad/back_ffn.c -- back through down(act(up x)), or down(act(gate x) * up
 * x).
 *
 * One text for the dense MLP, the shared expert and an expert's rows.
 */
#include "ref/grad/grad_impl.h"

#include <string.h>

void ref__back_activation(const ref__back *b, const double *gate,
                          const double *up, const double *da, int64_t n,
                          double *dgate, double *dup)
{
    const core_act act = b->spec->act;
    for (int64_t i = 0; gate == NULL && i < n; i++)
        dup[i] = da[i] * core_act_slope(act, up[i]);
    for (int64_t i = 0; gate != NULL && i < n; i++) {
        dup[i] = da[i] * core_act_apply(act, gate[i]);
        dgate[i] = (da[i] * up[i]) * core_act_slope(act, gate[i]);
    }
    core_grad_store(b->numerics, dup, n);
    if (gate != NULL)
        core_grad_store(b->numerics, dgate, n);
}

void ref__back_mlp(ref__back *b, int layer, const double *dy, ref__sum *sum,
                   double *dxn)
{
    const core_weight gate = {CORE_W_MLP_GATE, layer, 0};
    const core_weight up = {CORE_W_MLP_UP, layer, 0};
    const core_weight down = {CORE_W_MLP_DOWN, layer, 0};
    const double *xn = ref__taped(b, CORE_TAP_FFN_NORM, layer);
    const int64_t n_f = core_spec_n_mlp(b->spec, layer), n = b->n * n_f;
    const bool gated = b->spec->gated;
    double *da = ref__grad_room(b, CORE_TAP_MLP_ACT, layer);
    double *dup = ref__grad_room(b, CORE_TAP_MLP_UP, layer);
    double *dgate = gated ? ref__grad_room(b, CORE_TAP_MLP_GATE, layer) : NULL;
    ref__sum of_act = ref__no_sum();
    ref__back_input(b, &of_act, down, dy, b->n, da);
    ref__finish(b, &of_act, core_grad_of_tap(CORE_TAP_MLP_ACT, layer), da, n);
    ref__back_whole_weight(b, down, dy, ref__taped(b, CORE_TAP_MLP_ACT, layer),
                           b->n);
    ref__back_activation(
        b, gated ? ref__taped(b, CORE_TAP_MLP_GATE, layer) : NULL,
        ref__taped(b, CORE_TAP_MLP_UP, layer), da, n, dgate, dup);
    ref__back_input(b, sum, up, dup, b->n, dxn);
    ref__back_whole_weight(b, up, dup, xn, b->n);
    if (!gated)
        return;
    ref__back_input(b, sum, gate, dgate, b->n, dxn);
    ref__back_whole_weight(b, gate, dgate, xn, b->n);
}
