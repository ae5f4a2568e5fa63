/* harness/perf/cost/block_index.c -- which blocks of keys queries see.
 *
 * Scores are a product of the small query of every kv head of mine with every
 * small key that lies before the end of its block of queries.  A decoding step
 * scores all cached keys, and keeps one of its own, which all kv heads share.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

static void put_scores(har__walk *w, int64_t n_kv)
{
    const int64_t n_dh = w->spec->block_index.n_dh;
    const int64_t n_t = w->request->batch->n_t;
    core_cost cost = har__record(w, CORE_COST_GEMM, CORE_TAP_EDGE);
    cost.m = w->n;
    cost.n = n_t;
    cost.k = n_kv * n_dh;
    cost.read = w->n * n_kv * n_dh;
    cost.kv_read = w->n * n_dh;
    cost.written = w->n * n_kv * (w->spec->n_seen + 2);
    cost.n_pair = w->n * (n_t + 1) / 2;
    cost.flops = n_kv * (CORE_FLOPS_MULTIPLY_ADD * n_dh * har__block_pairs(w) +
                         cost.n_pair);
    har__put(w, cost);
}

static void put_block_index(har__walk *w)
{
    const core_spec *spec = w->spec;
    const int64_t n_dh = spec->block_index.n_dh, n_kv = har__heads(w)->n_kv;
    const bool has_rope = core_spec_has_rope(spec, w->layer);
    w->op = par_operator_name(PAR_OP_BLOCK_INDEX);
    har__put(
        w, har__gemm(w, CORE_TAP_BLOCK_Q, w->n, n_kv * n_dh, spec->n_d, false));
    har__put(w, har__gemm(w, CORE_TAP_BLOCK_K, w->n, n_dh, spec->n_d, false));
    har__put(w, har__rms(w, CORE_TAP_BLOCK_Q_NORM, w->n * n_kv, n_dh, n_dh));
    if (has_rope)
        har__put(w, har__rotation(w, CORE_TAP_BLOCK_Q_ROPE, n_kv));
    const core_cost k_norm =
        har__rms(w, CORE_TAP_BLOCK_K_NORM, w->n, n_dh, n_dh);
    if (has_rope) {
        har__put(w, k_norm);
        har__put_kv(w, har__rotation(w, CORE_TAP_BLOCK_K_ROPE, 1));
    } else {
        har__put_kv(w, k_norm);
    }
    put_scores(w, n_kv);
}

/* --- beside its records --- */

static har__split split(const core_spec *spec, const par_layout *lay,
                        core_weight id)
{
    const par_heads *heads = &lay->heads[spec->head_kind[id.layer]];
    return id.kind == CORE_W_BLOCK_Q ? (har__split){heads->n_kv, heads->all.n_g}
                                     : HAR__WHOLE;
}

static int64_t kept(const core_spec *spec, int layer, int64_t n_kv_head)
{
    (void)layer;
    (void)n_kv_head;
    return spec->block_index.n_dh;
}

static void decode(har__step *step, const core_spec *spec, const core_cost *c,
                   int64_t n_key)
{
    const double n_dh = (double)spec->block_index.n_dh;
    const double n_kv = (double)c->k / n_dh;
    const double m = (double)c->m, keys = (double)n_key;
    if (c->tap.kind != CORE_TAP_EDGE)
        return;
    step->flops = m * keys * n_kv * (CORE_FLOPS_MULTIPLY_ADD * n_dh + 1.0);
    step->elements =
        m * (n_kv * (n_dh + (double)spec->n_seen + 2.0) + keys * n_dh);
}

const har__operator har__chooser_block_index = {
    .put = put_block_index, .split = split, .kept = kept, .decode = decode};
