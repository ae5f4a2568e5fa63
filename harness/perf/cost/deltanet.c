/* harness/perf/cost/deltanet.c -- the gated delta rule, split by key heads.
 *
 * Nothing is summed over the tensor group but what the output projection gives.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

static har__split key_heads(const core_spec *spec, const par_layout *lay)
{
    return har__split_tp(lay, spec->deltanet.n_kh);
}

/* Value heads of mine. */
static int64_t n_values(const core_spec *spec, const par_layout *lay)
{
    return key_heads(spec, lay).mine *
           (spec->deltanet.n_vh / spec->deltanet.n_kh);
}

/* n columns, made from xn or through a short vector of `rank`. */
static void put_short(har__walk *w, core_tap_kind short_tap, int64_t rank,
                      core_tap_kind tap, int64_t n, bool has_bias)
{
    const int64_t n_d = w->spec->n_d;
    if (rank > 0)
        har__put(w, har__gemm(w, short_tap, w->n, rank, n_d, false));
    har__put(w, har__gemm(w, tap, w->n, n, rank > 0 ? rank : n_d, has_bias));
}

static void put_projections(har__walk *w, int64_t n_k, int64_t n_v, int64_t n_h)
{
    const core_deltanet *s = &w->spec->deltanet;
    const int64_t n_d = w->spec->n_d;
    har__put(w, har__gemm(w, CORE_TAP_DELTANET_Q, w->n, n_k, n_d, false));
    har__put(w, har__gemm(w, CORE_TAP_DELTANET_K, w->n, n_k, n_d, false));
    har__put(w, har__gemm(w, CORE_TAP_DELTANET_V, w->n, n_v, n_d, false));
    put_short(w, CORE_TAP_DELTANET_GATE_A, s->n_gate_rank,
              CORE_TAP_DELTANET_GATE, n_v, false);
    har__put(w,
             har__gemm(w, CORE_TAP_DELTANET_BETA_RAW, w->n, n_h, n_d, false));
    put_short(w, CORE_TAP_DELTANET_DT_A, s->n_dt_rank, CORE_TAP_DELTANET_DT_RAW,
              n_h * core_deltanet_n_dt(s), true);
}

static void put_convolutions(har__walk *w, int64_t n_k, int64_t n_v)
{
    har__put_convolution(w, CORE_TAP_DELTANET_Q_ACT, CORE_W_DELTANET_Q_CONV,
                         n_k);
    har__put_convolution(w, CORE_TAP_DELTANET_K_ACT, CORE_W_DELTANET_K_CONV,
                         n_k);
    har__put_convolution(w, CORE_TAP_DELTANET_V_ACT, CORE_W_DELTANET_V_CONV,
                         n_v);
}

static void put_scan(har__walk *w, int64_t n_k, int64_t n_v, int64_t n_h)
{
    const int64_t n_dk = w->spec->deltanet.n_dk;
    core_cost cost =
        har__rows(w, CORE_TAP_DELTANET_Y, w->n, n_v,
                  CORE_FLOPS_MATRIX_STATE * n_dk + CORE_FLOPS_SCALE);
    cost.k = n_dk;
    cost.n_head = n_h;
    cost.read = w->n * (n_v + 2 * n_k +
                        n_h * (1 + core_deltanet_n_dt(&w->spec->deltanet)));
    cost.weights = w->n > 0 ? n_h : 0;
    har__put(w, cost);
}

