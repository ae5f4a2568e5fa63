/* harness/perf/cost/shared_gate.c -- a shared expert times the sigmoid of one
 * more logit.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

static void put_score(har__walk *w)
{
    const int64_t n_d = w->spec->n_d;
    har__put(w, har__gemm(w, CORE_TAP_SHARED_LOGIT, w->n_s, 1, n_d, false));
    core_cost cost =
        har__rows(w, CORE_TAP_SHARED_WEIGHTED, w->n_s, n_d, CORE_FLOPS_SCALE);
    cost.flops += w->n_s * CORE_FLOPS_FUNCTION;
    cost.read += w->n_s;
    cost.written += w->n_s;
    har__put(w, cost);
}

static void probe(har_dice *d, core_spec *s)
{
    (void)d;
    s->shared_gate = true;
}

const har__operator har__shared_shared_gate = {.put = put_score,
                                               .probe = probe};
