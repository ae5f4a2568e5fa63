/* ref/deltanet.c -- a gated delta rule in place of attention.
 *
 * Every value head keeps a matrix S [Sk, Sv]; at each position
 *     S_ij := store(decay_i S_ij) ; d_j = beta (v_j - sum_i k_i S_ij)
 *     S_ij := store(S_ij + k_i d_j) ; y_j = (sum_i q_i S_ij) / sqrt(Sk)
 * This recurrence is the definition; a chunked form is the same mathematics in
 * another order.  Rows decay alike, unless each has a time step of its own.
 * Columns of S never meet, so a task is a few columns of one
 * head along one row, small enough to stay in the first cache.
 *
 * Traps: value head h reads key head floor(h Hk / Hv); q and k have length 1,
 * and the root is applied to y, after the sum; S is stored twice a position, as
 * wide as the exponentials of a softmax, though it is no tap.
 */
#include "ref/columns.h"
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

static const double LENGTH_EPS = 1e-6;

typedef struct deltanet {
    double *q, *k, *v; /* [N, Hk*Sk], [N, Hk*Sk], [N, Hv*Sv] projected        */
    double *gate_a;    /* [N, rank], if there is one                          */
    double *gate;      /* [N, Hv*Sv]                                          */
    double *beta;      /* [N, Hv]                                             */
    double *dt_a;      /* [N, rank], if there is one                          */
    double *dt;        /* [N, Hv] or [N, Hv*Sk]                               */
    double *decay;     /* likewise                                            */
    double *q_act, *k_act, *v_act; /* convolved, activated; q, k: length 1 */
    ref__convolution q_conv, k_conv, v_conv;
    double *y;     /* [N, Hv*Sv]                                              */
    double *a_log; /* [Hv]                                                    */
    double *state; /* [n_threads, Sk, REF__COLUMNS]                           */
} deltanet;

static ref__convolution take_conv(ref__run *run, int layer,
                                  core_weight_kind weight, core_tap_kind tap,
                                  core_tap_kind act_tap, const double *u,
                                  double *a)
{
    ref__convolution c = {
        .weight = weight, .tap = tap, .act_tap = act_tap, .u = u, .a = a};
    ref__convolution_take(run, layer, &c);
    return c;
}

static deltanet take(ref__run *run, int layer)
{
    const core_deltanet *s = &run->spec->deltanet;
    core_arena *a = &run->arena;
    const int64_t n_k = run->n * s->n_kh * s->n_dk;
    const int64_t n_v = run->n * s->n_vh * s->n_dv, n_h = run->n * s->n_vh;
    const int64_t n_dt = n_h * core_deltanet_n_dt(s);
    deltanet net = {
        .q = core_arena_f64(a, n_k),
        .k = core_arena_f64(a, n_k),
        .v = core_arena_f64(a, n_v),
        .gate_a = core_arena_f64(a, run->n * s->n_gate_rank),
        .gate = core_arena_f64(a, n_v),
        .beta = core_arena_f64(a, n_h),
        .dt_a = core_arena_f64(a, run->n * s->n_dt_rank),
        .dt = core_arena_f64(a, n_dt),
        .decay = core_arena_f64(a, n_dt),
        .q_act = core_arena_f64(a, n_k),
        .k_act = core_arena_f64(a, n_k),
        .v_act = core_arena_f64(a, n_v),
        .a_log = core_arena_f64(a, s->n_vh),
        .state = core_arena_f64(a, run->n_threads * s->n_dk * REF__COLUMNS),
    };
    net.y = net.v; /* read no more once it is convolved */
    net.q_conv =
        take_conv(run, layer, CORE_W_DELTANET_Q_CONV, CORE_TAP_DELTANET_Q_CONV,
                  CORE_TAP_DELTANET_Q_ACT, net.q, net.q_act);
    net.k_conv =
        take_conv(run, layer, CORE_W_DELTANET_K_CONV, CORE_TAP_DELTANET_K_CONV,
                  CORE_TAP_DELTANET_K_ACT, net.k, net.k_act);
    net.v_conv =
        take_conv(run, layer, CORE_W_DELTANET_V_CONV, CORE_TAP_DELTANET_V_CONV,
                  CORE_TAP_DELTANET_V_ACT, net.v, net.v_act);
    return net;
}

