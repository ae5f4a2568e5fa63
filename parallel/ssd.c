/* parallel/ssd.c -- Mamba-2's state space, split over tp by heads.
 *
 * A rank owns heads, and with them rows of gate, x and time step, channels of
 * the convolution, a part of the scan: Shard(head).  Heads read B and C of
 * their group, so these are made where a head of the group is: Shard(group)
 * where tp divides the groups, else repeated like a kv head.  The norm behind
 * the scan is over a group's channels: a group that is not whole anywhere has
 * its squares Partial over tp, and one all-reduce makes them whole before
 * anything is divided.  Heads meet in the output projection, row-parallel like
 * attention's.
 *
 * Traps: my rows of x, B and C lie apart in weight and tap; the state is stored
 * at every step, starts at zero in every row and goes on from step to step.
 */
#include "parallel/forward_impl.h"

#include <math.h>
#include <string.h>

typedef enum part { X, B, C, N_PARTS } part;

typedef struct shards {
    par_shard gate, in[N_PARTS], dt, out;
    par__conv conv[N_PARTS];
    const double *step, *a_log, *d; /* [own heads]                            */
    const double *norm;             /* [own channels]                         */
} shards;

typedef struct buffers {
    double *gate, *y;     /* [n, own channels]                                */
    double *in[N_PARTS];  /* [n, own channels], then [n, own groups * S]      */
    double *act[N_PARTS]; /* the same, convolved and activated                */
    double *dt;           /* [n, own heads]                                   */
    double *square;       /* [n, groups] of the norm                          */
    double *state;        /* [P, S] of the head at hand                       */
} buffers;

/* What I own: heads with their channels, and groups that they read. */
typedef struct own {
    par_heads of;
    int64_t c0, c1; /* channels                                               */
} own;

static own own_of(const core_spec *spec, const par_layout *lay)
{
    const core_ssd *s = &spec->ssd;
    const core_heads all = {.n_h = s->n_h, .n_g = s->n_g};
    const par_heads of = par_layout_heads(&all, lay->plan.tp, lay->t);
    return (own){of, of.h0 * s->n_p, (of.h0 + of.n_h) * s->n_p};
}

/* The first row of x, B or C among all of the three. */
static int64_t first_of(const core_ssd *s, part p)
{
    return p == X ? 0 : s->n_h * s->n_p + (p == C ? s->n_g * s->n_s : 0);
}

/* My rows [*r0, *r1) of it. */
static void rows_of(const core_ssd *s, const own *o, part p, int64_t *r0,
                    int64_t *r1)
{
    const int64_t first = first_of(s, p);
    *r0 = first + (p == X ? o->c0 : o->of.kv0 * s->n_s);
    *r1 = first + (p == X ? o->c1 : (o->of.kv0 + o->of.n_kv) * s->n_s);
}

/* Has no rank the whole of a group? */
static bool is_between_ranks(const core_ssd *s, const par_plan *plan)
{
    return s->n_g % plan->tp != 0;
}

static void *make(par_model *m, int l)
{
    const core_ssd *ssd = &m->spec->ssd;
    const own o = own_of(m->spec, m->layout);
    const int64_t h0 = o.of.h0, h1 = h0 + o.of.n_h;
    shards s;
    s.gate = par__rows(m, CORE_W_SSD_GATE, l, o.c0, o.c1);
    for (int p = X; p < N_PARTS; p++) {
        int64_t r0, r1;
        rows_of(ssd, &o, (part)p, &r0, &r1);
        s.in[p] = par__rows(m, CORE_W_SSD_XBC, l, r0, r1);
        s.conv[p] = p == X ? par__conv_make(m, CORE_W_SSD_CONV, l, r0, r1)
                           : par__conv_behind(m, &s.conv[p - 1],
                                              CORE_W_SSD_CONV, l, r0, r1);
        const par__repeated of = {o.of, first_of(ssd, (part)p), ssd->n_s};
        if (p != X) /* others may have the same rows of B, of C */
            s.conv[p].repeated = par__keep(&m->shards, &of, sizeof of);
    }
    s.dt = par__rows(m, CORE_W_SSD_DT, l, h0, h1);
    s.step = par__vector(m, CORE_W_SSD_STEP, l, h0, h1);
    s.a_log = par__vector(m, CORE_W_SSD_A_LOG, l, h0, h1);
    s.d = par__vector(m, CORE_W_SSD_D, l, h0, h1);
    s.norm = par__vector(m, CORE_W_SSD_NORM, l, o.c0, o.c1);
    s.out = par__columns(m, CORE_W_SSD_OUT, l, o.c0, o.c1);
    return par__keep(&m->shards, &s, sizeof s);
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const own o = own_of(spec, lay);
    buffers b;
    b.gate = par__result(w, o.c1 - o.c0);
    b.y = par__operand(w, o.c1 - o.c0);
    for (int p = X; p < N_PARTS; p++) {
        int64_t r0, r1;
        rows_of(&spec->ssd, &o, (part)p, &r0, &r1);
        b.in[p] = par__result(w, r1 - r0);
        b.act[p] = par__result(w, r1 - r0);
    }
    b.dt = par__result(w, o.of.n_h);
    b.square = par__result(w, spec->ssd.n_g);
    b.state = par__fresh_f64(w, spec->ssd.n_p * spec->ssd.n_s);
    return par__keep_buffers(w, &b, sizeof b);
}

