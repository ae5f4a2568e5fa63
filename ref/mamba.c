/* ref/mamba.c -- a selective state space in place of attention.
 *
 * Projections, a causal convolution over a few positions, and between them the
 * state, which is all that a row remembers:
 *     h_s = store(decay(A_log_s, dt) h_s + (dt B_s) a)     s < S
 *     y   = sum_s h_s C_s + D a
 * Buffers of N*C are used again as soon as their tap is delivered.  Traps: time
 * step, B and C are three norms of three parts of one projection; h is stored
 * at every position though it is no tap: the next one starts from the stored
 * value.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { CHANNELS = 16 }; /* of a task of the recurrence                        */

typedef struct mamba {
    double *u;    /* [N, C], then y                                           */
    double *gate; /* [N, C]                                                   */
    double *a;    /* [N, C] convolved, then activated                         */
    double *x;    /* [N, R + 2S]                                              */
    double *dt_norm, *b, *c; /* [N, R], [N, S], [N, S]                        */
    double *dt;              /* [N, C] raw, then softplus                     */
    ref__convolution conv;   /* of u to a                                     */
    double *a_log, *d;       /* [C, S], [C]                                  */
    double *h;     /* [n_threads, CHANNELS, S] states                         */
    double *error; /* of the states, likewise; with bounds                    */
} mamba;

static mamba take(ref__run *run, int layer)
{
    const core_mamba *m = &run->spec->mamba;
    core_arena *a = &run->arena;
    const int64_t n = run->n, n_c = n * m->n_c;
    const int64_t n_state = run->n_threads * CHANNELS * m->n_s;
    mamba taken = {
        .u = core_arena_f64(a, n_c),
        .gate = core_arena_f64(a, n_c),
        .a = core_arena_f64(a, n_c),
        .x = core_arena_f64(a, n * (m->n_r + 2 * m->n_s)),
        .dt_norm = core_arena_f64(a, n * m->n_r),
        .b = core_arena_f64(a, n * m->n_s),
        .c = core_arena_f64(a, n * m->n_s),
        .dt = core_arena_f64(a, n_c),
        .a_log = core_arena_f64(a, m->n_c * m->n_s),
        .d = core_arena_f64(a, m->n_c),
        .h = core_arena_f64(a, n_state),
        .error = run->bounds ? core_arena_f64(a, n_state) : NULL,
    };
    taken.conv = (ref__convolution){.weight = CORE_W_MAMBA_CONV,
                                    .tap = CORE_TAP_MAMBA_CONV,
                                    .act_tap = CORE_TAP_MAMBA_ACT,
                                    .u = taken.u,
                                    .a = taken.a};
    ref__convolution_take(run, layer, &taken.conv);
    return taken;
}

/* One of the three norms of x [N, R + 2S], from its column `first` on. */
static void norm_part(ref__run *run, int layer, core_tap_kind kind,
                      const mamba *m, int64_t first, int64_t n,
                      core_weight_kind weight, double *y)
{
    const core_mamba *s = &run->spec->mamba;
    const ref__norm norm = {.x = m->x + first,
                            .ld_x = s->n_r + 2 * s->n_s,
                            .y = y,
                            .n_part = 1,
                            .n = n,
                            .weight = weight,
                            .eps = run->spec->norm_eps};
    ref__rmsnorm(run, layer, kind, &norm);
}

/* dt := softplus(dt). */
static void time_steps(ref__run *run, int layer, double *dt)
{
    const int64_t n_c = run->spec->mamba.n_c;
    float *bound = ref__bound_buffer(run, CORE_TAP_MAMBA_DT, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++)
        for (int64_t i = t * n_c; i < (t + 1) * n_c; i++) {
            const double z = dt[i];
            dt[i] =
                run->draw != NULL ? ref__drawn_softplus(z) : core_softplus(z);
            core_store(run->numerics, CORE_GRID_PROB, dt + i, 1);
            if (bound != NULL)
                ref__bound_softplus(run->u, bound + i, z, dt[i]);
        }
    ref__put(run, CORE_TAP_MAMBA_DT, layer, dt, bound);
}

/* Channels [c0, c1) of row b, and their states: a task of the recurrence.
 * Nothing goes from channel to channel.                                      */
typedef struct task {
    int64_t b, c0, c1;
    double *h, *error; /* [c1 - c0, S]; error NULL: no bounds                 */
    float *bound;      /* of y, or NULL                                       */
} task;