/* One of the projections of the layer's input. */
typedef struct projection {
    core_weight_kind weight;
    core_tap_kind tap;
    double *y;
    int64_t rank; /* 0: straight; else through short_x [N, rank]              */
    core_weight_kind short_weight;
    core_tap_kind short_tap;
    double *short_x;
} projection;

/* What a product reads is measured before it: the short vector's measures take
 * the place of xn's.                                                         */
static void project_one(ref__run *run, int layer, const projection *p)
{
    ref__rows x = ref__measure(run, run->xn, run->n, run->spec->n_d);
    if (p->rank > 0) {
        ref__linear(run, &x, p->short_weight, layer, p->short_tap, p->short_x);
        x = ref__measure(run, p->short_x, run->n, p->rank);
    }
    ref__linear(run, &x, p->weight, layer, p->tap, p->y);
}

static void project(ref__run *run, int layer, const deltanet *net)
{
    const core_deltanet *s = &run->spec->deltanet;
    const projection all[] = {
        {.weight = CORE_W_DELTANET_Q, .tap = CORE_TAP_DELTANET_Q, .y = net->q},
        {.weight = CORE_W_DELTANET_K, .tap = CORE_TAP_DELTANET_K, .y = net->k},
        {.weight = CORE_W_DELTANET_V, .tap = CORE_TAP_DELTANET_V, .y = net->v},
        {.weight = CORE_W_DELTANET_GATE,
         .tap = CORE_TAP_DELTANET_GATE,
         .y = net->gate,
         .rank = s->n_gate_rank,
         .short_weight = CORE_W_DELTANET_GATE_A,
         .short_tap = CORE_TAP_DELTANET_GATE_A,
         .short_x = net->gate_a},
        {.weight = CORE_W_DELTANET_BETA,
         .tap = CORE_TAP_DELTANET_BETA_RAW,
         .y = net->beta},
        {.weight = CORE_W_DELTANET_DT,
         .tap = CORE_TAP_DELTANET_DT_RAW,
         .y = net->dt,
         .rank = s->n_dt_rank,
         .short_weight = CORE_W_DELTANET_DT_A,
         .short_tap = CORE_TAP_DELTANET_DT_A,
         .short_x = net->dt_a},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        project_one(run, layer, &all[i]);
}

/* Every key head of x to length 1. */
static void unit_length(ref__run *run, int layer, core_tap_kind kind, double *x)
{
    const core_deltanet *s = &run->spec->deltanet;
    const ref__norm norm = {.x = x,
                            .ld_x = s->n_kh * s->n_dk,
                            .y = x,
                            .n_part = s->n_kh,
                            .n = s->n_dk,
                            .n_sum = 1.0,
                            .weight = CORE_W_NONE,
                            .eps = LENGTH_EPS};
    ref__rmsnorm(run, layer, kind, &norm);
}

/* beta := sigmoid(beta). */
static void strengths(ref__run *run, int layer, double *beta)
{
    const int64_t n = run->n * run->spec->deltanet.n_vh;
    float *bound = ref__bound_buffer(run, CORE_TAP_DELTANET_BETA, layer);
    for (int64_t i = 0; i < n; i++)
        beta[i] = run->draw != NULL ? ref__drawn_sigmoid(beta[i])
                                    : core_sigmoid(beta[i]);
    core_store(run->numerics, CORE_GRID_PROB, beta, n);
    if (bound != NULL)
        ref__bound_relative(run->u, bound, beta, n, REF__ROUNDS_SIGMOID);
    ref__put(run, CORE_TAP_DELTANET_BETA, layer, beta, bound);
}

/* A step from what was projected: softplus, or its bounded form. */
static double time_step(const ref__run *run, double a_log, double z)
{
    if (run->spec->deltanet.floor < 0.0)
        return run->draw != NULL ? ref__drawn_bounded_step(a_log, z)
                                 : core_bounded_step(a_log, z);
    return run->draw != NULL ? ref__drawn_softplus(z) : core_softplus(z);
}

static void time_steps(ref__run *run, int layer, const double *a_log,
                       double *dt)
{
    const core_deltanet *s = &run->spec->deltanet;
    const int64_t n_dt = core_deltanet_n_dt(s), n = run->n * s->n_vh * n_dt;
    float *bound = ref__bound_buffer(run, CORE_TAP_DELTANET_DT, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t i = 0; i < n; i++) {
        const double z = dt[i], a_log_h = a_log[i / n_dt % s->n_vh];
        dt[i] = time_step(run, a_log_h, z);
        core_store(run->numerics, CORE_GRID_PROB, dt + i, 1);
        if (bound != NULL && s->floor < 0.0)
            ref__bound_bounded_step(run->u, bound + i, exp(a_log_h) * z, dt[i]);
        else if (bound != NULL)
            ref__bound_softplus(run->u, bound + i, z, dt[i]);
    }
    ref__put(run, CORE_TAP_DELTANET_DT, layer, dt, bound);
}

/* Times a step: -log of what it leaves of a row. */
static double rate_of(const core_deltanet *s, double a_log)
{
    return s->floor < 0.0 ? -s->floor : exp(a_log);
}

static double decay_of(const ref__run *run, double a_log, double dt)
{
    const double floor = run->spec->deltanet.floor;
    if (floor < 0.0)
        return run->draw != NULL ? ref__drawn_bounded_decay(floor, dt)
                                 : core_bounded_decay(floor, dt);
    return run->draw != NULL ? ref__drawn_decay(a_log, dt)
                             : core_decay(a_log, dt);
}

/* --- the recurrence --- */

/* Columns [j0, j1) of value head h along row b: a task. */
typedef struct task {
    int64_t b, h, j0, j1;
    double *state; /* [Sk, REF__COLUMNS]                                      */
    double rate;   /* of the head's decay                                     */
    float *bound;  /* of y, or NULL                                           */
} task;

/* What a task meets at one position. */
typedef struct moment {
    const double *q, *k;      /* [Sk]                                         */
    const double *v;          /* [j1 - j0]                                    */
    const double *dt, *decay; /* of row i of S: at i * dt_step                */
    int64_t dt_step;          /* 0: one for all                               */
    double beta;
    double *y; /* [j1 - j0]                                                   */
} moment;

static moment moment_of(const ref__run *run, const deltanet *net, const task *k,
                        int64_t token)
{
    const core_deltanet *s = &run->spec->deltanet;
    const int64_t g = k->h * s->n_kh / s->n_vh;
    const int64_t key = (token * s->n_kh + g) * s->n_dk;
    const int64_t head = token * s->n_vh + k->h;
    const int64_t value = head * s->n_dv + k->j0;
    const int64_t step = head * core_deltanet_n_dt(s);
    return (moment){.q = net->q_act + key,
                    .k = net->k_act + key,
                    .v = net->v_act + value,
                    .beta = net->beta[head],
                    .dt = net->dt + step,
                    .decay = net->decay + step,
                    .dt_step = s->by_row ? 1 : 0,
                    .y = net->y + value};
}

/* S := store(decay S), row by row: of row i at i * step.  found[j] = sum_i k_i
 * S_ij.                                                                      */
static inline void decay_rows(core_numerics numerics, double *restrict state,
                              int64_t n_k, const double *restrict decay,
                              int64_t step, const double *restrict k,
                              double *restrict found)
{
    memset(found, 0, REF__COLUMNS * sizeof *found);
    for (int64_t i = 0; i < n_k; i++, state += REF__COLUMNS) {
#pragma omp simd
        for (int j = 0; j < REF__COLUMNS; j++)
            state[j] *= decay[i * step];
        ref__store_columns(numerics, state);
        ref__add_columns(found, k[i], state);
    }
}

/* S_ij := store(S_ij + k_i d_j); y[j] = sum_i q_i S_ij. */
static inline void correct_rows(core_numerics numerics, double *restrict state,
                                int64_t n_k, const double *restrict k,
                                const double *restrict d,
                                const double *restrict q, double *restrict y)
{
    memset(y, 0, REF__COLUMNS * sizeof *y);
    for (int64_t i = 0; i < n_k; i++, state += REF__COLUMNS) {
        ref__add_columns(state, k[i], d);
        ref__store_columns(numerics, state);
        ref__add_columns(y, q[i], state);
    }
}

/* The two, with fp64 in a loop of its own.  `restrict` once more: without it
 * sums do not stay in registers. */
CORE_WIDE static void decay_and_read(core_numerics numerics,
                                     double *restrict state, int64_t n_k,
                                     const double *restrict decay, int64_t step,
                                     const double *restrict k,
                                     double *restrict found)
{
    if (numerics == CORE_FP64)
        decay_rows(CORE_FP64, state, n_k, decay, step, k, found);
    else
        decay_rows(numerics, state, n_k, decay, step, k, found);
}

CORE_WIDE static void
correct_and_read(core_numerics numerics, double *restrict state, int64_t n_k,
                 const double *restrict k, const double *restrict d,
                 const double *restrict q, double *restrict y)
{
    if (numerics == CORE_FP64)
        correct_rows(CORE_FP64, state, n_k, k, d, q, y);
    else
        correct_rows(numerics, state, n_k, k, d, q, y);
}

/* How far the columns of a task may be off, as euclidean norms: e[j].
 *
 * What is off goes through S := (1 - beta k k^T) decay S, which makes no column
 * longer, since |k| <= 1 but for its rounding and 0 <= beta <= 1.  A position
 * adds, with n = |decay S_j| of what the other side has: the decay's errors, of
 * every row 3 |exponent| + 3 as for mamba; of the sum m_j, beta |k|
 * sum_error(Sk) |k| n; of
 * v - m, its product with beta and that with k, 3 |d_j| |k|; and both stores of
 * S, twice.  Stores of the state are those of u.sum: it is never narrower.   */
typedef struct errors {
    double e[REF__COLUMNS], before[REF__COLUMNS]; /* before: |decay S_j|      */
} errors;

static void errors_of_decay(ref__roundoff u, errors *x, const task *k,
                            int64_t n_k, const moment *now)
{
    const double *state = k->state;
    double slowest = 0.0, squares[REF__COLUMNS] = {0.0};
    for (int64_t i = 0; i < n_k; i++) {
        const int64_t at = i * now->dt_step;
        const double exponent = k->rate * now->dt[at];
        slowest = ref__worse(slowest, now->decay[at]);
        for (int j = 0; j < REF__COLUMNS; j++) {
            const double off =
                (3.0 * exponent + 3.0 + 2.0) * state[i * REF__COLUMNS + j];
            squares[j] += off * off;
        }
    }
    ref__column_norms(state, n_k, x->before);
    for (int j = 0; j < REF__COLUMNS; j++)
        x->e[j] = slowest * x->e[j] + u.sum * sqrt(squares[j]);
}

static void errors_of_correction(ref__roundoff u, errors *x, const double *norm,
                                 int64_t n_k, const moment *now,
                                 const double *d)
{
    const double norm_k = core_max_row_norm(now->k, 1, n_k, n_k);
    const double of_sum = now->beta * ref__sum_error(u, n_k) * norm_k * norm_k;
    for (int j = 0; j < REF__COLUMNS; j++) {
        const double there = x->before[j] + x->e[j];
        x->e[j] += of_sum * there +
                   u.sum * (3.0 * norm_k * fabs(d[j]) + 2.0 * norm[j]);
        x->e[j] *= 1.0 + 8.0 * u.sum; /* of errors of errors */
    }
}

/* The root may be applied to q instead, which rounds twice more.             */
static void bound_y(ref__roundoff u, const errors *x, const double *norm,
                    int64_t n_k, int64_t n, const moment *now, float *bound)
{
    const double of_q =
        core_max_row_norm(now->q, 1, n_k, n_k) / sqrt((double)n_k);
    for (int64_t j = 0; j < n; j++) {
        const double sum_abs = of_q * norm[j];
        ref__bound_sum(u, bound + j, sum_abs, now->y[j], n_k,
                       of_q * x->e[j] + 2.0 * u.sum * sum_abs);
    }
}

/* One position.  Returns the largest |S_j| of it.                            */
static double advance(const ref__run *run, const task *k, const moment *now,
                      errors *x, float *bound)
{
    const int64_t n_k = run->spec->deltanet.n_dk, n = k->j1 - k->j0;
    const double root = sqrt((double)n_k);
    double d[REF__COLUMNS], y[REF__COLUMNS], norm[REF__COLUMNS];
    double largest = 0.0;
    decay_and_read(run->numerics, k->state, n_k, now->decay, now->dt_step,
                   now->k, d);
    if (bound != NULL)
        errors_of_decay(run->u, x, k, n_k, now);
    for (int64_t j = 0; j < n; j++)
        d[j] = now->beta * (now->v[j] - d[j]);
    for (int64_t j = n; j < REF__COLUMNS; j++)
        d[j] = 0.0;
    correct_and_read(run->numerics, k->state, n_k, now->k, d, now->q, y);
    for (int64_t j = 0; j < n; j++)
        now->y[j] = y[j] / root;
    core_store(run->numerics, CORE_GRID_PROB, now->y, n);
    if (!run->exact && bound == NULL)
        return 0.0;
    ref__column_norms(k->state, n_k, norm);
    for (int64_t j = 0; j < n; j++) /* decay makes none longer */
        largest = ref__worse(largest, norm[j]);
    if (bound != NULL) {
        errors_of_correction(run->u, x, norm, n_k, now, d);
        bound_y(run->u, x, norm, n_k, n, now, bound);
    }
    return largest;
}

/* All positions of a task; returns the largest |S_j|. */
static double run_task(const ref__run *run, const ref__drawn *drawn,
                       const deltanet *net, const task *k)
{
    const core_deltanet *s = &run->spec->deltanet;
    const int64_t n = k->j1 - k->j0;
    double largest = 0.0;
    errors x = {{0.0}, {0.0}};
    memset(k->state, 0, (size_t)(s->n_dk * REF__COLUMNS) * sizeof *k->state);
    for (int64_t t = 0; t < run->batch->n_t; t++) {
        const int64_t token = k->b * run->batch->n_t + t;
        const moment now = moment_of(run, net, k, token);
        if (run->draw != NULL) {
            ref__drawn_delta(drawn, k->state, s->n_dk, n, now.q, now.k, now.v,
                             now.beta, now.decay, now.dt_step, now.y);
            core_store(run->numerics, CORE_GRID_PROB, now.y, n);
            continue;
        }
        float *bound = k->bound != NULL ? k->bound + (now.y - net->y) : NULL;
        largest = ref__worse(largest, advance(run, k, &now, &x, bound));
    }
    return largest;
}

/* Lengths of queries and keys are 1, but for their grid. */
static double largest_key(const ref__run *run, const deltanet *net)
{
    const core_deltanet *s = &run->spec->deltanet;
    const int64_t n = run->n * s->n_kh;
    return ref__worse(core_max_row_norm(net->q_act, n, s->n_dk, s->n_dk),
                      core_max_row_norm(net->k_act, n, s->n_dk, s->n_dk));
}

/* What is left of a row of S after each position.                           */
static void decays(const ref__run *run, const deltanet *net)
{
    const core_deltanet *s = &run->spec->deltanet;
    const int64_t n_dt = core_deltanet_n_dt(s), n_col = s->n_vh * n_dt;
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++)
        for (int64_t c = 0; c < n_col; c++) {
            const double a_log = net->a_log[c / n_dt];
            const double dt = net->dt[t * n_col + c];
            net->decay[t * n_col + c] = decay_of(run, a_log, dt);
        }
}

