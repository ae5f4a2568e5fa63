/* ref/draw.c -- a pass as an honest implementation may have rounded it.
 *
 * The reference sums in double and rounds where a tap is stored; engines sum
 * floats, in an order of their own.  A drawn pass does as they do: its products
 * are sgemm over blocks of K, added up in a drawn order, its other sums are
 * floats in a drawn number of lanes (draw_rows.c).  Draws come in styles, by
 * the number of the run, because an engine is of a kind and not of another for
 * every operator: `eager` ones store every intermediate result in the dtype,
 * as frameworks do that call an operator at a time, the others only what is a
 * tap; `split` ones store two halves of what a tensor-parallel group sums. Ones
 * that are neither would, where storing is coarser than computing, repeat the
 * reference bit for bit; but an engine may round somewhere that no style knows,
 * so a quarter of what they store is turned by a unit: what a rounding half a
 * unit off, elsewhere, does to a value at random.  A `stated` draw has no
 * style: it stores where the reference does, and the first of them adds one
 * term after the other. What is drawn is a function of (seed, run, operator):
 * no thread count and no tile changes it.  Trap: discrete choices are taken
 * over from the honest pass, because one other expert would hide everything
 * else.
 */
#include "ref/ref_impl.h"

#include "core/base/wide.h"
#include "core/numbers/rng.h"

#include <cblas.h>
#include <inttypes.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>

enum {
    STRIP = 256,     /* outputs of one sgemm                                  */
    MAX_BLOCKS = 3,  /* of K                                                  */
    MIN_BLOCK = 24,  /* terms of a block, about                               */
    LANE_CHOICES = 7 /* 1, 2, .. 64                                           */
};

/* --- what is drawn --- */

uint64_t ref__draw_stream(const ref_draw *draw)
{
    char text[40];
    snprintf(text, sizeof text, "draw.%" PRIu64, draw->run);
    return core_rng_stream(text);
}

/* The stream of what is drawn for a tap: by its name, so that it is the same
 * whatever other taps there are.                                             */
static uint64_t stream_of(const ref__run *run, core_tap_kind kind, int layer)
{
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    return (run->draw_stream ^ core_rng_stream(core_tap_pattern(kind))) +
           odd * (uint64_t)layer;
}

static ref__drawn draw_nothing(const ref__run *run, core_slot slot)
{
    return (ref__drawn){.numerics = core_numerics_of(run->numerics, slot)};
}

static ref__drawn draw(const ref__run *run, core_slot slot, uint64_t stream,
                       uint64_t index)
{
    const core_numerics numerics = core_numerics_of(run->numerics, slot);
    const core_rng_block block = core_rng(run->draw->seed, stream, index);
    const bool in_one_piece = run->draw->stated && run->draw->run == 0;
    return (ref__drawn){
        .numerics = numerics,
        .type = core_numerics_at(numerics, CORE_SLOT_OUT),
        .eager = ref__is_eager(run->draw),
        .stated = run->draw->stated,
        .n_lane = in_one_piece ? 1 : 1 << block.word[0] % LANE_CHOICES,
        .n_block = in_one_piece ? 1 : 1 + (int)(block.word[1] % MAX_BLOCKS),
        .first = (int)(block.word[2] % MAX_BLOCKS),
        .cut = (double)(block.word[2] >> 8) * 0x1p-24,
        .descending = block.word[3] % 2 != 0,
    };
}

ref__drawn ref__draw_operator(const ref__run *run, core_tap_kind kind,
                              int layer)
{
    const core_slot slot = core_tap_slot(kind);
    return run->draw != NULL ? draw(run, slot, stream_of(run, kind, layer), 0)
                             : draw_nothing(run, slot);
}

static bool is_row_parallel(core_weight_kind kind)
{
#define IS_IT(w) kind == CORE_W_##w ||
    return CORE_ROW_PARALLEL_LIST(IS_IT) false;
#undef IS_IT
}

