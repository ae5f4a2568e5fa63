/* ref/forward.c -- the whole pass, from ids (or hidden values) to logits.
 *
 * All memory of a pass is one arena, laid out by the very text that runs: with
 * `dry` the operators only take.  Layers use the same memory one after the
 * other.  OpenBLAS is held to one thread per call: the parallelism is ours,
 * over pieces that do not depend on the number of threads.
 */
#include "ref/ref_impl.h"

#include "core/base/clock.h"
#include "core/blas/blas.h"

#include <omp.h>
#include <string.h>

static bool sink_wants(const core_tap_sink *sink, core_tap tap)
{
    return sink->wants == NULL || sink->wants(sink->self, tap);
}

bool ref__wants(const ref__run *run, core_tap_kind kind, int layer)
{
    bool wants = false;
    for (int c = 0; run->sink != NULL && c < run->n_copy; c++)
        wants |= sink_wants(&run->sink[c], (core_tap){kind, layer});
    return wants;
}

bool ref__wants_bound(const ref__run *run, core_tap_kind kind, int layer)
{
    return run->bounds && ref__wants(run, kind, layer);
}

float *ref__bound_buffer(const ref__run *run, core_tap_kind kind, int layer)
{
    return ref__wants_bound(run, kind, layer) ? run->bound : NULL;
}

/* To each sink its copy's values or ints. */
static void deliver(const ref__run *run, core_tap tap, const double *values,
                    const int64_t *ints, const float *bound)
{
    const int64_t n = ref__tap_size(run, tap);
    for (int c = 0; run->sink != NULL && c < run->n_copy; c++)
        if (sink_wants(&run->sink[c], tap))
            run->sink[c].put(run->sink[c].self, tap,
                             values != NULL ? values + c * n : NULL,
                             ints != NULL ? ints + c * n : NULL, bound);
}

void ref__deliver(const ref__run *run, core_tap_kind kind, int layer,
                  const double *values, const float *bound)
{
    deliver(run, (core_tap){kind, layer}, values, NULL, bound);
}

void ref__put(const ref__run *run, core_tap_kind kind, int layer,
              double *values, const float *bound)
{
    const int64_t n =
        run->n_copy * ref__tap_size(run, (core_tap){kind, layer});
    if (values != NULL)
        ref__turn(run, kind, layer, 0, n, values);
    ref__deliver(run, kind, layer, values, bound);
    if (values != NULL)
        ref__force(run, kind, layer, 0, n, values);
}

void ref__put_ints(const ref__run *run, core_tap_kind kind, int layer,
                   const int64_t *ints)
{
    deliver(run, (core_tap){kind, layer}, NULL, ints, NULL);
}

void ref__put_transfer(const ref__run *run, core_tap_kind kind, int layer,
                       const double *values, int64_t n)
{
    float *bound = ref__bound_buffer(run, kind, layer);
    if (bound != NULL)
        memset(bound, 0, (size_t)n * sizeof *bound);
    ref__deliver(run, kind, layer, values, bound);
}

void ref__store(const ref__run *run, core_grid grid, double *x, int64_t n)
{
    ref__store_in(run, CORE_SLOT_OUT, grid, x, n);
}

void ref__store_in(const ref__run *run, core_slot slot, core_grid grid,
                   double *x, int64_t n)
{
    enum { STEP = 1 << 14 };
    const core_numerics numerics = core_numerics_of(run->numerics, slot);
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t i = 0; i < n; i += STEP)
        core_store(numerics, grid, x + i, i + STEP < n ? STEP : n - i);
}

static int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Columns of the widest token tap that somebody may want a bound of. */
static int64_t widest(const ref__run *run)
{
    int64_t n = 0;
    for (int l = 0; l < (int)run->spec->n_l; l++)
        for (int k = 0; k < CORE_N_TAP_KINDS; k++) {
            const core_tap tap = {(core_tap_kind)k, l};
            if (core_tap_exists(run->spec, tap) &&
                core_tap_row_kind(tap.kind) == CORE_ROWS_TOKEN &&
                (k != CORE_TAP_LOGITS || ref__wants_bound(run, k, 0)))
                n = max_i64(n, core_tap_cols(run->spec, tap));
        }
    return n;
}

