/* parallel/heads.c -- softmax(q k^T) v, per row and head, by blocks of queries.
 *
 * Only PAR_QUERY_BLOCK x T scores exist at a time.  The softmax has two passes:
 * exponentials are stored before they are summed, so a running maximum (online
 * softmax) would give other bits.  The mask hides keys, never queries; a query
 * without any visible key attends evenly to all T keys of its row, later ones
 * too, which is why such a query widens the key range of its whole block.
 *
 * Digests of earlier tokens, where a layer has some, are further keys and values
 * before those of the window, which the mask does not hide.
 *
 * Heads are never split, so every sum here is whole.  What a product reads has
 * the cache's type, probabilities too.
 */
#include "parallel/forward_impl.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

/* What one (row, head) works on; strides ld_* in elements. */
typedef struct head {
    const double *q;     /* [my tokens of the row, Dh]                        */
    const double *k, *v; /* [T, Dh], [T, Dv]                                  */
    double *context;     /* [my tokens of the row, Dv]                        */
    int64_t ld_q, ld_k, ld_v, ld_o;
    const uint8_t *mask; /* [T] of the row, or NULL                           */
    const int64_t *seen; /* [T, sets, keys] of the row; NULL: no choice       */
    core_seen sets;
    int64_t set;         /* the head's                                        */
    const double *digest; /* [T, Dh] that a token sees last, of runs of       */
    int64_t run;          /* so many tokens; 0: none                          */
    double sink;         /* its logit; -infinity: none                        */
    const core_heads *of; /* the layer's                                      */
    int layer;
} head;

typedef struct block {
    int64_t i0, i1; /* queries                                                */
    int64_t at;     /* where the first of them lies among my tokens           */
    int64_t j0, j1; /* keys that any of them may need; digests stand before   */
    int64_t first;  /* this one                                               */
    const double *k, *v; /* from j0 on                                        */
    int64_t ld_k, ld_v;
} block;

/* Key j of the row, by the mask. */
static bool is_unmasked(const head *h, int64_t j)
{
    return h->mask == NULL || h->mask[j] != 0;
}

static bool is_visible(const head *h, const block *b, int64_t j)
{
    return j < b->first || is_unmasked(h, j);
}

static void find_sees(par_model *m, const head *h)
{
    for (int64_t i = 0; i < m->batch->n_t; i++) {
        m->work.sees[i] = h->run > 0 && i + 1 >= h->run;
        for (int64_t j = i; j >= core_spec_first_key(m->spec, h->layer, i);
             j--)
            if (is_unmasked(h, j)) {
                m->work.sees[i] = 1;
                break;
            }
    }
}

/* Digests and keys of the window side by side, values as they are. */
static void gather(const par_model *m, const head *h, block *b)
{
    const int64_t n_dh = h->of->n_dh, n_digest = b->i1 / h->run;
    double *to = m->work.gathered;
    for (int64_t e = 0; e < n_digest; e++, to += n_dh)
        memcpy(to, h->digest + ((e + 1) * h->run - 1) * n_dh,
               (size_t)n_dh * sizeof *to);
    for (int64_t j = b->j0; j < b->j1; j++, to += n_dh)
        memcpy(to, h->k + j * h->ld_k, (size_t)n_dh * sizeof *to);
    b->j0 -= n_digest;
    b->k = b->v = m->work.gathered;
    b->ld_k = b->ld_v = n_dh;
}

/* From query i0 on, which is number `at` of mine and the run's, which ends at
 * i1. */
