/* parallel/heads.c -- softmax(q k^T) v, per row and head, by blocks of queries.
 *
 * Only PAR_QUERY_BLOCK x T scores exist at a time.  The softmax has two passes:
 * exponentials are stored before they are summed, so a running maximum (online
 * softmax) would give other bits.  The mask hides keys, never queries; a query
 * without any visible key attends evenly to all T keys of its row, later ones
 * too, which is why such a query widens the key range of its whole block.
 *
 * Digests of earlier tokens, where a layer has some, are further keys and
 * values before those of the window, which the mask does not hide.
 *
 * Keys and values of a row may lie in parts (key_parts.c).
 *
 * Heads are never split, so every sum here is whole.  What meets the cache,
 * probabilities too, has a type of its own, unless the sum that they go into is
 * stored after each of them.
 */
#include "parallel/heads.h"

#include <math.h>

static void find_sees(par_model *m, const par__query_head *h)
{
    for (int64_t i = 0; i < m->batch->n_t; i++) {
        m->work.sees[i] = h->run > 0 && i + 1 >= h->run;
        for (int64_t j = i; j >= core_spec_first_key(m->spec, h->layer, i); j--)
            if (par__is_unmasked(h, j)) {
                m->work.sees[i] = 1;
                break;
            }
    }
}

/* From query i0 on, which is number `at` of the row's and of a run that ends at
 * i1. */
static par__query_block make_block(const par_model *m, const par__query_head *h,
                                   int64_t at, int64_t i0, int64_t i1)
{
    const int l = h->layer;
    const int64_t n_t = m->batch->n_t;
    i1 = i0 + PAR_QUERY_BLOCK < i1 ? i0 + PAR_QUERY_BLOCK : i1;
    par__query_block b = {.i0 = i0,
                          .i1 = i1,
                          .at = at,
                          .j0 = core_spec_first_key(m->spec, l, i0),
                          .j1 = i1};
    for (int64_t i = i0; i < i1; i++)
        if (!m->work.sees[i] && h->run == 0) {
            b.j0 = 0;
            b.j1 = n_t;
        }
    b.first = b.j0;
    if (h->run > 0)
        par__gather_keys(m, h, &b);
    return b;
}

/* The keys that were chosen for query i. */
static const int64_t *set_of(const par__query_head *h, int64_t i)
{
    return h->seen + ((i - h->seen0) * h->sets.n_set + h->set) * h->sets.n_key;
}

/* Of digests and window, what query i does not attend to weighs nothing.  The
 * number of what it attends to.                                              */
static int64_t hide_digests(const par_model *m, const par__query_head *h,
                            const par__query_block *b, int64_t i, double *s)
{
    const int64_t lo = core_spec_first_key(m->spec, h->layer, i);
    const int64_t n_all = b->first - b->j0, n_complete = (i + 1) / h->run;
    const int64_t *key = h->seen != NULL ? set_of(h, i) : NULL;
    int64_t n = i + 1 - lo, c = 0;
    for (int64_t e = 0; e < n_all; e++) {
        bool is_seen = e < n_complete;
        if (key != NULL) {
            is_seen = c < h->sets.n_key && key[c] == e;
            c += is_seen;
        }
        n += is_seen;
        if (!is_seen)
            s[e] = -(double)INFINITY;
    }
    for (int64_t j = b->first; j < lo; j++)
        s[j - b->j0] = -(double)INFINITY;
    return n;
}

/* Where keys are chosen: the others of [lo, i], whose scores weigh nothing. */
static void hide_others(const par__query_head *h, const par__query_block *b,
                        int64_t lo, int64_t i, double *s)
{
    if (h->seen == NULL || h->run > 0)
        return;
    const int64_t *key = set_of(h, i);
    const int64_t *end = key + h->sets.n_key;
    const int64_t n_wide = h->sets.n_wide;
    for (int64_t j = lo; j <= i; j++) {
        while (key < end && *key >= 0 && *key < j / n_wide)
            key++;
        if (key == end || *key != j / n_wide)
            s[j - b->j0] = -(double)INFINITY;
    }
}

static void fill(double *p, int64_t n, double value)
{
    for (int64_t j = 0; j < n; j++)
        p[j] = value;
}

/* p of a query that sees no key: even over the row, or all of it the sink's. */
static double blind(const par_model *m, const par__query_head *h)
{
    double even = h->of->sinks ? 0.0 : 1.0 / (double)m->batch->n_t;
    core_store(core_context_prob(m->numerics), CORE_GRID_PROB, &even, 1);
    return even;
}

