/* parallel/grad/back_pair.c -- gradients of rows to the experts, and home
 * again.
 *
 * The way of the forward pass in the other direction: what came back goes out,
 * what was sent comes home.  My slice's kept choices go, the same block, to all
 * column parts of an expert; each of these returns its part of every block,
 * once the sum over them is whole.  Counts first, then metadata, then rows.
 */
#include "parallel/grad/grad_impl.h"

#include <string.h>

enum { META = 2 }; /* expert, choice */

/* Offsets and sizes of an exchange, over the members of the ep group. */
typedef struct tables {
    int64_t *count_out, *count_in; /* rows                                    */
    int64_t *first_out;            /* [ep+1] rows of mine by ep index         */
    int64_t *first_in;             /* [members+1] rows that arrived           */
    int64_t *in_at, *in_bytes, *out_at, *out_bytes;
} tables;

static tables take_tables(par__back *b)
{
    const int64_t n = b->layout->ep_group.n + 1;
    int64_t *at = par__g_words(b, PAR__G_TABLES, 8 * n);
    return (tables){at,         at + n,     at + 2 * n, at + 3 * n,
                    at + 4 * n, at + 5 * n, at + 6 * n, at + 7 * n};
}

/* Where my kept choices lie when they are sorted by ep index: place [slice*K],
 * -1 for dropped ones.                                                       */
static int64_t plan_sends(par__back *b, int layer, const tables *t,
                          int64_t *place)
{
    const par_layout *lay = b->layout;
    const int64_t n_k = b->spec->n_k, c0 = b->t0 * n_k;
    const double *idx = par__g_tap(b, CORE_TAP_TOPK_IDX, layer) + c0;
    const double *slot = par__g_tap(b, CORE_TAP_SLOT, layer) + c0;
    const int64_t n = (b->t1 - b->t0) * n_k;
    int64_t n_row = 0;
    for (int p = 0; p <= lay->plan.ep; p++)
        t->first_out[p] = 0;
    for (int64_t c = 0; c < n; c++)
        place[c] = slot[c] < 0 ? -1
                               : par_layout_holder(lay, layer, (int64_t)idx[c],
                                                   b->first + b->t0 + c / n_k);
    for (int p = 0; p < lay->plan.ep; p++) {
        for (int64_t c = 0; c < n; c++)
            n_row += place[c] == p;
        t->first_out[p + 1] = n_row;
    }
    for (int p = lay->plan.ep - 1; p >= 0; p--) { /* places count down: no ep */
        int64_t at = t->first_out[p + 1]; /* index is taken for one    */
        for (int64_t c = n - 1; c >= 0; c--)
            if (place[c] == p)
                place[c] = -2 - --at;
    }
    for (int64_t c = 0; c < n; c++)
        place[c] = place[c] < -1 ? -2 - place[c] : -1;
    return n_row;
}

/* In elements. */
static int64_t sum(const par__back *b, const int64_t *bytes)
{
    int64_t n = 0;
    for (int i = 0; i < b->layout->ep_group.n; i++)
        n += bytes[i];
    return n / (int64_t)sizeof(double);
}

static void exchange(par__back *b, const tables *t, core_cost_type type,
                     const void *in, void *out)
{
    const par_group *group = &b->layout->ep_group;
    const int64_t before = b->comm->n_bytes[PAR_ALL_TO_ALL];
    core_cost cost = par__g_transfer(b, CORE_ALL_TO_ALL, group,
                                     sum(b, t->in_bytes), sum(b, t->out_bytes));
    cost.type = type;
    par_all_to_all(b->comm, group, in, t->in_at, t->in_bytes, out, t->out_at,
                   t->out_bytes);
    par__g_count(b, PAR_GRAD_EP, cost,
                 b->comm->n_bytes[PAR_ALL_TO_ALL] - before);
}

static int64_t exchange_counts(par__back *b, const tables *t)
{
    const int n = b->layout->ep_group.n, etp = b->layout->plan.etp;
    const int64_t word = sizeof(int64_t);
    for (int i = 0; i < n; i++) {
        t->count_out[i] = t->first_out[i / etp + 1] - t->first_out[i / etp];
        t->in_at[i] = t->out_at[i] = i * word;
        t->in_bytes[i] = t->out_bytes[i] = word;
    }
    exchange(b, t, CORE_COST_WORDS, t->count_out, t->count_in);
    t->first_in[0] = 0;
    for (int i = 0; i < n; i++)
        t->first_in[i + 1] = t->first_in[i] + t->count_in[i];
    return t->first_in[n];
}

static void exchange_rows(par__back *b, const tables *t, core_cost_type type,
                          const void *in, void *out, int64_t words)
{
    const int64_t bytes = words * (int64_t)sizeof(double);
    for (int i = 0; i < b->layout->ep_group.n; i++) {
        t->in_at[i] = t->first_out[i / b->layout->plan.etp] * bytes;
        t->in_bytes[i] = t->count_out[i] * bytes;
        t->out_at[i] = t->first_in[i] * bytes;
        t->out_bytes[i] = t->count_in[i] * bytes;
    }
    exchange(b, t, type, in, out);
}

