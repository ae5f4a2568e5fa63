/* parallel/experts.c -- the experts of mine, on the rows that arrived.
 *
 * Rows are sorted by (layer, expert), those of all lanes that are there, so
 * that an expert's rows lie together and its weights are read or made once for
 * as many of them as there is room for inner columns at a time.  etp
 * ranks hold the same experts and got the same rows in the same order; each has
 * its own inner columns, so y is Partial over them until par__return.
 */
#include "parallel/forward_impl.h"

#include <string.h>

static int bucket_of(const par_model *m, const par_choices *rows, int64_t i)
{
    const int64_t layer = rows->layer[i];
    return m->moe_index[layer] * m->layout->n_my_expert +
           m->layout->experts[layer].slot[rows->expert[i]];
}

/* Among the experts that a turn tells of. */
static int told_as(const par_model *m, int bucket)
{
    return m->layout->plan.n_mapped > 0 ? m->expert[bucket].down.id.expert
                                        : bucket % m->layout->n_my_expert;
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
        w->n_expert[pair * w->n_told + told_as(m, b)] += w->bucket[b + 1];
        m->n_row[b] += w->bucket[b + 1];
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
        }
#pragma omp parallel for num_threads(par__threads(m, from->n * n_d))
        for (int64_t i = 0; i < from->n; i++)
            memcpy(sorted + l->flow.place[i] * n_d, x + i * n_d,
                   (size_t)n_d * sizeof *x);
    }
}

typedef enum which { GATE, UP, ACT, DOWN, N_WHICH } which;

static const par_shard *shard_of(const par_expert *e, which part)
{
    return part == GATE ? &e->gate : part == UP ? &e->up : &e->down;
}

/* Sorted rows [r0, r1) of a pair, and the records that all of them share. */
typedef struct chunk {
    int pair;
    int64_t r0, r1;
    par_cost_part *cost; /* [N_WHICH]                                         */
} chunk;

/* y = x W^T of the chunk, expert by expert; only experts that have rows touch a
 * weight, and it is counted where their rows begin.                          */
static void grouped_product(par_model *m, const chunk *c, which part, double *y,
                            int64_t ldy, const double *x, int64_t ldx,
                            core_tap_kind kind)
{
    const int n_bucket = m->n_moe * m->layout->n_my_expert;
    const int64_t *first = m->work.bucket;
    core_cost *cost =
        par__cost_part(m, &c->cost[part], CORE_COST_GROUPED_GEMM,
                       par__pair_tap(m, kind, c->pair));
    for (int b = 0; b < n_bucket; b++) {
        const int64_t r = par__max(first[b], c->r0), all = first[b + 1] - first[b];
        const int64_t n = (first[b + 1] < c->r1 ? first[b + 1] : c->r1) - r;
        const int64_t weights = cost->weights;
        if (n <= 0)
            continue;
        const par_expert *e = &m->expert[b];
        const core_tap tap = par__tap(kind, (int)m->sorted.layer[r]);
        double *y_r = y + (r - c->r0) * ldy;
        par__product(m, y_r, ldy, x + (r - c->r0) * ldx, ldx, n,
                     shard_of(e, part), tap);
        if (part != DOWN)
            par__add_bias(m, y_r, n, ldy, shard_of(e, part)->bias);
        if (r > first[b]) {
            cost->weights = weights;
            continue;
        }
        cost->n_expert++;
        cost->m_max = par__max(cost->m_max, all);
    }
}

static void tap_inner(par_model *m, const chunk *c, core_tap_kind kind,
                      double *y)
{
    const par_layout *lay = m->layout;
    const int64_t f0 = lay->first_f[lay->etp_i];
    const int64_t n_f = lay->first_f[lay->etp_i + 1] - f0;
    const par_choices *all = &m->sorted;
    const par_choices rows = {.n = c->r1 - c->r0,
                              .id = all->id + c->r0,
                              .layer = all->layer + c->r0,
                              .expert = all->expert + c->r0,
                              .lane = all->lane + c->r0};
    par__store(m, kind, y, rows.n * n_f);
    par__observe_choices(m, kind, c->pair, y, &rows, f0, n_f, 1, 0);
}

/* Outputs take the place of inputs. */
static void run_chunk(par_model *m, const chunk *c)
{
    const par_layout *lay = m->layout;
    const int64_t n_d = core_spec_n_de(m->spec), n = c->r1 - c->r0;
    const int64_t n_f = lay->first_f[lay->etp_i + 1] - lay->first_f[lay->etp_i];
    const core_tap act = par__pair_tap(m, CORE_TAP_EXPERT_ACT, c->pair);
    double *x = (double *)m->sorted_rows.at + c->r0 * n_d;
    double *gate = NULL;
    double *up = par__grow(m, &m->inner_up, n * n_f, sizeof *up);
    if (m->spec->gated) {
        gate = par__grow(m, &m->inner_gate, n * n_f, sizeof *gate);
        grouped_product(m, c, GATE, gate, n_f, x, n_d, CORE_TAP_EXPERT_GATE);
        tap_inner(m, c, CORE_TAP_EXPERT_GATE, gate);
    }
    grouped_product(m, c, UP, up, n_f, x, n_d, CORE_TAP_EXPERT_UP);
    tap_inner(m, c, CORE_TAP_EXPERT_UP, up);
    par__cost_part(m, &c->cost[ACT], CORE_COST_ELEMENTWISE, act);
    par__activate(m, gate, up, n, n_f, m->sorted.layer + c->r0, act);
    tap_inner(m, c, CORE_TAP_EXPERT_ACT, up);
    par__poison_aside(m, x, (size_t)(n * n_d) * sizeof *x);
    grouped_product(m, c, DOWN, x, n_d, up, n_f, CORE_TAP_EXPERT_OUT);
}

/* Weights that are made for each chunk are worth many rows; where they are kept,
 * so few that a cache keeps the inner columns.                               */
static int64_t rows_at_a_time(const par_model *m)
{
    const int64_t wide = m->keeps.experts
                             ? par__min(m->work.wide, PAR_TILE_ELEMENTS)
                             : m->work.wide;
    return par__rows_at_a_time(wide, m->layout->first_f[1]);
}

/* Where a chunk from row r0 on ends: behind whole experts, if one is not too
 * large, or else an even part of it.                                         */
static int64_t end_of_chunk(const par_model *m, int64_t r0, int64_t most)
{
    const int64_t *first = m->work.bucket;
    const int n_bucket = m->n_moe * m->layout->n_my_expert;
    int64_t end = r0;
    for (int b = 0; b < n_bucket; b++) {
        const int64_t n = first[b + 1] - r0, n_part = (n + most - 1) / most;
        if (n > most && end == r0)
            return r0 + (n + n_part - 1) / n_part;
        if (n > most)
            break;
        end = par__max(end, first[b + 1]);
    }
    return end;
}

void par__experts(par_model *m, int pair)
{
    par_cost_part cost[N_WHICH] = {0};
    par__enter(m, PAR_OP_EXPERT, par__pair_tap(m, CORE_TAP_RECV, pair));
    sort_rows(m, pair);
    const int64_t n = m->sorted.n, most = rows_at_a_time(m);
    int64_t r0 = 0;
    do { /* once even without rows */
        const int64_t r1 = end_of_chunk(m, r0, most);
        run_chunk(m, &(chunk){pair, r0, r1, cost});
        r0 = r1;
    } while (r0 < n);
    par__cost_parts_close(m, cost, N_WHICH);
}
