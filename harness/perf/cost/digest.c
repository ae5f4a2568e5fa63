/* harness/perf/cost/digest.c -- digests of earlier tokens, and which are picked.
 *
 * Every rank of a tensor group makes all of them.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

/* From the normed input to rotated digests of n_col columns. */
static void put_made(har__walk *w, core_tap_kind kv, core_tap_kind gate,
                     core_tap_kind sum, core_tap_kind norm, core_tap_kind rope,
                     int64_t n_col)
{
    const core_spec *spec = w->spec;
    const int64_t run = core_spec_digest_run(spec, w->layer);
    const int64_t width = core_spec_digest_vectors(spec, w->layer) * n_col;
    har__put(w, har__gemm(w, kv, w->n, width, spec->n_d, false));
    har__put(w, har__gemm(w, gate, w->n, width, spec->n_d, false));
    core_cost cost = har__rows(w, sum, w->n, width,
                               CORE_FLOPS_SOFTMAX + CORE_FLOPS_MULTIPLY_ADD);
    cost.read *= 2;
    cost.weights = w->n > 0 ? run * width : 0;
    har__put(w, cost);
    har__put(w, har__rms(w, norm, w->n, n_col, n_col));
    har__put(w, har__rotation(w, rope, 1));
}

void har__put_digests(har__walk *w)
{
    const core_spec *spec = w->spec;
    const core_digests *d = &spec->digests;
    const int64_t n_t = w->request->batch->n_t;
    put_made(w, CORE_TAP_DIGEST_KV, CORE_TAP_DIGEST_GATE, CORE_TAP_DIGEST,
             CORE_TAP_DIGEST_NORM, CORE_TAP_DIGEST_ROPE,
             har__heads(w)->all.n_dh);
    if (spec->digest[w->layer] != CORE_DIGEST_BEST)
        return;
    har__put(w, har__gemm(w, CORE_TAP_PICK_Q, w->n, d->n_ph * d->n_pd,
                          spec->n_q_rank, false));
    har__put(w, har__rotation(w, CORE_TAP_PICK_Q_ROPE, d->n_ph));
    put_made(w, CORE_TAP_PICK_KV, CORE_TAP_PICK_GATE, CORE_TAP_PICK,
             CORE_TAP_PICK_NORM, CORE_TAP_PICK_ROPE, d->n_pd);
    har__put(w, har__gemm(w, CORE_TAP_PICK_WEIGHT, w->n, d->n_ph, spec->n_d,
                          false));
    core_cost cost = har__rows(w, CORE_TAP_EDGE, w->n, d->n_ph * d->n_pd, 0);
    cost.written = 2 * w->n;
    for (int64_t i = 0; i < n_t; i++)
        cost.flops += w->n_row * ((i + 1) / d->n_best) * d->n_ph *
                      (d->n_pd + 1) * CORE_FLOPS_MULTIPLY_ADD;
    har__put(w, cost);
}
