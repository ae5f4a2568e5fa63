/* parallel/deltanet.c -- the gated delta rule, split over tp by key heads.
 *
 * A key head goes with the value heads that it serves, so a rank has whole
 * heads of both, and their gates, strengths and steps: Shard(head) from the
 * projections to the gated norm.  Convolutions are channel by channel and
 * follow their head.  The short vectors that gates and steps may be made from
 * are Replicate: every rank of the tensor group makes them from the whole xn.
 * Heads meet in the output projection alone, which is row-parallel: one
 * reduction.
 *
 * Traps: rows of v, gate, beta and dt are those of my value heads, which are
 * not as many as my key heads; the state starts at zero in every row, goes on
 * from step to step, and is stored twice at every position; a norm's weight is
 * one head's, the same for all.
 */
#include "parallel/forward_impl.h"

#include <math.h>
#include <string.h>

#define LENGTH_EPS 1e-6

/* Shard(head); the norm and what makes short vectors are Replicate. */
typedef struct shards {
    par_shard q, k, v, gate_a, gate, beta, dt_a, dt, out;
    par__conv q_conv, k_conv, v_conv;
    const double *a_log; /* [own value heads]                                 */
    const double *norm;  /* [Sv]                                              */
} shards;

typedef struct buffers {
    double *q, *k;         /* [n, own key heads * Sk] projected               */
    double *q_act, *k_act; /* likewise: convolved, then of length 1           */
    double *v, *gate;      /* [n, own value heads * Sv]                       */
    double *v_act, *y;
    double *gate_a, *dt_a; /* [n, rank], whole; NULL: there is none           */
    double *beta;          /* [n, own value heads]                            */
    double *dt;    /* [n, own value heads], or as many times Sk               */
    double *state; /* [Sv, Sk] of the head at hand: a column in a row         */
    double *decay; /* [Sk] of it                                              */
    double *delta; /* [Sv]                                                    */
} buffers;

/* My key heads are [first, first + n_k), my value heads [.., .. + n_v). */
typedef struct heads {
    int64_t key0, n_k, value0, n_v;
} heads;

static heads heads_of(const core_spec *spec, const par_layout *lay)
{
    const core_deltanet *s = &spec->deltanet;
    const int64_t served = s->n_vh / s->n_kh;
    const int64_t first = core_split_first(s->n_kh, lay->plan.tp, lay->t);
    const int64_t end = core_split_first(s->n_kh, lay->plan.tp, lay->t + 1);
    return (heads){first, end - first, first * served, (end - first) * served};
}

