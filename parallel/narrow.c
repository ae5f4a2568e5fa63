/* parallel/narrow.c -- experts of a width of their own: the projections around
 * them.
 *
 * Both weights are Replicate, and each rank of the tensor group projects its
 * slice of the tokens alone: into De columns before the rows travel, so that
 * dispatch and return carry De, and back to D when a token's rows are added up,
 * before the slices are gathered.  Nothing is Partial, nothing done twice.
 */
#include "parallel/forward_impl.h"

void par__tap_slice(par_model *m, core_tap tap, double *x)
{
    const int64_t n_col = core_tap_cols(m->spec, tap), t0 = m->now.t0;
    const par_piece piece = {.tap = tap,
                             .values = x + t0 * n_col,
                             .ld = n_col,
                             .row_ids = m->work.token_id + t0,
                             .n_row = m->now.t1 - t0,
                             .n_col = n_col,
                             .n_owners = 1,
                             .round = m->now.round,
                             .mb = m->now.mb};
    par__store(m, tap.kind, x + t0 * n_col, piece.n_row * n_col);
    par__observe(m, &piece);
}

/* y = x W^T + b of my slice; both of all tokens. */
static void project(par_model *m, double *y, const double *x,
                    const par_shard *w, core_tap tap)
{
    const int64_t t0 = m->now.t0, n = m->now.t1 - t0;
    par__linear(m, y + t0 * w->n_row, w->n_row, x + t0 * w->n_col, w->n_col, n,
                w, tap);
    par__add_bias(m, y + t0 * w->n_row, n, w->n_row, w->bias);
    par__tap_slice(m, tap, y);
}

const double *par__expert_input(const par_model *m)
{
    return m->spec->branch_norm ? m->work.branch : m->work.xn;
}

void par__narrow(par_model *m, int layer)
{
    const core_tap tap = par__tap(CORE_TAP_NARROW, layer);
    par__enter(m, PAR_OP_DISPATCH, tap);
    project(m, m->work.narrow, par__expert_input(m),
            &par__layer(m, layer)->narrow, tap);
}

/* The sums of my slice, in place. */
static void norm_sums(par_model *m, const double *weight, core_tap tap)
{
    const int64_t n_de = m->spec->n_de;
    double *sum = m->work.sum + m->now.t0 * n_de;
    par__rms_rows(m, sum, n_de, sum, n_de, m->now.t1 - m->now.t0, n_de, weight,
                  m->spec->norm_eps, tap);
    par__tap_slice(m, tap, m->work.sum);
}

void par__widen(par_model *m, int layer, double *out)
{
    const par_layer *of_layer = par__layer(m, layer);
    if (m->spec->norm_de)
        norm_sums(m, of_layer->wide_norm, par__tap(CORE_TAP_WIDE_NORM, layer));
    project(m, out, m->work.sum, &of_layer->wide,
            par__tap(CORE_TAP_WIDE, layer));
}
