/* ref/ssd.c -- Mamba-2's state space in place of attention.
 *
 * Projections to gate, (x | B | C) and time step; a causal convolution over the
 * middle one; then per head the state, which is all that a row remembers:
 *
 *     h_sp = store(decay h_sp + (dt B_s) x_p)
 *     y_p  = sum_s h_sp C_s + D x_p
 *
 * with the head's decay and its group's B and C; then a gate, and a norm over
 * each group's channels by itself.  Traps: the bias of the step comes after the
 * projection's store and before softplus, limits come after it; the gate comes
 * before the norm; h is stored at every position though it is no tap, in the
 * type of sums as a softmax's exponentials are.
 */
#include "ref/columns.h"
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

typedef struct ssd {
    int64_t n_c, n_xbc;    /* channels, columns of x, B and C                */
    double *gate;          /* [N, C]                                         */
    double *xbc, *act;     /* [N, n_xbc] projected; convolved, activated     */
    ref__convolution conv; /* of xbc to act                                  */
    double *dt;            /* [N, H] raw, then the steps                     */
    double *y;             /* [N, C], then gated                             */
    double *normed;        /* [N, C]                                         */
    double *step, *a_log, *d; /* [H]                                          */
    double *h;       /* [n_threads, n_state] of a task                        */
    double *error;   /* of the states, likewise; with bounds                  */
    int64_t n_state; /* S * REF__COLUMNS                                      */
} ssd;

static ssd take(ref__run *run, int layer)
{
    const core_ssd *s = &run->spec->ssd;
    core_arena *a = &run->arena;
    const int64_t n = run->n;
    ssd m = {.n_c = s->n_h * s->n_p, .n_state = s->n_s * REF__COLUMNS};
    m.n_xbc = m.n_c + 2 * s->n_g * s->n_s;
    m.gate = core_arena_f64(a, n * m.n_c);
    m.xbc = core_arena_f64(a, n * m.n_xbc);
    m.act = core_arena_f64(a, n * m.n_xbc);
    m.dt = core_arena_f64(a, n * s->n_h);
    m.y = core_arena_f64(a, n * m.n_c);
    m.normed = core_arena_f64(a, n * m.n_c);
    m.step = core_arena_f64(a, s->n_h);
    m.a_log = core_arena_f64(a, s->n_h);
    m.d = core_arena_f64(a, s->n_h);
    m.h = core_arena_f64(a, run->n_threads * m.n_state);
    m.error =
        run->bounds ? core_arena_f64(a, run->n_threads * m.n_state) : NULL;
    m.conv = (ref__convolution){.weight = CORE_W_SSD_CONV,
                                .tap = CORE_TAP_SSD_CONV,
                                .act_tap = CORE_TAP_SSD_ACT,
                                .u = m.xbc,
                                .a = m.act};
    ref__convolution_take(run, layer, &m.conv);
    return m;
}

/* dt := the time step of dt + step. */
static void time_steps(ref__run *run, int layer, const ssd *m)
{
    const core_ssd *s = &run->spec->ssd;
    float *bound = ref__bound_buffer(run, CORE_TAP_SSD_DT, layer);
    ref__read_vector(run, CORE_W_SSD_STEP, layer, m->step);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t i = 0; i < run->n * s->n_h; i++) {
        const double z = m->dt[i] + m->step[i % s->n_h];
        m->dt[i] = run->draw != NULL
                       ? ref__drawn_time_step(z, s->least, s->most)
                       : core_time_step(z, s->least, s->most);
        core_store(run->numerics, CORE_GRID_PROB, m->dt + i, 1);
        if (bound != NULL)
            ref__bound_time_step(run->u, bound + i, z, m->dt[i]);
    }
    ref__put(run, CORE_TAP_SSD_DT, layer, m->dt, bound);
}

/* Channels [p0, p1) of a head along one row: a task of the recurrence.  Nothing
 * goes from channel to channel.                                              */
typedef struct task {
    int64_t b, i_h, p0, p1;
    double *h, *error; /* [S, REF__COLUMNS], of a drawn pass the other way
                        * round; error NULL: no bounds                        */
    float *bound;      /* of y, or NULL                                       */
} task;

/* What a task reads and writes at one position. */
typedef struct place {
    double dt, a_log, decay;
    const double *x, *b, *c;
    double *y;
    int64_t at; /* of y in its tap                                            */
} place;

