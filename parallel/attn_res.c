/* parallel/attn_res.c -- attention residuals: a sum for the block of layers at
 * hand, and one from before each block.
 *
 * Replicate or Shard(token), as every stream is: a rank weighs the sums of the
 * tokens that it has by itself.  From stage to stage all of a token's sums
 * travel, those of blocks still to come among them (they hold the embedding),
 * so that its row is as wide in every stage.
 *
 * Column 0 of scores and weights belongs to the running sum, which lies first.
 */
#include "parallel/forward_impl.h"

#include <math.h>
#include <string.h>

/* Around a part. */
typedef struct shards {
    const double *look; /* [D] weight of the norm times that of the product   */
    double norm_look, step; /* its length; what it is a multiple of           */
} shards;

typedef struct place {
    core_weight_kind norm, look;
    core_tap_kind score, weight, read;
    int64_t n_layer; /* layers before it that may have begun blocks           */
} place;

static place place_of(const core_spec *spec, int l, par__part part)
{
    if (part == PAR_PART_MIXER)
        return (place){CORE_W_ATTN_LOOK_NORM, CORE_W_ATTN_LOOK,
                       CORE_TAP_ATTN_LOOK,    CORE_TAP_ATTN_BACK,
                       CORE_TAP_ATTN_READ,    l};
    if (part == PAR_PART_FFN)
        return (place){CORE_W_FFN_LOOK_NORM, CORE_W_FFN_LOOK,
                       CORE_TAP_FFN_LOOK,    CORE_TAP_FFN_BACK,
                       CORE_TAP_FFN_READ,    l + 1};
    return (place){CORE_W_HEAD_LOOK_NORM, CORE_W_HEAD_LOOK,
                   CORE_TAP_HEAD_LOOK,    CORE_TAP_HEAD_BACK,
                   CORE_TAP_HEAD_READ,    spec->n_l};
}

static void *make(par_model *m, int l, par__part part)
{
    const place at = place_of(m->spec, l, part);
    const core_weight norm = {.kind = at.norm, .layer = l};
    const core_weight look = {.kind = at.look, .layer = l};
    const int64_t n_d = m->spec->n_d;
    const double *a = par__vector(m, at.norm, l, 0, PAR_END);
    const double *b = par__vector(m, at.look, l, 0, PAR_END);
    double *both = core_arena_f64(&m->shards, n_d);
    if (both == NULL)
        return par__keep(&m->shards, &(shards){0}, sizeof(shards));
    for (int64_t d = 0; d < n_d; d++)
        both[d] = a[d] * b[d];
    shards s = {.look = both,
                .norm_look = sqrt(par__sum_of_squares(both, n_d))};
    if (m->numerics == CORE_EXACT)
        s.step = core_weights_step(m->weights, norm) *
                 core_weights_step(m->weights, look);
    return par__keep(&m->shards, &s, sizeof s);
}

static void carve(par_work *w, const core_spec *spec)
{
    w->h = par__result(w, spec->n_d);
    w->joint = par__result(w, core_spec_n_x(spec) / spec->n_d);
}

/* How much each of the n sums is asked for. */
static void score(par_model *m, const shards *s, int64_t n_sum, core_tap tap)
{
    const int64_t n_d = m->spec->n_d, n_x = core_spec_n_x(m->spec);
    double largest = 0.0;
    core_cost *cost =
        par__cost_rows(m, tap, m->now.n_s, n_sum,
                       n_d * (CORE_FLOPS_SQUARES + CORE_FLOPS_MULTIPLY_ADD) +
                           CORE_FLOPS_SCALE);
    cost->read = m->now.n_s * n_sum * n_d;
    cost->weights = m->now.n_s > 0 ? 2 * n_d : 0;
    for (int64_t i = 0; i < m->now.n_s; i++)
        for (int64_t j = 0; j < n_sum; j++) {
            const double *x = m->now.x + i * n_x + j * n_d;
            const double square = par__sum_of_squares(x, n_d);
            double dot = 0.0;
            for (int64_t d = 0; d < n_d; d++)
                dot += s->look[d] * x[d];
            m->work.joint[i * n_sum + j] =
                dot / sqrt(square / (double)n_d + m->spec->norm_eps);
            largest = par__worse(largest, square);
        }
    par__check_squares(m, tap, largest);
    if (m->numerics == CORE_EXACT)
        par__check(m, tap, sqrt(largest), s->norm_look, CORE_STEP_ACT, s->step);
    par__tap_stream(m, tap, m->work.joint);
}

