/* parallel/hyper.c -- hyper-connections: n streams for every token.
 *
 * As the stream is, Replicate or Shard(token): a rank has whole rows of all
 * streams, and so of the weights that are made from them; what a part gives is
 * whole, too, before it joins.  From stage to stage all streams travel.
 *
 * A token's row of weights: n that read, n that add, then the mixing matrix,
 * row j for stream j as it comes in.  The matrix is balanced with all its rows
 * and columns at hand.
 */
#include "parallel/forward_impl.h"

#include <math.h>
#include <string.h>

/* Around a part: its shards, and where they come from and are shown. */
typedef struct shards {
    par_shard mix;
    const double *base, *scale;
} shards;

typedef struct place {
    core_weight_kind mix, base, scale;
    core_tap_kind score, weight, sum;
} place;

static place place_of(par__part part)
{
    switch (part) {
    case PAR_PART_MIXER:
        return (place){CORE_W_ATTN_MIX,       CORE_W_ATTN_MIX_BASE,
                       CORE_W_ATTN_MIX_SCALE, CORE_TAP_ATTN_MIX,
                       CORE_TAP_ATTN_STREAMS, CORE_TAP_ATTN_IN};
    case PAR_PART_FFN:
        return (place){CORE_W_FFN_MIX,       CORE_W_FFN_MIX_BASE,
                       CORE_W_FFN_MIX_SCALE, CORE_TAP_FFN_MIX,
                       CORE_TAP_FFN_STREAMS, CORE_TAP_FFN_IN};
    case PAR_PART_HEAD:
        break;
    }
    return (place){CORE_W_HEAD_MIX,       CORE_W_HEAD_MIX_BASE,
                   CORE_W_HEAD_MIX_SCALE, CORE_TAP_HEAD_MIX,
                   CORE_TAP_HEAD_STREAMS, CORE_TAP_HEAD_IN};
}

static void *make(par_model *m, int l, par__part part)
{
    const place at = place_of(part);
    if (!core_weight_exists(m->spec, (core_weight){.kind = at.mix, .layer = l}))
        return NULL;
    shards s;
    s.mix = par__rows(m, at.mix, l, 0, PAR_END);
    s.base = par__vector(m, at.base, l, 0, PAR_END);
    s.scale = par__vector(m, at.scale, l, 0, PAR_END);
    return par__keep(&m->shards, &s, sizeof s);
}

static void carve(par_work *w, const core_spec *spec)
{
    const int64_t n = spec->hyper.n, n_x = n * spec->n_d;
    w->n_in = n_x > w->n_in ? n_x : w->n_in; /* a product reads whole tokens  */
    w->h = par__result(w, spec->n_d);
    par__lasting_result(w, &w->joint, n * (2 + n));
    w->old_x = par__fresh_f64(w, n_x);
}

/* --- scores and weights --- */

/* The product is divided by the root mean square of what it read. */
static void score(par_model *m, const shards *s, core_tap tap)
{
    par_work *w = &m->work;
    const int64_t n_x = s->mix.n_col, n_w = s->mix.n_row, n = m->now.n_s;
    double largest = 0.0;
    par__linear(m, w->joint, n_w, m->now.x, n_x, n, &s->mix, tap);
    m->cost.record.flops +=
        n * (CORE_FLOPS_SQUARES * n_x + CORE_FLOPS_SCALE * n_w);
    for (int64_t i = 0; i < n; i++) {
        const double *x = m->now.x + i * n_x;
        const double square = par__sum_of_squares(x, n_x);
        const double root = sqrt(square / (double)n_x + m->spec->norm_eps);
        for (int64_t c = 0; c < n_w; c++)
            w->joint[i * n_w + c] /= root;
        largest = par__worse(largest, square);
    }
    par__check_squares(m, tap, largest);
    par__tap_stream(m, tap, w->joint);
}

/* Intermediate matrices have the type of sums, in exact mode their step. */
static void keep(const par_model *m, double *a, int64_t n)
{
    core_store(m->numerics, CORE_GRID_EXP, a, n);
}

static void softmax_rows(const par_model *m, double *a)
{
    const int64_t n = m->spec->hyper.n;
    for (int64_t j = 0; j < n; j++) {
        double *row = a + j * n;
        par__softmax(m, row, row, n);
        keep(m, row, n);
        for (int64_t k = 0; k < n; k++)
            row[k] += m->spec->hyper.eps;
        keep(m, row, n);
    }
}

static void divide_by_rows(const par_model *m, double *a)
{
    const int64_t n = m->spec->hyper.n;
    for (int64_t j = 0; j < n; j++) {
        double sum = 0.0;
        for (int64_t k = 0; k < n; k++)
            sum += a[j * n + k];
        for (int64_t k = 0; k < n; k++)
            a[j * n + k] /= sum + m->spec->hyper.eps;
    }
    keep(m, a, n * n);
}

static void divide_by_columns(const par_model *m, double *a)
{
    const int64_t n = m->spec->hyper.n;
    for (int64_t k = 0; k < n; k++) {
        double sum = 0.0;
        for (int64_t j = 0; j < n; j++)
            sum += a[j * n + k];
        for (int64_t j = 0; j < n; j++)
            a[j * n + k] /= sum + m->spec->hyper.eps;
    }
    keep(m, a, n * n);
}

