/* ref/moe.c -- the mixture of experts, and the dense MLP beside or without it.
 *
 * Choices that found a slot are sorted by expert, tokens ascending; their
 * inputs are gathered a group of rows at a time and run through their experts;
 * the outputs lie at [token*K + k, De], and the combine adds a token's K outputs
 * by ascending expert.  Experts of a width of their own work between two
 * projections of whole tokens.  Traps: a dropped choice adds nothing, or weight * xn,
 * and never changes the other weights; the expert's bias is inside the weight;
 * a weight that multiplies the input does not multiply the output again.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

typedef struct moe {
    ref__routing routing;
    void *slot_work;
    ref__ffn ffn;
    int64_t *choice;   /* [N*K] choices with a slot, by expert             */
    int64_t *first;    /* [E+1] an expert's choices in it                  */
    double *x;         /* [group rows, De] gathered inputs                 */
    ref__piece *piece; /* of one group                                     */
    double *tokens;    /* [N, D] xn, or a norm of the experts' own         */
    double *in;        /* [N, De] what is gathered: tokens, or projected   */
    double *sum;       /* [N, De] of a token's rows, to be projected back  */
    double *sum_abs;   /* [n_threads, De] with bounds                      */
} moe;

/* Cut points: read weights serve as many rows as fit, resident ones are cheap
 * to use again and smaller pieces keep all threads busy.                     */
static int64_t piece_rows(const ref_model *model, int64_t group_rows)
{
    const int64_t chunk = model->row_chunk;
    return model->storage != NULL && chunk < group_rows ? chunk : group_rows;
}

static int64_t max_pieces(const ref__run *run, int64_t n_row, int64_t n_run)
{
    return n_run + n_row / run->model->row_chunk + 1;
}

static moe take(ref__run *run, int layer)
{
    const core_spec *spec = run->spec;
    core_arena *a = &run->arena;
    const int64_t n = run->n, n_c = n * spec->n_k;
    const int64_t n_d = core_spec_n_de(spec);
    moe m = {
        .routing = ref__routing_take(run, layer),
        .slot_work = core_arena_take(a, (int64_t)ref__slots_bytes(spec, n), 1),
        .ffn = {CORE_W_EXPERT_GATE, CORE_W_EXPERT_UP, CORE_W_EXPERT_DOWN,
                CORE_TAP_EXPERT_GATE, CORE_TAP_EXPERT_UP, CORE_TAP_EXPERT_ACT,
                CORE_TAP_EXPERT_OUT, .n_d = n_d, .n_f = spec->n_f},
        .choice = core_arena_i64(a, n_c),
        .first = core_arena_i64(a, spec->n_e + 1),
        .piece = core_arena_take(a, max_pieces(run, n_c, spec->n_e),
                                 sizeof(ref__piece)),
    };
    ref__ffn_take(run, &m.ffn, layer, n_c);
    m.x = core_arena_f64(a, m.ffn.group_rows * n_d);
    m.ffn.out.v = core_arena_f64(a, n_c * n_d);
    if (ref__wants_bound(run, CORE_TAP_RECV, layer) ||
        ref__wants_bound(run, CORE_TAP_EXPERT_OUT, layer) ||
        ref__wants_bound(run, CORE_TAP_BACK, layer))
        m.ffn.out.bound = core_arena_take(a, n_c * n_d, sizeof(float));
    if (run->bounds)
        m.sum_abs = core_arena_f64(a, run->n_threads * n_d);
    m.tokens = run->xn;
    if (spec->branch_norm)
        m.tokens = core_arena_f64(a, n * spec->n_d);
    m.in = m.tokens;
    if (spec->n_de > 0) {
        m.in = core_arena_f64(a, n * n_d);
        m.sum = core_arena_f64(a, n * n_d);
    }
    return m;
}

