/* ref/digest.c -- digests of runs of m tokens: of keys, and of what picks them.
 *
 * A digest is, channel by channel, a sum of its tokens' vectors by a softmax of
 * their gates, to which a bias of the place in the run is added.  Where digests
 * are picked a token has two vectors (and two gates) side by side: the second
 * for its own run's digest, the first for the next one's; the first run has no
 * one before it.  Then a norm, and the rotation of the run's first position.  A
 * run that is not complete has no digest, and query t sees those of the first
 * floor((t + 1) / m) runs.
 *
 * Row t of a tap is the digest that token t sees last, so that one text serves
 * for these rows and for tokens; zeros before the first.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* One of the two makers of digests. */
typedef struct maker {
    core_weight_kind w_kv, w_gate, w_bias, w_norm;
    core_tap_kind kv_tap, gate_tap, sum_tap, norm_tap, rope_tap;
} maker;

static const maker KEYS = {
    CORE_W_DIGEST_KV,   CORE_W_DIGEST_GATE,   CORE_W_DIGEST_BIAS,
    CORE_W_DIGEST_NORM, CORE_TAP_DIGEST_KV,   CORE_TAP_DIGEST_GATE,
    CORE_TAP_DIGEST,    CORE_TAP_DIGEST_NORM, CORE_TAP_DIGEST_ROPE};
static const maker PICKS = {
    CORE_W_PICK_KV,   CORE_W_PICK_GATE,   CORE_W_PICK_BIAS,
    CORE_W_PICK_NORM, CORE_TAP_PICK_KV,   CORE_TAP_PICK_GATE,
    CORE_TAP_PICK,    CORE_TAP_PICK_NORM, CORE_TAP_PICK_ROPE};

typedef struct sums {
    const maker *by;
    int layer;
    int64_t m, n_vector, n; /* tokens of a run, their vectors, columns       */
    double *kv, *gate;      /* [N, n_vector * n]                             */
    double *bias;           /* [m, n_vector * n]                             */
    double *room;           /* [n_threads, 2, n_vector * m]                  */
    double *out;            /* [N, n]                                        */
    ref__drawn drawn;
    float *bound;
} sums;

static sums take(ref__run *run, int layer, const maker *by, int64_t n,
                 double *out)
{
    core_arena *a = &run->arena;
    sums s = {.by = by,
              .layer = layer,
              .m = core_spec_digest_run(run->spec, layer),
              .n_vector = core_spec_digest_vectors(run->spec, layer),
              .n = n,
              .out = out};
    s.kv = core_arena_f64(a, run->n * s.n_vector * n);
    s.gate = core_arena_f64(a, run->n * s.n_vector * n);
    s.bias = core_arena_f64(a, s.m * s.n_vector * n);
    s.room = core_arena_f64(a, run->n_threads * 2 * s.n_vector * s.m);
    return s;
}

/* z and v [n]: gates and values of channel c of run w of row b; returns n. */
static int64_t gather(const ref__run *run, const sums *s, int64_t b, int64_t w,
                      int64_t c, double *z, double *v)
{
    const int64_t width = s->n_vector * s->n;
    int64_t n = 0;
    for (int64_t i = s->n_vector - 1; i >= 0; i--) { /* runs w - i */
        const int64_t col = (s->n_vector - 1 - i) * s->n + c;
        for (int64_t j = 0; w - i >= 0 && j < s->m; j++, n++) {
            const int64_t t = b * run->batch->n_t + (w - i) * s->m + j;
            z[n] = s->gate[t * width + col] + s->bias[j * width + col];
            v[n] = s->kv[t * width + col];
        }
    }
    return n;
}

/* The values' sum by the softmax of z, which becomes it; *norm1 the sum of its
 * magnitudes.                                                                */
static double mix(const ref__run *run, const sums *s, double *z,
                  const double *v, int64_t n, double *norm1)
{
    double sum = 0.0, total = 1.0;
    *norm1 = 0.0;
    if (run->draw != NULL) {
        const bool stores_p = s->drawn.eager || s->drawn.stated;
        const double all =
            ref__drawn_exponentials(&s->drawn, z, 0, n, NULL, 1.0, -HUGE_VAL);
        for (int64_t i = 0; stores_p && i < n; i++)
            z[i] = (double)((float)z[i] / (float)all);
        if (stores_p)
            core_store(run->numerics, CORE_GRID_PROB, z, n);
        else
            total = all;
        return ref__drawn_dot(&s->drawn, z, v, 1, n, 0.0) / total;
    }
    (void)ref__softmax_row(run->numerics, z, 0, n, NULL, 1.0, -HUGE_VAL);
    for (int64_t i = 0; i < n; i++) {
        sum += z[i] * v[i];
        *norm1 += z[i];
    }
    return sum;
}

