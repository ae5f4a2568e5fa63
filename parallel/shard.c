/* parallel/shard.c -- the rectangles of the weights that a rank owns.
 *
 * A shard is read straight from the weights as a function of (tensor, row
 * range, column range): nothing larger than one tile of it exists beside it.
 * Doubles in exact and fp64 numerics, floats in fp32 and bf16, where products
 * run in sgemm. Everything is carved from one arena, twice: first only
 * counting.
 */
#include "parallel/forward_impl.h"

#include <string.h>

static bool is_measuring(const par_model *m)
{
    return m->shards.base == NULL;
}

static double *read_f64(par_model *m, core_weight id, int64_t r0, int64_t r1,
                       int64_t c0, int64_t c1)
{
    double *w = core_arena_f64(&m->shards, (r1 - r0) * (c1 - c0));
    if (!is_measuring(m) && r1 > r0 && c1 > c0)
        core_weights_read(m->weights, id, r0, r1, c0, c1, w, c1 - c0);
    return w;
}

/* Floats are converted a tile of rows at a time. */
static void read_f32(par_model *m, const par_shard *s, float *out)
{
    const int64_t step = par__rows_at_a_time(PAR_TILE_ELEMENTS, s->n_col);
    for (int64_t r = 0; r < s->n_row; r += step) {
        const int64_t end = r + step < s->n_row ? r + step : s->n_row;
        const int64_t n = (end - r) * s->n_col;
        core_weights_read(m->weights, s->id, s->r0 + r, s->r0 + end, s->c0,
                          s->c0 + s->n_col, m->tile64, s->n_col);
        for (int64_t i = 0; i < n; i++)
            out[r * s->n_col + i] = (float)m->tile64[i];
    }
}

/* Remember the first shard that begins inside a block. */
static void note_cut(par_model *m, core_weight id, int64_t r0, int64_t c0)
{
    if (m->weights == NULL || m->cut.block > 0)
        return;
    const core_block block = core_weights_block(m->weights, id);
    const core_operand_format *of_operand = core_weights_operand(m->weights, id);
    const int64_t group = of_operand != NULL ? of_operand->group : 0;
    if (r0 % block.rows != 0)
        m->cut = (par_cut){id, "row", r0, block.rows, false};
    else if (c0 % block.cols != 0)
        m->cut = (par_cut){id, "column", c0, block.cols, false};
    else if (group > 0 && c0 % group != 0)
        m->cut = (par_cut){id, "column", c0, group, true};
}

par_shard par__shard_make(par_model *m, core_weight id, int64_t r0, int64_t r1,
                          int64_t c0, int64_t c1, int n_part)
{
    const bool is_kept = core_weight_scope_of(id.kind) == CORE_SCOPE_EXPERT
                             ? m->keeps.experts
                             : m->keeps.dense;

    int64_t n_row, n_col;
    core_weight_shape(m->spec, id, &n_row, &n_col);
    r1 = r1 == PAR_END ? n_row : r1;
    c1 = c1 == PAR_END ? n_col : c1;
    par_shard s = {.id = id,
                   .r0 = r0,
                   .c0 = c0,
                   .n_row = r1 - r0,
                   .n_col = c1 - c0,
                   .n_part = n_part};
    const int64_t n = s.n_row * s.n_col;
    if (n > 0)
        note_cut(m, id, r0, c0);
    const core_weight bias = {core_weight_bias(id.kind), id.layer, id.expert};
    if (bias.kind != CORE_W_NONE && core_weight_exists(m->spec, bias))
        s.bias = read_f64(m, bias, 0, 1, r0, r1);
    if (!is_kept || n == 0)
        return s;
    if (core_uses_floats(m->numerics)) {
        float *w = core_arena_take(&m->shards, n, sizeof *w);
        if (!is_measuring(m))
            read_f32(m, &s, w);
        s.w32 = w;
        return s;
    }
    s.w64 = read_f64(m, id, r0, r1, c0, c1);
    if (!is_measuring(m) && m->numerics == CORE_EXACT)
        s.norm = core_max_row_norm(s.w64, s.n_row, s.n_col, s.n_col);
    return s;
}

par_shard par__rows(par_model *m, core_weight_kind kind, int l, int64_t r0,
                    int64_t r1)
{
    const core_weight id = {.kind = kind, .layer = l};
    return par__shard_make(m, id, r0, r1, 0, PAR_END, 1);
}

par_shard par__columns(par_model *m, core_weight_kind kind, int l, int64_t c0,
                       int64_t c1)
{
    const core_weight id = {.kind = kind, .layer = l};
    return par__shard_make(m, id, 0, PAR_END, c0, c1, m->layout->plan.tp);
}

/* Elements [c0, *c1) of a vector, with *c1 no more PAR_END. */
static double *vector(par_model *m, core_weight_kind kind, int l, int64_t c0,
                      int64_t *c1)
{
    const core_weight id = {.kind = kind, .layer = l};
    int64_t n_row, n_col;
    if (!core_weight_exists(m->spec, id))
        return NULL;
    core_weight_shape(m->spec, id, &n_row, &n_col);
    *c1 = *c1 == PAR_END ? n_col : *c1;
    return read_f64(m, id, 0, 1, c0, *c1);
}

const double *par__vector(par_model *m, core_weight_kind kind, int l,
                          int64_t c0, int64_t c1)
{
    return vector(m, kind, l, c0, &c1);
}

const double *par__norm_weight(par_model *m, core_weight_kind kind, int l,
                               int64_t c0, int64_t c1)
{
    double *w = vector(m, kind, l, c0, &c1);
    if (w != NULL && m->spec->norm == CORE_NORM_RMS_PLUS_ONE)
        for (int64_t i = 0; i < c1 - c0; i++)
            w[i] += 1.0;
    return w;
}

const double *par__doubles(par_model *m, core_weight_kind kind, int l,
                           int64_t r0, int64_t r1)
{
    const core_weight id = {.kind = kind, .layer = l};
    int64_t n_row, n_col;
    core_weight_shape(m->spec, id, &n_row, &n_col);
    return read_f64(m, id, r0, r1, 0, n_col);
}

void *par__keep(core_arena *arena, const void *from, size_t bytes)
{
    void *to = core_arena_take(arena, 1, bytes);
    if (to != NULL)
        memcpy(to, from, bytes);
    return to;
}