/* s_j = dot products of query i with keys j0..; becomes p_j. */
static void softmax(const par_model *m, par__query_head *h,
                    const par__query_block *b, int64_t i, double *s)
{
    const int64_t n_key = b->j1 - b->j0;
    if (!m->work.sees[i]) {
        fill(s, n_key, blind(m, h));
        return;
    }
    const int64_t lo =
        h->run > 0 ? 0 : core_spec_first_key(m->spec, h->layer, i) - b->j0;
    const int64_t hi = i + 1 - b->j0;
    int64_t n_pair = h->seen != NULL
                         ? par__min(hi - lo, h->sets.n_key * h->sets.n_wide)
                         : hi - lo;
    if (h->run > 0)
        n_pair = hide_digests(m, h, b, i, s);
    h->n_pair += n_pair;
    h->flops += CORE_FLOPS_SOFTMAX * n_pair;
    hide_others(h, b, lo + b->j0, i, s);
    const double largest = par__part_largest(m, h, b, lo, hi, s, h->sink);
    double sum = exp(h->sink - largest);
    core_store(m->numerics, CORE_GRID_EXP, &sum, 1);
    sum = par__part_sum(m, h, b, lo, hi, s, largest, sum);
    for (int64_t j = lo; j < hi; j++)
        s[j] /= sum;
    core_store(core_context_prob(m->numerics), CORE_GRID_PROB, s + lo, hi - lo);
    fill(s, lo, 0.0);
    fill(s + hi, n_key - hi, 0.0);
}

/* The scores are bounded as every product; p v by norm1(p) max|v|, and the
 * stored p of a query sum to at most 1 + T half steps.                       */
static void check_head(par_model *m, const par__query_head *h, core_tap tap)
{
    if (m->numerics != CORE_EXACT)
        return;
    const par_view *view = h->view;
    const int64_t n_dh = h->of->n_dh;
    const double sum_p =
        1.0 + (double)(m->batch->n_t + m->work.n_digest) * (CORE_STEP_PROB / 2);
    const par_operator op = par__charge(m, PAR_OP_CHECK);
    double largest = 0.0, norm_k = 0.0;
    for (int k = 0; k < view->n_keys; k++) {
        const par_keys *keys = &view->keys[k];
        const int64_t at = par__token_of(h, keys, keys->run.i0),
                      n = keys->run.n;
        largest = par__worse(largest, par__largest(h->v + at * view->ld_v,
                                                   view->ld_v, n, h->of->n_dv));
        norm_k = par__worse(norm_k, core_max_row_norm(h->k + at * view->ld_k, n,
                                                      n_dh, view->ld_k));
    }
    if (h->run > 0) {
        const par_done *d = &h->digests;
        largest =
            par__worse(largest, par__largest(d->first, d->ld, d->n, n_dh));
        norm_k =
            par__worse(norm_k, core_max_row_norm(d->first, d->n, n_dh, d->ld));
    }
    par__check(m, tap, core_max_row_norm(h->q, view->n_q, n_dh, h->ld_q),
               norm_k, CORE_STEP_ACT, CORE_STEP_ACT);
    par__check(m, tap, sum_p, largest, CORE_STEP_PROB, CORE_STEP_ACT);
    par__charge(m, op);
}

/* Head i_h of the view in row b: kv head g of the model lies at g - kv0. */
static void point(const par_model *m, const par_attention *attention,
                  par__query_head *h, int64_t b, int64_t i_h)
{
    const par_view *view = h->view;
    const par_heads *heads = &view->heads;
    const core_heads *of = &heads->all;
    const int64_t n_dh = of->n_dh, n_dv = of->n_dv;
    const par_run row = par__row_tokens(m, b);
    const int64_t i = i_h - heads->h0, query0 = view->query0;
    const int64_t g = i_h * of->n_g / of->n_h - heads->kv0;
    h->row = b;
    h->ld_q = heads->n_h * n_dh;
    h->ld_o = heads->n_h * n_dv;
    h->q = view->q + query0 * h->ld_q + i * n_dh;
    h->k = view->k + g * n_dh;
    h->v = view->v + view->v_first + g * view->v_step;
    h->context = view->context + query0 * h->ld_o + i * n_dv;
    h->set = i_h * h->sets.n_set / of->n_h;
    h->seen = h->sets.n_set == 0
                  ? NULL
                  : m->now.seen + row.i0 * h->sets.n_set * h->sets.n_key;
    h->seen0 = par__row_end(m, b) - row.n;
    if (h->run > 0)
        h->digests = par__digests_done(m, par__state(m, h->layer, b),
                                       m->work.digest, n_dh, h->layer, b);
    h->sink = attention->sinks != NULL
                  ? attention->sinks[i_h - par__heads_of(m, h->layer)->h0]
                  : -(double)INFINITY;
}

