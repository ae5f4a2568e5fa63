/* parallel/grad/show.c -- gradients as pieces with global coordinates. */
#include "parallel/grad/grad_impl.h"

static void show(par__back *b, const par_grad_piece *piece)
{
    b->observer->observe(b->observer->self, piece);
}

static par_grad_piece of_tokens(const par__back *b, core_tap_kind kind,
                                int layer)
{
    return (par_grad_piece){.grad = core_grad_of_tap(kind, layer),
                            .row0 = b->first,
                            .n_row = b->n,
                            .n_owners = 1};
}

void par__g_show_whole(par__back *b, core_tap_kind kind, int layer,
                       const double *x)
{
    par_grad_piece piece = of_tokens(b, kind, layer);
    piece.values = x;
    piece.ld = piece.n_col = core_tap_cols(b->spec, piece.grad.tap);
    piece.n_owners = b->layout->plan.tp;
    piece.i_owner = b->layout->t;
    show(b, &piece);
}

void par__g_show_columns(par__back *b, core_tap_kind kind, int layer,
                         const double *x)
{
    par_grad_piece piece = of_tokens(b, kind, layer);
    piece.values = x;
    par__grad_columns(b->layout, b->spec, piece.grad.tap, &piece.col0,
                      &piece.n_col);
    piece.ld = piece.n_col;
    show(b, &piece);
}

void par__g_show_kv(par__back *b, core_tap_kind kind, int layer,
                    const double *x)
{
    const par_heads *h = &b->layout->heads[0];
    const int64_t n_dh = h->all.n_dh;
    for (int64_t g = h->kv0; g < h->kv0 + h->n_kv; g++) {
        par_grad_piece piece = of_tokens(b, kind, layer);
        piece.values = x + (g - h->kv0) * n_dh;
        piece.ld = h->n_kv * n_dh;
        piece.col0 = g * n_dh;
        piece.n_col = n_dh;
        piece.n_owners = par_layout_kv_owners(b->layout, &h->all, g,
                                              b->layout->t, &piece.i_owner);
        show(b, &piece);
    }
}

void par__g_show_slice(par__back *b, core_tap_kind kind, int layer,
                       const double *x)
{
    par_grad_piece piece = of_tokens(b, kind, layer);
    piece.values = x;
    piece.ld = piece.n_col = core_tap_cols(b->spec, piece.grad.tap);
    piece.row0 = b->first + b->t0;
    piece.n_row = b->t1 - b->t0;
    show(b, &piece);
}

void par__g_show_choices(par__back *b, core_tap_kind kind, int layer,
                         const double *x, const int64_t *choice, int64_t n,
                         int64_t c0, int64_t n_col, int n_owners, int i_owner)
{
    const par_grad_piece piece = {.grad = core_grad_of_tap(kind, layer),
                                  .values = x,
                                  .ld = n_col,
                                  .row_ids = choice,
                                  .n_row = n,
                                  .col0 = c0,
                                  .n_col = n_col,
                                  .n_owners = n_owners,
                                  .i_owner = i_owner};
    show(b, &piece);
}

/* Of how many ranks that compute alike on their own this one is which: of the
 * tensor group, or the column parts of an expert.                            */
static void alike(const par__back *b, const par__param *p, int *n, int *i)
{
    const par_layout *lay = b->layout;
    const bool is_expert =
        core_weight_scope_of(p->id.kind) == CORE_SCOPE_EXPERT;
    *n = 1;
    *i = 0;
    if (is_expert && p->is_vector && p->id.kind == CORE_W_EXPERT_DOWN_BIAS) {
        *n = lay->plan.etp;
        *i = lay->etp_i;
    } else if (!is_expert && (p->is_vector || p->is_partial)) {
        *n = lay->plan.tp;
        *i = lay->t;
    }
}

static bool is_of_kv(core_weight_kind kind)
{
    return kind == CORE_W_K || kind == CORE_W_V || kind == CORE_W_K_BIAS ||
           kind == CORE_W_V_BIAS;
}

void par__g_show_weight(par__back *b, const par__param *p, int n_copy,
                        int i_copy)
{
    const par_heads *h = &b->layout->heads[0];
    const int64_t n_dh = h->all.n_dh;
    int n, i;
    alike(b, p, &n, &i);
    par_grad_piece piece = {.grad = core_grad_of_weight(p->id),
                            .values = p->g,
                            .ld = p->n_col,
                            .row0 = p->r0,
                            .n_row = p->n_row,
                            .col0 = p->c0,
                            .n_col = p->n_col,
                            .n_owners = n * n_copy,
                            .i_owner = i * n_copy + i_copy};
    if (!is_of_kv(p->id.kind)) {
        show(b, &piece);
        return;
    }
    const bool by_rows = p->n_row > 1;
    for (int64_t g = h->kv0; g < h->kv0 + h->n_kv; g++) {
        const int64_t at = (g - h->kv0) * n_dh;
        n = par_layout_kv_owners(b->layout, &h->all, g, b->layout->t, &i);
        piece.values = p->g + (by_rows ? at * p->n_col : at);
        piece.row0 = by_rows ? p->r0 + at : p->r0;
        piece.n_row = by_rows ? n_dh : 1;
        piece.col0 = by_rows ? p->c0 : p->c0 + at;
        piece.n_col = by_rows ? p->n_col : n_dh;
        piece.n_owners = n * n_copy;
        piece.i_owner = i * n_copy + i_copy;
        show(b, &piece);
    }
}
