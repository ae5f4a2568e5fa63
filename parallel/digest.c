/* parallel/digest.c -- digests of earlier tokens.
 *
 * Replicate: every rank of a tensor group makes all of them.  A micro-batch
 * holds whole rows, or steps of rows that kept what a digest that is cut needs.
 *
 * In the buffers, as in the taps, row i has the digest of the last complete run
 * of m tokens at token i of its row, so that it repeats until the next run is
 * complete; zeros before the first.
 */
#include "parallel/forward_impl.h"

#include <string.h>

par_digests *par__digests_make(par_model *m, int l,
                               const par__digest_kinds *kinds)
{
    const int64_t run = core_spec_digest_run(m->spec, l);
    par_digests s = {.kinds = *kinds};
    s.kv = par__rows(m, kinds->w_kv, l, 0, PAR_END);
    s.gate = par__rows(m, kinds->w_gate, l, 0, PAR_END);
    s.bias = par__doubles(m, kinds->w_bias, l, 0, run);
    s.norm = par__vector(m, kinds->w_norm, l, 0, PAR_END);
    return par__keep(&m->shards, &s, sizeof s);
}

/* Layers of all kinds use the same buffers. */
void par__digests_carve(par_work *w, const core_spec *spec)
{
    int64_t width = 0, longest = 0, n_dh = 0;
    for (int l = 0; l < (int)spec->n_l; l++) {
        const int64_t run = core_spec_digest_run(spec, l);
        if (run == 0)
            continue;
        const int64_t vectors = core_spec_digest_vectors(spec, l);
        n_dh = par__max(n_dh, core_spec_heads(spec, l).n_dh);
        width = par__max(width, vectors * par__max(n_dh, spec->digests.n_pd));
        longest = par__max(longest, vectors * run);
        w->n_digest = par__max(w->n_digest, w->n_t / run);
    }
    w->digest = par__result(w, n_dh);
    w->digest_kv = par__result(w, width);
    w->digest_gate = par__result(w, width);
    w->digest_room = par__fresh_f64(w, longest);
    w->gathered = par__fresh_f64(w, (w->n_t + w->n_digest) * n_dh);
}

/* --- what steps keep of a row --- */

/* In this order; tokens that a digest is made of, `room` of them.            */
typedef struct kept {
    int64_t room;
    double *kv, *gate; /* [room, vectors * columns] token t at t % room       */
    double *last;      /* [columns] the latest digest, before its norm        */
    double *complete;  /* [digests of a row, columns]                         */
} kept;

static kept kept_in(const core_spec *spec, int l, double *state, int64_t n_col)
{
    const int64_t vectors = core_spec_digest_vectors(spec, l);
    kept k = {.room = vectors * core_spec_digest_run(spec, l)};
    if (state == NULL)
        return k;
    k.kv = state;
    k.gate = k.kv + k.room * vectors * n_col;
    k.last = k.gate + k.room * vectors * n_col;
    k.complete = k.last + n_col;
    return k;
}

int64_t par__digests_kept(const core_spec *spec, int l, int64_t n_t,
                          int64_t n_col)
{
    const int64_t run = core_spec_digest_run(spec, l);
    const int64_t vectors = core_spec_digest_vectors(spec, l);
    return run > 0
               ? 2 * vectors * run * vectors * n_col + (1 + n_t / run) * n_col
               : 0;
}

void par__digests_keep(const par_model *m, const par_digests *s,
                       const double *out, int l)
{
    const int64_t run = core_spec_digest_run(m->spec, l);
    const int64_t n_col = s->kv.n_row / core_spec_digest_vectors(m->spec, l);
    for (int64_t b = 0; m->step != NULL && b < m->now.n_row; b++) {
        const par_run row = par__row_tokens(m, b);
        const int64_t t0 = par__row_end(m, b) - row.n;
        const kept k = kept_in(m->spec, l, s->kinds.state(m, l, b), n_col);
        for (int64_t i = 0; i < row.n; i++)
            if ((t0 + i + 1) % run == 0)
                memcpy(k.complete + (t0 + i) / run * n_col,
                       out + (row.i0 + i) * n_col, (size_t)n_col * sizeof *out);
    }
}

par_done par__digests_done(const par_model *m, double *state, const double *out,
                           int64_t n_col, int l, int64_t b)
{
    const int64_t run = core_spec_digest_run(m->spec, l);
    const int64_t n = par__row_end(m, b) / run;
    if (state != NULL)
        return (par_done){kept_in(m->spec, l, state, n_col).complete, n_col, n};
    const int64_t first = par__row_tokens(m, b).i0 + (n > 0 ? run - 1 : 0);
    return (par_done){out + first * n_col, run * n_col, n};
}

/* --- one digest --- */

/* Token j of those that a digest of run r sums, and its column: runs r - 1 and
 * r where tokens have two vectors, the first vector of the earlier run's. */
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

/* Where tokens lie that digests of a row are made of: token t at t % room.   */
typedef struct source {
    const double *kv, *gate;
    int64_t room;
} source;