/* One position of one channel: h of S states, not yet stored.  Their error goes
 * along and decays as they do; one step adds, per u: of the factor decay, 3
 * |exponent| (exp, its product with dt, both rounded, the first twice) + 2
 * (exp), of its product with h 1; of dt B a 2.                               */
static void advance(ref__roundoff u, const double *a_log, int64_t n_s,
                    double dt, double a, const double *b, double *h,
                    double *error)
{
    for (int64_t s = 0; s < n_s; s++) {
        const double decay = core_decay(a_log[s], dt);
        const double input = (dt * b[s]) * a;
        if (error != NULL) {
            const double exponent = exp(a_log[s]) * dt;
            error[s] = decay * error[s] +
                       u.sum * ((3.0 * exponent + 3.0) * decay * fabs(h[s]) +
                                2.0 * fabs(input));
        }
        h[s] = decay * h[s] + input;
    }
}

/* y of one channel; returns the sum of magnitudes of its terms. */
static double read_out(const double *h, const double *c, int64_t n_s, double da,
                       double *y)
{
    double sum = 0.0, magnitude = 0.0;
    for (int64_t s = 0; s < n_s; s++) {
        sum += h[s] * c[s];
        magnitude += fabs(h[s] * c[s]);
    }
    *y = sum + da;
    return magnitude + fabs(da);
}

/* What the errors of the states are in y. */
static double carried(const double *error, const double *c, int64_t n_s)
{
    double sum = 0.0;
    for (int64_t s = 0; s < n_s; s++)
        sum += error[s] * fabs(c[s]);
    return sum;
}

/* All positions of a task; returns the largest sum of magnitudes.  The states
 * are stored on both sides, as y is in ref__up.                              */
static double run_task(const ref__run *run, const mamba *m, const task *k)
{
    const int64_t n_c = run->spec->mamba.n_c, n_s = run->spec->mamba.n_s;
    const int64_t n_state = (k->c1 - k->c0) * n_s;
    double largest = 0.0;
    memset(k->h, 0, (size_t)n_state * sizeof *k->h);
    if (k->error != NULL)
        memset(k->error, 0, (size_t)n_state * sizeof *k->error);
    for (int64_t t = 0; t < run->batch->n_t; t++) {
        const int64_t token = k->b * run->batch->n_t + t;
        const double *a = m->a + token * n_c, *dt = m->dt + token * n_c;
        const double *b = m->b + token * n_s, *c = m->c + token * n_s;
        for (int64_t i = k->c0, at = 0; i < k->c1; i++, at += n_s)
            advance(run->u, m->a_log + i * n_s, n_s, dt[i], a[i], b, k->h + at,
                    k->error != NULL ? k->error + at : NULL);
        core_store(run->numerics, CORE_GRID_ACT, k->h, n_state);
        for (int64_t i = 0; k->error != NULL && i < n_state; i++)
            k->error[i] = (k->error[i] + 2.0 * run->u.store * fabs(k->h[i]) +
                           2.0 * run->u.least) *
                          (1.0 + run->u.store);
        for (int64_t i = k->c0, at = 0; i < k->c1; i++, at += n_s) {
            double *y = m->u + token * n_c + i;
            const double magnitude =
                read_out(k->h + at, c, n_s, m->d[i] * a[i], y);
            core_store(run->numerics, CORE_GRID_ACT, y, 1);
            largest = ref__worse(largest, magnitude);
            if (k->bound != NULL)
                ref__bound_sum(run->u, k->bound + token * n_c + i, magnitude,
                               *y, n_s + 1, carried(k->error + at, c, n_s));
        }
    }
    return largest;
}

/* The same of a drawn pass. */
static void run_drawn_task(const ref__run *run, const ref__drawn *drawn,
                           const mamba *m, const task *k)
{
    const int64_t n_c = run->spec->mamba.n_c, n_s = run->spec->mamba.n_s;
    memset(k->h, 0, (size_t)((k->c1 - k->c0) * n_s) * sizeof *k->h);
    for (int64_t t = 0; t < run->batch->n_t; t++) {
        const int64_t token = k->b * run->batch->n_t + t;
        const double *a = m->a + token * n_c, *dt = m->dt + token * n_c;
        double *y = m->u + token * n_c;
        for (int64_t i = k->c0, at = 0; i < k->c1; i++, at += n_s) {
            ref__drawn_advance(drawn, m->a_log + i * n_s, n_s, dt[i], a[i],
                               m->b + token * n_s, k->h + at);
            y[i] = ref__drawn_read_out(drawn, k->h + at, m->c + token * n_s,
                                       n_s, m->d[i], a[i]);
        }
        core_store(run->numerics, CORE_GRID_ACT, y + k->c0, k->c1 - k->c0);
    }
}

