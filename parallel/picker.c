/* parallel/picker.c -- which digests the queries attend to.
 *
 * Replicate: every rank of a tensor group makes the picker's own digests and
 * chooses for all of its queries, so all its heads see the same ones.
 */
#include "parallel/forward_impl.h"

#include <math.h>

typedef struct shards {
    par_shard q, weight;
    const par_digests *digests;
} shards;

typedef struct buffers {
    double *q, *k;  /* [n, P*Sp], [n, Sp] the digests                         */
    double *weight; /* [n, P]                                                 */
    double *edge;   /* [n, 2]                                                 */
    double *score;  /* [digests of a row]                                     */
    par_key *all;   /* likewise                                               */
} buffers;

static void *make(par_model *m, int l)
{
    static const par__digest_kinds of_picker = {
        CORE_W_PICK_KV,    CORE_W_PICK_GATE,   CORE_W_PICK_BIAS,
        CORE_W_PICK_NORM,  CORE_TAP_PICK_KV,   CORE_TAP_PICK_GATE,
        CORE_TAP_PICK,     CORE_TAP_PICK_NORM, CORE_TAP_PICK_ROPE,
        par__chooser_state};
    shards s = {0};
    s.q = par__rows(m, CORE_W_PICK_Q, l, 0, PAR_END);
    s.weight = par__rows(m, CORE_W_PICK_WEIGHT, l, 0, PAR_END);
    s.digests = par__digests_make(m, l, &of_picker);
    return par__keep(&m->shards, &s, sizeof s);
}

static void *carve(par_work *w, const core_spec *spec, const par_layout *lay)
{
    const core_digests *d = &spec->digests;
    buffers b;
    (void)lay;
    b.q = par__result(w, d->n_ph * d->n_pd);
    b.k = par__result(w, d->n_pd);
    b.weight = par__result(w, d->n_ph);
    b.edge = par__result(w, 2);
    b.score = par__fresh_f64(w, w->n_digest);
    b.all = par__fresh(w, w->n_digest, sizeof *b.all);
    return par__keep_buffers(w, &b, sizeof b);
}

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

/* The digests of row r. */
static par_done complete(const par_model *m, const buffers *b, int l, int64_t r)
{
    return par__digests_done(m, par__chooser_state(m, l, r), b->k,
                             m->spec->digests.n_pd, l, r);
}

static void check_scores(par_model *m, const buffers *b, core_tap tap)
{
    const core_digests *d = &m->spec->digests;
    if (m->numerics != CORE_EXACT)
        return;
    const par_operator op = par__charge(m, PAR_OP_CHECK);
    double most = 0.0, longest = 0.0;
    for (int64_t i = 0; i < m->now.n; i++) {
        double sum = 0.0;
        for (int64_t h = 0; h < d->n_ph; h++)
            sum += fabs(b->weight[i * d->n_ph + h]);
        most = par__worse(most, sum);
    }
    for (int64_t r = 0; r < m->now.n_row; r++) {
        const par_done of = complete(m, b, tap.layer, r);
        longest = par__worse(longest,
                             core_max_row_norm(of.first, of.n, d->n_pd, of.ld));
    }
    par__check(
        m, tap,
        most * core_max_row_norm(b->q, m->now.n * d->n_ph, d->n_pd, d->n_pd),
        longest, CORE_STEP_ACT * CORE_STEP_ACT, CORE_STEP_ACT);
    par__charge(m, op);
}

/* Token i of the micro-batch: the digests of its row that are complete there,
 * by score. */
static int64_t choose(par_model *m, const buffers *b, int64_t i,
                      const par_done *of, core_tap tap)
{
    const core_digests *d = &m->spec->digests;
    const int64_t n_key = m->spec->n_seen;
    const int64_t n = (par__place(m, i) + 1) / d->n_best;
    for (int64_t e = 0; e < n; e++)
        b->score[e] = score(m, b->q + i * d->n_ph * d->n_pd,
                            b->weight + i * d->n_ph, of->first + e * of->ld);
    core_store(core_tap_numerics(m->numerics, tap.kind), CORE_GRID_ACT,
               b->score, n);
    for (int64_t e = 0; e < n; e++)
        b->all[e] = (par_key){b->score[e], e};
    par__best_keys(b->all, n, m->now.seen + i * n_key, n_key, b->edge + 2 * i);
    return n;
}

static void choose_all(par_model *m, const buffers *b, core_tap tap)
{
    const core_digests *d = &m->spec->digests;
    core_cost *cost = par__cost_rows(m, tap, m->now.n, d->n_ph * d->n_pd, 0);
    cost->written = 2 * m->now.n;
    for (int64_t r = 0; r < m->now.n_row; r++) {
        const par_run row = par__row_tokens(m, r);
        const par_done of = complete(m, b, tap.layer, r);
        for (int64_t i = row.i0; i < row.i0 + row.n; i++)
            cost->flops += choose(m, b, i, &of, tap) * d->n_ph * (d->n_pd + 1) *
                           CORE_FLOPS_MULTIPLY_ADD;
    }
    check_scores(m, b, tap);
    par__tap_replicated(m, tap, b->edge);
}

static void run(par_model *m, const void *of_layer, int l, double *out)
{
    const shards *s = of_layer;
    const buffers *b = m->work.chooser;
    const core_digests *d = &m->spec->digests;
    const int64_t first = d->n_pd - core_spec_heads(m->spec, l).n_rot;
    core_tap tap = par__tap(CORE_TAP_PICK_Q, l);
    (void)out;
    par__enter(m, PAR_OP_PICKER, tap);
    par__affine(m, b->q, m->work.q_a, m->spec->n_q_rank, &s->q, tap);
    par__tap_replicated(m, tap, b->q);
    tap = par__tap(CORE_TAP_PICK_Q_ROPE, l);
    par__rope(m, b->q + first, d->n_ph * d->n_pd, d->n_ph, d->n_pd, tap);
    par__tap_replicated(m, tap, b->q);
    par__digests(m, s->digests, b->k, l);
    par__digests_keep(m, s->digests, b->k, l);
    tap = par__tap(CORE_TAP_PICK_WEIGHT, l);
    par__affine(m, b->weight, m->work.xn, m->spec->n_d, &s->weight, tap);
    par__tap_replicated(m, tap, b->weight);
    choose_all(m, b, par__tap(CORE_TAP_EDGE, l));
}

static int64_t n_kept(const core_spec *spec, const par_layout *lay, int l,
                      int64_t n_t)
{
    (void)lay;
    return par__digests_kept(spec, l, n_t, spec->digests.n_pd);
}

const par__entry par__picker = {
    .placement = "picked digests       pp Shard(layer), dp Replicate, tp "
                 "Replicate",
    .is_replicated = true,
    .kept = n_kept,
    .make = make,
    .carve = carve,
    .run = run,
};