static block make_block(const par_model *m, const head *h, int64_t at,
                        int64_t i0, int64_t i1)
{
    const int l = h->layer;
    const int64_t n_t = m->batch->n_t;
    i1 = i0 + PAR_QUERY_BLOCK < i1 ? i0 + PAR_QUERY_BLOCK : i1;
    block b = {.i0 = i0,
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
    b.k = h->k + b.j0 * h->ld_k;
    b.v = h->v + b.j0 * h->ld_v;
    b.ld_k = h->ld_k;
    b.ld_v = h->ld_v;
    if (h->run > 0)
        gather(m, h, &b);
    return b;
}

/* Of digests and window, what query i does not attend to weighs nothing.  The
 * number of what it attends to.                                              */
static int64_t hide_digests(const par_model *m, const head *h, const block *b,
                            int64_t i, double *s)
{
    const int64_t lo = core_spec_first_key(m->spec, h->layer, i);
    const int64_t n_all = b->first - b->j0, n_complete = (i + 1) / h->run;
    const int64_t *key =
        h->seen != NULL ? h->seen + i * h->sets.n_key : NULL;
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
static void hide_others(const head *h, const block *b, int64_t lo, int64_t i,
                        double *s)
{
    if (h->seen == NULL || h->run > 0)
        return;
    const int64_t *key = h->seen + (i * h->sets.n_set + h->set) * h->sets.n_key;
    const int64_t *end = key + h->sets.n_key;
    const int64_t n_wide = h->sets.n_wide;
    for (int64_t j = lo; j <= i; j++) {
        while (key < end && *key >= 0 && *key < j / n_wide)
            key++;
        if (key == end || *key != j / n_wide)
            s[j - b->j0] = -(double)INFINITY;
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void fill(double *p, int64_t n, double value)
{
    for (int64_t j = 0; j < n; j++)
        p[j] = value;
}

/* p of a query that sees no key: even over the row, or all of it the sink's. */
static double blind(const par_model *m, const head *h)
{
    double even = h->of->sinks ? 0.0 : 1.0 / (double)m->batch->n_t;
    core_store(core_numerics_of(m->numerics, CORE_SLOT_KV), CORE_GRID_PROB,
               &even, 1);
    return even;
}

/* s_j = dot products of query i with keys j0..; becomes p_j. */
static void softmax(par_model *m, const head *h, const block *b,
                    int64_t i, double *s)
{
    const int64_t n_key = b->j1 - b->j0;
    if (!m->work.sees[i]) {
        fill(s, n_key, blind(m, h));
        return;
    }
    const double scale = h->of->scale;
    const int64_t lo = h->run > 0 ? 0
                                  : core_spec_first_key(m->spec, h->layer, i) -
                                        b->j0;
    const int64_t hi = i + 1 - b->j0;
    int64_t n_pair =
        h->seen != NULL ? least(hi - lo, h->sets.n_key * h->sets.n_wide)
                        : hi - lo;
    if (h->run > 0)
        n_pair = hide_digests(m, h, b, i, s);
    m->cost.record.n_pair += n_pair;
    m->cost.record.flops += CORE_FLOPS_SOFTMAX * n_pair;
    hide_others(h, b, lo + b->j0, i, s);
    double largest = h->sink;
    for (int64_t j = lo; j < hi; j++)
        if (is_visible(h, b, b->j0 + j)) {
            s[j] *= scale;
            largest = s[j] > largest ? s[j] : largest;
        }
    for (int64_t j = lo; j < hi; j++)
        s[j] = is_visible(h, b, b->j0 + j) ? exp(s[j] - largest) : 0.0;
    core_store(m->numerics, CORE_GRID_EXP, s + lo, hi - lo);
    double sum = exp(h->sink - largest);
    core_store(m->numerics, CORE_GRID_EXP, &sum, 1);
    for (int64_t j = lo; j < hi; j++)
        sum += s[j];
    for (int64_t j = lo; j < hi; j++)
        s[j] /= sum;
    core_store(core_numerics_of(m->numerics, CORE_SLOT_KV), CORE_GRID_PROB,
               s + lo, hi - lo);
    fill(s, lo, 0.0);
    fill(s + hi, n_key - hi, 0.0);
}

static void block_f64(par_model *m, const head *h, const block *b)
{
    const int n_i = (int)(b->i1 - b->i0), n_j = (int)(b->j1 - b->j0);
    const int n_dh = (int)h->of->n_dh, n_dv = (int)h->of->n_dv;
    const int ld_q = (int)h->ld_q, ld_k = (int)b->ld_k, ld_v = (int)b->ld_v;
    double *s = m->work.score;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n_i, n_j, n_dh, 1.0,
                h->q + b->at * h->ld_q, ld_q, b->k, ld_k, 0.0, s, n_j);
    for (int64_t i = b->i0; i < b->i1; i++)
        softmax(m, h, b, i, s + (i - b->i0) * n_j);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n_i, n_dv, n_j, 1.0,
                s, n_j, b->v, ld_v, 0.0, h->context + b->at * h->ld_o,
                (int)h->ld_o);
}

static void to_f32(float *out, const double *x, int64_t ld, int64_t n_row,
                   int64_t n_col)
{
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t c = 0; c < n_col; c++)
            out[i * n_col + c] = (float)x[i * ld + c];
}

static void to_f64(double *out, int64_t ld, const float *x, int64_t n_row,
                   int64_t n_col)
{
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t c = 0; c < n_col; c++)
            out[i * ld + c] = (double)x[i * n_col + c];
}

