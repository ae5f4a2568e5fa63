/* core/weights/checkpoint_view.c -- a weight of ours as a pattern in a file
 * tensor.
 *
 * Whatever a family does with its matrices (all experts in one tensor, gate and
 * up interleaved, in halves, transposed), an element of ours is found by two
 * steps and an offset.  Codes with scales have the same pattern over their
 * values (stored.c).
 */
#include "core/weights/checkpoint_impl.h"

#include <math.h>
#include <string.h>

enum { SCAN_TILE = 64, SCAN_CHUNK = SCAN_TILE * SCAN_TILE };

core__pattern core__pattern_of(core_layout layout, const int64_t shape[2],
                               int64_t e, int64_t n_e)
{
    const int64_t r = shape[0], c = shape[1];
    const int64_t n = r * c;
    switch (layout) {
    case CORE_LAYOUT_NONE:
    case CORE_LAYOUT_MATRIX:
        break;
    case CORE_LAYOUT_VECTOR:
        return (core__pattern){1, {c}, 0, c, 1};
    case CORE_LAYOUT_CONV:
        return (core__pattern){3, {r, 1, c}, 0, c, 1};
    case CORE_LAYOUT_PER_HEAD:
        return (core__pattern){4, {1, 1, c, 1}, 0, c, 1};
    case CORE_LAYOUT_FIRST_ROWS:
        return (core__pattern){2, {2 * r, c}, 0, c, 1};
    case CORE_LAYOUT_LAST_ROWS:
        return (core__pattern){2, {2 * r, c}, n, c, 1};
    case CORE_LAYOUT_FIRST_COLS:
        return (core__pattern){1, {2 * c}, 0, c, 1};
    case CORE_LAYOUT_LAST_COLS:
        return (core__pattern){1, {2 * c}, c, c, 1};
    case CORE_LAYOUT_EVEN_ROWS:
        return (core__pattern){2, {2 * r, c}, 0, 2 * c, 1};
    case CORE_LAYOUT_ODD_ROWS:
        return (core__pattern){2, {2 * r, c}, c, 2 * c, 1};
    case CORE_LAYOUT_EVEN_COLS:
        return (core__pattern){1, {2 * c}, 0, 2 * c, 2};
    case CORE_LAYOUT_ODD_COLS:
        return (core__pattern){1, {2 * c}, 1, 2 * c, 2};
    case CORE_LAYOUT_E_IN_OUT:
        return (core__pattern){3, {n_e, c, r}, e * n, 1, r};
    case CORE_LAYOUT_E_EVEN:
        return (core__pattern){3, {n_e, c, 2 * r}, 2 * e * n, 2, 2 * r};
    case CORE_LAYOUT_E_ODD:
        return (core__pattern){3, {n_e, c, 2 * r}, 2 * e * n + 1, 2, 2 * r};
    case CORE_LAYOUT_E_LEFT:
        return (core__pattern){3, {n_e, c, 2 * r}, 2 * e * n, 1, 2 * r};
    case CORE_LAYOUT_E_RIGHT:
        return (core__pattern){3, {n_e, c, 2 * r}, 2 * e * n + r, 1, 2 * r};
    case CORE_LAYOUT_E_OUT_IN:
        return (core__pattern){3, {n_e, r, c}, e * n, c, 1};
    case CORE_LAYOUT_E_TOP:
        return (core__pattern){3, {n_e, 2 * r, c}, 2 * e * n, c, 1};
    case CORE_LAYOUT_E_BOTTOM:
        return (core__pattern){3, {n_e, 2 * r, c}, 2 * e * n + n, c, 1};
    case CORE_LAYOUT_E_EVEN_ROWS:
        return (core__pattern){3, {n_e, 2 * r, c}, 2 * e * n, 2 * c, 1};
    case CORE_LAYOUT_E_ODD_ROWS:
        return (core__pattern){3, {n_e, 2 * r, c}, 2 * e * n + c, 2 * c, 1};
    case CORE_LAYOUT_E_VECTOR:
        return (core__pattern){2, {n_e, c}, e * c, c, 1};
    case CORE_LAYOUT_E_VECTOR_EVEN:
        return (core__pattern){2, {n_e, 2 * c}, 2 * e * c, 2 * c, 2};
    case CORE_LAYOUT_E_VECTOR_ODD:
        return (core__pattern){2, {n_e, 2 * c}, 2 * e * c + 1, 2 * c, 2};
    case CORE_LAYOUT_E_VECTOR_FIRST:
        return (core__pattern){2, {n_e, 2 * c}, 2 * e * c, 2 * c, 1};
    case CORE_LAYOUT_E_VECTOR_LAST:
        return (core__pattern){2, {n_e, 2 * c}, 2 * e * c + c, 2 * c, 1};
    }
    return (core__pattern){2, {r, c}, 0, c, 1};
}