static place place_of(const ref__run *run, const ssd *m, const task *k,
                      int64_t t)
{
    const core_ssd *s = &run->spec->ssd;
    const int64_t token = k->b * run->batch->n_t + t;
    const int64_t group = k->i_h * s->n_g / s->n_h;
    const int64_t column = k->i_h * s->n_p + k->p0;
    const double *act = m->act + token * m->n_xbc;
    place p = {.dt = m->dt[token * s->n_h + k->i_h],
               .a_log = m->a_log[k->i_h],
               .x = act + column,
               .b = act + m->n_c + group * s->n_s,
               .c = act + m->n_c + (s->n_g + group) * s->n_s,
               .at = token * m->n_c + column};
    p.decay = core_decay(p.a_log, p.dt);
    p.y = m->y + p.at;
    return p;
}

/* One position: states advance, are stored, and are read into y. */
static inline void advance_rows(core_numerics numerics, double *restrict h,
                                int64_t n_s, double decay, double dt,
                                const double *restrict b,
                                const double *restrict x,
                                const double *restrict c, double *restrict y)
{
    memset(y, 0, REF__COLUMNS * sizeof *y);
    for (int64_t s = 0; s < n_s; s++, h += REF__COLUMNS) {
        const double of_x = dt * b[s];
#pragma omp simd
        for (int i = 0; i < REF__COLUMNS; i++)
            h[i] = decay * h[i] + of_x * x[i];
        ref__store_columns(numerics, h);
        ref__add_columns(y, c[s], h);
    }
}

CORE_WIDE static void advance(core_numerics numerics, double *restrict h,
                              int64_t n_s, double decay, double dt,
                              const double *restrict b,
                              const double *restrict x,
                              const double *restrict c, double *restrict y)
{
    if (numerics == CORE_FP64)
        advance_rows(CORE_FP64, h, n_s, decay, dt, b, x, c, y);
    else
        advance_rows(numerics, h, n_s, decay, dt, b, x, c, y);
}

/* The errors of the states before they advance: they decay as the states do,
 * and one step adds, per u: of the factor decay, 3 |exponent| (exp, its product
 * with dt, both rounded, the first twice) + 2 (exp), of its product with h 1;
 * of dt B x 2. */
static void grow_errors(const ref__run *run, const place *p, const double *x,
                        const double *h, double *error)
{
    const int64_t n_s = run->spec->ssd.n_s;
    const double exponent = exp(p->a_log) * p->dt;
    const double of_decay = (3.0 * exponent + 3.0) * p->decay;
    for (int64_t s = 0; s < n_s; s++)
        for (int64_t i = 0; i < REF__COLUMNS; i++) {
            const int64_t at = s * REF__COLUMNS + i;
            const double input = (p->dt * p->b[s]) * x[i];
            error[at] =
                p->decay * error[at] +
                run->u.sum * (of_decay * fabs(h[at]) + 2.0 * fabs(input));
        }
}

/* The states are stored on both sides, in the type of sums. */
static void store_errors(const ref__run *run, const double *h, double *error)
{
    const int64_t n = run->spec->ssd.n_s * REF__COLUMNS;
    for (int64_t i = 0; i < n; i++)
        error[i] =
            (error[i] + 2.0 * run->u.sum * fabs(h[i])) * (1.0 + run->u.sum);
}

/* Bounds of y, not yet with the store of it; returns the largest sum of
 * magnitudes.                                                                */
static double judge(const ref__run *run, const place *p, const task *k,
                    double d)
{
    const int64_t n_s = run->spec->ssd.n_s;
    double largest = 0.0;
    for (int64_t i = 0; i < k->p1 - k->p0; i++) {
        double sum = fabs(d * p->x[i]), carried = 0.0;
        for (int64_t s = 0; s < n_s; s++) {
            sum += fabs(k->h[s * REF__COLUMNS + i] * p->c[s]);
            if (k->error != NULL)
                carried += k->error[s * REF__COLUMNS + i] * fabs(p->c[s]);
        }
        largest = ref__worse(largest, sum);
        if (k->bound != NULL)
            ref__bound_sum(run->u, k->bound + p->at + i, sum, p->y[i], n_s + 1,
                           carried);
    }
    return largest;
}

/* All positions of a task; returns the largest sum of magnitudes. */
static double run_task(const ref__run *run, const ssd *m, const task *k)
{
    const int64_t n_s = run->spec->ssd.n_s, n = k->p1 - k->p0;
    const double d = m->d[k->i_h];
    double x[REF__COLUMNS] = {0.0}, y[REF__COLUMNS], largest = 0.0;
    memset(k->h, 0, (size_t)m->n_state * sizeof *k->h);
    if (k->error != NULL)
        memset(k->error, 0, (size_t)m->n_state * sizeof *k->error);
    for (int64_t t = 0; t < run->batch->n_t; t++) {
        const place p = place_of(run, m, k, t);
        memcpy(x, p.x, (size_t)n * sizeof *x);
        if (k->error != NULL)
            grow_errors(run, &p, x, k->h, k->error);
        advance(run->numerics, k->h, n_s, p.decay, p.dt, p.b, x, p.c, y);
        if (k->error != NULL)
            store_errors(run, k->h, k->error);
        for (int64_t i = 0; i < n; i++)
            p.y[i] = y[i] + d * x[i];
        core_store(run->numerics, CORE_GRID_ACT, p.y, n);
        if (run->exact || k->bound != NULL)
            largest = ref__worse(largest, judge(run, &p, k, d));
    }
    return largest;
}

