/* parallel/mamba.c -- the mamba mixer, split over tp by channels.
 *
 * A channel is a recurrence of its own along the row: convolution, time step
 * and state never look at another channel, so all of that is Shard(channel).
 * Channels meet twice: in the projection to (dt, B, C), Partial over tp until
 * an all-reduce makes z whole on every rank (its three norms are Replicate from
 * there), and in the output projection, which is row-parallel like attention's.
 *
 * Traps: the state is stored at every step, which makes the recurrence
 * sequential; positions are those of the row, whose state starts at zero; a
 * rank may have no channel at all and still joins both sums.
 */
#include "parallel/forward_impl.h"

#include <math.h>
#include <string.h>

/* Shard(channel), n_c of mine; the norms are Replicate. */
typedef struct shards {
    par_shard u, gate, x, dt, out;
    par__conv conv;
    const double *d; /* [n_c]                                                 */
    const double *a_log; /* [n_c, S]                                          */
    const double *dt_norm, *b_norm, *c_norm;
} shards;

typedef struct buffers {
    double *u, *gate, *act, *dt, *y; /* [n, own channels]                     */
    double *x;                       /* [n, R + 2S]                           */
    double *dt_norm;                 /* [n, R]                                */
    double *b, *c;                   /* [n, S]                                */
    double *state;                   /* [S] of the channel at hand            */
} buffers;

static int64_t first_channel(const core_spec *spec, const par_layout *lay,
                             int t)
{
    return core_split_first(spec->mamba.n_c, lay->plan.tp, t);
}

static void *make(par_model *m, int l)
{
    const par_layout *lay = m->layout;
    const int64_t c0 = first_channel(m->spec, lay, lay->t);
    const int64_t c1 = first_channel(m->spec, lay, lay->t + 1);
    shards s;
    s.u = par__rows(m, CORE_W_MAMBA_U, l, c0, c1);
    s.gate = par__rows(m, CORE_W_MAMBA_GATE, l, c0, c1);
    s.x = par__columns(m, CORE_W_MAMBA_X, l, c0, c1);
    s.dt = par__rows(m, CORE_W_MAMBA_DT, l, c0, c1);
    s.out = par__columns(m, CORE_W_MAMBA_OUT, l, c0, c1);
    s.conv = par__conv_make(m, CORE_W_MAMBA_CONV, l, c0, c1);
    s.a_log = par__doubles(m, CORE_W_MAMBA_A_LOG, l, c0, c1);
    s.d = par__vector(m, CORE_W_MAMBA_D, l, c0, c1);
    s.dt_norm = par__vector(m, CORE_W_MAMBA_DT_NORM, l, 0, PAR_END);
    s.b_norm = par__vector(m, CORE_W_MAMBA_B_NORM, l, 0, PAR_END);
    s.c_norm = par__vector(m, CORE_W_MAMBA_C_NORM, l, 0, PAR_END);
    return par__keep(&m->shards, &s, sizeof s);
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const int64_t c0 = first_channel(spec, lay, lay->t);
    const int64_t n_c = first_channel(spec, lay, lay->t + 1) - c0;
    const int64_t n_r = spec->mamba.n_r, n_s = spec->mamba.n_s;
    buffers b;
    b.u = par__result(w, n_c);
    b.gate = par__result(w, n_c);
    b.act = par__operand(w, n_c);
    b.dt = par__result(w, n_c);
    b.y = par__operand(w, n_c);
    b.x = par__operand(w, n_r + 2 * n_s); /* the step's part of it */
    b.dt_norm = par__operand(w, n_r);
    b.b = par__result(w, n_s);
    b.c = par__result(w, n_s);
    b.state = par__fresh_f64(w, n_s);
    return par__keep_buffers(w, &b, sizeof b);
}

static const buffers *buffers_of(const par_model *m)
{
    return m->work.mixer[CORE_MIXER_MAMBA];
}

/* Columns [c0, c0 + n_col) of z, normed: whole on every rank. */
static void part_of_z(par_model *m, double *y, int64_t c0, int64_t n_col,
                      const double *weight, core_tap tap)
{
    const int64_t ld = m->spec->mamba.n_r + 2 * m->spec->mamba.n_s;
    par__rms_rows(m, y, n_col, buffers_of(m)->x + c0, ld, m->now.n, n_col,
                  weight, m->spec->norm_eps, tap);
    par__tap_replicated(m, tap, y);
}

static void select_step(par_model *m, const shards *mamba, int l)
{
    const buffers *w = buffers_of(m);
    const int64_t n_r = m->spec->mamba.n_r, n_s = m->spec->mamba.n_s;
    const int64_t n = m->now.n, n_c = mamba->u.n_row, n_x = n_r + 2 * n_s;
    const core_tap tap = par__tap(CORE_TAP_MAMBA_X, l);
    par__linear(m, w->x, n_x, w->act, n_c, n, &mamba->x, tap);
    par__reduce_tp(m, w->x, n * n_x);
    par__tap_replicated(m, tap, w->x);
    part_of_z(m, w->dt_norm, 0, n_r, mamba->dt_norm,
              par__tap(CORE_TAP_MAMBA_DT_NORM, l));
    part_of_z(m, w->b, n_r, n_s, mamba->b_norm, par__tap(CORE_TAP_MAMBA_B, l));
    part_of_z(m, w->c, n_r + n_s, n_s, mamba->c_norm,
              par__tap(CORE_TAP_MAMBA_C, l));
    par__affine_columns(m, w->dt, w->dt_norm, n_r, &mamba->dt,
                        par__tap(CORE_TAP_MAMBA_DT_RAW, l));
    const core_tap dt_tap = par__tap(CORE_TAP_MAMBA_DT, l);
    par__cost_rows(m, dt_tap, n, n_c, CORE_FLOPS_FUNCTION);
    for (int64_t i = 0; i < n * n_c; i++)
        w->dt[i] = core_softplus(w->dt[i]);
    par__tap_columns(m, dt_tap, w->dt, mamba->u.r0, n_c);
}

