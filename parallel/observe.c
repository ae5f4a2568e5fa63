/* parallel/observe.c -- what a run lets others see: taps, exactness, time.
 *
 * A tap stores the complete value and shows it; the observer may replace it,
 * and the pass goes on with what the observer left.  An observer's own time,
 * like that of transfers, belongs to no operator: everything that is not the
 * operator's work lies between par__pause and par__resume.
 *
 * Exactness of a product whose K is split over n parts: the sum of magnitudes
 * over all of K is at most the sum over parts of norm(x_i) norm(w_i), so if
 * n * norm(x_i) * norm(w_i) fits on every rank, the whole sum does.
 */
#include "parallel/forward_impl.h"

#include "core/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PAR_MANTISSA_BITS 53

/* The processor time of all threads: the clock of one where there is one, which
 * is cheaper to read.                                                        */
static double cpu_seconds(const par_model *m)
{
    return core_seconds(m->options.n_threads > 1 ? CLOCK_PROCESS_CPUTIME_ID
                                                 : CLOCK_THREAD_CPUTIME_ID);
}

void par__pause(par_model *m)
{
    const double now = cpu_seconds(m);
    m->stats->cpu_seconds[m->op] += now - m->cpu_mark;
    m->cpu_mark = now;
}

void par__resume(par_model *m)
{
    m->cpu_mark = cpu_seconds(m);
}

void par__enter(par_model *m, par_operator op, core_tap tap)
{
    char name[CORE_NAME_BYTES];
    par__pause(m);
    m->op = op;
    par_at(m->comm, core_tap_name(tap, name), m->now.tick);
    par__resume(m);
}

par_operator par__charge(par_model *m, par_operator op)
{
    const par_operator before = m->op;
    par__pause(m);
    m->op = op;
    return before;
}

core_tap par__tap(core_tap_kind kind, int layer)
{
    return (core_tap){.kind = kind, .layer = layer};
}

void par__store(par_model *m, core_tap_kind kind, double *values, int64_t n)
{
    enum { BLOCK = 1 << 12 };
    const core_numerics numerics = core_tap_numerics(m->numerics, kind);
    const core_grid grid = core_tap_grid(kind);
#pragma omp parallel for num_threads(par__threads(m, n))
    for (int64_t i = 0; i < n; i += BLOCK)
        core_store(numerics, grid, values + i, n - i < BLOCK ? n - i : BLOCK);
}

void par__observe(par_model *m, const par_piece *piece)
{
    const par_observer *observer = m->options.observer;
    if (observer == NULL)
        return;
    par__pause(m);
    const double start = m->options.cost != NULL ? core_seconds(CLOCK_MONOTONIC) : 0.0;
    observer->observe(observer->self, piece);
    if (m->options.cost != NULL)
        m->cost.away_seconds += core_seconds(CLOCK_MONOTONIC) - start;
    par__resume(m);
}

/* A piece that covers all tokens of the micro-batch at hand. */
static par_piece token_piece(const par_model *m, core_tap tap, int64_t col0,
                             int64_t n_col)
{
    return (par_piece){.tap = tap,
                       .ld = n_col,
                       .row_ids = m->work.token_id,
                       .n_row = m->now.n,
                       .col0 = col0,
                       .n_col = n_col,
                       .n_owners = 1,
                       .round = m->now.round,
                       .mb = m->now.mb};
}

void par__tap_replicated(par_model *m, core_tap tap, double *values)
{
    const int64_t n_col = core_tap_cols(m->spec, tap);
    par_piece piece = token_piece(m, tap, 0, n_col);
    piece.values = values;
    piece.n_owners = m->layout->plan.tp;
    piece.i_owner = m->layout->t;
    par__store(m, tap.kind, values, m->now.n * n_col);
    par__observe(m, &piece);
}

void par__tap_some(par_model *m, core_tap tap, double *values, int64_t i0,
                   int64_t n, int64_t col0, int64_t n_col)
{
    par_piece piece = token_piece(m, tap, col0, n_col);
    piece.values = values;
    piece.row_ids += i0;
    piece.n_row = n;
    par__store(m, tap.kind, values, n * n_col);
    par__observe(m, &piece);
}

void par__tap_columns(par_model *m, core_tap tap, double *values, int64_t col0,
                      int64_t n_col)
{
    par__tap_some(m, tap, values, 0, m->now.n, col0, n_col);
}

void par__tap_ints(par_model *m, core_tap tap, int64_t *values)
{
    par_piece piece = token_piece(m, tap, 0, core_tap_cols(m->spec, tap));
    piece.ints = values;
    piece.n_owners = m->layout->plan.tp;
    piece.i_owner = m->layout->t;
    par__observe(m, &piece);
}

static par_piece stream_piece(const par_model *m, core_tap tap)
{
    par_piece piece = token_piece(m, tap, 0, core_tap_cols(m->spec, tap));
    piece.row_ids += m->now.s0;
    piece.n_row = m->now.n_s;
    piece.n_owners = m->layout->plan.sp ? 1 : m->layout->plan.tp;
    piece.i_owner = m->layout->plan.sp ? 0 : m->layout->t;
    return piece;
}