/* The longest vector that a norm adds 1 to. */
static int64_t longest_norm(const ref__run *run)
{
    int64_t n = run->spec->n_d;
    for (int kind = 0; kind < core_spec_head_kinds(run->spec); kind++) {
        const core_heads heads = core_spec_heads_of(run->spec, kind);
        n = max_i64(n, heads.n_h * heads.n_dh);
    }
    return ref__is_plus_one(run) ? n : 0;
}

/* Columns of the widest sets of keys. */
static int64_t most_seen(const core_spec *spec)
{
    int64_t n = 0;
    for (int l = 0; l < (int)spec->n_l; l++) {
        const core_seen seen = core_spec_seen(spec, l);
        n = max_i64(n, seen.n_set * seen.n_key);
    }
    return n;
}

/* Most rows of a weight tile, and doubles of the largest that ref__tile_get may
 * read into scratch, with the longest vector, which is a tile of one row. */
typedef struct tile_sizes {
    int64_t n_row, n;
} tile_sizes;

static tile_sizes largest_tile(const ref_model *m)
{
    tile_sizes largest = {0, 0};
    for (int l = 0; l < (int)m->spec->n_l; l++)
        for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++) {
            const core_weight id = {(core_weight_kind)k, l, 0};
            if (!core_weight_exists(m->spec, id))
                continue;
            int64_t n_row, n_col;
            core_weight_shape(m->spec, id, &n_row, &n_col);
            const int64_t rows = min_i64(n_row, ref__max_tile_rows(m, n_col));
            largest.n_row = max_i64(largest.n_row, rows);
            largest.n = max_i64(largest.n, rows * ref__row_stride(n_col));
        }
    return largest;
}

/* Floats for any product of the pass: of a tile, or of an attention block. */
static void take_draw(ref__run *run)
{
    const core_spec *spec = run->spec;
    const int64_t rows = run->n * max_i64(1, spec->n_k);
    const int64_t chunk = run->model->row_chunk;
    int64_t n_k = run->batch->n_t;
    for (int l = 0; l < (int)spec->n_l; l++) /* digests beside the keys */
        if (core_spec_digest_run(spec, l) > 0)
            n_k = max_i64(n_k, run->batch->n_t +
                                   run->batch->n_t /
                                       core_spec_digest_run(spec, l));
    for (int kind = 0; kind < core_spec_head_kinds(spec); kind++)
        n_k = max_i64(n_k, core_spec_heads_of(spec, kind).n_dh);
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++) {
            const core_weight id = {(core_weight_kind)k, l, 0};
            int64_t n_row, n_col;
            if (!core_weight_exists(spec, id))
                continue;
            core_weight_shape(spec, id, &n_row, &n_col);
            n_k = n_row > 1 ? max_i64(n_k, n_col) : n_k;
        }
    run->draw_stride =
        ref__draw_floats(max_i64(REF__QUERY_BLOCK, min_i64(rows, chunk)), n_k);
    run->draw_scratch = core_arena_take(
        &run->arena, run->n_threads * run->draw_stride, sizeof(float));
}

/* The largest input of a product: of a token's, or the experts' of a group.
 * What goes into their down projection is rounded where it lies.             */
static int64_t operand_doubles(const ref__run *run)
{
    const core_spec *spec = run->spec;
    const int64_t n_choice = run->n * max_i64(1, spec->n_k);
    int64_t n_k = spec->n_d, n_in = 0;
    for (int l = 0; l < (int)spec->n_l; l++)
        for (int k = 0; k < CORE_N_WEIGHT_KINDS; k++) {
            const core_weight id = {(core_weight_kind)k, l, 0};
            int64_t n_row, n_col;
            if (!core_weight_exists(spec, id))
                continue;
            core_weight_shape(spec, id, &n_row, &n_col);
            if (core_weight_scope_of(id.kind) != CORE_SCOPE_EXPERT)
                n_k = max_i64(n_k, n_col);
            else if (id.kind == CORE_W_EXPERT_UP)
                n_in = max_i64(n_in, n_col);
        }
    return max_i64(run->n * n_k, n_choice * n_in);
}

