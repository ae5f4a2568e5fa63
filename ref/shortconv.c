/* ref/shortconv.c -- a gated convolution over a few positions.
 *
 *     out = (C * conv(B * x)) Wo^T      B, C, x: three projections of xn
 *
 * Traps: nothing is activated; both gates are products, whose results are
 * stored.
 */
#include "ref/ref_impl.h"

typedef struct shortconv {
    double *b, *c, *x;     /* [N, D]; x, then B * x                           */
    double *y;             /* [N, D] convolved, then C * that                 */
    ref__convolution conv; /* of x to y                                       */
} shortconv;

static shortconv take(ref__run *run, int layer)
{
    const int64_t n = run->n * run->spec->n_d;
    shortconv s = {.b = core_arena_f64(&run->arena, n),
                   .c = core_arena_f64(&run->arena, n),
                   .x = core_arena_f64(&run->arena, n),
                   .y = core_arena_f64(&run->arena, n)};
    s.conv = (ref__convolution){.weight = CORE_W_SHORTCONV_CONV,
                                .tap = CORE_TAP_SHORTCONV_CONV,
                                .u = s.x,
                                .a = s.y};
    ref__convolution_take(run, layer, &s.conv);
    return s;
}

/* y := y * by, one product that is stored at once. */
static void multiply(ref__run *run, int layer, core_tap_kind kind,
                     const double *by, double *y)
{
    const int64_t n_d = run->spec->n_d;
    float *bound = ref__bound_buffer(run, kind, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        double *y_t = y + t * n_d;
        for (int64_t d = 0; d < n_d; d++)
            y_t[d] *= by[t * n_d + d];
        core_store(run->numerics, CORE_GRID_ACT, y_t, n_d);
        if (bound != NULL)
            ref__bound_relative(run->u, bound + t * n_d, y_t, n_d,
                                REF__ROUNDS_PRODUCT);
    }
    ref__put(run, kind, layer, y, bound);
}

void ref__shortconv(ref__run *run, int layer, double *out, bool dry)
{
    const shortconv s = take(run, layer);
    if (dry)
        return;
    const int64_t n_d = run->spec->n_d;
    const ref__rows xn = ref__measure(run, run->xn, run->n, n_d);
    ref__linear(run, &xn, CORE_W_SHORTCONV_B, layer, CORE_TAP_SHORTCONV_B, s.b);
    ref__linear(run, &xn, CORE_W_SHORTCONV_C, layer, CORE_TAP_SHORTCONV_C, s.c);
    ref__linear(run, &xn, CORE_W_SHORTCONV_X, layer, CORE_TAP_SHORTCONV_X, s.x);
    multiply(run, layer, CORE_TAP_SHORTCONV_BX, s.b, s.x);
    ref__convolve_only(run, layer, &s.conv);
    multiply(run, layer, CORE_TAP_SHORTCONV_GATED, s.c, s.y);
    const ref__rows y = ref__measure(run, s.y, run->n, n_d);
    ref__linear(run, &y, CORE_W_SHORTCONV_OUT, layer, CORE_TAP_ATTN_OUT, out);
}
