/* ref/grad/back_moe.c -- back through the weighted sum, the experts and the
 * router.
 *
 * Expert by expert, its choices by ascending token.  Traps: what arrives at an
 * expert is stored there, weight included; a dropped choice has no row, so it
 * gives nothing to its expert, its weight or its token; the sum over a token's
 * experts is complete before anything of it is stored.
 */
#include "ref/grad/grad_impl.h"

#include <string.h>

/* The rows of one expert, [n, *] each. */
typedef struct rows {
    int64_t n;
    int64_t *choice;
    double *dy, *da, *dgate, *dup, *dx, *work;
} rows;

/* to [n, n_col] = the rows of a tap at the expert's choices. */
static const double *gather(const ref__back *b, const rows *r, int layer,
                            core_tap_kind kind, int64_t n_col)
{
    const double *from = ref__taped(b, kind, layer);
    for (int64_t i = 0; i < r->n; i++)
        memcpy(r->work + i * n_col, from + r->choice[i] * n_col,
               (size_t)n_col * sizeof *from);
    return r->work;
}

static void scatter(const ref__back *b, const rows *r, int layer,
                    core_tap_kind kind, int64_t n_col, const double *from)
{
    double *to = ref__grad_room(b, kind, layer);
    for (int64_t i = 0; i < r->n; i++)
        memcpy(to + r->choice[i] * n_col, from + i * n_col,
               (size_t)n_col * sizeof *from);
}

/* dgate and dup from da. */
static void inner(ref__back *b, const rows *r, int layer)
{
    const int64_t n_f = b->spec->n_f;
    const double *up = gather(b, r, layer, CORE_TAP_EXPERT_UP, n_f);
    const double *gate = NULL;
    if (b->spec->gated) { /* dx lends itself */
        const double *from = ref__taped(b, CORE_TAP_EXPERT_GATE, layer);
        for (int64_t i = 0; i < r->n; i++)
            memcpy(r->dx + i * n_f, from + r->choice[i] * n_f,
                   (size_t)n_f * sizeof *from);
        gate = r->dx;
    }
    ref__back_activation(b, gate, up, r->da, r->n * n_f, r->dgate, r->dup);
    scatter(b, r, layer, CORE_TAP_EXPERT_UP, n_f, r->dup);
    if (b->spec->gated)
        scatter(b, r, layer, CORE_TAP_EXPERT_GATE, n_f, r->dgate);
}

/* From dy to dx, and the expert's weights. */
static void expert(ref__back *b, const rows *r, int layer, int e)
{
    const int64_t n_d = b->spec->n_d, n_f = b->spec->n_f;
    const core_weight gate = {CORE_W_EXPERT_GATE, layer, e};
    const core_weight up = {CORE_W_EXPERT_UP, layer, e};
    const core_weight down = {CORE_W_EXPERT_DOWN, layer, e};
    ref__sum of_act = ref__no_sum(), of_x = ref__no_sum();
    scatter(b, r, layer, CORE_TAP_EXPERT_OUT, n_d, r->dy);
    memset(r->da, 0, (size_t)(r->n * n_f) * sizeof *r->da);
    ref__back_input(b, &of_act, down, r->dy, r->n, r->da);
    ref__finish(b, &of_act, core_grad_of_tap(CORE_TAP_EXPERT_ACT, layer), r->da,
                r->n * n_f);
    scatter(b, r, layer, CORE_TAP_EXPERT_ACT, n_f, r->da);
    ref__back_whole_weight(b, down, r->dy,
                           gather(b, r, layer, CORE_TAP_EXPERT_ACT, n_f), r->n);
    inner(b, r, layer);
    memset(r->dx, 0, (size_t)(r->n * n_d) * sizeof *r->dx);
    const double *x = gather(b, r, layer, CORE_TAP_RECV, n_d);
    ref__back_input(b, &of_x, up, r->dup, r->n, r->dx);
    ref__back_whole_weight(b, up, r->dup, x, r->n);
    if (b->spec->gated) {
        ref__back_input(b, &of_x, gate, r->dgate, r->n, r->dx);
        ref__back_whole_weight(b, gate, r->dgate, x, r->n);
    }
    ref__finish(b, &of_x, core_grad_of_tap(CORE_TAP_RECV, layer), r->dx,
                r->n * n_d);
    scatter(b, r, layer, CORE_TAP_RECV, n_d, r->dx);
}

