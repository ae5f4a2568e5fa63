/* parallel/digest.c -- digests of earlier tokens, and which a query attends to.
 *
 * Replicate: every rank of a tensor group makes all digests, those of the scorer
 * too, and chooses for all of its queries; so all its heads see the same ones.
 * A micro-batch holds whole rows, so no digest is cut.
 *
 * In the buffers, as in the taps, row i has the digest of the last complete run
 * of m tokens at token i of its row, so that it repeats until the next run is
 * complete; zeros before the first.
 */
#include "parallel/forward_impl.h"

#include <math.h>
#include <string.h>

typedef struct source {
    par_shard kv, gate;       /* [vectors * n, D]                             */
    const double *bias;       /* [m, vectors * n]                             */
    const double *norm;       /* [n]                                          */
    core_tap_kind kv_tap, gate_tap, sum_tap, norm_tap, rope_tap;
} source;

typedef struct shards {
    source keys, picks;
    par_shard pick_q, pick_weight;
} shards;

static source make_source(par_model *m, int l, core_weight_kind kv,
                          core_weight_kind gate, core_weight_kind bias,
                          core_weight_kind norm)
{
    const int64_t run = core_spec_digest_run(m->spec, l);
    source s = {0};
    s.kv = par__rows(m, kv, l, 0, PAR_END);
    s.gate = par__rows(m, gate, l, 0, PAR_END);
    s.bias = par__doubles(m, bias, l, 0, run);
    s.norm = par__vector(m, norm, l, 0, PAR_END);
    return s;
}

const void *par__digest_make(par_model *m, int l)
{
    shards s = {0};
    if (core_spec_digest_run(m->spec, l) == 0)
        return NULL;
    s.keys = make_source(m, l, CORE_W_DIGEST_KV, CORE_W_DIGEST_GATE,
                         CORE_W_DIGEST_BIAS, CORE_W_DIGEST_NORM);
    s.keys.kv_tap = CORE_TAP_DIGEST_KV;
    s.keys.gate_tap = CORE_TAP_DIGEST_GATE;
    s.keys.sum_tap = CORE_TAP_DIGEST;
    s.keys.norm_tap = CORE_TAP_DIGEST_NORM;
    s.keys.rope_tap = CORE_TAP_DIGEST_ROPE;
    if (m->spec->digest[l] == CORE_DIGEST_BEST) {
        s.pick_q = par__rows(m, CORE_W_PICK_Q, l, 0, PAR_END);
        s.picks = make_source(m, l, CORE_W_PICK_KV, CORE_W_PICK_GATE,
                              CORE_W_PICK_BIAS, CORE_W_PICK_NORM);
        s.picks.kv_tap = CORE_TAP_PICK_KV;
        s.picks.gate_tap = CORE_TAP_PICK_GATE;
        s.picks.sum_tap = CORE_TAP_PICK;
        s.picks.norm_tap = CORE_TAP_PICK_NORM;
        s.picks.rope_tap = CORE_TAP_PICK_ROPE;
        s.pick_weight = par__rows(m, CORE_W_PICK_WEIGHT, l, 0, PAR_END);
    }
    return par__keep(&m->shards, &s, sizeof s);
}

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Layers of all kinds use the same buffers. */
void par__digest_carve(par_work *w, const core_spec *spec)
{
    const core_digests *d = &spec->digests;
    int64_t width = 0, longest = 0, n_dh = 0, n_pick = 0;
    w->n_digest = 0;
    for (int l = 0; l < (int)spec->n_l; l++) {
        const int64_t run = core_spec_digest_run(spec, l);
        if (run == 0)
            continue;
        const int64_t vectors = core_spec_digest_vectors(spec, l);
        n_dh = core_spec_heads(spec, l).n_dh;
        width = max_of(width, vectors * n_dh);
        longest = max_of(longest, vectors * run);
        w->n_digest = max_of(w->n_digest, w->n_t / run);
        if (spec->digest[l] == CORE_DIGEST_BEST)
            n_pick = d->n_pd;
    }
    width = max_of(width, 2 * n_pick);
    w->digest = par__result(w, n_dh);
    w->digest_kv = par__result(w, width);
    w->digest_gate = par__result(w, width);
    w->digest_room = par__fresh_f64(w, longest);
    w->gathered = par__fresh_f64(w, (w->n_t + w->n_digest) * n_dh);
    w->pick = par__result(w, n_pick);
    w->pick_q = par__result(w, n_pick > 0 ? d->n_ph * d->n_pd : 0);
    w->pick_weight = par__result(w, n_pick > 0 ? d->n_ph : 0);
    w->edge = par__result(w, n_pick > 0 ? 2 : 0);
    w->pick_score = par__fresh_f64(w, n_pick > 0 ? w->n_digest : 0);
    w->pick_key = par__fresh(w, n_pick > 0 ? w->n_digest : 0,
                             sizeof *w->pick_key);
}