static const buffers *buffers_of(const par_model *m)
{
    return m->work.mixer[CORE_MIXER_SSD];
}

static void project(par_model *m, const shards *s, int l)
{
    const buffers *w = buffers_of(m);
    const int64_t n_d = m->spec->n_d;
    const core_tap in = par__tap(CORE_TAP_SSD_XBC, l);
    par__enter(m, PAR_OP_SSD, par__tap(CORE_TAP_SSD_GATE, l));
    par__affine_columns(m, w->gate, m->work.xn, n_d, &s->gate,
                        par__tap(CORE_TAP_SSD_GATE, l));
    par__affine_columns(m, w->in[X], m->work.xn, n_d, &s->in[X], in);
    for (int p = B; p <= C; p++) {
        par__affine(m, w->in[p], m->work.xn, n_d, &s->in[p], in);
        par__tap_repeated(m, in, w->in[p], s->conv[p].repeated);
    }
    par__affine_columns(m, w->dt, m->work.xn, n_d, &s->dt,
                        par__tap(CORE_TAP_SSD_DT_RAW, l));
    for (int p = X; p < N_PARTS; p++)
        par__convolve(m, &s->conv[p], w->in[p], w->act[p],
                      par__tap(CORE_TAP_SSD_CONV, l),
                      par__tap(CORE_TAP_SSD_ACT, l));
}

static void time_steps(par_model *m, const shards *s, int l)
{
    const core_ssd *ssd = &m->spec->ssd;
    const int64_t n = m->now.n, n_h = s->dt.n_row;
    const core_tap tap = par__tap(CORE_TAP_SSD_DT, l);
    double *dt = buffers_of(m)->dt;
    core_cost *cost =
        par__cost_rows(m, tap, n, n_h, CORE_FLOPS_ADD + CORE_FLOPS_FUNCTION);
    cost->weights = n > 0 ? n_h : 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t h = 0; h < n_h; h++)
            dt[i * n_h + h] = core_time_step(dt[i * n_h + h] + s->step[h],
                                             ssd->least, ssd->most);
    par__tap_columns(m, tap, dt, s->dt.r0, n_h);
}

/* What one head meets at one token. */
typedef struct meets {
    double dt, decay, d;
    const double *x, *b, *c;
    double *y;
} meets;

/* One step: the state of every channel, then what is read of it.  Returns the
 * largest sum of squares of a channel's states.                              */
static double step(par_model *m, const meets *at, double *state)
{
    const int64_t n_p = m->spec->ssd.n_p, n_s = m->spec->ssd.n_s;
    double largest = 0.0;
    for (int64_t p = 0; p < n_p; p++) {
        double *h = state + p * n_s, sum = 0.0, square = 0.0;
        for (int64_t s = 0; s < n_s; s++)
            h[s] = at->decay * h[s] + (at->dt * at->b[s]) * at->x[p];
        core_store(m->numerics, CORE_GRID_EXP, h, n_s);
        for (int64_t s = 0; s < n_s; s++) {
            sum += h[s] * at->c[s];
            square += h[s] * h[s];
        }
        at->y[p] = sum + at->d * at->x[p];
        largest = par__worse(largest, square);
    }
    return largest;
}

