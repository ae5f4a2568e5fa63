/* parallel/shortconv.c -- the gated convolution, split over tp by channels.
 *
 * A channel is one row of B, of C and of x, and its own convolution: from the
 * projections to the second gate everything is Shard(channel).  Channels meet
 * in the output projection alone, which is row-parallel: one reduction.
 *
 * Traps: files keep B, C and x in one tensor, of which my channels are three
 * ranges of rows; the bias of the output is added once, after the reduction.
 */
#include "parallel/forward_impl.h"

typedef struct shards {
    par_shard b, c, x, out;
    par__conv conv;
} shards;

typedef struct buffers {
    double *b, *c, *x; /* [n, own channels]                                   */
    double *y;         /* likewise: convolved, then gated                     */
} buffers;

static int64_t first_channel(const core_spec *spec, const par_layout *lay,
                             int t)
{
    return core_split_first(spec->n_d, lay->plan.tp, t);
}

static void *make(par_model *m, int l)
{
    const int64_t c0 = first_channel(m->spec, m->layout, m->layout->t);
    const int64_t c1 = first_channel(m->spec, m->layout, m->layout->t + 1);
    shards s;
    s.b = par__rows(m, CORE_W_SHORTCONV_B, l, c0, c1);
    s.c = par__rows(m, CORE_W_SHORTCONV_C, l, c0, c1);
    s.x = par__rows(m, CORE_W_SHORTCONV_X, l, c0, c1);
    s.conv = par__conv_make(m, CORE_W_SHORTCONV_CONV, l, c0, c1);
    s.out = par__columns(m, CORE_W_SHORTCONV_OUT, l, c0, c1);
    return par__keep(&m->shards, &s, sizeof s);
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const int64_t n_c =
        first_channel(spec, lay, lay->t + 1) - first_channel(spec, lay, lay->t);
    const buffers b = {.b = par__result(w, n_c),
                       .c = par__result(w, n_c),
                       .x = par__result(w, n_c),
                       .y = par__operand(w, n_c)};
    return par__keep_buffers(w, &b, sizeof b);
}

/* y, my channels, times `by`. */
static void gate(par_model *m, double *y, const double *by,
                 const par_shard *made_by, core_tap tap)
{
    const int64_t n = m->now.n, n_c = made_by->n_row;
    par__cost_rows(m, tap, n, n_c, CORE_FLOPS_SCALE)->read += n * n_c;
    for (int64_t i = 0; i < n * n_c; i++)
        y[i] *= by[i];
    par__tap_columns(m, tap, y, made_by->r0, n_c);
}

static void run(par_model *m, const void *of_layer, int l, double *out)
{
    const shards *s = of_layer;
    const buffers *w = m->work.mixer[CORE_MIXER_SHORTCONV];
    const int64_t n_d = m->spec->n_d, n = m->now.n;
    const double *xn = m->work.xn;
    const core_tap tap = par__tap(CORE_TAP_ATTN_OUT, l);
    par__clear_states(m, l);
    par__enter(m, PAR_OP_SHORTCONV, par__tap(CORE_TAP_SHORTCONV_B, l));
    par__affine_columns(m, w->b, xn, n_d, &s->b,
                        par__tap(CORE_TAP_SHORTCONV_B, l));
    par__affine_columns(m, w->c, xn, n_d, &s->c,
                        par__tap(CORE_TAP_SHORTCONV_C, l));
    par__affine_columns(m, w->x, xn, n_d, &s->x,
                        par__tap(CORE_TAP_SHORTCONV_X, l));
    gate(m, w->x, w->b, &s->b, par__tap(CORE_TAP_SHORTCONV_BX, l));
    par__convolve_only(m, &s->conv, w->x, w->y,
                       par__tap(CORE_TAP_SHORTCONV_CONV, l));
    gate(m, w->y, w->c, &s->c, par__tap(CORE_TAP_SHORTCONV_GATED, l));
    par__enter(m, PAR_OP_SHORTCONV, tap);
    par__linear(m, out, n_d, w->y, s->out.n_col, n, &s->out, tap);
    par__leave_partial(m, out, s->out.bias, tap);
}

static int64_t n_kept(const core_spec *spec, const par_layout *lay, int l,
                      int64_t n_t)
{
    (void)l;
    (void)n_t;
    return (spec->shortconv.n_conv - 1) * (first_channel(spec, lay, lay->t + 1) -
                                           first_channel(spec, lay, lay->t));
}

static int64_t n_channels(const core_spec *spec)
{
    return spec->n_d;
}

const par__entry par__shortconv = {
    .cut = {"D", "channels of the short convolution", n_channels, false},
    .placement = "short convolution    pp Shard(layer), dp Replicate, tp "
                 "Shard(channel); what leaves it is Partial over tp until "
                 "reduced",
    .kept = n_kept,
    .make = make,
    .carve = carve,
    .run = run,
};