void par__tap_stream(par_model *m, core_tap tap, double *values)
{
    par_piece piece = stream_piece(m, tap);
    piece.values = values;
    par__store(m, tap.kind, values, piece.n_row * piece.n_col);
    par__observe(m, &piece);
}

void par__tap_stream_ints(par_model *m, core_tap tap, int64_t *values)
{
    par_piece piece = stream_piece(m, tap);
    piece.ints = values;
    par__observe(m, &piece);
}

/* Of the layer, and of the lane where rows tell. */
static bool is_of(const par_choices *rows, int64_t i, int layer, int lane)
{
    return rows->layer[i] == layer &&
           (rows->lane == NULL || rows->lane[i] == lane);
}

/* Show every run of rows that belongs to the layer and the lane; an empty piece
 * if none.                                                                   */
static void observe_layer(par_model *m, par_piece *piece, int lane,
                          double *values, const par_choices *rows)
{
    int64_t n_run = 0;
    const int layer = piece->tap.layer;
    for (int64_t i = 0, end; i < rows->n; i = end) {
        const bool is_mine = is_of(rows, i, layer, lane);
        for (end = i + 1; end < rows->n; end++)
            if (is_of(rows, end, layer, lane) != is_mine)
                break;
        if (!is_mine)
            continue;
        piece->values = values + i * piece->ld;
        piece->row_ids = rows->id + i;
        piece->n_row = end - i;
        par__observe(m, piece);
        n_run++;
    }
    if (n_run > 0)
        return;
    piece->values = values;
    piece->row_ids = rows->id;
    piece->n_row = 0;
    par__observe(m, piece);
}

/* For every layer that the pair serves in the lane. */
static void observe_lane(par_model *m, par_piece *piece, int pair, int lane,
                         double *values, const par_choices *rows)
{
    const par_layout *lay = m->layout;
    const bool own_stage = lay->plan.scope == PAR_SCOPE_STAGE;
    const int s0 = own_stage ? lay->stage : 0;
    const int s1 = own_stage ? lay->stage + 1 : lay->plan.pp;
    for (int s = s0; s < s1; s++) {
        const int part = par__virtual(m, s, m->now.turn);
        piece->tap.layer = m->pair_layer[part * lay->n_pair + pair];
        piece->mb = par__mb(m, s, m->now.turn, lane);
        if (piece->tap.layer >= 0 && piece->mb >= 0)
            observe_layer(m, piece, lane, values, rows);
    }
}

void par__observe_choices(par_model *m, core_tap_kind kind, int pair,
                          double *values, const par_choices *rows, int64_t col0,
                          int64_t n_col, int n_owners, int i_owner)
{
    const bool is_joint = rows->lane != NULL;
    const int first = is_joint ? 0 : m->now.lane;
    const int end = is_joint ? m->work.n_lane : m->now.lane + 1;
    par_piece piece = {.tap = par__tap(kind, 0),
                       .ld = n_col,
                       .col0 = col0,
                       .n_col = n_col,
                       .n_owners = n_owners,
                       .i_owner = i_owner,
                       .round = m->now.round};
    for (int lane = first; lane < end; lane++)
        observe_lane(m, &piece, pair, lane, values, rows);
}

void par__check(par_model *m, core_tap tap, double norm_x, double norm_w,
                double step_x, double step_w)
{
    par_stats *stats = m->stats;
    char name[CORE_NAME_BYTES];
    const bool is_number = isfinite(norm_x) && isfinite(norm_w);
    if (!is_number && stats->is_written)
        stats->unwritten = tap;
    stats->is_written &= is_number;
    if (core_product_is_exact(norm_x, norm_w, step_x, step_w) || !stats->exact)
        return;
    const double bits = log2(norm_x * norm_w / (step_x * step_w));
    stats->exact = false;
    snprintf(stats->not_exact, sizeof stats->not_exact,
             "%s: %.1f bits, %d allowed", core_tap_name(tap, name), bits,
             PAR_MANTISSA_BITS);
}

double par__largest(const double *x, int64_t ld, int64_t n_row, int64_t n_col)
{
    double largest = 0.0;
    for (int64_t i = 0; i < n_row; i++)
        largest = par__worse(largest, core_largest(x + i * ld, n_col));
    return largest;
}

/* NaN as a double and as two floats; as an index far out of every range. */
static const uint64_t nan_bits = UINT64_C(0x7ff8dead7ff8dead);

bool par__is_poison(int64_t word)
{
    return (uint64_t)word == nan_bits;
}

void par__poison(const par_model *m, void *at, size_t bytes)
{
    unsigned char *to = at;
    const int64_t n = (int64_t)(bytes / sizeof nan_bits);
#pragma omp parallel for num_threads(par__threads(m, n))
    for (int64_t i = 0; i < n; i++)
        memcpy(to + i * (int64_t)sizeof nan_bits, &nan_bits, sizeof nan_bits);
    if (bytes % sizeof nan_bits > 0)
        memcpy(to + n * (int64_t)sizeof nan_bits, &nan_bits,
               bytes % sizeof nan_bits);
}

/* What makes reading too early visible is no work of the operator under way. */
void par__poison_aside(par_model *m, void *at, size_t bytes)
{
    const par_operator op = par__charge(m, PAR_OP_CHECK);
    par__poison(m, at, bytes);
    par__charge(m, op);
}
