/* core/weights/checkpoint_view.c -- a weight of ours as a pattern in a file
 * tensor.
 *
 * Whatever a family does with its matrices (all experts in one tensor, gate and
 * up interleaved, in halves, transposed), an element of ours is found by two
 * steps and an offset.  Codes smaller than a byte or with block scales have the
 * same pattern over their values.  Traps: MXFP4 keeps [out, in] where the
 * unpacked tensor has [in, out], and the low half of a byte comes first; FP8
 * scales belong to blocks of 128 x 128, the last ones smaller.
 */
#include "core/weights/checkpoint_impl.h"

#include <math.h>
#include <string.h>

enum {
    FP8_BLOCK = 128,
    FP4_BLOCK = 32, /* values that share a scale                             */
    SCAN_TILE = 64,
    SCAN_CHUNK = SCAN_TILE * SCAN_TILE
};

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

static bool has_shape(const core_st_tensor *tensor, int n_dim,
                      const int64_t *shape)
{
    return tensor->n_dim == n_dim &&
           memcmp(tensor->shape, shape, (size_t)n_dim * sizeof *shape) == 0;
}

bool core__view_fits(const core_st_tensor *tensor, core_layout layout,
                     const int64_t shape[2], int64_t n_e)
{
    const core__pattern p = core__pattern_of(layout, shape, 0, n_e);
    return has_shape(tensor, p.n_dim, p.shape);
}

static core_status check_shape(const core_st *file,
                               const core_st_tensor *tensor, int n_dim,
                               const int64_t *shape)
{
    if (has_shape(tensor, n_dim, shape))
        return CORE_OK;
    char found[CORE_ST_SHAPE_BYTES], wanted[CORE_ST_SHAPE_BYTES];
    CORE_FAIL(CORE_E_WEIGHTS, "%s: %s: shape [%s], spec wants [%s]",
              core_st_path(file), tensor->name,
              core_st_shape_text(found, tensor->shape, tensor->n_dim),
              core_st_shape_text(wanted, shape, n_dim));
}

static core_status check_type(const core_st *file, const core_st_tensor *tensor,
                              core_dtype wanted)
{
    CORE_FAIL_IF(tensor->dtype != wanted, CORE_E_WEIGHTS,
                 "%s: %s: element type %s, expected %s", core_st_path(file),
                 tensor->name, core_dtype_name(tensor->dtype),
                 core_dtype_name(wanted));
    return CORE_OK;
}

static core_status check_fp8(const core_st *file, const core_st_tensor *tensor,
                             const core_st_tensor *scale, core_layout layout,
                             const int64_t shape[2])
{
    CORE_FAIL_IF(scale == NULL, CORE_E_WEIGHTS,
                 "%s: %s: element type F8_E4M3 without a tensor %s_scale_inv",
                 core_st_path(file), tensor->name, tensor->name);
    CORE_FAIL_IF(layout != CORE_LAYOUT_MATRIX, CORE_E_WEIGHTS,
                 "%s: %s: element type F8_E4M3 is supported for matrices only",
                 core_st_path(file), tensor->name);
    const int64_t blocks[2] = {(shape[0] + FP8_BLOCK - 1) / FP8_BLOCK,
                               (shape[1] + FP8_BLOCK - 1) / FP8_BLOCK};
    CORE_TRY(check_type(file, scale, CORE_DTYPE_F32));
    return check_shape(file, scale, 2, blocks);
}

core_status core__view_make(core__view *out, const core_st *file,
                            const core_st_tensor *tensor,
                            const core_st_tensor *scale, core_layout layout,
                            const int64_t shape[2], int e, int64_t n_e)
{
    return core__view_make_in_blocks(out, file, tensor, scale, layout,
                                     (core_blocks){0, 0, 0}, shape, e, n_e);
}