static void *make(par_model *m, int l)
{
    const core_deltanet *n = &m->spec->deltanet;
    const heads h = heads_of(m->spec, m->layout);
    const int64_t k0 = h.key0 * n->n_dk, k1 = (h.key0 + h.n_k) * n->n_dk;
    const int64_t v0 = h.value0 * n->n_dv, v1 = (h.value0 + h.n_v) * n->n_dv;
    const int64_t h0 = h.value0, h1 = h.value0 + h.n_v;
    const int64_t n_dt = core_deltanet_n_dt(n);
    shards s = {0};
    s.q = par__rows(m, CORE_W_DELTANET_Q, l, k0, k1);
    s.k = par__rows(m, CORE_W_DELTANET_K, l, k0, k1);
    s.v = par__rows(m, CORE_W_DELTANET_V, l, v0, v1);
    s.gate = par__rows(m, CORE_W_DELTANET_GATE, l, v0, v1);
    s.beta = par__rows(m, CORE_W_DELTANET_BETA, l, h0, h1);
    s.dt = par__rows(m, CORE_W_DELTANET_DT, l, h0 * n_dt, h1 * n_dt);
    if (n->n_gate_rank > 0)
        s.gate_a = par__rows(m, CORE_W_DELTANET_GATE_A, l, 0, PAR_END);
    if (n->n_dt_rank > 0)
        s.dt_a = par__rows(m, CORE_W_DELTANET_DT_A, l, 0, PAR_END);
    s.out = par__columns(m, CORE_W_DELTANET_OUT, l, v0, v1);
    s.q_conv = par__conv_make(m, CORE_W_DELTANET_Q_CONV, l, k0, k1);
    s.k_conv =
        par__conv_behind(m, &s.q_conv, CORE_W_DELTANET_K_CONV, l, k0, k1);
    s.v_conv =
        par__conv_behind(m, &s.k_conv, CORE_W_DELTANET_V_CONV, l, v0, v1);
    s.a_log = par__vector(m, CORE_W_DELTANET_A_LOG, l, h0, h1);
    s.norm = par__vector(m, CORE_W_DELTANET_NORM, l, 0, PAR_END);
    return par__keep(&m->shards, &s, sizeof s);
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const core_deltanet *s = &spec->deltanet;
    const heads h = heads_of(spec, lay);
    const int64_t n_k = h.n_k * s->n_dk, n_v = h.n_v * s->n_dv;
    buffers b;
    b.q = par__result(w, n_k);
    b.k = par__result(w, n_k);
    b.q_act = par__result(w, n_k);
    b.k_act = par__result(w, n_k);
    b.v = par__result(w, n_v);
    b.gate = par__result(w, n_v);
    b.v_act = par__result(w, n_v);
    b.y = par__operand(w, n_v);
    b.beta = par__result(w, h.n_v);
    b.dt = par__result(w, h.n_v * core_deltanet_n_dt(s));
    b.gate_a = s->n_gate_rank > 0 ? par__operand(w, s->n_gate_rank) : NULL;
    b.dt_a = s->n_dt_rank > 0 ? par__operand(w, s->n_dt_rank) : NULL;
    b.decay = par__fresh_f64(w, s->n_dk);
    b.state = par__fresh_f64(w, s->n_dv * s->n_dk);
    b.delta = par__fresh_f64(w, s->n_dv);
    return par__keep_buffers(w, &b, sizeof b);
}

static const buffers *buffers_of(const par_model *m)
{
    return m->work.mixer[CORE_MIXER_DELTANET];
}

/* y = x W^T of my heads; x is xn, or short_x, which `shorter` makes of it. */
static void project_short(par_model *m, double *y, const par_shard *w,
                          core_tap tap, double *short_x,
                          const par_shard *shorter, core_tap short_tap)
{
    if (short_x != NULL) {
        par__affine(m, short_x, m->work.xn, m->spec->n_d, shorter, short_tap);
        par__tap_replicated(m, short_tap, short_x);
    }
    par__affine_columns(m, y, short_x != NULL ? short_x : m->work.xn, w->n_col,
                        w, tap);
}

static void project(par_model *m, const shards *s, int l)
{
    const buffers *w = buffers_of(m);
    const double *xn = m->work.xn;
    const int64_t n_d = m->spec->n_d;
    par__affine_columns(m, w->q, xn, n_d, &s->q,
                        par__tap(CORE_TAP_DELTANET_Q, l));
    par__affine_columns(m, w->k, xn, n_d, &s->k,
                        par__tap(CORE_TAP_DELTANET_K, l));
    par__affine_columns(m, w->v, xn, n_d, &s->v,
                        par__tap(CORE_TAP_DELTANET_V, l));
    project_short(m, w->gate, &s->gate, par__tap(CORE_TAP_DELTANET_GATE, l),
                  w->gate_a, &s->gate_a, par__tap(CORE_TAP_DELTANET_GATE_A, l));
    par__affine_columns(m, w->beta, xn, n_d, &s->beta,
                        par__tap(CORE_TAP_DELTANET_BETA_RAW, l));
    project_short(m, w->dt, &s->dt, par__tap(CORE_TAP_DELTANET_DT_RAW, l),
                  w->dt_a, &s->dt_a, par__tap(CORE_TAP_DELTANET_DT_A, l));
}

