/* harness/perf/cost/picker.c -- which digests the queries attend to: every one
 * is scored, with all heads of the picker, on every rank of a tensor group.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

/* Of a query and a digest. */
static int64_t flops_of_pair(const core_spec *spec)
{
    return spec->digests.n_ph * (spec->digests.n_pd + 1) *
           CORE_FLOPS_MULTIPLY_ADD;
}

static void put_picker(har__walk *w)
{
    static const har__digest_taps taps = {CORE_TAP_PICK_KV, CORE_TAP_PICK_GATE,
                                          CORE_TAP_PICK, CORE_TAP_PICK_NORM,
                                          CORE_TAP_PICK_ROPE};
    const core_spec *spec = w->spec;
    const core_digests *d = &spec->digests;
    w->op = par_operator_name(PAR_OP_PICKER);
    har__put(w, har__gemm(w, CORE_TAP_PICK_Q, w->n, d->n_ph * d->n_pd,
                          spec->n_q_rank, false));
    har__put(w, har__rotation(w, CORE_TAP_PICK_Q_ROPE, d->n_ph));
    har__put_digests(w, &taps, d->n_pd);
    har__put(
        w, har__gemm(w, CORE_TAP_PICK_WEIGHT, w->n, d->n_ph, spec->n_d, false));
    core_cost cost = har__rows(w, CORE_TAP_EDGE, w->n, d->n_ph * d->n_pd, 0);
    cost.written = 2 * w->n;
    for (int64_t i = 0; i < w->request->batch->n_t; i++)
        cost.flops += w->n_row * ((i + 1) / d->n_best) * flops_of_pair(spec);
    har__put(w, cost);
}

static int64_t kept(const core_spec *spec, int layer, int64_t n_kv_head)
{
    (void)n_kv_head;
    return har__digest_kept(spec, layer, spec->digests.n_pd);
}

/* n_key: digests. */
static void decode(har__step *step, const core_spec *spec, const core_cost *c,
                   int64_t n_key)
{
    const core_digests *d = &spec->digests;
    if (c->tap.kind != CORE_TAP_EDGE)
        return;
    step->flops = (double)c->m * (double)n_key * (double)flops_of_pair(spec);
    step->elements =
        (double)c->m * (double)(d->n_ph * (d->n_pd + 1) + n_key * d->n_pd + 2);
}

const har__operator har__chooser_picker = {
    .put = put_picker, .kept = kept, .decode = decode};
