/* ref/grad/back_attention.c -- from attn_out back to the normed input.
 *
 * Heads one by one, query by query: p is made again from stored q and k. Traps:
 * the scale multiplies the complete sum over keys (or queries), not the scores'
 * gradients; what is p dP comes into every key's gradient by way of its sum;
 * a kv head's gradient sums over its query heads; queries, keys and values are
 * projections of one input, so three products make its gradient.
 */
#include "ref/grad/grad_impl.h"

#include <math.h>
#include <string.h>

/* What a (row, head) reads and adds to. */
typedef struct head {
    const double *q, *k, *v, *dctx;
    double *dq, *dk, *dv;
    int64_t ld_q, ld_k; /* of q, dctx, dq; of k, v, dk, dv                    */
} head;

/* Largest operands, for the sums' bits. */
typedef struct widths {
    double p_dp, ds_k;
    double largest_dctx;
    /* of a row's kv head, over its queries: of the columns of p [T], and the
     * largest of those of dctx                                               */
    double *p_squares, dctx_squares;
    double p_dctx; /* the norms that follow, multiplied                       */
} widths;

static double dot(const double *a, const double *b, int64_t n)
{
    double s = 0.0;
    for (int64_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

static void add_scaled(double *y, const double *x, double a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

/* Query i: p [i+1], ds [i+1], then what they give to dq, dk, dv, unscaled. */
static void query(const ref__back *b, const head *h, double scale, int64_t i,
                  double *p, double *ds, widths *w)
{
    const int64_t n_dh = b->spec->n_dh, n = i + 1;
    const double *dctx = h->dctx + i * h->ld_q, *q = h->q + i * h->ld_q;
    for (int64_t j = 0; j < n; j++) {
        p[j] = dot(q, h->k + j * h->ld_k, n_dh);
        ds[j] = dot(dctx, h->v + j * h->ld_k, n_dh);
    }
    ref__softmax_row(b->numerics, p, 0, n, NULL, scale, -HUGE_VAL);
    core_grad_store(b->numerics, ds, n);
    double delta = dot(p, ds, n);
    w->p_dp = ref__worse(w->p_dp, sqrt(dot(p, p, n) * dot(ds, ds, n)));
    core_grad_store(b->numerics, &delta, 1);
    for (int64_t j = 0; j < n; j++)
        ds[j] = p[j] * (ds[j] - delta);
    core_grad_store(b->numerics, ds, n);
    for (int64_t j = 0; j < n; j++) {
        add_scaled(h->dq + i * h->ld_q, h->k + j * h->ld_k, ds[j], n_dh);
        add_scaled(h->dk + j * h->ld_k, q, ds[j], n_dh);
        add_scaled(h->dv + j * h->ld_k, dctx, p[j], n_dh);
        w->p_squares[j] += p[j] * p[j];
    }
    w->ds_k = ref__worse(w->ds_k, dot(ds, ds, n));
}

/* Turn every head of x [N, n_head*Dh] the other way, and store. */
static void turn_back(const ref__back *b, core_grad of, double *x,
                      int64_t n_head)
{
    const int64_t n_dh = b->spec->n_dh, half = n_dh / 2;
    const ref__sum none = ref__no_sum();
    for (int64_t t = 0; t < b->n; t++) {
        const double *cos_j = b->cos_tj + t % b->batch->n_t * half;
        const double *sin_j = b->sin_tj + t % b->batch->n_t * half;
        for (int64_t i = 0; i < n_head; i++) {
            double *r = x + (t * n_head + i) * n_dh;
            for (int64_t j = 0; j < half; j++) {
                const double low = r[j], high = r[j + half];
                r[j] = low * cos_j[j] + high * sin_j[j];
                r[j + half] = high * cos_j[j] - low * sin_j[j];
            }
        }
    }
    ref__finish(b, &none, of, x, b->n * n_head * n_dh);
}

static void scale_all(double *x, int64_t n, double scale)
{
    for (int64_t i = 0; i < n; i++)
        x[i] *= scale;
}

/* Sums over keys and over queries of a row, of at most N terms times the heads
 * that share a key.                                                          */
static void finish_heads(const ref__back *b, int layer, const widths *w,
                         double *dq, double *dk, double *dv)
{
    const core_spec *s = b->spec;
    const core_heads size = core_spec_heads(s, layer);
    const double *q = ref__taped(b, CORE_TAP_Q_ROPE, layer);
    const double *k = ref__taped(b, CORE_TAP_K_ROPE, layer);
    const double terms = sqrt((double)(b->batch->n_t * (s->n_h / s->n_g + 1)));
    const int64_t n_q = b->n * s->n_h * s->n_dh, n_k = b->n * s->n_g * s->n_dh;
    const double ds = sqrt(w->ds_k) * terms;
    const double most = core_largest(q, n_q) > core_largest(k, n_k)
                            ? core_largest(q, n_q)
                            : core_largest(k, n_k);
    ref__sum of_ds = ref__no_sum(), of_p = ref__no_sum();
    ref__more(b, &of_ds, ds * most * terms, CORE_STEP_GRAD * CORE_STEP_ACT);
    ref__more(b, &of_p, w->p_dctx, CORE_STEP_PROB * CORE_STEP_GRAD);
    scale_all(dq, n_q, size.scale);
    scale_all(dk, n_k, size.scale);
    ref__finish(b, &of_ds, core_grad_of_tap(CORE_TAP_Q_ROPE, layer), dq, n_q);
    ref__finish(b, &of_ds, core_grad_of_tap(CORE_TAP_K_ROPE, layer), dk, n_k);
    ref__finish(b, &of_p, core_grad_of_tap(CORE_TAP_V, layer), dv, n_k);
}

/* The largest sum of squares of a column of x [n, n_col]. */
static double largest_column(const double *x, int64_t n, int64_t ld,
                             int64_t n_col)
{
    double largest = 0.0;
    for (int64_t c = 0; c < n_col; c++) {
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++)
            sum += x[i * ld + c] * x[i * ld + c];
        largest = ref__worse(largest, sum);
    }
    return largest;
}

/* From the context's gradient to those of rotated queries and keys, and values.
 */
static void heads(ref__back *b, int layer, const double *dctx)
{
    const core_spec *s = b->spec;
    const core_heads size = core_spec_heads(s, layer);
    const int64_t n_t = b->batch->n_t, n_dh = s->n_dh;
    double *dq = ref__grad_room(b, CORE_TAP_Q_ROPE, layer);
    double *dk = ref__grad_room(b, CORE_TAP_K_ROPE, layer);
    double *dv = ref__grad_room(b, CORE_TAP_V, layer);
    widths w = {.largest_dctx = core_largest(dctx, b->n * s->n_h * n_dh),
                .p_squares = b->rows[2]};
    for (int64_t r = 0; r < b->batch->n_b; r++)
        for (int64_t i_h = 0; i_h < s->n_h; i_h++) {
            const int64_t g = i_h * s->n_g / s->n_h;
            const int64_t at_q = (r * n_t * s->n_h + i_h) * n_dh;
            const int64_t at_k = (r * n_t * s->n_g + g) * n_dh;
            const head h = {ref__taped(b, CORE_TAP_Q_ROPE, layer) + at_q,
                            ref__taped(b, CORE_TAP_K_ROPE, layer) + at_k,
                            ref__taped(b, CORE_TAP_V, layer) + at_k,
                            dctx + at_q,
                            dq + at_q,
                            dk + at_k,
                            dv + at_k,
                            s->n_h * n_dh,
                            s->n_g * n_dh};
            if (i_h * s->n_g % s->n_h < s->n_g) { /* the first of its kv head */
                memset(w.p_squares, 0, (size_t)n_t * sizeof(double));
                w.dctx_squares = 0.0;
            }
            w.dctx_squares +=
                largest_column(dctx + at_q, n_t, s->n_h * n_dh, n_dh);
            for (int64_t i = 0; i < n_t; i++)
                query(b, &h, size.scale, i, b->rows[0], b->rows[1], &w);
            w.p_dctx =
                ref__worse(w.p_dctx, sqrt(core_largest(w.p_squares, n_t) *
                                          w.dctx_squares));
        }
    const double largest_v =
        core_largest(ref__taped(b, CORE_TAP_V, layer), b->n * s->n_g * n_dh);
    const core_grad of = core_grad_of_tap(CORE_TAP_Q_ROPE, layer);
    ref__sum of_dp = ref__no_sum(), of_delta = ref__no_sum();
    ref__more(b, &of_dp, w.largest_dctx * largest_v * (double)n_dh,
              CORE_STEP_GRAD * CORE_STEP_ACT);
    ref__more(b, &of_delta, w.p_dp, CORE_STEP_PROB * CORE_STEP_GRAD);
    ref__finish(b, &of_dp, of, dq, 0);
    ref__finish(b, &of_delta, of, dq, 0);
    finish_heads(b, layer, &w, dq, dk, dv);
}

/* One of the three projections: xn's gradient and the weight's. */
static void projection(ref__back *b, int layer, core_weight_kind kind,
                       const double *dy, ref__sum *sum, double *dxn)
{
    const core_weight id = {kind, layer, 0};
    ref__back_input(b, sum, id, dy, b->n, dxn);
    ref__back_whole_weight(b, id, dy, ref__taped(b, CORE_TAP_ATTN_NORM, layer),
                           b->n);
}

void ref__back_attention(ref__back *b, int layer, const double *dy)
{
    const core_spec *s = b->spec;
    const core_weight o = {CORE_W_O, layer, 0};
    const core_grad of_xn = core_grad_of_tap(CORE_TAP_ATTN_NORM, layer);
    const core_grad of_context = core_grad_of_tap(CORE_TAP_CONTEXT, layer);
    const int64_t n_q = b->n * s->n_h * s->n_dh, n_k = b->n * s->n_g * s->n_dh;
    double *dctx = ref__grad_room(b, CORE_TAP_CONTEXT, layer);
    double *dxn = ref__grad_room(b, CORE_TAP_ATTN_NORM, layer);
    double *dq = ref__grad_room(b, CORE_TAP_Q, layer);
    double *dk = ref__grad_room(b, CORE_TAP_K, layer);
    ref__sum sum = ref__no_sum();
    ref__back_input(b, &sum, o, dy, b->n, dctx);
    ref__finish(b, &sum, of_context, dctx, n_q);
    ref__back_whole_weight(b, o, dy, ref__taped(b, CORE_TAP_CONTEXT, layer),
                           b->n);
    heads(b, layer, dctx);
    memcpy(dq, ref__grad_room(b, CORE_TAP_Q_ROPE, layer),
           (size_t)n_q * sizeof *dq);
    memcpy(dk, ref__grad_room(b, CORE_TAP_K_ROPE, layer),
           (size_t)n_k * sizeof *dk);
    turn_back(b, core_grad_of_tap(CORE_TAP_Q, layer), dq, s->n_h);
    turn_back(b, core_grad_of_tap(CORE_TAP_K, layer), dk, s->n_g);
    sum = ref__no_sum();
    projection(b, layer, CORE_W_Q, dq, &sum, dxn);
    projection(b, layer, CORE_W_K, dk, &sum, dxn);
    projection(b, layer, CORE_W_V, ref__grad_room(b, CORE_TAP_V, layer), &sum,
               dxn);
    ref__finish(b, &sum, of_xn, dxn, b->n * s->n_d);
}
