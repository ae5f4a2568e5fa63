/* ref/mamba.c -- a selective state space in place of attention.
 *
 * Projections, a causal convolution over a few positions, and between them the
 * state (mamba_scan.c), which is all that a row remembers.  Buffers of N*C are
 * used again as soon as their tap is delivered.  Traps: the convolution's last
 * weight belongs to the position itself; positions before the row's first do
 * not exist, and their weights meet nothing; time step, B and C are three norms
 * of three parts of one projection.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <string.h>

typedef struct mamba {
    double *u;    /* [N, C], then y                                           */
    double *gate; /* [N, C]                                                   */
    double *a;    /* [N, C] convolved, then activated                         */
    double *x;    /* [N, R + 2S]                                              */
    double *dt_norm, *b, *c; /* [N, R], [N, S], [N, S]                        */
    double *dt;              /* [N, C] raw, then softplus                     */
    double *conv, *conv_bias; /* [Kc, C], [C]                                 */
} mamba;

static mamba take(ref__run *run)
{
    const core_mamba *m = &run->spec->mamba;
    core_arena *a = &run->arena;
    const int64_t n = run->n, n_c = n * m->n_c;
    return (mamba){
        .u = core_arena_f64(a, n_c),
        .gate = core_arena_f64(a, n_c),
        .a = core_arena_f64(a, n_c),
        .x = core_arena_f64(a, n * (m->n_r + 2 * m->n_s)),
        .dt_norm = core_arena_f64(a, n * m->n_r),
        .b = core_arena_f64(a, n * m->n_s),
        .c = core_arena_f64(a, n * m->n_s),
        .dt = core_arena_f64(a, n_c),
        .conv = core_arena_f64(a, m->n_conv * m->n_c),
        .conv_bias = core_arena_f64(a, m->n_c),
    };
}

/* The convolution's weights, position by position. */
static void read_conv(const ref__run *run, int layer, const mamba *m)
{
    const int64_t n_c = run->spec->mamba.n_c, n_conv = run->spec->mamba.n_conv;
    const core_weight id = {CORE_W_MAMBA_CONV, layer, 0};
    for (int64_t c = 0; c < n_c; c++)
        for (int64_t i = 0; i < n_conv; i++)
            core_weights_read(run->model->weights, id, c, c + 1, i, i + 1,
                              m->conv + i * n_c + c, 1);
    if (run->spec->mamba.bias_conv)
        ref__read_vector(run, CORE_W_MAMBA_CONV_BIAS, layer, m->conv_bias);
    else
        memset(m->conv_bias, 0, (size_t)n_c * sizeof *m->conv_bias);
}

/* sum_i |w_i u_i| + |b| of one element. */
static double conv_magnitude(const mamba *m, int64_t n_c, int64_t n_conv,
                             int64_t t, int64_t position, int64_t c)
{
    double sum = fabs(m->conv_bias[c]);
    for (int64_t i = 0; i < n_conv; i++)
        if (position - n_conv + 1 + i >= 0)
            sum += fabs(m->conv[i * n_c + c] *
                        m->u[(t - n_conv + 1 + i) * n_c + c]);
    return sum;
}

/* The step that all terms of the convolution are multiples of. */
static double conv_step(const ref__run *run, int layer)
{
    const core_weights *w = run->model->weights;
    const double step =
        CORE_STEP_ACT *
        core_weights_step(w, (core_weight){CORE_W_MAMBA_CONV, layer, 0});
    if (!run->spec->mamba.bias_conv)
        return step;
    return fmin(step, core_weights_step(
                          w, (core_weight){CORE_W_MAMBA_CONV_BIAS, layer, 0}));
}