static void sort_by_expert(const ref__run *run, moe *m)
{
    const core_spec *spec = run->spec;
    const int64_t n_c = run->n * spec->n_k;
    const ref__routing *ro = &m->routing;
    for (int64_t e = 0; e <= spec->n_e; e++)
        m->first[e] = 0;
    for (int64_t c = 0; c < n_c; c++)
        if (ro->slot[c] >= 0)
            m->first[ro->idx[c] + 1]++;
    for (int64_t e = 0; e < spec->n_e; e++)
        m->first[e + 1] += m->first[e];
    for (int64_t c = 0; c < n_c; c++)
        if (ro->slot[c] >= 0)
            m->choice[m->first[ro->idx[c]]++] = c;
    for (int64_t e = spec->n_e; e > 0; e--) /* the loop above moved them on */
        m->first[e] = m->first[e - 1];
    m->first[0] = 0;
}

/* x [De] = the input of a choice: its token, or weight * token, stored. */
static void gather(const ref__run *run, const moe *m, int64_t choice, double *x)
{
    const int64_t n_d = m->ffn.n_d;
    const double *in = m->in + choice / run->spec->n_k * n_d;
    if (!run->spec->weigh_input) {
        memcpy(x, in, (size_t)n_d * sizeof *x);
        return;
    }
    for (int64_t d = 0; d < n_d; d++) /* exact before it is stored */
        x[d] = m->routing.weight[choice] * in[d];
    core_store(run->numerics, CORE_GRID_ACT, x, n_d);
}

/* The inputs at their choices: the tap `recv`; out.v lends itself.  A copy has
 * bound 0, a weighted input the bound of one product.                        */
static void put_recv(const ref__run *run, int layer, const moe *m)
{
    const int64_t n_d = m->ffn.n_d, n_k = run->spec->n_k;
    const int64_t n_kept = m->first[run->spec->n_e];
    double *v = m->ffn.out.v;
    memset(v, 0, (size_t)(run->n * n_k * n_d) * sizeof *v);
    if (m->ffn.out.bound != NULL)
        memset(m->ffn.out.bound, 0,
               (size_t)(run->n * n_k * n_d) * sizeof *m->ffn.out.bound);
    const bool is_read = run->draw != NULL && run->spec->weigh_input;
    if (!ref__wants(run, CORE_TAP_RECV, layer) && !is_read)
        return;
    for (int64_t i = 0; i < n_kept; i++) {
        const int64_t at = m->choice[i] * n_d;
        gather(run, m, m->choice[i], v + at);
        if (run->spec->weigh_input && m->ffn.out.bound != NULL)
            ref__bound_relative(run->u, m->ffn.out.bound + at, v + at, n_d,
                                REF__ROUNDS_PRODUCT);
    }
    ref__put(run, CORE_TAP_RECV, layer, v, m->ffn.out.bound);
}

/* What came out of the experts, and what arrives back: a transfer, bound 0. */
static void put_back(const ref__run *run, int layer, const moe *m)
{
    const int64_t n = run->n * run->spec->n_k * m->ffn.n_d;
    ref__ffn_put(run, &m->ffn, layer);
    if (m->ffn.out.bound != NULL)
        memset(m->ffn.out.bound, 0, (size_t)n * sizeof *m->ffn.out.bound);
    ref__put(run, CORE_TAP_BACK, layer, m->ffn.out.v, m->ffn.out.bound);
}

/* The longest piece first: what is left at the end, when threads wait for each
 * other, is short.  The order changes no result.                             */
static int by_length(const void *a, const void *b)
{
    const ref__piece *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n) - (x->n > y->n)
                        : (x->first > y->first) - (x->first < y->first);
}

/* Weighted inputs of a drawn pass lie where put_recv made and forced them. */
static void take_input(const ref__run *run, const moe *m, int64_t choice,
                       double *x)
{
    const int64_t n_d = m->ffn.n_d;
    if (run->draw != NULL && run->spec->weigh_input)
        memcpy(x, m->ffn.out.v + choice * n_d, (size_t)n_d * sizeof *x);
    else
        gather(run, m, choice, x);
}

/* Gather the inputs of choice[i0, i0 + n) and run the pieces. */
static void run_group(ref__run *run, int layer, moe *m, int64_t i0, int64_t n,
                      int64_t n_piece)
{
    const int64_t n_d = m->ffn.n_d;
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t i = 0; i < n; i++)
        take_input(run, m, m->choice[i0 + i], m->x + i * n_d);
    qsort(m->piece, (size_t)n_piece, sizeof *m->piece, by_length);
    ref__ffn_group(run, &m->ffn, layer, m->x, m->choice + i0, m->piece,
                   n_piece);
}