static void convolve(par_model *m, const shards *s, int l)
{
    const buffers *w = buffers_of(m);
    par__convolve(m, &s->q_conv, w->q, w->q_act,
                  par__tap(CORE_TAP_DELTANET_Q_CONV, l),
                  par__tap(CORE_TAP_DELTANET_Q_ACT, l));
    par__convolve(m, &s->k_conv, w->k, w->k_act,
                  par__tap(CORE_TAP_DELTANET_K_CONV, l),
                  par__tap(CORE_TAP_DELTANET_K_ACT, l));
    par__convolve(m, &s->v_conv, w->v, w->v_act,
                  par__tap(CORE_TAP_DELTANET_V_CONV, l),
                  par__tap(CORE_TAP_DELTANET_V_ACT, l));
}

/* x, heads of n_col columns, each over sqrt(its squares / n_sum + eps), times
 * weight unless that is NULL; step: of x, in exact mode.                     */
static void norm_heads(par_model *m, double *x, int64_t n_head, int64_t n_col,
                       const double *weight, double n_sum, double eps,
                       double step, core_tap tap)
{
    const int64_t n = m->now.n * n_head;
    double largest = 0.0;
    par__cost_rows(m, tap, n, n_col,
                   CORE_FLOPS_SQUARES + CORE_FLOPS_SCALE +
                       (weight != NULL ? CORE_FLOPS_SCALE : 0))
        ->weights = weight != NULL && n > 0 ? n_col : 0;
    for (int64_t i = 0; i < n; i++) {
        double *head = x + i * n_col;
        const double square = par__sum_of_squares(head, n_col);
        par__rms_apply(head, head, weight, n_col, square, n_sum, eps);
        largest = par__worse(largest, square);
    }
    if (m->numerics == CORE_EXACT)
        par__check(m, tap, sqrt(largest), sqrt(largest), step, step);
}

static void unit_lengths(par_model *m, int l)
{
    const buffers *w = buffers_of(m);
    const heads h = heads_of(m->spec, m->layout);
    const int64_t n_dk = m->spec->deltanet.n_dk;
    const core_tap q = par__tap(CORE_TAP_DELTANET_Q_NORM, l);
    const core_tap k = par__tap(CORE_TAP_DELTANET_K_NORM, l);
    norm_heads(m, w->q_act, h.n_k, n_dk, NULL, 1.0, LENGTH_EPS, CORE_STEP_ACT,
               q);
    par__tap_columns(m, q, w->q_act, h.key0 * n_dk, h.n_k * n_dk);
    norm_heads(m, w->k_act, h.n_k, n_dk, NULL, 1.0, LENGTH_EPS, CORE_STEP_ACT,
               k);
    par__tap_columns(m, k, w->k_act, h.key0 * n_dk, h.n_k * n_dk);
}

/* How much a position corrects, and how long it takes. */
static void weigh(par_model *m, const shards *s, int l)
{
    const buffers *w = buffers_of(m);
    const int64_t n = m->now.n, n_v = s->beta.n_row, n_dt = s->dt.n_row;
    const int64_t of_head = core_deltanet_n_dt(&m->spec->deltanet);
    const core_tap beta = par__tap(CORE_TAP_DELTANET_BETA, l);
    const core_tap dt = par__tap(CORE_TAP_DELTANET_DT, l);
    par__cost_rows(m, beta, n, n_v, CORE_FLOPS_FUNCTION);
    for (int64_t i = 0; i < n * n_v; i++)
        w->beta[i] = core_sigmoid(w->beta[i]);
    par__tap_columns(m, beta, w->beta, s->beta.r0, n_v);
    par__cost_rows(m, dt, n, n_dt, CORE_FLOPS_FUNCTION);
    for (int64_t i = 0; i < n * n_dt; i++)
        w->dt[i] =
            m->spec->deltanet.floor < 0.0
                ? core_bounded_step(s->a_log[i % n_dt / of_head], w->dt[i])
                : core_softplus(w->dt[i]);
    par__tap_columns(m, dt, w->dt, s->dt.r0, n_dt);
}

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* The state one position on; row j of it is column j of S. */
static void advance(par_model *m, double *state, const double *key,
                    const double *value, double beta)
{
    const core_deltanet *s = &m->spec->deltanet;
    const int64_t n_dk = s->n_dk, n = s->n_dv * n_dk;
    const double *decay = buffers_of(m)->decay;
    double *delta = buffers_of(m)->delta;
    for (int64_t j = 0; j < s->n_dv; j++)
        for (int64_t i = 0; i < n_dk; i++)
            state[j * n_dk + i] *= decay[i];
    core_store(m->numerics, CORE_GRID_EXP, state, n);
    for (int64_t j = 0; j < s->n_dv; j++)
        delta[j] = beta * (value[j] - dot(key, state + j * n_dk, n_dk));
    for (int64_t j = 0; j < s->n_dv; j++)
        for (int64_t i = 0; i < n_dk; i++)
            state[j * n_dk + i] += key[i] * delta[j];
    core_store(m->numerics, CORE_GRID_EXP, state, n);
}