/* My head i_h along a row, from the state that was kept of it (NULL: from its
 * first token on).                                                           */
static double scan_head(par_model *m, const shards *s, par_run row,
                        double *kept, int64_t i_h)
{
    const buffers *w = buffers_of(m);
    const core_ssd *ssd = &m->spec->ssd;
    const int64_t n_h = s->dt.n_row, n_c = s->gate.n_row;
    const par_heads *of = &s->conv[B].repeated->heads;
    const int64_t n_b = s->in[B].n_row;
    const int64_t g = (of->h0 + i_h) / (ssd->n_h / ssd->n_g) - of->kv0;
    double *state = kept != NULL ? kept : w->state, largest = 0.0;
    if (kept == NULL)
        memset(state, 0, (size_t)(ssd->n_p * ssd->n_s) * sizeof *state);
    for (int64_t i = row.i0; i < row.i0 + row.n; i++) {
        meets at = {.dt = w->dt[i * n_h + i_h],
                    .d = s->d[i_h],
                    .x = w->act[X] + i * n_c + i_h * ssd->n_p,
                    .b = w->act[B] + i * n_b + g * ssd->n_s,
                    .c = w->act[C] + i * n_b + g * ssd->n_s,
                    .y = w->y + i * n_c + i_h * ssd->n_p};
        at.decay = core_decay(s->a_log[i_h], at.dt);
        const double square = step(m, &at, state);
        largest = par__worse(largest, square);
    }
    return largest;
}

static void scan(par_model *m, const shards *s, int l)
{
    const buffers *w = buffers_of(m);
    const int64_t n_s = m->spec->ssd.n_s, n = m->now.n;
    const int64_t n_h = s->dt.n_row, n_c = s->gate.n_row, n_b = s->in[B].n_row;
    const core_tap tap = par__tap(CORE_TAP_SSD_Y, l);
    double largest = 0.0;
    core_cost *cost =
        par__cost_rows(m, tap, n, n_c,
                       n_s * (2 * CORE_FLOPS_MULTIPLY_ADD + CORE_FLOPS_SCALE) +
                           CORE_FLOPS_MULTIPLY_ADD);
    cost->k = n_s;
    cost->read = n * (n_c + n_h + 2 * n_b); /* x; dt; B, C */
    cost->weights = n > 0 ? 2 * n_h : 0;
    for (int64_t b = 0; b < m->now.n_row; b++) {
        const par_run row = par__row_tokens(m, b);
        double *kept = par__state(m, l, b); /* behind what is convolved */
        if (kept != NULL)
            kept += par__conv_kept(&s->conv[C]);
        for (int64_t h = 0; h < n_h; h++) {
            const double square = scan_head(
                m, s, row,
                kept != NULL ? kept + h * m->spec->ssd.n_p * n_s : NULL, h);
            largest = par__worse(largest, square);
        }
    }
    if (m->numerics == CORE_EXACT)
        par__check(m, tap, sqrt(largest),
                   core_max_row_norm(w->act[C], n * n_b / n_s, n_s, n_s),
                   CORE_STEP_PROB, CORE_STEP_ACT);
    par__tap_columns(m, tap, w->y, s->gate.r0, n_c);
}

/* square[i, g]: the sum over all channels of group g, whoever has them. */
static void sum_squares(par_model *m, const shards *s, core_tap tap)
{
    const buffers *w = buffers_of(m);
    const core_ssd *ssd = &m->spec->ssd;
    const int64_t n = m->now.n, n_c = s->gate.n_row, n_g = ssd->n_g;
    const int64_t width = ssd->n_h / n_g * ssd->n_p;
    double largest = 0.0;
    par__cost_rows(m, tap, n, n_c, CORE_FLOPS_SQUARES)->written = n * n_g;
    for (int64_t i = 0; i < n * n_g; i++)
        w->square[i] = 0.0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < n_c; c++) {
            const double y = w->y[i * n_c + c];
            w->square[i * n_g + (s->gate.r0 + c) / width] += y * y;
        }
    par__reduce_tp(m, w->square, n * n_g);
    for (int64_t i = 0; i < n * n_g; i++)
        largest = par__worse(largest, w->square[i]);
    par__check_squares(m, tap, largest);
}