/* Where index i of n lies in a tensor of blocks. */
static int64_t in_blocks(core_blocks b, int64_t n, int64_t i)
{
    if (b.n == 0)
        return i;
    const int64_t length = n / b.n;
    return i / length * b.period + b.first + i % length;
}

void core__pattern_widen(core__pattern *p, core_blocks blocks)
{
    if (blocks.n > 0)
        p->shape[0] = blocks.n * blocks.period;
}

int64_t core__pattern_at(const core__pattern *p, core_blocks blocks,
                         const int64_t shape[2], int64_t r, int64_t c)
{
    if (p->n_dim == 1)
        c = in_blocks(blocks, shape[1], c);
    else
        r = in_blocks(blocks, shape[0], r);
    return p->offset + r * p->row_step + c * p->col_step;
}

static bool has_shape(const core__stored *stored, const core__pattern *p)
{
    return stored->n_dim == p->n_dim &&
           memcmp(stored->shape, p->shape,
                  (size_t)p->n_dim * sizeof *p->shape) == 0;
}

bool core__view_fits(const core__stored *stored, core_layout layout,
                     const int64_t shape[2], int64_t n_e)
{
    const core__pattern p = core__pattern_of(layout, shape, 0, n_e);
    return has_shape(stored, &p);
}

/* Two matrices above each other whose blocks do not end where the first does:
 * savers that put two together disagree on what a scale then belongs to. */
static core_status check_halves(const core__stored *s, core_layout layout,
                                int64_t n_row)
{
    const bool halves =
        layout == CORE_LAYOUT_FIRST_ROWS || layout == CORE_LAYOUT_LAST_ROWS ||
        layout == CORE_LAYOUT_E_TOP || layout == CORE_LAYOUT_E_BOTTOM;
    CORE_FAIL_IF(halves && s->kind != CORE_BLOCK_NONE && s->grid_rows > 1 &&
                     n_row % s->rows != 0,
                 CORE_E_WEIGHTS,
                 "%s: %s: gate and up of %lld rows each in blocks of %lld: "
                 "%lld %% %lld is not 0",
                 s->codes.path, s->codes.tensor->name,
                 (long long)n_row, (long long)s->rows, (long long)n_row,
                 (long long)s->rows);
    return CORE_OK;
}

core_status core__view_make(core__view *out, const core__stored *stored,
                            core_layout layout, const int64_t shape[2], int e,
                            int64_t n_e)
{
    return core__view_make_in_blocks(out, stored, layout,
                                     (core_blocks){0, 0, 0}, shape, e, n_e);
}

core_status core__view_make_in_blocks(core__view *out,
                                      const core__stored *stored,
                                      core_layout layout, core_blocks blocks,
                                      const int64_t shape[2], int e,
                                      int64_t n_e)
{
    core__pattern p = core__pattern_of(layout, shape, e, n_e);
    core__pattern_widen(&p, blocks);
    char found[CORE_ST_SHAPE_BYTES], wanted[CORE_ST_SHAPE_BYTES];
    CORE_FAIL_IF(!has_shape(stored, &p), CORE_E_WEIGHTS,
                 "%s: %s: shape [%s], spec wants [%s]",
                 stored->codes.path, stored->codes.tensor->name,
                 core_st_shape_text(found, stored->shape, stored->n_dim),
                 core_st_shape_text(wanted, p.shape, p.n_dim));
    CORE_TRY(check_halves(stored, layout, shape[0]));
    *out = (core__view){.stored = *stored,
                        .n_row = shape[0],
                        .n_col = shape[1],
                        .offset = p.offset,
                        .row_step = p.row_step,
                        .col_step = p.col_step,
                        .blocks = blocks};
    return CORE_OK;
}

/* Elements of a row that lie side by side, but for the blocks of a vector. */
static void read_row(const core__view *view, int64_t r, int64_t c0, int64_t c1,
                     double *out)
{
    const core__stored *s = &view->stored;
    if (view->blocks.n > 0 && s->n_dim == 1) {
        for (int64_t c = c0; c < c1; c++)
            core__stored_read(s, in_blocks(view->blocks, view->n_col, c), 1,
                              out + c - c0);
        return;
    }
    const int64_t row = in_blocks(view->blocks, view->n_row, r);
    core__stored_read(s, view->offset + row * view->row_step + c0, c1 - c0,
                      out);
}

