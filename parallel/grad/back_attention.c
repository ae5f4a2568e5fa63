/* parallel/grad/back_attention.c -- back through attention, split over tp by
 * heads.
 *
 * A block of queries of one (row, head) at a time, as products.  Traps: a kv
 * head that several ranks have is summed over them before it is stored, for
 * each has only its own queries; its part of xn's gradient is then everybody's,
 * and only its first owner gives it; the row bias of the output projection is
 * whole, so its gradient is, too.
 */
#include "parallel/grad/grad_impl.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

enum { QUERY_BLOCK = 64 };

/* One (row, head): [T, Dh] each, so many elements from row to row. */
typedef struct head {
    const double *q, *dctx, *k, *v;
    double *dq, *dk, *dv;
    int64_t ld_q, ld_k;
} head;

/* The largest magnitudes of what is multiplied. */
typedef struct largest {
    double dp, ds;
    double head; /* the norms of a column of p and of one of dctx, multiplied */
    double p_dctx; /* the sum of that over a kv head's queries                */
} largest;

static double larger(double a, double b)
{
    return a >= b || isnan(a) ? a : b;
}

/* c [n_i, n] = a [n_i, Dh] b [n, Dh]^T */
static void against(double *c, const double *a, int64_t ld_a, const double *b,
                    int64_t ld_b, int64_t n_i, int64_t n, int64_t n_dh)
{
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)n_i,
                (blasint)n, (blasint)n_dh, 1.0, a, (blasint)ld_a, b,
                (blasint)ld_b, 0.0, c, (blasint)n);
}

/* y [rows, Dh] += op(s) x, s [n_i, n]. */
static void gather(double *y, int64_t ld_y, const double *s, int64_t n_i,
                   int64_t n, bool by_key, const double *x, int64_t ld_x,
                   int64_t n_dh)
{
    cblas_dgemm(CblasRowMajor, by_key ? CblasTrans : CblasNoTrans, CblasNoTrans,
                (blasint)(by_key ? n : n_i), (blasint)n_dh,
                (blasint)(by_key ? n_i : n), 1.0, s, (blasint)n, x,
                (blasint)ld_x, 1.0, y, (blasint)ld_y);
}

/* Scores of query i to p, keys after it 0. */
static void softmax(double *s, int64_t i, int64_t n, double scale)
{
    double most = -(double)INFINITY, sum = 0.0;
    for (int64_t j = 0; j <= i; j++) {
        s[j] *= scale;
        most = s[j] > most ? s[j] : most;
    }
    for (int64_t j = 0; j <= i; j++)
        s[j] = exp(s[j] - most);
    core_store(CORE_EXACT, CORE_GRID_EXP, s, i + 1);
    for (int64_t j = 0; j <= i; j++)
        sum += s[j];
    for (int64_t j = 0; j <= i; j++)
        s[j] /= sum;
    core_store(CORE_EXACT, CORE_GRID_PROB, s, i + 1);
    for (int64_t j = i + 1; j < n; j++)
        s[j] = 0.0;
}

/* dp of query i becomes ds. */
static void through_softmax(double *dp, const double *p, int64_t i, int64_t n,
                            largest *most)
{
    double mean = 0.0;
    core_grad_store(CORE_EXACT, dp, n);
    for (int64_t j = 0; j <= i; j++)
        mean += p[j] * dp[j];
    most->dp = larger(core_largest(dp, i + 1), most->dp);
    core_grad_store(CORE_EXACT, &mean, 1);
    for (int64_t j = 0; j < n; j++)
        dp[j] = p[j] * (dp[j] - mean);
    core_grad_store(CORE_EXACT, dp, n);
    most->ds = larger(core_largest(dp, i + 1), most->ds);
}

/* squares [n] += those of x [n_i, n]. */
static void add_squares(double *squares, const double *x, int64_t ld,
                        int64_t n_i, int64_t n)
{
    for (int64_t i = 0; i < n_i; i++)
        for (int64_t j = 0; j < n; j++)
            squares[j] += x[i * ld + j] * x[i * ld + j];
}

