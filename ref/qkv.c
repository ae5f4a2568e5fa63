/* ref/qkv.c -- queries, keys and values from three projections, or two: values
 * may be the keys, before anything happens to these.
 *
 * What may happen to queries and keys between projection and scores, in this
 * order: a norm, a clamp, rope, a norm after rope, and in layers without rope a
 * temperature.  Each works in place, delivers its tap, and is absent in most
 * models.  Traps: a norm over all heads has one statistic per token; the clamp
 * comes after the norm where there is one, else before the projection is
 * stored (linear.c), and values are always clamped there.
 */
#include "ref/ref_impl.h"

#include <string.h>

/* A norm of [N, n_head*Dh] in place; weight CORE_W_NONE: none. */
static void norm_heads(ref__run *run, int layer, core_tap_kind kind, double *qk,
                       int64_t n_head, core_weight_kind weight)
{
    const core_spec *spec = run->spec;
    const int64_t n_dh = core_spec_heads(spec, layer).n_dh;
    const int64_t width = n_head * n_dh;
    const bool all = spec->qk_norm == CORE_QK_NORM_ALL;
    const bool later = spec->qk_norm == CORE_QK_NORM_ROPED ||
                       spec->qk_norm == CORE_QK_NORM_AFTER;
    const ref__norm norm = {.x = qk,
                            .ld_x = width,
                            .y = qk,
                            .n_part = all ? 1 : n_head,
                            .n = all ? width : n_dh,
                            .weight = weight,
                            .eps = spec->norm_eps,
                            .clip = later ? 0.0 : spec->clip_qkv,
                            .plus = ref__is_plus_one(run) && weight != CORE_W_NONE};
    ref__rmsnorm(run, layer, kind, &norm);
}

/* Values from their own projection, or the keys' k; then their norm. */
static void make_values(ref__run *run, int layer, const ref__rows *xn,
                        const double *k, double *v)
{
    const core_heads size = core_spec_heads(run->spec, layer);
    const int64_t width = size.n_g * size.n_dv;
    if (size.v_is_k)
        memcpy(v, k, (size_t)(run->n * width) * sizeof *v);
    else
        ref__linear(run, xn, CORE_W_V, layer, CORE_TAP_V, v);
    if (!run->spec->value_norm)
        return;
    const ref__norm norm = {.x = v,
                            .ld_x = width,
                            .y = v,
                            .n_part = size.n_g,
                            .n = size.n_dv,
                            .weight = CORE_W_NONE,
                            .eps = run->spec->norm_eps};
    ref__rmsnorm(run, layer, CORE_TAP_V_NORM, &norm);
}

/* q := q * temperature of its position. */
static void temper(ref__run *run, int layer, double *q)
{
    const core_heads size = core_spec_heads(run->spec, layer);
    const int64_t width = size.n_h * size.n_dh;
    float *bound = ref__bound_buffer(run, CORE_TAP_Q_TEMPER, layer);
    const ref__drawn drawn = ref__draw_operator(run, CORE_TAP_Q_TEMPER, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        const double c = core_temper(run->spec, t % run->batch->n_t);
        double *q_t = q + t * width;
        if (run->draw != NULL)
            ref__drawn_scale(&drawn, q_t, width, c);
        for (int64_t d = 0; run->draw == NULL && d < width; d++)
            q_t[d] *= c;
        core_store(run->numerics, CORE_GRID_ACT, q_t, width);
        if (bound != NULL)
            ref__bound_relative(run->u, bound + t * width, q_t, width,
                                REF__ROUNDS_TEMPER);
    }
    ref__put(run, CORE_TAP_Q_TEMPER, layer, q, bound);
}

void ref__qkv(ref__run *run, int layer, const ref__heads *heads, bool dry)
{
    if (dry)
        return;
    const core_spec *spec = run->spec;
    const core_qk_norm norm = spec->qk_norm;
    const int64_t n_h = heads->size.n_h, n_g = heads->size.n_g;
    const int64_t n_dh = heads->size.n_dh;
    const ref__rows xn = ref__measure(run, run->xn, run->n, spec->n_d);
    double *q = heads->q, *k = heads->k;
    ref__linear(run, &xn, CORE_W_Q, layer, CORE_TAP_Q, q);
    ref__linear(run, &xn, CORE_W_K, layer, CORE_TAP_K, k);
    make_values(run, layer, &xn, k, heads->v);
    if (norm == CORE_QK_NORM_HEAD || norm == CORE_QK_NORM_ALL) {
        norm_heads(run, layer, CORE_TAP_Q_NORM, q, n_h, CORE_W_Q_NORM);
        norm_heads(run, layer, CORE_TAP_K_NORM, k, n_g, CORE_W_K_NORM);
    }
    if (core_spec_has_rope(spec, layer)) {
        ref__rope(run, layer, CORE_TAP_Q_ROPE, q, n_h, n_dh, 0);
        ref__rope(run, layer, CORE_TAP_K_ROPE, k, n_g, n_dh, 0);
        if (norm == CORE_QK_NORM_ROPED) {
            const core_weight_kind none = CORE_W_NONE;
            norm_heads(run, layer, CORE_TAP_Q_ROPE_NORM, q, n_h, none);
            norm_heads(run, layer, CORE_TAP_K_ROPE_NORM, k, n_g, none);
        } else if (norm == CORE_QK_NORM_AFTER) {
            norm_heads(run, layer, CORE_TAP_Q_ROPE_NORM, q, n_h, CORE_W_Q_NORM);
            norm_heads(run, layer, CORE_TAP_K_ROPE_NORM, k, n_g, CORE_W_K_NORM);
        }
    } else if (spec->temper_scale > 0.0) {
        temper(run, layer, q);
    }
}
