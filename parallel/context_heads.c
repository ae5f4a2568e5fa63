/* parallel/context_heads.c -- cp_kind=ulysses: heads are dealt out.
 *
 * Of the heads of a tensor rank each of the cp ranks in its place attends with
 * an equal part, and for that has all tokens of their rows: queries, keys and
 * values go there by an all-to-all, the context comes back by another.  A kv
 * head goes to all ranks whose heads read it.
 */
#include "parallel/forward_impl.h"

#include <string.h>

/* Columns of a token that are of one rank's heads. */
typedef struct columns {
    int64_t first, n;
} columns;

typedef enum side { QUERIES, KEYS, VALUES, CONTEXT, N_SIDES } side;

/* Among those of my heads, the columns of rank c's. */
static columns columns_of(const par_layout *lay, int kind, int c, side what)
{
    const par_heads *mine = &lay->heads[kind];
    const par_heads theirs = par_layout_dealt(lay, kind, c);
    const bool is_kv = what == KEYS || what == VALUES;
    const int64_t width = what == QUERIES || what == KEYS ? mine->all.n_dh
                                                          : mine->all.n_dv;
    return is_kv ? (columns){(theirs.kv0 - mine->kv0) * width,
                             theirs.n_kv * width}
                 : (columns){(theirs.h0 - mine->h0) * width,
                             theirs.n_h * width};
}

/* Tokens of my rows that rank c has. */
static int64_t n_token(const par_model *m, int c)
{
    return m->now.n_row *
           par_layout_n_t(&m->layout->plan, c, m->batch->n_t);
}

/* Blocks of n_out[c] bytes from w->leaving to w->parts, n_in[c] bytes. */
static void exchange(par_model *m, const int64_t *n_out, const int64_t *n_in,
                     core_tap tap)
{
    par_work *w = &m->work;
    const par_group *cp = &m->layout->cp_group;
    int64_t *out_at = w->context_at, *in_at = out_at + cp->n;
    int64_t out = 0, in = 0;
    for (int c = 0; c < cp->n; c++) {
        out_at[c] = out;
        in_at[c] = in;
        out += n_out[c];
        in += n_in[c];
    }
    par__cost_collective(m, PAR_ALL_TO_ALL, cp, tap,
                         out / (int64_t)sizeof(double),
                         in / (int64_t)sizeof(double));
    par__pause(m);
    par__poison(m, w->parts, (size_t)in);
    par_all_to_all(m->comm, cp, w->leaving, out_at, n_out, w->parts, in_at,
                   n_in);
    par__resume(m);
}

/* x [my tokens, ld] of my heads: out [all tokens, *] of those in my turn. */
static void deal_heads(par_model *m, double *out, const double *x, int64_t ld,
                       side what, int l)
{
    par_work *w = &m->work;
    const par_layout *lay = m->layout;
    const int kind = m->spec->head_kind[l];
    const columns mine = columns_of(lay, kind, lay->c, what);
    int64_t *n_out = w->context_bytes, *n_in = n_out + lay->plan.cp;
    double *to = w->leaving;
    for (int c = 0; c < lay->plan.cp; c++) {
        const columns col = columns_of(lay, kind, c, what);
        n_out[c] = m->now.n * col.n * (int64_t)sizeof *to;
        n_in[c] = n_token(m, c) * mine.n * (int64_t)sizeof *to;
        for (int64_t i = 0; i < m->now.n; i++, to += col.n)
            memcpy(to, x + i * ld + col.first, (size_t)col.n * sizeof *to);
    }
    exchange(m, n_out, n_in, par__tap(CORE_TAP_CONTEXT, l));
    par__order_tokens(m, out, w->parts, (size_t)mine.n * sizeof *to);
}

