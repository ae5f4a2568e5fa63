/* harness/perf/cost/qkv.c -- queries, keys and values by a product each.
 *
 * A kv head that two tensor ranks read is made, normed and rotated on both.
 */
#include "harness/perf/cost/operators.h"
#include "harness/perf/cost/record.h"

/* --- norms of queries and keys --- */

/* kv heads that no tensor rank before me has. */
static int64_t n_first_owned(const har__walk *w)
{
    const par_heads *heads = har__heads(w);
    int64_t n = 0;
    for (int64_t g = heads->kv0; g < heads->kv0 + heads->n_kv; g++) {
        int index;
        par_layout_kv_owners(w->lay, &heads->all, g, w->lay->t, &index);
        n += index == 0;
    }
    return n;
}

static void put_norm_all(har__walk *w)
{
    const par_heads *heads = har__heads(w);
    const int64_t n = w->n, n_dh = heads->all.n_dh;
    const int64_t n_q = heads->n_h * n_dh, n_k = heads->n_kv * n_dh;
    const int64_t n_owned = n_first_owned(w) * n_dh;
    core_cost squares = har__rows(w, CORE_TAP_Q_NORM, n, n_q, 0);
    squares.flops = CORE_FLOPS_SQUARES * n * (n_q + n_owned);
    squares.kv_read = n * n_owned;
    squares.written = 2 * n;
    har__put(w, squares);
    har__put_all_reduce(w, CORE_TAP_Q_NORM, 2 * n);
    core_cost apply =
        har__rows(w, CORE_TAP_Q_NORM, n, n_q, 2 * CORE_FLOPS_SCALE);
    apply.weights = n > 0 ? n_q : 0;
    har__put(w, apply);
    apply = har__rows(w, CORE_TAP_K_NORM, n, n_k, 2 * CORE_FLOPS_SCALE);
    apply.weights = n > 0 ? n_k : 0;
    har__put_kv(w, apply);
}

/* Over each head, one weight for all of them or none. */
static void put_norm_head(har__walk *w, core_tap_kind q_tap,
                          core_tap_kind k_tap, int64_t n_weight)
{
    const par_heads *heads = har__heads(w);
    const int64_t n_dh = heads->all.n_dh;
    har__put(w, har__rms(w, q_tap, w->n * heads->n_h, n_dh, n_weight));
    har__put_kv(w, har__rms(w, k_tap, w->n * heads->n_kv, n_dh, n_weight));
}

/* --- from the normed input to queries and keys with positions --- */

static void put_projections(har__walk *w)
{
    const core_spec *spec = w->spec;
    const par_heads *heads = har__heads(w);
    const int64_t n_q = heads->n_h * heads->all.n_dh;
    const int64_t n_k = heads->n_kv * heads->all.n_dh;
    const int64_t n_v = heads->n_kv * heads->all.n_dv;
    w->op = par_operator_name(PAR_OP_QKV);
    har__put(w, har__gemm(w, CORE_TAP_Q, w->n, n_q, spec->n_d, spec->bias_qkv));
    har__put_kv(w,
                har__gemm(w, CORE_TAP_K, w->n, n_k, spec->n_d, spec->bias_qkv));
    if (!heads->all.v_is_k)
        har__put_kv(w, har__gemm(w, CORE_TAP_V, w->n, n_v, spec->n_d,
                                 spec->bias_qkv));
    if (spec->value_norm)
        har__put_kv(w, har__rms(w, CORE_TAP_V_NORM, w->n * heads->n_kv,
                                heads->all.n_dv, 0));
    if (spec->qk_norm == CORE_QK_NORM_ALL)
        put_norm_all(w);
    else if (spec->qk_norm == CORE_QK_NORM_HEAD)
        put_norm_head(w, CORE_TAP_Q_NORM, CORE_TAP_K_NORM, heads->all.n_dh);
}

static void put_positions(har__walk *w)
{
    const core_spec *spec = w->spec;
    const par_heads *heads = har__heads(w);
    if (!core_spec_has_rope(spec, w->layer)) {
        if (spec->temper_scale > 0.0)
            har__put(w,
                     har__rows(w, CORE_TAP_Q_TEMPER, w->n,
                               heads->n_h * heads->all.n_dh, CORE_FLOPS_SCALE));
        return;
    }
    har__put(w, har__rotation(w, CORE_TAP_Q_ROPE, heads->n_h));
    har__put_kv(w, har__rotation(w, CORE_TAP_K_ROPE, heads->n_kv));
    if (spec->qk_norm == CORE_QK_NORM_ROPED)
        put_norm_head(w, CORE_TAP_Q_ROPE_NORM, CORE_TAP_K_ROPE_NORM, 0);
    else if (spec->qk_norm == CORE_QK_NORM_AFTER)
        put_norm_head(w, CORE_TAP_Q_ROPE_NORM, CORE_TAP_K_ROPE_NORM,
                      heads->all.n_dh);
}

static void put_qkv(har__walk *w)
{
    put_projections(w);
    put_positions(w);
}

/* --- beside its records --- */

static har__split split(const core_spec *spec, const par_layout *lay,
                        core_weight id)
{
    const par_heads *heads = &lay->heads[spec->head_kind[id.layer]];
    const har__split kv = {heads->n_kv, heads->all.n_g};
    const bool by_head = spec->qk_norm != CORE_QK_NORM_ALL;
    switch (id.kind) {
    case CORE_W_Q_BIAS:
        return har__split_heads(heads);
    case CORE_W_Q_NORM:
        return by_head ? HAR__WHOLE : har__split_heads(heads);
    case CORE_W_K:
    case CORE_W_V:
    case CORE_W_K_BIAS:
    case CORE_W_V_BIAS:
        return kv;
    case CORE_W_K_NORM:
        return by_head ? HAR__WHOLE : kv;
    default:
        return HAR__WHOLE;
    }
}

static int64_t kept(const core_spec *spec, int layer, int64_t n_kv_head)
{
    const core_heads heads = core_spec_heads(spec, layer);
    return n_kv_head * (heads.n_dh + heads.n_dv);
}

static void decode(har__step *step, const core_spec *spec, const core_cost *c,
                   int64_t n_key)
{
    (void)spec;
    if (c->kind != CORE_COST_ATTENTION)
        return;
    step->flops = (double)c->flops * (double)n_key;
    step->elements = (double)(c->weights + c->read + c->written) +
                     (double)c->kv_read * (double)n_key;
}

static void probe(har_dice *d, core_spec *s)
{
    if (har_dice_one_in(d, 2))
        s->qk_norm =
            har_dice_one_in(d, 2) ? CORE_QK_NORM_HEAD : CORE_QK_NORM_ALL;
}

const har__operator har__projection_qkv = {.put = put_qkv,
                                           .split = split,
                                           .kept = kept,
                                           .decode = decode,
                                           .probe = probe};
