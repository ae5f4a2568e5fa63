/* ref/mamba_scan.c -- the state of a channel, position by position.
 *
 *     h_s = store(decay(A_log_s, dt) h_s + (dt B_s) a)     s < S
 *     y   = sum_s h_s C_s + D a
 * A task is one row of the batch and a few channels; nothing goes from channel
 * to channel, and from position to position only h, which is stored every time
 * though it is no tap: the next position starts from the stored value.  With
 * bounds an error of h goes along and decays as h does; one step adds, per u:
 * of the factor decay, 3 |exponent| (exp, its product with dt, both rounded,
 * the first twice) + 2 (exp), of its product with h 1; of dt B a 2.  Then h is
 * stored on both sides, as in ref__up.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { CHANNELS = 16 };

static const double U = 0x1p-24;

ref__scan ref__scan_take(ref__run *run, const double *a, const double *dt,
                         const double *b, const double *c, double *y)
{
    const core_mamba *m = &run->spec->mamba;
    core_arena *arena = &run->arena;
    const int64_t n_state = run->n_threads * CHANNELS * m->n_s;
    return (ref__scan){
        .a = a,
        .dt = dt,
        .b = b,
        .c = c,
        .y = y,
        .a_log = core_arena_f64(arena, m->n_c * m->n_s),
        .d = core_arena_f64(arena, m->n_c),
        .state = core_arena_f64(arena, n_state),
        .error = run->bounds ? core_arena_f64(arena, n_state) : NULL,
    };
}

/* Channels [c0, c1) of one row, and their states. */
typedef struct task {
    int64_t b, c0, c1;
    double *h, *error; /* [c1 - c0, S]; error NULL: no bounds                 */
    float *bound;      /* of y, or NULL                                       */
} task;

/* One position of one channel: h of S states, not yet stored. */
static void advance(const ref__scan *scan, int64_t n_s, int64_t c, double dt,
                    double a, const double *b, double *h, double *error)
{
    const double *a_log = scan->a_log + c * n_s;
    for (int64_t s = 0; s < n_s; s++) {
        const double decay = core_decay(a_log[s], dt);
        const double input = (dt * b[s]) * a;
        if (error != NULL) {
            const double exponent = exp(a_log[s]) * dt;
            error[s] = decay * error[s] +
                       U * ((3.0 * exponent + 3.0) * decay * fabs(h[s]) +
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

/* All positions of a task; returns the largest sum of magnitudes. */
static double run_task(const ref__run *run, const ref__scan *scan,
                       const task *k)
{
    const int64_t n_c = run->spec->mamba.n_c, n_s = run->spec->mamba.n_s;
    const int64_t n_state = (k->c1 - k->c0) * n_s;
    double largest = 0.0;
    memset(k->h, 0, (size_t)n_state * sizeof *k->h);
    if (k->error != NULL)
        memset(k->error, 0, (size_t)n_state * sizeof *k->error);
    for (int64_t t = 0; t < run->batch->n_t; t++) {
        const int64_t token = k->b * run->batch->n_t + t;
        const double *a = scan->a + token * n_c, *dt = scan->dt + token * n_c;
        const double *b = scan->b + token * n_s, *c = scan->c + token * n_s;
        for (int64_t i = k->c0, at = 0; i < k->c1; i++, at += n_s)
            advance(scan, n_s, i, dt[i], a[i], b, k->h + at,
                    k->error != NULL ? k->error + at : NULL);
        core_store(run->numerics, CORE_GRID_ACT, k->h, n_state);
        for (int64_t i = 0; k->error != NULL && i < n_state; i++)
            k->error[i] = (k->error[i] + 2.0 * run->u_store * fabs(k->h[i])) *
                          (1.0 + run->u_store);
        for (int64_t i = k->c0, at = 0; i < k->c1; i++, at += n_s) {
            double *y = scan->y + token * n_c + i;
            const double magnitude =
                read_out(k->h + at, c, n_s, scan->d[i] * a[i], y);
            core_store(run->numerics, CORE_GRID_ACT, y, 1);
            largest = ref__worse(largest, magnitude);
            if (k->bound != NULL)
                ref__bound_sum(run->u_store, k->bound + token * n_c + i,
                               magnitude, *y, n_s + 1,
                               carried(k->error + at, c, n_s));
        }
    }
    return largest;
}

void ref__scan_states(ref__run *run, int layer, const ref__scan *scan)
{
    const core_mamba *m = &run->spec->mamba;
    float *bound = ref__bound_buffer(run, CORE_TAP_MAMBA_Y, layer);
    const int64_t n_block = (m->n_c + CHANNELS - 1) / CHANNELS;
    double largest = 0.0;
    ref__read_vector(run, CORE_W_MAMBA_A_LOG, layer, scan->a_log);
    ref__read_vector(run, CORE_W_MAMBA_D, layer, scan->d);
#pragma omp parallel for schedule(dynamic) num_threads(run->n_threads)         \
    reduction(max                                                              \
              : largest)
    for (int64_t i = 0; i < run->batch->n_b * n_block; i++) {
        const int64_t c0 = i % n_block * CHANNELS;
        const int64_t at = omp_get_thread_num() * CHANNELS * m->n_s;
        const task k = {
            .b = i / n_block,
            .c0 = c0,
            .c1 = c0 + CHANNELS < m->n_c ? c0 + CHANNELS : m->n_c,
            .h = scan->state + at,
            .error = bound != NULL ? scan->error + at : NULL,
            .bound = bound,
        };
        largest = ref__worse(largest, run_task(run, scan, &k));
    }
    if (run->exact) {
        const core_weight d = {CORE_W_MAMBA_D, layer, 0};
        const double step_d = core_weights_step(run->model->weights, d);
        ref__record_bits(
            run, CORE_TAP_MAMBA_Y, layer,
            ref__bits(largest, CORE_STEP_ACT * fmin(CORE_STEP_ACT, step_d)));
    }
    ref__put(run, CORE_TAP_MAMBA_Y, layer, scan->y, bound);
}
