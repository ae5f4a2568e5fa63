/* harness/perf/cost/mlp.c -- the dense MLP of a layer, or that of its shared
 * expert: behind the experts, or beside their rows' way.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

bool har__runs_beside(const har__walk *w)
{
    return (w->lay->plan.overlap & PAR_OVERLAP_SHARED) != 0;
}

void har__put_mlp(har__walk *w)
{
    const int64_t n_f = core_spec_n_mlp(w->spec, w->layer);
    if (n_f == 0)
        return;
    const int64_t n_d = w->spec->n_d, mine = har__split_tp(w->lay, n_f).mine;
    w->op = par_operator_name(PAR_OP_MLP);
    if (w->spec->gated)
        har__put(w, har__gemm(w, CORE_TAP_MLP_GATE, w->n, mine, n_d,
                              har__has_weight(w, CORE_W_MLP_GATE_BIAS)));
    har__put(w, har__gemm(w, CORE_TAP_MLP_UP, w->n, mine, n_d,
                          har__has_weight(w, CORE_W_MLP_UP_BIAS)));
    har__put_activation(w, CORE_TAP_MLP_ACT, w->n, mine);
    har__put(w, har__gemm(w, CORE_TAP_MLP_OUT, w->n, n_d, mine, false));
    har__put_sum(w, CORE_TAP_MLP_OUT, n_d,
                 har__has_weight(w, CORE_W_MLP_DOWN_BIAS));
    const int shared = core_spec_shared(w->spec, w->layer);
    if (shared < CORE_N_SHARED)
        har__shared_row[shared]->put(w);
}
