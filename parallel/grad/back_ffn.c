/* parallel/grad/back_ffn.c -- back through the tensor-parallel MLP.
 *
 * The output's gradient is whole on every rank, each makes the inner gradients
 * of its own columns, and its part of the input's: Partial over tp.
 */
#include "parallel/grad/grad_impl.h"

void par__g_activation(const core_spec *spec, const double *gate,
                       const double *up, const double *da, int64_t n,
                       double *dgate, double *dup)
{
    for (int64_t i = 0; i < n; i++) {
        if (!spec->gated) {
            dup[i] = da[i] * core_act_slope(spec->act, up[i]);
            continue;
        }
        const double to_gate = da[i] * up[i];
        dgate[i] = to_gate * core_act_slope(spec->act, gate[i]);
        dup[i] = da[i] * core_act_apply(spec->act, gate[i]);
    }
    core_grad_store(CORE_EXACT, dup, n);
    if (spec->gated)
        core_grad_store(CORE_EXACT, dgate, n);
}

void par__g_mlp(par__back *b, int layer, const double *dout, double *dxn,
                par__terms *terms)
{
    par__param *up = par__param_of(b, CORE_W_MLP_UP, layer, 0);
    par__param *down = par__param_of(b, CORE_W_MLP_DOWN, layer, 0);
    const bool gated = b->spec->gated;
    const int64_t n = b->n * up->n_row;
    const double *xn = par__g_tap(b, CORE_TAP_FFN_NORM, layer);
    double *da = par__g_zeros(b, PAR__G_ACT, n);
    double *dgate = par__g_room(b, PAR__G_GATE, gated ? n : 0);
    double *dup = par__g_room(b, PAR__G_UP, n);
    par__terms of_act = {0};
    par__g_input(&of_act, down, dout, b->n, da);
    par__g_store(b, &of_act, 1, core_grad_of_tap(CORE_TAP_MLP_ACT, layer), da,
                 n);
    par__g_show_columns(b, CORE_TAP_MLP_ACT, layer, da);
    par__g_weight(b, down, dout, par__g_tap(b, CORE_TAP_MLP_ACT, layer), b->n);
    par__g_activation(b->spec,
                      gated ? par__g_tap(b, CORE_TAP_MLP_GATE, layer) : NULL,
                      par__g_tap(b, CORE_TAP_MLP_UP, layer), da, n, dgate, dup);
    if (gated) {
        par__param *gate = par__param_of(b, CORE_W_MLP_GATE, layer, 0);
        par__g_show_columns(b, CORE_TAP_MLP_GATE, layer, dgate);
        par__g_weight(b, gate, dgate, xn, b->n);
        par__g_input(terms, gate, dgate, b->n, dxn);
    }
    par__g_show_columns(b, CORE_TAP_MLP_UP, layer, dup);
    par__g_weight(b, up, dup, xn, b->n);
    par__g_input(terms, up, dup, b->n, dxn);
}
