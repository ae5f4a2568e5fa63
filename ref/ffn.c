/* ref/ffn.c -- down(gated(gate x, up x)), or down(act(up x)).
 *
 * Experts and the dense MLP are the same network with other names.  Work
 * comes in groups of rows whose inner activations fit a budget; inside a group
 * a piece of rows belongs to one expert.  A task is a tile of inner columns of
 * one piece: gate tile, up tile, activation, while all are in the cache.  Then
 * the same over the tiles of the down projection.  Tap rows are scattered: row
 * i of a group is row out_row[i] of its tap.
 */
#include "ref/ref_impl.h"

#include <math.h>
#include <omp.h>
#include <string.h>

int64_t ref__group_rows(const ref_model *model, int64_t n_f, int64_t n_row)
{
    const int64_t chunk = model->row_chunk;
    int64_t n = model->group_doubles / n_f / chunk * chunk;
    n = n < chunk ? chunk : n;
    return n < n_row ? n : n_row;
}

static void take_tap(ref__run *run, ref__tapbuf *buf, core_tap_kind kind,
                     int layer, int64_t n)
{
    buf->v =
        ref__wants(run, kind, layer) ? core_arena_f64(&run->arena, n) : NULL;
    buf->bound = ref__wants_bound(run, kind, layer)
                     ? core_arena_take(&run->arena, n, sizeof(float))
                     : NULL;
    /* rows of dropped choices do not exist: zeros */
    if (buf->v != NULL)
        memset(buf->v, 0, (size_t)n * sizeof *buf->v);
    if (buf->bound != NULL)
        memset(buf->bound, 0, (size_t)n * sizeof *buf->bound);
}

void ref__ffn_take(ref__run *run, ref__ffn *ffn, int layer, int64_t n_row)
{
    ffn->group_rows = ref__group_rows(run->model, ffn->n_f, n_row);
    ffn->hidden = core_arena_f64(&run->arena, ffn->group_rows * ffn->n_f);
    if (run->spec->gated)
        take_tap(run, &ffn->gate, ffn->t_gate, layer, n_row * ffn->n_f);
    take_tap(run, &ffn->up, ffn->t_up, layer, n_row * ffn->n_f);
    take_tap(run, &ffn->act, ffn->t_act, layer, n_row * ffn->n_f);
}

void ref__ffn_put(const ref__run *run, const ref__ffn *ffn, int layer)
{
    if (run->spec->gated)
        ref__deliver(run, ffn->t_gate, layer, ffn->gate.v, ffn->gate.bound);
    ref__deliver(run, ffn->t_up, layer, ffn->up.v, ffn->up.bound);
    ref__deliver(run, ffn->t_act, layer, ffn->act.v, ffn->act.bound);
    ref__put(run, ffn->t_out, layer, ffn->out.v, ffn->out.bound);
}

/* A group of rows on its way through the network. */
typedef struct group {
    const ref__ffn *ffn;
    int layer;
    const int64_t *out_row;
    ref__rows of_gate, of_up, of_down; /* what each product reads, measured   */
} group;

/* A tile's output while it is in the cache. */
typedef struct patch {
    int64_t row, n_row, col, n_col; /* where, in the group                    */
    const double *v;
    int64_t ld;
} patch;

/* Copy a patch to the rows of a tap. */
static void scatter(double *tap, int64_t ld_tap, const patch *p,
                    const int64_t *out_row)
{
    if (tap == NULL)
        return;
    for (int64_t i = 0; i < p->n_row; i++)
        memcpy(tap + out_row[p->row + i] * ld_tap + p->col, p->v + i * p->ld,
               (size_t)p->n_col * sizeof *tap);
}

/* Bounds of a patch that is a product of measured rows. */
static void scatter_bound(const ref__run *run, float *bound, int64_t ld,
                          const patch *p, const group *g, const ref__rows *in,
                          const ref__tile *tile)
{
    for (int64_t i = 0; bound != NULL && i < p->n_row; i++)
        ref__bound_product(run->u, bound + g->out_row[p->row + i] * ld + p->col,
                           ld, p->v + i * p->ld, p->ld, 1, p->n_col, tile->n_k,
                           in->norm + p->row + i, tile->norm,
                           tile->has_bias ? tile->bias : NULL);
}

/* a [n] = core_gated of a row, or act(up); gate NULL if the network is not
 * gated.                                                                     */
static void activate_row(core_gating gating, const double *gate,
                         const double *up, double *a, int64_t n)
{
    if (gate != NULL)
        core_gated_row(gating, gate, up, a, n);
    else
        core_act_apply_row(gating.act, up, a, n);
}

