/* harness/perf/cost/hyper.c -- hyper-connections: every rank of a tensor group
 * repeats them, and stages hand on all streams.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

static const struct {
    core_tap_kind score, weight, sum;
} AROUND[] = {
    [HAR__MIXER_PART] = {CORE_TAP_ATTN_MIX, CORE_TAP_ATTN_STREAMS,
                         CORE_TAP_ATTN_IN},
    [HAR__FFN_PART] = {CORE_TAP_FFN_MIX, CORE_TAP_FFN_STREAMS, CORE_TAP_FFN_IN},
    [HAR__HEAD_PART] = {CORE_TAP_HEAD_MIX, CORE_TAP_HEAD_STREAMS,
                        CORE_TAP_HEAD_IN},
};

static void put_enter(har__walk *w, har__part part)
{
    const int64_t n_s = w->spec->hyper.n, n_d = w->spec->n_d;
    const int64_t n_x = n_s * n_d, n = w->n_s;
    const int64_t n_w = part == HAR__HEAD_PART ? n_s : n_s * (2 + n_s);
    w->op = par_operator_name(PAR_OP_HYPER);
    core_cost cost = har__gemm(w, AROUND[part].score, n, n_w, n_x, false);
    cost.flops += n * (CORE_FLOPS_SQUARES * n_x + CORE_FLOPS_SCALE * n_w);
    har__put(w, cost);
    cost = har__rows(w, AROUND[part].weight, n, n_w, CORE_FLOPS_FUNCTION);
    cost.weights =
        n > 0 ? n_w + (part == HAR__HEAD_PART ? 1 : CORE_HYPER_SCALES) : 0;
    har__put(w, cost);
    cost =
        har__rows(w, AROUND[part].sum, n, n_d, n_s * CORE_FLOPS_MULTIPLY_ADD);
    cost.read = n * (n_x + n_s);
    har__put(w, cost);
}

static void put_leave(har__walk *w, core_tap_kind tap)
{
    const int64_t n_s = w->spec->hyper.n, n_d = w->spec->n_d;
    w->op = par_operator_name(PAR_OP_HYPER);
    core_cost cost = har__rows(w, tap, w->n_s, n_s * n_d,
                               (n_s + 1) * CORE_FLOPS_MULTIPLY_ADD);
    cost.read += w->n_s * (n_d + n_s + n_s * n_s);
    har__put(w, cost);
}

static void probe(har_dice *d, core_spec *s)
{
    s->hyper.n = har_dice_between(d, 2, 4);
    s->hyper.n_round = har_dice_between(d, 1, 4);
    s->hyper.eps = 1e-6;
}

const har__connection har__connection_hyper = {put_enter, put_leave, probe};