/* The same of a drawn pass. */
static void run_drawn_task(const ref__run *run, const ref__drawn *drawn,
                           const ssd *m, const task *k)
{
    const core_ssd *s = &run->spec->ssd;
    memset(k->h, 0, (size_t)m->n_state * sizeof *k->h);
    for (int64_t t = 0; t < run->batch->n_t; t++) {
        const place p = place_of(run, m, k, t);
        const double decay = ref__drawn_decay(p.a_log, p.dt);
        for (int64_t i = 0; i < k->p1 - k->p0; i++) {
            double *h = k->h + i * s->n_s;
            ref__drawn_advance_head(decay, s->n_s, p.dt, p.x[i], p.b, h);
            p.y[i] = ref__drawn_read_out(drawn, h, p.c, s->n_s, m->d[k->i_h],
                                         p.x[i]);
        }
        core_store(run->numerics, CORE_GRID_ACT, p.y, k->p1 - k->p0);
    }
}

/* y from act and dt. */
static void recur(ref__run *run, int layer, const ssd *m)
{
    const core_ssd *s = &run->spec->ssd;
    const core_weight d = {CORE_W_SSD_D, layer, 0};
    float *bound = ref__bound_buffer(run, CORE_TAP_SSD_Y, layer);
    const ref__drawn drawn = ref__draw_operator(run, CORE_TAP_SSD_Y, layer);
    const int64_t n_block = (s->n_p + REF__COLUMNS - 1) / REF__COLUMNS;
    double largest = 0.0;
    ref__read_vector(run, CORE_W_SSD_A_LOG, layer, m->a_log);
    ref__read_vector(run, CORE_W_SSD_D, layer, m->d);
#pragma omp parallel for schedule(dynamic) num_threads(run->n_threads)         \
    reduction(max                                                              \
              : largest)
    for (int64_t i = 0; i < run->batch->n_b * s->n_h * n_block; i++) {
        const int64_t p0 = i % n_block * REF__COLUMNS;
        const int64_t at = omp_get_thread_num() * m->n_state;
        const task k = {
            .b = i / n_block / s->n_h,
            .i_h = i / n_block % s->n_h,
            .p0 = p0,
            .p1 = p0 + REF__COLUMNS < s->n_p ? p0 + REF__COLUMNS : s->n_p,
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
            run, CORE_TAP_SSD_Y, layer,
            ref__bits(largest, CORE_STEP_ACT * fmin(CORE_STEP_PROB, step)));
    }
    ref__put(run, CORE_TAP_SSD_Y, layer, m->y, bound);
}

void ref__ssd(ref__run *run, int layer, double *out, bool dry)
{
    const ssd m = take(run, layer);
    if (dry)
        return;
    const core_ssd *s = &run->spec->ssd;
    const ref__rows xn = ref__measure(run, run->xn, run->n, run->spec->n_d);
    ref__linear(run, &xn, CORE_W_SSD_GATE, layer, CORE_TAP_SSD_GATE, m.gate);
    ref__linear(run, &xn, CORE_W_SSD_XBC, layer, CORE_TAP_SSD_XBC, m.xbc);
    ref__linear(run, &xn, CORE_W_SSD_DT, layer, CORE_TAP_SSD_DT_RAW, m.dt);
    ref__convolve(run, layer, &m.conv);
    time_steps(run, layer, &m);
    recur(run, layer, &m);
    ref__gate(run, layer, CORE_TAP_SSD_GATED, CORE_ACT_SILU, m.gate, m.y,
              m.n_c);
    const ref__norm norm = {.x = m.y,
                            .ld_x = m.n_c,
                            .y = m.normed,
                            .n_part = s->n_g,
                            .n = m.n_c / s->n_g,
                            .weight = CORE_W_SSD_NORM,
                            .is_split = true,
                            .eps = run->spec->norm_eps};
    ref__rmsnorm(run, layer, CORE_TAP_SSD_NORM, &norm);
    const ref__rows y = ref__measure(run, m.normed, run->n, m.n_c);
    ref__linear(run, &y, CORE_W_SSD_OUT, layer, CORE_TAP_ATTN_OUT, out);
}