static void run_experts(ref__run *run, int layer, moe *m)
{
    const int64_t rows = piece_rows(run->model, m->ffn.group_rows);
    int64_t i0 = 0, n = 0, n_piece = 0; /* the group being collected */
    for (int64_t e = 0; e < run->spec->n_e; e++) {
        for (int64_t i = m->first[e]; i < m->first[e + 1]; i += rows) {
            const int64_t n_i =
                i + rows < m->first[e + 1] ? rows : m->first[e + 1] - i;
            if (n + n_i > m->ffn.group_rows) {
                run_group(run, layer, m, i0, n, n_piece);
                i0 += n;
                n = n_piece = 0;
            }
            m->piece[n_piece++] = (ref__piece){(int)e, n, n_i};
            n += n_i;
        }
    }
    if (n > 0)
        run_group(run, layer, m, i0, n, n_piece);
}

/* The choice with the next larger (descending: smaller) expert than `done`. */
static int64_t next_choice(const int64_t *idx, int64_t n_k, int64_t done,
                           bool descending)
{
    int64_t best = -1;
    for (int64_t j = 0; j < n_k; j++) {
        const bool is_left = descending ? idx[j] < done : idx[j] > done;
        if (is_left && (best < 0 ||
                        (descending ? idx[j] > idx[best] : idx[j] < idx[best])))
            best = j;
    }
    return best;
}

/* out [De] = sum over a token's choices, by ascending expert but in some draws;
 * sum_abs [De] (or NULL) the magnitudes; returns the largest magnitude sum of an
 * element.                                                                   */
static double combine_token(const ref__run *run, const ref__drawn *drawn,
                            const moe *m, int64_t t, double *out,
                            double *sum_abs)
{
    const int64_t n_d = m->ffn.n_d, n_k = run->spec->n_k;
    const bool pass = run->spec->capacity.dropped == CORE_DROPPED_PASSTHROUGH;
    const int64_t *idx = m->routing.idx + t * n_k;
    double sum_w = 0.0, max_y = 0.0;
    memset(out, 0, (size_t)n_d * sizeof *out);
    if (sum_abs != NULL)
        memset(sum_abs, 0, (size_t)n_d * sizeof *sum_abs);
    int64_t done = drawn->descending ? run->spec->n_e : -1;
    for (int64_t k = 0; k < n_k; k++) {
        const int64_t best = next_choice(idx, n_k, done, drawn->descending);
        done = idx[best];
        const int64_t c = t * n_k + best;
        const bool dropped = m->routing.slot[c] < 0;
        if (dropped && !pass)
            continue;
        const double *y = dropped ? m->in + t * n_d : m->ffn.out.v + c * n_d;
        const double w = run->spec->weigh_input ? 1.0 : m->routing.weight[c];
        sum_w += fabs(w);
        if (run->draw != NULL) {
            ref__drawn_multiply_add(drawn, out, y, w, n_d);
            continue;
        }
        for (int64_t d = 0; d < n_d; d++) {
            out[d] += w * y[d];
            max_y = fabs(y[d]) <= max_y ? max_y : fabs(y[d]);
        }
        for (int64_t d = 0; sum_abs != NULL && d < n_d; d++)
            sum_abs[d] += fabs(w * y[d]);
    }
    return sum_w * max_y;
}

