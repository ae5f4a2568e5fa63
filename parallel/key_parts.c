/* parallel/key_parts.c -- a block of queries, and keys and values that lie in
 * parts.
 *
 * The parts of a row (par_view) need not lie side by side: their maxima, sums
 * of exponentials and sums of values are merged part by part.  All parts agree
 * on the maximum before the first exponential is stored, and on the sum before
 * the first probability is, so the bits are those of one part, and nothing is
 * ever rescaled.  But where a context's sum is stored after each key, it
 * belongs to the largest probability so far, and keys are taken in their own
 * order.
 */
#include "parallel/heads.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

/* Keys of a block that lie side by side: columns [at, at + n) of its scores. */
typedef struct span {
    int64_t at, n;
    const double *k, *v;
    int64_t ld_k, ld_v;
} span;

/* The block's keys of part i of the view, which may be none. */
static span keys_of(const par__query_head *h, const par__query_block *b, int i)
{
    const par_view *view = h->view;
    const par_keys *keys = &view->keys[i];
    const int64_t end = keys->run.i0 + keys->run.n;
    const int64_t j0 = par__max(b->j0, keys->run.i0);
    const int64_t j1 = par__min(b->j1, end);
    if (j1 <= j0)
        return (span){.n = 0};
    const int64_t token = par__token_of(h, keys, j0);
    return (span){.at = j0 - b->j0,
                  .n = j1 - j0,
                  .k = h->k + token * view->ld_k,
                  .v = h->v + token * view->ld_v,
                  .ld_k = view->ld_k,
                  .ld_v = view->ld_v};
}

/* Values as they are. */
void par__gather_keys(const par_model *m, const par__query_head *h,
                      par__query_block *b)
{
    const int64_t n_dh = h->of->n_dh, n_digest = b->i1 / h->run;
    double *to = m->work.gathered;
    for (int64_t e = 0; e < n_digest; e++, to += n_dh)
        memcpy(to, h->digests.first + e * h->digests.ld,
               (size_t)n_dh * sizeof *to);
    for (int i = 0; i < h->view->n_keys; i++) {
        const span part = keys_of(h, b, i);
        for (int64_t j = 0; j < part.n; j++, to += n_dh)
            memcpy(to, part.k + j * part.ld_k, (size_t)n_dh * sizeof *to);
    }
    b->j0 -= n_digest;
}

/* Likewise, digests among them. */
static span span_of(const par_model *m, const par__query_head *h,
                    const par__query_block *b, int i)
{
    const double *gathered = m->work.gathered;
    const int64_t n_dh = h->of->n_dh;
    if (h->run == 0)
        return keys_of(h, b, i);
    return (span){0,   i == 0 ? b->j1 - b->j0 : 0, gathered, gathered, n_dh,
                  n_dh};
}

/* --- of one query --- */

static bool is_visible(const par__query_head *h, const par__query_block *b,
                       int64_t j)
{
    return j < b->first || par__is_unmasked(h, j);
}

/* Of the visible scores of a part: scaled, and the largest of them and of what
 * there was before.                                                          */
static double merge_largest(const par__query_head *h, const par__query_block *b,
                            const span *part, int64_t lo, int64_t hi, double *s,
                            double largest)
{
    const int64_t end = par__min(hi, part->at + part->n);
    for (int64_t j = par__max(lo, part->at); j < end; j++)
        if (is_visible(h, b, b->j0 + j)) {
            s[j] *= h->of->scale;
            largest = s[j] > largest ? s[j] : largest;
        }
    return largest;
}

double par__part_largest(const par_model *m, const par__query_head *h,
                         const par__query_block *b, int64_t lo, int64_t hi,
                         double *s, double largest)
{
    for (int k = 0; k < h->view->n_keys; k++) {
        const span part = span_of(m, h, b, k);
        largest = merge_largest(h, b, &part, lo, hi, s, largest);
    }
    return largest;
}

/* Likewise their exponentials, stored, and the sum. */
static double merge_sum(const par_model *m, const par__query_head *h,
                        const par__query_block *b, const span *part, int64_t lo,
                        int64_t hi, double *s, double largest, double sum)
{
    const int64_t from = par__max(lo, part->at);
    const int64_t end = par__min(hi, part->at + part->n);
    for (int64_t j = from; j < end; j++)
        s[j] = is_visible(h, b, b->j0 + j) ? exp(s[j] - largest) : 0.0;
    if (end > from)
        core_store(m->numerics, CORE_GRID_EXP, s + from, end - from);
    for (int64_t j = from; j < end; j++)
        sum += s[j];
    return sum;
}

double par__part_sum(const par_model *m, const par__query_head *h,
                     const par__query_block *b, int64_t lo, int64_t hi,
                     double *s, double largest, double sum)
{
    for (int k = 0; k < h->view->n_keys; k++) {
        const span part = span_of(m, h, b, k);
        sum = merge_sum(m, h, b, &part, lo, hi, s, largest, sum);
    }
    return sum;
}

/* --- of the block: products --- */