static void one_head(par__back *b, const head *h, double scale, largest *most)
{
    const int64_t n_t = b->batch->n_t, n_dh = b->spec->n_dh;
    double *p = par__g_room(b, PAR__G_P, QUERY_BLOCK * n_t);
    double *ds = par__g_room(b, PAR__G_DS, QUERY_BLOCK * n_t);
    double *of_p = par__g_zeros(b, PAR__G_OWN, n_t + n_dh),
           *of_dctx = of_p + n_t;
    for (int64_t i0 = 0; i0 < n_t; i0 += QUERY_BLOCK) {
        const int64_t i1 = i0 + QUERY_BLOCK < n_t ? i0 + QUERY_BLOCK : n_t;
        const int64_t n_i = i1 - i0, n = i1, at = i0 * h->ld_q;
        against(p, h->q + at, h->ld_q, h->k, h->ld_k, n_i, n, n_dh);
        against(ds, h->dctx + at, h->ld_q, h->v, h->ld_k, n_i, n, n_dh);
        for (int64_t i = i0; i < i1; i++) {
            softmax(p + (i - i0) * n, i, n, scale);
            through_softmax(ds + (i - i0) * n, p + (i - i0) * n, i, n, most);
        }
        gather(h->dq + at, h->ld_q, ds, n_i, n, false, h->k, h->ld_k, n_dh);
        gather(h->dk, h->ld_k, ds, n_i, n, true, h->q + at, h->ld_q, n_dh);
        gather(h->dv, h->ld_k, p, n_i, n, true, h->dctx + at, h->ld_q, n_dh);
        add_squares(of_p, p, n, n_i, n);
    }
    add_squares(of_dctx, h->dctx, h->ld_q, n_t, n_dh);
    most->head = sqrt(core_largest(of_p, n_t) * core_largest(of_dctx, n_dh));
}

/* How many ranks have a kv head, the most of any. */
static int most_owners(const par__back *b)
{
    const par_heads *h = &b->layout->heads[0];
    int most = 1, index;
    for (int64_t g = 0; g < h->all.n_g; g++) {
        const int n = par_layout_kv_owners(b->layout, &h->all, g, 0, &index);
        most = n > most ? n : most;
    }
    return most;
}

/* Kv heads that several ranks have: each brings what its own queries gave. */
static void sum_shared(par__back *b, double *dk, double *dv)
{
    const par_heads *h = &b->layout->heads[0];
    const int64_t n_dh = h->all.n_dh, n_g = h->all.n_g, ld = h->n_kv * n_dh;
    int64_t n_shared = 0;
    int index;
    for (int64_t g = 0; g < n_g; g++)
        n_shared += par_layout_kv_owners(b->layout, &h->all, g, 0, &index) > 1;
    const int64_t width = 2 * n_shared * n_dh;
    double *both = par__g_zeros(b, PAR__G_SHARED, b->n * width);
    for (int pass = 0; pass < 2; pass++) {
        double *at = both;
        for (int64_t g = 0; g < n_g; g++) {
            if (par_layout_kv_owners(b->layout, &h->all, g, b->layout->t,
                                     &index) < 2)
                continue;
            for (int64_t i = 0; index >= 0 && i < b->n; i++) {
                const int64_t mine = i * ld + (g - h->kv0) * n_dh;
                double *to[2] = {pass == 0 ? at + i * width : dk + mine,
                                 pass == 0 ? at + i * width + n_dh : dv + mine};
                const double *from[2] = {pass == 0 ? dk + mine : at + i * width,
                                         pass == 0 ? dv + mine
                                                   : at + i * width + n_dh};
                memcpy(to[0], from[0], (size_t)n_dh * sizeof *at);
                memcpy(to[1], from[1], (size_t)n_dh * sizeof *at);
            }
            at += 2 * n_dh;
        }
        if (pass == 0)
            par__g_all_reduce(b, &b->layout->tp_group, PAR_GRAD_TP, both,
                              b->n * width);
    }
}