static void combine(ref__run *run, int layer, const moe *m, double *out)
{
    const int64_t n_d = m->ffn.n_d;
    float *bound = ref__bound_buffer(run, CORE_TAP_COMBINE, layer);
    const ref__drawn drawn = ref__draw_operator(run, CORE_TAP_COMBINE, layer);
    double bits = 0.0;
#pragma omp parallel for num_threads(run->n_threads) reduction(max : bits)
    for (int64_t t = 0; t < run->n; t++) {
        double *out_t = out + t * n_d;
        double *sum_abs =
            bound != NULL ? m->sum_abs + omp_get_thread_num() * n_d : NULL;
        const double magnitude =
            combine_token(run, &drawn, m, t, out_t, sum_abs);
        bits = fmax(bits, ref__bits(magnitude, CORE_STEP_PROB * CORE_STEP_ACT));
        core_store(run->numerics, CORE_GRID_ACT, out_t, n_d);
        if (bound != NULL)
            ref__bound_combine(run->u, bound + t * n_d, sum_abs, out_t, n_d,
                               run->spec->n_k);
    }
    if (run->exact)
        ref__record_bits(run, CORE_TAP_COMBINE, layer, bits);
    ref__put(run, CORE_TAP_COMBINE, layer, out, bound);
}

void ref__moe(ref__run *run, int layer, double *out, bool dry)
{
    moe m = take(run, layer);
    if (dry)
        return;
    ref__router(run, layer, &m.routing, m.slot_work);
    if (run->spec->branch_norm)
        ref__norm_rows(run, CORE_W_MOE_NORM, layer, CORE_TAP_MOE_NORM, run->x,
                       m.tokens);
    if (m.sum != NULL) {
        const ref__rows x =
            ref__measure(run, m.tokens, run->n, run->spec->n_d);
        ref__linear(run, &x, CORE_W_NARROW, layer, CORE_TAP_NARROW, m.in);
    }
    sort_by_expert(run, &m);
    put_recv(run, layer, &m);
    run_experts(run, layer, &m);
    put_back(run, layer, &m);
    combine(run, layer, &m, m.sum != NULL ? m.sum : out);
    if (m.sum != NULL && run->spec->norm_de) {
        const ref__norm norm = {.x = m.sum,
                                .ld_x = m.ffn.n_d,
                                .y = m.sum,
                                .n_part = 1,
                                .n = m.ffn.n_d,
                                .weight = CORE_W_WIDE_NORM,
                                .eps = run->spec->norm_eps};
        ref__rmsnorm(run, layer, CORE_TAP_WIDE_NORM, &norm);
    }
    if (m.sum != NULL) {
        const ref__rows sum = ref__measure(run, m.sum, run->n, m.ffn.n_d);
        ref__linear(run, &sum, CORE_W_WIDE, layer, CORE_TAP_WIDE, out);
    }
    if (run->spec->branch_norm)
        ref__norm_rows(run, CORE_W_MOE_POST, layer, CORE_TAP_MOE_POST, out,
                       out);
}

void ref__mlp(ref__run *run, int layer, int64_t n_f, double *out, bool dry)
{
    core_arena *a = &run->arena;
    const int64_t n_d = run->spec->n_d, n = run->n;
    ref__ffn ffn = {CORE_W_MLP_GATE,   CORE_W_MLP_UP,   CORE_W_MLP_DOWN,
                    CORE_TAP_MLP_GATE, CORE_TAP_MLP_UP, CORE_TAP_MLP_ACT,
                    CORE_TAP_MLP_OUT,  .n_d = n_d,      .n_f = n_f};
    ref__ffn_take(run, &ffn, layer, n);
    int64_t *row = core_arena_i64(a, n);
    ref__piece *piece =
        core_arena_take(a, max_pieces(run, n, 1), sizeof *piece);
    if (dry)
        return;
    ffn.out =
        (ref__tapbuf){out, ref__bound_buffer(run, CORE_TAP_MLP_OUT, layer)};
    for (int64_t t = 0; t < n; t++)
        row[t] = t;
    const int64_t rows = piece_rows(run->model, ffn.group_rows);
    for (int64_t t = 0; t < n; t += ffn.group_rows) {
        const int64_t end = t + ffn.group_rows < n ? t + ffn.group_rows : n;
        int64_t n_piece = 0;
        for (int64_t i = t; i < end; i += rows)
            piece[n_piece++] =
                (ref__piece){0, i - t, i + rows < end ? rows : end - i};
        ref__ffn_group(run, &ffn, layer, run->xn + t * n_d, row + t, piece,
                       n_piece);
    }
    ref__ffn_put(run, &ffn, layer);
}
