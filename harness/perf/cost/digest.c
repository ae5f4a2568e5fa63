/* harness/perf/cost/digest.c -- digests of earlier tokens.
 *
 * Every rank of a tensor group makes all of them, and the cache holds one for
 * every run of tokens.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

/* From the normed input to rotated digests of n_col columns. */
void har__put_digests(har__walk *w, const har__digest_taps *taps, int64_t n_col)
{
    const core_spec *spec = w->spec;
    const int64_t run = core_spec_digest_run(spec, w->layer);
    const int64_t width = core_spec_digest_vectors(spec, w->layer) * n_col;
    har__put(w, har__gemm(w, taps->kv, w->n, width, spec->n_d, false));
    har__put(w, har__gemm(w, taps->gate, w->n, width, spec->n_d, false));
    core_cost cost = har__rows(w, taps->sum, w->n, width,
                               CORE_FLOPS_SOFTMAX + CORE_FLOPS_MULTIPLY_ADD);
    cost.read *= 2;
    cost.weights = w->n > 0 ? run * width : 0;
    har__put(w, cost);
    har__put(w, har__rms(w, taps->norm, w->n, n_col, n_col));
    har__put(w, har__rotation(w, taps->rope, 1));
}

int64_t har__digest_kept(const core_spec *spec, int layer, int64_t n_col)
{
    const int64_t run = core_spec_digest_run(spec, layer);
    return run > 0 ? (n_col + run - 1) / run : 0;
}