/* From stored gradients of turned heads to those before. */
static void turn_back(par__back *b, core_grad of, const double *from, double *x,
                      int64_t n_head)
{
    const int64_t n_dh = b->spec->n_dh, half = n_dh / 2;
    const par__terms none = {0};
    for (int64_t i = 0; i < b->n * n_head; i++) {
        const int64_t t = i / n_head % b->batch->n_t;
        const double *r = from + i * n_dh;
        for (int64_t j = 0; j < half; j++) {
            const double c = b->cos_tj[t * half + j];
            const double s = b->sin_tj[t * half + j];
            x[i * n_dh + j] = r[j] * c + r[half + j] * s;
            x[i * n_dh + half + j] = r[half + j] * c - r[j] * s;
        }
    }
    par__g_store(b, &none, 1, of, x, b->n * n_head * n_dh);
}

/* The sums over keys and queries, scaled, stored and shown; roped ones come
 * first, then what stood before the rotation.                                */
static void finish_heads(par__back *b, int layer, const largest *most,
                         double *dq, double *dk, double *dv)
{
    const par_heads *h = &b->layout->heads[0];
    const double scale = core_spec_heads(b->spec, layer).scale;
    const int64_t n_q = b->n * h->n_h * h->all.n_dh;
    const int64_t n_k = b->n * h->n_kv * h->all.n_dh;
    const double n_head =
        (double)(h->all.n_h / h->all.n_g + 1); /* of a kv head */
    const double n_t = (double)b->batch->n_t;
    const double q = core_largest(par__g_tap(b, CORE_TAP_Q_ROPE, layer), n_q);
    const double k = core_largest(par__g_tap(b, CORE_TAP_K_ROPE, layer), n_k);
    const int n_part = most_owners(b);
    par__terms of_ds = {0}, of_p = {0}, of_mean = {0};
    par__terms_add(&of_mean, 2.0 * most->dp, CORE_STEP_PROB * CORE_STEP_GRAD);
    par__terms_add(&of_ds, n_t * n_head * most->ds * larger(q, k),
                   CORE_STEP_GRAD * CORE_STEP_ACT);
    par__terms_add(&of_p, most->p_dctx, CORE_STEP_PROB * CORE_STEP_GRAD);
    for (int64_t i = 0; i < n_q; i++)
        dq[i] *= scale;
    for (int64_t i = 0; i < n_k; i++)
        dk[i] *= scale;
    const core_grad of_q = core_grad_of_tap(CORE_TAP_Q_ROPE, layer);
    par__g_store(b, &of_mean, 1, of_q, dq, 0);
    par__g_store(b, &of_p, n_part, core_grad_of_tap(CORE_TAP_V, layer), dv,
                 n_k);
    par__g_store(b, &of_ds, n_part, core_grad_of_tap(CORE_TAP_K_ROPE, layer),
                 dk, n_k);
    par__g_store(b, &of_ds, 1, of_q, dq, n_q);
    par__g_show_kv(b, CORE_TAP_V, layer, dv);
    par__g_show_kv(b, CORE_TAP_K_ROPE, layer, dk);
    par__g_show_columns(b, CORE_TAP_Q_ROPE, layer, dq);
}

/* All heads of mine, in every row. */
static void heads(par__back *b, int layer, const double *dctx, double *dq,
                  double *dk, double *dv)
{
    const par_heads *mine = &b->layout->heads[0];
    const int64_t n_dh = mine->all.n_dh, n_t = b->batch->n_t;
    const int64_t ld_q = mine->n_h * n_dh, ld_k = mine->n_kv * n_dh;
    const double *q = par__g_tap(b, CORE_TAP_Q_ROPE, layer);
    const double *k = par__g_tap(b, CORE_TAP_K_ROPE, layer);
    const double *v = par__g_tap(b, CORE_TAP_V, layer);
    largest most = {0};
    double sum = 0.0;
    for (int64_t r = 0; r < b->n_row; r++) {
        int64_t last = -1; /* kv head */
        for (int64_t i = 0; i < mine->n_h; i++) {
            const int64_t g =
                (mine->h0 + i) * mine->all.n_g / mine->all.n_h - mine->kv0;
            const int64_t at_q = r * n_t * ld_q + i * n_dh;
            const int64_t at_k = r * n_t * ld_k + g * n_dh;
            const head h = {q + at_q,  dctx + at_q, k + at_k,
                            v + at_k,  dq + at_q,   dk + at_k,
                            dv + at_k, ld_q,        ld_k};
            one_head(b, &h, core_spec_heads(b->spec, layer).scale, &most);
            sum = g == last ? sum + most.head : most.head;
            last = g;
            most.p_dctx = larger(sum, most.p_dctx);
        }
    }
    sum_shared(b, dk, dv);
    finish_heads(b, layer, &most, dq, dk, dv);
}