core_status core__view_make_in_blocks(
    core__view *out, const core_st *file, const core_st_tensor *tensor,
    const core_st_tensor *scale, core_layout layout, core_blocks blocks,
    const int64_t shape[2], int e, int64_t n_e)
{
    core__pattern p = core__pattern_of(layout, shape, e, n_e);
    core__pattern_widen(&p, blocks);
    CORE_TRY(check_shape(file, tensor, p.n_dim, p.shape));
    switch (tensor->dtype) {
    case CORE_DTYPE_F64:
    case CORE_DTYPE_F32:
    case CORE_DTYPE_F16:
    case CORE_DTYPE_BF16:
        scale = NULL;
        break;
    case CORE_DTYPE_F8_E4M3:
        CORE_TRY(check_fp8(file, tensor, scale,
                           blocks.n > 0 ? CORE_LAYOUT_NONE : layout, shape));
        break;
    default:
        CORE_FAIL(CORE_E_WEIGHTS,
                  "%s: %s: element type %s, expected F64, F32, F16, BF16 or "
                  "F8_E4M3",
                  core_st_path(file), tensor->name,
                  core_dtype_name(tensor->dtype));
    }
    *out = (core__view){tensor,   scale,      shape[0],   shape[1],
                        p.offset, p.row_step, p.col_step, blocks};
    return CORE_OK;
}

core_status core__view_make_mxfp4(core__view *out, const core_st *file,
                                  const core_st_tensor *blocks,
                                  const core_st_tensor *scales,
                                  core_layout layout, const int64_t shape[2],
                                  int e, int64_t n_e)
{
    const bool pairs = layout != CORE_LAYOUT_E_IN_OUT;
    const int64_t n_in = shape[1], n_out = shape[0] * (pairs ? 2 : 1);
    const int64_t wanted[4] = {n_e, n_out, n_in / FP4_BLOCK, FP4_BLOCK / 2};
    CORE_FAIL_IF(n_in % FP4_BLOCK != 0, CORE_E_WEIGHTS,
                 "%s: %s: rows of %lld values, MXFP4 wants a multiple of %d",
                 core_st_path(file), blocks->name, (long long)n_in, FP4_BLOCK);
    CORE_TRY(check_type(file, blocks, CORE_DTYPE_U8));
    CORE_TRY(check_type(file, scales, CORE_DTYPE_U8));
    CORE_TRY(check_shape(file, blocks, 4, wanted));
    CORE_TRY(check_shape(file, scales, 3, wanted));
    *out = (core__view){
        .tensor = blocks,
        .scale = scales,
        .n_row = shape[0],
        .n_col = n_in,
        .offset = e * n_out * n_in + (layout == CORE_LAYOUT_E_ODD ? n_in : 0),
        .row_step = pairs ? 2 * n_in : n_in,
        .col_step = 1,
    };
    return CORE_OK;
}

/* Values [first, first + n) of an MXFP4 tensor. */
static void decode_mxfp4(const core__view *view, int64_t first, int64_t n,
                         double *out)
{
    static const double MAGNITUDE[8] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0};
    const uint8_t *codes = view->tensor->data, *scales = view->scale->data;
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = first + i;
        const unsigned code = codes[at / 2] >> (at % 2 == 0 ? 0 : 4) & 15u;
        const double value =
            ldexp(MAGNITUDE[code & 7u], (int)scales[at / FP4_BLOCK] - 127);
        out[i] = (code & 8u) != 0 ? -value : value;
    }
}

static double block_scale(const core__view *view, int64_t r, int64_t c)
{
    const int64_t per_row = (view->n_col + FP8_BLOCK - 1) / FP8_BLOCK;
    const int64_t at = r / FP8_BLOCK * per_row + c / FP8_BLOCK;
    return core_st_value(view->scale, at);
}

/* Elements of a row that lie side by side, but for the blocks of a vector. */
static void read_row(const core__view *view, int64_t r, int64_t c0, int64_t c1,
                     double *out)
{
    if (view->blocks.n > 0 && view->tensor->n_dim == 1) {
        for (int64_t c = c0; c < c1; c++)
            core_st_read(view->tensor, in_blocks(view->blocks, view->n_col, c),
                         1, out + c - c0);
        return;
    }
    const int64_t row = in_blocks(view->blocks, view->n_row, r);
    const int64_t first = view->offset + row * view->row_step + c0;
    if (view->tensor->dtype == CORE_DTYPE_U8) {
        decode_mxfp4(view, first, c1 - c0, out);
        return;
    }
    core_st_read(view->tensor, first, c1 - c0, out);
    for (int64_t c = c0; view->scale != NULL && c < c1; c++)
        out[c - c0] *= block_scale(view, r, c);
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
        core_st_read(view->tensor, view->offset + r * step + c * view->col_step,
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