/* Rows [*r0, *r1) of a block of n that column part i returns. */
static void part_of(const par_layout *lay, int64_t n, int i, int64_t *r0,
                    int64_t *r1)
{
    *r0 = core_split_first(n, lay->plan.etp, i);
    *r1 = core_split_first(n, lay->plan.etp, i + 1);
}

/* dx of the rows that arrived, whole, goes back to who sent them. */
static void exchange_back(par__back *b, const tables *t, const double *dx,
                          double *home)
{
    const par_layout *lay = b->layout;
    const int64_t bytes = b->spec->n_d * (int64_t)sizeof(double);
    for (int i = 0; i < lay->ep_group.n; i++) {
        int64_t r0, r1;
        part_of(lay, t->count_in[i], lay->etp_i, &r0, &r1);
        t->in_at[i] = (t->first_in[i] + r0) * bytes;
        t->in_bytes[i] = (r1 - r0) * bytes;
        part_of(lay, t->count_out[i], i % lay->plan.etp, &r0, &r1);
        t->out_at[i] = (t->first_out[i / lay->plan.etp] + r0) * bytes;
        t->out_bytes[i] = (r1 - r0) * bytes;
    }
    exchange(b, t, CORE_COST_VALUES, dx, home);
}

/* Metadata and dy, weight included and not yet stored, of my kept choices. */
static void pack(par__back *b, int layer, const double *dout,
                 const int64_t *place, int64_t *meta, int64_t *choice,
                 double *rows)
{
    const int64_t n_k = b->spec->n_k, n_d = b->spec->n_d, c0 = b->t0 * n_k;
    const double *idx = par__g_tap(b, CORE_TAP_TOPK_IDX, layer);
    const double *weight = par__g_tap(b, CORE_TAP_TOPK_WEIGHT, layer);
    for (int64_t c = c0; c < b->t1 * n_k; c++) {
        const int64_t to = place[c - c0];
        if (to < 0)
            continue;
        choice[to] = b->first * n_k + c;
        meta[to * META] = (int64_t)idx[c];
        meta[to * META + 1] = choice[to];
        for (int64_t d = 0; d < n_d; d++)
            rows[to * n_d + d] = weight[c] * dout[c / n_k * n_d + d];
    }
}

/* What arrived goes through my experts; whole afterwards on all parts of it. */
static double *serve(par__back *b, int layer, const int64_t *meta, double *dy,
                     int64_t n)
{
    const par_layout *lay = b->layout;
    const int64_t n_d = b->spec->n_d;
    const par__terms none = {0};
    int64_t *expert = par__g_words(b, PAR__G_PLACE, 2 * n),
            *choice = expert + n;
    double *dx = par__g_zeros(b, PAR__G_EXPERT_DX, n * n_d);
    for (int64_t i = 0; i < n; i++) {
        expert[i] = meta[i * META];
        choice[i] = meta[i * META + 1];
    }
    par__g_store(b, &none, 1, core_grad_of_tap(CORE_TAP_EXPERT_OUT, layer), dy,
                 n * n_d);
    par__g_show_choices(b, CORE_TAP_EXPERT_OUT, layer, dy, choice, n, 0, n_d,
                        lay->plan.etp, lay->etp_i);
    par__g_experts(b, layer, expert, choice, dy, n, dx);
    return dx;
}

par__g_pair par__g_exchange(par__back *b, int layer, bool is_mine,
                            const double *dout)
{
    const tables t = take_tables(b);
    const int64_t n_d = b->spec->n_d;
    const int64_t n_choice = is_mine ? (b->t1 - b->t0) * b->spec->n_k : 0;
    int64_t *place = par__g_words(b, PAR__G_TOKENS, 2 * n_choice);
    int64_t *choice = place + n_choice;
    int64_t *meta = par__g_words(b, PAR__G_META_OUT, n_choice * META);
    double *rows = par__g_room(b, PAR__G_SEND, n_choice * n_d);
    memset(t.first_out, 0, (size_t)(b->layout->plan.ep + 1) * sizeof(int64_t));
    const int64_t n = is_mine ? plan_sends(b, layer, &t, place) : 0;
    if (is_mine)
        pack(b, layer, dout, place, meta, choice, rows);
    const int64_t n_in = exchange_counts(b, &t);
    int64_t *meta_in = par__g_words(b, PAR__G_META_IN, n_in * META);
    double *dy = par__g_room(b, PAR__G_RECV, n_in * n_d);
    exchange_rows(b, &t, CORE_COST_WORDS, meta, meta_in, META);
    exchange_rows(b, &t, CORE_COST_VALUES, rows, dy, n_d);
    const double *dx = serve(b, layer, meta_in, dy, n_in);
    double *home = par__g_room(b, PAR__G_ROWS_BACK, n * n_d);
    exchange_back(b, &t, dx, home);
    return (par__g_pair){n, choice, home};
}