void par__ulysses_open(par_model *m, int l)
{
    par_work *w = &m->work;
    par_view *view = &w->view;
    const par_heads mine = view->heads;
    const int64_t n_t = m->batch->n_t, n_v = mine.n_kv * mine.all.n_dv;
    deal_heads(m, w->row_q, w->q, mine.n_h * mine.all.n_dh, QUERIES, l);
    deal_heads(m, w->row_k, w->k, mine.n_kv * mine.all.n_dh, KEYS, l);
    view->heads =
        par_layout_dealt(m->layout, m->spec->head_kind[l], m->layout->c);
    view->n_run = 1;
    view->run[0] = (par_run){0, n_t};
    view->n_q = n_t;
    view->q = w->row_q;
    view->context = w->row_context;
    view->k = view->v = w->row_k;
    view->ld_k = view->heads.n_kv * mine.all.n_dh;
    if (m->spec->one_kv)
        return;
    par__pack_values(m, &mine, w->packed, n_v);
    deal_heads(m, w->row_v, w->packed, n_v, VALUES, l);
    par__view_values(view, w->row_v);
}

void par__ulysses_close(par_model *m, int l)
{
    par_work *w = &m->work;
    const par_layout *lay = m->layout;
    const par_plan *plan = &lay->plan;
    const int kind = m->spec->head_kind[l];
    const int64_t n_t = m->batch->n_t;
    const int64_t ld = lay->heads[kind].n_h * lay->heads[kind].all.n_dv;
    const columns mine = columns_of(lay, kind, lay->c, CONTEXT);
    const size_t bytes = (size_t)mine.n * sizeof(double);
    int64_t *n_out = w->context_bytes, *n_in = n_out + plan->cp;
    double *to = w->leaving;
    for (int c = 0; c < plan->cp; c++) {
        const int64_t n = n_token(m, c);
        n_out[c] = n * (int64_t)bytes;
        n_in[c] = m->now.n * (int64_t)bytes;
        for (int64_t i = 0; i < n; i++, to += mine.n)
            memcpy(to,
                   w->row_context + par_layout_token(plan, c, n_t, i) * mine.n,
                   bytes);
    }
    exchange(m, n_out, n_in, par__tap(CORE_TAP_CONTEXT, l));
    const double *from = w->parts;
    for (int c = 0; c < plan->cp; c++) {
        const columns col = columns_of(lay, kind, c, CONTEXT);
        for (int64_t i = 0; i < m->now.n; i++, from += col.n)
            memcpy(w->context + i * ld + col.first, from, bytes);
    }
}

/* --- buffers ------------------------------------------------------------- */

int64_t par__ulysses_carve(par_work *w, const par_layout *lay)
{
    int64_t leaving = 0, parts = 0, n_v = 0, row[N_SIDES] = {0};
    for (int kind = 0; kind < CORE_HEAD_KINDS; kind++) {
        const par_heads *mine = &lay->heads[kind];
        if (mine->n_h == 0)
            continue;
        n_v = par__max(n_v, mine->n_kv * mine->all.n_dv);
        for (int what = 0; what < (int)N_SIDES; what++) {
            int64_t given = 0; /* columns, those of shared kv heads repeatedly */
            for (int c = 0; c < lay->plan.cp; c++)
                given += columns_of(lay, kind, c, (side)what).n;
            const int64_t got = columns_of(lay, kind, lay->c, (side)what).n;
            const bool goes_back = what == CONTEXT;
            row[what] = par__max(row[what], got);
            leaving =
                par__max(leaving, goes_back ? w->n_all * got : w->n * given);
            parts = par__max(parts, goes_back ? w->n * given : w->n_all * got);
        }
    }
    w->packed = par__fresh_f64(w, w->n * n_v);
    w->row_q = par__fresh_f64(w, w->n_all * row[QUERIES]);
    w->row_k = par__fresh_f64(w, w->n_all * row[KEYS]);
    w->row_v = par__fresh_f64(w, w->n_all * row[VALUES]);
    w->row_context = par__fresh_f64(w, w->n_all * row[CONTEXT]);
    w->leaving = par__fresh_f64(w, leaving);
    return parts;
}