/* Elements whose steps are both larger than 1, or whose rows lie side by side:
 * a column at a time, in pieces. */
static void read_column(const core__view *view, int64_t c, int64_t r0,
                        int64_t r1, double *out, int64_t ld)
{
    double chunk[SCAN_CHUNK];
    const int64_t step = view->row_step;
    const int64_t most = step < SCAN_CHUNK ? (SCAN_CHUNK - 1) / step + 1 : 1;
    for (int64_t r = r0; r < r1; r += most) {
        const int64_t n = r1 - r < most ? r1 - r : most;
        core__stored_read(&view->stored,
                          view->offset + r * step + c * view->col_step,
                          (n - 1) * step + 1, chunk);
        for (int64_t i = 0; i < n; i++)
            out[(r - r0 + i) * ld] = chunk[i * step];
    }
}

void core__view_read(const core__view *view, int64_t r0, int64_t r1, int64_t c0,
                     int64_t c1, double *out, int64_t ld)
{
    if (view->col_step == 1) {
        for (int64_t r = r0; r < r1; r++)
            read_row(view, r, c0, c1, out + (r - r0) * ld);
        return;
    }
    for (int64_t c = c0; c < c1; c++)
        read_column(view, c, r0, r1, out + (c - c0), ld);
}

core_block core__view_block(const core__view *view)
{
    const core__stored *s = &view->stored;
    if (s->codes.how != NULL)
        return (core_block){1, core_repack_block(s->codes.how)};
    if (s->kind == CORE_BLOCK_NONE)
        return (core_block){1, 1};
    /* of the tensor in the file; with every second row ours, half as many */
    const int64_t rows = s->grid_rows > 1 ? s->rows : 1;
    const int64_t cols = s->grid_cols > 1 ? s->cols : 1;
    const bool transposed = view->col_step != 1;
    const int64_t step =
        transposed ? view->row_step : view->row_step / s->n_col;
    const core_block block = {transposed ? cols : rows,
                              transposed ? rows : cols};
    return block.rows > 1 && step > 1
               ? (core_block){block.rows / step, block.cols}
               : block;
}

double core__view_largest(const core__view *view)
{
    double tile[SCAN_CHUNK], largest = 0.0;
    const bool short_rows = view->n_row > 1;
    const int64_t n_r = short_rows ? SCAN_TILE : 1;
    const int64_t n_c = short_rows ? SCAN_TILE : SCAN_CHUNK;
    for (int64_t r = 0; r < view->n_row; r += n_r) {
        const int64_t r1 = r + n_r < view->n_row ? r + n_r : view->n_row;
        for (int64_t c = 0; c < view->n_col; c += n_c) {
            const int64_t c1 = c + n_c < view->n_col ? c + n_c : view->n_col;
            core__view_read(view, r, r1, c, c1, tile, c1 - c);
            for (int64_t i = 0; i < (r1 - r) * (c1 - c); i++) {
                if (!isfinite(tile[i]))
                    return INFINITY;
                largest = fmax(largest, fabs(tile[i]));
            }
        }
    }
    return largest;
}

core_status core__view_quantise_operand(core__view *view)
{
    const core__stored *s = &view->stored;
    const char *file = s->codes.path;
    const char *tensor = s->codes.tensor->name;
    if (s->act.how == CORE_ACT_QUANT_NONE)
        return CORE_OK;
    CORE_FAIL_IF(s->act.how == CORE_ACT_QUANT_BATCH, CORE_E_WEIGHTS,
                 "%s: %s: --act-quant: its inputs share a scale with all "
                 "tokens that are computed together, which no function of a "
                 "prompt can say",
                 file, tensor);
    CORE_FAIL_IF(s->act.how == CORE_ACT_QUANT_OTHER, CORE_E_WEIGHTS,
                 "%s: %s: --act-quant: its inputs are quantised in a way that "
                 "is not emulated",
                 file, tensor);
    view->operand = s->act.format;
    if (view->operand.group >= view->n_col)
        view->operand.group = 0;
    if (s->act.how == CORE_ACT_QUANT_STATIC) {
        view->operand.fixed =
            core__stored_input_scale(s, view->offset / (s->n_row * s->n_col));
        CORE_FAIL_IF(
            !(view->operand.fixed > 0.0 && isfinite(view->operand.fixed)),
            CORE_E_WEIGHTS,
            "%s: %s: --act-quant: expected a scale of its inputs "
            "above 0 (input_scale), found %s",
            file, tensor, s->input != NULL ? s->input->name : "none");
    }
    view->quantises_operand = true;
    return CORE_OK;
}
