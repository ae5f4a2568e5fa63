/* parallel/attention.c -- attention, split over tp by heads.
 *
 * A rank makes the query heads [first_head[t], first_head[t+1]) and the kv
 * heads they read; a kv head that two ranks read is made on both, and shown by
 * both. q, k, v are column-parallel, the output projection is row-parallel: one
 * reduction, then its bias once.  Latent attention makes its keys and values in
 * mla.c and goes on here.
 */
#include "parallel/forward_impl.h"

static core_tap tap_of(core_tap_kind kind, int l)
{
    return par__tap(kind, l);
}

static int64_t n_my_heads(const par_layout *lay)
{
    return lay->first_head[lay->t + 1] - lay->first_head[lay->t];
}

void par__tap_heads(par_model *m, core_tap tap, double *values, int64_t width)
{
    const par_layout *lay = m->layout;
    par__tap_columns(m, tap, values, lay->first_head[lay->t] * width,
                     n_my_heads(lay) * width);
}

void par__tap_kv(par_model *m, core_tap tap, double *values)
{
    const par_layout *lay = m->layout;
    const int64_t n_dh = m->spec->n_dh, ld = (lay->kv1 - lay->kv0) * n_dh;
    par__store(m, tap.kind, values, m->now.n * ld);
    for (int64_t g = lay->kv0; g < lay->kv1; g++) {
        par_piece piece = {.tap = tap,
                           .values = values + (g - lay->kv0) * n_dh,
                           .ld = ld,
                           .row_ids = m->work.token_id,
                           .n_row = m->now.n,
                           .col0 = g * n_dh,
                           .n_col = n_dh,
                           .round = m->now.round,
                           .mb = m->now.mb};
        piece.n_owners =
            par_layout_kv_owners(lay, m->spec, g, lay->t, &piece.i_owner);
        par__observe(m, &piece);
    }
}

/* Where queries and keys are normed later, their clamp comes later, too. */
static bool is_clipped_early(const core_spec *spec)
{
    return spec->qk_norm != CORE_QK_NORM_HEAD &&
           spec->qk_norm != CORE_QK_NORM_ALL;
}

static void project(par_model *m, const par_layer *layer, int l)
{
    par_work *w = &m->work;
    const int64_t n = m->now.n, n_d = m->spec->n_d;
    const int64_t ld_q = layer->q.n_row, ld_k = layer->k.n_row;
    const bool early = is_clipped_early(m->spec);
    par__enter(m, PAR_OP_QKV, tap_of(CORE_TAP_Q, l));
    par__linear(m, w->q, ld_q, w->xn, n_d, n, &layer->q, tap_of(CORE_TAP_Q, l));
    par__add_bias(m, w->q, n, ld_q, layer->q_bias);
    par__clip(m, w->q, early ? n * ld_q : 0);
    par__tap_heads(m, tap_of(CORE_TAP_Q, l), w->q, m->spec->n_dh);
    par__linear(m, w->k, ld_k, w->xn, n_d, n, &layer->k, tap_of(CORE_TAP_K, l));
    par__add_bias(m, w->k, n, ld_k, layer->k_bias);
    par__cost_is_kv(m);
    par__clip(m, w->k, early ? n * ld_k : 0);
    par__tap_kv(m, tap_of(CORE_TAP_K, l), w->k);
    par__linear(m, w->v, ld_k, w->xn, n_d, n, &layer->v, tap_of(CORE_TAP_V, l));
    par__add_bias(m, w->v, n, ld_k, layer->v_bias);
    par__cost_is_kv(m);
    par__clip(m, w->v, n * ld_k);
    par__tap_kv(m, tap_of(CORE_TAP_V, l), w->v);
}

/* Rotated queries and keys, or in a layer without rope tempered queries. */
static void place(par_model *m, int l)
{
    par_work *w = &m->work;
    const par_layout *lay = m->layout;
    const int64_t n_dh = m->spec->n_dh, n_h = n_my_heads(lay);
    const int64_t n_kv = lay->kv1 - lay->kv0;
    if (!core_spec_has_rope(m->spec, l)) {
        par__temper(m, l);
        return;
    }
    par__rope(m, w->q, n_h * n_dh, n_h, n_dh, tap_of(CORE_TAP_Q_ROPE, l));
    par__tap_heads(m, tap_of(CORE_TAP_Q_ROPE, l), w->q, n_dh);
    par__rope(m, w->k, n_kv * n_dh, n_kv, n_dh, tap_of(CORE_TAP_K_ROPE, l));
    par__cost_is_kv(m);
    par__tap_kv(m, tap_of(CORE_TAP_K_ROPE, l), w->k);
    par__qk_norm_roped(m, l);
}

void par__attention(par_model *m, const par_layer *layer, int l, double *out)
{
    par_work *w = &m->work;
    const int64_t n = m->now.n, n_d = m->spec->n_d;
    const int64_t n_dv = core_spec_n_dv(m->spec);
    if (core_spec_is_mla(m->spec)) {
        par__latent(m, layer, l);
    } else {
        project(m, layer, l);
        par__qk_norm(m, layer, l);
        place(m, l);
    }
    par__enter(m, PAR_OP_ATTENTION, tap_of(CORE_TAP_CONTEXT, l));
    par__heads(m, layer, l);
    par__tap_heads(m, tap_of(CORE_TAP_CONTEXT, l), w->context, n_dv);

    const core_tap tap = tap_of(CORE_TAP_ATTN_OUT, l);
    par__enter(m, PAR_OP_ATTN_OUT, tap);
    par__linear(m, out, n_d, w->context, layer->o.n_col, n, &layer->o, tap);
    par__reduce_tp(m, out, n * n_d);
    par__add_bias(m, out, n, n_d, layer->o_bias);
    par__tap_replicated(m, tap, out);
}