/* y from a, dt, b and c. */
static void recur(ref__run *run, int layer, const mamba *m)
{
    const int64_t n_c = run->spec->mamba.n_c, n_s = run->spec->mamba.n_s;
    const core_weight d = {CORE_W_MAMBA_D, layer, 0};
    float *bound = ref__bound_buffer(run, CORE_TAP_MAMBA_Y, layer);
    const ref__drawn drawn = ref__draw_operator(run, CORE_TAP_MAMBA_Y, layer);
    const int64_t n_block = (n_c + CHANNELS - 1) / CHANNELS;
    double largest = 0.0;
    ref__read_vector(run, CORE_W_MAMBA_A_LOG, layer, m->a_log);
    ref__read_vector(run, CORE_W_MAMBA_D, layer, m->d);
#pragma omp parallel for schedule(dynamic) num_threads(run->n_threads)         \
    reduction(max                                                              \
              : largest)
    for (int64_t i = 0; i < run->batch->n_b * n_block; i++) {
        const int64_t c0 = i % n_block * CHANNELS;
        const int64_t at = omp_get_thread_num() * CHANNELS * n_s;
        const task k = {
            .b = i / n_block,
            .c0 = c0,
            .c1 = c0 + CHANNELS < n_c ? c0 + CHANNELS : n_c,
            .h = m->h + at,
            .error = bound != NULL ? m->error + at : NULL,
            .bound = bound,
        };
        if (run->draw != NULL)
            run_drawn_task(run, &drawn, m, &k);
        else
            largest = ref__worse(largest, run_task(run, m, &k));
    }
    if (run->exact) {
        const double step = core_weights_step(run->model->weights, d);
        ref__record_bits(
            run, CORE_TAP_MAMBA_Y, layer,
            ref__bits(largest, CORE_STEP_ACT * fmin(CORE_STEP_ACT, step)));
    }
    ref__put(run, CORE_TAP_MAMBA_Y, layer, m->u, bound);
}

void ref__mamba(ref__run *run, int layer, double *out, bool dry)
{
    const mamba m = take(run, layer);
    if (dry)
        return;
    const core_mamba *s = &run->spec->mamba;
    const ref__rows xn = ref__measure(run, run->xn, run->n, run->spec->n_d);
    ref__linear(run, &xn, CORE_W_MAMBA_U, layer, CORE_TAP_MAMBA_U, m.u);
    ref__linear(run, &xn, CORE_W_MAMBA_GATE, layer, CORE_TAP_MAMBA_GATE,
                m.gate);
    ref__convolve(run, layer, &m.conv);
    const ref__rows a = ref__measure(run, m.a, run->n, s->n_c);
    ref__linear(run, &a, CORE_W_MAMBA_X, layer, CORE_TAP_MAMBA_X, m.x);
    norm_part(run, layer, CORE_TAP_MAMBA_DT_NORM, &m, 0, s->n_r,
              CORE_W_MAMBA_DT_NORM, m.dt_norm);
    norm_part(run, layer, CORE_TAP_MAMBA_B, &m, s->n_r, s->n_s,
              CORE_W_MAMBA_B_NORM, m.b);
    norm_part(run, layer, CORE_TAP_MAMBA_C, &m, s->n_r + s->n_s, s->n_s,
              CORE_W_MAMBA_C_NORM, m.c);
    const ref__rows dt = ref__measure(run, m.dt_norm, run->n, s->n_r);
    ref__linear(run, &dt, CORE_W_MAMBA_DT, layer, CORE_TAP_MAMBA_DT_RAW, m.dt);
    time_steps(run, layer, m.dt);
    recur(run, layer, &m);
    ref__gate(run, layer, CORE_TAP_MAMBA_GATED, CORE_ACT_SILU, m.gate, m.u,
              s->n_c);
    const ref__rows y = ref__measure(run, m.u, run->n, s->n_c);
    ref__linear(run, &y, CORE_W_MAMBA_OUT, layer, CORE_TAP_ATTN_OUT, out);
}