/* The norm where groups lie between ranks. */
static void norm_parts(par_model *m, const shards *s, core_tap tap)
{
    const buffers *w = buffers_of(m);
    const core_ssd *ssd = &m->spec->ssd;
    const int64_t n = m->now.n, n_c = s->gate.n_row, n_g = ssd->n_g;
    const int64_t width = ssd->n_h / n_g * ssd->n_p, c0 = s->gate.r0;
    sum_squares(m, s, tap);
    par__cost_rows(m, tap, n, n_c, 2 * CORE_FLOPS_SCALE)->weights =
        n > 0 ? n_c : 0;
    for (int64_t c = 0, end; c < n_c; c = end) {
        const int64_t g = (c0 + c) / width;
        end = (g + 1) * width - c0 < n_c ? (g + 1) * width - c0 : n_c;
        for (int64_t i = 0; i < n; i++) {
            double *y = w->y + i * n_c + c;
            par__rms_apply(y, y, s->norm + c, end - c, w->square[i * n_g + g],
                           (double)width, m->spec->norm_eps);
        }
    }
}

/* Group by group. */
static void norm(par_model *m, const shards *s, core_tap tap)
{
    double *y = buffers_of(m)->y;
    const core_ssd *ssd = &m->spec->ssd;
    const int64_t n = m->now.n, n_c = s->gate.n_row;
    const int64_t n_col = ssd->n_h / ssd->n_g * ssd->n_p;
    if (is_between_ranks(ssd, &m->layout->plan)) {
        norm_parts(m, s, tap);
        return;
    }
    for (int64_t c = 0; c < n_c; c += n_col)
        par__rms_rows(m, y + c, n_c, y + c, n_c, n, n_col, s->norm + c,
                      m->spec->norm_eps, tap);
}

/* y := norm of y silu(gate). */
static void gate_and_norm(par_model *m, const shards *s, int l)
{
    double *y = buffers_of(m)->y;
    const core_tap normed = par__tap(CORE_TAP_SSD_NORM, l);
    par__gate(m, y, CORE_ACT_SILU, buffers_of(m)->gate, &s->gate,
              par__tap(CORE_TAP_SSD_GATED, l));
    norm(m, s, normed);
    par__tap_columns(m, normed, y, s->gate.r0, s->gate.n_row);
}

static void run(par_model *m, const void *of_layer, int l, double *out)
{
    const shards *s = of_layer;
    const buffers *w = buffers_of(m);
    const int64_t n_d = m->spec->n_d, n = m->now.n, n_c = s->gate.n_row;
    const core_tap tap = par__tap(CORE_TAP_ATTN_OUT, l);
    par__clear_states(m, l);
    project(m, s, l);
    time_steps(m, s, l);
    scan(m, s, l);
    gate_and_norm(m, s, l);
    par__enter(m, PAR_OP_SSD, tap);
    par__linear(m, out, n_d, w->y, n_c, n, &s->out, tap);
    par__leave_partial(m, out, s->out.bias, tap);
}

/* What is convolved, and the state of each channel. */
static int64_t n_kept(const core_spec *spec, const par_layout *lay, int l,
                      int64_t n_t)
{
    const core_ssd *s = &spec->ssd;
    const own o = own_of(spec, lay);
    const int64_t n_c = o.c1 - o.c0;
    (void)l;
    (void)n_t;
    return (n_c + 2 * o.of.n_kv * s->n_s) * (s->n_conv - 1) + n_c * s->n_s;
}

static int64_t n_heads(const core_spec *spec)
{
    return spec->ssd.n_h;
}

const par__entry par__ssd = {
    .cut = {"Hs", "heads of a state space", n_heads, true},
    .placement = "ssd                  pp Shard(layer), dp Replicate, tp "
                 "Shard(heads, B and C of a group where a head of it is); what "
                 "leaves the heads is Partial over tp until reduced",
    .kept = n_kept,
    .make = make,
    .carve = carve,
    .run = run,
};