static void recur(ref__run *run, int layer, const deltanet *net)
{
    const core_deltanet *s = &run->spec->deltanet;
    const int64_t n_block = (s->n_dv + REF__COLUMNS - 1) / REF__COLUMNS;
    const int64_t n_task = run->batch->n_b * s->n_vh * n_block;
    float *bound = ref__bound_buffer(run, CORE_TAP_DELTANET_Y, layer);
    const ref__drawn drawn =
        ref__draw_operator(run, CORE_TAP_DELTANET_Y, layer);
    double largest = 0.0;
    decays(run, net);
#pragma omp parallel for schedule(dynamic) num_threads(run->n_threads)         \
    reduction(max                                                              \
              : largest)
    for (int64_t i = 0; i < n_task; i++) {
        const int64_t j0 = i % n_block * REF__COLUMNS;
        const task k = {
            .b = i / n_block / s->n_vh,
            .h = i / n_block % s->n_vh,
            .j0 = j0,
            .j1 = j0 + REF__COLUMNS < s->n_dv ? j0 + REF__COLUMNS : s->n_dv,
            .state = net->state + omp_get_thread_num() * s->n_dk * REF__COLUMNS,
            .rate = rate_of(s, net->a_log[i / n_block % s->n_vh]),
            .bound = bound,
        };
        largest = ref__worse(largest, run_task(run, &drawn, net, &k));
    }
    if (run->exact)
        ref__record_bits(run, CORE_TAP_DELTANET_Y, layer,
                         ref__bits(largest * largest_key(run, net),
                                   CORE_STEP_PROB * CORE_STEP_PROB));
    ref__put(run, CORE_TAP_DELTANET_Y, layer, net->y, bound);
}

