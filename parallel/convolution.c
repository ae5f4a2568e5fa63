/* parallel/convolution.c -- a causal convolution along the rows,
 * Shard(channel).
 *
 * A channel never looks at another one, so nothing is reduced.  Trap: positions
 * are those of the row; what lies before a row's first token is another row, and
 * what lies before its first one of a step was kept.
 */
#include "parallel/forward_impl.h"

#include <math.h>
#include <string.h>

par__conv par__conv_make(par_model *m, core_weight_kind kind, int l, int64_t c0,
                         int64_t c1)
{
    const core_weight id = {.kind = kind, .layer = l};
    par__conv c = {.id = id, .c0 = c0, .n_c = c1 - c0};
    int64_t n_row;
    core_weight_shape(m->spec, id, &n_row, &c.n_conv);
    c.w = par__doubles(m, kind, l, c0, c1);
    c.bias = par__vector(m, core_weight_bias(kind), l, c0, c1);
    return c;
}

int64_t par__conv_kept(const par__conv *last)
{
    return last->kept0 + (last->n_conv - 1) * last->n_c;
}

par__conv par__conv_behind(par_model *m, const par__conv *before,
                           core_weight_kind kind, int l, int64_t c0, int64_t c1)
{
    par__conv c = par__conv_make(m, kind, l, c0, c1);
    c.kept0 = par__conv_kept(before);
    return c;
}

/* Exact mode: Kc products of u with a row of the weight. */
static void check(par_model *m, const par__conv *c, const double *u,
                  core_tap tap)
{
    if (m->numerics != CORE_EXACT)
        return;
    par__check(m, tap,
               sqrt((double)c->n_conv) *
                   par__largest(u, c->n_c, m->now.n, c->n_c),
               core_max_row_norm(c->w, c->n_c, c->n_conv, c->n_conv),
               CORE_STEP_ACT, core_weights_step(m->weights, c->id));
}

static void show(par_model *m, const par__conv *c, core_tap tap, double *values)
{
    if (c->repeated != NULL)
        par__tap_repeated(m, tap, values, c->repeated);
    else
        par__tap_columns(m, tap, values, c->c0, c->n_c);
}

/* Those before row b's first token of the step; NULL: there are no steps. */
static double *kept_inputs(const par_model *m, const par__conv *c, int l,
                           int64_t b)
{
    double *state = par__state(m, l, b);
    return state != NULL ? state + c->kept0 : NULL;
}

/* The last Kc - 1 inputs of every row, for its tokens of later steps: those of
 * this one, and what there was before.                                       */
static void keep_inputs(par_model *m, const par__conv *c, const double *u,
                        int l)
{
    const int64_t n_c = c->n_c, n_kept = c->n_conv - 1;
    for (int64_t b = 0; m->step != NULL && b < m->now.n_row; b++) {
        const par_run row = par__row_tokens(m, b);
        double *kept = kept_inputs(m, c, l, b);
        for (int64_t r = 0; r < n_kept; r++) {
            const int64_t i = row.n - n_kept + r;
            memcpy(kept + r * n_c,
                   i < 0 ? kept + (row.n + r) * n_c : u + (row.i0 + i) * n_c,
                   (size_t)n_c * sizeof *kept);
        }
    }
}

/* y = u convolved, in the open record.                                       */
static void sums(par_model *m, const par__conv *c, const double *u, double *y,
                 core_tap tap, core_cost *cost)
{
    const int64_t n_conv = c->n_conv, n_c = c->n_c;
    check(m, c, u, tap);
    cost->weights = m->now.n > 0 ? n_c * n_conv : 0;
    for (int64_t i = 0; i < m->now.n; i++) {
        int64_t b;
        const int64_t t = par__place(m, i);
        const int64_t n_here = par__tokens_before(m, i, &b);
        const double *kept = kept_inputs(m, c, tap.layer, b);
        const int64_t first = t < n_conv - 1 ? n_conv - 1 - t : 0;
        cost->flops += CORE_FLOPS_MULTIPLY_ADD * (n_conv - first) * n_c;
        for (int64_t j = 0; j < n_c; j++) {
            double sum = 0.0;
            for (int64_t k = first; k < n_conv; k++) {
                const double *x = kept != NULL && k + n_here < n_conv - 1
                                      ? kept + (k + n_here) * n_c
                                      : u + (i - n_conv + 1 + k) * n_c;
                sum += c->w[j * n_conv + k] * x[j];
            }
            y[i * n_c + j] = sum;
        }
    }
    keep_inputs(m, c, u, tap.layer);
    par__add_bias(m, y, m->now.n, n_c, c->bias);
    show(m, c, tap, y);
}

void par__convolve_only(par_model *m, const par__conv *c, const double *u,
                        double *y, core_tap tap)
{
    sums(m, c, u, y, tap, par__cost_rows(m, tap, m->now.n, c->n_c, 0));
}

void par__convolve(par_model *m, const par__conv *c, const double *u,
                   double *act, core_tap tap, core_tap act_tap)
{
    const int64_t n = m->now.n, n_c = c->n_c;
    sums(m, c, u, act, tap,
         par__cost_rows(m, act_tap, n, n_c, CORE_FLOPS_FUNCTION));
    core_act_apply_row(CORE_ACT_SILU, act, act, n * n_c);
    show(m, c, act_tap, act);
}