static void weigh_token(const par_model *m, const shards *s, double *w)
{
    const core_hyper *h = &m->spec->hyper;
    const int64_t n = h->n, n_w = s->mix.n_row;
    for (int64_t c = 0; c < n_w; c++)
        w[c] = w[c] * s->scale[c < 2 * n ? c / n : 2] + s->base[c];
    for (int64_t c = 0; c < n; c++)
        w[c] = core_sigmoid(w[c]) + h->eps;
    if (n_w == n)
        return;
    for (int64_t c = n; c < 2 * n; c++)
        w[c] = 2.0 * core_sigmoid(w[c]);
    softmax_rows(m, w + 2 * n);
    divide_by_columns(m, w + 2 * n);
    for (int64_t round = 1; round < h->n_round; round++) {
        divide_by_rows(m, w + 2 * n);
        divide_by_columns(m, w + 2 * n);
    }
}

/* --- sums --- */

/* y [D] += weight * x [D]. */
static void add(const par_model *m, double *y, double weight, const double *x)
{
    for (int64_t d = 0; d < m->spec->n_d; d++)
        y[d] += weight * x[d];
}

/* What a sum of rows of x by weights w may amount to at most: the sum of their
 * magnitudes times the largest element.                                      */
static double most_of(const double *w, int64_t n_w, const double *x, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n_w; i++)
        sum += fabs(w[i]);
    return sum * par__largest(x, n, 1, n);
}

static void check_sum(par_model *m, core_tap tap, double most)
{
    if (m->numerics == CORE_EXACT)
        par__check(m, tap, most, 1.0, CORE_STEP_PROB, CORE_STEP_ACT);
}

static void read_streams(par_model *m, int64_t n_w, core_tap tap)
{
    par_work *w = &m->work;
    const int64_t n_s = m->spec->hyper.n, n_d = m->spec->n_d, n = m->now.n_s;
    par__cost_rows(m, tap, n, n_d, n_s * CORE_FLOPS_MULTIPLY_ADD)->read =
        n * (n_s * n_d + n_s);
    for (int64_t i = 0; i < n; i++) {
        const double *x = m->now.x + i * n_s * n_d;
        double *h = w->h + i * n_d;
        memset(h, 0, (size_t)n_d * sizeof *h);
        for (int64_t j = 0; j < n_s; j++)
            add(m, h, w->joint[i * n_w + j], x + j * n_d);
        check_sum(m, tap, most_of(w->joint + i * n_w, n_s, x, n_s * n_d));
    }
    par__tap_stream(m, tap, w->h);
}

static void collapse(par_model *m, const void *of_part, int l, par__part part)
{
    const shards *s = of_part;
    const place at = place_of(part);
    const core_tap weight = par__tap(at.weight, l);
    const int64_t n_w = s->mix.n_row, n = m->now.n_s;
    par__enter(m, PAR_OP_HYPER, par__tap(at.score, l));
    score(m, s, par__tap(at.score, l));
    par__cost_rows(m, weight, n, n_w, CORE_FLOPS_FUNCTION)->weights =
        n > 0 ? n_w + (part == PAR_PART_HEAD ? 1 : CORE_HYPER_SCALES) : 0;
    for (int64_t i = 0; i < n; i++)
        weigh_token(m, s, m->work.joint + i * n_w);
    par__tap_stream(m, weight, m->work.joint);
    read_streams(m, n_w, par__tap(at.sum, l));
}

/* What the part gave goes to every stream, and the streams to each other. */
static void expand(par_model *m, const double *y, core_tap tap)
{
    par_work *w = &m->work;
    const int64_t n_s = m->spec->hyper.n, n_d = m->spec->n_d, n = m->now.n_s;
    const int64_t n_x = n_s * n_d, n_w = n_s * (2 + n_s);
    par__enter(m, PAR_OP_HYPER, tap);
    par__cost_rows(m, tap, n, n_x, (n_s + 1) * CORE_FLOPS_MULTIPLY_ADD)->read +=
        n * (n_d + n_s + n_s * n_s);
    for (int64_t i = 0; i < n; i++) {
        double *x = m->now.x + i * n_x;
        const double *adds = w->joint + i * n_w + n_s, *mixes = adds + n_s;
        memcpy(w->old_x, x, (size_t)n_x * sizeof *x);
        memset(x, 0, (size_t)n_x * sizeof *x);
        for (int64_t j = 0; j < n_s; j++)
            for (int64_t k = 0; k < n_s; k++)
                add(m, x + k * n_d, mixes[j * n_s + k], w->old_x + j * n_d);
        for (int64_t k = 0; k < n_s; k++)
            add(m, x + k * n_d, adds[k], y + i * n_d);
        check_sum(m, tap,
                  most_of(mixes, n_s * n_s, w->old_x, n_x) +
                      most_of(adds, n_s, y + i * n_d, n_d));
    }
    par__tap_stream(m, tap, m->now.x);
}

const par__connection par__hyper = {
    .placement = "streams and weights  pp Shard(layer), dp Replicate, tp "
                 "Replicate",
    .make = make,
    .carve = carve,
    .collapse = collapse,
    .expand = expand,
};