/* As of attention's context: a score is a sum of two, and subtracted from. */
static void bound_sum(const ref__run *run, const sums *s, int64_t at,
                      const double *p, const double *v, int64_t n,
                      double largest_z)
{
    double sum_abs = 0.0, max_v = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum_abs += p[i] * fabs(v[i]);
        max_v = fmax(max_v, fabs(v[i]));
    }
    ref__bound_context(run->u, run->u, s->bound + at, &sum_abs, NULL,
                       s->out + at, 1, 5.0 * run->u.sum * largest_z, max_v, n);
}

/* One run's digest, at the first token that sees it; returns the largest
 * magnitude of a sum.                                                        */
static double make_one(const ref__run *run, const sums *s, int64_t b, int64_t w)
{
    double *z = s->room + omp_get_thread_num() * 2 * s->n_vector * s->m;
    double *v = z + s->n_vector * s->m, most = 0.0;
    const int64_t t = b * run->batch->n_t + (w + 1) * s->m - 1;
    for (int64_t c = 0; c < s->n; c++) {
        const int64_t n = gather(run, s, b, w, c, z, v), at = t * s->n + c;
        double largest_z = 0.0, largest_v = 0.0, norm1;
        for (int64_t i = 0; i < n; i++) {
            largest_z = fmax(largest_z, fabs(z[i]));
            largest_v = ref__worse(largest_v, fabs(v[i]));
        }
        s->out[at] = mix(run, s, z, v, n, &norm1);
        core_store(run->numerics, CORE_GRID_ACT, s->out + at, 1);
        most = ref__worse(most, norm1 * largest_v);
        if (s->bound != NULL)
            bound_sum(run, s, at, z, v, n, largest_z);
    }
    return most;
}

/* The tokens after it see it, too, until the next one is complete. */
static void repeat(const ref__run *run, const sums *s, int64_t b)
{
    const int64_t n_t = run->batch->n_t, n = s->n;
    for (int64_t t = 0; t < n_t; t++) {
        const int64_t to = b * n_t + t;
        if ((t + 1) % s->m == 0)
            continue;
        for (int64_t c = 0; c < n; c++) {
            const bool any = t >= s->m;
            s->out[to * n + c] = any ? s->out[(to - 1) * n + c] : 0.0;
            if (s->bound != NULL)
                s->bound[to * n + c] = any ? s->bound[(to - 1) * n + c] : 0.0F;
        }
    }
}

static void make_sums(ref__run *run, sums *s)
{
    const int64_t n_b = run->batch->n_b, n_run = run->batch->n_t / s->m;
    double most = 0.0;
    s->drawn = ref__draw_operator(run, s->by->sum_tap, s->layer);
    s->bound = ref__bound_buffer(run, s->by->sum_tap, s->layer);
#pragma omp parallel for num_threads(run->n_threads) reduction(max : most)
    for (int64_t i = 0; i < n_b * n_run; i++)
        most = ref__worse(most, make_one(run, s, i / n_run, i % n_run));
    for (int64_t b = 0; b < n_b; b++)
        repeat(run, s, b);
    if (run->exact)
        ref__record_bits(run, s->by->sum_tap, s->layer,
                         ref__bits(most, CORE_STEP_PROB * CORE_STEP_ACT));
    ref__put(run, s->by->sum_tap, s->layer, s->out, s->bound);
}

/* s->out [N, n]: the digests, normed and rotated. */
static void make(ref__run *run, sums *s)
{
    const maker *by = s->by;
    const core_heads heads = core_spec_heads(run->spec, s->layer);
    const ref__norm norm = {.x = s->out,
                            .ld_x = s->n,
                            .y = s->out,
                            .n_part = 1,
                            .n = s->n,
                            .weight = by->w_norm,
                            .eps = run->spec->norm_eps};
    const ref__rows xn = ref__measure(run, run->xn, run->n, run->spec->n_d);
    ref__linear(run, &xn, by->w_kv, s->layer, by->kv_tap, s->kv);
    ref__linear(run, &xn, by->w_gate, s->layer, by->gate_tap, s->gate);
    ref__read_vector(run, by->w_bias, s->layer, s->bias);
    make_sums(run, s);
    ref__rmsnorm(run, s->layer, by->norm_tap, &norm);
    ref__rope_digests(run, s->layer, by->rope_tap, s->out, s->n,
                      s->n - heads.n_rot);
}

void ref__digests(ref__run *run, int layer, bool of_picker, int64_t n,
                  double *digest, bool dry)
{
    const size_t mark = run->arena.used_bytes;
    sums s = take(run, layer, of_picker ? &PICKS : &KEYS, n, digest);
    if (!dry)
        make(run, &s);
    core_arena_rewind(&run->arena, mark);
}
