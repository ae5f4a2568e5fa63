/* harness/perf/cost/attention.c -- attention, latent or not, split by heads.
 *
 * Keys and values are whatever the scores are made with and taken from: the
 * buffers that the projections of k and v (latent: kv_b) write, that norms and
 * rope change, and that attention reads once for every row.
 *
 * The emulation makes scores for blocks of 64 queries against every key that
 * one of them may need, so it multiplies more than the (query, key) pairs that
 * count; flops says what is multiplied, n_pair what counts.  Trap: a query that
 * sees no key (padding) attends to all keys of its row, which widens its block.
 */
#include "harness/perf/cost/impl.h"

static int64_t n_heads(const har__walk *w)
{
    return w->lay->first_head[w->lay->t + 1] - w->lay->first_head[w->lay->t];
}

static int64_t n_kv_heads(const har__walk *w)
{
    return w->lay->kv1 - w->lay->kv0;
}

static void put_kv(har__walk *w, core_cost cost)
{
    const core_cost kv = har__as_kv(cost);
    har__put(w, &kv);
}

/* A product whose result is keys or values. */
static void put_kv_gemm(har__walk *w, core_tap_kind tap, int64_t n, int64_t k,
                        bool has_bias)
{
    core_cost cost = har__gemm(w, tap, w->n, n, k, has_bias);
    cost.kv_written = cost.written;
    cost.written = 0;
    har__put(w, &cost);
}

/* --- norms of queries and keys --- */

/* kv heads that no tensor rank before me has. */
static int64_t n_first_owned(const har__walk *w)
{
    int64_t n = 0;
    for (int64_t g = w->lay->kv0; g < w->lay->kv1; g++) {
        int index;
        par_layout_kv_owners(w->lay, w->spec, g, w->lay->t, &index);
        n += index == 0;
    }
    return n;
}

static void put_norm_all(har__walk *w)
{
    const int64_t n = w->n, n_dh = w->spec->n_dh;
    const int64_t n_q = n_heads(w) * n_dh, n_k = n_kv_heads(w) * n_dh;
    const int64_t n_owned = n_first_owned(w) * n_dh;
    core_cost squares = har__rows(w, CORE_TAP_Q_NORM, n, n_q, 0);
    squares.flops = CORE_FLOPS_SQUARES * n * (n_q + n_owned);
    squares.kv_read = n * n_owned;
    squares.written = 2 * n;
    har__put(w, &squares);
    har__put_all_reduce(w, CORE_TAP_Q_NORM, 2 * n);
    core_cost apply =
        har__rows(w, CORE_TAP_Q_NORM, n, n_q, 2 * CORE_FLOPS_SCALE);
    apply.weights = n > 0 ? n_q : 0;
    har__put(w, &apply);
    apply = har__rows(w, CORE_TAP_K_NORM, n, n_k, 2 * CORE_FLOPS_SCALE);
    apply.weights = n > 0 ? n_k : 0;
    put_kv(w, apply);
}

/* Over each head, one weight for all of them or none. */
static void put_norm_head(har__walk *w, core_tap_kind q_tap,
                          core_tap_kind k_tap, int64_t n_weight)
{
    const int64_t n_dh = w->spec->n_dh;
    const core_cost q = har__rms(w, q_tap, w->n * n_heads(w), n_dh, n_weight);
    har__put(w, &q);
    put_kv(w, har__rms(w, k_tap, w->n * n_kv_heads(w), n_dh, n_weight));
}

/* --- from the normed input to queries and keys with positions --- */

static void put_projections(har__walk *w)
{
    const core_spec *spec = w->spec;
    const int64_t n_q = n_heads(w) * spec->n_dh;
    const int64_t n_kv = n_kv_heads(w) * spec->n_dh;
    w->op = par_operator_name(PAR_OP_QKV);
    har__put_gemm(w, CORE_TAP_Q, w->n, n_q, spec->n_d, spec->bias_qkv);
    put_kv_gemm(w, CORE_TAP_K, n_kv, spec->n_d, spec->bias_qkv);
    put_kv_gemm(w, CORE_TAP_V, n_kv, spec->n_d, spec->bias_qkv);
    if (spec->qk_norm == CORE_QK_NORM_ALL)
        put_norm_all(w);
    else if (spec->qk_norm == CORE_QK_NORM_HEAD)
        put_norm_head(w, CORE_TAP_Q_NORM, CORE_TAP_K_NORM, spec->n_dh);
}

static core_cost rotation(const har__walk *w, core_tap_kind tap, int64_t n_head,
                          int64_t n_rot)
{
    core_cost cost =
        har__rows(w, tap, w->n, n_head * n_rot, CORE_FLOPS_ROTATE);
    cost.n_head = n_head;
    return cost;
}

static void put_positions(har__walk *w)
{
    const core_spec *spec = w->spec;
    const int64_t n_rot = core_spec_n_rot(spec);
    if (!core_spec_has_rope(spec, w->layer)) {
        if (spec->temper_scale > 0.0)
            har__put_rows(w, CORE_TAP_Q_TEMPER, w->n, n_heads(w) * spec->n_dh,
                          CORE_FLOPS_SCALE);
        return;
    }
    const core_cost q = rotation(w, CORE_TAP_Q_ROPE, n_heads(w), n_rot);
    har__put(w, &q);
    put_kv(w, rotation(w, CORE_TAP_K_ROPE, n_kv_heads(w), n_rot));
    if (spec->qk_norm == CORE_QK_NORM_ROPED)
        put_norm_head(w, CORE_TAP_Q_ROPE_NORM, CORE_TAP_K_ROPE_NORM, 0);
}