/* Without a connection a part reads the stream itself. */
static void take_connection(ref__run *run)
{
    const core_spec *spec = run->spec;
    const ref__connection *connection = ref__connection_of(spec);
    core_arena *a = &run->arena;
    run->h = run->x;
    if (connection == NULL)
        return;
    run->h = core_arena_f64(a, run->n * spec->n_d);
    run->joint = core_arena_f64(a, run->n * connection->width(spec));
    run->look = core_arena_f64(a, 3 * spec->n_d);
    run->streams =
        core_arena_f64(a, run->n_threads * (core_spec_n_x(spec) + spec->n_d));
}

/* Rows of a table of rotations: one more where they are ahead of positions. */
static int64_t n_position(const ref__run *run)
{
    const ref_otherwise how = run->model->options.otherwise;
    return run->batch->n_t +
           (how == REF_ROTATIONS_FROM_ONE || how == REF_QUERIES_ONE_ON);
}

static void take_base(ref__run *run)
{
    const core_spec *spec = run->spec;
    const ref_model *m = run->model;
    core_arena *a = &run->arena;
    const int64_t n_d = run->n * spec->n_d;
    run->x = core_arena_f64(a, run->n * core_spec_n_x(spec));
    take_connection(run);
    run->xn = core_arena_f64(a, n_d);
    run->r = core_arena_f64(a, n_d);
    run->seen = core_arena_i64(a, run->n * most_seen(spec));
    run->norm_weight = core_arena_f64(a, longest_norm(run));
    for (int kind = 0; kind < core_spec_head_kinds(spec); kind++) {
        const core_heads h = core_spec_heads_of(spec, kind);
        const int64_t n_table = n_position(run) * (h.n_rot / 2);
        run->rope[kind].cos_tj = core_arena_f64(a, n_table);
        run->rope[kind].sin_tj = core_arena_f64(a, n_table);
        run->rope[kind].back_tj = core_arena_f64(a, spec->one_kv ? n_table : 0);
    }
    const tile_sizes largest = largest_tile(m);
    const int64_t n_choice = run->n * max_i64(1, spec->n_k);
    /* a gated expert reads two tiles at a time */
    run->tile_stride = m->storage == NULL ? 2 * largest.n : 0;
    run->tile_scratch = core_arena_f64(a, run->n_threads * run->tile_stride);
    run->out_stride = min_i64(m->row_chunk, n_choice) * largest.n_row;
    run->out_scratch = core_arena_f64(a, run->n_threads * run->out_stride);
    if (run->draw != NULL)
        take_draw(run);
    if (core_rounds_operands(run->numerics))
        run->operand = core_arena_f64(a, operand_doubles(run));
    for (int i = 0; run->quantises && i < 2; i++)
        run->room[i] = (ref__room){core_arena_f64(a, operand_doubles(run)),
                                   core_arena_f64(a, n_choice)};
    if (!run->bounds)
        return;
    run->bound = core_arena_take(a, run->n * widest(run), sizeof(float));
    run->row_norm = core_arena_f64(a, n_choice);
}

/* All streams of x begin as the embedding, [N, D] at the beginning of x: from
 * the last token on. */
static void spread(ref__run *run)
{
    const int64_t n_d = run->spec->n_d, n = core_spec_n_x(run->spec) / n_d;
    for (int64_t t = run->n - 1; t >= 0; t--)
        for (int64_t j = n - 1; j >= 0; j--)
            memmove(run->x + (t * n + j) * n_d, run->x + t * n_d,
                    (size_t)n_d * sizeof *run->x);
}