/* One channel along a row, from the state that was kept of it (NULL: from its
 * first token on).  Returns the largest sum of squares of its state.         */
static double scan_channel(par_model *m, const shards *mamba, par_run row,
                           double *kept, int64_t c)
{
    const buffers *w = buffers_of(m);
    const int64_t n_s = m->spec->mamba.n_s, n_c = mamba->u.n_row;
    const double *a_log = mamba->a_log + c * n_s;
    const int64_t i0 = row.i0;
    double *h = kept != NULL ? kept : w->state, largest = 0.0;
    if (kept == NULL)
        memset(h, 0, (size_t)n_s * sizeof *h);
    for (int64_t i = i0; i < i0 + row.n; i++) {
        const double dt = w->dt[i * n_c + c], a = w->act[i * n_c + c];
        double sum = 0.0, square = 0.0;
        for (int64_t s = 0; s < n_s; s++)
            h[s] =
                core_decay(a_log[s], dt) * h[s] + (dt * w->b[i * n_s + s]) * a;
        core_store(m->numerics, CORE_GRID_ACT, h, n_s);
        for (int64_t s = 0; s < n_s; s++) {
            sum += h[s] * w->c[i * n_s + s];
            square += h[s] * h[s];
        }
        w->y[i * n_c + c] = sum + mamba->d[c] * a;
        largest = par__worse(largest, square);
    }
    return largest;
}

static void scan(par_model *m, const shards *mamba, int l)
{
    const buffers *w = buffers_of(m);
    const int64_t n_s = m->spec->mamba.n_s, n = m->now.n, n_c = mamba->u.n_row;
    const core_tap tap = par__tap(CORE_TAP_MAMBA_Y, l);
    double largest = 0.0;
    core_cost *cost = par__cost_rows(
        m, tap, n, n_c, CORE_FLOPS_STATE * n_s + CORE_FLOPS_MULTIPLY_ADD);
    cost->k = n_s;
    cost->read = 2 * n * n_c + 2 * n * n_s; /* dt, act; B, C */
    cost->weights = n > 0 ? n_c * n_s + n_c : 0;
    for (int64_t b = 0; b < m->now.n_row; b++) {
        const par_run row = par__row_tokens(m, b);
        double *kept = par__state(m, l, b); /* behind what is convolved */
        if (kept != NULL)
            kept += par__conv_kept(&mamba->conv);
        for (int64_t c = 0; c < n_c; c++) {
            const double square =
                scan_channel(m, mamba, row,
                             kept != NULL ? kept + c * n_s : NULL, c);
            largest = par__worse(largest, square);
        }
    }
    if (m->numerics == CORE_EXACT)
        par__check(m, tap, sqrt(largest), core_max_row_norm(w->c, n, n_s, n_s),
                   CORE_STEP_ACT, CORE_STEP_ACT);
    par__tap_columns(m, tap, w->y, mamba->u.r0, n_c);
}

static void run(par_model *m, const void *of_layer, int l, double *out)
{
    const shards *mamba = of_layer;
    const buffers *w = buffers_of(m);
    const int64_t n_d = m->spec->n_d, n = m->now.n, n_c = mamba->u.n_row;
    const core_tap tap = par__tap(CORE_TAP_ATTN_OUT, l);
    par__clear_states(m, l);
    par__enter(m, PAR_OP_MAMBA, par__tap(CORE_TAP_MAMBA_U, l));
    par__affine_columns(m, w->u, m->work.xn, n_d, &mamba->u,
                        par__tap(CORE_TAP_MAMBA_U, l));
    par__affine_columns(m, w->gate, m->work.xn, n_d, &mamba->gate,
                        par__tap(CORE_TAP_MAMBA_GATE, l));
    par__convolve(m, &mamba->conv, w->u, w->act,
                  par__tap(CORE_TAP_MAMBA_CONV, l),
                  par__tap(CORE_TAP_MAMBA_ACT, l));
    select_step(m, mamba, l);
    scan(m, mamba, l);
    par__gate(m, w->y, CORE_ACT_SILU, w->gate, &mamba->gate,
              par__tap(CORE_TAP_MAMBA_GATED, l));
    par__enter(m, PAR_OP_MAMBA, tap);
    par__linear(m, out, n_d, w->y, n_c, n, &mamba->out, tap);
    par__leave_partial(m, out, mamba->out.bias, tap);
}

/* What is convolved, and the state of each channel. */
static int64_t n_kept(const core_spec *spec, const par_layout *lay, int l,
                      int64_t n_t)
{
    const int64_t n_c = first_channel(spec, lay, lay->t + 1) -
                        first_channel(spec, lay, lay->t);
    (void)l;
    (void)n_t;
    return n_c * (spec->mamba.n_conv - 1 + spec->mamba.n_s);
}

static int64_t n_channels(const core_spec *spec)
{
    return spec->mamba.n_c;
}

const par__entry par__mamba = {
    .cut = {"C", "mamba channels", n_channels, false},
    .placement = "mamba                pp Shard(layer), dp Replicate, tp "
                 "Shard(channels); what leaves the channels is Partial over tp "
                 "until reduced",
    .kept = n_kept,
    .make = make,
    .carve = carve,
    .run = run,
};