static void put_deltanet(har__walk *w)
{
    const core_deltanet *s = &w->spec->deltanet;
    const int64_t n_g = key_heads(w->spec, w->lay).mine;
    const int64_t n_h = n_values(w->spec, w->lay);
    const int64_t n_k = n_g * s->n_dk, n_v = n_h * s->n_dv;
    w->op = par_operator_name(PAR_OP_DELTANET);
    put_projections(w, n_k, n_v, n_h);
    put_convolutions(w, n_k, n_v);
    har__put(w, har__rms(w, CORE_TAP_DELTANET_Q_NORM, w->n * n_g, s->n_dk, 0));
    har__put(w, har__rms(w, CORE_TAP_DELTANET_K_NORM, w->n * n_g, s->n_dk, 0));
    har__put(w, har__rows(w, CORE_TAP_DELTANET_BETA, w->n, n_h,
                          CORE_FLOPS_FUNCTION));
    har__put(w, har__rows(w, CORE_TAP_DELTANET_DT, w->n,
                          n_h * core_deltanet_n_dt(s), CORE_FLOPS_FUNCTION));
    put_scan(w, n_k, n_v, n_h);
    har__put(w,
             har__rms(w, CORE_TAP_DELTANET_NORM, w->n * n_h, s->n_dv, s->n_dv));
    har__put_gate(w, CORE_TAP_DELTANET_GATED, n_v);
    har__put(w,
             har__gemm(w, CORE_TAP_ATTN_OUT, w->n, w->spec->n_d, n_v, false));
    har__put_sum(w, CORE_TAP_ATTN_OUT, w->spec->n_d, false);
}

/* --- beside its records --- */

static har__split split(const core_spec *spec, const par_layout *lay,
                        core_weight id)
{
    const core_weight_kind kind = id.kind;
    return kind >= CORE_W_DELTANET_Q && kind <= CORE_W_DELTANET_OUT &&
                   kind != CORE_W_DELTANET_NORM &&
                   kind != CORE_W_DELTANET_GATE_A &&
                   kind != CORE_W_DELTANET_DT_A
               ? key_heads(spec, lay)
               : HAR__WHOLE;
}

/* A matrix of each value head, and the last inputs of the convolutions. */
static int64_t state(const core_spec *spec, const par_layout *lay)
{
    const core_deltanet *s = &spec->deltanet;
    const int64_t n_g = key_heads(spec, lay).mine, n_h = n_values(spec, lay);
    return n_h * s->n_dk * s->n_dv +
           (2 * n_g * s->n_dk + n_h * s->n_dv) * (s->n_conv - 1);
}

/* The scan reads and writes its state. */
static void decode(har__step *step, const core_spec *spec, const core_cost *c,
                   int64_t n_key)
{
    (void)n_key;
    if (c->kind != CORE_COST_ELEMENTWISE)
        return;
    if (c->tap.kind == CORE_TAP_DELTANET_Q_ACT ||
        c->tap.kind == CORE_TAP_DELTANET_K_ACT ||
        c->tap.kind == CORE_TAP_DELTANET_V_ACT)
        har__step_convolution(step, c, spec->deltanet.n_conv);
    else if (c->tap.kind == CORE_TAP_DELTANET_Y)
        step->elements +=
            2 * (double)(c->m * c->n) * (double)spec->deltanet.n_dk;
}

/* The chunked form (Yang and others 2024), with its authors' chunks.  Of a token
 * and a value head: k k, q k and the rows of the inverse times k, 2 chunk n_dk
 * each; those times v, and scores times what is left of v, 2 chunk n_dv each;
 * three products with the state, 2 n_dk n_dv each. */
static har__work work(const core_spec *spec, const core_cost *c)
{
    const double chunk = 64, n_dk = (double)spec->deltanet.n_dk,
                 n_dv = (double)spec->deltanet.n_dv;
    const double of_column = chunk * (6 * n_dk / n_dv + 4) + 6 * n_dk;
    return (har__work){c->tap.kind == CORE_TAP_DELTANET_Y
                           ? (double)(c->m * c->n) * of_column
                           : 0,
                       0};
}

static void probe(har_dice *d, core_spec *s)
{
    const int64_t n_kh = har_dice_between(d, 1, 8);
    s->deltanet = (core_deltanet){.n_kh = n_kh,
                                  .n_vh = n_kh * har_dice_between(d, 1, 3),
                                  .n_dk = har_dice_between(d, 8, 64),
                                  .n_dv = har_dice_between(d, 8, 64),
                                  .n_conv = 4,
                                  .by_row = har_dice_one_in(d, 2)};
}

const har__operator har__mixer_deltanet = {.put = put_deltanet,
                                           .split = split,
                                           .state = state,
                                           .decode = decode,
                                           .work = work,
                                           .probe = probe};