/* a32 holds the left operand, b32 the right one, c32 the result. */
static void block_f32(par_model *m, const head *h, const block *b)
{
    const int64_t n_i = b->i1 - b->i0, n_j = b->j1 - b->j0;
    const int64_t n_dh = h->of->n_dh, n_dv = h->of->n_dv;
    float *left = m->work.a32, *right = m->work.b32, *result = m->work.c32;
    double *s = m->work.score;
    to_f32(left, h->q + b->at * h->ld_q, h->ld_q, n_i, n_dh);
    to_f32(right, b->k, b->ld_k, n_j, n_dh);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n_i, (int)n_j,
                (int)n_dh, 1.0F, left, (int)n_dh, right, (int)n_dh, 0.0F,
                result, (int)n_j);
    to_f64(s, n_j, result, n_i, n_j);
    for (int64_t i = b->i0; i < b->i1; i++)
        softmax(m, h, b, i, s + (i - b->i0) * n_j);
    to_f32(left, s, n_j, n_i, n_j);
    to_f32(right, b->v, b->ld_v, n_j, n_dv);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n_i, (int)n_dv,
                (int)n_j, 1.0F, left, (int)n_j, right, (int)n_dv, 0.0F, result,
                (int)n_dv);
    to_f64(h->context + b->at * h->ld_o, h->ld_o, result, n_i, n_dv);
}

/* The scores are bounded as every product; p v by norm1(p) max|v|, and the
 * stored p of a query sum to at most 1 + T half steps.                       */
static void check_head(par_model *m, const head *h, int64_t n_q, core_tap tap)
{
    if (m->numerics != CORE_EXACT)
        return;
    const int64_t n_t = m->batch->n_t, n_dh = h->of->n_dh;
    const double sum_p =
        1.0 + (double)(n_t + m->work.n_digest) * (CORE_STEP_PROB / 2);
    const par_operator op = par__charge(m, PAR_OP_CHECK);
    double largest = par__largest(h->v, h->ld_v, n_t, h->of->n_dv);
    double norm_k = core_max_row_norm(h->k, n_t, n_dh, h->ld_k);
    if (h->run > 0) {
        largest = par__worse(largest, par__largest(h->digest, n_dh, n_t, n_dh));
        norm_k = par__worse(norm_k, core_max_row_norm(h->digest, n_t, n_dh, n_dh));
    }
    par__check(m, tap, core_max_row_norm(h->q, n_q, n_dh, h->ld_q), norm_k,
               CORE_STEP_ACT, CORE_STEP_ACT);
    par__check(m, tap, sum_p, largest, CORE_STEP_PROB, CORE_STEP_ACT);
    par__charge(m, op);
}

/* Head i_h of mine in row b, of which I have n tokens: kv head g of the model
 * lies at g - kv0.                                                           */