/* --- one digest --- */

/* Token j of those that a digest of run r sums, and its column: runs r - 1 and r
 * where tokens have two vectors, the first vector of the earlier run's.      */
typedef struct term {
    int64_t token, col, place;
} term;

static term term_of(int64_t r, int64_t j, int64_t run, int64_t vectors,
                    int64_t n)
{
    const bool is_earlier = vectors > 1 && j < run;
    const int64_t place = j % run;
    return (term){.token = (is_earlier ? r - 1 : r) * run + place,
                  .col = vectors > 1 && !is_earlier ? n : 0,
                  .place = place};
}

/* Channel c of the digest of run r of the row that begins at token `row`. */
static double sum_channel(par_model *m, const source *s, int64_t row, int64_t r,
                          int64_t run, int64_t vectors, int64_t c)
{
    const par_work *w = &m->work;
    const int64_t width = s->kv.n_row, n = width / vectors;
    const int64_t first = vectors > 1 && r == 0 ? run : 0;
    const int64_t end = vectors * run;
    double *p = w->digest_room, top = -INFINITY, sum = 0.0, y = 0.0;
    for (int64_t j = first; j < end; j++) {
        const term t = term_of(r, j, run, vectors, n);
        p[j] = w->digest_gate[(row + t.token) * width + t.col + c] +
               s->bias[t.place * width + t.col + c];
        top = p[j] > top ? p[j] : top;
    }
    for (int64_t j = first; j < end; j++)
        p[j] = exp(p[j] - top);
    core_store(m->numerics, CORE_GRID_EXP, p + first, end - first);
    for (int64_t j = first; j < end; j++)
        sum += p[j];
    for (int64_t j = first; j < end; j++)
        p[j] /= sum;
    core_store(m->numerics, CORE_GRID_PROB, p + first, end - first);
    for (int64_t j = first; j < end; j++) {
        const term t = term_of(r, j, run, vectors, n);
        y += p[j] * w->digest_kv[(row + t.token) * width + t.col + c];
    }
    return y;
}

/* A sum by probabilities, which add up to at most 1 and half a step each. */
static void check_sums(par_model *m, core_tap tap, int64_t n_term,
                       int64_t width)
{
    double largest = 0.0;
    if (m->numerics != CORE_EXACT)
        return;
    for (int64_t i = 0; i < m->now.n * width; i++)
        if (!(fabs(m->work.digest_kv[i]) <= largest))
            largest = fabs(m->work.digest_kv[i]);
    par__check(m, tap, 1.0 + (double)n_term * (CORE_STEP_PROB / 2), largest,
               CORE_STEP_PROB, CORE_STEP_ACT);
}

/* out [n, width / vectors] of all rows. */
static void sum_runs(par_model *m, const source *s, double *out, int l)
{
    const int64_t run = core_spec_digest_run(m->spec, l);
    const int64_t vectors = core_spec_digest_vectors(m->spec, l);
    const int64_t n_t = m->batch->n_t, n_col = s->kv.n_row / vectors;
    const core_tap tap = par__tap(s->sum_tap, l);
    core_cost *cost = par__cost_rows(m, tap, m->now.n, s->kv.n_row,
                                     CORE_FLOPS_SOFTMAX +
                                         CORE_FLOPS_MULTIPLY_ADD);
    cost->read *= 2; /* values and gates */
    cost->weights = m->now.n > 0 ? run * s->kv.n_row : 0;
    for (int64_t i = 0; i < m->now.n; i++) {
        const int64_t at = i % n_t, r = (at + 1) / run - 1;
        double *y = out + i * n_col;
        if (r < 0)
            memset(y, 0, (size_t)n_col * sizeof *y);
        else if ((at + 1) % run != 0)
            memcpy(y, y - n_col, (size_t)n_col * sizeof *y);
        else
            for (int64_t c = 0; c < n_col; c++)
                y[c] = sum_channel(m, s, i - at, r, run, vectors, c);
    }
    check_sums(m, tap, vectors * run, s->kv.n_row);
    par__tap_replicated(m, tap, out);
}

static void make_digests(par_model *m, const source *s, double *out, int l)
{
    par_work *w = &m->work;
    const int64_t n = m->now.n, n_col = s->kv.n_row /
                                        core_spec_digest_vectors(m->spec, l);
    const int64_t n_rot = core_spec_heads(m->spec, l).n_rot;
    core_tap tap = par__tap(s->kv_tap, l);
    par__enter(m, PAR_OP_ONEKV, tap);
    par__affine(m, w->digest_kv, w->xn, m->spec->n_d, &s->kv, tap);
    par__tap_replicated(m, tap, w->digest_kv);
    tap = par__tap(s->gate_tap, l);
    par__affine(m, w->digest_gate, w->xn, m->spec->n_d, &s->gate, tap);
    par__tap_replicated(m, tap, w->digest_gate);
    sum_runs(m, s, out, l);
    tap = par__tap(s->norm_tap, l);
    par__rms_rows(m, out, n_col, out, n_col, n, n_col, s->norm,
                  m->spec->norm_eps, tap);
    par__tap_replicated(m, tap, out);
    tap = par__tap(s->rope_tap, l);
    par__rope_digests(m, out + n_col - n_rot, n_col, tap);
    par__tap_replicated(m, tap, out);
}