static void bound_row(const ref__run *run, core_gating gating, float *bound,
                      const double *gate, const double *up, const double *a,
                      int64_t n)
{
    const core_act act = gating.act;
    if (gating.most > 0.0)
        ref__bound_limited(run->u, bound, gate, up, a, n, gating);
    else if (act == CORE_ACT_SITU)
        ref__bound_relative(run->u, bound, a, n, REF__ROUNDS_SITU);
    else if (core_act_is_clamped(act))
        ref__bound_clamped(run->u, bound, gate, up, a, n, gating);
    else if (act == CORE_ACT_RELU2)
        ref__bound_relative(run->u, bound, a, n, REF__ROUNDS_PRODUCT);
    else
        ref__bound_act(run->u, bound, gate, up, a, n, act);
}

/* A tile's part of a tap, delivered; the inner activations are used from the
 * tile, so it is here that a drawn pass turns and forces them.               */
static void put_patch(const ref__run *run, const group *g, core_tap_kind kind,
                      double *tap, double *v, const patch *p)
{
    for (int64_t i = 0; run->draw != NULL && i < p->n_row; i++)
        ref__turn(run, kind, g->layer,
                  g->out_row[p->row + i] * g->ffn->n_f + p->col, p->n_col,
                  v + i * p->ld);
    scatter(tap, g->ffn->n_f, p, g->out_row);
    for (int64_t i = 0; run->draw != NULL && i < p->n_row; i++)
        ref__force(run, kind, g->layer,
                   g->out_row[p->row + i] * g->ffn->n_f + p->col, p->n_col,
                   v + i * p->ld);
}

/* up := the activations of a patch. */
static void activate(const ref__run *run, const group *g, const double *gate,
                     double *up, const patch *p)
{
    const ref__ffn *ffn = g->ffn;
    const ref__drawn drawn = ref__draw_operator(run, ffn->t_act, g->layer);
    const core_gating gating = core_spec_gating_in(
        run->spec, g->layer, ffn->t_act == CORE_TAP_EXPERT_ACT);
    for (int64_t i = 0; i < p->n_row; i++) {
        double *u = up + i * p->ld, a[REF__MAX_TILE];
        const double *z = gate != NULL ? gate + i * p->n_col : NULL;
        if (run->draw != NULL)
            ref__drawn_activate(&drawn, gating, z, u, a, p->n_col);
        else
            activate_row(gating, z, u, a, p->n_col);
        core_store(run->numerics, CORE_GRID_ACT, a, p->n_col);
        if (ffn->act.bound != NULL)
            bound_row(run, gating,
                      ffn->act.bound + g->out_row[p->row + i] * ffn->n_f +
                          p->col,
                      z, u, a, p->n_col);
        memcpy(u, a, (size_t)p->n_col * sizeof *a);
    }
    put_patch(run, g, ffn->t_act, ffn->act.v, up, p);
}

typedef struct hidden_bits {
    double gate, up;
} hidden_bits;

/* Inner columns [c0, c1) of one piece. */
static hidden_bits hidden_tile(const ref__run *run, const group *g,
                               const ref__piece *piece, int64_t c0, int64_t c1)
{
    const ref__ffn *ffn = g->ffn;
    const int64_t n_d = ffn->n_d, n_f = ffn->n_f;
    const int64_t thread = omp_get_thread_num();
    double *w = run->tile_scratch + thread * run->tile_stride;
    double *z =
        run->spec->gated ? run->out_scratch + thread * run->out_stride : NULL;
    const int64_t chunk = run->model->row_chunk;
    ref__tile gate = {0}, up;
    if (z != NULL) {
        ref__tile_get(run, &gate,
                      (core_weight){ffn->w_gate, g->layer, piece->expert}, c0,
                      c1, ffn->gate.bound != NULL, w);
        w += run->tile_stride / 2;
    }
    ref__tile_get(run, &up, (core_weight){ffn->w_up, g->layer, piece->expert},
                  c0, c1, ffn->up.bound != NULL, w);
    for (int64_t i = 0; i < piece->n; i += chunk) {
        const int64_t row = piece->first + i;
        const int64_t n = i + chunk < piece->n ? chunk : piece->n - i;
        double *u = ffn->hidden + row * n_f + c0;
        if (z != NULL) {
            ref__tile_apply(run, &gate, g->of_gate.v + row * n_d, n, z,
                            c1 - c0);
            const patch p = {row, n, c0, c1 - c0, z, c1 - c0};
            scatter_bound(run, ffn->gate.bound, n_f, &p, g, &g->of_gate, &gate);
            put_patch(run, g, ffn->t_gate, ffn->gate.v, z, &p);
        }
        ref__tile_apply(run, &up, g->of_up.v + row * n_d, n, u, n_f);
        const patch p = {row, n, c0, c1 - c0, u, n_f};
        scatter_bound(run, ffn->up.bound, n_f, &p, g, &g->of_up, &up);
        put_patch(run, g, ffn->t_up, ffn->up.v, u, &p);
        activate(run, g, z, u, &p);
    }
    return (hidden_bits){
        z != NULL ? ref__tile_bits(run, &gate, g->of_gate.max_norm) : 0.0,
        ref__tile_bits(run, &up, g->of_up.max_norm)};
}

