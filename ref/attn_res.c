/* ref/attn_res.c -- attention residuals: x [N, sums, D], the running sum first,
 * then what it was before each block of layers.
 *
 * A part reads h = sum_j p_j x_j over the sums that there are, p a softmax of
 * the scores m_j = (x_j . (w_n w_l)) / rms(x_j), which the weight of a norm and
 * a vector are made of.  A block of layers begins behind what its first
 * attention reads: the running sum is put away and starts from nothing.  What a
 * part gives is added to it.  Traps: before the very first attention there is
 * the embedding alone, which is read as it is; sums of blocks that have not
 * begun hold the embedding and are read by nobody.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

typedef struct place {
    core_weight_kind norm, look;
    core_tap_kind score, weight, read;
} place;

static const place PLACE[] = {
    [REF__MIXER] = {CORE_W_ATTN_LOOK_NORM, CORE_W_ATTN_LOOK, CORE_TAP_ATTN_LOOK,
                    CORE_TAP_ATTN_BACK, CORE_TAP_ATTN_READ},
    [REF__FFN] = {CORE_W_FFN_LOOK_NORM, CORE_W_FFN_LOOK, CORE_TAP_FFN_LOOK,
                  CORE_TAP_FFN_BACK, CORE_TAP_FFN_READ},
    [REF__HEAD] = {CORE_W_HEAD_LOOK_NORM, CORE_W_HEAD_LOOK, CORE_TAP_HEAD_LOOK,
                   CORE_TAP_HEAD_BACK, CORE_TAP_HEAD_READ},
};

static int64_t n_sum(const core_spec *spec)
{
    return core_spec_n_x(spec) / spec->n_d;
}

/* Sums that the part can read. */
static int64_t n_there(const core_spec *spec, int layer, ref__part part)
{
    const int64_t l = part == REF__MIXER ? layer
                      : part == REF__FFN ? layer + 1
                                         : spec->n_l;
    return 1 + core_attn_res_begun(&spec->attn_res, l);
}

/* --- scores --- */

/* The weights of a score: of its norm, of its product, both together. */
typedef struct weights {
    double *norm, *look, *both; /* [D]                                        */
    double norm_both;
} weights;

static weights read_weights(ref__run *run, int layer, const place *at)
{
    const int64_t n_d = run->spec->n_d;
    weights w = {.norm = run->look,
                 .look = run->look + n_d,
                 .both = run->look + 2 * n_d};
    ref__read_vector(run, at->norm, layer, w.norm);
    ref__read_vector(run, at->look, layer, w.look);
    for (int64_t d = 0; d < n_d; d++)
        w.both[d] = w.norm[d] * w.look[d];
    w.norm_both = sqrt(ref__sum_of_squares(w.both, n_d));
    return w;
}

/* room [D]: of a drawn pass, which norms before it multiplies. */
static double score_of(const ref__run *run, const ref__drawn *drawn,
                       const weights *w, const double *x, double *room)
{
    const int64_t n_d = run->spec->n_d;
    const double eps = run->spec->norm_eps;
    if (run->draw != NULL) {
        ref__drawn_rmsnorm(drawn, room, x, w->norm, n_d, (double)n_d, eps);
        return ref__drawn_dot(drawn, w->look, room, 1, n_d, 0.0);
    }
    double sum = 0.0;
    for (int64_t d = 0; d < n_d; d++)
        sum += x[d] * w->both[d];
    return sum / sqrt(ref__sum_of_squares(x, n_d) / (double)n_d + eps);
}

/* The product of the weights, and of it with x or x / rms: 3u of the sum of
 * magnitudes beside the sum's own error; the sum of squares is off by one, too,
 * halved by the root; quotient, eps, root and division: 4u.                  */
static float bound_score(ref__roundoff u, const core_spec *spec,
                         const weights *w, const double *x, double y)
{
    const double square = ref__sum_of_squares(x, spec->n_d);
    const double rms = sqrt(square / (double)spec->n_d + spec->norm_eps);
    const double c = 1.5 * ref__sum_error(u, spec->n_d) + 7.0 * u.sum;
    return ref__up(u, c * sqrt(square) / rms * w->norm_both, y);
}