/* One latent, made on every rank of the tensor group, and its norm. */
static void put_latent(har__walk *w, core_tap_kind tap, core_tap_kind norm_tap,
                       int64_t n_col, int64_t n_normed, core_weight_kind bias)
{
    w->op = par_operator_name(PAR_OP_LATENT);
    har__put_gemm(w, tap, w->n, n_col, w->spec->n_d, har__has_weight(w, bias));
    const core_cost norm = har__rms(w, norm_tap, w->n, n_normed, n_normed);
    har__put(w, &norm);
    w->op = par_operator_name(PAR_OP_QKV);
}

static void put_latent_attention(har__walk *w)
{
    const core_spec *spec = w->spec;
    const int64_t n_h = n_heads(w), n_rot = core_spec_n_rot(spec);
    const int64_t n_dh = spec->n_dh, n_kv_rank = spec->n_kv_rank;
    w->op = par_operator_name(PAR_OP_QKV);
    if (spec->n_q_rank > 0)
        put_latent(w, CORE_TAP_Q_A, CORE_TAP_Q_A_NORM, spec->n_q_rank,
                   spec->n_q_rank, CORE_W_Q_A_BIAS);
    har__put_gemm(w, CORE_TAP_Q, w->n, n_h * n_dh,
                  spec->n_q_rank > 0 ? spec->n_q_rank : spec->n_d, false);
    put_latent(w, CORE_TAP_KV_A, CORE_TAP_KV_A_NORM, n_kv_rank + n_rot,
               n_kv_rank, CORE_W_KV_A_BIAS);
    put_kv_gemm(w, CORE_TAP_KV_B, n_h * (n_dh - n_rot + core_spec_n_dv(spec)),
                n_kv_rank, false);
    const core_cost q = rotation(w, CORE_TAP_Q_ROPE, n_h, n_rot);
    har__put(w, &q);
    w->op = par_operator_name(PAR_OP_LATENT);
    const core_cost k = rotation(w, CORE_TAP_K_ROPE, 1, n_rot);
    har__put(w, &k);
    put_kv(w, har__rows(w, CORE_TAP_K_ROPE, w->n, n_h * n_dh, 0));
}

/* --- scores and context --- */

/* Which queries of the row see a key at all? */
static void find_sees(har__walk *w, int64_t row)
{
    const core_batch *batch = w->request->batch;
    const uint8_t *mask =
        batch->mask != NULL ? batch->mask + row * batch->n_t : NULL;
    for (int64_t i = 0; i < batch->n_t; i++) {
        int64_t j = core_spec_first_key(w->spec, w->layer, i);
        while (mask != NULL && j <= i && mask[j] == 0)
            j++;
        w->sees[i] = j <= i;
    }
}

/* Add the work of one head on n_alike rows like the one seen to the record. */
static void add_rows(const har__walk *w, core_cost *cost, int64_t n_alike)
{
    const int64_t n_t = w->request->batch->n_t,
                  width = cost->k + core_spec_n_dv(w->spec);
    for (int64_t i0 = 0; i0 < n_t; i0 += HAR_QUERY_BLOCK) {
        const int64_t i1 = i0 + HAR_QUERY_BLOCK < n_t ? i0 + HAR_QUERY_BLOCK : n_t;
        int64_t n_key = i1 - core_spec_first_key(w->spec, w->layer, i0);
        for (int64_t i = i0; i < i1; i++) {
            if (!w->sees[i]) {
                n_key = n_t;
                continue;
            }
            const int64_t n = i + 1 - core_spec_first_key(w->spec, w->layer, i);
            cost->n_pair += n_alike * n;
            cost->flops += n_alike * CORE_FLOPS_SOFTMAX * n;
        }
        cost->flops +=
            n_alike * CORE_FLOPS_MULTIPLY_ADD * (i1 - i0) * n_key * width;
    }
}

static void put_heads(har__walk *w)
{
    const core_batch *batch = w->request->batch;
    const core_spec *spec = w->spec;
    const int64_t n_h = n_heads(w), n_dv = core_spec_n_dv(spec);
    const int64_t n_kv = core_spec_is_mla(spec) ? n_h : n_kv_heads(w);
    w->op = par_operator_name(PAR_OP_ATTENTION);
    core_cost cost = har__record(w, CORE_COST_ATTENTION, CORE_TAP_CONTEXT);
    cost.m = w->n;
    cost.n = batch->n_t;
    cost.k = spec->n_dh;
    cost.n_head = n_h;
    /* without a mask all rows are alike */
    const int64_t n_alike = batch->mask != NULL ? 1 : w->n_row;
    for (int64_t b = 0; b < w->n_row; b += n_alike) {
        find_sees(w, w->row0 + b);
        add_rows(w, &cost, n_alike);
    }
    cost.flops *= n_h;
    cost.n_pair *= n_h;
    cost.weights = spec->sinks && w->n > 0 ? n_h : 0;
    cost.read = w->n * n_h * spec->n_dh;
    cost.written = w->n * n_h * n_dv;
    cost.kv_read = w->n * n_kv * (spec->n_dh + n_dv);
    har__put(w, &cost);
}

void har__put_attention(har__walk *w)
{
    const core_spec *spec = w->spec;
    if (core_spec_is_mla(spec)) {
        put_latent_attention(w);
    } else {
        put_projections(w);
        put_positions(w);
    }
    put_heads(w);
    w->op = par_operator_name(PAR_OP_ATTN_OUT);
    har__put_gemm(w, CORE_TAP_ATTN_OUT, w->n, spec->n_d,
                  n_heads(w) * core_spec_n_dv(spec), false);
    har__put_sum(w, CORE_TAP_ATTN_OUT, spec->n_d, spec->bias_o);
}