ref__drawn ref__draw_product(const ref__run *run, core_weight id)
{
    const core_slot slot = core_weight_slot(id.kind) == CORE_SLOT_ROUTER
                               ? CORE_SLOT_ROUTER
                               : CORE_SLOT_OUT;
    if (run->draw == NULL)
        return draw_nothing(run, slot);
    ref__drawn d = draw(run, slot, run->draw_stream,
                        (uint64_t)core_weight_index(run->spec, id));
    d.split =
        !d.stated && run->draw->run / 2 % 2 != 0 && is_row_parallel(id.kind);
    return d;
}

/* --- turned units --- */

/* No rounding in it: what only moves values, and a vector that is looked up. */
static bool is_copy(const core_spec *spec, core_tap_kind kind)
{
    return kind == CORE_TAP_IN || kind == CORE_TAP_BACK ||
           (kind == CORE_TAP_RECV && !spec->weigh_input) ||
           (kind == CORE_TAP_EMBED && spec->embed_scale == 1.0);
}

/* The next number of the dtype, away from 0 or towards it. */
static double neighbour(core_numerics numerics, double y, bool away)
{
    const double u = core_store_roundoff(numerics);
    double z = y * (away ? 1.0 + 1.5 * u : 1.0 - 1.5 * u);
    core_store(numerics, CORE_GRID_ACT, &z, 1);
    return z;
}

bool ref_turns(core_numerics numerics, const ref_draw *draw)
{
    return !draw->stated && draw->run % 4 == 0 &&
           core_coarsest_roundoff(numerics) > 0x1p-24;
}

/* The part of a tap's elements [first, first + n) that lies in one copy of the
 * batch, counted in it.                                                      */
typedef struct part {
    int64_t copy, first, n;
} part;

static part first_part(const ref__run *run, core_tap tap, int64_t first,
                       int64_t n)
{
    const int64_t size = ref__tap_size(run, tap);
    const int64_t copy = first / size, left = (copy + 1) * size - first;
    return (part){copy, first % size, n < left ? n : left};
}

/* To the next number of the dtype, away from 0 or towards it, or nowhere. */
static void turn(const ref__run *run, core_tap tap, int64_t first, int64_t n,
                 double u, double *y)
{
    enum { BITS = 3, IN_WORD = 10, IN_BLOCK = 4 * IN_WORD };
    const double by[1 << BITS] = {1.0 + 1.5 * u, 1.0 - 1.5 * u, 1.0, 1.0,
                                  1.0,           1.0,           1.0, 1.0};
    const uint64_t stream = stream_of(run, tap.kind, tap.layer);
    core_rng_block block = {{0}};
    for (int64_t i = 0; i < n; i++) {
        const int64_t place = (first + i) % IN_BLOCK;
        if (i == 0 || place == 0)
            block = core_rng(run->draw->seed, stream,
                             1 + (uint64_t)((first + i) / IN_BLOCK));
        y[i] *= by[block.word[place / IN_WORD] >> (BITS * (place % IN_WORD)) &
                   ((1 << BITS) - 1)];
    }
}

void ref__turn(const ref__run *run, core_tap_kind kind, int layer,
               int64_t first, int64_t n, double *y)
{
    const core_tap tap = {kind, layer};
    const core_numerics numerics = core_tap_numerics(run->numerics, kind);
    const double u = core_store_roundoff(numerics);
    if (run->draw == NULL || !ref_turns(run->numerics, run->draw) ||
        u <= 0x1p-24 || is_copy(run->spec, kind))
        return;
    for (int64_t i = 0; i < n;) {
        const part p = first_part(run, tap, first + i, n - i);
        turn(run, tap, p.first, p.n, u, y + i);
        i += p.n;
    }
    core_store(numerics, CORE_GRID_ACT, y, n);
}

/* Where the largest magnitude of a row stands. */
static int64_t largest_at(const double *row, int64_t n)
{
    int64_t largest = 0;
    for (int64_t k = 1; k < n; k++)
        largest = fabs(row[k]) > fabs(row[largest]) ? k : largest;
    return largest;
}

