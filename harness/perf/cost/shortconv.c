/* harness/perf/cost/shortconv.c -- the gated convolution, split by channels. */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

static void put_gate(har__walk *w, core_tap_kind tap, int64_t n_c)
{
    core_cost cost = har__rows(w, tap, w->n, n_c, CORE_FLOPS_SCALE);
    cost.read += w->n * n_c;
    har__put(w, cost);
}

static void put_shortconv(har__walk *w)
{
    static const core_tap_kind IN[] = {
        CORE_TAP_SHORTCONV_B, CORE_TAP_SHORTCONV_C, CORE_TAP_SHORTCONV_X};
    const int64_t n_d = w->spec->n_d;
    const int64_t n_c = har__split_tp(w->lay, n_d).mine;
    const bool has_bias = w->spec->shortconv.bias;
    w->op = par_operator_name(PAR_OP_SHORTCONV);
    for (int i = 0; i < 3; i++)
        har__put(w, har__gemm(w, IN[i], w->n, n_c, n_d, has_bias));
    put_gate(w, CORE_TAP_SHORTCONV_BX, n_c);
    har__put_convolution_only(w, CORE_TAP_SHORTCONV_CONV, CORE_W_SHORTCONV_CONV,
                              n_c);
    put_gate(w, CORE_TAP_SHORTCONV_GATED, n_c);
    har__put(w, har__gemm(w, CORE_TAP_ATTN_OUT, w->n, n_d, n_c, false));
    har__put_sum(w, CORE_TAP_ATTN_OUT, n_d, has_bias);
}

/* --- beside its records --- */

static har__split split(const core_spec *spec, const par_layout *lay,
                        core_weight id)
{
    return id.kind >= CORE_W_SHORTCONV_B && id.kind <= CORE_W_SHORTCONV_OUT
               ? har__split_tp(lay, spec->n_d)
               : HAR__WHOLE;
}

/* The last inputs of the convolution. */
static int64_t state(const core_spec *spec, const par_layout *lay)
{
    return har__split_tp(lay, spec->n_d).mine * (spec->shortconv.n_conv - 1);
}

static void decode(har__step *step, const core_spec *spec, const core_cost *c,
                   int64_t n_key)
{
    (void)n_key;
    if (c->kind == CORE_COST_ELEMENTWISE &&
        c->tap.kind == CORE_TAP_SHORTCONV_CONV)
        har__step_convolution(step, c, spec->shortconv.n_conv);
}

static void probe(har_dice *d, core_spec *s)
{
    s->shortconv =
        (core_shortconv){.n_conv = 3, .bias = har_dice_between(d, 0, 1) == 1};
}

const har__operator har__mixer_shortconv = {.put = put_shortconv,
                                            .split = split,
                                            .state = state,
                                            .decode = decode,
                                            .probe = probe};