/* Output columns [c0, c1) of one piece. */
static double down_tile(const ref__run *run, const group *g,
                        const ref__piece *piece, int64_t c0, int64_t c1)
{
    const ref__ffn *ffn = g->ffn;
    const int64_t n_d = ffn->n_d, n_f = ffn->n_f;
    const int64_t thread = omp_get_thread_num();
    const int64_t chunk = run->model->row_chunk;
    double *y = run->out_scratch + thread * run->out_stride;
    ref__tile down;
    ref__tile_get(
        run, &down, (core_weight){ffn->w_down, g->layer, piece->expert}, c0, c1,
        ffn->out.bound != NULL, run->tile_scratch + thread * run->tile_stride);
    for (int64_t i = 0; i < piece->n; i += chunk) {
        const int64_t row = piece->first + i;
        const int64_t n = i + chunk < piece->n ? chunk : piece->n - i;
        ref__tile_apply(run, &down, g->of_down.v + row * n_f, n, y, c1 - c0);
        const patch p = {row, n, c0, c1 - c0, y, c1 - c0};
        scatter(ffn->out.v, n_d, &p, g->out_row);
        scatter_bound(run, ffn->out.bound, n_d, &p, g, &g->of_down, &down);
    }
    return ref__tile_bits(run, &down, g->of_down.max_norm);
}

static void hidden_layer(ref__run *run, const group *g, const ref__piece *piece,
                         int64_t n_piece)
{
    const int64_t n_f = g->ffn->n_f;
    const int64_t cols = ref__tile_rows(run->model, n_f, g->ffn->n_d);
    const int64_t n_tile = (n_f + cols - 1) / cols;
    double gate = 0.0, up = 0.0;
#pragma omp parallel for schedule(dynamic) num_threads(run->n_threads)         \
    reduction(max                                                              \
              : gate, up)
    for (int64_t task = 0; task < n_piece * n_tile; task++) {
        const int64_t c0 = task % n_tile * cols;
        const int64_t c1 = c0 + cols < n_f ? c0 + cols : n_f;
        const hidden_bits bits =
            hidden_tile(run, g, &piece[task / n_tile], c0, c1);
        gate = fmax(gate, bits.gate);
        up = fmax(up, bits.up);
    }
    if (run->exact && run->spec->gated)
        ref__record_bits(run, g->ffn->t_gate, g->layer, gate);
    if (run->exact)
        ref__record_bits(run, g->ffn->t_up, g->layer, up);
}

static void down_layer(ref__run *run, const group *g, const ref__piece *piece,
                       int64_t n_piece)
{
    const int64_t n_d = g->ffn->n_d;
    const int64_t cols = ref__tile_rows(run->model, n_d, g->ffn->n_f);
    const int64_t n_tile = (n_d + cols - 1) / cols;
    double bits = 0.0;
#pragma omp parallel for schedule(dynamic) num_threads(run->n_threads)         \
    reduction(max                                                              \
              : bits)
    for (int64_t task = 0; task < n_piece * n_tile; task++) {
        const int64_t c0 = task % n_tile * cols;
        const int64_t c1 = c0 + cols < n_d ? c0 + cols : n_d;
        bits = fmax(bits, down_tile(run, g, &piece[task / n_tile], c0, c1));
    }
    if (run->exact)
        ref__record_bits(run, g->ffn->t_out, g->layer, bits);
}

void ref__ffn_group(ref__run *run, const ref__ffn *ffn, int layer,
                    const double *x, const int64_t *out_row,
                    const ref__piece *piece, int64_t n_piece)
{
    const int64_t n_d = ffn->n_d;
    int64_t n_row = 0;
    for (int64_t i = 0; i < n_piece; i++)
        n_row += piece[i].n;
    const ref__rows in = ref__measure(run, x, n_row, n_d);
    group g = {.ffn = ffn, .layer = layer, .out_row = out_row};
    if (run->spec->gated)
        g.of_gate = ref__read_by(run, &in, ffn->w_gate, layer, piece, n_piece,
                                 &run->room[0]);
    g.of_up = ref__read_by(run, &in, ffn->w_up, layer, piece, n_piece,
                           &run->room[1]);
    hidden_layer(run, &g, piece, n_piece);
    ref__reread(run, CORE_SLOT_ACT, ffn->hidden, n_row, ffn->n_f);
    for (int64_t i = 0; run->quantises && i < n_piece; i++)
        ref__quantise(run, (core_weight){ffn->w_down, layer, piece[i].expert},
                      ffn->hidden + piece[i].first * ffn->n_f, piece[i].n,
                      ffn->n_f);
    g.of_down =
        ref__measure_in(run, ffn->hidden, n_row, ffn->n_f, run->row_norm);
    down_layer(run, &g, piece, n_piece);
    const double n_products = run->spec->gated ? 3.0 : 2.0;
    run->stats->gemm_flops +=
        2.0 * n_products * (double)n_row * (double)n_d * (double)ffn->n_f;
}