/* Exact mode: the longest column of the state and of what reads it. */
typedef struct longest {
    double state, key;
} longest;

static void see(longest *x, const double *state, const double *key,
                const double *query, const core_deltanet *s)
{
    const double at[] = {core_max_row_norm(state, s->n_dv, s->n_dk, s->n_dk),
                         core_max_row_norm(key, 1, s->n_dk, s->n_dk),
                         core_max_row_norm(query, 1, s->n_dk, s->n_dk)};
    x->state = par__worse(x->state, at[0]);
    for (int i = 1; i < 3; i++)
        x->key = par__worse(x->key, at[i]);
}

/* What is left of each row of S; dt: the head's time step, or one a row. */
static void find_decay(par_model *m, double a_log, const double *dt)
{
    const core_deltanet *s = &m->spec->deltanet;
    double *decay = buffers_of(m)->decay;
    for (int64_t i = 0; i < s->n_dk; i++) {
        if (!s->by_row && i > 0)
            decay[i] = decay[0];
        else if (s->floor < 0.0)
            decay[i] = core_bounded_decay(s->floor, dt[i]);
        else
            decay[i] = core_decay(a_log, dt[i]);
    }
}

/* Value head h of mine along a row, from the state that was kept of it (NULL:
 * from its first token on).                                                  */
static void scan_head(par_model *m, const shards *s, par_run row, double *kept,
                      int64_t h, longest *x)
{
    const buffers *w = buffers_of(m);
    const core_deltanet *net = &m->spec->deltanet;
    const heads mine = heads_of(m->spec, m->layout);
    const int64_t n_dk = net->n_dk, n_dv = net->n_dv;
    const int64_t g = h / (net->n_vh / net->n_kh);
    const double root = sqrt((double)n_dk);
    double *state = kept != NULL ? kept : w->state;
    if (kept == NULL)
        memset(state, 0, (size_t)(n_dv * n_dk) * sizeof *state);
    for (int64_t i = row.i0; i < row.i0 + row.n; i++) {
        const int64_t at = i * mine.n_v + h;
        const double *key = w->k_act + (i * mine.n_k + g) * n_dk;
        const double *query = w->q_act + (i * mine.n_k + g) * n_dk;
        find_decay(m, s->a_log[h], w->dt + at * core_deltanet_n_dt(net));
        advance(m, state, key, w->v_act + at * n_dv, w->beta[at]);
        for (int64_t j = 0; j < n_dv; j++)
            w->y[at * n_dv + j] = dot(query, state + j * n_dk, n_dk) / root;
        if (m->numerics == CORE_EXACT)
            see(x, state, key, query, net);
    }
}