static void embed(ref__run *run)
{
    const int64_t n_d = run->spec->n_d;
    const double scale = run->spec->embed_scale;
    const core_weight id = {CORE_W_EMBED, 0, 0};
    const ref__connection *connection = ref__connection_of(run->spec);
    const ref__drawn drawn = ref__draw_operator(run, CORE_TAP_EMBED, 0);
    if (run->spec->n_h == 0) {
        memcpy(run->x, run->batch->hidden,
               (size_t)(run->n * n_d) * sizeof *run->x);
        ref__store_in(run, CORE_SLOT_RESIDUAL, CORE_GRID_ACT, run->x,
                      run->n * n_d);
        return;
    }
#pragma omp parallel for num_threads(run->n_threads)
    for (int64_t t = 0; t < run->n; t++) {
        const int64_t v = run->batch->ids[t];
        double *x = run->x + t * n_d;
        const double *w = ref__weight_rows(run->model, id, v, v + 1, x);
        if (w != x)
            memcpy(x, w, (size_t)n_d * sizeof *x);
        if (run->draw != NULL)
            ref__drawn_scale(&drawn, x, n_d, scale);
        for (int64_t d = 0; run->draw == NULL && scale != 1.0 && d < n_d; d++)
            x[d] *= scale;
    }
    ref__store_in(run, CORE_SLOT_RESIDUAL, CORE_GRID_ACT, run->x,
                  run->n * n_d);
    const ref__roundoff u = ref__u(run, CORE_TAP_EMBED);
    float *bound = ref__bound_buffer(run, CORE_TAP_EMBED, 0);
    if (bound != NULL && scale == 1.0)
        ref__bound_copy(u, bound, run->x, run->n * n_d);
    else if (bound != NULL)
        ref__bound_relative(u, bound, run->x, run->n * n_d, REF__ROUNDS_EMBED);
    ref__put(run, CORE_TAP_EMBED, 0, run->x, bound);
    if (connection != NULL)
        spread(run);
}

static void head(ref__run *run, bool dry)
{
    if (run->spec->n_h == 0)
        return;
    const ref__connection *connection = ref__connection_of(run->spec);
    const size_t mark = run->arena.used_bytes;
    double *logits = NULL;
    if (run->model->weights == NULL || /* measured without a sink: assume */
        ref__wants(run, CORE_TAP_LOGITS, 0))
        logits = core_arena_f64(&run->arena, run->n * run->spec->n_v);
    if (!dry) {
        if (connection != NULL)
            connection->collapse(run, 0, REF__HEAD);
        ref__norm_stream(run, CORE_W_FINAL_NORM, CORE_W_FINAL_NORM_BIAS, 0,
                         CORE_TAP_FINAL_NORM);
        const ref__rows y = ref__measure(run, run->xn, run->n, run->spec->n_d);
        ref__linear(run, &y, CORE_W_HEAD, 0, CORE_TAP_LOGITS, logits);
    }
    core_arena_rewind(&run->arena, mark);
}

/* Draws that are not eager have a wider table, not yet stored in the dtype. */
static core_numerics table_numerics(const ref__run *run)
{
    const ref_draw *draw = run->draw;
    return draw == NULL || draw->stated || ref__is_eager(draw) ? run->numerics
                                                               : CORE_FP64;
}

static void make_tables(ref__run *run)
{
    for (int kind = 0; kind < core_spec_head_kinds(run->spec); kind++) {
        const core_heads heads = core_spec_heads_of(run->spec, kind);
        core_rope_table(&heads, table_numerics(run), n_position(run),
                        run->rope[kind].cos_tj, run->rope[kind].sin_tj);
        const int64_t n_table = n_position(run) * (heads.n_rot / 2);
        for (int64_t i = 0; run->spec->one_kv && i < n_table; i++)
            run->rope[kind].back_tj[i] = -run->rope[kind].sin_tj[i];
    }
}

void ref__pass(ref__run *run, bool dry)
{
    const int n_l = (int)run->spec->n_l;
    const ref_options *options = &run->model->options;
    take_base(run);
    if (!dry && run->spec->n_h > 0)
        make_tables(run);
    if (!dry)
        embed(run);
    for (int l = 0; l < n_l; l++) {
        ref__layer(run, l, dry);
        if (!dry && run->share > 0.0 && options->progress != NULL)
            options->progress(options->progress_self,
                              run->before +
                                  run->share * (double)(l + 1) / (double)n_l);
    }
    head(run, dry);
}

