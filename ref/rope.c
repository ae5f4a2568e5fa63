/* ref/rope.c -- rotary positions: pairs of a head's elements, turned by t.
 *
 * Which elements make a pair (halves, or neighbours) and which part of a head
 * turns at all are data of the model; elements that do not turn are copied, so
 * their bound is 0.  Positions count from 0 in every row, padding or not.
 */
#include "ref/ref_impl.h"

#include <string.h>

void ref__rope_row(double *r, const double *cos_j, const double *sin_j,
                   int64_t n_rot, bool interleaved)
{
    const int64_t half = n_rot / 2;
    const int64_t step = interleaved ? 2 : 1, apart = interleaved ? 1 : half;
    for (int64_t j = 0; j < half; j++) {
        double *a = r + j * step, *b = a + apart;
        const double turned = *a * cos_j[j] - *b * sin_j[j];
        *b = *b * cos_j[j] + *a * sin_j[j];
        *a = turned;
    }
}

/* Bounds of one token's heads, before they turn. */
static void bound_heads(const ref__run *run, const core_heads *size,
                        float *bound, const double *qk, int64_t n_head,
                        int64_t n_dh, int64_t first, bool interleaved)
{
    const core_rope *rope = &size->rope;
    const int64_t n_rot = size->n_rot;
    memset(bound, 0, (size_t)(n_head * n_dh) * sizeof *bound);
    for (int64_t h = first; h < n_head * n_dh; h += n_dh) /* pairs as heads */
        ref__bound_rope(run->u, bound + h, qk + h, n_rot,
                        interleaved ? 2 : n_rot, rope->attention_factor);
}

void ref__rope(ref__run *run, int layer, core_tap_kind kind, double *qk,
               int64_t n_head, int64_t n_dh, int64_t first)
{
    ref__rope_pairs(run, layer, kind, qk, n_head, n_dh, first,
                    core_spec_heads(run->spec, layer).rope.interleaved);
}

void ref__rope_pairs(ref__run *run, int layer, core_tap_kind kind, double *qk,
                     int64_t n_head, int64_t n_dh, int64_t first,
                     bool interleaved)
{
    const core_heads size = core_spec_heads(run->spec, layer);
    const int64_t n_rot = size.n_rot, half = n_rot / 2;
    const int64_t width = n_head * n_dh;
    const int kind_of = run->spec->head_kind[layer];
    const double *cos_tj = run->rope[kind_of].cos_tj;
    const double *sin_tj = run->rope[kind_of].sin_tj;
    float *bound = ref__bound_buffer(run, kind, layer);
    const ref__drawn drawn = ref__draw_operator(run, kind, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        const int64_t position = t % run->batch->n_t;
        double *qk_t = qk + t * width;
        if (bound != NULL)
            bound_heads(run, &size, bound + t * width, qk_t, n_head, n_dh,
                        first, interleaved);
        for (int64_t h = 0; h < n_head; h++) {
            double *r = qk_t + h * n_dh + first;
            const double *cos_j = cos_tj + position * half;
            const double *sin_j = sin_tj + position * half;
            if (run->draw != NULL)
                ref__drawn_rope(&drawn, r, cos_j, sin_j, n_rot, interleaved);
            else
                ref__rope_row(r, cos_j, sin_j, n_rot, interleaved);
        }
        core_store(run->numerics, CORE_GRID_ACT, qk_t, width);
    }
    ref__put(run, kind, layer, qk, bound);
}