static void weigh(par_model *m, int64_t n_sum, core_tap tap)
{
    par__cost_rows(m, tap, m->now.n_s, n_sum, CORE_FLOPS_SOFTMAX);
    for (int64_t i = 0; i < m->now.n_s; i++) {
        double *p = m->work.joint + i * n_sum;
        par__softmax(m, p, p, n_sum);
    }
    par__tap_stream(m, tap, m->work.joint);
}

static void read_sums(par_model *m, int64_t n_sum, core_tap tap)
{
    const int64_t n_d = m->spec->n_d, n_x = core_spec_n_x(m->spec);
    const int64_t n = m->now.n_s;
    par__cost_rows(m, tap, n, n_d, n_sum * CORE_FLOPS_MULTIPLY_ADD)->read =
        n * n_sum * (n_d + 1);
    for (int64_t i = 0; i < n; i++) {
        const double *p = m->work.joint + i * n_sum;
        double *h = m->work.h + i * n_d, most = 0.0;
        memset(h, 0, (size_t)n_d * sizeof *h);
        for (int64_t j = 0; j < n_sum; j++) {
            const double *x = m->now.x + i * n_x + j * n_d;
            double largest = 0.0;
            for (int64_t d = 0; d < n_d; d++) {
                h[d] += p[j] * x[d];
                largest = par__worse(largest, fabs(p[j] * x[d]));
            }
            most += largest;
        }
        if (m->numerics == CORE_EXACT)
            par__check(m, tap, most, 1.0, CORE_STEP_PROB, CORE_STEP_ACT);
    }
    par__tap_stream(m, tap, m->work.h);
}

/* The running sum becomes that before block b, and is nothing. */
static void begin_block(par_model *m, int64_t b)
{
    const int64_t n_d = m->spec->n_d, n_x = core_spec_n_x(m->spec);
    for (int64_t i = 0; i < m->now.n_s; i++) {
        double *sum = m->now.x + i * n_x;
        for (int64_t d = 0; d < n_d; d++) {
            sum[(1 + b) * n_d + d] = sum[d];
            sum[d] = 0.0;
        }
    }
}

static void collapse(par_model *m, const void *of_part, int l, par__part part)
{
    const place at = place_of(m->spec, l, part);
    const core_attn_res *r = &m->spec->attn_res;
    const int64_t n_sum = 1 + core_attn_res_begun(r, at.n_layer);
    const int64_t n_d = m->spec->n_d;
    if (n_sum == 1) /* the embedding */
        for (int64_t i = 0; i < m->now.n_s; i++)
            memcpy(m->work.h + i * n_d, m->now.x + i * core_spec_n_x(m->spec),
                   (size_t)n_d * sizeof *m->work.h);
    else {
        par__enter(m, PAR_OP_ATTN_RES, par__tap(at.score, l));
        score(m, of_part, n_sum, par__tap(at.score, l));
        weigh(m, n_sum, par__tap(at.weight, l));
        read_sums(m, n_sum, par__tap(at.read, l));
    }
    if (part == PAR_PART_MIXER && l % r->n_block == 0)
        begin_block(m, l / r->n_block);
}

static void expand(par_model *m, const double *y, core_tap tap)
{
    const int64_t n_d = m->spec->n_d, n_x = core_spec_n_x(m->spec);
    par__enter(m, PAR_OP_ATTN_RES, tap);
    par__cost_rows(m, tap, m->now.n_s, n_d, CORE_FLOPS_ADD)->read +=
        m->now.n_s * n_d;
    for (int64_t i = 0; i < m->now.n_s; i++)
        for (int64_t d = 0; d < n_d; d++)
            m->now.x[i * n_x + d] += y[i * n_d + d];
    par__tap_stream(m, tap, m->now.x);
}

const par__connection par__attn_res = {
    .placement = "sums before blocks   pp Shard(layer), dp Replicate, tp "
                 "Replicate",
    .make = make,
    .carve = carve,
    .collapse = collapse,
    .expand = expand,
};
