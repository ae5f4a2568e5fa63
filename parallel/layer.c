/* parallel/layer.c -- one layer, of a mixer, a feed-forward part or both, for
 * every combination of degrees.
 *
 * Before and after, a rank has whole rows of the stream: of all tokens, or of
 * its slice of them (stream.c).  There is no test for a degree of 1 here or
 * below: that is a group of one rank.
 */
#include "parallel/forward_impl.h"

const double *par__enter_part(par_model *m, const void *around, int l,
                              par__part part)
{
    const par__connection *connection = par__connection_of(m->spec);
    if (connection == NULL)
        return m->now.x;
    connection->collapse(m, around, l, part);
    return m->work.h;
}

/* x += scale * y, or what the model has instead: the residual stream.  Where it
 * is the layer's output, times the layer's own number.  */
static void add(par_model *m, const par_layer *layer, const double *y,
                core_tap tap)
{
    const par__connection *connection = par__connection_of(m->spec);
    const int64_t n = m->now.n_s * m->spec->n_d;
    if (connection != NULL) {
        connection->expand(m, y, tap);
        return;
    }
    const bool is_scaled = layer->scale != NULL && tap.kind == CORE_TAP_OUT;
    core_cost *cost = par__cost_rows(m, tap, m->now.n_s, m->spec->n_d,
                                     CORE_FLOPS_SCALE + CORE_FLOPS_ADD);
    cost->read += n;
    for (int64_t i = 0; i < n; i++)
        m->now.x[i] += m->spec->residual_scale * y[i];
    if (is_scaled) {
        cost->flops += CORE_FLOPS_SCALE * n;
        cost->weights = n > 0 ? 1 : 0;
        for (int64_t i = 0; i < n; i++)
            m->now.x[i] *= layer->scale[0];
    }
    par__tap_stream(m, tap, m->now.x);
}

/* y := its norm, in models that norm what a part of a layer gives. */
static void norm_after(par_model *m, double *y, const par_norm *norm,
                       core_tap tap)
{
    if (m->spec->post_norm)
        par__norm(m, y, y, norm, tap);
}

/* The normed input of the feed-forward part: experts read rows of my own. */
static void norm_before(par_model *m, const par_layer *layer, const double *x,
                        core_tap tap)
{
    if (layer->mlp.exists)
        par__norm_all(m, x, &layer->ffn_norm, tap);
    else
        par__norm(m, par__mine(m, m->work.xn), x, &layer->ffn_norm, tap);
}

/* w->out = what the layer's feed-forward part makes of it. */
static void feed_forward(par_model *m, const par_layer *layer, int l, int pair)
{
    par_work *w = &m->work;
    const bool is_moe = core_spec_is_moe(m->spec, l);
    double *out = par__mine(m, w->out);
    if (is_moe) {
        par__route(m, layer, l);
        par__moe(m, l, pair, w->out);
    }
    if (layer->mlp.exists)
        par__mlp(m, &layer->mlp, l, is_moe ? w->mlp_out : w->out);
    if (is_moe && layer->mlp.exists) {
        const int64_t n = m->now.n_s * m->spec->n_d;
        double *mlp_out = par__mine(m, w->mlp_out);
        if (m->spec->branch_norm)
            par__norm(m, mlp_out, mlp_out, &layer->mlp_post,
                      par__tap(CORE_TAP_MLP_POST, l));
        par__cost_rows(m, par__tap(CORE_TAP_FFN_OUT, l), m->now.n_s,
                       m->spec->n_d, CORE_FLOPS_ADD)
            ->read += n;
        for (int64_t i = 0; i < n; i++)
            out[i] += mlp_out[i];
    }
    par__tap_stream(m, par__tap(CORE_TAP_FFN_OUT, l), out);
}

void par__layer(par_model *m, int l, int pair)
{
    par_work *w = &m->work;
    const par_layer *layer = &m->layer[l - m->layer0];
    const par__entry *mixer = par__mixer(m->spec, l);
    const bool feeds = core_spec_has_ffn(m->spec, l);
    double *out = par__mine(m, w->out);
    par__tap_stream(m, par__tap(CORE_TAP_IN, l), m->now.x);
    if (mixer != NULL) {
        const double *x = par__enter_part(m, layer->around[PAR_PART_MIXER], l,
                                          PAR_PART_MIXER);
        par__norm_all(m, x, &layer->attn_norm, par__tap(CORE_TAP_ATTN_NORM, l));
        mixer->run(m, layer->mixer, l, w->out);
        norm_after(m, out, &layer->attn_post, par__tap(CORE_TAP_ATTN_POST, l));
        add(m, layer, out, par__tap(feeds ? CORE_TAP_MID : CORE_TAP_OUT, l));
    }
    if (!feeds)
        return;
    const double *x =
        par__enter_part(m, layer->around[PAR_PART_FFN], l, PAR_PART_FFN);
    norm_before(m, layer, x, par__tap(CORE_TAP_FFN_NORM, l));
    feed_forward(m, layer, l, pair);
    norm_after(m, out, &layer->ffn_post, par__tap(CORE_TAP_FFN_POST, l));
    add(m, layer, out, par__tap(CORE_TAP_OUT, l));
}
