/* parallel/layer.c -- one layer, of a mixer, a feed-forward part or both, for
 * every combination of degrees, in the steps between which a rank may turn to
 * another micro-batch.
 *
 * Before and after, a rank has whole rows of the stream: of all tokens, or of
 * its slice of them (stream.c).  There is no test for a degree of 1 here or
 * below: that is a group of one rank.  Experts that are a branch have a norm
 * before and one behind, of whole rows.
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
#pragma omp parallel for num_threads(par__threads(m, n))
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

void par__mix(par_model *m, int l)
{
    const par_layer *layer = par__layer(m, l);
    const par__entry *mixer = par__mixer(m->spec, l);
    par__tap_stream(m, par__tap(CORE_TAP_IN, l), m->now.x);
    if (mixer == NULL)
        return;
    const double *x =
        par__enter_part(m, layer->around[PAR_PART_MIXER], l, PAR_PART_MIXER);
    par__norm_all(m, x, &layer->attn_norm, par__tap(CORE_TAP_ATTN_NORM, l));
    mixer->run(m, layer->mixer, l, m->work.out);
}

void par__mixed(par_model *m, int l)
{
    const par_layer *layer = par__layer(m, l);
    const bool feeds = core_spec_has_ffn(m->spec, l);
    double *out = par__mine(m, m->work.out);
    par__complete(m);
    norm_after(m, out, &layer->attn_post, par__tap(CORE_TAP_ATTN_POST, l));
    add(m, layer, out, par__tap(feeds ? CORE_TAP_MID : CORE_TAP_OUT, l));
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

void par__enter_ffn(par_model *m, int l)
{
    const par_layer *layer = par__layer(m, l);
    const double *x =
        par__enter_part(m, layer->around[PAR_PART_FFN], l, PAR_PART_FFN);
    norm_before(m, layer, x, par__tap(CORE_TAP_FFN_NORM, l));
    if (!core_spec_is_moe(m->spec, l))
        return;
    par__route(m, layer, l);
    if (m->spec->branch_norm)
        par__norm(m, par__mine(m, m->work.branch), m->now.x, &layer->moe_norm,
                  par__tap(CORE_TAP_MOE_NORM, l));
    if (m->spec->n_de > 0)
        par__narrow(m, l);
}

void par__gather(par_model *m, int l)
{
    double *out = par__mine(m, m->work.out);
    par__combine(m, l, m->work.out);
    if (m->spec->branch_norm)
        par__norm(m, out, out, &par__layer(m, l)->moe_post,
                  par__tap(CORE_TAP_MOE_POST, l));
}

void par__feed(par_model *m, int l)
{
    par_work *w = &m->work;
    par__mlp(m, &par__layer(m, l)->mlp, l,
             core_spec_is_moe(m->spec, l) ? w->mlp_out : w->out);
}

void par__fed(par_model *m, int l)
{
    const par__entry *shared = par__shared(m->spec, l);
    par__complete(m);
    if (shared != NULL)
        shared->run(m, par__layer(m, l)->mlp.shared, l,
                    m->lane[m->now.lane].partial.y);
}

/* out += what a shared expert gave. */
static void add_branch(par_model *m, const par_layer *layer, int l, double *out)
{
    const int64_t n = m->now.n_s * m->spec->n_d;
    double *mlp_out = par__mine(m, m->work.mlp_out);
    if (m->spec->branch_norm)
        par__norm(m, mlp_out, mlp_out, &layer->mlp_post,
                  par__tap(CORE_TAP_MLP_POST, l));
    const core_tap tap = par__tap(CORE_TAP_FFN_OUT, l);
    par__enter(m, PAR_OP_MLP, tap);
    par__cost_rows(m, tap, m->now.n_s, m->spec->n_d, CORE_FLOPS_ADD)->read += n;
#pragma omp parallel for num_threads(par__threads(m, n))
    for (int64_t i = 0; i < n; i++)
        out[i] += mlp_out[i];
}

void par__leave_ffn(par_model *m, int l)
{
    const par_layer *layer = par__layer(m, l);
    double *out = par__mine(m, m->work.out);
    if (core_spec_is_moe(m->spec, l) && layer->mlp.exists)
        add_branch(m, layer, l, out);
    par__tap_stream(m, par__tap(CORE_TAP_FFN_OUT, l), out);
    norm_after(m, out, &layer->ffn_post, par__tap(CORE_TAP_FFN_POST, l));
    add(m, layer, out, par__tap(CORE_TAP_OUT, l));
}
