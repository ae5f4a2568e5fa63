/* parallel/grad/back_experts.c -- back through my experts, on the rows that
 * arrived.
 *
 * What an expert read and made on the way there is on the tape under the number
 * of the choice.  Column parts have the same rows, inner columns of their own,
 * and a part of the input's gradient: Partial over etp until they have added it
 * up here.
 */
#include "parallel/grad/grad_impl.h"

#include <string.h>

/* The rows of one expert among those that arrived. */
typedef struct rows {
    int layer, expert;
    int64_t n, *at; /* [n] of them                                            */
    const int64_t *choice;
    int64_t n_f;
    double *da, *dgate, *dup; /* [all rows, n_f] to be shown                  */
} rows;

/* The expert's rows of something that is there for all, side by side. */
static double *pick(par__back *b, const rows *r, enum par__grad_buffer buffer,
                    const double *all, int64_t n_col)
{
    double *to = par__g_room(b, buffer, r->n * n_col);
    for (int64_t i = 0; i < r->n; i++)
        memcpy(to + i * n_col, all + r->at[i] * n_col,
               (size_t)n_col * sizeof *to);
    return to;
}

/* The same of a tap. */
static double *recall(par__back *b, const rows *r, enum par__grad_buffer buffer,
                      core_tap_kind kind, int64_t n_col)
{
    double *to = par__g_room(b, buffer, r->n * n_col);
    char name[CORE_NAME_BYTES];
    for (int64_t i = 0; i < r->n; i++) {
        const int64_t choice = r->choice[r->at[i]];
        const double *from = par__tape_choice(b->tape, kind, r->layer, choice);
        if (from == NULL)
            par_abort(b->comm, CORE_E_DIFFERS,
                      "rank %d: %s: the gradient of choice %lld came to a rank "
                      "that did not serve it",
                      b->comm->rank,
                      core_tap_name((core_tap){kind, r->layer}, name),
                      (long long)choice);
        memcpy(to + i * n_col, from, (size_t)n_col * sizeof *to);
    }
    return to;
}

static void put_back(const rows *r, double *all, const double *mine,
                     int64_t n_col, bool adds)
{
    for (int64_t i = 0; i < r->n; i++)
        for (int64_t c = 0; c < n_col; c++)
            all[r->at[i] * n_col + c] =
                mine[i * n_col + c] + (adds ? all[r->at[i] * n_col + c] : 0.0);
}

/* The inner gradients, by activation; kept to be shown. */
static void inner(par__back *b, const rows *r, const double *da, double *dgate,
                  double *dup)
{
    const bool gated = b->spec->gated;
    const double *up =
        recall(b, r, PAR__G_EXPERT_A, CORE_TAP_EXPERT_UP, r->n_f);
    const double *gate =
        gated ? recall(b, r, PAR__G_EXPERT_X, CORE_TAP_EXPERT_GATE, r->n_f)
              : NULL;
    par__g_activation(b->spec, gate, up, da, r->n * r->n_f, dgate, dup);
    put_back(r, r->da, da, r->n_f, false);
    put_back(r, r->dup, dup, r->n_f, false);
    if (gated)
        put_back(r, r->dgate, dgate, r->n_f, false);
}

static void one_expert(par__back *b, const rows *r, const double *all_dy,
                       double *all_dx, par__terms *of_x)
{
    const core_grad of_act = core_grad_of_tap(CORE_TAP_EXPERT_ACT, r->layer);
    const int64_t n_d = b->spec->n_d, n_f = r->n_f, n = r->n;
    par__param *up = par__param_of(b, CORE_W_EXPERT_UP, r->layer, r->expert);
    par__param *down =
        par__param_of(b, CORE_W_EXPERT_DOWN, r->layer, r->expert);
    const double *dy = pick(b, r, PAR__G_EXPERT_DY, all_dy, n_d);
    double *da = par__g_zeros(b, PAR__G_EXPERT_DA, 3 * n * n_f);
    double *dgate = da + n * n_f, *dup = dgate + n * n_f;
    par__terms terms = {0};
    par__g_input(&terms, down, dy, n, da);
    par__g_store(b, &terms, 1, of_act, da, n * n_f);
    par__g_weight(b, down, dy,
                  recall(b, r, PAR__G_EXPERT_A, CORE_TAP_EXPERT_ACT, n_f), n);
    inner(b, r, da, dgate, dup);
    const double *x = recall(b, r, PAR__G_EXPERT_X, CORE_TAP_RECV, n_d);
    double *dx = par__g_zeros(b, PAR__G_EXPERT_A, n * n_d);
    par__g_weight(b, up, dup, x, n);
    par__g_input(of_x, up, dup, n, dx);
    if (b->spec->gated) {
        par__param *gate =
            par__param_of(b, CORE_W_EXPERT_GATE, r->layer, r->expert);
        par__g_weight(b, gate, dgate, x, n);
        par__g_input(of_x, gate, dgate, n, dx);
    }
    put_back(r, all_dx, dx, n_d, true);
}

static void show(par__back *b, const rows *r, core_tap_kind kind,
                 const double *x, int64_t n)
{
    par__g_show_choices(b, kind, r->layer, x, r->choice, n,
                        b->layout->first_f[b->layout->etp_i], r->n_f, 1, 0);
}

void par__g_experts(par__back *b, int layer, const int64_t *expert,
                    const int64_t *choice, const double *dy, int64_t n,
                    double *dx)
{
    const par_layout *lay = b->layout;
    const int64_t n_f = lay->first_f[lay->etp_i + 1] - lay->first_f[lay->etp_i];
    const int64_t n_all = n * b->spec->n_d;
    par__terms of_x = {0};
    rows r = {.layer = layer,
              .choice = choice,
              .n_f = n_f,
              .at = par__g_words(b, PAR__G_WEIGHT, n),
              .da = par__g_room(b, PAR__G_ALL_ACT, n * n_f),
              .dgate = par__g_room(b, PAR__G_ALL_GATE, n * n_f),
              .dup = par__g_room(b, PAR__G_ALL_UP, n * n_f)};
    for (int e = 0; e < lay->n_my_expert; e++) {
        par__terms terms = {0};
        r.expert = lay->experts[layer].mine[e];
        r.n = 0;
        for (int64_t i = 0; i < n; i++)
            if (expert[i] == r.expert)
                r.at[r.n++] = i;
        one_expert(b, &r, dy, dx, &terms);
        if (terms.magnitude > of_x.magnitude || of_x.step == 0.0)
            of_x = terms;
    }
    show(b, &r, CORE_TAP_EXPERT_ACT, r.da, n);
    if (b->spec->gated)
        show(b, &r, CORE_TAP_EXPERT_GATE, r.dgate, n);
    show(b, &r, CORE_TAP_EXPERT_UP, r.dup, n);
    par__g_all_reduce(b, &lay->etp_group, PAR_GRAD_ETP, dx, n_all);
    par__g_store(b, &of_x, lay->plan.etp,
                 core_grad_of_tap(CORE_TAP_RECV, layer), dx, n_all);
}