/* Channel c of the digest of run r. */
static double sum_channel(par_model *m, const par_digests *s,
                          const source *from, int64_t r, int64_t run,
                          int64_t vectors, int64_t c)
{
    const int64_t width = s->kv.n_row, n = width / vectors;
    const int64_t first = vectors > 1 && r == 0 ? run : 0;
    const int64_t end = vectors * run;
    double *p = m->work.digest_room, y = 0.0;
    for (int64_t j = first; j < end; j++) {
        const term t = term_of(r, j, run, vectors, n);
        p[j] = from->gate[t.token % from->room * width + t.col + c] +
               s->bias[t.place * width + t.col + c];
    }
    par__softmax(m, p + first, p + first, end - first);
    core_store(m->numerics, CORE_GRID_PROB, p + first, end - first);
    for (int64_t j = first; j < end; j++) {
        const term t = term_of(r, j, run, vectors, n);
        y += p[j] * from->kv[t.token % from->room * width + t.col + c];
    }
    return y;
}

/* A sum by probabilities, which add up to at most 1 and half a step each. */
static void check_sums(par_model *m, core_tap tap, int64_t n_term,
                       int64_t width)
{
    if (m->numerics == CORE_EXACT)
        par__check(m, tap, 1.0 + (double)n_term * (CORE_STEP_PROB / 2),
                   par__largest(m->work.digest_kv, width, m->now.n, width),
                   CORE_STEP_PROB, CORE_STEP_ACT);
}

/* The step's token number i of the rows lies where it belongs among those that
 * were kept.                                                                 */
static void keep_token(const par_model *m, const kept *k, int64_t i, int64_t t,
                       int64_t width)
{
    const size_t bytes = (size_t)width * sizeof(double);
    memcpy(k->kv + t % k->room * width, m->work.digest_kv + i * width, bytes);
    memcpy(k->gate + t % k->room * width, m->work.digest_gate + i * width,
           bytes);
}

/* Of row b, into the rows of its tokens. */
static void sum_row(par_model *m, const par_digests *s, double *out, int l,
                    int64_t b)
{
    const int64_t run = core_spec_digest_run(m->spec, l);
    const int64_t vectors = core_spec_digest_vectors(m->spec, l);
    const int64_t width = s->kv.n_row, n_col = width / vectors;
    const size_t bytes = (size_t)n_col * sizeof *out;
    const par_run row = par__row_tokens(m, b);
    const int64_t t0 = par__row_end(m, b) - row.n;
    const kept k = kept_in(m->spec, l, s->kinds.state(m, l, b), n_col);
    const bool keeps = m->step != NULL;
    const source from = {keeps ? k.kv : m->work.digest_kv + row.i0 * width,
                         keeps ? k.gate : m->work.digest_gate + row.i0 * width,
                         keeps ? k.room : m->batch->n_t};
    for (int64_t i = row.i0; i < row.i0 + row.n; i++) {
        const int64_t t = t0 + i - row.i0, r = (t + 1) / run - 1;
        double *y = out + i * n_col;
        if (keeps)
            keep_token(m, &k, i, t, width);
        if (r < 0)
            memset(y, 0, bytes);
        else if ((t + 1) % run != 0)
            memcpy(y, i > row.i0 ? y - n_col : k.last, bytes);
        else
            for (int64_t c = 0; c < n_col; c++)
                y[c] = sum_channel(m, s, &from, r, run, vectors, c);
    }
    if (keeps && row.n > 0)
        memcpy(k.last, out + (row.i0 + row.n - 1) * n_col, bytes);
}

/* out [n, width / vectors] of all rows. */
static void sum_runs(par_model *m, const par_digests *s, double *out, int l)
{
    const core_tap tap = par__tap(s->kinds.sum, l);
    const int64_t run = core_spec_digest_run(m->spec, l);
    core_cost *cost =
        par__cost_rows(m, tap, m->now.n, s->kv.n_row,
                       CORE_FLOPS_SOFTMAX + CORE_FLOPS_MULTIPLY_ADD);
    cost->read *= 2; /* values and gates */
    cost->weights = m->now.n > 0 ? run * s->kv.n_row : 0;
    for (int64_t b = 0; b < m->now.n_row; b++)
        sum_row(m, s, out, l, b);
    check_sums(m, tap, core_spec_digest_vectors(m->spec, l) * run, s->kv.n_row);
    par__tap_replicated(m, tap, out);
}

void par__digests(par_model *m, const par_digests *s, double *out, int l)
{
    par_work *w = &m->work;
    const int64_t n = m->now.n,
                  n_col = s->kv.n_row / core_spec_digest_vectors(m->spec, l);
    const int64_t n_rot = core_spec_heads(m->spec, l).n_rot;
    core_tap tap = par__tap(s->kinds.kv, l);
    par__affine(m, w->digest_kv, w->xn, m->spec->n_d, &s->kv, tap);
    par__tap_replicated(m, tap, w->digest_kv);
    tap = par__tap(s->kinds.gate, l);
    par__affine(m, w->digest_gate, w->xn, m->spec->n_d, &s->gate, tap);
    par__tap_replicated(m, tap, w->digest_gate);
    sum_runs(m, s, out, l);
    tap = par__tap(s->kinds.norm, l);
    par__rms_rows(m, out, n_col, out, n_col, n, n_col, s->norm,
                  m->spec->norm_eps, tap);
    par__tap_replicated(m, tap, out);
    tap = par__tap(s->kinds.rope, l);
    par__rope_digests(m, out + n_col - n_rot, n_col, tap);
    par__tap_replicated(m, tap, out);
}
