/* ref/picker.c -- which digests a query attends to.
 *
 * The picker has digests of its own, smaller ones, and heads of queries from
 * the short vector: a digest's score is the sum over heads of w_h relu(q_h .
 * k), and the best are picked.  Scores are summed in double and stored before
 * they are compared: what is chosen follows from the taps before it.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>

typedef struct scorer {
    int64_t n_h, n, m; /* heads, elements of one, tokens of a run             */
    double scale;
    bool is_given;  /* the choice: another pass made it                       */
    double *q;      /* [N, n_h * n]                                           */
    double *k;      /* [N, n]                                                 */
    double *weight; /* [N, n_h]                                               */
    double *score;  /* [n_threads, 2, runs of a row] and room to sort         */
    double *edge;   /* [N, 2]                                                 */
    double *norm_q, *norm_k; /* [N, n_h], [N]: with bounds                    */
} scorer;

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* The score that token t gives the digest of row e; *error (or NULL): by how
 * much a sum in floats may miss it: a product for each head, its factors, and
 * their sum.
 */
static double score_of(const ref__run *run, const scorer *s,
                       const ref__drawn *drawn, int64_t t, int64_t e,
                       double *error)
{
    const double *k = s->k + e * s->n;
    double sum = 0.0, off = 0.0;
    for (int64_t h = 0; h < s->n_h; h++) {
        const double *q = s->q + (t * s->n_h + h) * s->n;
        const double w = s->weight[t * s->n_h + h];
        double found = run->draw != NULL
                           ? ref__drawn_dot(drawn, q, k, 1, s->n, 0.0)
                           : dot(q, k, s->n);
        found = found > 0.0 || found != found ? found : 0.0;
        sum += w * found;
        if (error != NULL)
            off += fabs(w) * (ref__sum_error(run->u, s->n) *
                                  s->norm_q[t * s->n_h + h] * s->norm_k[e] +
                              (double)(s->n_h + 4) * run->u.sum * found);
    }
    if (error != NULL)
        *error = off * s->scale;
    return sum * s->scale;
}

/* Scores of the digests that token t of its row may be given, and the choice
 * unless it is given. */
static void pick(const ref__run *run, const scorer *s, const ref__drawn *drawn,
                 int64_t t, float *bound)
{
    const int64_t n_t = run->batch->n_t, n_key = run->spec->n_seen;
    const int64_t row = t / n_t * n_t, n = (t % n_t + 1) / s->m;
    double *score = s->score + omp_get_thread_num() * 2 * (n_t / s->m);
    double *edge = s->edge + 2 * t, worst = 0.0, error = 0.0;
    int64_t *key = run->seen + t * n_key;
    for (int64_t e = 0; e < n; e++) {
        score[e] = score_of(run, s, drawn, t, row + (e + 1) * s->m - 1,
                            bound != NULL ? &error : NULL);
        worst = fmax(worst, error);
    }
    core_store(core_tap_numerics(run->numerics, CORE_TAP_EDGE), CORE_GRID_ACT,
               score, n);
    if (s->is_given)
        ref__edge_of(key, n_key, score, n, NULL, edge);
    else
        ref__best_keys(key, n_key, score, 0, n, NULL, score + n_t / s->m, edge);
    for (int64_t i = 0; bound != NULL && i < 2; i++)
        bound[2 * t + i] = ref__up(ref__u(run, CORE_TAP_EDGE), worst, edge[i]);
}

/* The largest sum of magnitudes of a score: of the weights, times those of a
 * product.                                                                   */
static double score_bits(const ref__run *run, const scorer *s)
{
    double weights = 0.0;
    for (int64_t t = 0; t < run->n; t++) {
        double sum = 0.0;
        for (int64_t h = 0; h < s->n_h; h++)
            sum += fabs(s->weight[t * s->n_h + h]);
        weights = ref__worse(weights, sum);
    }
    return ref__bits(weights *
                         core_max_row_norm(s->q, run->n * s->n_h, s->n, s->n) *
                         core_max_row_norm(s->k, run->n, s->n, s->n),
                     CORE_STEP_ACT * CORE_STEP_ACT * CORE_STEP_ACT);
}

static void measure_heads(const ref__run *run, const scorer *s)
{
    for (int64_t i = 0; i < run->n * s->n_h; i++)
        s->norm_q[i] = sqrt(ref__sum_of_squares(s->q + i * s->n, s->n));
    for (int64_t t = 0; t < run->n; t++)
        s->norm_k[t] = sqrt(ref__sum_of_squares(s->k + t * s->n, s->n));
}

static void pick_all(ref__run *run, int layer, const scorer *s)
{
    const ref__drawn drawn = ref__draw_operator(run, CORE_TAP_EDGE, layer);
    float *bound = ref__bound_buffer(run, CORE_TAP_EDGE, layer);
    if (bound != NULL)
        measure_heads(run, s);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++)
        pick(run, s, &drawn, t, bound);
    if (run->exact)
        ref__record_bits(run, CORE_TAP_EDGE, layer, score_bits(run, s));
    ref__put(run, CORE_TAP_EDGE, layer, s->edge, bound);
}

void ref__picker(ref__run *run, int layer, const ref__heads *heads,
                 bool is_given, bool dry)
{
    const core_spec *spec = run->spec;
    const core_digests *d = &spec->digests;
    const int64_t first = d->n_pd - heads->size.n_rot;
    core_arena *a = &run->arena;
    scorer s = {.n_h = d->n_ph,
                .n = d->n_pd,
                .m = d->n_best,
                .is_given = is_given,
                .scale = 1.0 / (sqrt((double)d->n_pd) * sqrt((double)d->n_ph))};
    s.q = core_arena_f64(a, run->n * s.n_h * s.n);
    s.k = core_arena_f64(a, run->n * s.n);
    s.weight = core_arena_f64(a, run->n * s.n_h);
    s.score = core_arena_f64(a, run->n_threads * 2 * (run->batch->n_t / s.m));
    s.edge = core_arena_f64(a, run->n * 2);
    if (run->bounds) {
        s.norm_q = core_arena_f64(a, run->n * s.n_h);
        s.norm_k = core_arena_f64(a, run->n);
    }
    if (!dry) {
        const ref__rows x =
            ref__measure(run, heads->q_a, run->n, spec->n_q_rank);
        ref__linear(run, &x, CORE_W_PICK_Q, layer, CORE_TAP_PICK_Q, s.q);
        ref__rope(run, layer, CORE_TAP_PICK_Q_ROPE, s.q, s.n_h, s.n, first);
    }
    ref__digests(run, layer, true, s.n, s.k, dry);
    if (dry)
        return;
    const ref__rows xn = ref__measure(run, run->xn, run->n, spec->n_d);
    ref__linear(run, &xn, CORE_W_PICK_WEIGHT, layer, CORE_TAP_PICK_WEIGHT,
                s.weight);
    pick_all(run, layer, &s);
}
