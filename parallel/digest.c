/* parallel/digest.c -- digests of earlier tokens.
 *
 * Replicate: every rank of a tensor group makes all of them.  A micro-batch
 * holds whole rows, so no digest is cut.
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

/* Channel c of the digest of run r of the row that begins at token `row`. */
static double sum_channel(par_model *m, const par_digests *s, int64_t row,
                          int64_t r, int64_t run, int64_t vectors, int64_t c)
{
    const par_work *w = &m->work;
    const int64_t width = s->kv.n_row, n = width / vectors;
    const int64_t first = vectors > 1 && r == 0 ? run : 0;
    const int64_t end = vectors * run;
    double *p = w->digest_room, y = 0.0;
    for (int64_t j = first; j < end; j++) {
        const term t = term_of(r, j, run, vectors, n);
        p[j] = w->digest_gate[(row + t.token) * width + t.col + c] +
               s->bias[t.place * width + t.col + c];
    }
    par__softmax(m, p + first, p + first, end - first);
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
    if (m->numerics == CORE_EXACT)
        par__check(m, tap, 1.0 + (double)n_term * (CORE_STEP_PROB / 2),
                   par__largest(m->work.digest_kv, width, m->now.n, width),
                   CORE_STEP_PROB, CORE_STEP_ACT);
}

/* out [n, width / vectors] of all rows. */
static void sum_runs(par_model *m, const par_digests *s, double *out, int l)
{
    const int64_t run = core_spec_digest_run(m->spec, l);
    const int64_t vectors = core_spec_digest_vectors(m->spec, l);
    const int64_t n_t = m->batch->n_t, n_col = s->kv.n_row / vectors;
    const core_tap tap = par__tap(s->kinds.sum, l);
    core_cost *cost =
        par__cost_rows(m, tap, m->now.n, s->kv.n_row,
                       CORE_FLOPS_SOFTMAX + CORE_FLOPS_MULTIPLY_ADD);
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