/* a32 holds the left operand, b32 the right one, c32 the result. */
static void scores_f32(const par__query_head *h, const par__query_block *b,
                       const span *part, double *s)
{
    const par_thread_room *w = &h->room;
    const int64_t n_i = b->i1 - b->i0, n_j = b->j1 - b->j0, n_dh = h->of->n_dh;
    par__to_f32(w->a32, h->q + b->at * h->ld_q, h->ld_q, n_i, n_dh);
    par__to_f32(w->b32, part->k, part->ld_k, part->n, n_dh);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n_i, (int)part->n,
                (int)n_dh, 1.0F, w->a32, (int)n_dh, w->b32, (int)n_dh, 0.0F,
                w->c32, (int)n_j);
    par__to_f64(s + part->at, n_j, w->c32, n_j, n_i, part->n);
}

static void scores_f64(const par__query_head *h, const par__query_block *b,
                       const span *part, double *s)
{
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)(b->i1 - b->i0),
                (int)part->n, (int)h->of->n_dh, 1.0, h->q + b->at * h->ld_q,
                (int)h->ld_q, part->k, (int)part->ld_k, 0.0, s + part->at,
                (int)(b->j1 - b->j0));
}

void par__part_scores(const par_model *m, const par__query_head *h,
                      const par__query_block *b, double *s)
{
    for (int k = 0; k < h->view->n_keys; k++) {
        const span part = span_of(m, h, b, k);
        if (part.n == 0)
            continue;
        if (core_uses_floats(m->numerics))
            scores_f32(h, b, &part, s);
        else
            scores_f64(h, b, &part, s);
    }
}

/* keep: 0 for the first part, 1 to add to what parts before gave, in c32. */
static void values_f32(const par__query_head *h, const par__query_block *b,
                       const span *part, const double *s, float keep)
{
    const par_thread_room *w = &h->room;
    const int64_t n_i = b->i1 - b->i0, n_j = b->j1 - b->j0, n_dv = h->of->n_dv;
    par__to_f32(w->a32, s + part->at, n_j, n_i, part->n);
    par__to_f32(w->b32, part->v, part->ld_v, part->n, n_dv);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n_i, (int)n_dv,
                (int)part->n, 1.0F, w->a32, (int)part->n, w->b32, (int)n_dv,
                keep, w->c32, (int)n_dv);
}

static void values_f64(const par__query_head *h, const par__query_block *b,
                       const span *part, const double *s, double keep)
{
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)(b->i1 - b->i0),
                (int)h->of->n_dv, (int)part->n, 1.0, s + part->at,
                (int)(b->j1 - b->j0), part->v, (int)part->ld_v, keep,
                h->context + b->at * h->ld_o, (int)h->ld_o);
}

/* The part that column j of the block's scores belongs to. */
static span span_at(const par_model *m, const par__query_head *h,
                    const par__query_block *b, int64_t j)
{
    for (int k = 0; k < h->view->n_keys; k++) {
        const span part = span_of(m, h, b, k);
        if (part.at <= j && j < part.at + part.n)
            return part;
    }
    return (span){.at = j, .n = 0};
}

/* A key more: y [Dv] belongs to the largest probability so far. */
static void take_value(core_numerics ctx, const double *v, int64_t n_dv,
                       double p, double *largest, double *y)
{
    if (p > *largest) {
        for (int64_t c = 0; c < n_dv; c++)
            y[c] *= *largest / p;
        core_store(ctx, CORE_GRID_ACT, y, n_dv);
        *largest = p;
    }
    for (int64_t c = 0; c < n_dv; c++)
        y[c] += p / *largest * v[c];
    core_store(ctx, CORE_GRID_ACT, y, n_dv);
}

/* The contexts, stored after each key. */
static void values_stored(const par_model *m, const par__query_head *h,
                          const par__query_block *b, const double *s)
{
    const core_numerics ctx = core_numerics_of(m->numerics, CORE_SLOT_CTX);
    const int64_t n_j = b->j1 - b->j0, n_dv = h->of->n_dv;
    for (int64_t i = 0; i < b->i1 - b->i0; i++) {
        double *y = h->context + (b->at + i) * h->ld_o, largest = 0.0;
        for (int64_t c = 0; c < n_dv; c++)
            y[c] = 0.0;
        span part = {.n = 0};
        for (int64_t j = 0; j < n_j; j++) {
            if (j >= part.at + part.n)
                part = span_at(m, h, b, j);
            const double p = s[i * n_j + j];
            if (part.n > 0 && p > 0.0)
                take_value(ctx, part.v + (j - part.at) * part.ld_v, n_dv, p,
                           &largest, y);
        }
        for (int64_t c = 0; c < n_dv; c++)
            y[c] *= largest;
    }
}

void par__part_values(const par_model *m, const par__query_head *h,
                      const par__query_block *b, const double *s)
{
    const bool in_floats = core_uses_floats(m->numerics);
    const int64_t n_dv = h->of->n_dv;
    double keep = 0.0;
    if (core_stores_context_sum(m->numerics)) {
        values_stored(m, h, b, s);
        return;
    }
    for (int k = 0; k < h->view->n_keys; k++) {
        const span part = span_of(m, h, b, k);
        if (part.n == 0)
            continue;
        if (in_floats)
            values_f32(h, b, &part, s, (float)keep);
        else
            values_f64(h, b, &part, s, keep);
        keep = 1.0;
    }
    if (in_floats)
        par__to_f64(h->context + b->at * h->ld_o, h->ld_o, h->room.c32, n_dv,
                    b->i1 - b->i0, n_dv);
}