static void score(ref__run *run, int layer, const place *at, int64_t n)
{
    const core_spec *spec = run->spec;
    const int64_t n_d = spec->n_d, n_x = core_spec_n_x(spec);
    const weights w = read_weights(run, layer, at);
    const ref__drawn drawn = ref__draw_operator(run, at->score, layer);
    const core_numerics numerics = core_tap_numerics(run->numerics, at->score);
    float *bound = ref__bound_buffer(run, at->score, layer);
    double largest = 0.0;
#pragma omp parallel for num_threads(run->n_threads) reduction(max : largest)
    for (int64_t t = 0; t < run->n; t++) {
        double *m = run->joint + t * n;
        double *room = run->streams + omp_get_thread_num() * (n_x + n_d);
        for (int64_t j = 0; j < n; j++) {
            const double *x = run->x + t * n_x + j * n_d;
            m[j] = score_of(run, &drawn, &w, x, room);
            if (run->exact)
                largest = ref__worse(largest, ref__sum_of_squares(x, n_d));
        }
        core_store(numerics, CORE_GRID_ACT, m, n);
        for (int64_t j = 0; bound != NULL && j < n; j++)
            bound[t * n + j] = bound_score(ref__roundoff_of(numerics), spec, &w,
                                           run->x + t * n_x + j * n_d, m[j]);
    }
    if (run->exact) {
        const core_weights *all = run->model->weights;
        const double step =
            CORE_STEP_ACT *
            core_weights_step(all, (core_weight){at->norm, layer, 0}) *
            core_weights_step(all, (core_weight){at->look, layer, 0});
        ref__record_bits(run, at->score, layer,
                         fmax(ref__bits(largest, CORE_STEP_ACT * CORE_STEP_ACT),
                              ref__bits(sqrt(largest) * w.norm_both, step)));
    }
    ref__put(run, at->score, layer, run->joint, bound);
}

/* --- weights --- */

static void weigh(ref__run *run, int layer, const place *at, int64_t n)
{
    const ref__drawn drawn = ref__draw_operator(run, at->weight, layer);
    const core_numerics numerics = core_tap_numerics(run->numerics, at->weight);
    const ref__roundoff u = ref__u(run, at->weight);
    float *bound = ref__bound_buffer(run, at->weight, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        double *p = run->joint + t * n, m[1 + CORE_MAX_LAYERS];
        memcpy(m, p, (size_t)n * sizeof *m);
        if (run->draw != NULL)
            ref__drawn_softmax(&drawn, p, m, n);
        else
            ref__softmax(numerics, p, m, n);
        core_store(numerics, CORE_GRID_PROB, p, n);
        if (bound != NULL)
            ref__bound_softmax(u, bound + t * n, m, p, n);
    }
    ref__put(run, at->weight, layer, run->joint, bound);
}

/* --- the stream --- */

/* The running sum is put away and starts from nothing. */
static void begin_block(ref__run *run, int64_t block)
{
    const int64_t n_d = run->spec->n_d, n_x = core_spec_n_x(run->spec);
    for (int64_t t = 0; t < run->n; t++) {
        double *x = run->x + t * n_x;
        memcpy(x + (1 + block) * n_d, x, (size_t)n_d * sizeof *x);
        memset(x, 0, (size_t)n_d * sizeof *x);
    }
}

static void collapse(ref__run *run, int layer, ref__part part)
{
    const core_spec *spec = run->spec;
    const int64_t n = n_there(spec, layer, part), n_d = spec->n_d;
    const int64_t n_block = spec->attn_res.n_block;
    if (n > 1) {
        score(run, layer, &PLACE[part], n);
        weigh(run, layer, &PLACE[part], n);
        ref__read_streams(run, layer, PLACE[part].read, n, n);
    } else {
        for (int64_t t = 0; t < run->n; t++)
            memcpy(run->h + t * n_d, run->x + t * core_spec_n_x(spec),
                   (size_t)n_d * sizeof *run->h);
    }
    if (part == REF__MIXER && layer % n_block == 0)
        begin_block(run, layer / n_block);
}

/* Of the stream one sum grows; the others stand. */
static void expand(ref__run *run, int layer, core_tap_kind kind)
{
    const int64_t n_d = run->spec->n_d, n_x = core_spec_n_x(run->spec);
    const ref__drawn drawn = ref__draw_operator(run, kind, layer);
    const core_numerics numerics = core_tap_numerics(run->numerics, kind);
    float *bound = ref__bound_buffer(run, kind, layer);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        double *x = run->x + t * n_x;
        const double *r = run->r + t * n_d;
        if (run->draw != NULL)
            ref__drawn_add(&drawn, x, r, n_d, 1.0);
        for (int64_t d = 0; run->draw == NULL && d < n_d; d++)
            x[d] += r[d];
        core_store(numerics, CORE_GRID_ACT, x, n_d);
        if (bound == NULL)
            continue;
        memset(bound + t * n_x, 0, (size_t)n_x * sizeof *bound);
        ref__bound_residual(ref__u(run, kind), bound + t * n_x, x, r, n_d, 1.0,
                            1.0);
    }
    ref__put(run, kind, layer, run->x, bound);
}

const ref__connection ref__attn_res = {n_sum, collapse, expand};