/* An operand that is rounded as it is read shows at no tap, and lies close to a
 * tie so seldom that few draws meet it; but one that is rounded the other way
 * is off by its whole unit.  So the largest of each row is turned, up and down
 * in turn.                                                                   */
void ref__turn_operand(const ref__run *run, core_slot slot, double *x,
                       int64_t n_row, int64_t n_k)
{
    const core_numerics numerics = core_numerics_of(run->numerics, slot);
    if (run->draw == NULL || !ref_turns(run->numerics, run->draw))
        return;
    for (int64_t i = 0; i < n_row; i++) {
        double *row = x + i * n_k;
        const int64_t largest = largest_at(row, n_k);
        const bool away = ((uint64_t)i + run->draw->run / 4) % 2 == 0;
        row[largest] = neighbour(numerics, row[largest], away);
    }
}

/* --- forcing --- */

bool ref_is_forced(ref_forcing forcing, core_tap_kind kind)
{
    switch (forcing) {
    case REF_FREE:
        return false;
    case REF_LAYER:
        return kind == CORE_TAP_EMBED || kind == CORE_TAP_OUT;
    case REF_BLOCK:
        return kind == CORE_TAP_EMBED || kind == CORE_TAP_OUT ||
               kind == CORE_TAP_ATTN_NORM || kind == CORE_TAP_FFN_NORM ||
               kind == CORE_TAP_FINAL_NORM;
    case REF_TAP:
        break;
    }
    return core_tap_grid(kind) != CORE_GRID_INT;
}

void ref__force(const ref__run *run, core_tap_kind kind, int layer,
                int64_t first, int64_t n, double *values)
{
    const core_tap tap = {kind, layer};
    for (int64_t i = 0; run->draw != NULL && i < n;) {
        const part p = first_part(run, tap, first + i, n - i);
        const ref_draw *draw = &run->draw[p.copy];
        if (ref_is_forced(draw->forcing, kind))
            draw->values(draw->self, tap, p.first, p.n, values + i);
        i += p.n;
    }
}

bool ref__forced_ints(const ref__run *run, core_tap_kind kind, int layer,
                      int64_t *out)
{
    const core_tap tap = {kind, layer};
    const int64_t n = ref__tap_size(run, tap);
    for (int c = 0; run->draw != NULL && c < run->n_copy; c++) {
        const ref_draw *draw = &run->draw[c];
        const int64_t *ints = draw->routing(draw->self, tap);
        core_assert(ints != NULL || run->n_copy == 1);
        if (ints == NULL)
            return false;
        memcpy(out + c * n, ints, (size_t)n * sizeof *out);
    }
    return run->draw != NULL;
}

/* --- products --- */

/* Room for the floats of one product of at most n_row x n_k by n_k. */
int64_t ref__draw_floats(int64_t n_row, int64_t n_k)
{
    return n_row * n_k + STRIP * n_k + 2 * n_row * STRIP;
}

CORE_WIDE static void to_floats(float *y, int64_t ld_y, const double *x,
                                int64_t ld_x, int64_t n_row, int64_t n_col)
{
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t j = 0; j < n_col; j++)
            y[i * ld_y + j] = (float)x[i * ld_x + j];
}

CORE_WIDE static void to_doubles(double *y, int64_t ld_y, const float *x,
                                 int64_t n_row, int64_t n)
{
    for (int64_t i = 0; i < n_row; i++)
        for (int64_t j = 0; j < n; j++)
            y[i * ld_y + j] = (double)x[i * n + j];
}