static void point(const par_model *m, const par_attention *attention, head *h,
                  int64_t b, int64_t n, int64_t i_h)
{
    const par_work *w = &m->work;
    const par_heads *mine = par__heads_of(m, h->layer);
    const core_heads *of = &mine->all;
    const int64_t n_h = mine->n_h, n_dh = of->n_dh, n_dv = of->n_dv;
    const int64_t h0 = mine->h0, mine0 = b * n, row = b * m->batch->n_t;
    const int64_t g = i_h * of->n_g / of->n_h - mine->kv0;
    h->ld_q = n_h * n_dh;
    h->ld_k = mine->n_kv * n_dh;
    h->ld_v = w->rows.ld_v;
    h->ld_o = n_h * n_dv;
    h->q = w->q + mine0 * h->ld_q + (i_h - h0) * n_dh;
    h->k = w->rows.k + row * h->ld_k + g * n_dh;
    h->v = w->rows.v + row * h->ld_v + w->rows.v_first + g * w->rows.v_step;
    h->context = w->context + mine0 * h->ld_o + (i_h - h0) * n_dv;
    h->set = i_h * h->sets.n_set / of->n_h;
    h->seen = h->sets.n_set == 0
                  ? NULL
                  : m->now.seen + row * h->sets.n_set * h->sets.n_key;
    h->digest = h->run > 0 ? w->digest + row * n_dh : NULL;
    h->sink = attention->sinks != NULL ? attention->sinks[i_h - h0]
                                       : -(double)INFINITY;
}

/* Values are scaled once their sum is whole. */
static void scale_values(const par_model *m, const head *h, int64_t n)
{
    const double scale = m->spec->value_scale;
    for (int64_t i = 0; scale > 0.0 && i < n; i++)
        for (int64_t c = 0; c < h->of->n_dv; c++)
            h->context[i * h->ld_o + c] *= scale;
}

/* Two products of a block: with the keys, with the values. */
static void count_block(par_model *m, const head *h, const block *b)
{
    m->cost.record.flops += CORE_FLOPS_MULTIPLY_ADD * (b->i1 - b->i0) *
                            (b->j1 - b->j0) * (h->of->n_dh + h->of->n_dv);
}

/* Queries in, context out; every key and value that I have once. */
static void count_operands(par_model *m, const par_attention *attention, int l)
{
    const par_heads *mine = par__heads_of(m, l);
    const int64_t n = m->now.n, n_h = mine->n_h;
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
    cost->kv_read = m->now.n_row * m->batch->n_t * mine->n_kv * (n_dh + n_dv);
    if (run > 0)
        cost->kv_read += m->now.n_row * (m->batch->n_t / run) * n_dh;
    cost->weights = attention->sinks != NULL && n > 0 ? n_h : 0;
}

/* One head of a row, over my runs of queries. */
static void attend(par_model *m, const head *h, const par_run *run, int n_run)
{
    int64_t at = 0; /* among my tokens of the row */
    for (int r = 0; r < n_run; at += run[r].n, r++)
        for (int64_t i = 0; i < run[r].n; i += PAR_QUERY_BLOCK) {
            const block blk =
                make_block(m, h, at + i, run[r].i0 + i, run[r].i0 + run[r].n);
            count_block(m, h, &blk);
            if (core_uses_floats(m->numerics))
                block_f32(m, h, &blk);
            else
                block_f64(m, h, &blk);
        }
}

void par__heads(par_model *m, const par_attention *attention, int l)
{
    const par_heads *mine = par__heads_of(m, l);
    const int64_t h0 = mine->h0, h1 = h0 + mine->n_h;
    const int64_t n_t = m->batch->n_t;
    par_run run[2];
    const int n_run = par_layout_runs(&m->layout->plan, m->layout->c, n_t, run);
    const int64_t n = run[0].n + run[1].n;
    head h = {.layer = l,
              .of = &mine->all,
              .sets = core_spec_seen(m->spec, l),
              .run = core_spec_digest_run(m->spec, l)};
    count_operands(m, attention, l);
    for (int64_t b = 0; b < m->now.n_row; b++) {
        if (m->batch->mask != NULL)
            h.mask = m->batch->mask + (m->now.row0 + b) * n_t;
        find_sees(m, &h);
        for (int64_t i_h = h0; i_h < h1; i_h++) {
            point(m, attention, &h, b, n, i_h);
            check_head(m, &h, n, par__tap(CORE_TAP_CONTEXT, l));
            attend(m, &h, run, n_run);
            scale_values(m, &h, n);
        }
    }
}
