/* parallel/experts.c -- the experts of mine, on the rows that arrived.
 *
 * Rows are sorted by (layer, expert), those of all lanes that are there, so
 * that every expert is one product and its weights are read or made once.  etp
 * ranks hold the same experts and got the same rows in the same order; each has
 * its own inner columns, so y is Partial over them until par__return.
 */
#include "parallel/forward_impl.h"

#include <string.h>

static int bucket_of(const par_model *m, const par_choices *rows, int64_t i)
{
    return m->moe_index[rows->layer[i]] * m->layout->n_my_expert +
           m->layout->local_expert[rows->expert[i]];
}

/* Where each bucket begins; how many rows there are. */
static int64_t count_rows(par_model *m, int pair)
{
    par_work *w = &m->work;
    const int n_my = m->layout->n_my_expert, n_bucket = m->n_moe * n_my;
    memset(w->bucket, 0, (size_t)(n_bucket + 1) * sizeof *w->bucket);
    for (int j = 0; j < w->n_joined; j++) {
        const par_choices *from = &m->lane[w->joined[j]].flow.received;
        for (int64_t i = 0; i < from->n; i++)
            w->bucket[bucket_of(m, from, i) + 1]++;
    }
    for (int b = 0; b < n_bucket; b++) {
        w->n_expert[pair * n_my + b % n_my] += w->bucket[b + 1];
        w->bucket[b + 1] += w->bucket[b];
        w->cursor[b] = w->bucket[b];
    }
    return w->bucket[n_bucket];
}

/* Counting sort; bucket b gets the rows [bucket[b], bucket[b+1]), in order of
 * lanes.                                                                     */
static void sort_rows(par_model *m, int pair)
{
    par_work *w = &m->work;
    const int64_t n_d = core_spec_n_de(m->spec);
    const int64_t n = count_rows(m, pair);
    int64_t *table = par__grow(m, &m->table, n * 4, sizeof *table);
    const par_choices to = {.n = n,
                            .id = table,
                            .layer = table + n,
                            .expert = table + 2 * n,
                            .lane = table + 3 * n};
    double *sorted = par__grow(m, &m->sorted_rows, n * n_d, sizeof *sorted);
    m->sorted = to;
    par__cost_rows(m, par__pair_tap(m, CORE_TAP_RECV, pair), n, n_d, 0);
    for (int j = 0; j < w->n_joined; j++) {
        const par_lane *l = &m->lane[w->joined[j]];
        const par_choices *from = &l->flow.received;
        const double *x = l->rows.at;
        for (int64_t i = 0; i < from->n; i++) {
            const int64_t at = w->cursor[bucket_of(m, from, i)]++;
            l->flow.place[i] = at;
            to.id[at] = from->id[i];
            to.layer[at] = from->layer[i];
            to.expert[at] = from->expert[i];
            to.lane[at] = w->joined[j];
            memcpy(sorted + at * n_d, x + i * n_d, (size_t)n_d * sizeof *x);
        }
    }
}

typedef enum which { GATE, UP, DOWN } which;

static const par_shard *shard_of(const par_expert *e, which part)
{
    return part == GATE ? &e->gate : part == UP ? &e->up : &e->down;
}

/* y = x W^T, expert by expert; only experts that have rows touch a weight. */
static void grouped_product(par_model *m, which part, double *y, int64_t ldy,
                            const double *x, int64_t ldx, core_tap_kind kind,
                            int pair)
{
    const int n_bucket = m->n_moe * m->layout->n_my_expert;
    const int64_t *first = m->work.bucket;
    core_cost *cost =
        par__cost(m, CORE_COST_GROUPED_GEMM, par__pair_tap(m, kind, pair));
    for (int b = 0; b < n_bucket; b++) {
        const int64_t r = first[b], n = first[b + 1] - r;
        if (n == 0)
            continue;
        const par_expert *e = &m->expert[b];
        const core_tap tap = par__tap(kind, (int)m->sorted.layer[r]);
        par__product(m, y + r * ldy, ldy, x + r * ldx, ldx, n,
                     shard_of(e, part), tap);
        if (part != DOWN)
            par__add_bias(m, y + r * ldy, n, ldy, shard_of(e, part)->bias);
        cost->n_expert++;
        cost->m_max = n > cost->m_max ? n : cost->m_max;
    }
}

static void tap_inner(par_model *m, core_tap_kind kind, int pair, double *y)
{
    const par_layout *lay = m->layout;
    const int64_t f0 = lay->first_f[lay->etp_i];
    const int64_t n_f = lay->first_f[lay->etp_i + 1] - f0;
    par__store(m, kind, y, m->sorted.n * n_f);
    par__observe_choices(m, kind, pair, y, &m->sorted, f0, n_f, 1, 0);
}

void par__experts(par_model *m, int pair)
{
    const par_layout *lay = m->layout;
    const int64_t n_d = core_spec_n_de(m->spec);
    const int64_t n_f = lay->first_f[lay->etp_i + 1] - lay->first_f[lay->etp_i];
    par__enter(m, PAR_OP_EXPERT, par__pair_tap(m, CORE_TAP_RECV, pair));
    sort_rows(m, pair);
    const double *x = m->sorted_rows.at;
    const int64_t n = m->sorted.n;
    double *gate = NULL;
    double *up = par__grow(m, &m->inner_up, n * n_f, sizeof *up);
    if (m->spec->gated) {
        gate = par__grow(m, &m->inner_gate, n * n_f, sizeof *gate);
        grouped_product(m, GATE, gate, n_f, x, n_d, CORE_TAP_EXPERT_GATE, pair);
        tap_inner(m, CORE_TAP_EXPERT_GATE, pair, gate);
    }
    grouped_product(m, UP, up, n_f, x, n_d, CORE_TAP_EXPERT_UP, pair);
    tap_inner(m, CORE_TAP_EXPERT_UP, pair, up);
    par__activate(m, gate, up, n, n_f, m->sorted.layer,
                  par__pair_tap(m, CORE_TAP_EXPERT_ACT, pair));
    tap_inner(m, CORE_TAP_EXPERT_ACT, pair, up);
    double *y = par__grow(m, &m->sorted_rows, n * n_d, sizeof *y);
    grouped_product(m, DOWN, y, n_d, up, n_f, CORE_TAP_EXPERT_OUT, pair);
}