/* The choices of expert e that have a slot, and dy of their outputs. */
static void find_rows(const ref__back *b, rows *r, int layer, int e,
                      const double *dy)
{
    const int64_t n_d = b->spec->n_d, n_k = b->spec->n_k;
    const double *idx = ref__taped(b, CORE_TAP_TOPK_IDX, layer);
    const double *slot = ref__taped(b, CORE_TAP_SLOT, layer);
    const double *w = ref__taped(b, CORE_TAP_TOPK_WEIGHT, layer);
    r->n = 0;
    for (int64_t c = 0; c < b->n * n_k; c++) {
        if ((int64_t)idx[c] != e || slot[c] < 0)
            continue;
        for (int64_t d = 0; d < n_d; d++)
            r->dy[r->n * n_d + d] = w[c] * dy[c / n_k * n_d + d];
        r->choice[r->n++] = c;
    }
    core_grad_store(b->numerics, r->dy, r->n * n_d);
}

/* dw of every choice that has a slot: dy of its token times what came back. */
static void weights(ref__back *b, int layer, const double *dy)
{
    const int64_t n_d = b->spec->n_d, n_k = b->spec->n_k, n_c = b->n * n_k;
    const double *slot = ref__taped(b, CORE_TAP_SLOT, layer);
    const double *back = ref__taped(b, CORE_TAP_BACK, layer);
    double *dw = ref__grad_room(b, CORE_TAP_TOPK_WEIGHT, layer);
    for (int64_t c = 0; c < n_c; c++)
        for (int64_t d = 0; slot[c] >= 0 && d < n_d; d++)
            dw[c] += dy[c / n_k * n_d + d] * back[c * n_d + d];
    ref__sum sum = ref__no_sum();
    if (b->exact)
        ref__more(b, &sum,
                  core_max_row_norm(dy, b->n, n_d, n_d) *
                      core_max_row_norm(back, n_c, n_d, n_d),
                  CORE_STEP_GRAD * CORE_STEP_ACT);
    ref__finish(b, &sum, core_grad_of_tap(CORE_TAP_TOPK_WEIGHT, layer), dw,
                n_c);
}

/* dxn += the tokens' rows that came home: each a value of the grid. */
static void come_home(ref__back *b, int layer, ref__sum *sum, double *dxn)
{
    const int64_t n_d = b->spec->n_d, n_k = b->spec->n_k, n_c = b->n * n_k;
    const double *dx = ref__grad_room(b, CORE_TAP_RECV, layer);
    for (int64_t c = 0; c < n_c; c++)
        for (int64_t d = 0; d < n_d; d++)
            dxn[c / n_k * n_d + d] += dx[c * n_d + d];
    ref__more(b, sum, (double)n_k * core_largest(dx, n_c * n_d),
              CORE_STEP_GRAD);
}

void ref__back_moe(ref__back *b, int layer, const double *dy, ref__sum *sum,
                   double *dxn)
{
    const core_weight router = {CORE_W_ROUTER, layer, 0};
    const double *dz = ref__grad_room(b, CORE_TAP_ROUTER_LOGITS, layer);
    rows r = {.choice = b->choice,
              .dy = b->rows[0],
              .da = b->rows[1],
              .dgate = b->rows[2],
              .dup = b->rows[3],
              .dx = b->rows[4],
              .work = b->rows[5]};
    for (int e = 0; e < (int)b->spec->n_e; e++) {
        find_rows(b, &r, layer, e, dy);
        expert(b, &r, layer, e);
    }
    weights(b, layer, dy);
    ref__back_router(b, layer);
    come_home(b, layer, sum, dxn);
    ref__back_input(b, sum, router, dz, b->n, dxn);
    ref__back_whole_weight(b, router, dz,
                           ref__taped(b, CORE_TAP_FFN_NORM, layer), b->n);
}
