/* harness/perf/cost/mamba.c -- the mamba mixer, split by channels.
 *
 * Convolution, time step and state are a channel's own; what every rank makes
 * whole is z, the input of time step, B and C.
 */
#include "harness/perf/cost/impl.h"

/* Products of the convolution for one channel along one row. */
static int64_t n_taps(int64_t n_t, int64_t n_conv)
{
    const int64_t n_short = n_t < n_conv ? n_t : n_conv - 1;
    return n_short * (n_short + 1) / 2 + (n_t - n_short) * n_conv;
}

static void put_convolution(har__walk *w, int64_t n_c)
{
    const core_mamba *mamba = &w->spec->mamba;
    core_cost cost =
        har__rows(w, CORE_TAP_MAMBA_ACT, w->n, n_c, CORE_FLOPS_FUNCTION);
    cost.flops += CORE_FLOPS_MULTIPLY_ADD * n_c * w->n_row *
                  n_taps(w->request->batch->n_t, mamba->n_conv);
    cost.weights = w->n > 0 ? n_c * mamba->n_conv : 0;
    if (mamba->bias_conv) {
        cost.flops += w->n * n_c * CORE_FLOPS_ADD;
        cost.weights += w->n > 0 ? n_c : 0;
    }
    har__put(w, &cost);
}

static void put_part(har__walk *w, core_tap_kind tap, int64_t n_col)
{
    const core_cost cost = har__rms(w, tap, w->n, n_col, n_col);
    har__put(w, &cost);
}

static void put_step(har__walk *w, int64_t n_c)
{
    const core_mamba *mamba = &w->spec->mamba;
    const int64_t n_z = mamba->n_r + 2 * mamba->n_s;
    har__put_gemm(w, CORE_TAP_MAMBA_X, w->n, n_z, n_c, false);
    har__put_all_reduce(w, CORE_TAP_MAMBA_X, w->n * n_z);
    put_part(w, CORE_TAP_MAMBA_DT_NORM, mamba->n_r);
    put_part(w, CORE_TAP_MAMBA_B, mamba->n_s);
    put_part(w, CORE_TAP_MAMBA_C, mamba->n_s);
    har__put_gemm(w, CORE_TAP_MAMBA_DT_RAW, w->n, n_c, mamba->n_r,
                  har__has_weight(w, CORE_W_MAMBA_DT_BIAS));
    har__put_rows(w, CORE_TAP_MAMBA_DT, w->n, n_c, CORE_FLOPS_FUNCTION);
}

static void put_scan(har__walk *w, int64_t n_c)
{
    const int64_t n_s = w->spec->mamba.n_s;
    core_cost cost =
        har__rows(w, CORE_TAP_MAMBA_Y, w->n, n_c,
                  n_s * CORE_FLOPS_STATE + CORE_FLOPS_MULTIPLY_ADD);
    cost.k = n_s;
    cost.read = 2 * w->n * (n_c + n_s);
    cost.weights = w->n > 0 ? n_c * (n_s + 1) : 0;
    har__put(w, &cost);
}

void har__put_mamba(har__walk *w)
{
    const int64_t n = w->spec->mamba.n_c, tp = w->lay->plan.tp;
    const int64_t n_c = core_split_first(n, tp, w->lay->t + 1) -
                        core_split_first(n, tp, w->lay->t);
    const int64_t n_d = w->spec->n_d;
    const bool has_bias = w->spec->mamba.bias_proj;
    w->op = par_operator_name(PAR_OP_MAMBA);
    har__put_gemm(w, CORE_TAP_MAMBA_U, w->n, n_c, n_d, has_bias);
    har__put_gemm(w, CORE_TAP_MAMBA_GATE, w->n, n_c, n_d, has_bias);
    put_convolution(w, n_c);
    put_step(w, n_c);
    put_scan(w, n_c);
    core_cost gate = har__rows(w, CORE_TAP_MAMBA_GATED, w->n, n_c,
                               CORE_FLOPS_FUNCTION + CORE_FLOPS_SCALE);
    gate.read *= 2;
    har__put(w, &gate);
    har__put_gemm(w, CORE_TAP_ATTN_OUT, w->n, n_d, n_c, false);
    har__put_sum(w, CORE_TAP_ATTN_OUT, n_d, has_bias);
}