/* dxn += dy W of my kv heads, but for those that another rank gives. */
static void give_kv(par__back *b, par__terms *terms, const par__param *w,
                    const double *dy, double *dxn)
{
    const par_heads *h = &b->layout->heads[0];
    const int64_t n_dh = h->all.n_dh, width = h->n_kv * n_dh;
    double *own = par__g_room(b, PAR__G_OWN, b->n * width);
    memcpy(own, dy, (size_t)(b->n * width) * sizeof *own);
    for (int64_t g = h->kv0; g < h->kv0 + h->n_kv; g++) {
        int index;
        par_layout_kv_owners(b->layout, &h->all, g, b->layout->t, &index);
        for (int64_t i = 0; index > 0 && i < b->n; i++)
            memset(own + i * width + (g - h->kv0) * n_dh, 0,
                   (size_t)n_dh * sizeof *own);
    }
    par__g_input(terms, w, own, b->n, dxn);
}

/* From heads before rotation to what they were projected from. */
static void projections(par__back *b, int layer, const double *dq,
                        const double *dk, const double *dv, double *dxn)
{
    par__param *q = par__param_of(b, CORE_W_Q, layer, 0);
    par__param *k = par__param_of(b, CORE_W_K, layer, 0);
    par__param *v = par__param_of(b, CORE_W_V, layer, 0);
    const double *xn = par__g_tap(b, CORE_TAP_ATTN_NORM, layer);
    const core_grad of = core_grad_of_tap(CORE_TAP_ATTN_NORM, layer);
    const int64_t n = b->n * b->spec->n_d;
    par__terms terms = {0};
    par__g_weight(b, q, dq, xn, b->n);
    par__g_weight(b, k, dk, xn, b->n);
    par__g_weight(b, v, dv, xn, b->n);
    par__g_input(&terms, q, dq, b->n, dxn);
    give_kv(b, &terms, k, dk, dxn);
    give_kv(b, &terms, v, dv, dxn);
    par__g_all_reduce(b, &b->layout->tp_group, PAR_GRAD_TP, dxn, n);
    par__g_store(b, &terms, b->layout->plan.tp, of, dxn, n);
    par__g_show_whole(b, CORE_TAP_ATTN_NORM, layer, dxn);
}

void par__g_attention(par__back *b, int layer, const double *dmid, double *dxn)
{
    const par_heads *h = &b->layout->heads[0];
    const int64_t n_q = b->n * h->n_h * h->all.n_dh;
    const int64_t n_k = b->n * h->n_kv * h->all.n_dh;
    const core_grad of = core_grad_of_tap(CORE_TAP_CONTEXT, layer);
    par__param *o = par__param_of(b, CORE_W_O, layer, 0);
    double *dctx = par__g_zeros(b, PAR__G_CONTEXT, n_q);
    double *dq = par__g_zeros(b, PAR__G_Q, 2 * n_q), *turned_q = dq + n_q;
    double *dk = par__g_zeros(b, PAR__G_K, 2 * n_k), *turned_k = dk + n_k;
    double *dv = par__g_zeros(b, PAR__G_V, n_k);
    par__terms terms = {0};
    par__g_input(&terms, o, dmid, b->n, dctx);
    par__g_store(b, &terms, 1, of, dctx, n_q);
    par__g_show_columns(b, CORE_TAP_CONTEXT, layer, dctx);
    par__g_weight(b, o, dmid, par__g_tap(b, CORE_TAP_CONTEXT, layer), b->n);
    heads(b, layer, dctx, turned_q, turned_k, dv);
    turn_back(b, core_grad_of_tap(CORE_TAP_K, layer), turned_k, dk, h->n_kv);
    turn_back(b, core_grad_of_tap(CORE_TAP_Q, layer), turned_q, dq, h->n_h);
    par__g_show_kv(b, CORE_TAP_K, layer, dk);
    par__g_show_columns(b, CORE_TAP_Q, layer, dq);
    projections(b, layer, dq, dk, dv, dxn);
}