/* --- the choice --- */

static double score(const par_model *m, const double *q, const double *weight,
                    const double *k)
{
    const core_digests *d = &m->spec->digests;
    double sum = 0.0;
    for (int64_t h = 0; h < d->n_ph; h++) {
        double product = 0.0;
        for (int64_t c = 0; c < d->n_pd; c++)
            product += q[h * d->n_pd + c] * k[c];
        if (!(product <= 0.0))
            sum += weight[h] * product;
    }
    return sum * (1.0 / (sqrt((double)d->n_pd) * sqrt((double)d->n_ph)));
}

static void check_scores(par_model *m, core_tap tap)
{
    const par_work *w = &m->work;
    const core_digests *d = &m->spec->digests;
    double most = 0.0;
    if (m->numerics != CORE_EXACT)
        return;
    for (int64_t i = 0; i < m->now.n; i++) {
        double sum = 0.0;
        for (int64_t h = 0; h < d->n_ph; h++)
            sum += fabs(w->pick_weight[i * d->n_ph + h]);
        most = sum <= most ? most : sum;
    }
    par__check(m, tap,
               most * core_max_row_norm(w->pick_q, m->now.n * d->n_ph, d->n_pd,
                                        d->n_pd),
               core_max_row_norm(w->pick, m->now.n, d->n_pd, d->n_pd),
               CORE_STEP_ACT * CORE_STEP_ACT, CORE_STEP_ACT);
}

/* Token i of the micro-batch: its row's digests that are complete, by score. */
static int64_t choose(par_model *m, int64_t i, core_tap tap)
{
    par_work *w = &m->work;
    const core_digests *d = &m->spec->digests;
    const int64_t run = d->n_best, n_key = m->spec->n_seen;
    const int64_t at = i % m->batch->n_t, row = i - at, n = (at + 1) / run;
    for (int64_t e = 0; e < n; e++)
        w->pick_score[e] =
            score(m, w->pick_q + i * d->n_ph * d->n_pd,
                  w->pick_weight + i * d->n_ph,
                  w->pick + (row + e * run + run - 1) * d->n_pd);
    core_store(core_tap_numerics(m->numerics, tap.kind), CORE_GRID_ACT,
               w->pick_score, n);
    for (int64_t e = 0; e < n; e++)
        w->pick_key[e] = (par_key){w->pick_score[e], e};
    par__best_keys(w->pick_key, n, m->now.seen + i * n_key, n_key,
                   w->edge + 2 * i);
    return n;
}

static void choose_all(par_model *m, core_tap tap)
{
    const core_digests *d = &m->spec->digests;
    core_cost *cost = par__cost_rows(m, tap, m->now.n, d->n_ph * d->n_pd, 0);
    cost->written = 2 * m->now.n;
    for (int64_t i = 0; i < m->now.n; i++)
        cost->flops += choose(m, i, tap) * d->n_ph *
                       (d->n_pd + 1) * CORE_FLOPS_MULTIPLY_ADD;
    check_scores(m, tap);
    par__tap_replicated(m, tap, m->work.edge);
}

void par__digest(par_model *m, const void *of_layer, int l, const double *q_a)
{
    const shards *s = of_layer;
    par_work *w = &m->work;
    const core_digests *d = &m->spec->digests;
    if (s == NULL)
        return;
    make_digests(m, &s->keys, w->digest, l);
    if (m->spec->digest[l] != CORE_DIGEST_BEST)
        return;
    core_tap tap = par__tap(CORE_TAP_PICK_Q, l);
    par__affine(m, w->pick_q, q_a, m->spec->n_q_rank, &s->pick_q, tap);
    par__tap_replicated(m, tap, w->pick_q);
    tap = par__tap(CORE_TAP_PICK_Q_ROPE, l);
    par__rope(m, w->pick_q + d->n_pd - core_spec_heads(m->spec, l).n_rot,
              d->n_ph * d->n_pd, d->n_ph, d->n_pd, tap);
    par__tap_replicated(m, tap, w->pick_q);
    make_digests(m, &s->picks, w->pick, l);
    tap = par__tap(CORE_TAP_PICK_WEIGHT, l);
    par__affine(m, w->pick_weight, w->xn, m->spec->n_d, &s->pick_weight, tap);
    par__tap_replicated(m, tap, w->pick_weight);
    choose_all(m, par__tap(CORE_TAP_EDGE, l));
}
