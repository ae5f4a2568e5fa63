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

/* Row t is token t, or the last digest of runs of `m` tokens that it sees, at the
 * position of its run's first token.                                         */
static int64_t position_of(const ref__run *run, int64_t t, int64_t m)
{
    const int64_t position = t % run->batch->n_t;
    if (m == 0)
        return position;
    const int64_t n_digest = (position + 1) / m;
    return n_digest > 0 ? (n_digest - 1) * m : 0;
}

/* By how much a token's rotation is ahead of its position: 0 as written. */
static int64_t ahead(const ref__run *run, core_tap_kind kind)
{
    const ref_otherwise how = run->model->options.otherwise;
    return how == REF_ROTATIONS_FROM_ONE ||
           (how == REF_QUERIES_ONE_ON && kind == CORE_TAP_Q_ROPE);
}

/* How the rows of a tap turn. */
typedef struct turning {
    const double *sin_tj; /* of the layer's kind of heads, or less it         */
    int64_t m;            /* tokens of a digest; 0: rows are tokens           */
    bool interleaved;
} turning;

static turning forwards(const ref__run *run, int layer)
{
    return (turning){.sin_tj = run->rope[run->spec->head_kind[layer]].sin_tj,
                     .interleaved =
                         core_spec_heads(run->spec, layer).rope.interleaved};
}

static void rotate(ref__run *run, int layer, core_tap_kind kind, turning how,
                   double *qk, int64_t n_head, int64_t n_dh, int64_t first)
{
    const core_heads size = core_spec_heads(run->spec, layer);
    const int64_t n_rot = size.n_rot, half = n_rot / 2;
    const int64_t width = n_head * n_dh;
    const double *cos_tj = run->rope[run->spec->head_kind[layer]].cos_tj;
    float *bound = ref__bound_buffer(run, kind, layer);
    const ref__drawn drawn = ref__draw_operator(run, kind, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        const int64_t position =
            position_of(run, t, how.m) + ahead(run, kind);
        double *qk_t = qk + t * width;
        if (bound != NULL)
            bound_heads(run, &size, bound + t * width, qk_t, n_head, n_dh,
                        first, how.interleaved);
        for (int64_t h = 0; h < n_head; h++) {
            double *r = qk_t + h * n_dh + first;
            const double *cos_j = cos_tj + position * half;
            const double *sin_j = how.sin_tj + position * half;
            if (run->draw != NULL)
                ref__drawn_rope(&drawn, r, cos_j, sin_j, n_rot,
                                how.interleaved);
            else
                ref__rope_row(r, cos_j, sin_j, n_rot, how.interleaved);
        }
        core_store(run->numerics, CORE_GRID_ACT, qk_t, width);
    }
    ref__put(run, kind, layer, qk, bound);
}

void ref__rope(ref__run *run, int layer, core_tap_kind kind, double *qk,
               int64_t n_head, int64_t n_dh, int64_t first)
{
    rotate(run, layer, kind, forwards(run, layer), qk, n_head, n_dh, first);
}

void ref__rope_pairs(ref__run *run, int layer, core_tap_kind kind, double *qk,
                     int64_t n_head, int64_t n_dh, int64_t first,
                     bool interleaved)
{
    turning how = forwards(run, layer);
    how.interleaved = interleaved;
    rotate(run, layer, kind, how, qk, n_head, n_dh, first);
}

void ref__rope_back(ref__run *run, int layer, core_tap_kind kind, double *qk,
                    int64_t n_head, int64_t n_dh, int64_t first)
{
    turning how = forwards(run, layer);
    how.sin_tj = run->rope[run->spec->head_kind[layer]].back_tj;
    rotate(run, layer, kind, how, qk, n_head, n_dh, first);
}

void ref__rope_digests(ref__run *run, int layer, core_tap_kind kind, double *k,
                       int64_t n_dh, int64_t first)
{
    turning how = forwards(run, layer);
    how.m = core_spec_digest_run(run->spec, layer);
    rotate(run, layer, kind, how, k, 1, n_dh, first);
}