void ref__to_floats_transposed(float *y, int64_t ld_y, const double *x,
                               int64_t ld_x, int64_t n_row, int64_t n_col)
{
    enum { STEP = 16 }; /* floats of a line of the cache                      */
    for (int64_t i0 = 0; i0 < n_row; i0 += STEP) {
        const int64_t n = i0 + STEP < n_row ? STEP : n_row - i0;
        for (int64_t j = 0; j < n_col; j++)
            for (int64_t i = i0; i < i0 + n; i++)
                y[j * ld_y + i] = (float)x[i * ld_x + j];
    }
}

/* A product of floats, and its operands: y [n_row, n] = x w. */
typedef struct floats {
    const float *x; /* [n_row, n_k]                                           */
    const float *w; /* [n_k, n]: so sgemm takes few rows without packing it   */
    int64_t ld_w;
    int64_t n_row, n, n_k;
} floats;

/* Where block b of n_block begins: all but the first are moved by the same
 * drawn part of a block.                                                     */
static int64_t first_term(const ref__drawn *d, int64_t n_k, int64_t b,
                          int64_t n_block)
{
    const double moved = b > 0 && b < n_block ? d->cut - 0.5 : 0.0;
    return (int64_t)((double)n_k * ((double)b + moved) / (double)n_block);
}

/* y = the terms [k0, k1) of it, block by block. */
static void sum_blocks(const ref__drawn *d, const floats *p, int64_t k0,
                       int64_t k1, float *y)
{
    const int64_t n_k = k1 - k0, most = (n_k + MIN_BLOCK - 1) / MIN_BLOCK;
    const int64_t n_block = d->n_block < most ? d->n_block : most;
    bool begun = false;
    for (int64_t i = 0; i < n_block; i++) {
        const int64_t turn = (d->first + i) % n_block;
        const int64_t b = d->descending ? n_block - 1 - turn : turn;
        const int64_t from = k0 + first_term(d, n_k, b, n_block);
        const int64_t to = k0 + first_term(d, n_k, b + 1, n_block);
        if (to == from)
            continue;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans,
                    (blasint)p->n_row, (blasint)p->n, (blasint)(to - from),
                    1.0f, p->x + from, (blasint)p->n_k, p->w + from * p->ld_w,
                    (blasint)p->ld_w, begun ? 1.0f : 0.0f, y, (blasint)p->n);
        begun = true;
    }
}

/* y = both halves of the sum, each stored in the dtype. */
static void sum_halves(const ref__drawn *d, const floats *p, float *y,
                       float *other)
{
    sum_blocks(d, p, 0, p->n_k / 2, y);
    sum_blocks(d, p, p->n_k / 2, p->n_k, other);
    for (int64_t i = 0; i < p->n_row * p->n; i++)
        y[i] = ref__stored(d, y[i]) + ref__stored(d, other[i]);
}

void ref__drawn_product(const ref__run *run, const ref__drawn *d,
                        const ref__factors *f, double *y, int64_t ld_y)
{
    float *x = run->draw_scratch + omp_get_thread_num() * run->draw_stride;
    float *w = x + f->n_row * f->n_k, *out = w + STRIP * f->n_k;
    float *other = out + f->n_row * STRIP;
    core_assert(other + f->n_row * STRIP - x <= run->draw_stride);
    to_floats(x, f->n_k, f->x, f->ld_x, f->n_row, f->n_k);
    for (int64_t j = 0; j < f->n; j += STRIP) {
        const int64_t n = j + STRIP < f->n ? STRIP : f->n - j;
        floats p = {x, w, n, f->n_row, n, f->n_k};
        if (f->floats != NULL) {
            p.w = f->floats + j;
            p.ld_w = f->ld_floats;
        } else if (f->transposed) {
            ref__to_floats_transposed(w, n, f->w + j * f->ld_w, f->ld_w, n,
                                      f->n_k);
        } else {
            to_floats(w, n, f->w + j, f->ld_w, f->n_k, n);
        }
        if (d->split && f->n_k > 1)
            sum_halves(d, &p, out, other);
        else
            sum_blocks(d, &p, 0, f->n_k, out);
        to_doubles(y + j, ld_y, out, f->n_row, n);
    }
}
