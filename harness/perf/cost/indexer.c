/* harness/perf/cost/indexer.c -- which keys the queries attend to.
 *
 * Scores are a product of every query with every key that lies before the end
 * of its block, of all heads of the indexer at once; nothing of it is split.  A
 * decoding step scores all cached keys, and keeps one key of its own.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

static void put_scores(har__walk *w)
{
    const int64_t n_h = w->spec->indexer.n_h, n_dh = w->spec->indexer.n_dh;
    const int64_t n_t = w->request->batch->n_t;
    core_cost cost = har__record(w, CORE_COST_GEMM, CORE_TAP_EDGE);
    cost.m = w->n;
    cost.n = n_t;
    cost.k = n_h * n_dh;
    cost.n_pair = w->n * (n_t + 1) / 2;
    cost.flops = n_h * (CORE_FLOPS_MULTIPLY_ADD * n_dh * har__block_pairs(w) +
                        CORE_FLOPS_INDEX * cost.n_pair);
    cost.read = w->n * n_h * (n_dh + 1);
    cost.kv_read = w->n * n_dh;
    cost.written = w->n * (w->spec->n_seen + 2);
    har__put(w, cost);
}

static void put_indexer(har__walk *w)
{
    const core_spec *spec = w->spec;
    const int64_t n_h = spec->indexer.n_h, n_dh = spec->indexer.n_dh;
    w->op = par_operator_name(PAR_OP_INDEXER);
    har__put(w, har__gemm(w, CORE_TAP_INDEX_Q, w->n, n_h * n_dh, spec->n_q_rank,
                          false));
    har__put(w, har__gemm(w, CORE_TAP_INDEX_K, w->n, n_dh, spec->n_d, false));
    core_cost norm =
        har__rows(w, CORE_TAP_INDEX_K_NORM, w->n, n_dh, CORE_FLOPS_LAYERNORM);
    norm.weights = w->n > 0 ? 2 * n_dh : 0;
    har__put(w, norm);
    har__put(w, har__rotation(w, CORE_TAP_INDEX_Q_ROPE, n_h));
    har__put_kv(w, har__rotation(w, CORE_TAP_INDEX_K_ROPE, 1));
    har__put(w,
             har__gemm(w, CORE_TAP_INDEX_WEIGHT, w->n, n_h, spec->n_d, false));
    put_scores(w);
}

/* --- beside its records --- */

static int64_t kept(const core_spec *spec, int layer, int64_t n_kv_head)
{
    (void)layer;
    (void)n_kv_head;
    return spec->indexer.n_dh;
}

static void decode(har__step *step, const core_spec *s, const core_cost *c,
                   int64_t n_key)
{
    const double n_h = (double)s->indexer.n_h, n_dh = (double)s->indexer.n_dh;
    const double m = (double)c->m, keys = (double)n_key;
    if (c->tap.kind != CORE_TAP_EDGE)
        return;
    step->flops =
        m * keys * n_h * (CORE_FLOPS_MULTIPLY_ADD * n_dh + CORE_FLOPS_INDEX);
    step->elements =
        m * (n_h * (n_dh + 1) + keys * n_dh + (double)s->n_seen + 2);
}

const har__operator har__chooser_indexer = {
    .put = put_indexer, .kept = kept, .decode = decode};