ref__run ref__begin(ref_model *model, const core_batch *batch,
                    const core_groups *groups, const core_tap_sink *sink,
                    ref_stats *stats)
{
    return (ref__run){
        .model = model,
        .spec = model->spec,
        .batch = batch,
        .groups = groups,
        .n_copy = 1,
        .sink = sink,
        .stats = stats,
        .numerics = model->numerics,
        .u = ref__roundoff_of(model->numerics),
        .exact = model->numerics == CORE_EXACT,
        .quantises =
            model->weights != NULL && core_weights_quantises(model->weights),
        .bounds = model->options.bounds && core_has_bounds(model->numerics),
        .n_threads = model->options.n_threads,
        .share = 1.0,
        .n = batch->n_b * batch->n_t,
        .arena = core_arena_measure(),
    };
}

static core_status forward(ref_model *model, const core_batch *batch,
                           const core_groups *groups, const ref_dealt *dealt,
                           const core_tap_sink *sink, ref_stats *stats)
{
    const double wall = core_seconds(CLOCK_MONOTONIC);
    const double cpu = core_seconds(CLOCK_PROCESS_CPUTIME_ID);
    ref_stats result = {.exact = model->numerics == CORE_EXACT};
    ref__run run = ref__begin(model, batch, groups, sink, &result);
    run.dealt = dealt;
    ref__pass(&run, true);
    if (run.arena.peak_bytes > model->work.size_bytes) {
        core_arena_free(&model->work);
        CORE_TRY(core_arena_make(&run.arena));
    } else {
        run.arena = model->work;
    }
    const core_blas_threads before = core_blas_set_threads(1);
    ref__pass(&run, false);
    core_blas_restore_threads(before);
    core_arena_rewind(&run.arena, 0);
    model->work = run.arena;
    result.wall_seconds = core_seconds(CLOCK_MONOTONIC) - wall;
    result.cpu_seconds = core_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (stats != NULL)
        *stats = result;
    return CORE_OK;
}

core_status ref_forward(ref_model *model, const core_batch *batch,
                        const core_groups *groups, const core_tap_sink *sink,
                        ref_stats *stats)
{
    return forward(model, batch, groups, NULL, sink, stats);
}

core_status ref_forward_dealt(ref_model *model, const core_batch *batch,
                              const core_groups *groups, const ref_dealt *dealt,
                              const core_tap_sink *sink, ref_stats *stats)
{
    return forward(model, batch, groups, dealt, sink, stats);
}

static void put_nowhere(void *self, core_tap tap, const double *values,
                        const int64_t *ints, const float *bound)
{
    (void)self, (void)tap, (void)values, (void)ints, (void)bound;
}

size_t ref_pass_bytes(const core_spec *spec, core_numerics numerics,
                      int64_t n_b, int64_t n_t, const ref_pass_kind *kind)
{
    const core_tap_sink all = {.put = put_nowhere};
    const core_batch batch = {.n_b = n_b, .n_t = n_t};
    const ref_draw draw = {.stated = true};
    ref_model model = ref__model_init(spec);
    double resident;
    model.numerics = numerics;
    model.storage = kind->is_resident ? &resident : NULL;
    model.options.n_threads = kind->n_threads;
    model.options.bounds = !kind->is_drawn;
    ref__run run = ref__begin(&model, &batch, NULL, &all, NULL);
    run.draw = kind->is_drawn ? &draw : NULL;
    ref__pass(&run, true);
    return run.arena.peak_bytes;
}

size_t ref_workspace_bytes(const core_spec *spec, int64_t n_b, int64_t n_t)
{
    ref_model model = ref__model_init(spec);
    const core_batch batch = {.n_b = n_b, .n_t = n_t};
    ref__run run = {
        .model = &model,
        .spec = spec,
        .batch = &batch,
        .n_copy = 1,
        .n_threads = omp_get_num_procs(),
        .n = n_b * n_t,
        .arena = core_arena_measure(),
    };
    ref__pass(&run, true);
    return run.arena.peak_bytes;
}