/* Values are scaled once their sum is whole. */
static void scale_values(const par_model *m, const par__query_head *h)
{
    const double scale = m->spec->value_scale;
    for (int64_t i = 0; scale > 0.0 && i < h->view->n_q; i++)
        for (int64_t c = 0; c < h->of->n_dv; c++)
            h->context[i * h->ld_o + c] *= scale;
}

/* Two products of a block: with the keys, with the values. */
static void count_block(par__query_head *h, const par__query_block *b)
{
    h->flops += CORE_FLOPS_MULTIPLY_ADD * (b->i1 - b->i0) *
                            (b->j1 - b->j0) * (h->of->n_dh + h->of->n_dv);
}

/* Queries in, context out; every key and value once. */
static void count_operands(par_model *m, const par_attention *attention, int l)
{
    const par_heads *mine = &m->work.view.heads;
    const int64_t n = par__queries(m), n_h = mine->n_h;
    const int64_t n_dh = mine->all.n_dh, n_dv = mine->all.n_dv;
    const int64_t run = core_spec_digest_run(m->spec, l);
    core_cost *cost =
        par__cost(m, CORE_COST_ATTENTION, par__tap(CORE_TAP_CONTEXT, l));
    cost->m = n;
    cost->n = m->batch->n_t;
    cost->k = n_dh;
    cost->n_head = n_h;
    cost->read = n * n_h * n_dh;
    cost->written = n * n_h * n_dv;
    cost->kv_read = par__keys(m) * mine->n_kv * (n_dh + n_dv);
    for (int64_t b = 0; run > 0 && b < m->now.n_row; b++)
        cost->kv_read += par__row_end(m, b) / run * n_dh;
    cost->weights = attention->sinks != NULL && n > 0 ? n_h : 0;
}

static void attend_block(const par_model *m, par__query_head *h,
                         const par__query_block *b)
{
    double *s = h->room.score;
    par__part_scores(m, h, b, s);
    for (int64_t i = b->i0; i < b->i1; i++)
        softmax(m, h, b, i, s + (i - b->i0) * (b->j1 - b->j0));
    par__part_values(m, h, b, s);
}

/* One head of a row, over its runs of queries. */
static void attend(const par_model *m, par__query_head *h)
{
    const par_run *run = h->view->run;
    int64_t at = 0; /* among the queries of the row */
    for (int r = 0; r < h->view->n_run; at += run[r].n, r++)
        for (int64_t i = 0; i < run[r].n; i += PAR_QUERY_BLOCK) {
            const par__query_block blk =
                make_block(m, h, at + i, run[r].i0 + i, run[r].i0 + run[r].n);
            count_block(h, &blk);
            attend_block(m, h, &blk);
        }
}

/* My heads in row b, shared by the rank's threads; digests are gathered in one
 * place.                                                                     */
static void attend_all(par_model *m, const par_attention *attention,
                       const par__query_head *of_row, int64_t b)
{
    const par_heads *heads = &of_row->view->heads;
    const int64_t h0 = heads->h0, h1 = h0 + heads->n_h;
    const int64_t n = heads->n_h * of_row->view->n_q * m->batch->n_t;
    const int n_thread = of_row->run > 0 ? 1 : par__threads(m, n);
    int64_t n_pair = 0, flops = 0;
#pragma omp parallel for num_threads(n_thread) reduction(+ : n_pair, flops)
    for (int64_t i_h = h0; i_h < h1; i_h++) {
        par__query_head h = *of_row;
        h.room = par__thread_room(&m->work);
        point(m, attention, &h, b, i_h);
        attend(m, &h);
        scale_values(m, &h);
        n_pair += h.n_pair;
        flops += h.flops;
    }
    m->cost.record.n_pair += n_pair;
    m->cost.record.flops += flops;
}

void par__heads(par_model *m, const par_attention *attention, int l)
{
    const par_view *view = &m->work.view;
    const int64_t h0 = view->heads.h0, h1 = h0 + view->heads.n_h;
    par__query_head h = {.view = view,
                         .layer = l,
                         .of = &view->heads.all,
                         .sets = core_spec_seen(m->spec, l),
                         .run = core_spec_digest_run(m->spec, l)};
    count_operands(m, attention, l);
    for (int64_t b = 0; b < m->now.n_row; b++) {
        par__view_row(m, l, b);
        if (m->batch->mask != NULL)
            h.mask = m->batch->mask + (m->now.row0 + b) * m->batch->n_t;
        find_sees(m, &h);
        for (int64_t i_h = h0; i_h < h1; i_h++) {
            point(m, attention, &h, b, i_h);
            check_head(m, &h, par__tap(CORE_TAP_CONTEXT, l));
        }
        attend_all(m, attention, &h, b);
    }
}
