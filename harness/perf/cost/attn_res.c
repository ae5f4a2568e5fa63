/* harness/perf/cost/attn_res.c -- attention residuals: every rank of a tensor
 * group repeats them, and stages hand on all sums.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

static const struct {
    core_tap_kind score, weight, read;
} PLACE[] = {
    [HAR__MIXER_PART] = {CORE_TAP_ATTN_LOOK, CORE_TAP_ATTN_BACK,
                         CORE_TAP_ATTN_READ},
    [HAR__FFN_PART] = {CORE_TAP_FFN_LOOK, CORE_TAP_FFN_BACK, CORE_TAP_FFN_READ},
    [HAR__HEAD_PART] = {CORE_TAP_HEAD_LOOK, CORE_TAP_HEAD_BACK,
                        CORE_TAP_HEAD_READ},
};

static void put_enter(har__walk *w, har__part part)
{
    const core_attn_res *r = &w->spec->attn_res;
    const int64_t n_layer = part == HAR__MIXER_PART ? w->layer
                            : part == HAR__FFN_PART ? w->layer + 1
                                                    : w->spec->n_l;
    const int64_t n_d = w->spec->n_d, n = w->n_s;
    const int64_t n_sum = 1 + core_attn_res_begun(r, n_layer);
    if (n_sum == 1)
        return;
    w->op = par_operator_name(PAR_OP_ATTN_RES);
    core_cost cost =
        har__rows(w, PLACE[part].score, n, n_sum,
                  n_d * (CORE_FLOPS_SQUARES + CORE_FLOPS_MULTIPLY_ADD) +
                      CORE_FLOPS_SCALE);
    cost.read = n * n_sum * n_d;
    cost.weights = n > 0 ? 2 * n_d : 0;
    har__put(w, cost);
    har__put(w, har__rows(w, PLACE[part].weight, n, n_sum, CORE_FLOPS_SOFTMAX));
    cost =
        har__rows(w, PLACE[part].read, n, n_d, n_sum * CORE_FLOPS_MULTIPLY_ADD);
    cost.read = n * n_sum * (n_d + 1);
    har__put(w, cost);
}

static void put_leave(har__walk *w, core_tap_kind tap)
{
    const int64_t n_d = w->spec->n_d;
    w->op = par_operator_name(PAR_OP_ATTN_RES);
    core_cost cost = har__rows(w, tap, w->n_s, n_d, CORE_FLOPS_ADD);
    cost.read += w->n_s * n_d;
    har__put(w, cost);
}

static void probe(har_dice *d, core_spec *s)
{
    s->attn_res.n_block = har_dice_between(d, 1, 4);
}

const har__connection har__connection_attn_res = {put_enter, put_leave, probe};
