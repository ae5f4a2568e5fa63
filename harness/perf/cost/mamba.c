/* harness/perf/cost/mamba.c -- the mamba mixer, split by channels.
 *
 * Convolution, time step and state are a channel's own; what every rank makes
 * whole is z, the input of time step, B and C.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

static void put_part(har__walk *w, core_tap_kind tap, int64_t n_col)
{
    har__put(w, har__rms(w, tap, w->n, n_col, n_col));
}

static void put_step(har__walk *w, int64_t n_c)
{
    const core_mamba *mamba = &w->spec->mamba;
    const int64_t n_z = mamba->n_r + 2 * mamba->n_s;
    har__put(w, har__gemm(w, CORE_TAP_MAMBA_X, w->n, n_z, n_c, false));
    har__put_all_reduce(w, CORE_TAP_MAMBA_X, w->n * n_z);
    put_part(w, CORE_TAP_MAMBA_DT_NORM, mamba->n_r);
    put_part(w, CORE_TAP_MAMBA_B, mamba->n_s);
    put_part(w, CORE_TAP_MAMBA_C, mamba->n_s);
    har__put(w, har__gemm(w, CORE_TAP_MAMBA_DT_RAW, w->n, n_c, mamba->n_r,
                          har__has_weight(w, CORE_W_MAMBA_DT_BIAS)));
    har__put(w,
             har__rows(w, CORE_TAP_MAMBA_DT, w->n, n_c, CORE_FLOPS_FUNCTION));
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
    har__put(w, cost);
}

static void put_mamba(har__walk *w)
{
    const int64_t n_c = har__split_tp(w->lay, w->spec->mamba.n_c).mine;
    const int64_t n_d = w->spec->n_d;
    const bool has_bias = w->spec->mamba.bias_proj;
    w->op = par_operator_name(PAR_OP_MAMBA);
    har__put(w, har__gemm(w, CORE_TAP_MAMBA_U, w->n, n_c, n_d, has_bias));
    har__put(w, har__gemm(w, CORE_TAP_MAMBA_GATE, w->n, n_c, n_d, has_bias));
    har__put_convolution(w, CORE_TAP_MAMBA_ACT, CORE_W_MAMBA_CONV, n_c);
    put_step(w, n_c);
    put_scan(w, n_c);
    har__put_gate(w, CORE_TAP_MAMBA_GATED, n_c);
    har__put(w, har__gemm(w, CORE_TAP_ATTN_OUT, w->n, n_d, n_c, false));
    har__put_sum(w, CORE_TAP_ATTN_OUT, n_d, has_bias);
}

/* --- beside its records --- */

static har__split split(const core_spec *spec, const par_layout *lay,
                        core_weight id)
{
    const core_weight_kind kind = id.kind;
    const bool is_norm = kind == CORE_W_MAMBA_DT_NORM ||
                         kind == CORE_W_MAMBA_B_NORM ||
                         kind == CORE_W_MAMBA_C_NORM;
    return kind >= CORE_W_MAMBA_U && kind <= CORE_W_MAMBA_OUT && !is_norm
               ? har__split_tp(lay, spec->mamba.n_c)
               : HAR__WHOLE;
}

static int64_t state(const core_spec *spec, const par_layout *lay)
{
    return har__split_tp(lay, spec->mamba.n_c).mine *
           (spec->mamba.n_s + spec->mamba.n_conv - 1);
}

/* The scan reads and writes its state. */
static void decode(har__step *step, const core_spec *spec, const core_cost *c,
                   int64_t n_key)
{
    (void)n_key;
    if (c->kind != CORE_COST_ELEMENTWISE)
        return;
    if (c->tap.kind == CORE_TAP_MAMBA_ACT)
        har__step_convolution(step, c, spec->mamba.n_conv);
    else if (c->tap.kind == CORE_TAP_MAMBA_Y)
        step->elements +=
            2 * (double)(c->m * c->n) * (double)spec->mamba.n_s;
}

/* A channel has decays of its own for every state: nothing becomes a product. */
static har__work work(const core_spec *spec, const core_cost *c)
{
    (void)spec;
    return (har__work){
        0, c->tap.kind == CORE_TAP_MAMBA_Y ? (double)c->flops : 0};
}

static void probe(har_dice *d, core_spec *s)
{
    s->mamba = (core_mamba){.n_c = har_dice_between(d, 16, 512),
                            .n_s = har_dice_between(d, 4, 16),
                            .n_conv = 4,
                            .n_r = har_dice_between(d, 4, 32),
                            .bias_conv = true};
}

const har__operator har__mixer_mamba = {.put = put_mamba,
                                        .split = split,
                                        .state = state,
                                        .decode = decode,
                                        .work = work,
                                        .probe = probe};