static void scan(par_model *m, const shards *s, int l)
{
    const buffers *w = buffers_of(m);
    const core_deltanet *net = &m->spec->deltanet;
    const heads h = heads_of(m->spec, m->layout);
    const int64_t n = m->now.n, n_col = h.n_v * net->n_dv;
    const core_tap tap = par__tap(CORE_TAP_DELTANET_Y, l);
    longest x = {0.0, 0.0};
    core_cost *cost =
        par__cost_rows(m, tap, n, n_col,
                       CORE_FLOPS_MATRIX_STATE * net->n_dk + CORE_FLOPS_SCALE);
    cost->k = net->n_dk;
    cost->n_head = h.n_v;
    cost->read = n * (n_col + 2 * h.n_k * net->n_dk +
                      h.n_v * (1 + core_deltanet_n_dt(net)));
    cost->weights = n > 0 ? h.n_v : 0;
    for (int64_t b = 0; b < m->now.n_row; b++) {
        double *kept = par__state(m, l, b); /* behind what is convolved */
        if (kept != NULL)
            kept += par__conv_kept(&s->v_conv);
        for (int64_t i = 0; i < h.n_v; i++)
            scan_head(m, s, par__row_tokens(m, b),
                      kept != NULL ? kept + i * net->n_dv * net->n_dk : NULL, i,
                      &x);
    }
    if (m->numerics == CORE_EXACT)
        par__check(m, tap, x.key, x.state, CORE_STEP_PROB, CORE_STEP_PROB);
    par__tap_columns(m, tap, w->y, h.value0 * net->n_dv, n_col);
}

static void norm_and_gate(par_model *m, const shards *s, int l)
{
    const buffers *w = buffers_of(m);
    const int64_t n_dv = m->spec->deltanet.n_dv;
    const int64_t n_col = s->gate.n_row;
    const core_tap norm = par__tap(CORE_TAP_DELTANET_NORM, l);
    norm_heads(m, w->y, n_col / n_dv, n_dv, s->norm, (double)n_dv,
               m->spec->norm_eps, CORE_STEP_PROB, norm);
    par__tap_columns(m, norm, w->y, s->gate.r0, n_col);
    par__gate(m, w->y,
              m->spec->deltanet.sigmoid_gate ? CORE_ACT_SIGMOID : CORE_ACT_SILU,
              w->gate, &s->gate, par__tap(CORE_TAP_DELTANET_GATED, l));
}

static void run(par_model *m, const void *of_layer, int l, double *out)
{
    const shards *s = of_layer;
    const int64_t n_d = m->spec->n_d, n = m->now.n;
    const core_tap tap = par__tap(CORE_TAP_ATTN_OUT, l);
    par__clear_states(m, l);
    par__enter(m, PAR_OP_DELTANET, par__tap(CORE_TAP_DELTANET_Q, l));
    project(m, s, l);
    convolve(m, s, l);
    unit_lengths(m, l);
    weigh(m, s, l);
    scan(m, s, l);
    norm_and_gate(m, s, l);
    par__enter(m, PAR_OP_DELTANET, tap);
    par__linear(m, out, n_d, buffers_of(m)->y, s->out.n_col, n, &s->out, tap);
    par__leave_partial(m, out, NULL, tap);
}

/* What is convolved, and the state of each value head. */
static int64_t n_kept(const core_spec *spec, const par_layout *lay, int l,
                      int64_t n_t)
{
    const core_deltanet *s = &spec->deltanet;
    const heads h = heads_of(spec, lay);
    (void)l;
    (void)n_t;
    return (2 * h.n_k * s->n_dk + h.n_v * s->n_dv) * (s->n_conv - 1) +
           h.n_v * s->n_dv * s->n_dk;
}

static int64_t n_key_heads(const core_spec *spec)
{
    return spec->deltanet.n_kh;
}

const par__entry par__deltanet = {
    .cut = {"Hk", "key heads of the delta net", n_key_heads, false},
    .placement = "deltanet             pp Shard(layer), dp Replicate, tp "
                 "Shard(key heads, each with its value heads); short vectors "
                 "Replicate; what leaves the heads is Partial over tp until "
                 "reduced",
    .kept = n_kept,
    .make = make,
    .carve = carve,
    .run = run,
};
