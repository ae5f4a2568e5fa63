/* harness/perf/cost/onekv.c -- one vector per token as key and value.
 *
 * Trap: it is read twice, as key and as value, and kept once.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

static void put_onekv(har__walk *w)
{
    static const har__digest_taps taps = {
        CORE_TAP_DIGEST_KV, CORE_TAP_DIGEST_GATE, CORE_TAP_DIGEST,
        CORE_TAP_DIGEST_NORM, CORE_TAP_DIGEST_ROPE};
    const core_spec *spec = w->spec;
    const par_heads *heads = har__heads(w);
    const int64_t n = w->n, n_h = heads->n_h, n_dh = heads->all.n_dh;
    const int64_t n_r = spec->n_q_rank;
    w->op = par_operator_name(PAR_OP_ONEKV);
    har__put(w, har__gemm(w, CORE_TAP_Q_A, n, n_r, spec->n_d, false));
    har__put(w, har__rms(w, CORE_TAP_Q_A_NORM, n, n_r, n_r));
    w->op = par_operator_name(PAR_OP_QKV);
    har__put(w, har__gemm(w, CORE_TAP_Q, n, n_h * n_dh, n_r, false));
    har__put(w, har__rms(w, CORE_TAP_Q_NORM, n * n_h, n_dh, 0));
    w->op = par_operator_name(PAR_OP_ONEKV);
    har__put_kv(w, har__gemm(w, CORE_TAP_K, n, n_dh, spec->n_d, false));
    har__put_kv(w, har__rms(w, CORE_TAP_K_NORM, n, n_dh, n_dh));
    w->op = par_operator_name(PAR_OP_QKV);
    har__put(w, har__rotation(w, CORE_TAP_Q_ROPE, n_h));
    w->op = par_operator_name(PAR_OP_ONEKV);
    har__put_kv(w, har__rotation(w, CORE_TAP_K_ROPE, 1));
    if (core_spec_digest_run(spec, w->layer) > 0)
        har__put_digests(w, &taps, n_dh);
}

static int64_t kept(const core_spec *spec, int layer, int64_t n_kv_head)
{
    const int64_t n_dh = core_spec_heads(spec, layer).n_dh;
    return n_kv_head * n_dh + har__digest_kept(spec, layer, n_dh);
}

/* All heads of a token ask the same vectors. */
static void decode(har__step *step, const core_spec *spec, const core_cost *c,
                   int64_t n_key)
{
    const double n_dh = (double)core_spec_heads(spec, c->tap.layer).n_dh;
    if (c->kind != CORE_COST_ATTENTION)
        return;
    step->flops = (double)c->flops * (double)n_key;
    step->elements = (double)(c->weights + c->read + c->written) +
                     (double)c->m * (double)n_key * n_dh;
    step->n_shared = (int64_t)n_dh;
}

const har__operator har__projection_onekv = {
    .put = put_onekv, .kept = kept, .decode = decode};
