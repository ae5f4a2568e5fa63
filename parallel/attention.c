/* parallel/attention.c -- attention, split over tp by heads.
 *
 * A rank makes the query heads [first_head[t], first_head[t+1]) and the kv
 * heads they read; a kv head that two ranks read is made on both, and shown by
 * both.  The model's projection makes q, k and v; the output projection is
 * row-parallel: one reduction, then its bias once.
 */
#include "parallel/forward_impl.h"

int64_t par__n_heads(const par_layout *lay)
{
    return lay->first_head[lay->t + 1] - lay->first_head[lay->t];
}

void par__tap_heads(par_model *m, core_tap tap, double *values, int64_t width)
{
    const par_layout *lay = m->layout;
    par__tap_columns(m, tap, values, lay->first_head[lay->t] * width,
                     par__n_heads(lay) * width);
}

void par__tap_kv(par_model *m, core_tap tap, double *values)
{
    const par_layout *lay = m->layout;
    const int64_t n_dh = m->spec->n_dh, ld = (lay->kv1 - lay->kv0) * n_dh;
    par__cost_is_kv(m);
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

static void *make(par_model *m, int l)
{
    const par_layout *lay = m->layout;
    const int64_t h0 = lay->first_head[lay->t];
    const int64_t h1 = lay->first_head[lay->t + 1];
    const int64_t n_dv = core_spec_n_dv(m->spec);
    par_attention attention = {0};
    attention.projection = par__projection(m->spec)->make(m, l);
    attention.sinks = par__vector(m, CORE_W_SINKS, l, h0, h1);
    if (m->spec->context_gate)
        attention.gate = par__context_gate_make(m, l);
    attention.o = par__columns(m, CORE_W_O, l, h0 * n_dv, h1 * n_dv);
    return par__keep(&m->shards, &attention, sizeof attention);
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const int64_t n_h = par__n_heads(lay);
    w->q = par__result(w, n_h * spec->n_dh);
    w->k = par__result(w, (lay->kv1 - lay->kv0) * spec->n_dh);
    w->context = par__operand(w, n_h * core_spec_n_dv(spec));
    w->context_gate =
        par__result(w, spec->context_gate ? n_h * core_spec_n_dv(spec) : 0);
    w->score = par__fresh_f64(w, PAR_QUERY_BLOCK * w->n_t);
    w->sees = par__fresh(w, w->n_t, 1);
    w->projection = par__projection(spec)->carve(w, spec, lay);
    return NULL;
}

static void run(par_model *m, const void *shards, int l, double *out)
{
    const par_attention *attention = shards;
    par_work *w = &m->work;
    const int64_t n = m->now.n, n_d = m->spec->n_d;
    const core_tap context = par__tap(CORE_TAP_CONTEXT, l);
    const core_tap tap = par__tap(CORE_TAP_ATTN_OUT, l);
    par__projection(m->spec)->run(m, attention->projection, l, NULL);
    par__enter(m, PAR_OP_ATTENTION, context);
    par__heads(m, attention, l);
    par__tap_heads(m, context, w->context, core_spec_n_dv(m->spec));
    if (m->spec->context_gate)
        par__context_gate(m, &attention->gate, l);

    par__enter(m, PAR_OP_ATTN_OUT, tap);
    par__linear(m, out, n_d, w->context, attention->o.n_col, n, &attention->o,
                tap);
    par__reduce_tp(m, out, n * n_d);
    par__add_bias(m, out, n, n_d, attention->o.bias);
    par__tap_replicated(m, tap, out);
}

static int64_t n_heads(const core_spec *spec)
{
    return spec->n_h;
}

const par__entry par__attention = {
    .cut = {"H", "query heads", n_heads, true},
    .make = make,
    .carve = carve,
    .run = run,
};
