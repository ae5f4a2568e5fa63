/* ref/convolution.c -- a causal convolution over a few positions, each channel
 * by itself, and its activation, if it has one.
 *
 * Traps: the last weight belongs to the position itself; positions before the
 * row's first do not exist, and their weights meet nothing.
 */
#include "core/base/wide.h"
#include "ref/ref_impl.h"

#include <math.h>
#include <string.h>

void ref__convolution_take(ref__run *run, int layer, ref__convolution *c)
{
    const core_weight id = {c->weight, layer, 0};
    core_weight_shape(run->spec, id, &c->n_c, &c->n_conv);
    c->w = core_arena_f64(&run->arena, c->n_conv * c->n_c);
    c->bias = core_arena_f64(&run->arena, c->n_c);
}

/* The weight of the bias; its kind is CORE_W_NONE where there is none. */
static core_weight bias_of(const ref__run *run, int layer,
                           const ref__convolution *c)
{
    const core_weight id = {core_weight_bias(c->weight), layer, 0};
    return core_weight_exists(run->spec, id) ? id
                                             : (core_weight){CORE_W_NONE, 0, 0};
}

/* The weights, position by position. */
static void read_weights(const ref__run *run, int layer,
                         const ref__convolution *c)
{
    const core_weight id = {c->weight, layer, 0};
    for (int64_t i = 0; i < c->n_conv; i++)
        core_weights_read(run->model->weights, id, 0, c->n_c, i, i + 1,
                          c->w + i * c->n_c, 1);
    if (bias_of(run, layer, c).kind != CORE_W_NONE)
        ref__read_vector(run, bias_of(run, layer, c).kind, layer, c->bias);
    else
        memset(c->bias, 0, (size_t)c->n_c * sizeof *c->bias);
}

/* sum_i |w_i u_i| + |b| of one element. */
static double magnitude_of(const ref__convolution *c, int64_t t,
                           int64_t position, int64_t j)
{
    double sum = fabs(c->bias[j]);
    for (int64_t i = 0; i < c->n_conv; i++)
        if (position - c->n_conv + 1 + i >= 0)
            sum += fabs(c->w[i * c->n_c + j] *
                        c->u[(t - c->n_conv + 1 + i) * c->n_c + j]);
    return sum;
}

/* The step that all terms are multiples of. */
static double step_of(const ref__run *run, int layer, const ref__convolution *c)
{
    const core_weights *w = run->model->weights;
    const core_weight bias = bias_of(run, layer, c);
    const double step =
        CORE_STEP_ACT *
        core_weights_step(w, (core_weight){c->weight, layer, 0});
    if (bias.kind == CORE_W_NONE)
        return step;
    return fmin(step, core_weights_step(w, bias));
}

/* In a drawn pass. */
static void drawn_sums(const ref__run *run, int layer,
                       const ref__convolution *c)
{
    const int64_t n_c = c->n_c, n_conv = c->n_conv;
    const ref__drawn drawn = ref__draw_operator(run, c->tap, layer);
    for (int64_t t = 0; t < run->n; t++) {
        const int64_t position = t % run->batch->n_t;
        const int64_t n = position + 1 < n_conv ? position + 1 : n_conv;
        for (int64_t j = 0; j < n_c; j++)
            c->a[t * n_c + j] = ref__drawn_dot(
                &drawn, c->w + (n_conv - n) * n_c + j,
                c->u + (t - n + 1) * n_c + j, n_c, n, c->bias[j]);
    }
    ref__store(run, CORE_GRID_ACT, c->a, run->n * n_c);
    ref__put(run, c->tap, layer, c->a, NULL);
}

CORE_WIDE static void add_products(double *restrict a, const double *restrict w,
                                   const double *restrict u, int64_t n)
{
#pragma omp simd
    for (int64_t j = 0; j < n; j++)
        a[j] += w[j] * u[j];
}

/* a[t] = sum_i w_i u[t - Kc + 1 + i] + bias, over what the row has. */
static void sums(ref__run *run, int layer, const ref__convolution *c)
{
    const int64_t n_c = c->n_c, n_conv = c->n_conv;
    float *bound = ref__bound_buffer(run, c->tap, layer);
    const bool measure = run->exact || bound != NULL;
    double largest = 0.0;
#pragma omp parallel for num_threads(run->n_threads) reduction(max : largest)
    for (int64_t t = 0; t < run->n; t++) {
        const int64_t position = t % run->batch->n_t;
        double *a = c->a + t * n_c;
        memset(a, 0, (size_t)n_c * sizeof *a);
        for (int64_t i = 0; i < n_conv; i++) {
            if (position - n_conv + 1 + i < 0)
                continue;
            add_products(a, c->w + i * n_c, c->u + (t - n_conv + 1 + i) * n_c,
                         n_c);
        }
        for (int64_t j = 0; j < n_c; j++)
            a[j] += c->bias[j];
        core_store(run->numerics, CORE_GRID_ACT, a, n_c);
        for (int64_t j = 0; measure && j < n_c; j++) {
            const double magnitude = magnitude_of(c, t, position, j);
            largest = ref__worse(largest, magnitude);
            if (bound != NULL)
                ref__bound_sum(run->u, bound + t * n_c + j, magnitude, a[j],
                               n_conv + 1, 0.0);
        }
    }
    if (run->exact)
        ref__record_bits(run, c->tap, layer,
                         ref__bits(largest, step_of(run, layer, c)));
    ref__put(run, c->tap, layer, c->a, bound);
}

void ref__convolve_only(ref__run *run, int layer, const ref__convolution *c)
{
    read_weights(run, layer, c);
    if (run->draw != NULL)
        drawn_sums(run, layer, c);
    else
        sums(run, layer, c);
}

void ref__convolve(ref__run *run, int layer, const ref__convolution *c)
{
    ref__convolve_only(run, layer, c);
    ref__gate(run, layer, c->act_tap, CORE_ACT_SILU, NULL, c->a, c->n_c);
}
