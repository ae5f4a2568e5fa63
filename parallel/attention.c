/* parallel/attention.c -- attention, split over tp by heads.
 *
 * A rank makes the query heads [first_head[t], first_head[t+1]) and the kv
 * heads they read; a kv head that two ranks read is made on both, and shown by
 * both. q, k, v are column-parallel, the output projection is row-parallel: one
 * reduction, then its bias once.
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

/* Store my kv heads, and show each with the ranks that share it. */
static void tap_kv(par_model *m, core_tap tap, double *values)
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

static void project(par_model *m, const par_layer *layer, int l)
{
    par_work *w = &m->work;
    const par_layout *lay = m->layout;
    const int64_t n = m->now.n, n_d = m->spec->n_d;
    const int64_t ld_q = layer->q.n_row, ld_k = layer->k.n_row;
    const int64_t col_q = lay->first_head[lay->t] * m->spec->n_dh;
    par__enter(m, PAR_OP_QKV, tap_of(CORE_TAP_Q, l));
    par__linear(m, w->q, ld_q, w->xn, n_d, n, &layer->q, tap_of(CORE_TAP_Q, l));
    par__add_bias(w->q, n, ld_q, layer->q_bias);
    par__tap_columns(m, tap_of(CORE_TAP_Q, l), w->q, col_q, ld_q);
    par__linear(m, w->k, ld_k, w->xn, n_d, n, &layer->k, tap_of(CORE_TAP_K, l));
    par__add_bias(w->k, n, ld_k, layer->k_bias);
    tap_kv(m, tap_of(CORE_TAP_K, l), w->k);
    par__linear(m, w->v, ld_k, w->xn, n_d, n, &layer->v, tap_of(CORE_TAP_V, l));
    par__add_bias(w->v, n, ld_k, layer->v_bias);
    tap_kv(m, tap_of(CORE_TAP_V, l), w->v);
}

/* Rotate the pairs (j, j + Dh/2) of every head in place.  Positions are those
 * of the row: a micro-batch holds whole rows.                                */
static void rope(par_model *m, double *x, int64_t n_head)
{
    const int64_t n_t = m->batch->n_t, n_dh = m->spec->n_dh, half = n_dh / 2;
    for (int64_t i = 0; i < m->now.n; i++) {
        const double *cos_j = m->work.cos_tj + i % n_t * half;
        const double *sin_j = m->work.sin_tj + i % n_t * half;
        for (int64_t h = 0; h < n_head; h++) {
            double *a = x + (i * n_head + h) * n_dh, *b = a + half;
            for (int64_t j = 0; j < half; j++) {
                const double a_j = a[j], b_j = b[j];
                a[j] = a_j * cos_j[j] - b_j * sin_j[j];
                b[j] = b_j * cos_j[j] + a_j * sin_j[j];
            }
        }
    }
}

void par__attention(par_model *m, const par_layer *layer, int l, double *out)
{
    par_work *w = &m->work;
    const par_layout *lay = m->layout;
    const int64_t n = m->now.n, n_d = m->spec->n_d, n_dh = m->spec->n_dh;
    const int64_t n_h = n_my_heads(lay), col_q = lay->first_head[lay->t] * n_dh;
    project(m, layer, l);

    rope(m, w->q, n_h);
    par__tap_columns(m, tap_of(CORE_TAP_Q_ROPE, l), w->q, col_q, n_h * n_dh);
    rope(m, w->k, lay->kv1 - lay->kv0);
    tap_kv(m, tap_of(CORE_TAP_K_ROPE, l), w->k);

    par__enter(m, PAR_OP_ATTENTION, tap_of(CORE_TAP_CONTEXT, l));
    par__heads(m, l);
    par__tap_columns(m, tap_of(CORE_TAP_CONTEXT, l), w->context, col_q,
                     n_h * n_dh);

    const core_tap tap = tap_of(CORE_TAP_ATTN_OUT, l);
    par__enter(m, PAR_OP_ATTN_OUT, tap);
    par__linear(m, out, n_d, w->context, n_h * n_dh, n, &layer->o, tap);
    par__reduce_tp(m, out, n * n_d);
    par__add_bias(out, n, n_d, layer->o_bias);
    par__tap_replicated(m, tap, out);
}