/* Every value head normed, then times its gate. */
static void norm_and_gate(ref__run *run, int layer, const deltanet *net)
{
    const core_deltanet *s = &run->spec->deltanet;
    const int64_t width = s->n_vh * s->n_dv;
    const ref__norm norm = {.x = net->y,
                            .ld_x = width,
                            .y = net->y,
                            .n_part = s->n_vh,
                            .n = s->n_dv,
                            .weight = CORE_W_DELTANET_NORM,
                            .eps = run->spec->norm_eps,
                            .step = CORE_STEP_PROB};
    ref__rmsnorm(run, layer, CORE_TAP_DELTANET_NORM, &norm);
    ref__gate(run, layer, CORE_TAP_DELTANET_GATED,
              s->sigmoid_gate ? CORE_ACT_SIGMOID : CORE_ACT_SILU, net->gate,
              net->y, width);
}

void ref__deltanet(ref__run *run, int layer, double *out, bool dry)
{
    const deltanet net = take(run, layer);
    if (dry)
        return;
    const core_deltanet *s = &run->spec->deltanet;
    project(run, layer, &net);
    ref__convolve(run, layer, &net.q_conv);
    ref__convolve(run, layer, &net.k_conv);
    ref__convolve(run, layer, &net.v_conv);
    unit_length(run, layer, CORE_TAP_DELTANET_Q_NORM, net.q_act);
    unit_length(run, layer, CORE_TAP_DELTANET_K_NORM, net.k_act);
    strengths(run, layer, net.beta);
    ref__read_vector(run, CORE_W_DELTANET_A_LOG, layer, net.a_log);
    time_steps(run, layer, net.a_log, net.dt);
    recur(run, layer, &net);
    norm_and_gate(run, layer, &net);
    const ref__rows y = ref__measure(run, net.y, run->n, s->n_vh * s->n_dv);
    ref__linear(run, &y, CORE_W_DELTANET_OUT, layer, CORE_TAP_ATTN_OUT, out);
}