/* a[t] = sum_i conv_i u[t - Kc + 1 + i] + bias, over what the row has. */
static void convolve(ref__run *run, int layer, const mamba *m)
{
    const int64_t n_c = run->spec->mamba.n_c, n_conv = run->spec->mamba.n_conv;
    float *bound = ref__bound_buffer(run, CORE_TAP_MAMBA_CONV, layer);
    const bool measure = run->exact || bound != NULL;
    double largest = 0.0;
#pragma omp parallel for num_threads(run->n_threads) reduction(max : largest)
    for (int64_t t = 0; t < run->n; t++) {
        const int64_t position = t % run->batch->n_t;
        double *a = m->a + t * n_c;
        memset(a, 0, (size_t)n_c * sizeof *a);
        for (int64_t i = 0; i < n_conv; i++) {
            if (position - n_conv + 1 + i < 0)
                continue;
            const double *w = m->conv + i * n_c;
            const double *u = m->u + (t - n_conv + 1 + i) * n_c;
            for (int64_t c = 0; c < n_c; c++)
                a[c] += w[c] * u[c];
        }
        for (int64_t c = 0; c < n_c; c++)
            a[c] += m->conv_bias[c];
        core_store(run->numerics, CORE_GRID_ACT, a, n_c);
        for (int64_t c = 0; measure && c < n_c; c++) {
            const double magnitude =
                conv_magnitude(m, n_c, n_conv, t, position, c);
            largest = ref__worse(largest, magnitude);
            if (bound != NULL)
                ref__bound_sum(run->u_store, bound + t * n_c + c, magnitude,
                               a[c], n_conv + 1, 0.0);
        }
    }
    if (run->exact)
        ref__record_bits(run, CORE_TAP_MAMBA_CONV, layer,
                         ref__bits(largest, conv_step(run, layer)));
    ref__put(run, CORE_TAP_MAMBA_CONV, layer, m->a, bound);
}

/* a := silu(a). */
static void activate(ref__run *run, int layer, double *a)
{
    const int64_t n_c = run->spec->mamba.n_c;
    float *bound = ref__bound_buffer(run, CORE_TAP_MAMBA_ACT, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++)
        for (int64_t i = t * n_c; i < (t + 1) * n_c; i++) {
            const double z = a[i];
            a[i] = core_act_apply(CORE_ACT_SILU, z);
            core_store(run->numerics, CORE_GRID_ACT, a + i, 1);
            if (bound != NULL)
                ref__bound_act(run->u_store, bound + i, NULL, &z, a + i, 1,
                               CORE_ACT_SILU);
        }
    ref__put(run, CORE_TAP_MAMBA_ACT, layer, a, bound);
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
            dt[i] = core_softplus(z);
            core_store(run->numerics, CORE_GRID_PROB, dt + i, 1);
            if (bound != NULL)
                ref__bound_softplus(run->u_store, bound + i, z, dt[i]);
        }
    ref__put(run, CORE_TAP_MAMBA_DT, layer, dt, bound);
}

/* y := y * silu(gate). */
static void apply_gate(ref__run *run, int layer, const double *gate, double *y)
{
    const int64_t n_c = run->spec->mamba.n_c;
    float *bound = ref__bound_buffer(run, CORE_TAP_MAMBA_GATED, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++)
        for (int64_t i = t * n_c; i < (t + 1) * n_c; i++) {
            const double before = y[i];
            y[i] = before * core_act_apply(CORE_ACT_SILU, gate[i]);
            core_store(run->numerics, CORE_GRID_ACT, y + i, 1);
            if (bound != NULL)
                ref__bound_act(run->u_store, bound + i, gate + i, &before,
                               y + i, 1, CORE_ACT_SILU);
        }
    ref__put(run, CORE_TAP_MAMBA_GATED, layer, y, bound);
}

void ref__mamba(ref__run *run, int layer, bool dry)
{
    const mamba m = take(run);
    const ref__scan scan = ref__scan_take(run, m.a, m.dt, m.b, m.c, m.u);
    if (dry)
        return;
    const core_mamba *s = &run->spec->mamba;
    const ref__rows xn = ref__measure(run, run->xn, run->n, run->spec->n_d);
    ref__linear(run, &xn, CORE_W_MAMBA_U, layer, CORE_TAP_MAMBA_U, m.u);
    ref__linear(run, &xn, CORE_W_MAMBA_GATE, layer, CORE_TAP_MAMBA_GATE,
                m.gate);
    read_conv(run, layer, &m);
    convolve(run, layer, &m);
    activate(run, layer, m.a);
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
    ref__scan_states(run, layer, &scan);
    apply_gate(run, layer, m.gate, m.u);
    const ref__rows y = ref__measure(run, m.u, run->n, s->n_c);
    ref__linear(run, &y, CORE_W_MAMBA_OUT, layer, CORE_TAP_ATTN_OUT, run->r);
}
